//! The data directory: its files, who may read it, and the lock that makes one engine the only one.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileExt as _, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::disk::is_network_file_system;
use super::ours::{self, Ownership};
use crate::base::id::RunId;

/// Why a directory can't be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// The platform names no place for it, and the caller named none.
    #[error("there is no home directory to keep data in; name one with --data-dir or LEVERFRAME_DATA_DIR")]
    Homeless,
    /// It can't be created or used.
    #[error("the data directory {path} can't be used: {why}")]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// What is wrong, and what the operator can do about it.
        why: String,
    },
    /// Another engine holds its lock.
    #[error(
        "another engine holds the data directory {path}; close it first, or name another with --data-dir"
    )]
    Busy {
        /// The directory.
        path: PathBuf,
    },
}

/// An existing data directory of this user, which no other user can write.
#[derive(Debug, Clone)]
pub struct DataDir {
    path: PathBuf,
}

/// The engine's lock, held until dropped. The operating system releases it when the engine dies.
#[derive(Debug)]
pub struct EngineLock {
    /// None after it was given away.
    file: Option<File>,
}

impl EngineLock {
    /// Gives the lock away without releasing it: the holder of the descriptor holds the lock, and no other process can
    /// take it in between. The lock is released when the last copy of the descriptor is closed.
    pub fn into_fd(mut self) -> Option<OwnedFd> {
        self.file.take().map(OwnedFd::from)
    }

    /// The lock's descriptor, for a message that hands it over. None after it was given away.
    pub fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        self.file.as_ref().map(AsFd::as_fd)
    }

    /// Writes this process's id into the file. It is only a hint that makes [`presence()`](super::presence()) quicker: the
    /// lock itself is the kernel's.
    fn sign(&self) {
        let Some(file) = self.file.as_ref() else { return };
        let pid = std::process::id().to_string();
        let _ = file.write_all_at(pid.as_bytes(), 0);
        // Shortened only if need be: some file systems write a file that was emptied to the disk when it is closed.
        if file.metadata().is_ok_and(|found| found.len() > pid.len() as u64) {
            let _ = file.set_len(pid.len() as u64);
        }
    }
}

impl Drop for EngineLock {
    fn drop(&mut self) {
        // Unlocked explicitly, because closing is not enough: a child that another thread is just spawning holds a copy
        // of the descriptor until its exec. Unlocking a locked file can't fail.
        let _ = self.file.as_ref().map(|file| flock(file, FlockOperation::Unlock));
    }
}

impl DataDir {
    /// The path to use: `named`, or else the platform's own place.
    ///
    /// # Errors
    /// [`DataDirError::Homeless`] when the platform has no such place.
    pub fn locate(named: Option<&Path>) -> Result<PathBuf, DataDirError> {
        match named {
            Some(path) => Ok(std::path::absolute(path).unwrap_or_else(|_| path.to_owned())),
            None => directories::ProjectDirs::from("", "", "leverframe")
                .map(|dirs| dirs.data_dir().to_owned())
                .ok_or(DataDirError::Homeless),
        }
    }

    /// Opens the directory: creates it if it does not exist (mode 0700), and checks that it can be used. If others can
    /// look into it and it holds only our files, its mode is set to 0700; otherwise see [`Self::open_to_others`].
    ///
    /// # Errors
    /// [`DataDirError::Unusable`] when it can't be created, read or written, is not a directory, belongs to another
    /// user, lies on a network file system, is a folder of something else (nothing is changed then), or also holds
    /// files of something else and other users can write in it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, DataDirError> {
        let path = path.as_ref();
        let unusable = |why: String| DataDirError::Unusable { path: path.to_owned(), why };
        let ownership = match ours::ownership(path) {
            Ok(ownership) => ownership,
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                return Err(unusable("it is not a directory".into()));
            }
            Err(error) => return Err(unusable(format!("it can't be read: {error}"))),
        };
        if let Ownership::Strange(strange) = &ownership {
            return Err(unusable(format!(
                "it holds what is not Leverframe's (such as {strange}) and no pipeline with a step in `pipelines/`, and \
                 would be closed to everybody else (mode 0700) and filled with databases and logs; name a new or an \
                 empty folder, or put such a pipeline there first"
            )));
        }
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|e| unusable(format!("it can't be created: {e}")))?;
        let path = fs::canonicalize(path).map_err(|e| unusable(e.to_string()))?;
        let meta = fs::metadata(&path).map_err(|e| unusable(e.to_string()))?;
        if !meta.is_dir() {
            return Err(unusable("it is not a directory".into()));
        }
        if meta.uid() != rustix::process::geteuid().as_raw() {
            return Err(unusable("it belongs to another user; name one of your own".into()));
        }
        if let Ok(Some(kind)) = is_network_file_system(&path) {
            return Err(unusable(format!(
                "it lies on a network file system ({kind}), whose locks SQLite can't trust; choose a local disk"
            )));
        }
        if let Ownership::Shared(strange) = &ownership {
            if meta.mode() & 0o022 != 0 {
                return Err(unusable(format!(
                    "others can write in it (mode {:o}), and since it holds what is not Leverframe's (such as {strange}), \
                     that is not changed; `chmod go-w` it, or name a new or an empty folder",
                    meta.mode() & 0o777
                )));
            }
        } else if meta.mode() & 0o077 != 0 {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700))
                .map_err(|e| unusable(format!("others can read it, and that can't be corrected: {e}")))?;
        }
        rustix::fs::access(&path, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK)
            .map_err(|e| unusable(format!("it can't be written: {e}")))?;
        Ok(Self { path })
    }

    /// Takes the engine's lock.
    ///
    /// # Errors
    /// [`DataDirError::Busy`] when another engine holds it; [`DataDirError::Unusable`] when the file can't be opened or
    /// locked.
    pub fn lock(&self) -> Result<EngineLock, DataDirError> {
        let (path, file) = (self.path.join("instance.lock"), self.lock_file()?);
        let locked = match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            // The engine that took the lock is dead. A child that it was just spawning may hold a copy for a moment
            // longer.
            Err(Errno::WOULDBLOCK) if is_holder_gone(&path) => lock_within(&file, HOLDER_DIES_WITHIN),
            outcome => outcome,
        };
        match locked {
            Ok(()) => {
                let lock = EngineLock { file: Some(file) };
                lock.sign();
                Ok(lock)
            }
            Err(Errno::WOULDBLOCK) => Err(DataDirError::Busy { path: self.path.clone() }),
            Err(e) => Err(self.unlockable(e)),
        }
    }

    fn lock_file(&self) -> Result<File, DataDirError> {
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600);
        options.open(self.path.join("instance.lock")).map_err(|e| DataDirError::Unusable {
            path: self.path.clone(),
            why: format!("instance.lock can't be opened: {e}"),
        })
    }

    fn unlockable(&self, error: Errno) -> DataDirError {
        let why = format!("instance.lock can't be locked: {error}");
        DataDirError::Unusable { path: self.path.clone(), why }
    }

    /// Takes the engine's lock as soon as its holder releases it. Waits without a limit.
    ///
    /// # Errors
    /// [`DataDirError::Unusable`] when the file can't be opened or locked.
    pub fn wait_for_lock(&self) -> Result<EngineLock, DataDirError> {
        let file = self.lock_file()?;
        let locked = rustix::io::retry_on_intr(|| flock(&file, FlockOperation::LockExclusive));
        locked.map_err(|e| self.unlockable(e))?;
        let lock = EngineLock { file: Some(file) };
        lock.sign();
        Ok(lock)
    }

    /// Takes over the engine's lock that another process gave away ([`EngineLock::into_fd`]).
    ///
    /// # Errors
    /// [`DataDirError::Unusable`] when `fd` is not this directory's lock, or another process holds the lock.
    pub fn take_over_lock(&self, fd: OwnedFd) -> Result<EngineLock, DataDirError> {
        let path = self.path.join("instance.lock");
        let unusable = |why: &str| DataDirError::Unusable { path: self.path.clone(), why: why.to_owned() };
        let file = File::from(fd);
        let ours = fs::metadata(&path).and_then(|ours| Ok((ours, file.metadata()?)));
        let is_ours = ours.is_ok_and(|(a, b)| (a.dev(), a.ino()) == (b.dev(), b.ino()));
        if !is_ours {
            return Err(unusable("the lock that was handed over is not its own"));
        }
        // Locking again through the same descriptor always succeeds; through any other it fails while the lock is held.
        flock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| unusable("the lock that was handed over is held by another process"))?;
        let lock = EngineLock { file: Some(file) };
        lock.sign();
        Ok(lock)
    }

    /// A warning when others can look into the directory, and its mode was left because it holds files of other
    /// programs.
    pub fn open_to_others(&self) -> Option<String> {
        let mode = fs::metadata(&self.path).ok()?.mode() & 0o777;
        let Ok(Ownership::Shared(strange)) = ours::ownership(&self.path) else { return None };
        (mode & 0o077 != 0).then(|| {
            format!(
                "others can look into the data directory {} (mode {mode:o}): it holds what is not Leverframe's (such as \
                 {strange}), so its mode is left as it is; `chmod 700` it, or name a folder for Leverframe alone",
                self.path.display()
            )
        })
    }

    /// The absolute path, without symbolic links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The database of runs, steps and checkpoints.
    pub fn checkpoints_db(&self) -> PathBuf {
        self.path.join("checkpoints.db")
    }

    /// The database of jobs, their history and their fires.
    pub fn scheduler_db(&self) -> PathBuf {
        self.path.join("scheduler.db")
    }

    /// The database of what the machine and the steps have used.
    pub fn samples_db(&self) -> PathBuf {
        self.path.join("samples.db")
    }

    /// The first folder that is searched for pipelines.
    pub fn pipelines_dir(&self) -> PathBuf {
        self.path.join("pipelines")
    }

    /// The folder of a run's logs.
    pub fn logs_dir(&self, run_id: &RunId) -> PathBuf {
        self.path.join("logs").join(run_id.as_str())
    }

    /// The folder of a run's reports.
    pub fn reports_dir(&self, run_id: &RunId) -> PathBuf {
        self.path.join("reports").join(run_id.as_str())
    }

    /// Creates a run's folders, which only this user can read.
    pub fn make_run_dirs(&self, run_id: &RunId) -> io::Result<()> {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(self.logs_dir(run_id))?;
        builder.create(self.reports_dir(run_id))
    }
}

/// How long after its engine's death a child that was being spawned may take to its exec.
const HOLDER_DIES_WITHIN: Duration = Duration::from_secs(2);

/// Whether the process named in the lock's file is dead. A zombie counts as dead: it has no program.
fn is_holder_gone(lock: &Path) -> bool {
    let holder = fs::read_to_string(lock).ok().and_then(|pid| pid.trim().parse::<u32>().ok());
    let exe = |pid| fs::read_link(format!("/proc/{pid}/exe"));
    // If the link can't be read for another reason, the process may live.
    holder.is_some_and(|pid| exe(pid).is_err_and(|error| error.kind() == io::ErrorKind::NotFound))
}

/// Waits for a lock, at most `limit`. The waiting thread goes on; if it gets the lock too late, it drops it at once.
fn lock_within(file: &File, limit: Duration) -> rustix::io::Result<()> {
    let copy = file.try_clone().map_err(|_| Errno::WOULDBLOCK)?;
    // Capacity 1: the one outcome, taken or dropped.
    let (tell, outcome) = crossbeam_channel::bounded(1);
    let wait = move || {
        // The receiver is gone after the limit.
        let _ = tell.send(flock(&copy, FlockOperation::LockExclusive));
    };
    std::thread::Builder::new().name("lf-lock".into()).spawn(wait).map_err(|_| Errno::WOULDBLOCK)?;
    outcome.recv_timeout(limit).unwrap_or(Err(Errno::WOULDBLOCK))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_made_for_its_owner_alone_and_an_open_one_is_mended() {
        let temp = tempfile::tempdir().expect("a directory");
        let path = temp.path().join("a/b");
        let dir = DataDir::open(&path).expect("it opens");
        let mode = || fs::metadata(dir.path()).expect("meta").mode() & 0o777;
        assert_eq!(mode(), 0o700);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("chmod");
        DataDir::open(&path).expect("it opens");
        assert_eq!(mode(), 0o700);
    }

    #[test]
    fn one_that_also_holds_something_else_keeps_its_mode_and_is_refused_where_others_can_write() {
        let temp = tempfile::tempdir().expect("a directory");
        let path = temp.path().join("project");
        fs::create_dir_all(path.join("pipelines")).expect("a folder");
        fs::write(path.join("pipelines/a.toml"), "[[step]]\n").expect("a file");
        fs::write(path.join("main.c"), "").expect("a file");
        let mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("chmod");
        mode(0o755);
        let dir = DataDir::open(&path).expect("it opens");
        let _lock = dir.lock().expect("it is free");
        let dir = DataDir::open(&path).expect("it opens again");
        assert_eq!(fs::metadata(&path).expect("meta").mode() & 0o777, 0o755);
        let said = dir.open_to_others().expect("it is said");
        assert!(said.contains("main.c") && said.contains("mode 755"), "{said}");
        mode(0o777);
        let error = DataDir::open(&path).expect_err("others can write").to_string();
        assert!(error.contains("main.c") && error.contains("mode 777"), "{error}");
        mode(0o700);
        assert_eq!(DataDir::open(&path).expect("it opens").open_to_others(), None);
    }

    #[test]
    fn a_second_lock_is_refused_until_the_first_is_gone() {
        let temp = tempfile::tempdir().expect("a directory");
        let dir = DataDir::open(temp.path()).expect("it opens");
        let first = dir.lock().expect("it is free");
        assert!(matches!(dir.lock(), Err(DataDirError::Busy { .. })));
        drop(first);
        dir.lock().expect("it is free again");
    }

    #[test]
    fn the_locks_file_names_its_holder_and_nothing_else() {
        let temp = tempfile::tempdir().expect("a directory");
        let dir = DataDir::open(temp.path()).expect("it opens");
        for before in ["", "1", "4194304 and more"] {
            fs::write(temp.path().join("instance.lock"), before).expect("a file");
            let _held = dir.lock().expect("it is free");
            let named = fs::read_to_string(temp.path().join("instance.lock")).expect("it is there");
            assert_eq!(named, std::process::id().to_string());
        }
    }

    #[test]
    fn a_lock_that_is_given_away_is_never_free_in_between() {
        let temp = tempfile::tempdir().expect("a directory");
        let dir = DataDir::open(temp.path()).expect("it opens");
        let first = dir.lock().expect("it is free");
        let fd = first.into_fd().expect("it was held");
        // Another process would get a copy of its own.
        let copy = fd.try_clone().expect("a copy");
        drop(fd);
        assert!(matches!(dir.lock(), Err(DataDirError::Busy { .. })));
        let second = dir.take_over_lock(copy).expect("it is this directory's, and held");
        assert!(matches!(dir.lock(), Err(DataDirError::Busy { .. })));
        drop(second);
        dir.lock().expect("it is free again");
    }

    #[test]
    fn a_strange_descriptor_is_no_lock() {
        let temp = tempfile::tempdir().expect("a directory");
        let dir = DataDir::open(temp.path()).expect("it opens");
        let _held = dir.lock().expect("it is free");
        let other = File::create(temp.path().join("other")).expect("a file");
        dir.take_over_lock(other.into()).expect_err("it is another file");
        let unheld = File::open(temp.path().join("instance.lock")).expect("it is there");
        dir.take_over_lock(unheld.into()).expect_err("it does not hold the lock");
    }

    #[test]
    fn a_file_in_the_way_is_said() {
        let temp = tempfile::tempdir().expect("a directory");
        let path = temp.path().join("file");
        fs::write(&path, "x").expect("a file");
        let error = DataDir::open(&path).expect_err("a file is no directory").to_string();
        assert!(error.contains("can't be used"), "{error}");
    }
}

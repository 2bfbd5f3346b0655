//! Watches whether a data directory is still where it was when its engine took it. A directory that was renamed,
//! removed or replaced may belong to another engine now and must not be written any more.

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::inotify::WatchFlags;

use super::datadir::DataDir;
use crate::base::tasks::{Task, TaskThread};
use crate::files::FolderChanges;

/// A file or folder as the kernel knows it, independent of its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    path: PathBuf,
    /// Device and inode. None when nothing was there, or it could not be read.
    is: Option<(u64, u64)>,
}

impl Identity {
    pub(super) fn of(path: &Path) -> Self {
        let is = fs::metadata(path).ok().map(|meta| known(&meta));
        Self { path: path.to_owned(), is }
    }

    /// Whether the same file or folder still lies at its path.
    ///
    /// # Errors
    /// The path can't be read, which says nothing about what lies there.
    pub(super) fn is_in_place(&self) -> io::Result<bool> {
        self.is_shown_by(fs::metadata(&self.path).map(|meta| known(&meta)))
    }

    fn is_shown_by(&self, found: io::Result<(u64, u64)>) -> io::Result<bool> {
        match found {
            Ok(found) => Ok(self.is == Some(found)),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                Ok(self.is.is_none())
            }
            Err(error) => Err(error),
        }
    }
}

fn known(meta: &Metadata) -> (u64, u64) {
    (meta.dev(), meta.ino())
}

/// An engine that lives no longer than this needs no watch: the kernel takes longer to end a watch than a short run
/// lasts.
const WATCH_AFTER: Duration = Duration::from_millis(500);

/// A path that could not be read (an error of the disk or of a mount, a folder that was closed) is looked at again
/// after this time, and whenever something changes.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    InPlace,
    Gone,
    Unknown,
}

fn look(known: &[Identity]) -> Look {
    let mut found = Look::InPlace;
    for identity in known {
        match identity.is_in_place() {
            Ok(true) => {}
            Ok(false) => return Look::Gone,
            Err(_) => found = Look::Unknown,
        }
    }
    found
}

/// Events that may mean that another directory or lock now has the known one's place.
const EVENTS: WatchFlags = WatchFlags::MOVE_SELF
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO);

/// Watches a data directory until it is dropped.
#[derive(Debug)]
pub(crate) struct DirWatch {
    _task: Task,
}

impl DirWatch {
    /// Calls `tell` once, as a task of `tasks`, when the directory or its lock was renamed, removed or replaced. It
    /// does not see that a folder above was renamed, nor anything once the kernel's limit of watches is reached; the
    /// next write to a database finds these.
    pub(crate) fn start(dir: &DataDir, tasks: &TaskThread, tell: impl FnOnce() + Send + 'static) -> Self {
        let known = [Identity::of(dir.path()), Identity::of(&dir.path().join("instance.lock"))];
        let (path, mut tell, mut changes) = (dir.path().to_owned(), Some(tell), None);
        let task = tasks.add(Some(WATCH_AFTER), |bell| {
            move |_| {
                // Changes from before the watch are seen by this first look.
                changes.get_or_insert_with(|| {
                    let bell = bell.clone();
                    FolderChanges::watch(&path, EVENTS, move |_| {
                        bell.ring();
                    })
                });
                match look(&known) {
                    Look::Gone => {
                        if let Some(tell) = tell.take() {
                            tell();
                        }
                        None
                    }
                    Look::InPlace => None,
                    Look::Unknown => Some(LOOK_AGAIN_AFTER),
                }
            }
        });
        Self { _task: task }
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    fn told_after(change: impl FnOnce(&Path)) -> bool {
        let temp = tempfile::tempdir().expect("a directory");
        let dir = DataDir::open(temp.path().join("data")).expect("it opens");
        let _lock = dir.lock().expect("it is free");
        // Capacity 1: the watch reports once.
        let (tell, told) = crossbeam_channel::bounded(1);
        let tasks = TaskThread::start("lf-test").expect("a thread");
        let watch = DirWatch::start(&dir, &tasks, move || tell.send(()).expect("it is waited for"));
        change(dir.path());
        fs::write(temp.path().join("data/x"), "x").ok();
        fs::remove_file(temp.path().join("data/x")).ok();
        let is_told = told.recv_timeout(Duration::from_secs(2)).is_ok();
        drop(watch);
        is_told
    }

    #[test]
    fn only_what_is_not_there_or_is_another_one_is_gone() {
        let temp = tempfile::tempdir().expect("a directory");
        let (there, file) = (Identity::of(temp.path()), temp.path().join("file"));
        let nothing = Identity::of(&file);
        let failed = |errno: Errno| Err(io::Error::from(errno));
        assert!(
            there.is_in_place().expect("it is there") && nothing.is_in_place().expect("nothing is there")
        );
        for errno in [Errno::NOENT, Errno::NOTDIR] {
            assert!(!there.is_shown_by(failed(errno)).expect("it is gone"), "{errno}");
            assert!(nothing.is_shown_by(failed(errno)).expect("nothing is there still"), "{errno}");
        }
        for errno in [Errno::IO, Errno::STALE, Errno::ACCESS, Errno::NOMEM, Errno::LOOP] {
            assert!(there.is_shown_by(failed(errno)).is_err(), "{errno}");
        }
        fs::write(&file, "x").expect("a file");
        assert!(!nothing.is_in_place().expect("something is there"));
        // A name that the kernel refuses says nothing about what lies there.
        let unseen = Identity { path: PathBuf::from("x".repeat(5000)), ..there.clone() };
        assert_eq!(look(&[there.clone(), unseen.clone()]), Look::Unknown);
        assert_eq!(look(&[unseen, nothing, there.clone()]), Look::Gone);
        assert_eq!(look(&[there]), Look::InPlace);
    }

    #[test]
    fn a_directory_that_is_renamed_removed_or_robbed_of_its_lock_is_told() {
        assert!(told_after(|path| fs::rename(path, path.with_extension("old")).expect("renamed")));
        assert!(told_after(|path| fs::remove_dir_all(path).expect("removed")));
        assert!(told_after(|path| fs::remove_file(path.join("instance.lock")).expect("removed")));
    }
}

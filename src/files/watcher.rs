//! The one inotify instance of this process, shared by all watches and read by the [`poller`](crate::poller). It passes
//! on what the kernel reports; the watches built on it choose what counts.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

use crate::poller::{Slot, Waiting};

/// The watcher of this process, once anything is watched. It is kept until the process ends: the kernel takes 10 to 20 ms
/// to close an inotify instance right after one of its watches was removed (measured on Linux 6.18), and that is when an
/// engine ends or hands over.
static WATCHER: Mutex<Option<&FileWatcher>> = Mutex::new(None);

/// Events of the kernel's own, which every watch of the folder gets.
const ALWAYS: ReadFlags = ReadFlags::IGNORED.union(ReadFlags::UNMOUNT).union(ReadFlags::QUEUE_OVERFLOW);

/// One change in a folder.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FolderChange<'a> {
    /// What happened. [`ReadFlags::QUEUE_OVERFLOW`]: events were lost.
    pub(crate) events: ReadFlags,
    /// The file in the folder. None for the folder itself.
    pub(crate) name: Option<&'a OsStr>,
}

/// Reports changes in one folder until dropped. When the drop has returned, nothing more is reported.
#[derive(Debug)]
pub(crate) struct FolderChanges {
    watcher: &'static FileWatcher,
    folder: i32,
    watch: Arc<Watch>,
}

/// The watcher of this process.
#[derive(Debug)]
pub(super) struct FileWatcher {
    shared: Arc<Shared>,
    _waiting: Waiting,
}

#[derive(Debug)]
struct Shared {
    notes: Arc<OwnedFd>,
    /// By the kernel's watch descriptor.
    folders: Mutex<HashMap<i32, Folder>>,
}

#[derive(Debug)]
struct Folder {
    path: PathBuf,
    watches: Vec<Arc<Watch>>,
}

/// One of the watches of a folder.
struct Watch {
    events: WatchFlags,
    tell: Slot<Tell>,
}

type Tell = dyn FnMut(FolderChange<'_>) + Send;

impl FolderChanges {
    /// Calls `tell` on the poller's thread for each of these `events` in `folder` from now on, and when the folder can
    /// no longer be watched ([`ReadFlags::IGNORED`]). It must return at once.
    ///
    /// # Errors
    /// The folder can't be watched: it does not exist, or the kernel's limit of watches is reached.
    pub(crate) fn watch(
        folder: &Path,
        events: WatchFlags,
        tell: impl FnMut(FolderChange<'_>) + Send + 'static,
    ) -> io::Result<Self> {
        let watcher = FileWatcher::get()?;
        let watch = Arc::new(Watch { events, tell: Slot::new(Box::new(tell)) });
        let folder = watcher.shared.add(folder, watch.clone())?;
        Ok(Self { watcher, folder, watch })
    }
}

impl Drop for FolderChanges {
    fn drop(&mut self) {
        self.watcher.shared.remove(self.folder, &self.watch);
        self.watch.tell.end();
    }
}

impl FileWatcher {
    /// The watcher of this process.
    ///
    /// # Errors
    /// The system has no thread or descriptor left.
    pub(super) fn get() -> io::Result<&'static Self> {
        let mut current = WATCHER.lock();
        if let Some(watcher) = *current {
            return Ok(watcher);
        }
        let notes =
            Arc::new(inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(unwatchable)?);
        let shared = Arc::new(Shared { notes: notes.clone(), folders: Mutex::default() });
        let of_call = shared.clone();
        let waiting = Waiting::start(notes, move || of_call.tell_all())?;
        Ok(current.insert(Box::leak(Box::new(Self { shared, _waiting: waiting }))))
    }
}

impl Shared {
    fn add(&self, path: &Path, watch: Arc<Watch>) -> io::Result<i32> {
        // Locked meanwhile, so that the first change finds the watch.
        let mut folders = self.folders.lock();
        let events = watch.events | WatchFlags::MASK_ADD;
        let number = inotify::add_watch(&*self.notes, path, events).map_err(unwatchable)?;
        let folder =
            folders.entry(number).or_insert_with(|| Folder { path: path.to_owned(), watches: Vec::new() });
        folder.watches.push(watch);
        Ok(number)
    }

    fn remove(&self, number: i32, watch: &Arc<Watch>) {
        let mut folders = self.folders.lock();
        let Some(folder) = folders.get_mut(&number) else { return };
        folder.watches.retain(|other| !Arc::ptr_eq(other, watch));
        if folder.watches.is_empty() {
            folders.remove(&number);
            // Fails when the folder was removed: the kernel has ended the watch.
            let _ = inotify::remove_watch(&*self.notes, number);
            return;
        }
        // Fewer events, so that those that only this watch wanted wake no thread.
        let found = self.set_events(folder);
        // Another folder may be at this path now. It gets its own events back, or its new watch is removed.
        match found.filter(|found| *found != number).map(|found| (found, folders.get(&found))) {
            Some((_, Some(other))) => drop(self.set_events(other)),
            Some((found, None)) => drop(inotify::remove_watch(&*self.notes, found)),
            None => {}
        }
    }

    /// Sets the kernel's events to those that the watches of a folder want. Returns the watch descriptor of what is at
    /// its path.
    fn set_events(&self, folder: &Folder) -> Option<i32> {
        let events = folder.watches.iter().fold(WatchFlags::empty(), |all, watch| all | watch.events);
        inotify::add_watch(&*self.notes, &folder.path, events).ok()
    }

    /// Reads all waiting events and calls the watches.
    fn tell_all(&self) {
        let mut buffer = [MaybeUninit::uninit(); 16 << 10];
        let mut reader = Reader::new(&*self.notes, &mut buffer);
        while let Ok(note) = reader.next() {
            let events = note.events();
            let name = note.file_name().map(|name| OsStr::from_bytes(name.to_bytes()));
            let change = FolderChange { events, name };
            for watch in self.told(note.wd(), events) {
                watch.tell.call(|tell| tell(change));
            }
        }
    }

    /// The watches of a folder that want these events.
    fn told(&self, number: i32, events: ReadFlags) -> Vec<Arc<Watch>> {
        let mut folders = self.folders.lock();
        if events.contains(ReadFlags::QUEUE_OVERFLOW) {
            return folders.values().flat_map(|folder| folder.watches.iter().cloned()).collect();
        }
        let wants =
            |watch: &&Arc<Watch>| events.intersects(ALWAYS) || watch.events.bits() & events.bits() != 0;
        let folder = folders.get(&number);
        let told = folder.map(|folder| folder.watches.iter().filter(wants).cloned().collect());
        if events.contains(ReadFlags::IGNORED) {
            folders.remove(&number);
        }
        told.unwrap_or_default()
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("events", &self.events).finish_non_exhaustive()
    }
}

fn unwatchable(errno: Errno) -> io::Error {
    match errno {
        Errno::NOSPC => io::Error::new(
            io::ErrorKind::QuotaExceeded,
            "the system's limit of file watches is reached (see /proc/sys/fs/inotify/max_user_watches)",
        ),
        errno => errno.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    #[test]
    fn two_watches_of_one_folder_are_each_told_what_they_want_and_one_outlives_the_other() {
        let dir = tempfile::tempdir().unwrap();
        // Unbounded: as many changes as the test makes.
        let (sender, told) = crossbeam_channel::unbounded();
        let watch = |who: &'static str, events| {
            let sender = sender.clone();
            let tell = move |change: FolderChange<'_>| {
                sender.send((who, change.name.map(OsStr::to_owned))).unwrap();
            };
            FolderChanges::watch(dir.path(), events, tell).unwrap()
        };
        let (makes, ends) = (watch("makes", WatchFlags::CREATE), watch("ends", WatchFlags::DELETE));
        let name = Some(OsStr::new("a").to_owned());
        fs::write(dir.path().join("a"), "x").unwrap();
        assert_eq!(told.recv_timeout(SOON), Ok(("makes", name.clone())));
        fs::remove_file(dir.path().join("a")).unwrap();
        assert_eq!(told.recv_timeout(SOON), Ok(("ends", name.clone())));
        drop(makes);
        fs::write(dir.path().join("a"), "x").unwrap();
        fs::remove_file(dir.path().join("a")).unwrap();
        assert_eq!(told.recv_timeout(SOON), Ok(("ends", name)));
        drop(ends);
        fs::write(dir.path().join("a"), "x").unwrap();
        drop(sender);
        assert!(told.recv().is_err(), "nothing more is told, and what told is gone");
    }

    #[test]
    fn a_folder_that_is_removed_is_told_and_is_watched_anew_where_it_is_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("folder");
        for _ in 0..2 {
            fs::create_dir(&folder).unwrap();
            // Unbounded: a change or two.
            let (sender, told) = crossbeam_channel::unbounded();
            let tell = move |change: FolderChange<'_>| sender.send(change.events).unwrap();
            let watch = FolderChanges::watch(&folder, WatchFlags::CREATE, tell).unwrap();
            fs::write(folder.join("a"), "x").unwrap();
            assert_eq!(told.recv_timeout(SOON), Ok(ReadFlags::CREATE));
            fs::remove_dir_all(&folder).unwrap();
            assert!(told.recv_timeout(SOON).unwrap().contains(ReadFlags::IGNORED));
            drop(watch);
        }
    }
}

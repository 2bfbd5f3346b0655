//! Watches folders: reports that one of their files was written, for a reader of what another process or an editor
//! writes. It never says what has changed; the reader looks.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use rustix::fs::inotify::{ReadFlags, WatchFlags};

use super::watcher::{FileWatcher, FolderChange, FolderChanges};

/// The folder itself was removed or moved.
const OF_ITSELF: WatchFlags = WatchFlags::DELETE_SELF.union(WatchFlags::MOVE_SELF);

/// A file of the folder has changed. Reading is no change: readers would wake themselves.
const OF_FILES: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::MODIFY)
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::DELETE);

/// Watches folders until dropped.
#[derive(Debug)]
pub struct FolderWatch {
    _one: Option<FolderChanges>,
    _all: Option<AllFolders>,
}

impl FolderWatch {
    /// Calls `tell` whenever a file of `folder` with one of these `names` was written or created. It runs on the thread
    /// of all watches and must return at once.
    ///
    /// # Errors
    /// The folder can't be watched: it does not exist, or the kernel's limit of watches is reached.
    pub fn open(folder: &Path, names: &[&str], tell: impl Fn() + Send + 'static) -> io::Result<Self> {
        let names: Vec<OsString> = names.iter().map(OsString::from).collect();
        let changes = FolderChanges::watch(folder, OF_FILES, move |change| {
            let is_named = change.name.is_some_and(|name| names.iter().any(|wanted| wanted == name));
            if is_named || change.events.contains(ReadFlags::QUEUE_OVERFLOW) {
                tell();
            }
        })?;
        Ok(Self { _one: Some(changes), _all: None })
    }

    /// Calls `tell` whenever a file directly in one of `folders` was written, created, renamed or removed, or the
    /// folder itself was. A folder that does not exist yet, or is removed and created again, is watched from then on.
    /// `tell` runs on the thread of all watches and must return at once.
    ///
    /// If one folder can't be watched (it is unreadable, or the kernel's limit of watches is reached), the others still
    /// are: `tell_lost` is called with it once, here or on that thread, and again if it is lost again after it could be
    /// watched.
    ///
    /// # Errors
    /// Nothing can be watched at all: the system has no inotify instance or thread left.
    pub fn of_all<P: AsRef<Path>>(
        folders: impl IntoIterator<Item = P>,
        tell: impl Fn() + Send + Sync + 'static,
        tell_lost: impl Fn(&Path, &io::Error) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        // Without it every folder would be told as lost.
        FileWatcher::get()?;
        let folders = folders.into_iter().map(|folder| folder.as_ref().to_owned()).collect();
        let (tell, tell_lost) = (Box::new(tell), Box::new(tell_lost));
        let all = AllFolders(Arc::new(Folders { folders, tell, tell_lost, watched: Mutex::default() }));
        all.0.look();
        Ok(Self { _one: None, _all: Some(all) })
    }
}

/// Watched folders that may be removed and created again. While one can't be watched, the nearest folder above it is
/// watched instead.
#[derive(Debug)]
struct AllFolders(Arc<Folders>);

/// Called with a folder that can't be watched.
type TellLost = dyn Fn(&Path, &io::Error) + Send + Sync;

struct Folders {
    folders: Vec<PathBuf>,
    tell: Box<dyn Fn() + Send + Sync>,
    tell_lost: Box<TellLost>,
    /// The watches of the folders, or of those watched instead.
    watched: Mutex<Watches>,
}

#[derive(Debug, Default)]
struct Watches {
    of: Vec<FolderChanges>,
    /// Folders that can't be watched, each reported once.
    lost: BTreeSet<PathBuf>,
    is_over: bool,
}

impl Drop for AllFolders {
    fn drop(&mut self) {
        let mut watched = self.0.watched.lock();
        watched.is_over = true;
        let ended = std::mem::take(&mut watched.of);
        // Without the lock: a callback may be about to take it.
        drop(watched);
        drop(ended);
    }
}

impl Folders {
    /// Watches each folder, or the one watched instead, anew, because a removed folder takes its watch along. A folder
    /// that can't be watched is tried again at the next change.
    fn look(self: &Arc<Self>) {
        let mut watched = self.watched.lock();
        if watched.is_over {
            return;
        }
        let (mut of, mut lost) = (Vec::new(), Vec::new());
        for folder in &self.folders {
            match self.watch_nearest(folder, &mut of) {
                Ok(()) => drop(watched.lost.remove(folder)),
                Err(error) if watched.lost.insert(folder.clone()) => lost.push((folder, error)),
                Err(_) => {}
            }
        }
        let before = std::mem::replace(&mut watched.of, of);
        drop(watched);
        drop(before);
        lost.iter().for_each(|(folder, error)| (self.tell_lost)(folder, error));
    }

    /// Watches a folder, or the nearest one above it that can be watched, where its creation or a change of its mode
    /// will be seen. Adds all watches to `of`.
    ///
    /// # Errors
    /// Why the folder can't be watched; or, if it is missing, why a folder above it can't be.
    fn watch_nearest(self: &Arc<Self>, folder: &Path, of: &mut Vec<FolderChanges>) -> io::Result<()> {
        let mut outcome = Ok(());
        let mut below: Option<&Path> = None;
        let mut places = folder.ancestors();
        let mut watch = |place: &Path| -> io::Result<()> {
            of.push(self.watch(place)?);
            Ok(())
        };
        while let Some(place) = places.next() {
            match watch(place) {
                // The folder below was created before the watch above began, which therefore did not see it: start
                // again from the bottom. Watches that are no longer needed stay until the next look, because another
                // folder may need them.
                Ok(()) if below.is_some_and(|below| watch(below).is_ok()) => {
                    (outcome, below, places) = (Ok(()), None, folder.ancestors());
                }
                Ok(()) => return outcome,
                Err(error) => {
                    let is_missing = matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory);
                    if !is_missing && outcome.is_ok() {
                        outcome = Err(error);
                    }
                    below = Some(place);
                }
            }
        }
        outcome
    }

    fn watch(self: &Arc<Self>, place: &Path) -> io::Result<FolderChanges> {
        let (all, of_call) = (Arc::downgrade(self), place.to_owned());
        FolderChanges::watch(place, OF_FILES | OF_ITSELF, move |change| {
            if let Some(all) = Weak::upgrade(&all) {
                all.take_in(&of_call, change);
            }
        })
    }

    fn take_in(self: &Arc<Self>, place: &Path, change: FolderChange<'_>) {
        let is_lost = change.events.contains(ReadFlags::QUEUE_OVERFLOW);
        let path = change.name.map_or_else(|| place.to_owned(), |name| place.join(name));
        // The end of a watch follows a change that was seen before.
        let is_told = change.events.contains(ReadFlags::IGNORED);
        let is_above = !is_told && self.folders.iter().any(|folder| folder.starts_with(&path));
        if is_lost || is_above {
            self.look();
        }
        let is_within = change.name.is_some() && self.folders.iter().any(|folder| folder == place);
        if is_lost || is_above || is_within {
            (self.tell)();
        }
    }
}

impl std::fmt::Debug for Folders {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Folders").field("folders", &self.folders).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none_lost(folder: &Path, error: &io::Error) {
        panic!("{} can be watched: {error}", folder.display());
    }

    /// Waits for a change, and for those that come with it.
    fn settle(changes: &crossbeam_channel::Receiver<()>) {
        changes.recv_timeout(std::time::Duration::from_secs(20)).unwrap();
        while changes.recv_timeout(std::time::Duration::from_millis(50)).is_ok() {}
    }

    #[test]
    fn a_write_to_a_named_file_is_told() {
        let dir = tempfile::tempdir().unwrap();
        // Capacity 1: one waiting wake-up is as good as two.
        let (tell, told) = crossbeam_channel::bounded(1);
        let watch = FolderWatch::open(dir.path(), &["a"], move || {
            let _ = tell.try_send(());
        })
        .unwrap();
        std::fs::write(dir.path().join("a"), "x").unwrap();
        told.recv_timeout(std::time::Duration::from_secs(20)).unwrap();
        drop(watch);
    }

    #[test]
    fn a_file_that_is_written_renamed_or_removed_is_told_and_one_that_is_read_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("missing");
        // Unbounded: as many notes as changes below.
        let (sender, changes) = crossbeam_channel::unbounded();
        let watch = FolderWatch::of_all(
            [dir.path(), &missing],
            move || {
                let _ = sender.send(());
            },
            none_lost,
        )
        .unwrap();
        let settle = || settle(&changes);
        let (first, second) = (dir.path().join("a.toml"), dir.path().join("b.toml"));
        std::fs::write(&first, "id = 1").unwrap();
        settle();
        std::fs::rename(&first, &second).unwrap();
        settle();
        std::fs::read(&second).unwrap();
        std::fs::remove_file(&second).unwrap();
        settle();
        drop(watch);
        assert!(changes.recv().is_err(), "a dropped watch tells nothing more");
    }

    #[test]
    fn a_folder_that_is_removed_and_made_again_is_watched_again() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("above").join("pipelines");
        std::fs::create_dir_all(&folder).unwrap();
        // Unbounded: as many notes as changes below.
        let (sender, changes) = crossbeam_channel::unbounded();
        let watch = FolderWatch::of_all(
            [&folder],
            move || {
                let _ = sender.send(());
            },
            none_lost,
        )
        .unwrap();
        let settle = || settle(&changes);
        for gone in [folder.clone(), dir.path().join("above")] {
            std::fs::remove_dir_all(&gone).unwrap();
            settle();
            std::fs::create_dir_all(&folder).unwrap();
            settle();
            std::fs::write(folder.join("a.toml"), "id = 1").unwrap();
            settle();
        }
        drop(watch);
        assert!(changes.recv().is_err(), "a dropped watch tells nothing more");
    }

    #[test]
    fn a_folder_that_cannot_be_watched_is_said_once_and_the_others_are_watched() {
        let dir = tempfile::tempdir().unwrap();
        let [before, bad, after] = ["before", "bad", "after"].map(|name| dir.path().join(name));
        // Unbounded: as many notes as changes below.
        let (sender, changes) = crossbeam_channel::unbounded();
        // Unbounded: as many notes as losses below.
        let (sender_of_lost, lost) = crossbeam_channel::unbounded();
        std::fs::create_dir(&before).unwrap();
        // Root may read everything, but no one can follow a link to itself.
        std::os::unix::fs::symlink(&bad, &bad).unwrap();
        let tell = move || {
            let _ = sender.send(());
        };
        let tell_lost = move |folder: &Path, _: &io::Error| {
            let _ = sender_of_lost.send(folder.to_owned());
        };
        let watch = FolderWatch::of_all([&before, &bad, &after], tell, tell_lost).unwrap();
        let settle = || settle(&changes);
        std::fs::write(before.join("a.toml"), "id = 1").unwrap();
        settle();
        std::fs::create_dir(&after).unwrap();
        settle();
        std::fs::write(after.join("a.toml"), "id = 1").unwrap();
        settle();
        assert_eq!(lost.try_iter().collect::<Vec<_>>(), std::slice::from_ref(&bad));
        // Once it is repaired, it is watched.
        std::fs::remove_file(&bad).unwrap();
        settle();
        std::fs::create_dir(&bad).unwrap();
        settle();
        std::fs::write(bad.join("a.toml"), "id = 1").unwrap();
        settle();
        drop(watch);
        assert_eq!(lost.try_iter().count(), 0);
    }

    #[test]
    fn folders_that_are_made_while_the_watch_begins_are_watched() {
        for _ in 0..200 {
            let dir = tempfile::tempdir().unwrap();
            let [first, second] = ["first", "second"].map(|name| dir.path().join(name));
            // Capacity 1: one waiting note is as good as two.
            let (sender, changes) = crossbeam_channel::bounded(1);
            let making = std::thread::spawn({
                let second = second.clone();
                move || std::fs::create_dir(second)
            });
            let tell = move || {
                let _ = sender.try_send(());
            };
            let watch = FolderWatch::of_all([&first, &second], tell, none_lost).unwrap();
            making.join().unwrap().unwrap();
            // The creation of the other is seen where neither existed.
            let settle = || while changes.recv_timeout(std::time::Duration::from_millis(5)).is_ok() {};
            settle();
            std::fs::create_dir(&first).unwrap();
            changes.recv_timeout(std::time::Duration::from_secs(20)).expect("the first is seen");
            settle();
            std::fs::write(second.join("a.toml"), "id = 1").unwrap();
            changes.recv_timeout(std::time::Duration::from_secs(20)).expect("a file of the second is seen");
            drop(watch);
        }
    }
}

//! Folders under watch: tells when a file of them was written, for those who read what another process or a
//! person's editor writes. It says that something changed, never what; who is told looks for himself.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Sender, bounded, select};
use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};

/// Watches folders until it is dropped.
#[derive(Debug)]
pub struct FolderWatch {
    /// Ends the watch when it is dropped.
    _watcher: Option<RecommendedWatcher>,
    /// Closing the channel ends the thread that keeps the watch.
    keeper: Option<(Sender<()>, JoinHandle<()>)>,
}

/// Keeps folders under watch that may be removed and made again: as long as one can't be watched, the nearest folder above
/// it that can be is watched in its stead.
struct Keeper<L> {
    watcher: RecommendedWatcher,
    folders: Vec<Folder>,
    /// All that is under watch, of whichever folder.
    watched: BTreeSet<PathBuf>,
    /// Says that a folder is not watched.
    tell_lost: L,
}

struct Folder {
    path: PathBuf,
    /// It is not watched, which has been said.
    is_lost: bool,
}

impl FolderWatch {
    /// Calls `tell` on a thread of its own whenever a file of `folder` whose name is among `names` was
    /// written or made. It must return at once.
    ///
    /// # Errors
    /// When the folder can't be watched: it is not there, or the system's limit of watches is reached.
    pub fn open(folder: &Path, names: &[&str], tell: impl Fn() + Send + 'static) -> io::Result<Self> {
        let names: Vec<OsString> = names.iter().map(OsString::from).collect();
        let is_named = move |event: &notify::Event| {
            let mut touched = event.paths.iter().filter_map(|path| path.file_name());
            touched.any(|name| names.iter().any(|wanted| wanted == name))
        };
        let mut watcher = watcher(is_named, tell)?;
        watcher.watch(folder, RecursiveMode::NonRecursive).map_err(unwatchable)?;
        Ok(Self { _watcher: Some(watcher), keeper: None })
    }

    /// Calls `tell` on a thread of its own whenever any file directly in one of `folders` was written, made,
    /// renamed or removed, or such a folder was itself: one that is not there yet, or is removed and made again, is
    /// watched from then on. It must return at once.
    ///
    /// A folder that can't be watched (it may not be read, or the system's limit of watches is reached) costs the others
    /// nothing: `tell_lost` is called with it once, here or on that thread, and once more when it is lost again after it
    /// could be watched.
    ///
    /// # Errors
    /// When nothing can be watched at all: the system gives no watcher, or no thread.
    pub fn of_all<P: AsRef<Path>>(
        folders: impl IntoIterator<Item = P>,
        tell: impl Fn() + Send + Sync + 'static,
        tell_lost: impl Fn(&Path, &io::Error) + Send + 'static,
    ) -> io::Result<Self> {
        let folders: Vec<PathBuf> = folders.into_iter().map(|folder| folder.as_ref().to_owned()).collect();
        let tell = Arc::new(tell);
        // Capacity 1: a look that waits serves all changes. Closed with the watcher, which its own receiver outlives.
        let (look, looks) = bounded(1);
        // Nothing is ever sent: closed when the watch is dropped.
        let (alive, dropped) = bounded::<()>(0);
        let (known, on_change) = (folders.clone(), tell.clone());
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            if !event.need_rescan() && !is_change(event.kind) {
                return;
            }
            let mut paths = event.paths.iter();
            if event.need_rescan() || paths.any(|path| known.iter().any(|known| known.starts_with(path))) {
                // Full: it will be looked at in any case.
                let _ = look.try_send(());
            }
            let mut paths = event.paths.iter();
            if paths.any(|path| known.iter().any(|known| path.parent() == Some(known))) {
                on_change();
            }
        })
        .map_err(unwatchable)?;
        let folders = folders.into_iter().map(|path| Folder { path, is_lost: false }).collect();
        let mut keeper = Keeper { watcher, folders, watched: BTreeSet::new(), tell_lost };
        keeper.look();
        let work = move || {
            loop {
                select! {
                    recv(looks) -> look => if look.is_err() { return },
                    recv(dropped) -> _ => return,
                }
                keeper.look();
                tell();
            }
        };
        let thread = crate::base::thread::lasting("lf-folders", work)?;
        Ok(Self { _watcher: None, keeper: Some((alive, thread)) })
    }
}

impl Drop for FolderWatch {
    fn drop(&mut self) {
        if let Some((alive, thread)) = self.keeper.take() {
            drop(alive);
            // A panic there has been printed; there is nobody left to tell.
            let _ = thread.join();
        }
    }
}

impl<L: Fn(&Path, &io::Error)> Keeper<L> {
    /// Watches each folder, or what stands in for it, anew: a folder that was removed takes its watch along. What can't be
    /// watched is tried again with the next change.
    fn look(&mut self) {
        for watched in std::mem::take(&mut self.watched) {
            // What is gone is watched no more, which is what is wanted.
            let _ = self.watcher.unwatch(&watched);
        }
        for folder in &mut self.folders {
            let trouble = watch_nearest(&mut self.watcher, &folder.path, &mut self.watched).err();
            if let Some(error) = trouble.as_ref().filter(|_| !folder.is_lost) {
                (self.tell_lost)(&folder.path, error);
            }
            folder.is_lost = trouble.is_some();
        }
    }
}

/// Watches a folder, or the nearest one above it that can be watched: there it shows when the folder is made, or may be
/// read. Whatever comes under watch is added to `watched`.
///
/// # Errors
/// What keeps a folder that is there from being watched, or the one above it where it is missing.
fn watch_nearest(
    watcher: &mut RecommendedWatcher,
    folder: &Path,
    watched: &mut BTreeSet<PathBuf>,
) -> io::Result<()> {
    let mut outcome = Ok(());
    let mut below: Option<&Path> = None;
    let mut places = folder.ancestors();
    let mut watch = |place: &Path| -> io::Result<()> {
        watcher.watch(place, RecursiveMode::NonRecursive).map_err(unwatchable)?;
        watched.insert(place.to_owned());
        Ok(())
    };
    while let Some(place) = places.next() {
        match watch(place) {
            // Made before the watch above it began, which says nothing of it: all is looked at again from below. What is
            // watched beyond need stays so until the next look, for it may stand in for another folder.
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

fn watcher(
    is_meant: impl Fn(&notify::Event) -> bool + Send + 'static,
    tell: impl Fn() + Send + 'static,
) -> io::Result<RecommendedWatcher> {
    notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|event| event.need_rescan() || (is_change(event.kind) && is_meant(&event))) {
            tell();
        }
    })
    .map_err(unwatchable)
}

/// Whether a file is another one now. That it was read is no change: the answer to a change is to read.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_) => true,
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        EventKind::Any | EventKind::Other => false,
    }
}

pub(crate) fn unwatchable(error: notify::Error) -> io::Error {
    match error.kind {
        notify::ErrorKind::Io(error) => error,
        notify::ErrorKind::MaxFilesWatch => io::Error::new(
            ErrorKind::QuotaExceeded,
            "the system's limit of file watches is reached (see /proc/sys/fs/inotify/max_user_watches)",
        ),
        notify::ErrorKind::PathNotFound => ErrorKind::NotFound.into(),
        notify::ErrorKind::Generic(_)
        | notify::ErrorKind::WatchNotFound
        | notify::ErrorKind::InvalidConfig(_) => io::Error::other(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none_lost(folder: &Path, error: &io::Error) {
        panic!("{} can be watched: {error}", folder.display());
    }

    #[test]
    fn a_write_to_a_named_file_is_told() {
        let dir = tempfile::tempdir().unwrap();
        // Capacity 1: a wake that waits is as good as two.
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
        let settle = || {
            changes.recv_timeout(std::time::Duration::from_secs(20)).unwrap();
            while changes.recv_timeout(std::time::Duration::from_millis(50)).is_ok() {}
        };
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
        let settle = || {
            changes.recv_timeout(std::time::Duration::from_secs(20)).unwrap();
            while changes.recv_timeout(std::time::Duration::from_millis(50)).is_ok() {}
        };
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
        // Root may read everything, but nobody can follow a link to itself.
        std::os::unix::fs::symlink(&bad, &bad).unwrap();
        let tell = move || {
            let _ = sender.send(());
        };
        let tell_lost = move |folder: &Path, _: &io::Error| {
            let _ = sender_of_lost.send(folder.to_owned());
        };
        let watch = FolderWatch::of_all([&before, &bad, &after], tell, tell_lost).unwrap();
        let settle = || {
            changes.recv_timeout(std::time::Duration::from_secs(20)).unwrap();
            while changes.recv_timeout(std::time::Duration::from_millis(50)).is_ok() {}
        };
        std::fs::write(before.join("a.toml"), "id = 1").unwrap();
        settle();
        std::fs::create_dir(&after).unwrap();
        settle();
        std::fs::write(after.join("a.toml"), "id = 1").unwrap();
        settle();
        assert_eq!(lost.try_iter().collect::<Vec<_>>(), std::slice::from_ref(&bad));
        // Mended, it is watched too.
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
            // Capacity 1: a note that waits is as good as two.
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
            // The making of the other is seen where neither was.
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

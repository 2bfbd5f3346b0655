//! Watches one file: reports when it was written and closed, moved into its place, or removed.
//!
//! The folder may hold files that are written all the time, such as databases. A write to a file that stays open wakes
//! no thread; that is the difference to a [`FolderWatch`](crate::files::FolderWatch).

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::inotify::{ReadFlags, WatchFlags};

use super::watcher::FolderChanges;

/// Watches one file until dropped.
#[derive(Debug)]
pub struct SettledWatch {
    _changes: FolderChanges,
}

impl SettledWatch {
    /// Calls `tell` whenever the file `name` directly in `folder` was replaced or has new contents. It need not exist
    /// yet. `tell` runs on the thread of all watches and must return at once.
    ///
    /// # Errors
    /// The folder can't be watched: it does not exist, or the kernel's limit of watches is reached.
    pub fn open(folder: &Path, name: &str, mut tell: impl FnMut() + Send + 'static) -> io::Result<Self> {
        let file = folder.join(name);
        let _changes = FolderChanges::watch(folder, EVENTS, move |change| {
            let is_named = change.name.is_some() && change.name == file.file_name();
            // A created file is complete once it is closed; a link is complete at once.
            let is_whole = !change.events.contains(ReadFlags::CREATE) || is_link(&file);
            // An overflow says only that events were lost.
            if (is_named && is_whole) || change.events.contains(ReadFlags::QUEUE_OVERFLOW) {
                tell();
            }
        })?;
        Ok(Self { _changes })
    }
}

/// Events that may put another file in its place, or end a write.
const EVENTS: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::CLOSE_WRITE)
    .union(WatchFlags::MOVED_TO)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::ONLYDIR);

/// Whether it is a symbolic link, or a file with several names.
fn is_link(file: &Path) -> bool {
    let found = fs::symlink_metadata(file);
    found.is_ok_and(|found| found.is_symlink() || found.nlink() > 1)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::time::Duration;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::fs::inotify;

    use super::*;

    #[test]
    fn a_file_that_is_made_replaced_or_removed_is_told_and_what_others_write_is_not() {
        let dir = tempfile::tempdir().unwrap();
        // Unbounded: as many notes as changes below.
        let (sender, told) = crossbeam_channel::unbounded();
        let watch = SettledWatch::open(dir.path(), "a.toml", move || {
            let _ = sender.send(());
        })
        .unwrap();
        let settle = || {
            told.recv_timeout(Duration::from_secs(20)).unwrap();
            while told.recv_timeout(Duration::from_millis(20)).is_ok() {}
        };
        let (file, draft) = (dir.path().join("a.toml"), dir.path().join("a.new"));
        fs::write(&file, "1").unwrap();
        settle();
        fs::write(&draft, "2").unwrap();
        fs::rename(&draft, &file).unwrap();
        settle();
        // A link in its place, created there and not moved there: symbolic, and another name of a file.
        for is_symbolic in [true, false] {
            fs::remove_file(&file).unwrap();
            settle();
            fs::write(&draft, "3").unwrap();
            if is_symbolic {
                std::os::unix::fs::symlink(&draft, &file).unwrap();
            } else {
                fs::hard_link(&draft, &file).unwrap();
            }
            settle();
        }
        // A neighbour that stays open, and a file that is only read.
        let mut neighbour = fs::File::create(dir.path().join("b.db")).unwrap();
        neighbour.write_all(b"x").unwrap();
        fs::read(&file).unwrap();
        fs::remove_file(&file).unwrap();
        settle();
        drop(watch);
        assert!(told.try_recv().is_err(), "each change is told once it is whole, and nothing else");
    }

    #[test]
    fn what_is_only_read_in_the_folder_does_not_even_wake() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ld.so.cache");
        fs::write(&file, "1").unwrap();
        let notes = inotify::init(inotify::CreateFlags::CLOEXEC).unwrap();
        inotify::add_watch(&notes, dir.path(), EVENTS).unwrap();
        fs::read(&file).unwrap();
        fs::metadata(&file).unwrap();
        fs::read_dir(dir.path()).unwrap().for_each(drop);
        let mut fds = [PollFd::new(&notes, PollFlags::IN)];
        let nothing = Timespec::try_from(Duration::ZERO).unwrap();
        assert_eq!(poll(&mut fds, Some(&nothing)), Ok(0));
        fs::write(&file, "2").unwrap();
        assert_eq!(poll(&mut fds, Some(&nothing)), Ok(1));
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let error = SettledWatch::open(&dir.path().join("missing"), "a", || {}).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}

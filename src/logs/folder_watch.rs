//! Tells when the files of some folders change, such as pipelines that somebody edits. It says that something
//! changed, never what: whoever listens reads the folder anew.

use std::io;
use std::path::Path;

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use super::follower::unwatchable;

/// Watches folders until it is dropped.
#[derive(Debug)]
pub struct FolderWatch {
    /// Ends the watch when it is dropped.
    _watcher: RecommendedWatcher,
}

impl FolderWatch {
    /// Calls `on_change` after each change of a file directly in one of `folders`, on a thread of its own, which
    /// it must not hold up. A folder that is not there is left out.
    ///
    /// # Errors
    /// When the system refuses: its limit of watches is reached.
    pub fn new<P: AsRef<Path>>(
        folders: impl IntoIterator<Item = P>,
        on_change: impl Fn() + Send + 'static,
    ) -> io::Result<Self> {
        let on_event = move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| event.need_rescan() || is_change(event.kind)) {
                on_change();
            }
        };
        let mut watcher = notify::recommended_watcher(on_event).map_err(unwatchable)?;
        for folder in folders {
            match watcher.watch(folder.as_ref(), RecursiveMode::NonRecursive).map_err(unwatchable) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Self { _watcher: watcher })
    }
}

/// Whether a file is another one now. That a file was read is none: the answer to a change is to read.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_) => true,
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        EventKind::Any | EventKind::Other => false,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn a_file_that_is_written_renamed_or_removed_is_told_and_one_that_is_read_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("missing");
        // Unbounded: as many notes as changes below.
        let (sender, changes) = crossbeam_channel::unbounded();
        let watch = FolderWatch::new([dir.path(), &missing], move || {
            let _ = sender.send(());
        })
        .unwrap();
        let settle = || {
            changes.recv_timeout(PATIENCE).unwrap();
            while changes.recv_timeout(Duration::from_millis(50)).is_ok() {}
        };
        let (first, second) = (dir.path().join("a.toml"), dir.path().join("b.toml"));
        fs::write(&first, "id = 1").unwrap();
        settle();
        fs::rename(&first, &second).unwrap();
        settle();
        fs::read(&second).unwrap();
        fs::remove_file(&second).unwrap();
        settle();
        drop(watch);
        assert!(changes.recv().is_err(), "a dropped watch tells nothing more");
    }
}

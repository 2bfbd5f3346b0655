//! Folders under watch: tells when a file of them was written, for those who read what another process or a
//! person's editor writes. It says that something changed, never what; who is told looks for himself.

use std::ffi::OsString;
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
        Ok(Self { _watcher: watcher })
    }

    /// Calls `tell` on a thread of its own whenever any file directly in one of `folders` was written, made,
    /// renamed or removed. It must return at once. A folder that is not there is left out.
    ///
    /// # Errors
    /// When the system's limit of watches is reached.
    pub fn of_all<P: AsRef<Path>>(
        folders: impl IntoIterator<Item = P>,
        tell: impl Fn() + Send + 'static,
    ) -> io::Result<Self> {
        let mut watcher = watcher(|_| true, tell)?;
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

#[cfg(test)]
mod tests {
    use super::*;

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
        let watch = FolderWatch::of_all([dir.path(), &missing], move || {
            let _ = sender.send(());
        })
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
}

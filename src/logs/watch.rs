//! A folder under watch: tells when a file of it was written, for those who read what another process
//! writes. It says that something changed, never what; who is told looks for himself.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use super::follower::unwatchable;

/// Watches a folder until it is dropped.
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
        let on_event = move |event: notify::Result<notify::Event>| {
            let is_ours = event.is_ok_and(|event| {
                let is_change = matches!(event.kind, EventKind::Create(_) | EventKind::Modify(_));
                let is_named = |path: &std::path::PathBuf| {
                    path.file_name().is_some_and(|name| names.iter().any(|wanted| wanted == name))
                };
                event.need_rescan() || (is_change && event.paths.iter().any(is_named))
            });
            if is_ours {
                tell();
            }
        };
        let mut watcher = notify::recommended_watcher(on_event).map_err(unwatchable)?;
        watcher.watch(folder, RecursiveMode::NonRecursive).map_err(unwatchable)?;
        Ok(Self { _watcher: watcher })
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
}

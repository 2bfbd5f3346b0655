//! Whether a data directory is still where it was when its engine took it: one that was renamed, removed or exchanged
//! is another's, or nobody's, and must not be written to any more.

use std::fs::{self, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::inotify;
use rustix::io::Errno;

use super::DataDir;

/// A file or folder as the system knows it, whatever it is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    path: PathBuf,
    /// Device and inode; none where there was nothing.
    is: Option<(u64, u64)>,
}

impl Identity {
    pub(super) fn of(path: &Path) -> Self {
        Self { path: path.to_owned(), is: known(path) }
    }

    /// Whether the same one still lies at its path.
    pub(super) fn is_in_place(&self) -> bool {
        known(&self.path) == self.is
    }
}

fn known(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().as_ref().map(|meta: &Metadata| (meta.dev(), meta.ino()))
}

/// An engine that lives no longer than this needs no watch: to close one takes the kernel longer than a short run does.
const WATCH_AFTER: Timespec = Timespec { tv_sec: 0, tv_nsec: 500_000_000 };

/// Watches a data directory until it is dropped.
#[derive(Debug)]
pub struct DirWatch {
    /// Written to when the thread is to end.
    stop: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl DirWatch {
    /// Calls `tell` once, on a thread of its own, when the directory or the lock in it was renamed, removed or exchanged.
    /// That a folder above it was renamed is not told; writes notice it. So they do where the system's limit of watches is
    /// reached.
    ///
    /// # Errors
    /// When the system has no thread or descriptor left.
    pub fn start(dir: &DataDir, tell: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let known = [Identity::of(dir.path()), Identity::of(&dir.path().join("instance.lock"))];
        let stop = Arc::new(eventfd(0, EventfdFlags::CLOEXEC)?);
        let (path, of_thread) = (dir.path().to_owned(), stop.clone());
        let thread = crate::base::thread::lasting("lf-dir", move || {
            let mut stopped = [PollFd::new(&*of_thread, PollFlags::IN)];
            if !matches!(poll(&mut stopped, Some(&WATCH_AFTER)), Ok(0) | Err(Errno::INTR)) {
                return;
            }
            let changes = watch(&path);
            // What has happened before the watch began is seen by the first look.
            while known.iter().all(Identity::is_in_place) {
                if !changes.as_ref().is_ok_and(|changes| wait(changes, &of_thread)) {
                    return;
                }
            }
            tell();
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

fn watch(dir: &Path) -> io::Result<OwnedFd> {
    let changes = inotify::init(inotify::CreateFlags::CLOEXEC)?;
    let flags = inotify::WatchFlags::MOVE_SELF
        | inotify::WatchFlags::DELETE_SELF
        | inotify::WatchFlags::DELETE
        | inotify::WatchFlags::MOVED_FROM
        | inotify::WatchFlags::MOVED_TO;
    inotify::add_watch(&changes, dir, flags)?;
    Ok(changes)
}

/// Waits for the next change; false when the watch is to end.
fn wait(changes: &OwnedFd, stop: &OwnedFd) -> bool {
    loop {
        let mut watched = [PollFd::new(changes, PollFlags::IN), PollFd::new(stop, PollFlags::IN)];
        match poll(&mut watched, None) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(_) => return false,
        }
        if !watched[1].revents().is_empty() {
            return false;
        }
        // What has changed is of no interest: it is looked at whole.
        return matches!(rustix::io::read(changes, &mut [0; 4096]), Ok(1..) | Err(Errno::INTR));
    }
}

impl Drop for DirWatch {
    fn drop(&mut self) {
        // It can't be full: it is written to once.
        let _ = rustix::io::write(&*self.stop, &1_u64.to_ne_bytes());
        if let Some(thread) = self.thread.take()
            // What it tells may be the end of its owner.
            && thread.thread().id() != std::thread::current().id()
        {
            // A panic there has been printed; there is nobody left to tell.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn told_after(change: impl FnOnce(&Path)) -> bool {
        let temp = tempfile::tempdir().expect("a directory");
        let dir = DataDir::open(temp.path().join("data")).expect("it opens");
        let _lock = dir.lock().expect("it is free");
        // Capacity 1: it is told once.
        let (tell, told) = crossbeam_channel::bounded(1);
        let watch = DirWatch::start(&dir, move || tell.send(()).expect("it is waited for")).expect("a watch");
        change(dir.path());
        fs::write(temp.path().join("data/x"), "x").ok();
        fs::remove_file(temp.path().join("data/x")).ok();
        let is_told = told.recv_timeout(Duration::from_secs(2)).is_ok();
        drop(watch);
        is_told
    }

    #[test]
    fn a_directory_that_is_renamed_removed_or_robbed_of_its_lock_is_told() {
        assert!(told_after(|path| fs::rename(path, path.with_extension("old")).expect("renamed")));
        assert!(told_after(|path| fs::remove_dir_all(path).expect("removed")));
        assert!(told_after(|path| fs::remove_file(path.join("instance.lock")).expect("removed")));
    }
}

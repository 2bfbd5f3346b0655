//! One file under watch: tells when it was written to its end, put in its place or taken away.
//!
//! Beside it may lie files that are written all the time, such as databases: what is written to a file that stays open
//! wakes nobody here, which is why this asks the kernel itself and is no [`FolderWatch`](crate::files::watch::FolderWatch).

use std::ffi::{CStr, OsStr};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use std::{fs, io};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

/// Watches one file until it is dropped.
#[derive(Debug)]
pub struct SettledWatch {
    /// Written to once, when the watch is to end.
    stop: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl SettledWatch {
    /// Calls `tell` on a thread of its own whenever the file `name` directly in `folder` is another one, or holds
    /// something else. It need not be there yet. No other change is looked for while `tell` runs, and none is lost.
    ///
    /// # Errors
    /// When the folder can't be watched: it is not there, or the system's limit of watches is reached.
    pub fn open(folder: &Path, name: &str, tell: impl FnMut() + Send + 'static) -> io::Result<Self> {
        let notes = notes_of(folder)?;
        let file = folder.join(name);
        Self::start(move |stop| Waiter { notes, stop, file }.run(tell))
    }

    /// Like [`open`](Self::open), for whoever may be gone before `delay` is over: ending a watch takes the kernel
    /// longer (10 to 20 ms) than a short run takes. `tell` is called once when the watch begins, for what has changed
    /// until then; with the error, and for the last time, if it can't begin.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn open_after(
        delay: Duration,
        folder: &Path,
        name: &str,
        mut tell: impl FnMut(io::Result<()>) + Send + 'static,
    ) -> io::Result<Self> {
        let (folder, file) = (folder.to_owned(), folder.join(name));
        Self::start(move |stop| {
            if is_written_within(&stop, delay) {
                return;
            }
            match notes_of(&folder) {
                Ok(notes) => {
                    tell(Ok(()));
                    Waiter { notes, stop, file }.run(|| tell(Ok(())));
                }
                Err(error) => tell(Err(error)),
            }
        })
    }

    fn start(wait: impl FnOnce(Arc<OwnedFd>) + Send + 'static) -> io::Result<Self> {
        let stop = Arc::new(eventfd(0, EventfdFlags::CLOEXEC)?);
        let for_thread = stop.clone();
        let thread = crate::base::thread::lasting("lf-file-watch", move || wait(for_thread))?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for SettledWatch {
    fn drop(&mut self) {
        // An eventfd takes eight bytes at any time.
        let _ = rustix::io::write(&*self.stop, &1_u64.to_ne_bytes());
        if let Some(thread) = self.thread.take()
            // What is told may drop the watch.
            && thread.thread().id() != std::thread::current().id()
        {
            // A panic there has been printed; there is nobody left to tell.
            let _ = thread.join();
        }
    }
}

/// Has the kernel note what changes in the folder.
fn notes_of(folder: &Path) -> io::Result<OwnedFd> {
    let notes = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
    let changes = WatchFlags::CREATE
        | WatchFlags::CLOSE_WRITE
        | WatchFlags::MOVED_TO
        | WatchFlags::MOVED_FROM
        | WatchFlags::DELETE
        | WatchFlags::ONLYDIR;
    inotify::add_watch(&notes, folder, changes)?;
    Ok(notes)
}

/// Waits for `time`, or less where a signal comes; whether it is to end by then.
fn is_written_within(stop: &OwnedFd, time: Duration) -> bool {
    let time = Timespec::try_from(time).ok();
    poll(&mut [PollFd::new(stop, PollFlags::IN)], time.as_ref()).is_ok_and(|n| n > 0)
}

/// What the thread waits on.
struct Waiter {
    notes: OwnedFd,
    stop: Arc<OwnedFd>,
    file: PathBuf,
}

impl Waiter {
    fn run(self, mut tell: impl FnMut()) {
        loop {
            let mut fds = [PollFd::new(&self.notes, PollFlags::IN), PollFd::new(&*self.stop, PollFlags::IN)];
            match poll(&mut fds, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return,
            }
            if !fds[1].revents().is_empty() {
                return;
            }
            if self.is_meant() {
                tell();
            }
        }
    }

    /// Whether it is a link, to a name or to a file that has another name.
    fn is_link(&self) -> bool {
        let found = fs::symlink_metadata(&self.file);
        found.is_ok_and(|found| found.is_symlink() || found.nlink() > 1)
    }

    /// Takes all notes that wait; whether one of them is about the file.
    fn is_meant(&self) -> bool {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = Reader::new(&self.notes, &mut buffer);
        let mut is_meant = false;
        while let Ok(note) = reader.next() {
            let is_named = note.file_name().map(CStr::to_bytes) == self.file.file_name().map(OsStr::as_bytes);
            // A file that was made is whole once it is closed; a link is whole at once.
            let is_whole = !note.events().contains(ReadFlags::CREATE) || self.is_link();
            let is_it = is_named && is_whole;
            // When too many wait, the kernel says only that some were lost.
            is_meant |= is_it || note.events().contains(ReadFlags::QUEUE_OVERFLOW);
        }
        is_meant
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

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
        // A link in its place, made and not moved there; by name, and by another name of a file.
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
        // A neighbour that stays open, and what is only read.
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
        let notes = notes_of(dir.path()).unwrap();
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

    #[test]
    fn a_watch_that_begins_later_tells_so_and_then_what_changes() {
        let dir = tempfile::tempdir().unwrap();
        // Unbounded: as many notes as changes below.
        let (sender, told) = crossbeam_channel::unbounded();
        let tell = move |outcome: io::Result<()>| {
            let _ = sender.send(outcome.map_err(|error| error.kind()));
        };
        let _watch = SettledWatch::open_after(Duration::from_millis(1), dir.path(), "a.toml", tell).unwrap();
        let within = Duration::from_secs(20);
        assert_eq!(told.recv_timeout(within).unwrap(), Ok(()), "it begins");
        fs::write(dir.path().join("a.toml"), "1").unwrap();
        assert_eq!(told.recv_timeout(within).unwrap(), Ok(()), "it changes");
    }

    #[test]
    fn a_watch_that_ends_before_it_begins_tells_nothing_and_one_that_cannot_begin_says_why() {
        let dir = tempfile::tempdir().unwrap();
        // Unbounded: one note at most.
        let (sender, told) = crossbeam_channel::unbounded();
        let open = |delay| {
            let sender = sender.clone();
            SettledWatch::open_after(delay, &dir.path().join("missing"), "a", move |outcome| {
                let _ = sender.send(outcome.map_err(|error| error.kind()));
            })
            .unwrap()
        };
        drop(open(Duration::from_secs(3600)));
        assert!(told.try_recv().is_err());
        let _watch = open(Duration::ZERO);
        assert_eq!(told.recv_timeout(Duration::from_secs(20)).unwrap(), Err(io::ErrorKind::NotFound));
    }
}

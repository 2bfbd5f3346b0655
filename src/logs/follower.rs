//! Follows a log as it grows: blocks on file notification until there is more, and ends when the attempt is over and
//! everything was read. One follower serves one reader and keeps nothing that it has returned.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use crossbeam_channel::Receiver;
use rustix::fs::inotify::{ReadFlags, WatchFlags};

use super::holes::{Piece, next_piece};
use crate::base::wake::{Bell, bell};
use crate::files::{self, FolderChanges};

/// The most bytes of one chunk.
pub(super) const MAX_CHUNK_BYTES: usize = 256 << 10;

/// Events that may make a log longer or shorter, replace or remove it.
const EVENTS: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::MODIFY)
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVED_FROM)
    .union(WatchFlags::MOVED_TO);

const GROWING: u8 = 0;
const OVER: u8 = 1;
const CANCELLED: u8 = 2;

/// The next part of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogChunk {
    /// Bytes, cut anywhere.
    Bytes {
        /// Where the bytes begin.
        offset: u64,
        bytes: Vec<u8>,
    },
    /// Bytes that were dropped before they could be read.
    Dropped {
        /// Where the gap begins.
        offset: u64,
        /// Its length.
        n_bytes: u64,
    },
    /// The file became shorter than what was read. It is read again from its start.
    Restarted,
}

/// Follows one log. Blocks its caller's thread.
#[derive(Debug)]
pub struct LogFollower {
    path: PathBuf,
    file: Option<File>,
    at: u64,
    woken: Receiver<()>,
    handle: LogFollowerHandle,
    /// Ends the watch when dropped.
    _changes: FolderChanges,
}

/// Tells a [`LogFollower`] from another thread that it may end.
#[derive(Debug, Clone)]
pub struct LogFollowerHandle {
    state: Arc<AtomicU8>,
    wake: Bell,
}

/// Rings `bell` whenever the log at `path` may have changed, until the result is dropped. The log need not exist yet.
///
/// # Errors
/// The folder can't be watched: it does not exist, or the kernel's limit of watches is reached.
pub(crate) fn watch_log(path: &Path, bell: Bell) -> io::Result<FolderChanges> {
    let name = path.file_name().map(ToOwned::to_owned);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    FolderChanges::watch(folder, EVENTS, move |change| {
        let is_ours = change.name.is_some() && change.name == name.as_deref();
        if is_ours || change.events.contains(ReadFlags::QUEUE_OVERFLOW) {
            bell.ring();
        }
    })
}

impl LogFollower {
    /// Follows the log at `path` from the byte `from` on. The log need not exist yet, but its folder must.
    ///
    /// # Errors
    /// The folder can't be watched: it does not exist, or the kernel's limit of watches is reached.
    pub fn open(path: &Path, from: u64) -> io::Result<Self> {
        let (wake, woken) = bell();
        let handle = LogFollowerHandle { state: Arc::new(AtomicU8::new(GROWING)), wake };
        let changes = watch_log(path, handle.wake.clone())?;
        Ok(Self { path: path.to_owned(), file: None, at: from, woken, handle, _changes: changes })
    }

    /// A handle to end it.
    pub fn handle(&self) -> LogFollowerHandle {
        self.handle.clone()
    }

    /// Blocks until there is more. None when it was cancelled, or the attempt is over and everything was read.
    pub fn next_chunk(&mut self) -> io::Result<Option<LogChunk>> {
        loop {
            // Loaded before reading, so that everything written before the end is still read.
            let state = self.handle.state.load(Ordering::Acquire);
            if state == CANCELLED {
                return Ok(None);
            }
            if let Some(chunk) = self.read()? {
                return Ok(Some(chunk));
            }
            if state == OVER || self.woken.recv().is_err() {
                return Ok(None);
            }
        }
    }

    fn read(&mut self) -> io::Result<Option<LogChunk>> {
        let file = match &self.file {
            Some(file) => file,
            None => match files::open_to_read(&self.path) {
                Ok(file) => self.file.insert(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            },
        };
        let log_len = file.metadata()?.len();
        if log_len < self.at {
            self.at = 0;
            return Ok(Some(LogChunk::Restarted));
        }
        let offset = self.at;
        Ok(next_piece(file, offset, log_len, MAX_CHUNK_BYTES)?.map(|piece| match piece {
            Piece::Data(bytes) => {
                self.at += bytes.len() as u64;
                LogChunk::Bytes { offset, bytes }
            }
            Piece::Dropped(n_bytes) => {
                self.at += n_bytes;
                LogChunk::Dropped { offset, n_bytes }
            }
        }))
    }
}

impl LogFollowerHandle {
    /// The attempt is over: the follower reads to the end of the log and ends.
    pub fn attempt_is_over(&self) {
        // A cancelled follower stays cancelled.
        let _ = self.state.compare_exchange(GROWING, OVER, Ordering::AcqRel, Ordering::Acquire);
        self.wake.ring();
    }

    /// The follower ends at once.
    pub fn cancel(&self) {
        self.state.store(CANCELLED, Ordering::Release);
        self.wake.ring();
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write;
    use std::thread;

    use super::super::holes::tests::punch;
    use super::*;

    fn append(path: &Path, bytes: &[u8]) {
        OpenOptions::new().append(true).create(true).open(path).unwrap().write_all(bytes).unwrap();
    }

    fn bytes(chunk: Option<LogChunk>) -> Vec<u8> {
        match chunk {
            Some(LogChunk::Bytes { bytes, .. }) => bytes,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_log_is_followed_from_before_it_exists_to_its_last_byte() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.1.log");
        let mut follower = LogFollower::open(&path, 0).unwrap();
        let handle = follower.handle();
        // As many chunks as writes below at most, so that the follower never waits for the test.
        let (sender, chunks) = crossbeam_channel::bounded(100);
        let thread = thread::Builder::new().name("follow".into()).spawn(move || {
            while let Some(chunk) = follower.next_chunk().unwrap() {
                sender.send(chunk).unwrap();
            }
        });
        for i in 0..50 {
            append(&path, format!("line {i}\n").as_bytes());
            if i % 10 == 0 {
                // What was written arrives without another write.
                chunks.recv_timeout(std::time::Duration::from_secs(20)).unwrap();
            }
        }
        append(&path, b"the end");
        handle.attempt_is_over();
        thread.unwrap().join().unwrap();
        assert!(bytes(chunks.try_iter().last()).ends_with(b"the end"));
    }

    #[test]
    fn what_was_dropped_before_it_was_read_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.1.log");
        append(&path, &vec![b'x'; 1 << 20]);
        let mut follower = LogFollower::open(&path, 100_000).unwrap();
        punch(&OpenOptions::new().write(true).open(&path).unwrap(), 70_001..900_001);
        let gap = LogChunk::Dropped { offset: 100_000, n_bytes: 800_001 };
        assert_eq!(follower.next_chunk().unwrap(), Some(gap));
        assert_eq!(bytes(follower.next_chunk().unwrap()).len(), (1 << 20) - 900_001);
    }

    #[test]
    fn a_log_that_became_shorter_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.1.log");
        append(&path, b"a");
        let mut follower = LogFollower::open(&path, 10).unwrap();
        assert_eq!(follower.next_chunk().unwrap(), Some(LogChunk::Restarted));
        assert_eq!(bytes(follower.next_chunk().unwrap()), b"a");
    }

    #[test]
    fn a_cancelled_follower_ends_though_there_is_more() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.1.log");
        append(&path, b"a");
        let mut follower = LogFollower::open(&path, 0).unwrap();
        follower.handle().cancel();
        follower.handle().attempt_is_over();
        assert_eq!(follower.next_chunk().unwrap(), None);
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let error = LogFollower::open(&dir.path().join("none/s.log"), 0).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}

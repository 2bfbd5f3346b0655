//! One step's log: bytes go from the pipe that is its stdout and stderr to a file, without a copy through this process.
//!
//! Of a log beyond its limit, the head (half the limit) and the newest tail are kept. The middle is punched out of the
//! file as it grows, so that offsets stay true and a reader finds the gap as a hole (`SEEK_HOLE`). Where holes can't be
//! punched, only the head is kept. Beside the log stands its time index, `<log>.idx`: records of 16 bytes, `u64` offset
//! and `i64` Unix milliseconds, little-endian, at most ten a second.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use chrono::Utc;
use rustix::fs::{FallocateFlags, Mode, OFlags, SeekFrom};
use rustix::io::Errno;
use rustix::pipe::SpliceFlags;

use crate::files;

/// Bytes moved in one turn at most, so that many logs are moved side by side.
const MAX_TURN: u64 = 1 << 20;
/// A block of the file system: holes are whole blocks.
const BLOCK: u64 = 4096;
/// A smaller limit is raised to this: otherwise every line would punch a hole.
const MIN_LIMIT: u64 = 16 * BLOCK;
/// A pipe from which this much is moved at once is enlarged to `LARGE_PIPE`.
const DEFAULT_PIPE: usize = 64 << 10;
const LARGE_PIPE: usize = 1 << 20;
const INDEX_INTERVAL_MS: i64 = 100;
/// From this many entries on, the index takes at most one entry a second, so that it stays far smaller than its log.
const MAX_DENSE_INDEX: u64 = 1 << 16;

/// The outcome of one turn.
#[derive(Debug)]
pub(super) enum Turn {
    /// This many bytes were taken from the pipe.
    Moved(u64),
    /// The pipe is empty at the moment.
    Empty,
    /// No process can write to the pipe any more.
    Closed,
    /// The file can't be written; the bytes stay in the pipe.
    Trouble(io::Error),
}

/// A log that is being written.
#[derive(Debug)]
pub(super) struct Log {
    /// The reading end. For a step that was started here it is opened for reading and writing while the step lives, so
    /// that the step's last process does not wake the mover by closing the pipe.
    pipe: OwnedFd,
    pipe_is_large: bool,
    file: File,
    path: PathBuf,
    n_index: u64,
    indexed_at_ms: i64,
    /// Where the next byte goes.
    offset: u64,
    /// The hole begins at `head` and ends here.
    hole_end: u64,
    /// Bytes read from the pipe and not yet written; only where splice does not work.
    unwritten: Vec<u8>,
    can_splice: bool,
    can_punch: bool,
    /// The file can't grow any more: further bytes are dropped.
    is_full: bool,
    /// Bytes that were dropped without being written.
    discarded: u64,
    limit: u64,
    head: u64,
    chunk: u64,
}

/// Makes the pipe of a new step: the supervisor's end, and the end that the step gets. Both are open for reading and
/// writing. So when the supervisor is killed, the step is not killed by SIGPIPE: it waits until a successor reads on.
/// And the supervisor needs one descriptor instead of two.
///
/// # Errors
/// The kernel's error.
pub(super) fn new_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (reading, _writing) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    Ok((reopen(&reading, OFlags::RDWR | OFlags::NONBLOCK)?, reopen(&reading, OFlags::RDWR)?))
}

/// Opens a pipe once more, with these flags.
fn reopen(pipe: &OwnedFd, flags: OFlags) -> io::Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", pipe.as_raw_fd());
    Ok(rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty())?)
}

impl Log {
    /// Appends to the file at `path` (created if it is missing) from the pipe.
    ///
    /// # Errors
    /// The file can't be opened, or it is not a regular file.
    pub(super) fn open(path: &Path, pipe: OwnedFd, limit: u64) -> io::Result<Self> {
        let file = files::open(OpenOptions::new().write(true).create(true).truncate(false), path)?;
        Self::of(file, path, pipe, limit)
    }

    /// For a living step whose file can't be opened: its output is dropped and counted, so that the step is not
    /// blocked.
    ///
    /// # Errors
    /// There is no descriptor left.
    pub(super) fn without_file(path: &Path, pipe: OwnedFd, limit: u64) -> io::Result<Self> {
        let nowhere = OpenOptions::new().write(true).open("/dev/null")?;
        Ok(Self { is_full: true, ..Self::of(nowhere, path, pipe, limit)? })
    }

    fn of(file: File, path: &Path, pipe: OwnedFd, limit: u64) -> io::Result<Self> {
        let offset = file.metadata()?.len();
        let limit = limit.max(MIN_LIMIT);
        let head = limit / 2 / BLOCK * BLOCK;
        let hole_end = if offset > head { end_of_hole(&file, head).unwrap_or(head) } else { head };
        Ok(Self {
            pipe,
            pipe_is_large: false,
            file,
            path: path.to_owned(),
            n_index: 0,
            indexed_at_ms: i64::MIN,
            offset,
            hole_end,
            unwritten: Vec::new(),
            can_splice: true,
            can_punch: true,
            is_full: false,
            discarded: 0,
            limit,
            head,
            chunk: (limit / 16 / BLOCK * BLOCK).clamp(BLOCK, 16 << 20),
        })
    }

    /// From here on the log becomes [`Turn::Closed`] when no process can write to it any more. Returns the end that was
    /// held until now, which the caller stops watching and closes.
    ///
    /// # Errors
    /// There is no descriptor left: the log will never become closed.
    pub(super) fn let_close(&mut self) -> io::Result<OwnedFd> {
        let only_reading = reopen(&self.pipe, OFlags::RDONLY | OFlags::NONBLOCK)?;
        Ok(std::mem::replace(&mut self.pipe, only_reading))
    }

    pub(super) fn pipe(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }

    /// Bytes that a reader won't find: punched out, or never written.
    pub(super) fn n_dropped(&self) -> u64 {
        self.hole_end - self.head + self.discarded
    }

    /// Bytes in the pipe.
    pub(super) fn n_waiting(&self) -> u64 {
        rustix::io::ioctl_fionread(&self.pipe).unwrap_or(0)
    }

    /// Moves some bytes from the pipe to the file.
    pub(super) fn turn(&mut self) -> Turn {
        let moved = self.try_turn();
        if let Turn::Moved(n) = moved
            && n >= DEFAULT_PIPE as u64
            && !self.pipe_is_large
        {
            self.pipe_is_large = true;
            // The kernel refuses when many pipes are large already. A small pipe only costs more turns.
            let _ = rustix::pipe::fcntl_setpipe_size(&self.pipe, LARGE_PIPE);
        }
        moved
    }

    /// The step has ended: moves the `n_waiting` bytes that are in the pipe and no more, and counts what can't be
    /// written.
    pub(super) fn finish(&mut self, n_waiting: u64) {
        let mut left = n_waiting + self.unwritten.len() as u64;
        while left > 0 {
            match self.turn() {
                Turn::Moved(n) => left = left.saturating_sub(n),
                Turn::Empty | Turn::Closed => break,
                Turn::Trouble(_) => {
                    self.discarded += std::mem::take(&mut self.unwritten).len() as u64;
                    match self.discard(left) {
                        Turn::Moved(n) => left = left.saturating_sub(n),
                        Turn::Empty | Turn::Closed | Turn::Trouble(_) => break,
                    }
                }
            }
        }
    }

    fn try_turn(&mut self) -> Turn {
        if self.is_full {
            return self.discard(MAX_TURN);
        }
        let want = MAX_TURN.min(self.chunk);
        if self.kept() + want > self.limit && !self.make_room(want) {
            let room = self.limit.saturating_sub(self.kept());
            return if room == 0 { self.discard(MAX_TURN) } else { self.move_at_most(room) };
        }
        self.move_at_most(want)
    }

    /// Bytes of the file that take space on the disk.
    fn kept(&self) -> u64 {
        self.offset - (self.hole_end - self.head)
    }

    /// Punches out the oldest part of the tail. Returns whether there is room for `want` bytes now.
    fn make_room(&mut self, want: u64) -> bool {
        let tail = self.limit - self.head - self.chunk;
        let hole_end =
            ((self.offset + want).saturating_sub(tail) / BLOCK * BLOCK).min(self.offset / BLOCK * BLOCK);
        if !self.can_punch {
            return false;
        }
        if hole_end > self.hole_end {
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            match rustix::fs::fallocate(&self.file, flags, self.hole_end, hole_end - self.hole_end) {
                Ok(()) => self.hole_end = hole_end,
                Err(_) => self.can_punch = false,
            }
        }
        self.can_punch
    }

    fn move_at_most(&mut self, want: u64) -> Turn {
        let from = self.offset;
        let turn = if self.can_splice { self.splice(want) } else { self.copy(want) };
        match &turn {
            Turn::Moved(_) => self.note_time(from),
            Turn::Trouble(error) if error.raw_os_error() == Some(libc::EFBIG) => {
                // The file has reached its largest size (ulimit -f). That will not change, and the step must not wait
                // for it.
                self.is_full = true;
                self.discarded += std::mem::take(&mut self.unwritten).len() as u64;
            }
            Turn::Empty | Turn::Closed | Turn::Trouble(_) => {}
        }
        turn
    }

    fn splice(&mut self, want: u64) -> Turn {
        let want = usize::try_from(want).unwrap_or(usize::MAX);
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        match rustix::pipe::splice(&self.pipe, None, &self.file, Some(&mut self.offset), want, flags) {
            Ok(0) => Turn::Closed,
            Ok(n) => Turn::Moved(n as u64),
            Err(Errno::AGAIN | Errno::INTR) => Turn::Empty,
            Err(Errno::INVAL) => {
                self.can_splice = false;
                self.copy(want as u64)
            }
            Err(error) => Turn::Trouble(error.into()),
        }
    }

    /// For file systems that splice can't write to.
    fn copy(&mut self, want: u64) -> Turn {
        let n_taken = if self.unwritten.is_empty() {
            let mut buffer = vec![0; DEFAULT_PIPE.min(usize::try_from(want).unwrap_or(usize::MAX))];
            match rustix::io::read(&self.pipe, &mut buffer) {
                Ok(0) => return Turn::Closed,
                Ok(n) => buffer.truncate(n),
                Err(Errno::AGAIN | Errno::INTR) => return Turn::Empty,
                Err(error) => return Turn::Trouble(error.into()),
            }
            self.unwritten = buffer;
            self.unwritten.len() as u64
        } else {
            0
        };
        while !self.unwritten.is_empty() {
            match self.file.write_at(&self.unwritten, self.offset) {
                Ok(n) => {
                    self.offset += n as u64;
                    self.unwritten.drain(..n);
                }
                Err(error) => return Turn::Trouble(error),
            }
        }
        Turn::Moved(n_taken)
    }

    /// Takes bytes from the pipe, drops them and counts them.
    fn discard(&mut self, want: u64) -> Turn {
        let mut buffer = [0; 16 << 10];
        let want = buffer.len().min(usize::try_from(want).unwrap_or(usize::MAX));
        match rustix::io::read(&self.pipe, &mut buffer[..want]) {
            Ok(0) => Turn::Closed,
            Ok(n) => {
                self.discarded += n as u64;
                Turn::Moved(n as u64)
            }
            Err(Errno::AGAIN | Errno::INTR) => Turn::Empty,
            Err(error) => Turn::Trouble(error.into()),
        }
    }

    /// Adds to the index that the bytes from `offset` on came now. An entry that can't be written is left out: readers
    /// can do without.
    fn note_time(&mut self, offset: u64) {
        let now_ms = Utc::now().timestamp_millis();
        let interval = if self.n_index < MAX_DENSE_INDEX { INDEX_INTERVAL_MS } else { 1000 };
        if now_ms.saturating_sub(self.indexed_at_ms) < interval && now_ms >= self.indexed_at_ms {
            return;
        }
        self.indexed_at_ms = now_ms;
        let mut entry = [0; 16];
        entry[..8].copy_from_slice(&offset.to_le_bytes());
        entry[8..].copy_from_slice(&now_ms.to_le_bytes());
        let mut name = OsString::from(self.path.as_os_str());
        name.push(".idx");
        // Opened for each entry: descriptors are scarcer than ten openings a second are expensive.
        let index = files::open(OpenOptions::new().append(true).create(true), Path::new(&name));
        self.n_index += u64::from(index.is_ok_and(|mut index| index.write_all(&entry).is_ok()));
    }
}

/// Where the hole that a predecessor punched at `head` ends.
fn end_of_hole(file: &File, head: u64) -> Option<u64> {
    rustix::fs::seek(file, SeekFrom::Data(head)).ok()
}

#[cfg(test)]
mod tests;

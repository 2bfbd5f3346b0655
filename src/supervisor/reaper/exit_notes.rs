//! How processes ended whose supervisor was gone: written by its parent, read by the supervisors that follow. In memory
//! that both hold, so that a full disk or a removed directory costs no exit code; a ring, so that it never grows.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use chrono::{DateTime, Utc};
use rustix::fs::MemfdFlags;

use crate::process::ProcId;
use crate::supervisor::host::{ExitCause, Usage};

/// Notes that are held: more steps than one supervisor ever leaves behind.
const N_NOTES: u64 = 4096;
/// `u32` pid, `u32` kind, `i32` code or signal, four bytes unused, `u64` start, `u64` peak memory, `f64` CPU seconds,
/// `i64` Unix milliseconds; little-endian.
const NOTE: usize = 48;
const KIND_CODE: u32 = 1;
const KIND_SIGNAL: u32 = 2;

/// How one process ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::supervisor) struct ExitNote {
    pub(in crate::supervisor) main: ProcId,
    pub(in crate::supervisor) cause: ExitCause,
    pub(in crate::supervisor) usage: Usage,
    pub(in crate::supervisor) at: DateTime<Utc>,
}

/// The memory that holds them. Never closed: parent and supervisor hold it by one number, and it ends with both.
#[derive(Debug)]
pub(in crate::supervisor) struct ExitNotes(&'static OwnedFd);

impl ExitNotes {
    /// Without a note.
    ///
    /// # Errors
    /// What the kernel said.
    pub(super) fn new() -> io::Result<Self> {
        let memory = rustix::fs::memfd_create(c"lf-exit-notes", MemfdFlags::CLOEXEC)?;
        Ok(Self(Box::leak(Box::new(memory))))
    }

    /// Writes the note number `n`, in the place of the one that is [`N_NOTES`] older. Allocates nothing here.
    ///
    /// # Errors
    /// It stands there in part or not at all, most likely for want of memory.
    pub(super) fn write(&self, n: u64, note: &ExitNote) -> io::Result<()> {
        match rustix::io::pwrite(self.0, &note.to_bytes(), n % N_NOTES * NOTE as u64)? {
            NOTE => Ok(()),
            _ => Err(io::ErrorKind::WriteZero.into()),
        }
    }

    /// Every note that is held.
    pub(in crate::supervisor) fn read(&self) -> Vec<ExitNote> {
        let size = rustix::fs::fstat(self.0).map_or(0, |stat| usize::try_from(stat.st_size).unwrap_or(0));
        let mut bytes = vec![0; size];
        let n_read = rustix::io::pread(self.0, &mut bytes, 0).unwrap_or(0);
        bytes[..n_read].chunks_exact(NOTE).filter_map(ExitNote::from_bytes).collect()
    }

    /// How this very process ended, if it was noted.
    pub(in crate::supervisor) fn of(&self, main: ProcId) -> Option<ExitNote> {
        self.read().into_iter().find(|note| note.main == main)
    }
}

impl AsFd for ExitNotes {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl ExitNote {
    fn to_bytes(self) -> [u8; NOTE] {
        let (kind, value) = match self.cause {
            ExitCause::Code(code) => (KIND_CODE, code),
            ExitCause::Signal(signal) => (KIND_SIGNAL, signal),
            ExitCause::Unknown => (0, 0),
        };
        let mut bytes = [0; NOTE];
        bytes[..4].copy_from_slice(&self.main.pid.to_le_bytes());
        bytes[4..8].copy_from_slice(&kind.to_le_bytes());
        bytes[8..12].copy_from_slice(&value.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.main.start.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.usage.peak_rss_bytes.unwrap_or(0).to_le_bytes());
        bytes[32..40].copy_from_slice(&self.usage.cpu_seconds.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.at.timestamp_millis().to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let four = |at: usize| bytes.get(at..)?.first_chunk::<4>().copied();
        let eight = |at: usize| bytes.get(at..)?.first_chunk::<8>().copied();
        let value = i32::from_le_bytes(four(8)?);
        let cause = match u32::from_le_bytes(four(4)?) {
            KIND_CODE => ExitCause::Code(value),
            KIND_SIGNAL => ExitCause::Signal(value),
            _ => return None,
        };
        let main = ProcId { pid: u32::from_le_bytes(four(0)?), start: u64::from_le_bytes(eight(16)?) };
        let usage = Usage {
            peak_rss_bytes: Some(u64::from_le_bytes(eight(24)?)).filter(|bytes| *bytes > 0),
            cpu_seconds: f64::from_le_bytes(eight(32)?),
        };
        let at = DateTime::from_timestamp_millis(i64::from_le_bytes(eight(40)?))?;
        Some(Self { main, cause, usage, at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(pid: u32, cause: ExitCause) -> ExitNote {
        let usage = Usage { peak_rss_bytes: Some(4096), cpu_seconds: 0.25 };
        let at = DateTime::from_timestamp_millis(1_700_000_000_123).unwrap();
        ExitNote { main: ProcId { pid, start: 77 }, cause, usage, at }
    }

    #[test]
    fn notes_are_found_by_pid_and_start_time() {
        let notes = ExitNotes::new().unwrap();
        assert_eq!(notes.read(), []);
        let (a, b) = (note(5, ExitCause::Code(3)), note(6, ExitCause::Signal(9)));
        notes.write(0, &a).unwrap();
        notes.write(1, &b).unwrap();
        assert_eq!(notes.read(), [a, b]);
        assert_eq!(notes.of(b.main), Some(b));
        assert_eq!(notes.of(ProcId { start: 78, ..b.main }), None, "the number was given to another process");
    }

    #[test]
    fn the_oldest_notes_make_room() {
        let notes = ExitNotes::new().unwrap();
        for n in 0..N_NOTES + 2 {
            notes.write(n, &note(u32::try_from(n).unwrap(), ExitCause::Code(0))).unwrap();
        }
        let held = notes.read();
        assert_eq!(held.len() as u64, N_NOTES);
        assert!(held.iter().all(|note| note.main.pid >= 2));
    }
}

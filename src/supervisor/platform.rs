//! What the supervisor needs of the system, tried out one by one: for `leverframe doctor`. Nothing is left
//! behind.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{FallocateFlags, Mode, OFlags};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::poller::{self, Waiting};

/// Something that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformCheck {
    /// What: a name of the system's.
    pub name: &'static str,
    /// What rests on it.
    pub purpose: &'static str,
    /// Why it does not work, if it does not.
    pub trouble: Option<String>,
}

/// Tries everything that the supervisor needs; `dir` is where logs will lie.
pub fn check_platform(dir: &Path) -> Vec<PlatformCheck> {
    let tried = |name, purpose, outcome: io::Result<()>| PlatformCheck {
        name,
        purpose,
        trouble: outcome.err().map(|error| error.to_string()),
    };
    vec![
        tried("pidfd", "signals reach the intended process and no other", try_pidfd()),
        tried("subreaper", "processes that a step leaves behind are still found", try_subreaper()),
        tried("/proc", "the processes of a step's tree are found", try_children()),
        tried("splice", "logs are moved without being copied", try_splice(dir)),
        tried("punch hole", "the middle of a log that is too large is removed from the disk", try_hole(dir)),
    ]
}

fn try_pidfd() -> io::Result<()> {
    Ok(pidfd_open(rustix::process::getpid(), PidfdFlags::empty()).map(drop)?)
}

fn try_subreaper() -> io::Result<()> {
    Ok(rustix::process::child_subreaper().map(drop)?)
}

fn try_children() -> io::Result<()> {
    std::fs::read_to_string("/proc/self/stat")?;
    std::fs::read_to_string("/proc/thread-self/children").map(drop)
}

fn try_splice(dir: &Path) -> io::Result<()> {
    let file = unnamed_file(dir)?;
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    File::from(writer).write_all(b"x")?;
    let n_moved = rustix::pipe::splice(&reader, None, &file, None, 1, rustix::pipe::SpliceFlags::empty())?;
    if n_moved == 1 { Ok(()) } else { Err(io::Error::other("nothing was moved")) }
}

fn try_hole(dir: &Path) -> io::Result<()> {
    const BLOCK: u64 = 64 << 10;
    let mut file = File::from(unnamed_file(dir)?);
    file.write_all(&vec![b'x'; 3 * BLOCK as usize])?;
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    Ok(rustix::fs::fallocate(&file, flags, BLOCK, BLOCK)?)
}

/// A file that has no name and is gone when it is closed.
fn unnamed_file(dir: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    Ok(rustix::fs::open(dir, flags, Mode::RUSR | Mode::WUSR)?)
}

/// Tells when a process has ended, whoever its parent is. Sends it nothing.
#[derive(Debug)]
pub struct EndWatch {
    _waiting: Waiting,
}

impl EndWatch {
    /// Calls `tell` once when the process has ended, on the thread that waits for all of them: it must return at once. Not
    /// when the watch is dropped before.
    ///
    /// # Errors
    /// `NotFound` when there is no such process, else what the system lacks.
    pub fn new(pid: u32, tell: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        Ok(Self { _waiting: Waiting::once(process(pid)?, tell)? })
    }
}

/// Calls `tell` once when the process has ended, as [`EndWatch`] does, however long that takes.
pub(super) fn when_ended(pid: u32, tell: impl FnOnce() + Send + 'static) -> io::Result<()> {
    poller::call_once(process(pid)?, tell)
}

fn process(pid: u32) -> io::Result<OwnedFd> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::NotFound)?;
    pidfd_open(pid, PidfdFlags::empty()).map_err(|errno| match errno {
        rustix::io::Errno::SRCH => io::ErrorKind::NotFound.into(),
        errno => io::Error::from(errno),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_what_the_supervisor_needs() {
        let dir = tempfile::tempdir().unwrap();
        for check in check_platform(dir.path()) {
            assert_eq!(check.trouble, None, "{}", check.name);
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left behind");
    }

    #[test]
    fn the_end_of_a_process_is_told_and_one_that_is_not_there_is_an_error() {
        let mut child =
            std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let (tell, told) = crossbeam_channel::bounded(1);
        let watch = EndWatch::new(child.id(), move || tell.send(()).unwrap()).unwrap();
        let dropped_early = EndWatch::new(child.id(), || panic!("it is not told any more")).unwrap();
        drop(dropped_early);
        drop(child.stdin.take());
        told.recv_timeout(std::time::Duration::from_secs(20)).unwrap();
        drop(watch);
        child.wait().unwrap();
        assert_eq!(EndWatch::new(child.id(), || ()).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}

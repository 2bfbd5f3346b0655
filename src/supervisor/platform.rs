//! Tries each thing that the supervisor needs of the system, for `leverframe doctor`. Nothing is left behind.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FallocateFlags, Mode, OFlags};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformCheck {
    /// The system's name for it.
    pub name: &'static str,
    /// What the supervisor needs it for.
    pub purpose: &'static str,
    /// Why it does not work; none when it works.
    pub trouble: Option<String>,
}

/// Tries everything that the supervisor needs. `dir` is the folder of logs.
pub fn check_platform(dir: &Path) -> Vec<PlatformCheck> {
    let tried = |name, purpose, outcome: io::Result<()>| PlatformCheck {
        name,
        purpose,
        trouble: outcome.err().map(|error| error.to_string()),
    };
    vec![
        tried("pidfd", "signals reach the process that is meant, and no other", try_pidfd()),
        tried("subreaper", "what a step leaves behind is still known as its own", try_subreaper()),
        tried("/proc", "the processes of a step's tree are found", try_children()),
        tried("splice", "logs are moved without being copied", try_splice(dir)),
        tried("punch hole", "the middle of a flooded log is given back to the disk", try_hole(dir)),
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

/// A file without a name, which is gone when it is closed.
fn unnamed_file(dir: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    Ok(rustix::fs::open(dir, flags, Mode::RUSR | Mode::WUSR)?)
}

/// Reports the end of any process, child or not. It sends the process no signal.
#[derive(Debug)]
pub struct EndWatch {
    /// Closing this ends the thread.
    end: Option<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl EndWatch {
    /// Calls `on_end` once, on a thread of its own, when the process has ended. Never calls it after the watch was
    /// dropped.
    ///
    /// # Errors
    /// `NotFound` when there is no such process, else the kernel's error.
    pub fn new(pid: u32, on_end: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::NotFound)?;
        let process = pidfd_open(pid, PidfdFlags::empty()).map_err(|errno| match errno {
            rustix::io::Errno::SRCH => io::ErrorKind::NotFound.into(),
            errno => io::Error::from(errno),
        })?;
        let (dropped, end) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let thread = std::thread::Builder::new().name("lf-end-watch".into()).spawn(move || {
            loop {
                let mut fds = [
                    PollFd::new(&process, PollFlags::IN),
                    PollFd::from_borrowed_fd(dropped.as_fd(), PollFlags::IN),
                ];
                match poll(&mut fds, None) {
                    Ok(_) | Err(rustix::io::Errno::INTR) => {}
                    Err(_) => return,
                }
                if !fds[1].revents().is_empty() {
                    return;
                }
                if !fds[0].revents().is_empty() {
                    return on_end();
                }
            }
        })?;
        Ok(Self { end: Some(end), thread: Some(thread) })
    }
}

impl Drop for EndWatch {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported already.
            let _ = thread.join();
        }
    }
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
    fn the_end_of_a_process_is_reported_and_a_missing_process_is_an_error() {
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

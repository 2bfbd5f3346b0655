//! One process, and the files of `/proc` that tell of it. An error means that such a file could not be read, as when no
//! descriptor is left; none means that there is no such process.

use std::io;
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

/// Identifies one process within a boot: pids are reused, a pid with its start time is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct ProcId {
    pub(crate) pid: u32,
    /// Clock ticks since boot.
    pub(crate) start: u64,
}

/// The environment variable that marks a process as a step's.
pub(crate) const TOKEN_VARIABLE: &str = "LEVERFRAME_TOKEN";

/// A process, as one line of `/proc/<pid>/stat` describes it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Proc {
    pub(crate) id: ProcId,
    pub(crate) parent: u32,
    pub(crate) session: u32,
    /// The state of the first thread. When that one has ended or is stopped, [`Proc::read`] gives the state of all
    /// living threads together.
    pub(crate) state: u8,
    /// Its number of threads, in which the first one counts even if it has ended.
    pub(crate) n_threads: u32,
}

impl Proc {
    /// Whether every thread is stopped by a signal or a tracer.
    pub(crate) fn is_stopped(&self) -> bool {
        matches!(self.state, b'T' | b't')
    }

    /// Whether every thread has ended, reaped or not. The end of the first thread proves nothing: a program may go on
    /// in other threads, and the kernel shows `Z` all the same.
    pub(crate) fn is_dead(&self) -> bool {
        matches!(self.state, b'X' | b'x') || (self.state == b'Z' && self.n_threads <= 1)
    }

    /// Whether it is in a wait that no signal ends.
    pub(crate) fn is_uninterruptible(&self) -> bool {
        self.state == b'D'
    }

    /// Whether it is held by a tracer, which alone can continue it.
    pub(crate) fn is_held_by_tracer(&self) -> bool {
        self.state == b't'
    }
}

/// Turns the errors "does not exist" and "not permitted" into none. Other errors stay.
pub(crate) fn unless_gone<T>(found: rustix::io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(Errno::NOENT | Errno::SRCH | Errno::ACCESS | Errno::PERM) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The direct children of this process, including orphans that were given to it. None where the kernel does not list
/// them (`CONFIG_PROC_CHILDREN`).
pub(crate) fn own_children() -> io::Result<Option<Vec<u32>>> {
    list_of_pids(&format!("/proc/self/task/{}/children", std::process::id()))
}

pub(super) fn list_of_pids(path: &str) -> io::Result<Option<Vec<u32>>> {
    let Some(list) = read_whole(path)? else { return Ok(None) };
    let list = String::from_utf8_lossy(&list);
    Ok(Some(list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect()))
}

/// The environment that the process was started with, entries ended by NUL. None when we may not read it.
pub(crate) fn environment_of(pid: u32) -> io::Result<Option<Vec<u8>>> {
    read_whole(&format!("/proc/{pid}/environ"))
}

/// The process that traces this one, if any.
pub(crate) fn tracer_of(pid: u32) -> io::Result<Option<u32>> {
    let tracer = number_in_status(pid, "TracerPid:")?.filter(|tracer| *tracer != 0);
    // The kernel gives the tracing thread, not its process.
    tracer.map_or(Ok(None), |tracer| number_in_status(tracer, "Tgid:"))
}

/// A number of `/proc/<pid>/status`, without its unit. None when the line or the process does not exist.
pub(crate) fn number_in_status(pid: u32, name: &str) -> io::Result<Option<u32>> {
    let Some(status) = read_whole(&format!("/proc/{pid}/status"))? else { return Ok(None) };
    let status = String::from_utf8_lossy(&status);
    Ok(status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok()))
}

/// The pipes that the process has as stdout and stderr: inode, and path in `/proc`.
pub(crate) fn output_pipes(pid: u32) -> impl Iterator<Item = (u64, PathBuf)> {
    [1, 2].into_iter().filter_map(move |fd| {
        let path = PathBuf::from(format!("/proc/{pid}/fd/{fd}"));
        // Needs no descriptor.
        let target = std::fs::read_link(&path).ok()?;
        let inode = target.to_str()?.strip_prefix("pipe:[")?.strip_suffix(']')?.parse().ok()?;
        Some((inode, path))
    })
}

fn read_whole(path: &str) -> io::Result<Option<Vec<u8>>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let Some(file) = unless_gone(rustix::fs::open(path, flags, Mode::empty()))? else { return Ok(None) };
    let mut bytes = Vec::with_capacity(4096);
    loop {
        match unless_gone(rustix::io::read(&file, rustix::buffer::spare_capacity(&mut bytes)))? {
            None => return Ok(None),
            Some(0) => return Ok(Some(bytes)),
            Some(_) => bytes.reserve(4096),
        }
    }
}

//! Processes as `/proc` shows them, named by pid *and* start time, and what belongs to a step: [`tree`].
//!
//! Shared by the supervisor, which signals trees, and the monitor, which measures them: what counts as a step's is
//! said once. Nothing here signals anything. A look that failed is an error, never an empty answer: only what the kernel
//! says is not there is none.

pub(crate) mod descriptors;
mod stat;
mod table;
pub(crate) mod tree;

pub(crate) use stat::Stat;
pub(crate) use table::{ProcDir, ProcTable};

use std::io;
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

/// One process for ever (within a boot): pids come again, start times don't.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct ProcId {
    pub(crate) pid: u32,
    /// Clock ticks since boot.
    pub(crate) start: u64,
}

/// One line of the table of processes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Proc {
    pub(crate) id: ProcId,
    pub(crate) parent: u32,
    pub(crate) session: u32,
    /// Of its first thread as the line has it; a look by [`Proc::read`] says that of all its living threads where the
    /// first one has ended or is stopped.
    pub(crate) state: u8,
    /// Its threads; the first one counts although it may have ended.
    pub(crate) n_threads: u32,
}

impl Proc {
    /// Looks at one process; none when there is no such process any more.
    ///
    /// # Errors
    /// It could not be looked at (no descriptor left, say): it may be there.
    pub(crate) fn read(pid: u32) -> io::Result<Option<Self>> {
        ProcDir::open()?.process(pid)
    }

    /// Every thread is stopped by a signal or a tracer.
    pub(crate) fn is_stopped(&self) -> bool {
        matches!(self.state, b'T' | b't')
    }

    /// Every thread has ended, whether the process was reaped or not. The first one's end alone says nothing: a program may
    /// end it and go on in others, and the kernel says `Z` of it all the same.
    pub(crate) fn is_dead(&self) -> bool {
        matches!(self.state, b'X' | b'x') || (self.state == b'Z' && self.n_threads <= 1)
    }

    /// In a wait that no signal ends.
    pub(crate) fn is_uninterruptible(&self) -> bool {
        self.state == b'D'
    }

    /// Held by a tracer, which alone can let it go on.
    pub(crate) fn is_held_by_tracer(&self) -> bool {
        self.state == b't'
    }
}

/// What is not there, or is not for us to see, is none; what could not be looked at is an error.
pub(crate) fn unless_gone<T>(found: rustix::io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(Errno::NOENT | Errno::SRCH | Errno::ACCESS | Errno::PERM) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The direct children of this process, orphans that fell to it among them; none where the kernel does not list
/// them (`CONFIG_PROC_CHILDREN`).
///
/// # Errors
/// The list could not be read.
pub(crate) fn own_children() -> io::Result<Option<Vec<u32>>> {
    list_of_pids(&format!("/proc/self/task/{}/children", std::process::id()))
}

/// The direct children of any process, whichever of its threads has made them; those of a process that has ended are
/// others' by then.
///
/// # Errors
/// The lists could not be read.
pub(crate) fn children_of(pid: u32) -> io::Result<Vec<u32>> {
    let mut children = Vec::new();
    for tid in ProcDir::open()?.threads_of(pid)? {
        children.extend(list_of_pids(&format!("/proc/{pid}/task/{tid}/children"))?.unwrap_or_default());
    }
    Ok(children)
}

fn list_of_pids(path: &str) -> io::Result<Option<Vec<u32>>> {
    let Some(list) = read_whole(path)? else { return Ok(None) };
    let list = String::from_utf8_lossy(&list);
    Ok(Some(list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect()))
}

/// The environment that the process was started with, entries ended by NUL; none where it is not for us to read.
///
/// # Errors
/// It could not be read.
pub(crate) fn environment_of(pid: u32) -> io::Result<Option<Vec<u8>>> {
    read_whole(&format!("/proc/{pid}/environ"))
}

/// The process that traces this one; none where nobody does.
///
/// # Errors
/// It could not be looked at.
pub(crate) fn tracer_of(pid: u32) -> io::Result<Option<u32>> {
    let tracer = number_in_status(pid, "TracerPid:")?.filter(|tracer| *tracer != 0);
    // The kernel names the thread that traces.
    tracer.map_or(Ok(None), |tracer| number_in_status(tracer, "Tgid:"))
}

/// A number of `/proc/<pid>/status`, without its unit; none where the line or the process is not there.
///
/// # Errors
/// It could not be looked at.
pub(crate) fn number_in_status(pid: u32, name: &str) -> io::Result<Option<u32>> {
    let Some(status) = read_whole(&format!("/proc/{pid}/status"))? else { return Ok(None) };
    let status = String::from_utf8_lossy(&status);
    Ok(status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok()))
}

/// The inode of the pipe that the process has as stdout or stderr.
pub(crate) fn output_pipes(pid: u32) -> impl Iterator<Item = (u64, PathBuf)> {
    [1, 2].into_iter().filter_map(move |fd| {
        let path = PathBuf::from(format!("/proc/{pid}/fd/{fd}"));
        // Takes no descriptor.
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

//! Processes as `/proc` shows them, named by pid *and* start time, and what belongs to a step: [`tree`].
//!
//! Shared by the supervisor, which signals trees, and the monitor, which measures them: what counts as a step's is
//! said once. Nothing here signals anything.

mod stat;
pub(crate) mod tree;

pub(crate) use stat::Stat;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags};
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
    pub(crate) state: u8,
}

impl Proc {
    /// Reads `/proc/<pid>/stat`; none when there is no such process any more.
    pub(crate) fn read(pid: u32) -> Option<Self> {
        // One read: the kernel makes the line whole, and it is never this long.
        let mut line = [0; 1024];
        let path = format!("/proc/{pid}/stat");
        let stat = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
        let n = rustix::io::read(&stat, &mut line).ok()?;
        Stat::parse(pid, &line[..n]).map(|stat| stat.proc)
    }

    /// Stopped by a signal or a tracer.
    pub(crate) fn is_stopped(&self) -> bool {
        matches!(self.state, b'T' | b't')
    }

    /// Ended, whether reaped or not.
    pub(crate) fn is_dead(&self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x')
    }

    /// In a wait that no signal ends.
    pub(crate) fn is_uninterruptible(&self) -> bool {
        self.state == b'D'
    }
}

/// All processes at one moment, by pid.
#[derive(Debug, Default)]
pub(crate) struct ProcTable {
    by_pid: BTreeMap<u32, Proc>,
}

impl ProcTable {
    /// Looks at every process.
    pub(crate) fn read() -> Self {
        let by_pid = fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter_map(|pid| Some((pid, Proc::read(pid)?)))
            .collect();
        Self { by_pid }
    }

    /// The process with this pid now.
    pub(crate) fn get(&self, pid: u32) -> Option<&Proc> {
        self.by_pid.get(&pid)
    }

    /// Whether this very process is there (a zombie is).
    pub(crate) fn holds(&self, id: ProcId) -> bool {
        self.get(id.pid).is_some_and(|found| found.id == id)
    }

    /// Every process, by pid.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Proc> {
        self.by_pid.values()
    }

    /// Of those that somebody has looked at.
    pub(crate) fn of(processes: impl IntoIterator<Item = Proc>) -> Self {
        Self { by_pid: processes.into_iter().map(|p| (p.id.pid, p)).collect() }
    }
}

/// The direct children of this process, orphans that fell to it among them; none where the kernel does not list
/// them (`CONFIG_PROC_CHILDREN`).
pub(crate) fn own_children() -> Option<Vec<u32>> {
    let path = format!("/proc/self/task/{}/children", std::process::id());
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let mut list = Vec::with_capacity(1024);
    while rustix::io::read(&file, rustix::buffer::spare_capacity(&mut list)).ok()? > 0 {
        list.reserve(1024);
    }
    let list = String::from_utf8(list).ok()?;
    Some(list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect())
}

/// The environment that the process was started with, entries ended by NUL; none where it is not for us to read.
pub(crate) fn environment_of(pid: u32) -> Option<Vec<u8>> {
    fs::read(format!("/proc/{pid}/environ")).ok()
}

/// Whether this entry (`NAME=value`) stands in it.
pub(crate) fn environment_holds(pid: u32, entry: &[u8]) -> bool {
    environment_of(pid).is_some_and(|environment| environment.split(|&b| b == 0).any(|found| found == entry))
}

/// Whether a variable of this name stands there.
pub(crate) fn environment_names(pid: u32, name: &str) -> bool {
    let is_meant =
        |entry: &[u8]| entry.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b"="));
    environment_of(pid).is_some_and(|environment| environment.split(|&b| b == 0).any(is_meant))
}

/// The inode of the pipe that the process has as stdout or stderr.
pub(crate) fn output_pipes(pid: u32) -> impl Iterator<Item = (u64, PathBuf)> {
    [1, 2].into_iter().filter_map(move |fd| {
        let path = PathBuf::from(format!("/proc/{pid}/fd/{fd}"));
        let target = fs::read_link(&path).ok()?;
        let inode = target.to_str()?.strip_prefix("pipe:[")?.strip_suffix(']')?.parse().ok()?;
        Some((inode, path))
    })
}

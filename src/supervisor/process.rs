//! Processes as `/proc` shows them, named by pid *and* start time, and signals that reach only the process meant.
//!
//! What belongs to which step is not known here: see [`super::tree`].

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

/// One process for ever (within a boot): pids come again, start times don't.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct ProcId {
    pub(super) pid: u32,
    /// Clock ticks since boot.
    pub(super) start: u64,
}

/// One line of the table of processes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Proc {
    pub(super) id: ProcId,
    pub(super) parent: u32,
    pub(super) session: u32,
    pub(super) state: u8,
}

impl Proc {
    /// Reads `/proc/<pid>/stat`; none when there is no such process any more.
    pub(super) fn read(pid: u32) -> Option<Self> {
        // One read: the kernel makes the line whole, and it is never this long.
        let mut line = [0; 1024];
        let path = format!("/proc/{pid}/stat");
        let stat = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
        let n = rustix::io::read(&stat, &mut line).ok()?;
        parse_stat(pid, &line[..n])
    }

    /// Stopped by a signal or a tracer.
    pub(super) fn is_stopped(&self) -> bool {
        matches!(self.state, b'T' | b't')
    }

    /// Ended, whether reaped or not.
    pub(super) fn is_dead(&self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x')
    }

    /// In a wait that no signal ends.
    pub(super) fn is_uninterruptible(&self) -> bool {
        self.state == b'D'
    }
}

fn parse_stat(pid: u32, stat: &[u8]) -> Option<Proc> {
    // The name stands in parentheses and may hold any byte, parentheses too.
    let after_name = stat.iter().rposition(|&b| b == b')')? + 2;
    let fields = std::str::from_utf8(stat.get(after_name..)?).ok()?;
    let mut fields = fields.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    let parent = fields.next()?.parse().ok()?;
    let _group = fields.next()?;
    let session = fields.next()?.parse().ok()?;
    let start = fields.nth(15)?.parse().ok()?;
    Some(Proc { id: ProcId { pid, start }, parent, session, state })
}

/// All processes at one moment, by pid.
#[derive(Debug, Default)]
pub(super) struct ProcTable {
    by_pid: BTreeMap<u32, Proc>,
}

impl ProcTable {
    /// Looks at every process.
    pub(super) fn read() -> Self {
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
    pub(super) fn get(&self, pid: u32) -> Option<&Proc> {
        self.by_pid.get(&pid)
    }

    /// Whether this very process is there (a zombie is).
    pub(super) fn holds(&self, id: ProcId) -> bool {
        self.get(id.pid).is_some_and(|found| found.id == id)
    }

    /// Every process, by pid.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Proc> {
        self.by_pid.values()
    }

    #[cfg(test)]
    pub(super) fn of(processes: impl IntoIterator<Item = Proc>) -> Self {
        Self { by_pid: processes.into_iter().map(|p| (p.id.pid, p)).collect() }
    }
}

/// The direct children of this process, orphans that fell to it among them; none where the kernel does not list
/// them (`CONFIG_PROC_CHILDREN`).
pub(super) fn own_children() -> Option<Vec<u32>> {
    let path = format!("/proc/self/task/{}/children", std::process::id());
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let mut list = Vec::with_capacity(1024);
    while rustix::io::read(&file, rustix::buffer::spare_capacity(&mut list)).ok()? > 0 {
        list.reserve(1024);
    }
    let list = String::from_utf8(list).ok()?;
    Some(list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect())
}

/// A handle on this very process; none when it is gone, or is one that must never be signalled (init, ourselves).
pub(super) fn open(id: ProcId) -> Option<OwnedFd> {
    if id.pid <= 1 || id.pid == std::process::id() {
        return None;
    }
    let handle = pidfd_open(Pid::from_raw(id.pid.cast_signed())?, PidfdFlags::empty()).ok()?;
    // Checked after the handle was made: what it means can't change any more.
    (Proc::read(id.pid)?.id == id).then_some(handle)
}

/// Sends a signal to this very process; one that is gone is passed over.
pub(super) fn signal(id: ProcId, signal: Signal) {
    if let Some(handle) = open(id) {
        signal_handle(&handle, signal);
    }
}

/// Sends a signal to the process behind a handle; one that is gone, or not ours to signal, is passed over.
pub(super) fn signal_handle(handle: impl AsFd, signal: Signal) {
    // ESRCH and EPERM: the rescan that follows every round of signals shows what is left.
    let _ = pidfd_send_signal(handle, signal);
}

/// Whether this entry (`NAME=value`) stands in the environment that the process was started with.
pub(super) fn environment_holds(pid: u32, entry: &[u8]) -> bool {
    fs::read(format!("/proc/{pid}/environ"))
        .is_ok_and(|environment| environment.split(|&b| b == 0).any(|found| found == entry))
}

/// Whether a variable of this name stands there.
pub(super) fn environment_names(pid: u32, name: &str) -> bool {
    let is_meant =
        |entry: &[u8]| entry.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b"="));
    fs::read(format!("/proc/{pid}/environ"))
        .is_ok_and(|environment| environment.split(|&b| b == 0).any(is_meant))
}

/// The name that the process goes by, for people.
pub(super) fn describe(id: ProcId) -> String {
    let name = fs::read_to_string(format!("/proc/{}/comm", id.pid)).unwrap_or_default();
    format!("{} ({})", name.trim_end(), id.pid)
}

/// The inode of the pipe that the process has as stdout or stderr.
pub(super) fn output_pipes(pid: u32) -> impl Iterator<Item = (u64, PathBuf)> {
    [1, 2].into_iter().filter_map(move |fd| {
        let path = PathBuf::from(format!("/proc/{pid}/fd/{fd}"));
        let target = fs::read_link(&path).ok()?;
        let inode = target.to_str()?.strip_prefix("pipe:[")?.strip_suffix(']')?.parse().ok()?;
        Some((inode, path))
    })
}

/// Opens the reading end of the pipe that a process has as its output, if it is the one meant (any, without an inode).
pub(super) fn reopen_output_pipe(pid: u32, inode: Option<u64>) -> Option<(u64, OwnedFd)> {
    let (found, path) = output_pipes(pid).find(|(found, _)| inode.is_none_or(|inode| inode == *found))?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let pipe = rustix::fs::open(path, flags, Mode::empty()).ok()?;
    (rustix::fs::fstat(&pipe).ok()?.st_ino == found).then_some((found, pipe))
}

/// Names this boot of the machine: pids and start times mean nothing beyond it.
///
/// # Errors
/// `/proc` is not mounted.
pub(super) fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_mislead() {
        let stat = b"77 (a) b (c)) T 5 77 70 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 1000 2 3";
        let found = parse_stat(77, stat).unwrap();
        assert_eq!((found.parent, found.session, found.state), (5, 70, b'T'));
        assert_eq!(found.id, ProcId { pid: 77, start: 4242 });
    }

    #[test]
    fn the_own_process_is_found_and_never_opened_for_signals() {
        let me = Proc::read(std::process::id()).unwrap();
        assert!(ProcTable::read().holds(me.id));
        assert!(open(me.id).is_none());
        assert!(open(ProcId { pid: 1, start: 0 }).is_none());
    }

    #[test]
    fn a_pid_with_another_start_time_is_not_signalled() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let id = Proc::read(child.id()).unwrap().id;
        signal(ProcId { start: id.start + 1, ..id }, Signal::KILL);
        assert!(child.try_wait().unwrap().is_none());
        signal(id, Signal::KILL);
        assert!(!child.wait().unwrap().success());
    }
}

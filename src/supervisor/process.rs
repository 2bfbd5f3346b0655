//! Signals that reach only the intended process, and other handles on processes. Which process belongs to which step is
//! the subject of [`crate::process::tree`].

use std::os::fd::OwnedFd;
use std::{fs, io};

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

pub(super) use crate::process::{Proc, ProcDir, ProcId, ProcTable, children_of, own_children};
use crate::process::{output_pipes, unless_gone};

/// A handle on this exact process. None when it is gone, or must never be signalled (init, this process).
///
/// # Errors
/// It could not be looked at, and may exist.
pub(super) fn open(id: ProcId) -> io::Result<Option<OwnedFd>> {
    let Some(pid) = Pid::from_raw(id.pid.cast_signed()) else { return Ok(None) };
    if id.pid <= 1 || id.pid == std::process::id() {
        return Ok(None);
    }
    let Some(handle) = unless_gone(pidfd_open(pid, PidfdFlags::empty()))? else { return Ok(None) };
    // Checked after the handle was opened: from then on the handle can't mean another process.
    Ok(Proc::read(id.pid)?.is_some_and(|found| found.id == id).then_some(handle))
}

/// Sends a signal to this exact process. One that is gone is skipped.
///
/// # Errors
/// It could not be signalled, and may exist.
pub(super) fn signal(id: ProcId, signal: Signal) -> io::Result<()> {
    if let Some(handle) = open(id)? {
        // One that is gone, or that we may not signal, is no error: the look after every round of signals shows what is
        // left.
        unless_gone(pidfd_send_signal(handle, signal))?;
    }
    Ok(())
}

/// Sends a signal to each of these exact processes. One that can't be signalled does not stop the signal to the others.
///
/// # Errors
/// One of them could not be signalled, and may exist.
pub(super) fn signal_all(ids: impl IntoIterator<Item = ProcId>, kind: Signal) -> io::Result<()> {
    let mut outcome = Ok(());
    for id in ids {
        outcome = signal(id, kind).and(outcome);
    }
    outcome
}

/// A process for people to read: `name (pid)`.
pub(super) fn describe(id: ProcId) -> String {
    let name = fs::read_to_string(format!("/proc/{}/comm", id.pid)).unwrap_or_default();
    format!("{} ({})", name.trim_end(), id.pid)
}

/// Opens the reading end of the pipe that a process has as its output. With an `inode`, only that pipe.
pub(super) fn reopen_output_pipe(pid: u32, inode: Option<u64>) -> Option<(u64, OwnedFd)> {
    let (found, path) = output_pipes(pid).find(|(found, _)| inode.is_none_or(|inode| inode == *found))?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let pipe = rustix::fs::open(path, flags, Mode::empty()).ok()?;
    (rustix::fs::fstat(&pipe).ok()?.st_ino == found).then_some((found, pipe))
}

/// The identity of this boot of the machine: pids and start times are valid only within it.
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
    fn the_own_process_is_never_opened_for_signals() {
        let me = Proc::read(std::process::id()).unwrap().unwrap();
        assert!(open(me.id).unwrap().is_none());
        assert!(open(ProcId { pid: 1, start: 0 }).unwrap().is_none());
    }

    #[test]
    fn a_pid_with_another_start_time_is_not_signalled() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let id = Proc::read(child.id()).unwrap().unwrap().id;
        signal(ProcId { start: id.start + 1, ..id }, Signal::KILL).unwrap();
        assert!(child.try_wait().unwrap().is_none());
        signal(id, Signal::KILL).unwrap();
        assert!(!child.wait().unwrap().success());
    }
}

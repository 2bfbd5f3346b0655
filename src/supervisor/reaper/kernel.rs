//! The system calls of the supervisor's parent that no safe crate has: `clone` with a shared table of descriptors,
//! `waitid` that does not reap, `sigtimedwait`. Each unsafe block has its reason.
#![expect(unsafe_code, reason = "these system calls have no safe wrapper in rustix or std")]

use std::collections::HashMap;
use std::ffi::CStr;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileExt;
use std::ptr;
use std::time::Duration;

use libc::{c_int, c_long};
use rustix::fs::{FileType, Mode, OFlags, RawDir};
use rustix::process::{Pid, Resource, Signal, getrlimit};

use crate::process::{Proc, Stat};
use crate::supervisor::host::{ExitCause, Usage};
use crate::supervisor::mover::timespec;
use crate::supervisor::sys;

/// More descriptors than a process can have open under the usual limit of the system (`fs.nr_open`).
const MOST_DESCRIPTORS: u64 = 1 << 20;

/// Makes a child as `fork` does, but both processes share one table of descriptors until one of them ends or execs.
/// Returns none in the child.
///
/// # Errors
/// The kernel's error.
pub(super) fn clone_sharing_descriptors() -> io::Result<Option<u32>> {
    let flags = c_long::from(libc::CLONE_FILES | libc::SIGCHLD);
    let none: c_long = 0;
    // SAFETY: without a stack of its own and without CLONE_VM the child goes on here in a copy of this memory, as after
    // `fork`. The caller has one thread, so no lock is held by a thread that the child lacks.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, none, none, none, none) };
    match pid {
        0 => Ok(None),
        pid if pid > 0 => Ok(u32::try_from(pid).ok()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// What [`peek`] found.
#[derive(Debug)]
pub(in crate::supervisor) enum Peeked {
    /// This child has ended in this way. The usage is its own and that of the children that it waited for. It is not
    /// reaped.
    Ended(u32, ExitCause, Usage),
    /// No such child has ended.
    NoneEnded,
    /// There is no such child.
    NoChild,
}

/// Looks whether our child `pid` (or any child) has ended, without reaping it.
pub(in crate::supervisor) fn peek(pid: Option<u32>) -> Peeked {
    let (kind, id) = match pid {
        Some(pid) => (libc::P_PID, c_long::from(pid)),
        None => (libc::P_ALL, 0),
    };
    let options = c_long::from(libc::WEXITED | libc::WNOHANG | libc::WNOWAIT);
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are to live locals of the types that the kernel writes; all-zero is a valid value of both.
    // The raw call, because its wrapper does not return the usage.
    let (code, info, usage) = unsafe {
        let kind = kind as c_long;
        let code = libc::syscall(libc::SYS_waitid, kind, id, info.as_mut_ptr(), options, usage.as_mut_ptr());
        (code, info.assume_init(), usage.assume_init())
    };
    if code != 0 {
        return Peeked::NoChild;
    }
    // SAFETY: for a child that has ended the kernel fills in these fields; without one they are zero.
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    let cause = match info.si_code {
        libc::CLD_EXITED => ExitCause::Code(status),
        libc::CLD_KILLED | libc::CLD_DUMPED => ExitCause::Signal(status),
        _ => ExitCause::Unknown,
    };
    match u32::try_from(pid) {
        Ok(pid) if pid > 0 => Peeked::Ended(pid, cause, sys::usage_of(&usage)),
        _ => Peeked::NoneEnded,
    }
}

/// Reads our child from `/proc`, dead or alive. Allocates nothing.
///
/// # Errors
/// It could not be read: most likely no descriptor is left in the shared table.
pub(super) fn read_child(child: u32) -> io::Result<Proc> {
    let (mut path, mut line) = ([0; 32], [0; 1024]);
    write!(&mut path[..], "/proc/{child}/stat")?;
    let path = CStr::from_bytes_until_nul(&path).map_err(|_| io::ErrorKind::InvalidInput)?;
    let stat = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let n = rustix::io::read(&stat, &mut line)?;
    let found = Stat::parse(child, &line[..n]).ok_or(io::ErrorKind::InvalidData)?;
    Ok(found.proc)
}

/// Blocks every signal that can be blocked.
///
/// # Errors
/// The kernel's error.
pub(in crate::supervisor) fn block_signals() -> io::Result<()> {
    let mut all = MaybeUninit::uninit();
    // SAFETY: the set is initialised before it is read.
    let code = unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), ptr::null_mut())
    };
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(code)) }
}

/// Waits until SIGCHLD comes, at most for `patience`. The signal must be blocked.
pub(super) fn wait_for_child(patience: Option<Duration>) {
    let patience = patience.map(timespec);
    let patience = patience.map(|time| libc::timespec { tv_sec: time.tv_sec, tv_nsec: time.tv_nsec });
    let patience = patience.as_ref().map_or(ptr::null(), ptr::from_ref);
    let mut set = MaybeUninit::uninit();
    // SAFETY: the set is initialised before it is read, the time is a live local or null, and no details are requested.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGCHLD);
        libc::sigtimedwait(set.as_ptr(), ptr::null_mut(), patience);
    }
}

/// Sends SIGCHLD to the supervisor, because a process has ended that the supervisor watches and whose parent we are.
pub(super) fn notify_of_child(supervisor: u32) {
    if let Some(pid) = Pid::from_raw(supervisor.cast_signed()) {
        // We have not reaped it, so the pid is still its own.
        let _ = rustix::process::kill_process(pid, Signal::CHILD);
    }
}

/// Closes every descriptor that is neither standard, nor one of `kept`, nor a pipe: those that only the dead supervisor
/// used. Allocates nothing.
pub(super) fn close_all_but(kept: &[RawFd]) {
    each_descriptor(|fd, kind| {
        if kind != FileType::Fifo && !kept.contains(&fd) {
            // SAFETY: its owner is dead, and this process does not use it.
            unsafe {
                libc::close(fd);
            }
        }
    });
}

/// Calls `look` with every descriptor from 3 on, except the one that lists them. If no descriptor is left for the list,
/// every number is tried.
fn each_descriptor(mut look: impl FnMut(RawFd, FileType)) {
    let mut look_at = |fd: RawFd| {
        // SAFETY: borrowed only for this call, which fails if it is not open. Nothing else closes it meanwhile.
        let found = rustix::fs::fstat(unsafe { BorrowedFd::borrow_raw(fd) });
        if let Ok(stat) = found {
            look(fd, FileType::from_raw_mode(stat.st_mode));
        }
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(dir) = rustix::fs::open(c"/proc/self/fd", flags, Mode::empty()) else {
        let most =
            getrlimit(Resource::Nofile).maximum.map_or(MOST_DESCRIPTORS, |most| most.min(MOST_DESCRIPTORS));
        return (3..RawFd::try_from(most).unwrap_or(RawFd::MAX)).for_each(look_at);
    };
    let own = std::os::fd::AsRawFd::as_raw_fd(&dir);
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut entries = RawDir::new(&dir, &mut buffer);
    while let Some(Ok(entry)) = entries.next() {
        let fd = entry.file_name().to_str().ok().and_then(|name| name.parse::<RawFd>().ok());
        if let Some(fd) = fd.filter(|fd| *fd > 2 && *fd != own) {
            look_at(fd);
        }
    }
}

/// The log pipes that an earlier supervisor had open, by inode. If this supervisor fails before it has claimed them, they
/// stay open for the next one.
#[derive(Debug, Default)]
pub(in crate::supervisor) struct Inherited {
    by_inode: HashMap<u64, RawFd>,
}

impl Inherited {
    /// Takes over every open pipe. Called once, by a supervisor that owns no pipe yet.
    pub(in crate::supervisor) fn take() -> Self {
        let (mut this, mut found) = (Self::default(), Vec::new());
        each_descriptor(|fd, kind| found.extend((kind == FileType::Fifo).then_some(fd)));
        for fd in found {
            // SAFETY: its owner is dead, and the parent never touches pipes: from here on this process alone owns it.
            let pipe = unsafe { OwnedFd::from_raw_fd(fd) };
            let (stat, flags) = (rustix::fs::fstat(&pipe), rustix::fs::fcntl_getfl(&pipe));
            let (Ok(stat), Ok(flags)) = (stat, flags) else { continue };
            // The supervisor's own ends are nonblocking. Others belong to a step that was being started, and are closed
            // here.
            if flags.contains(OFlags::NONBLOCK) {
                this.by_inode.insert(stat.st_ino, pipe.into_raw_fd());
            }
        }
        this
    }

    /// The predecessor's reading end of this pipe.
    pub(in crate::supervisor) fn claim(&mut self, inode: u64) -> Option<OwnedFd> {
        // SAFETY: open since it was taken over, and without another owner: it is given away once.
        self.by_inode.remove(&inode).map(|pipe| unsafe { OwnedFd::from_raw_fd(pipe) })
    }

    /// Closes the pipes that were not claimed.
    pub(in crate::supervisor) fn close_rest(self) {
        // SAFETY: as in `claim`.
        self.by_inode.into_values().for_each(|pipe| drop(unsafe { OwnedFd::from_raw_fd(pipe) }));
    }

    /// The only pipe that is still unclaimed, if there is exactly one.
    pub(in crate::supervisor) fn only_unclaimed(&self) -> Option<u64> {
        let mut inodes = self.by_inode.keys();
        inodes.next().copied().filter(|_| inodes.next().is_none())
    }
}

/// Overwrites this process's `argv[0]` by another name of the same length.
///
/// # Errors
/// `/proc` does not say where it lies, or refuses the write: then the old name stays.
pub(in crate::supervisor) fn take_name(name: &str) -> io::Result<()> {
    let memory: File = OpenOptions::new().write(true).open("/proc/self/mem")?;
    memory.write_all_at(name.as_bytes(), name_address()? as u64)
}

/// The address of this process's `argv[0]`.
///
/// # Errors
/// `/proc` does not say it.
pub(in crate::supervisor) fn name_address() -> io::Result<usize> {
    // `arg_start` is the 48th field. The second may hold any text, and ends with the last parenthesis.
    const AFTER_NAME: usize = 48 - 3;
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after = stat.rsplit(')').next().unwrap_or_default();
    let place = after.split_ascii_whitespace().nth(AFTER_NAME).and_then(|field| field.parse().ok());
    place.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

const _: () = assert!(size_of::<c_int>() == 4, "pids and codes are of 32 bits");

//! The system calls of the supervisor's parent that no safe crate has: `clone` with one table of descriptors, `waitid`
//! that tells without reaping, `sigtimedwait`. Each unsafe block has its reason.
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

/// More than a process can have open where the system has its usual bounds (`fs.nr_open`).
const MOST_DESCRIPTORS: u64 = 1 << 20;

/// Makes a child as `fork` does, which shares the table of descriptors with this process until one of them ends or
/// execs. None in the child.
///
/// # Errors
/// What the kernel said.
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

/// What [`peek`] saw.
#[derive(Debug)]
pub(in crate::supervisor) enum Peeked {
    /// This child has ended, so, and it and the children that it waited for used that. It is not reaped.
    Ended(u32, ExitCause, Usage),
    /// No such child has ended.
    NobodyYet,
    /// There is no such child.
    NoChild,
}

/// Looks whether our child `pid` (any, without one) has ended, and leaves it as it is.
pub(in crate::supervisor) fn peek(pid: Option<u32>) -> Peeked {
    let (kind, id) = match pid {
        Some(pid) => (libc::P_PID, c_long::from(pid)),
        None => (libc::P_ALL, 0),
    };
    let options = c_long::from(libc::WEXITED | libc::WNOHANG | libc::WNOWAIT);
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are to live locals of the types that the kernel writes; all-zero is a valid value of both.
    // The call itself rather than its wrapper, which has no place for the usage.
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
        _ => Peeked::NobodyYet,
    }
}

/// Our child as the kernel shows it, dead or alive. Allocates nothing.
///
/// # Errors
/// It could not be looked at: most likely no descriptor is left in the table that the supervisor shares.
pub(super) fn look_at(child: u32) -> io::Result<Proc> {
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
/// What the kernel said.
pub(in crate::supervisor) fn block_signals() -> io::Result<()> {
    let mut all = MaybeUninit::uninit();
    // SAFETY: the set is initialised before it is read.
    let code = unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), ptr::null_mut())
    };
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(code)) }
}

/// Waits for the news that a child has ended, at most for this long. The signal must be blocked.
pub(super) fn wait_for_a_child(patience: Option<Duration>) {
    let patience = patience.map(timespec);
    let patience = patience.map(|time| libc::timespec { tv_sec: time.tv_sec, tv_nsec: time.tv_nsec });
    let patience = patience.as_ref().map_or(ptr::null(), ptr::from_ref);
    let mut set = MaybeUninit::uninit();
    // SAFETY: the set is initialised before it is read, the time is a live local or null, and no news are wanted.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), libc::SIGCHLD);
        libc::sigtimedwait(set.as_ptr(), ptr::null_mut(), patience);
    }
}

/// Tells our living child that a process which it watches over, and which is our child, has ended.
pub(super) fn tell_of_a_child(supervisor: u32) {
    if let Some(pid) = Pid::from_raw(supervisor.cast_signed()) {
        // Not reaped by us, so the number is still its own.
        let _ = rustix::process::kill_process(pid, Signal::CHILD);
    }
}

/// Closes every descriptor that is neither standard, nor one of these, nor a pipe: what a supervisor that is dead had
/// for itself. Allocates nothing.
pub(super) fn close_all_but(kept: &[RawFd]) {
    each_descriptor(|fd, kind| {
        if kind != FileType::Fifo && !kept.contains(&fd) {
            // SAFETY: the process that owned it is dead, and this one only waits.
            unsafe {
                libc::close(fd);
            }
        }
    });
}

/// Calls `look` with every descriptor from 3 on, but the one that lists them. Where none is left for that, every number is
/// tried: (nearly) each is one's.
fn each_descriptor(mut look: impl FnMut(RawFd, FileType)) {
    let mut look_at = |fd: RawFd| {
        // SAFETY: borrowed for this look alone, which fails where it is not open; nobody closes it meanwhile.
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

/// The pipes of logs that an earlier supervisor had open, by inode. Left open where this one fails before it has claimed
/// them: they are the next one's.
#[derive(Debug, Default)]
pub(in crate::supervisor) struct Inherited {
    by_inode: HashMap<u64, RawFd>,
}

impl Inherited {
    /// Takes over what is open. Once, by a supervisor that owns no pipe yet.
    pub(in crate::supervisor) fn take() -> Self {
        let (mut this, mut found) = (Self::default(), Vec::new());
        each_descriptor(|fd, kind| found.extend((kind == FileType::Fifo).then_some(fd)));
        for fd in found {
            // SAFETY: its owner is dead; from here on it is ours alone, the parent never touches pipes.
            let pipe = unsafe { OwnedFd::from_raw_fd(fd) };
            let (stat, flags) = (rustix::fs::fstat(&pipe), rustix::fs::fcntl_getfl(&pipe));
            let (Ok(stat), Ok(flags)) = (stat, flags) else { continue };
            // The supervisor's own ends never block; the end of a step that was just being started is closed here.
            if flags.contains(OFlags::NONBLOCK) {
                this.by_inode.insert(stat.st_ino, pipe.into_raw_fd());
            }
        }
        this
    }

    /// The end of this pipe that the predecessor read from.
    pub(in crate::supervisor) fn claim(&mut self, inode: u64) -> Option<OwnedFd> {
        // SAFETY: open since it was taken over, and owned by nobody else: it is given away once.
        self.by_inode.remove(&inode).map(|pipe| unsafe { OwnedFd::from_raw_fd(pipe) })
    }

    /// Closes what nobody has claimed.
    pub(in crate::supervisor) fn close_rest(self) {
        // SAFETY: as in `claim`.
        self.by_inode.into_values().for_each(|pipe| drop(unsafe { OwnedFd::from_raw_fd(pipe) }));
    }

    /// The one pipe that nobody has claimed, if there is just one.
    pub(in crate::supervisor) fn only_unclaimed(&self) -> Option<u64> {
        let mut inodes = self.by_inode.keys();
        inodes.next().copied().filter(|_| inodes.next().is_none())
    }
}

/// Puts another name of the same length in the place of the one that this process was called by.
///
/// # Errors
/// `/proc` does not say where it stands, or does not take it: then it goes by the other name.
pub(in crate::supervisor) fn take_name(name: &str) -> io::Result<()> {
    // `arg_start`, the 48th field; the second may hold anything, and ends with the last parenthesis.
    const AFTER_THE_NAME: usize = 48 - 3;
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after = stat.rsplit(')').next().unwrap_or_default();
    let place = after.split_ascii_whitespace().nth(AFTER_THE_NAME).and_then(|field| field.parse().ok());
    let place: u64 = place.ok_or(io::ErrorKind::InvalidData)?;
    let memory: File = OpenOptions::new().write(true).open("/proc/self/mem")?;
    memory.write_all_at(name.as_bytes(), place)
}

const _: () = assert!(size_of::<c_int>() == 4, "pids and codes are of 32 bits");

//! The system calls that no safe crate has: `posix_spawn`, `wait4`, `signalfd`, `close_range` and the exit code of a
//! process that is not our child. Deliberately thin: nothing here knows about steps.
#![expect(unsafe_code, reason = "these system calls have no safe wrapper in rustix or std")]

use std::ffi::{CString, c_char, c_int, c_short};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::{io, ptr};

use super::host::{ExitCause, Usage};

/// What a new process is started with.
pub(super) struct SpawnPlan<'a> {
    /// An absolute path.
    pub(super) program: &'a CString,
    /// The arguments, starting with `argv[0]`.
    pub(super) argv: &'a [CString],
    /// The whole environment.
    pub(super) env: &'a [CString],
    pub(super) working_dir: &'a CString,
    /// Its stdout and its stderr.
    pub(super) output: BorrowedFd<'a>,
}

/// Starts a process in this one's memory, in a session of its own, with default signals and an empty signal mask. It has our own stdin
/// (`/dev/null`), and `plan.output` as stdout and stderr. No other descriptor is open in it.
///
/// # Errors
/// The kernel's error from the exec or from the change of directory.
pub(super) fn spawn(plan: &SpawnPlan<'_>) -> io::Result<u32> {
    let argv = pointers(plan.argv);
    let env = pointers(plan.env);
    let mut attributes = MaybeUninit::<libc::posix_spawnattr_t>::uninit();
    let mut actions = MaybeUninit::<libc::posix_spawn_file_actions_t>::uninit();
    let mut pid: libc::pid_t = 0;
    let flags = libc::POSIX_SPAWN_SETSIGDEF | libc::POSIX_SPAWN_SETSIGMASK;
    // SAFETY: both structures are initialised before use and destroyed once; every pointer that posix_spawn
    // reads (`argv`, `env`, the strings behind them) outlives the call and both arrays end in null.
    let code = unsafe {
        check(libc::posix_spawnattr_init(attributes.as_mut_ptr()))?;
        let attributes = Guard(attributes.as_mut_ptr(), |a| {
            libc::posix_spawnattr_destroy(a);
        });
        check(libc::posix_spawn_file_actions_init(actions.as_mut_ptr()))?;
        let actions = Guard(actions.as_mut_ptr(), |a| {
            libc::posix_spawn_file_actions_destroy(a);
        });
        let (mut all, mut none) = (MaybeUninit::uninit(), MaybeUninit::uninit());
        libc::sigfillset(all.as_mut_ptr());
        libc::sigemptyset(none.as_mut_ptr());
        check(libc::posix_spawnattr_setflags(attributes.0, flags as c_short | libc::POSIX_SPAWN_SETSID))?;
        check(libc::posix_spawnattr_setsigdefault(attributes.0, all.as_ptr()))?;
        check(libc::posix_spawnattr_setsigmask(attributes.0, none.as_ptr()))?;
        let output = plan.output.as_raw_fd();
        check(libc::posix_spawn_file_actions_adddup2(actions.0, output, 1))?;
        check(libc::posix_spawn_file_actions_adddup2(actions.0, output, 2))?;
        check(libc::posix_spawn_file_actions_addchdir_np(actions.0, plan.working_dir.as_ptr()))?;
        libc::posix_spawn(
            &mut pid,
            plan.program.as_ptr(),
            actions.0,
            attributes.0,
            argv.as_ptr(),
            env.as_ptr(),
        )
    };
    check(code)?;
    Ok(pid.cast_unsigned())
}

/// Destroys the content of a C structure when dropped.
struct Guard<T>(*mut T, unsafe fn(*mut T));

impl<T> Drop for Guard<T> {
    fn drop(&mut self) {
        // SAFETY: made in `spawn` only, after the structure was initialised; no other code destroys it.
        unsafe { (self.1)(self.0) }
    }
}

fn pointers(strings: &[CString]) -> Vec<*mut c_char> {
    strings.iter().map(|s| s.as_ptr().cast_mut()).chain([ptr::null_mut()]).collect()
}

fn check(code: c_int) -> io::Result<()> {
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(code)) }
}

/// Reaps our child `pid` if it has ended. Returns how it ended, and what it and the children that it waited for used.
pub(super) fn reap(pid: u32) -> Option<(ExitCause, Usage)> {
    let mut status: c_int = 0;
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both pointers are to live locals of the right type; an all-zero rusage is a valid one.
    let (reaped, usage) = unsafe {
        let reaped = libc::wait4(pid.cast_signed(), &mut status, libc::WNOHANG, usage.as_mut_ptr());
        (reaped, usage.assume_init())
    };
    (reaped == pid.cast_signed()).then(|| (cause_of(status), usage_of(&usage)))
}

/// Converts the kernel's record of what a process used.
pub(super) fn usage_of(usage: &libc::rusage) -> Usage {
    let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 / 1e6;
    Usage {
        peak_rss_bytes: u64::try_from(usage.ru_maxrss).ok().map(|kib| kib * 1024),
        cpu_seconds: seconds(usage.ru_utime) + seconds(usage.ru_stime),
    }
}

/// Decodes a wait status.
fn cause_of(status: c_int) -> ExitCause {
    if libc::WIFEXITED(status) {
        ExitCause::Code(libc::WEXITSTATUS(status))
    } else if libc::WIFSIGNALED(status) {
        ExitCause::Signal(libc::WTERMSIG(status))
    } else {
        ExitCause::Unknown
    }
}

/// `struct pidfd_info` as of Linux 6.13, its smallest form.
#[repr(C)]
#[derive(Default)]
struct PidfdInfo {
    mask: u64,
    cgroup_id: u64,
    ids: [u32; 11],
    exit_code: i32,
}

const PIDFD_INFO_EXIT: u64 = 1 << 3;
/// `_IOWR(0xFF, 11, struct pidfd_info)`.
const PIDFD_GET_INFO: u32 = (3 << 30) | ((size_of::<PidfdInfo>() as u32) << 16) | (0xFF << 8) | 11;

/// How a process that is not our child ended, once its parent has reaped it. None before that, and on kernels before
/// 6.15.
pub(super) fn exit_of_non_child(pidfd: BorrowedFd<'_>) -> Option<ExitCause> {
    let mut info = PidfdInfo { mask: PIDFD_INFO_EXIT, ..PidfdInfo::default() };
    // SAFETY: the request number holds the size of the structure that the pointer leads to; the kernel writes no more
    // than that.
    let code = unsafe { libc::ioctl(pidfd.as_raw_fd(), PIDFD_GET_INFO as libc::Ioctl, &raw mut info) };
    (code == 0 && info.mask & PIDFD_INFO_EXIT != 0).then(|| cause_of(info.exit_code))
}

/// Closes every descriptor from 3 on. Only for the very start of a process, when nothing owns one.
pub(super) fn close_from_3() {
    // SAFETY: called before this program has opened a descriptor; those that are closed here were inherited and have no
    // owner.
    unsafe {
        libc::close_range(3, libc::c_uint::MAX, 0);
    }
}

/// Blocks these signals in this thread and those that it starts, and returns a descriptor from which they can be read.
///
/// # Errors
/// The kernel's error.
pub(super) fn signal_fd(signals: &[c_int]) -> io::Result<OwnedFd> {
    let mut set = MaybeUninit::uninit();
    // SAFETY: the set is initialised first; the descriptor returned is new and ours alone.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for &signal in signals {
            libc::sigaddset(set.as_mut_ptr(), signal);
        }
        check(libc::pthread_sigmask(libc::SIG_SETMASK, set.as_ptr(), ptr::null_mut()))?;
        let fd = libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(OwnedFd::from_raw_fd(fd)) }
    }
}

/// Ignores these signals.
pub(super) fn ignore_signals(signals: &[c_int]) {
    for &signal in signals {
        // SAFETY: SIG_IGN runs no code of ours.
        unsafe {
            libc::signal(signal, libc::SIG_IGN);
        }
    }
}

/// Restores the default handling of SIGCHLD if the parent of this process left it ignored. An ignored signal stays
/// ignored across an exec, and the kernel then reaps every child itself, and its exit code is lost.
pub(super) fn restore_sigchld() {
    let mut found = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: the kernel writes to a live local, of which all-zero is a valid value; SIG_DFL runs no code of ours, and
    // a handler that was set stays.
    unsafe {
        let code = libc::sigaction(libc::SIGCHLD, ptr::null(), found.as_mut_ptr());
        if code == 0 && found.assume_init().sa_sigaction == libc::SIG_IGN {
            libc::signal(libc::SIGCHLD, libc::SIG_DFL);
        }
    }
}

/// The signals that wait in a [`signal_fd`]. More may wait than one call returns.
pub(super) fn signals_of(fd: BorrowedFd<'_>) -> Vec<c_int> {
    const RECORD: usize = size_of::<libc::signalfd_siginfo>();
    let mut records = [0_u8; 8 * RECORD];
    let n = rustix::io::read(fd, &mut records).unwrap_or(0);
    let number = |record: &[u8]| Some(u32::from_ne_bytes(*record.first_chunk::<4>()?).cast_signed());
    records[..n].chunks_exact(RECORD).filter_map(number).collect()
}

/// Takes the stdin that this process inherited, and puts `/dev/null` in its place.
///
/// # Errors
/// The kernel's error; stdin is then unchanged.
pub(super) fn take_stdin() -> io::Result<OwnedFd> {
    let null = std::fs::File::open("/dev/null")?;
    let taken = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    rustix::stdio::dup2_stdin(&null)?;
    Ok(taken)
}

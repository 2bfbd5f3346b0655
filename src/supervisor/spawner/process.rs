//! The life of the spawner, and of its children before they become programs.
//!
//! The spawner lacks most of the supervisor's memory ([`withheld`](super::withheld)), also the table through which a
//! program calls its libraries. So what runs there calls no function of a library by name (in a debug build, methods of
//! pointers and atomics are such functions, too), uses no text and no table, has no local that is large enough to be filled
//! by a call, and can't panic. Calls go through pointers in the shared block.
#![expect(unsafe_code, reason = "clone and what follows it have no safe wrapper in rustix or std")]

use std::ffi::{c_int, c_long, c_void};
use std::io;
use std::ptr;

use super::block::{Block, Pointers, Shared};
use super::withheld::Withheld;
use crate::process::descriptors;
use crate::supervisor::reaper;

/// The spawner's name in `ps`, as long as the name that it replaces. A part of the program's file, which the spawner has.
const NAME: &[u8; 21] = b"leverframe-spawner\0\0\0";
/// The name that the kernel shows.
const SHORT_NAME: &[u8; 16] = b"lf-spawner\0\0\0\0\0\0";
/// The size of the kernel's set of signals.
const SET_SIZE: c_long = 8;
/// The exit code of a process that could not become its program. It is seen only if the spawner was lost meanwhile.
const FAILED: c_long = 127;

/// `syscall(2)`.
type SystemCall = unsafe extern "C" fn(c_long, ...) -> c_long;
/// `clone(2)`.
type Clone = unsafe extern "C" fn(Main, *mut c_void, c_int, *mut c_void, ...) -> c_int;
/// What a process begins with.
type Main = extern "C" fn(*mut c_void) -> c_int;

/// What the spawner uses besides orders. It stays as it is.
#[repr(C)]
pub(super) struct Tools {
    call: SystemCall,
    clone: Clone,
    become_program: Main,
    /// Where both leave what went wrong.
    errno: *const c_int,
    supervisor: c_long,
    /// Where the name that `ps` shows is to be read, and where it is to be written.
    name_here: libc::iovec,
    name_there: libc::iovec,
    short_name: [u8; 16],
    limit: libc::rlimit64,
    all_signals: u64,
    /// The default of the kernel's `sigaction`, and a set without a signal: zero, whatever their fields are.
    zeroes: [u64; 8],
}

/// Makes a spawner, which obeys the orders in the returned block. Both processes share one table of descriptors.
///
/// # Errors
/// The kernel's error.
pub(super) fn start() -> io::Result<(u32, Block)> {
    // SAFETY: has no precondition.
    let errno = unsafe { libc::__errno_location() };
    // Without it the spawner keeps the supervisor's name.
    let name_at = reaper::name_address().unwrap_or(0);
    let hard_limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    let block = Block::new(Tools {
        call: libc::syscall,
        clone: libc::clone,
        become_program,
        errno,
        supervisor: c_long::from(std::process::id()),
        name_here: libc::iovec { iov_base: NAME.as_ptr().cast_mut().cast(), iov_len: NAME.len() },
        name_there: libc::iovec { iov_base: name_at as *mut c_void, iov_len: NAME.len() },
        short_name: *SHORT_NAME,
        limit: libc::rlimit64 {
            rlim_cur: descriptors::before().unwrap_or(libc::RLIM64_INFINITY),
            rlim_max: hard_limit.unwrap_or(libc::RLIM64_INFINITY),
        },
        all_signals: u64::MAX,
        zeroes: [0; 8],
    })?;
    // What can't be withheld is copied.
    let withheld = Withheld::take(errno as usize, name_at);
    let flags = libc::CLONE_FILES | libc::SIGCHLD;
    let shared = ptr::from_ref(block.shared()).cast_mut().cast();
    // SAFETY: without CLONE_VM the new process has a copy of this memory and one thread. It runs on a stack of its own, and
    // uses only what was not withheld.
    let pid = unsafe { libc::clone(serve, block.spawner_stack(), flags, shared) };
    let error = io::Error::last_os_error();
    drop(withheld);
    match u32::try_from(pid) {
        Ok(pid) => Ok((pid, block)),
        Err(_) => Err(error),
    }
}

/// The spawner's whole life.
extern "C" fn serve(shared: *mut c_void) -> c_int {
    // SAFETY: the block is mapped here as long as this process lives. The numbers and kinds of arguments are the kernel's.
    unsafe {
        let shared = shared as *mut Shared;
        let tools = &raw const (*shared).tools;
        let call = (*tools).call;
        let none: c_long = 0;
        let set_mask = libc::SIG_SETMASK as c_long;
        call(libc::SYS_rt_sigprocmask, set_mask, &raw const (*tools).all_signals, none, SET_SIZE);
        let (on_death, kill) = (libc::PR_SET_PDEATHSIG as c_long, libc::SIGKILL as c_long);
        call(libc::SYS_prctl, on_death, kill, none, none, none);
        // It may have died before.
        if call(libc::SYS_getppid) != (*tools).supervisor {
            return 0;
        }
        take_name(tools);
        let mut signal: c_long = 1;
        while signal <= 64 {
            call(libc::SYS_rt_sigaction, signal, &raw const (*tools).zeroes, none, SET_SIZE);
            signal += 1;
        }
        let open_files = libc::RLIMIT_NOFILE as c_long;
        call(libc::SYS_prlimit64, none, open_files, &raw const (*tools).limit, none);
        let (order, unready) = (&raw mut (*shared).order as *mut u32, &raw mut (*shared).unready as *mut u32);
        let (wait, wake) = (libc::FUTEX_WAIT as c_long, libc::FUTEX_WAKE as c_long);
        let mut done: u32 = 0;
        loop {
            // Read and written anew each time, because the calls are given the pointers. What the supervisor wrote before
            // the order is read by the child alone, and a clone orders memory.
            let ordered = *order;
            if ordered == done {
                call(libc::SYS_futex, order, wait, done as c_long, none, none, none);
                continue;
            }
            done = ordered;
            if !make_child(shared) {
                *unready = 0;
                let n_waiters: c_long = 1;
                call(libc::SYS_futex, unready, wake, n_waiters, none, none, none);
            }
        }
    }
}

/// Gives the spawner its names.
///
/// # Safety
/// Only in the spawner, with the tools of its block.
unsafe fn take_name(tools: *const Tools) {
    // SAFETY: the kernel writes into this process's own copy of the page with the arguments, to which no reference leads any
    // more. It is asked to, because a loop would call functions of libraries.
    unsafe {
        let call = (*tools).call;
        let (none, one): (c_long, c_long) = (0, 1);
        let set_name = libc::PR_SET_NAME as c_long;
        call(libc::SYS_prctl, set_name, &raw const (*tools).short_name, none, none, none);
        let (from, to) = (&raw const (*tools).name_here, &raw const (*tools).name_there);
        call(libc::SYS_process_vm_writev, call(libc::SYS_getpid), from, one, to, one, none);
    }
}

/// Makes the process of the latest order, a child of the supervisor, and waits until it has become its program or has
/// ended. Returns false if it could not be made.
///
/// The kernel writes its pid before it runs. When it has become its program or has ended, the kernel clears `unready` and
/// wakes the supervisor.
///
/// # Safety
/// Only in the spawner, with its block.
unsafe fn make_child(shared: *mut Shared) -> bool {
    const FLAGS: c_int = libc::CLONE_VM
        | libc::CLONE_VFORK
        | libc::CLONE_PARENT
        | libc::CLONE_PARENT_SETTID
        | libc::CLONE_CHILD_CLEARTID
        | libc::SIGCHLD;
    // SAFETY: the child runs in this memory, on a stack of its own, while this process waits for it.
    unsafe {
        let tools = &raw const (*shared).tools;
        let (pid, unready) = (&raw const (*shared).pid, &raw const (*shared).unready);
        let no_storage: c_long = 0;
        let (main, stack) = ((*tools).become_program, (*shared).child_stack);
        ((*tools).clone)(main, stack, FLAGS, shared as *mut c_void, pid, no_storage, unready) >= 0
    }
}

/// The rest of a child's life before its program.
extern "C" fn become_program(shared: *mut c_void) -> c_int {
    // SAFETY: as in `serve`; until this process has become its program or has ended, the supervisor does not write to the
    // plan, and the spawner waits.
    unsafe {
        let shared = shared as *mut Shared;
        let (tools, plan) = (&raw const (*shared).tools, &raw const (*shared).plan as *const Pointers);
        let call = (*tools).call;
        let none: c_long = 0;
        let (stdout, stderr): (c_long, c_long) = (1, 2);
        let set_mask = libc::SIG_SETMASK as c_long;
        call(libc::SYS_setsid);
        if call(libc::SYS_dup3, (*plan).output, stdout, none) >= 0
            && call(libc::SYS_dup3, (*plan).output, stderr, none) >= 0
            && call(libc::SYS_chdir, (*plan).working_dir) >= 0
        {
            call(libc::SYS_rt_sigprocmask, set_mask, &raw const (*tools).zeroes, none, SET_SIZE);
            call(libc::SYS_execve, (*plan).program, (*plan).argv, (*plan).env);
        }
        *(&raw mut (*shared).failure as *mut c_int) = *(*tools).errno;
        loop {
            call(libc::SYS_exit_group, FAILED);
        }
    }
}

//! Makes the processes of steps: each is a copy of the supervisor with little of its memory, which then becomes the
//! program.
//!
//! The kernel's figure for a process's peak memory includes what the process had before its exec. With `posix_spawn`
//! the child shares the whole memory of its parent until then, and most steps need less than a supervisor has. So the
//! child is a copy, without the part that would make up nearly all of it: the program's own data that was relocated
//! when it was loaded ([`withhold_relocated_data`]). Function calls go through tables in that part. So until its exec
//! the child may call only the function whose pointer it was given.
#![expect(
    unsafe_code,
    reason = "clone and what follows it in the child have no safe wrapper in rustix or std"
)]

use std::ffi::{CString, c_char, c_int, c_long, c_void};
use std::hint::black_box;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::{io, ptr};

/// What a new process needs.
pub(super) struct SpawnPlan<'a> {
    /// The program's absolute path.
    pub(super) program: &'a CString,
    /// Its arguments, with `argv[0]`.
    pub(super) argv: &'a [CString],
    pub(super) env: &'a [CString],
    pub(super) working_dir: &'a CString,
    /// Its stdout and stderr.
    pub(super) output: BorrowedFd<'a>,
    /// Its soft limit of open files; none means no limit.
    pub(super) open_files: Option<u64>,
}

/// `syscall(2)`.
type SystemCall = unsafe extern "C" fn(c_long, ...) -> c_long;

/// Everything that the child uses, so that it needs no table of the program.
struct Child {
    call: SystemCall,
    /// Where `call` leaves the error number.
    errno: *const c_int,
    /// Where the parent reads the error number.
    failure: *mut c_int,
    program: *const c_char,
    argv: *const *const c_char,
    env: *const *const c_char,
    working_dir: *const c_char,
    output: c_long,
    limit: libc::rlimit64,
    /// Serves as the kernel's default `sigaction` and as an empty signal set: both are all zeroes.
    zeroes: [u64; 8],
}

/// Starts a process in a session of its own, with default signal handling, an empty signal mask, our own stdin
/// (`/dev/null`) and both outputs on `plan.output`. Nothing else is open in it.
///
/// # Errors
/// The kernel's error for the clone, the exec or the change of directory.
pub(super) fn spawn(plan: &SpawnPlan<'_>) -> io::Result<u32> {
    let (argv, env) = (pointers(plan.argv), pointers(plan.env));
    let failure = SharedNumber::new()?;
    let hard_limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    let child = Child {
        // `black_box` makes the compiler keep the pointer instead of going through the table.
        call: black_box(libc::syscall as SystemCall),
        // SAFETY: no precondition. The child's errno lies at the same address in its copy.
        errno: unsafe { libc::__errno_location() },
        failure: failure.0,
        program: plan.program.as_ptr(),
        argv: argv.as_ptr(),
        env: env.as_ptr(),
        working_dir: plan.working_dir.as_ptr(),
        output: c_long::from(plan.output.as_raw_fd()),
        limit: libc::rlimit64 {
            rlim_cur: plan.open_files.unwrap_or(libc::RLIM64_INFINITY),
            rlim_max: hard_limit.unwrap_or(libc::RLIM64_INFINITY),
        },
        zeroes: [0; 8],
    };
    let none: c_long = 0;
    let flags = c_long::from(libc::CLONE_VFORK | libc::SIGCHLD);
    // SAFETY: without CLONE_VM the child goes on here alone, in a copy of this memory. It only becomes its program or
    // exits. Until then this thread waits.
    let pid = unsafe {
        let pid = (child.call)(libc::SYS_clone, flags, none, none, none, none);
        if pid == 0 {
            become_program(&child);
        }
        pid
    };
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    match failure.get() {
        0 => Ok(u32::try_from(pid).map_err(|_| io::ErrorKind::InvalidData)?),
        errno => {
            // SAFETY: our own child, which has ended or is about to; the status is not needed.
            unsafe { libc::waitpid(pid as libc::pid_t, ptr::null_mut(), 0) };
            Err(io::Error::from_raw_os_error(errno))
        }
    }
}

/// What the child does before its exec. It must not call a function of this program or a library by name, use a string
/// or a table, have a local so large that the compiler fills it with a call, or panic: what these need may be missing
/// from its memory.
///
/// # Safety
/// Only in a process that was just cloned and has one thread.
unsafe fn become_program(child: &Child) -> ! {
    const SET_SIZE: c_long = 8;
    let none: c_long = 0;
    let call = child.call;
    // SAFETY: every pointer leads into the copy of what `spawn` holds. Number and types of the arguments are the
    // kernel's.
    unsafe {
        call(libc::SYS_setsid);
        let mut signal: c_long = 1;
        while signal <= 64 {
            call(libc::SYS_rt_sigaction, signal, &raw const child.zeroes, none, SET_SIZE);
            signal += 1;
        }
        let set_mask = libc::SIG_SETMASK as c_long;
        call(libc::SYS_rt_sigprocmask, set_mask, &raw const child.zeroes, none, SET_SIZE);
        let (stdout, stderr): (c_long, c_long) = (1, 2);
        let open_files = libc::RLIMIT_NOFILE as c_long;
        if call(libc::SYS_dup3, child.output, stdout, none) >= 0
            && call(libc::SYS_dup3, child.output, stderr, none) >= 0
            && call(libc::SYS_prlimit64, none, open_files, &raw const child.limit, none) >= 0
            && call(libc::SYS_chdir, child.working_dir) >= 0
        {
            call(libc::SYS_execve, child.program, child.argv, child.env);
        }
        *child.failure = *child.errno;
        let failed: c_long = 127;
        loop {
            call(libc::SYS_exit_group, failed);
        }
    }
}

fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|s| s.as_ptr()).chain([ptr::null()]).collect()
}

/// A number that the child shares with its parent: zero until the child writes it.
struct SharedNumber(*mut c_int);

impl SharedNumber {
    fn new() -> io::Result<Self> {
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping at a place that the kernel chooses.
        let place = unsafe { libc::mmap(ptr::null_mut(), size_of::<c_int>(), access, kind, -1, 0) };
        if place == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(Self(place.cast())) }
    }

    fn get(&self) -> c_int {
        // SAFETY: mapped until the end of `self`; the child does not write there any more.
        unsafe { self.0.read_volatile() }
    }
}

impl Drop for SharedNumber {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and no reference into it is left.
        unsafe { libc::munmap(self.0.cast(), size_of::<c_int>()) };
    }
}

/// Withholds the relocated data of this program from the children that [`spawn`] makes, and returns its size in bytes.
/// From then on this process may start others only by [`spawn`] or `posix_spawn` (which `std::process::Command` uses),
/// never by a plain fork.
pub(super) fn withhold_relocated_data() -> u64 {
    let mut found = Relocated { start: 0, end: 0 };
    // SAFETY: the callback gets the pointer to the live local that it expects, and no longer than this call takes.
    unsafe { libc::dl_iterate_phdr(Some(find_relocated), (&raw mut found).cast()) };
    let size = rustix::param::page_size();
    let (start, end) = (found.start.next_multiple_of(size), found.end / size * size);
    if start >= end {
        return 0;
    }
    // SAFETY: whole pages of this program's own data, which stay as they are; only what `fork` copies changes.
    let code = unsafe { libc::madvise(start as *mut c_void, end - start, libc::MADV_DONTFORK) };
    if code == 0 { (end - start) as u64 } else { 0 }
}

struct Relocated {
    start: usize,
    end: usize,
}

/// Takes the relocated part of the first object, which is the program itself, and ends the iteration.
///
/// # Safety
/// `info` comes from the linker, and `found` points to a [`Relocated`].
unsafe extern "C" fn find_relocated(info: *mut libc::dl_phdr_info, _: usize, found: *mut c_void) -> c_int {
    // SAFETY: as promised; the table of headers has as many entries as it says.
    let (info, headers, found) = unsafe {
        let headers = std::slice::from_raw_parts((*info).dlpi_phdr, usize::from((*info).dlpi_phnum));
        (&*info, headers, &mut *found.cast::<Relocated>())
    };
    if let Some(header) = headers.iter().find(|header| header.p_type == libc::PT_GNU_RELRO) {
        found.start = info.dlpi_addr as usize + header.p_vaddr as usize;
        found.end = found.start + header.p_memsz as usize;
    }
    1
}

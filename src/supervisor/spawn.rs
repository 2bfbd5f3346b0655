//! Makes the processes of steps: a copy of the supervisor that holds little of its memory, and becomes the program.
//!
//! The kernel counts as a process's peak memory what it had before its exec, too. `posix_spawn` lends the child the whole
//! memory of its parent until then, and most steps need less than a supervisor has. So the child is a copy instead, and
//! is not given what makes up nearly all that a copy would hold: the part of the program's own data that was relocated
//! when it was loaded ([`withhold_relocated_data`]). What calls go through lies in that part, so that the child, until it
//! has become its program, calls only what it was handed a pointer to.
#![expect(
    unsafe_code,
    reason = "clone and what follows it in the child have no safe wrapper in rustix or std"
)]

use std::ffi::{CString, c_char, c_int, c_long, c_void};
use std::hint::black_box;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::{io, ptr};

/// What a new process is made of.
pub(super) struct SpawnPlan<'a> {
    /// The program: absolute.
    pub(super) program: &'a CString,
    /// Its arguments, the name it is called by first.
    pub(super) argv: &'a [CString],
    /// Its whole environment.
    pub(super) env: &'a [CString],
    /// Where it runs.
    pub(super) working_dir: &'a CString,
    /// Its stdout and stderr.
    pub(super) output: BorrowedFd<'a>,
    /// Its soft limit of open files; none: there is no limit.
    pub(super) open_files: Option<u64>,
}

/// `syscall(2)`.
type SystemCall = unsafe extern "C" fn(c_long, ...) -> c_long;

/// All that the child uses: nothing in it has to be looked up.
struct Child {
    call: SystemCall,
    /// Where `call` leaves what went wrong.
    errno: *const c_int,
    /// Where the parent reads it.
    failure: *mut c_int,
    program: *const c_char,
    argv: *const *const c_char,
    env: *const *const c_char,
    working_dir: *const c_char,
    output: c_long,
    limit: libc::rlimit64,
    /// The default of the kernel's `sigaction`, and a set without a signal: zero, whatever their fields are.
    zeroes: [u64; 8],
}

/// Starts a process in a session of its own, with default signals, an empty mask, our own stdin (`/dev/null`) and both
/// outputs on `plan.output`; nothing else is open in it.
///
/// # Errors
/// What the kernel said of the exec or of the change of directory.
pub(super) fn spawn(plan: &SpawnPlan<'_>) -> io::Result<u32> {
    let (argv, env) = (pointers(plan.argv), pointers(plan.env));
    let failure = SharedNumber::new()?;
    let hard_limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    let child = Child {
        // Hidden, so that the compiler keeps the pointer instead of looking the function up again.
        call: black_box(libc::syscall as SystemCall),
        // SAFETY: has no precondition; the child's own lies at the same address of its copy.
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
    // SAFETY: without CLONE_VM the child goes on here in a copy of this memory, alone, and does nothing but become its
    // program or end. Until then this thread waits.
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
            // SAFETY: our own child, which has ended or is about to; no status is wanted.
            unsafe { libc::waitpid(pid as libc::pid_t, ptr::null_mut(), 0) };
            Err(io::Error::from_raw_os_error(errno))
        }
    }
}

/// The rest of the child's life before its program. No function of this program or a library is called by name here, no
/// text or table is used, no local is large enough to be filled by a call, and nothing can panic: all that may not be there.
///
/// # Safety
/// Only in a process that was just cloned, and has one thread.
unsafe fn become_program(child: &Child) -> ! {
    const SET_SIZE: c_long = 8;
    let none: c_long = 0;
    let call = child.call;
    // SAFETY: every pointer leads into the copy of what `spawn` holds; the numbers and kinds of arguments are the kernel's.
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

/// A number that a child shares with us: zero until the child writes it.
struct SharedNumber(*mut c_int);

impl SharedNumber {
    fn new() -> io::Result<Self> {
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping at a place that the kernel chooses.
        let place = unsafe { libc::mmap(ptr::null_mut(), size_of::<c_int>(), access, kind, -1, 0) };
        if place == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(Self(place.cast())) }
    }

    fn get(&self) -> c_int {
        // SAFETY: mapped until the end of `self`; the child that wrote there does not any more.
        unsafe { self.0.read_volatile() }
    }
}

impl Drop for SharedNumber {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and no reference into it is left.
        unsafe { libc::munmap(self.0.cast(), size_of::<c_int>()) };
    }
}

/// Keeps the relocated data of this program from the children that [`spawn`] makes; gives its size in bytes. From then on
/// this process may not be forked in another way, but by `posix_spawn` (which `std::process::Command` uses).
pub(super) fn withhold_relocated_data() -> u64 {
    let mut found = Relocated { start: 0, end: 0 };
    // SAFETY: the callback gets the pointer to the live local that it expects, and no longer than this call takes.
    unsafe { libc::dl_iterate_phdr(Some(find_relocated), (&raw mut found).cast()) };
    let size = rustix::param::page_size();
    let (start, end) = (found.start.next_multiple_of(size), found.end / size * size);
    if start >= end {
        return 0;
    }
    // SAFETY: whole pages of a part of this program that stays as it is; only what `fork` copies is changed.
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
/// `info` is the linker's, `found` leads to a [`Relocated`].
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

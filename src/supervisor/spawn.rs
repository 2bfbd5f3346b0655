//! Makes the processes of steps: each is a copy of the supervisor with little of its memory, which then becomes the
//! program.
//!
//! The kernel's figure for a process's peak memory includes what the process had before its exec. With `posix_spawn`
//! the child shares the whole memory of its parent until then, and most steps need less than a supervisor has. So the
//! child is a copy, without the memory that a copy would hold ([`withhold_memory`]): the program's data, the part of it
//! that was relocated when it was loaded, and the heap. What the child needs lies in a block of its own. Function calls go
//! through the relocated part. So until its exec the child may call only the function whose pointer it was given.
#![expect(
    unsafe_code,
    reason = "clone and what follows it in the child have no safe wrapper in rustix or std"
)]

use std::ffi::{CString, c_char, c_int, c_long, c_void};
use std::hint::black_box;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
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

/// Everything that the child uses, on the stack and in the [`Block`].
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
    let block = Block::new(plan)?;
    let hard_limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    let child = Child {
        // `black_box` makes the compiler keep the pointer instead of going through the table.
        call: black_box(libc::syscall as SystemCall),
        // SAFETY: no precondition. The child's errno lies at the same address in its copy.
        errno: unsafe { libc::__errno_location() },
        failure: block.start.cast(),
        program: block.program,
        argv: block.argv,
        env: block.env,
        working_dir: block.working_dir,
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
    match block.failure() {
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
    // SAFETY: every pointer leads to the stack or into the block of `spawn`, which the child has. Number and types of the
    // arguments are the kernel's.
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

/// Memory that the child shares with its parent: the error number, which is zero until the child writes it, and the texts
/// of the plan.
struct Block {
    start: *mut c_void,
    size: usize,
    program: *const c_char,
    working_dir: *const c_char,
    argv: *const *const c_char,
    env: *const *const c_char,
}

impl Block {
    fn new(plan: &SpawnPlan<'_>) -> io::Result<Self> {
        const POINTER: usize = size_of::<*const c_char>();
        let texts = [plan.program, plan.working_dir].into_iter().chain(plan.argv).chain(plan.env);
        let n_pointers = plan.argv.len() + 1 + plan.env.len() + 1;
        // The number takes as much space as a pointer, so that the pointers are aligned.
        let texts_at = (1 + n_pointers) * POINTER;
        let size = texts_at + texts.map(|text| text.as_bytes_with_nul().len()).sum::<usize>();
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping at a place that the kernel chooses.
        let start = unsafe { libc::mmap(ptr::null_mut(), size, access, kind, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let mut free = start.wrapping_byte_add(texts_at).cast::<c_char>();
        let mut put = |text: &CString| {
            let (at, bytes) = (free, text.as_bytes_with_nul());
            // SAFETY: the new mapping has room for each text of the plan once, in this order, and no other reference leads there.
            unsafe { ptr::copy_nonoverlapping(bytes.as_ptr().cast(), at, bytes.len()) };
            free = at.wrapping_add(bytes.len());
            at.cast_const()
        };
        let (program, working_dir) = (put(plan.program), put(plan.working_dir));
        let mut next = start.wrapping_byte_add(POINTER).cast::<*const c_char>();
        let mut list = |texts: &[CString]| {
            let first = next;
            for pointer in texts.iter().map(&mut put).chain([ptr::null()]) {
                // SAFETY: as above; between the number and the texts there is room for all pointers and the two at their ends.
                unsafe { next.write(pointer) };
                next = next.wrapping_add(1);
            }
            first.cast_const()
        };
        let (argv, env) = (list(plan.argv), list(plan.env));
        Ok(Self { start, size, program, working_dir, argv, env })
    }

    fn failure(&self) -> c_int {
        // SAFETY: mapped until the end of `self`; the child does not write there any more.
        unsafe { self.start.cast::<c_int>().read_volatile() }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and no reference into it is left.
        unsafe { libc::munmap(self.start, self.size) };
    }
}

/// Withholds the present memory of this program, its data and its heap, from the children that [`spawn`] makes. From then
/// on this process may start others only by [`spawn`] or `posix_spawn` (which `std::process::Command` uses), never by a
/// plain fork. Memory that it allocates later is copied, which only costs time.
///
/// # Errors
/// `/proc` could not be read: everything is copied.
pub(super) fn withhold_memory() -> io::Result<()> {
    let exe = std::fs::read_link("/proc/self/exe")?;
    // SAFETY: no precondition.
    let errno = unsafe { libc::__errno_location() } as usize;
    for line in std::fs::read("/proc/self/maps")?.split(|byte| *byte == b'\n') {
        let Some(mapping) = Mapping::parse(line) else { continue };
        let is_ours = mapping.path.is_empty()
            || mapping.path == b"[heap]"
            || mapping.path == exe.as_os_str().as_bytes();
        if mapping.access == b"rw-p" && is_ours && !mapping.range.contains(&errno) {
            withhold(mapping.range);
        }
    }
    let mut relocated = 0..0_usize;
    // SAFETY: the callback gets the pointer to the live local that it expects, and no longer than this call takes.
    unsafe { libc::dl_iterate_phdr(Some(find_relocated), (&raw mut relocated).cast()) };
    let size = rustix::param::page_size();
    withhold(relocated.start.next_multiple_of(size)..relocated.end / size * size);
    Ok(())
}

/// Withholds whole pages from children. If the kernel refuses, they are copied.
fn withhold(pages: Range<usize>) {
    if !pages.is_empty() {
        // SAFETY: memory of this process, which stays as it is; only what `fork` copies changes.
        unsafe { libc::madvise(pages.start as *mut c_void, pages.len(), libc::MADV_DONTFORK) };
    }
}

/// A line of `/proc/self/maps`.
struct Mapping<'a> {
    range: Range<usize>,
    access: &'a [u8],
    /// Empty for memory without a file.
    path: &'a [u8],
}

impl<'a> Mapping<'a> {
    /// `START-END ACCESS OFFSET DEVICE INODE PATH`.
    fn parse(line: &'a [u8]) -> Option<Self> {
        let mut words = line.splitn(6, |byte| *byte == b' ');
        let (start, end) = std::str::from_utf8(words.next()?).ok()?.split_once('-')?;
        let number = |text| usize::from_str_radix(text, 16).ok();
        let range = number(start)?..number(end)?;
        let access = words.next()?;
        Some(Self { range, access, path: words.nth(3)?.trim_ascii_start() })
    }
}

/// Takes the relocated part of the first object, which is the program itself, and ends the iteration.
///
/// # Safety
/// `info` comes from the linker, and `found` points to a range of addresses.
unsafe extern "C" fn find_relocated(info: *mut libc::dl_phdr_info, _: usize, found: *mut c_void) -> c_int {
    // SAFETY: as promised; the table of headers has as many entries as it says.
    let (info, headers, found) = unsafe {
        let headers = std::slice::from_raw_parts((*info).dlpi_phdr, usize::from((*info).dlpi_phnum));
        (&*info, headers, &mut *found.cast::<Range<usize>>())
    };
    if let Some(header) = headers.iter().find(|header| header.p_type == libc::PT_GNU_RELRO) {
        found.start = info.dlpi_addr as usize + header.p_vaddr as usize;
        found.end = found.start + header.p_memsz as usize;
    }
    1
}

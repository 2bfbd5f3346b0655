//! The memory that the supervisor shares with its spawner: orders and answers, the texts of the process to be made, and
//! the stacks on which the spawner and its children run.
#![expect(unsafe_code, reason = "memory that two processes share is reached through pointers")]

use std::cell::UnsafeCell;
use std::ffi::{CString, c_char, c_int, c_long, c_void};
use std::os::fd::AsRawFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use std::{io, ptr};

use rustix::thread::futex;

use super::process::Tools;
use crate::supervisor::mover::timespec;
use crate::supervisor::sys::SpawnPlan;

/// Where the plan begins: after a page for [`Shared`].
const PLAN_AT: usize = 4 << 10;
/// The most that the texts of a plan and the pointers to them may take, in bytes.
pub(super) const PLAN_SIZE: usize = 256 << 10;
/// A stack of the spawner or of its child: far more than their few calls need.
const STACK_SIZE: usize = 64 << 10;
const SPAWNER_STACK_END: usize = PLAN_AT + PLAN_SIZE + STACK_SIZE;
const SIZE: usize = SPAWNER_STACK_END + STACK_SIZE;
const _: () = assert!(size_of::<Shared>() <= PLAN_AT);

/// What stands at the beginning of the block.
#[repr(C)]
pub(super) struct Shared {
    /// The number of the latest order. The spawner waits for it to change.
    pub(super) order: AtomicU32,
    /// 1 from an order until its process has become its program, or has ended, or could not be made. Then 0, most often by
    /// the kernel's hand.
    pub(super) unready: AtomicU32,
    /// The process that was made for the latest order; 0 before it is there.
    pub(super) pid: AtomicI32,
    /// The error by which it could not become its program; 0 for none.
    pub(super) failure: AtomicI32,
    /// Written by the supervisor before an order, and only when no process of an earlier one reads it.
    pub(super) plan: UnsafeCell<Pointers>,
    /// The end of the stack of the process that is made.
    pub(super) child_stack: *mut c_void,
    pub(super) tools: Tools,
}

/// A [`SpawnPlan`] whose texts lie in the block.
#[repr(C)]
pub(super) struct Pointers {
    pub(super) program: *const c_char,
    pub(super) argv: *const *const c_char,
    pub(super) env: *const *const c_char,
    pub(super) working_dir: *const c_char,
    pub(super) output: c_long,
}

/// The supervisor's hold on the block. The spawner has the same memory at the same address.
#[derive(Debug)]
pub(super) struct Block(NonNull<Shared>);

impl Block {
    /// # Errors
    /// There is no memory.
    pub(super) fn new(tools: Tools) -> io::Result<Self> {
        let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping at a place that the kernel chooses.
        let start = unsafe { libc::mmap(ptr::null_mut(), SIZE, access, kind, -1, 0) };
        let block = match NonNull::new(start.cast::<Shared>()) {
            Some(start) if start.as_ptr().cast() != libc::MAP_FAILED => Self(start),
            Some(_) | None => return Err(io::Error::last_os_error()),
        };
        let none = Pointers {
            program: ptr::null(),
            argv: ptr::null(),
            env: ptr::null(),
            working_dir: ptr::null(),
            output: -1,
        };
        let shared = Shared {
            order: AtomicU32::new(0),
            unready: AtomicU32::new(0),
            pid: AtomicI32::new(0),
            failure: AtomicI32::new(0),
            plan: UnsafeCell::new(none),
            child_stack: block.at(SIZE),
            tools,
        };
        // SAFETY: the new mapping has room for it and is aligned to a page; nothing refers to it yet.
        unsafe { block.0.write(shared) };
        Ok(block)
    }

    pub(super) fn shared(&self) -> &Shared {
        // SAFETY: written by `new`, and mapped as long as `self` lives. What either process changes is atomic or in a cell.
        unsafe { self.0.as_ref() }
    }

    /// The end of the spawner's stack.
    pub(super) fn spawner_stack(&self) -> *mut c_void {
        self.at(SPAWNER_STACK_END)
    }

    fn at(&self, offset: usize) -> *mut c_void {
        self.0.as_ptr().cast::<c_void>().wrapping_byte_add(offset)
    }

    /// Orders a process. Returns how many bytes its plan takes; none if that is more than there are, and nothing is ordered.
    /// Must not be called before the process of the last order was [awaited](Block::wait).
    pub(super) fn order(&mut self, plan: &SpawnPlan<'_>) -> Option<usize> {
        let size = self.write(plan)?;
        let shared = self.shared();
        shared.pid.store(0, Ordering::Relaxed);
        shared.failure.store(0, Ordering::Relaxed);
        shared.unready.store(1, Ordering::Relaxed);
        shared.order.fetch_add(1, Ordering::Release);
        // It can't fail: the word is there. Without a waiter the spawner is on its way to look.
        let _ = futex::wake(&shared.order, futex::Flags::empty(), 1);
        Some(size)
    }

    /// Writes the texts of a plan, and the pointers to them. Returns how many bytes they take; none if that is too much.
    fn write(&mut self, plan: &SpawnPlan<'_>) -> Option<usize> {
        let texts = [plan.program, plan.working_dir].into_iter().chain(plan.argv).chain(plan.env);
        let n_pointers = plan.argv.len() + 1 + plan.env.len() + 1;
        let texts_at = n_pointers * size_of::<*const c_char>();
        let size = texts_at + texts.map(|text| text.as_bytes_with_nul().len()).sum::<usize>();
        if size > PLAN_SIZE {
            return None;
        }
        let mut next: *mut *const c_char = self.at(PLAN_AT).cast();
        let mut free: *mut c_char = self.at(PLAN_AT + texts_at).cast();
        let mut put = |text: &CString| {
            let (at, bytes) = (free, text.as_bytes_with_nul());
            // SAFETY: there is room for each text of the plan once, as was checked; nothing else refers to it.
            unsafe { ptr::copy_nonoverlapping(bytes.as_ptr().cast(), at, bytes.len()) };
            free = at.wrapping_add(bytes.len());
            at.cast_const()
        };
        let (program, working_dir) = (put(plan.program), put(plan.working_dir));
        let mut list = |texts: &[CString]| {
            let first = next.cast_const();
            for pointer in texts.iter().map(&mut put).chain([ptr::null()]) {
                // SAFETY: before the texts there is room for all pointers and the two at the ends of the lists.
                unsafe { next.write(pointer) };
                next = next.wrapping_add(1);
            }
            first
        };
        let (argv, env) = (list(plan.argv), list(plan.env));
        let output = c_long::from(plan.output.as_raw_fd());
        // SAFETY: no process reads it between two orders.
        unsafe { self.shared().plan.get().write(Pointers { program, argv, env, working_dir, output }) };
        Some(size)
    }

    /// Waits until the process of the last order has become its program, or has ended, or could not be made; at most for
    /// `patience`. Returns whether that is so.
    pub(super) fn wait(&self, patience: std::time::Duration) -> bool {
        let patience = timespec(patience);
        let unready = &self.shared().unready;
        while unready.load(Ordering::Acquire) != 0 {
            match futex::wait(unready, futex::Flags::empty(), 1, Some(&patience)) {
                Ok(()) | Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
                Err(_) => return unready.load(Ordering::Acquire) == 0,
            }
        }
        true
    }

    /// The process that was made for the last order.
    pub(super) fn made(&self) -> Option<u32> {
        u32::try_from(self.shared().pid.load(Ordering::Acquire)).ok().filter(|pid| *pid > 0)
    }

    /// Why it did not become its program.
    pub(super) fn failure(&self) -> Option<c_int> {
        Some(self.shared().failure.load(Ordering::Acquire)).filter(|errno| *errno != 0)
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and no reference is left. A process that still uses it has it mapped by itself.
        unsafe { libc::munmap(self.0.as_ptr().cast(), SIZE) };
    }
}

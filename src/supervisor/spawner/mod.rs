//! The process that makes the processes of steps: a child of the supervisor with hardly any memory.
//!
//! A new process uses the memory of the one that made it until its exec, and the kernel counts the peak of that memory as
//! its own. Made by the supervisor, a program that needs little would seem to need the supervisor's few MiB. So the
//! supervisor writes each [`SpawnPlan`] into memory that it shares with the spawner ([`block`]), and the spawner makes a
//! child of the *supervisor* of it ([`process`], `CLONE_PARENT`). It has from its beginning what a step begins with
//! (default signals, the earlier limit of open files), shares the supervisor's table of descriptors, and is killed by the
//! kernel when the supervisor dies.
//!
//! Where the spawner can't do it, the supervisor makes the process itself, and its peak is known only if it is larger than
//! the supervisor's. A start is never made twice: the kernel writes the pid of a new process before it runs, so that the
//! block of a dead spawner shows whether it had made one.
//!
//! The spawner knows no steps, and allocates nothing.

mod block;
mod process;
mod withheld;

use std::io;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use super::memory;
use super::reaper::{Peeked, peek};
use super::sys::{self, SpawnPlan};
use crate::process::descriptors;
use block::Block;

/// The spawner is looked at this often while its answer is awaited.
const LOOK: Duration = Duration::from_millis(100);
/// After so many looks that find no process made, it is given up.
const N_LOOKS_UNMADE: u32 = 10;
/// After so many looks that find a process made that has not become its program (its file may lie on a slow disk), both are
/// left to themselves.
const N_LOOKS_UNREADY: u32 = 100;
/// After so many spawners in a row that made nothing, there is no other one.
const MAX_FAILED: u32 = 3;

/// The supervisor's spawner, made anew when it dies.
#[derive(Debug)]
pub(super) struct Spawner {
    living: Option<Living>,
    /// How many in a row made nothing.
    n_failed: u32,
}

/// A process that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) pid: u32,
    /// The most memory that it can have had before it became its program, in bytes; none where that was the supervisor's.
    pub(super) peak_before: Option<u64>,
}

/// A spawner that was made and is not reaped.
#[derive(Debug)]
struct Living {
    pid: u32,
    block: Block,
    /// The peak of its memory when it had made its first process, in bytes.
    peak: Option<u64>,
    /// The largest plan so far, in bytes.
    largest_plan: usize,
}

impl Spawner {
    /// Without a process, which is made by [`prepare`](Self::prepare), or by the first start.
    pub(super) fn new() -> Self {
        Self { living: None, n_failed: 0 }
    }

    /// Makes the process if there is none, so that the next start need not. It belongs to this thread: when the thread
    /// ends, the kernel kills it.
    pub(super) fn prepare(&mut self) {
        self.replace_dead();
    }

    /// Its process; none when there is none.
    pub(super) fn pid(&self) -> Option<u32> {
        self.living.as_ref().map(|living| living.pid)
    }

    /// Starts a process, a child of this one, in a session of its own, with default signals, an empty signal mask and the
    /// limit of open files that this program was started with. It has our own stdin (`/dev/null`), and `plan.output` as
    /// stdout and stderr. No other descriptor is open in it.
    ///
    /// # Errors
    /// The kernel's error from the exec or from the change of directory.
    pub(super) fn spawn(&mut self, plan: &SpawnPlan<'_>) -> io::Result<Made> {
        self.spawn_lean(plan).unwrap_or_else(|| {
            let pid = descriptors::as_before(|| sys::spawn(plan))?;
            Ok(Made { pid, peak_before: None })
        })
    }

    /// Starts the process through the spawner; none if that made no process.
    fn spawn_lean(&mut self, plan: &SpawnPlan<'_>) -> Option<io::Result<Made>> {
        self.replace_dead();
        let living = self.living.as_mut()?;
        let size = living.block.order(plan)?;
        living.largest_plan = living.largest_plan.max(size);
        let made = if living.answers() { outcome(&living.block) } else { outcome(&self.lose()?) }?;
        self.n_failed = 0;
        let living = self.living.as_mut();
        Some(made.map(|pid| Made { pid, peak_before: living.and_then(Living::peak_lent) }))
    }

    /// Makes a new spawner if there is none, or if it is dead.
    fn replace_dead(&mut self) {
        if self.living.as_ref().is_some_and(Living::is_dead) {
            self.lose();
        }
        if self.living.is_none() && self.n_failed < MAX_FAILED {
            match process::start() {
                Ok((pid, block)) => self.living = Some(Living { pid, block, peak: None, largest_plan: 0 }),
                Err(_) => self.n_failed += 1,
            }
        }
    }

    /// Ends the spawner. Its block then shows for certain whether it made a process for the last order.
    fn lose(&mut self) -> Option<Block> {
        self.n_failed += 1;
        self.living.take().map(Living::end)
    }
}

impl Drop for Spawner {
    fn drop(&mut self) {
        self.lose();
    }
}

/// The process that was made for the last order, or why it could not become its program; none if there was no process.
fn outcome(block: &Block) -> Option<io::Result<u32>> {
    let pid = block.made()?;
    let Some(errno) = block.failure() else { return Some(Ok(pid)) };
    wait_for_end(pid);
    Some(Err(io::Error::from_raw_os_error(errno)))
}

/// Reaps our own child, which has ended or is about to.
fn wait_for_end(pid: u32) {
    let wait = || waitpid(Pid::from_raw(pid.cast_signed()), WaitOptions::empty());
    while matches!(wait(), Err(Errno::INTR)) {}
}

impl Living {
    fn is_dead(&self) -> bool {
        match peek(Some(self.pid)) {
            Peeked::Ended(..) | Peeked::NoChild => true,
            Peeked::NoneEnded => false,
        }
    }

    /// Waits until the ordered process has become its program, or has ended, or could not be made. Returns false if the
    /// spawner has died before that, or is silent for too long.
    fn answers(&self) -> bool {
        let mut n_looks = 0;
        while !self.block.wait(LOOK) {
            n_looks += 1;
            let limit = if self.block.made().is_some() { N_LOOKS_UNREADY } else { N_LOOKS_UNMADE };
            if n_looks >= limit || self.is_dead() {
                return false;
            }
        }
        true
    }

    /// The most memory that a process can have had from this spawner, in bytes: what the spawner had, and the texts of its
    /// plan.
    fn peak_lent(&mut self) -> Option<u64> {
        if self.peak.is_none() {
            self.peak = memory::peak_of(self.pid).ok().flatten();
        }
        Some(self.peak? + self.largest_plan as u64)
    }

    /// Kills and reaps it.
    fn end(self) -> Block {
        match (peek(Some(self.pid)), Pid::from_raw(self.pid.cast_signed())) {
            // Our own child that is not reaped: the pid is still its own.
            (Peeked::Ended(..) | Peeked::NoneEnded, Some(pid)) => {
                let _ = kill_process(pid, Signal::KILL);
                wait_for_end(self.pid);
            }
            (Peeked::NoChild, _) | (_, None) => {}
        }
        self.block
    }
}

#[cfg(test)]
mod tests;

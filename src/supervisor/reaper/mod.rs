//! The supervisor's parent: a process that does nothing but wait.
//!
//! It is the process that the engine starts; the supervisor is its child, made by `clone` with one table of descriptors
//! for both. It is a child subreaper, so that the steps of a supervisor that was killed become its children. Of each it
//! notes how it ended ([`ExitNotes`]), and then starts the next supervisor. Since the table is shared, everything that
//! must outlive a supervisor is still open when one dies: the lock, the notes, and the pipe of every log, with what is
//! in it. Thus no exit code and no line of a log is lost unless both processes are killed.
//!
//! It deliberately knows no steps, no journal and no connection, ignores every signal that can be ignored, and allocates
//! nothing after its start: whatever ends a supervisor, want of memory included, finds it as it was.

mod exit_notes;
mod kernel;

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::host::{ExitCause, Usage};
use super::sys;
pub(super) use exit_notes::{ExitNote, ExitNotes};
pub(super) use kernel::{Inherited, Peeked, block_signals, peek, take_name};
use kernel::{clone_sharing_descriptors, close_all_but, wait_for_a_child};

/// A supervisor that lived this long is followed by the next one at once; one that did not, after a while.
const FULL_LIFE: Duration = Duration::from_millis(100);
/// How long the next one waits after the first short life, and at most: twice as long after each further one.
const FIRST_DELAY: Duration = Duration::from_millis(20);
const MAX_DELAY: Duration = Duration::from_secs(5);
/// Without steps, no supervisor is started again after this.
const HOPELESS: Duration = Duration::from_secs(1);
/// An end that could not be noted is tried again after this long, and given up after that: no supervisor waits longer for
/// it.
const NOTE_AGAIN: Duration = Duration::from_millis(20);
const PERSISTENCE: Duration = Duration::from_secs(10);

/// What this process is from here on.
pub(super) enum Role {
    /// The supervisor.
    Supervisor(Place),
    /// The parent, whose work is done: the code to exit with.
    Over(i32),
}

/// What a supervisor is put into by its parent.
pub(super) struct Place {
    /// How the processes ended that an earlier supervisor left.
    pub(super) notes: ExitNotes,
    /// How the one before ended, if there was one.
    pub(super) predecessor: Option<Death>,
}

/// When a supervisor died.
#[derive(Debug, Clone, Copy)]
pub(super) struct Death {
    pub(super) at: DateTime<Utc>,
    /// In clock ticks since boot.
    pub(super) at_ticks: u64,
}

/// Puts a parent behind the supervisor. Returns in each supervisor that it starts, and in the parent at its end. The
/// process must have one thread.
///
/// # Errors
/// No supervisor can be started.
pub(super) fn stand_behind(lock: &File) -> io::Result<Role> {
    let notes = ExitNotes::new()?;
    let mut parent = Parent {
        kept: [lock.as_raw_fd(), notes.as_fd().as_raw_fd()],
        n_noted: 0,
        unnoted: None,
        supervisor: None,
        delay: Duration::ZERO,
        next_at: Instant::now(),
        last_death: None,
    };
    let mut is_first = true;
    loop {
        if parent.supervisor.is_none() && parent.next_at <= Instant::now() {
            match clone_sharing_descriptors() {
                Ok(None) => return Ok(Role::Supervisor(Place { notes, predecessor: parent.last_death })),
                Ok(Some(pid)) => parent.supervisor = Some((pid, Instant::now())),
                Err(error) if is_first => return Err(error),
                Err(_) => parent.put_off(),
            }
            is_first = false;
        }
        if let Some(code) = parent.look_at_the_dead(&notes) {
            return Ok(Role::Over(code));
        }
        let next = match parent.supervisor {
            Some(_) => None,
            None => Some(parent.next_at.saturating_duration_since(Instant::now())),
        };
        let again = parent.unnoted.map(|_| NOTE_AGAIN);
        let patience = next.into_iter().chain(again).min();
        if patience != Some(Duration::ZERO) {
            wait_for_a_child(patience);
        }
    }
}

struct Parent {
    /// Descriptors that outlive a supervisor, besides pipes.
    kept: [RawFd; 2],
    n_noted: u64,
    /// The child that has ended and can't be noted at the moment, and since when.
    unnoted: Option<(u32, Instant)>,
    /// The one that lives, and since when.
    supervisor: Option<(u32, Instant)>,
    /// How long the next one waited last.
    delay: Duration,
    next_at: Instant,
    last_death: Option<Death>,
}

impl Parent {
    /// Notes and reaps every child that has ended. Gives the code to exit with when there is nothing left to wait for.
    fn look_at_the_dead(&mut self, notes: &ExitNotes) -> Option<i32> {
        let mut has_failed = false;
        let has_children = loop {
            let (pid, cause, usage) = match self.peek() {
                Peeked::Ended(pid, cause, usage) => (pid, cause, usage),
                Peeked::NobodyYet => break true,
                Peeked::NoChild => break false,
            };
            if let Some((supervisor, born)) = self.supervisor.take_if(|(supervisor, _)| *supervisor == pid) {
                sys::reap(supervisor);
                match cause {
                    ExitCause::Code(0) => return Some(0),
                    ExitCause::Code(_) => has_failed = true,
                    ExitCause::Signal(_) | ExitCause::Unknown => {}
                }
                self.bury(born);
                continue;
            }
            match self.note(pid, cause, usage, notes) {
                Ok(()) => self.unnoted = None,
                Err(_) => {
                    let since = self.unnoted.filter(|(unnoted, _)| *unnoted == pid).map(|(_, since)| since);
                    let since = since.unwrap_or_else(Instant::now);
                    self.unnoted = Some((pid, since));
                    if since.elapsed() < PERSISTENCE {
                        break true;
                    }
                    // A note that can't be made is an exit that nobody saw.
                    self.unnoted = None;
                }
            }
            // Only now: who sees it gone finds the note.
            sys::reap(pid);
            if let Some((supervisor, _)) = self.supervisor {
                kernel::tell_of_a_child(supervisor);
            }
        };
        // Without steps nobody needs another one in the place of one that could not even begin, and has told why, nor of
        // one that always dies at once.
        let is_hopeless = match self.n_noted {
            0 => has_failed || self.delay >= HOPELESS,
            // What was noted is known here alone, as long as no supervisor has read it.
            _ => has_failed && self.delay >= MAX_DELAY,
        };
        (!has_children && is_hopeless).then_some(1)
    }

    /// A child that has ended. First the supervisor: what keeps others from being noted may be what it holds.
    fn peek(&self) -> Peeked {
        match self.supervisor.map(|(supervisor, _)| peek(Some(supervisor))) {
            Some(ended @ Peeked::Ended(..)) => ended,
            Some(Peeked::NobodyYet | Peeked::NoChild) | None => peek(None),
        }
    }

    /// Notes how a child ended.
    fn note(&mut self, pid: u32, cause: ExitCause, usage: Usage, notes: &ExitNotes) -> io::Result<()> {
        // A zombie, so what stands there is its own.
        let found = kernel::look_at(pid)?;
        // Only what leads a session can be a step.
        if found.session == pid {
            notes.write(self.n_noted, &ExitNote { main: found.id, cause, usage, at: Utc::now() })?;
            self.n_noted += 1;
        }
        Ok(())
    }

    /// A supervisor has ended before its work was done: lets go of what was its alone, which tells the engine, and says
    /// when the next one comes.
    fn bury(&mut self, born: Instant) {
        self.last_death = Some(Death { at: Utc::now(), at_ticks: ticks() });
        close_all_but(&self.kept);
        if born.elapsed() >= FULL_LIFE {
            self.delay = Duration::ZERO;
            self.next_at = Instant::now();
        } else {
            self.put_off();
        }
    }

    fn put_off(&mut self) {
        self.delay = (self.delay * 2).clamp(FIRST_DELAY, MAX_DELAY);
        self.next_at = Instant::now() + self.delay;
    }
}

/// Now, as the start of a process is told: in clock ticks since boot.
pub(super) fn ticks() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let per_second = rustix::param::clock_ticks_per_second();
    let (seconds, nanos) = (u64::try_from(now.tv_sec).unwrap_or(0), u64::try_from(now.tv_nsec).unwrap_or(0));
    seconds * per_second + nanos * per_second / 1_000_000_000
}

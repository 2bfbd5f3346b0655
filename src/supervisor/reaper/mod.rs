//! The supervisor's parent: a process that does nothing but wait.
//!
//! The engine starts the parent; the supervisor is the parent's child, made by `clone` with one table of descriptors
//! for both. The parent is a child subreaper, so that the steps of a supervisor that was killed become its children.
//! When a supervisor dies, the parent starts the next one, and notes how each of these steps ends ([`ExitNotes`]).
//! Since the table is shared, everything that must outlive a supervisor is still open when one dies: the lock, the
//! notes, and the pipe of every log with its contents. So no exit code and no line of a log is lost unless both
//! processes are killed.
//!
//! The parent deliberately knows no steps, no journal and no connection. It blocks every signal that can be blocked,
//! and allocates nothing after its start. So what kills a supervisor, a lack of memory included, does not harm the
//! parent.

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
pub(super) use kernel::{Inherited, Peeked, block_signals, name_address, peek, take_name};
use kernel::{clone_sharing_descriptors, close_all_but, wait_for_child};

/// When a supervisor that lived this long dies, the next one starts at once; otherwise after a delay.
const FULL_LIFE: Duration = Duration::from_millis(100);
/// The delay after the first short life, which doubles with each further one, up to the maximum.
const FIRST_DELAY: Duration = Duration::from_millis(20);
const MAX_DELAY: Duration = Duration::from_secs(5);
/// Without steps, no supervisor is started again once the delay has reached this.
const GIVE_UP_DELAY: Duration = Duration::from_secs(1);
/// A note that could not be written is tried again after the first time, and given up after the second. No supervisor
/// waits longer for a note.
const NOTE_RETRY_DELAY: Duration = Duration::from_millis(20);
const NOTE_PATIENCE: Duration = Duration::from_secs(10);

/// The role of this process from here on.
pub(super) enum Role {
    /// The supervisor.
    Supervisor(Place),
    /// The parent, whose work is done, with the code to exit with.
    ParentDone(i32),
}

/// What the parent hands to a supervisor.
pub(super) struct Place {
    /// How the processes of earlier supervisors ended.
    pub(super) notes: ExitNotes,
    /// The death of the supervisor before this one, if there was one.
    pub(super) predecessor: Option<Death>,
}

/// When a supervisor died.
#[derive(Debug, Clone, Copy)]
pub(super) struct Death {
    pub(super) at: DateTime<Utc>,
    /// In clock ticks since boot.
    pub(super) at_ticks: u64,
}

/// Turns this process into the parent, which starts supervisors. Returns in each supervisor, and in the parent at its
/// end. The process must have one thread.
///
/// # Errors
/// No supervisor can be started.
pub(super) fn run_parent(lock: &File) -> io::Result<Role> {
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
                Err(_) => parent.delay_next(),
            }
            is_first = false;
        }
        if let Some(code) = parent.reap_ended_children(&notes) {
            return Ok(Role::ParentDone(code));
        }
        let next = match parent.supervisor {
            Some(_) => None,
            None => Some(parent.next_at.saturating_duration_since(Instant::now())),
        };
        let again = parent.unnoted.map(|_| NOTE_RETRY_DELAY);
        let patience = next.into_iter().chain(again).min();
        if patience != Some(Duration::ZERO) {
            wait_for_child(patience);
        }
    }
}

struct Parent {
    /// Descriptors that outlive a supervisor, in addition to pipes.
    kept: [RawFd; 2],
    n_noted: u64,
    /// The ended child for which no note could be written yet, and since when.
    unnoted: Option<(u32, Instant)>,
    /// The supervisor that lives, and since when.
    supervisor: Option<(u32, Instant)>,
    /// The latest delay before a start.
    delay: Duration,
    next_at: Instant,
    last_death: Option<Death>,
}

impl Parent {
    /// Notes and reaps every child that has ended. Returns the code to exit with when there is nothing left to wait
    /// for.
    fn reap_ended_children(&mut self, notes: &ExitNotes) -> Option<i32> {
        let mut has_failed = false;
        let has_children = loop {
            let (pid, cause, usage) = match self.peek() {
                Peeked::Ended(pid, cause, usage) => (pid, cause, usage),
                Peeked::NoneEnded => break true,
                Peeked::NoChild => break false,
            };
            if let Some((supervisor, started_at)) =
                self.supervisor.take_if(|(supervisor, _)| *supervisor == pid)
            {
                sys::reap(supervisor);
                match cause {
                    ExitCause::Code(0) => return Some(0),
                    ExitCause::Code(_) => has_failed = true,
                    ExitCause::Signal(_) | ExitCause::Unknown => {}
                }
                self.supervisor_died(started_at);
                continue;
            }
            match self.note(pid, cause, usage, notes) {
                Ok(()) => self.unnoted = None,
                Err(_) => {
                    let since = self.unnoted.filter(|(unnoted, _)| *unnoted == pid).map(|(_, since)| since);
                    let since = since.unwrap_or_else(Instant::now);
                    self.unnoted = Some((pid, since));
                    if since.elapsed() < NOTE_PATIENCE {
                        break true;
                    }
                    // Without a note, the exit code is unknown.
                    self.unnoted = None;
                }
            }
            // Only now: a supervisor that finds the process gone must find the note.
            sys::reap(pid);
            if let Some((supervisor, _)) = self.supervisor {
                kernel::notify_of_child(supervisor);
            }
        };
        // Without steps no new supervisor is needed when the last one could not even begin (it has reported why), or
        // when each one dies at once.
        let gives_up = match self.n_noted {
            0 => has_failed || self.delay >= GIVE_UP_DELAY,
            // Notes that no supervisor has read yet exist only here.
            _ => has_failed && self.delay >= MAX_DELAY,
        };
        (!has_children && gives_up).then_some(1)
    }

    /// A child that has ended, the supervisor first: descriptors that it holds may be what prevents notes of others.
    fn peek(&self) -> Peeked {
        match self.supervisor.map(|(supervisor, _)| peek(Some(supervisor))) {
            Some(ended @ Peeked::Ended(..)) => ended,
            Some(Peeked::NoneEnded | Peeked::NoChild) | None => peek(None),
        }
    }

    /// Notes how a child ended.
    fn note(&mut self, pid: u32, cause: ExitCause, usage: Usage, notes: &ExitNotes) -> io::Result<()> {
        // It is a zombie, so `/proc` shows this process and no other.
        let found = kernel::read_child(pid)?;
        // Only the leader of a session can be a step.
        if found.session == pid {
            notes.write(self.n_noted, &ExitNote { main: found.id, cause, usage, at: Utc::now() })?;
            self.n_noted += 1;
        }
        Ok(())
    }

    /// A supervisor has ended before its work was done: closes the descriptors that it alone used, by which the engine
    /// notices, and sets when the next one starts.
    fn supervisor_died(&mut self, started_at: Instant) {
        self.last_death = Some(Death { at: Utc::now(), at_ticks: ticks() });
        close_all_but(&self.kept);
        if started_at.elapsed() >= FULL_LIFE {
            self.delay = Duration::ZERO;
            self.next_at = Instant::now();
        } else {
            self.delay_next();
        }
    }

    fn delay_next(&mut self) {
        self.delay = (self.delay * 2).clamp(FIRST_DELAY, MAX_DELAY);
        self.next_at = Instant::now() + self.delay;
    }
}

/// Now in clock ticks since boot, the unit of a process's start time.
pub(super) fn ticks() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let per_second = rustix::param::clock_ticks_per_second();
    let (seconds, nanos) = (u64::try_from(now.tv_sec).unwrap_or(0), u64::try_from(now.tv_nsec).unwrap_or(0));
    seconds * per_second + nanos * per_second / 1_000_000_000
}

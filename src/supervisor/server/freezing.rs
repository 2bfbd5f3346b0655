//! Freezing: parents first, scan by scan, until two scans in a row find nothing new and everything stopped; thawing:
//! children first, and only what we stopped. Every scan is an alarm of the loop, never a wait.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::Server;
use super::step::{Ending, Freeze, Freezing, Inherited, Step};
use crate::supervisor::host::{AttemptKey, HostEvent};
use crate::supervisor::journal::Record;
use crate::supervisor::process::{self, Proc, ProcId};

/// Processes that can't be stopped (state D) are named after this long.
const PATIENCE: Duration = Duration::from_secs(1);
/// Processes that start new ones faster than they can be stopped are named after this long.
const LONG_PATIENCE: Duration = Duration::from_secs(5);
const FIRST_DELAY: Duration = Duration::from_micros(500);
const MAX_DOUBLINGS: u32 = 6;
/// A parent that waits for a vfork is stopped only when its child, stopped by us before its exec, goes on a little.
const VFORK_PATIENCE: Duration = Duration::from_millis(20);

/// What one scan of a freeze found.
enum Found {
    /// Everything is stopped.
    AllStopped,
    /// These are not, as yet.
    Running(Vec<Proc>),
}

impl Server {
    /// Stops every process of a step from running.
    pub(super) fn freeze(&mut self, key: AttemptKey) {
        let Some(n) = self.living(&key) else {
            return self.tell(HostEvent::Frozen { key, unfrozen: Vec::new() });
        };
        let Some(step) = self.steps.get_mut(&n) else { return };
        if step.ending != Ending::No {
            // It is being ended: its end is the answer.
            return;
        }
        match std::mem::replace(&mut step.freeze, Freeze::None) {
            Freeze::Freezing(freezing) => step.freeze = Freeze::Freezing(freezing),
            Freeze::Frozen(stopped) => step.freeze = begin(stopped, Inherited::No),
            Freeze::None => {
                step.freeze = begin(Vec::new(), Inherited::No);
                self.remember(Record::Freezing { n });
            }
        }
        if let Some(step) = self.steps.get_mut(&n) {
            step.n_scans = 0;
        }
        self.go_on_freezing(n);
    }

    /// Goes on with a freeze that a predecessor began.
    pub(super) fn inherit_freeze(&mut self, n: u64) {
        if let Some(step) = self.steps.get_mut(&n) {
            step.freeze = begin(Vec::new(), Inherited::Yes);
            step.wake_at(Instant::now());
        }
    }

    /// One scan, if a freeze is being done.
    pub(super) fn go_on_freezing(&mut self, n: u64) {
        if !self.steps.get(&n).is_some_and(|step| matches!(step.freeze, Freeze::Freezing(_))) {
            return;
        }
        let members = self.members(n);
        let Some(step) = self.steps.get_mut(&n) else { return };
        let Freeze::Freezing(freezing) = &mut step.freeze else { return };
        let found = freezing.scan(&members);
        let elapsed = freezing.since.elapsed();
        let unfrozen = match &found {
            Found::AllStopped if freezing.n_quiet >= 2 => Some(Vec::new()),
            Found::AllStopped => None,
            Found::Running(running) => {
                let stuck = elapsed >= PATIENCE && running.iter().all(Proc::is_uninterruptible);
                (stuck || elapsed >= LONG_PATIENCE)
                    .then(|| running.iter().map(|p| process::describe(p.id)).collect())
            }
        };
        if let Some(unfrozen) = unfrozen {
            let stopped = std::mem::take(&mut freezing.stopped);
            step.freeze = Freeze::Frozen(stopped.clone());
            let key = step.key.clone();
            self.remember(Record::Frozen { n, stopped });
            return self.tell(HostEvent::Frozen { key, unfrozen });
        }
        if let Found::Running(running) = &found
            && elapsed >= VFORK_PATIENCE
        {
            nudge_vforked(running, &members);
        }
        let doublings = if freezing.n_quiet > 0 { 0 } else { step.n_scans.min(MAX_DOUBLINGS) };
        step.n_scans += 1;
        step.wake_at(Instant::now() + FIRST_DELAY * (1 << doublings));
    }

    /// A child of ours has changed: where it is the main process of a step that we have frozen, and goes on, somebody else
    /// has continued it. It is frozen again.
    pub(super) fn look_at_frozen(&mut self) {
        let is_continued = |step: &Step| {
            let main = step.living_main().filter(|_| matches!(step.freeze, Freeze::Frozen(_)));
            main.and_then(Proc::read).is_some_and(|main| !main.is_stopped() && !main.is_dead())
        };
        let continued: Vec<AttemptKey> =
            self.steps.values().filter(|step| is_continued(step)).map(|step| step.key.clone()).collect();
        for key in continued {
            self.freeze(key);
        }
    }

    /// Lets a step go on.
    pub(super) fn thaw(&mut self, key: AttemptKey) {
        if let Some(n) = self.living(&key)
            && let Some(step) = self.steps.get_mut(&n)
        {
            let stopped = match std::mem::replace(&mut step.freeze, Freeze::None) {
                Freeze::None => Vec::new(),
                Freeze::Freezing(freezing) => freezing.stopped,
                Freeze::Frozen(stopped) => stopped,
            };
            for id in stopped.iter().rev() {
                process::signal(*id, Signal::CONT);
            }
            self.remember(Record::Thawed { n });
        }
        self.tell(HostEvent::Thawed { key });
    }
}

fn begin(stopped: Vec<ProcId>, inherited: Inherited) -> Freeze {
    Freeze::Freezing(Freezing { since: Instant::now(), stopped, n_quiet: 0, inherited })
}

impl Freezing {
    /// Stops what is not stopped.
    fn scan(&mut self, members: &[Proc]) -> Found {
        let (mut is_new, mut running) = (false, Vec::new());
        for member in members {
            let is_known = self.stopped.contains(&member.id);
            if member.is_stopped() {
                if !is_known && self.inherited == Inherited::Yes {
                    self.stopped.push(member.id);
                }
                continue;
            }
            process::signal(member.id, Signal::STOP);
            if !is_known {
                self.stopped.push(member.id);
                is_new = true;
            }
            running.push(*member);
        }
        self.n_quiet = if running.is_empty() && !is_new { self.n_quiet + 1 } else { 0 };
        if running.is_empty() { Found::AllStopped } else { Found::Running(running) }
    }
}

/// Lets the stopped children of those that wait uninterruptibly run until the next scan stops them again: a parent in
/// vfork waits so until its child has exec'ed.
fn nudge_vforked(running: &[Proc], members: &[Proc]) {
    for parent in running.iter().filter(|p| p.is_uninterruptible()) {
        for child in members.iter().filter(|p| p.parent == parent.id.pid && p.is_stopped()) {
            process::signal(child.id, Signal::CONT);
        }
    }
}

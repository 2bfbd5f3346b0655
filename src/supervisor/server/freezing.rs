//! Freezing: parents first, scan by scan, until two scans in a row find nothing new and everything stopped; thawing:
//! children first, and only what we stopped. Every scan is an alarm of the loop, never a wait, and one look at the table
//! of processes serves all steps whose scan is due.

use std::io;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::Server;
use super::step::{Ending, Freeze, Freezing, Inherited, Step};
use crate::base::id::AttemptKey;
use crate::process::tracer_of;
use crate::supervisor::host::HostEvent;
use crate::supervisor::journal::Record;
use crate::supervisor::process;
use crate::supervisor::process::{Proc, ProcId};

/// So many looks in a row that find everything stopped are believed although processes of other steps die meanwhile.
const MANY_LOOKS: u32 = 12;
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
        self.unthawed.retain(|unthawed| *unthawed != key);
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
            // In this turn still, together with all others that are to be frozen.
            step.wake_at(Instant::now());
        }
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
        let Some(members) = self.members(n) else { return };
        let found = self.with_reserve(|server| match server.steps.get_mut(&n).map(|step| &mut step.freeze) {
            Some(Freeze::Freezing(freezing)) => freezing.scan(&members),
            Some(Freeze::None | Freeze::Frozen(_)) | None => Ok(Found::AllStopped),
        });
        let Some(found) = self.seen(n, found) else { return };
        let is_incomplete = self.somebody_died_unseen();
        let is_late = self.steps.get(&n).is_some_and(|step| step.n_scans >= 2);
        if is_incomplete || (is_late && matches!(found, Found::Running(_))) {
            let pursued = self.with_reserve(|server| server.pursue(n, Signal::STOP));
            let Some(pursued) = self.seen(n, pursued) else { return };
            if let Some(Freeze::Freezing(freezing)) = self.steps.get_mut(&n).map(|step| &mut step.freeze) {
                let new = pursued.into_iter().filter(|id| !freezing.stopped.contains(id)).collect::<Vec<_>>();
                freezing.stopped.extend(new);
            }
        }
        let Some(step) = self.steps.get_mut(&n) else { return };
        let Freeze::Freezing(freezing) = &mut step.freeze else { return };
        freezing.n_certain = if is_incomplete { 0 } else { freezing.n_certain + 1 };
        let elapsed = freezing.since.elapsed();
        let unfrozen = match &found {
            Found::AllStopped => freezing.is_seen_complete().then(Vec::new),
            Found::Running(running) => {
                let is_out_of_reach = |p: &Proc| p.is_uninterruptible() || p.is_held_by_tracer();
                let stuck = elapsed >= PATIENCE && running.iter().all(is_out_of_reach);
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
            // What could not be reached is stopped still, and is nudged after the next scan.
            let _ = nudge_vforked(running, &members);
        }
        let Some(step) = self.steps.get_mut(&n) else { return };
        let Freeze::Freezing(freezing) = &step.freeze else { return };
        let doublings = if freezing.n_quiet > 0 { 0 } else { step.n_scans.min(MAX_DOUBLINGS) };
        step.n_scans += 1;
        step.wake_at(Instant::now() + FIRST_DELAY * (1 << doublings));
    }

    /// A child of ours has changed: where it is the main process of a step that we have frozen, and goes on, somebody else
    /// has continued it. It is frozen again.
    pub(super) fn look_at_frozen(&mut self) {
        let is_continued = |step: &Step| {
            let main = step.living_main().filter(|_| matches!(step.freeze, Freeze::Frozen(_)));
            let found = main.and_then(|main| Proc::read(main).ok().flatten());
            found.is_some_and(|main| !main.is_stopped() && !main.is_dead())
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
            // What was seen of them in this turn is true no more.
            self.eyes.forget();
            let children_first = || stopped.iter().rev().copied();
            let thawed = self.with_reserve(|_| process::signal_all(children_first(), Signal::CONT));
            if self.seen(n, thawed).is_none() {
                if let Some(step) = self.steps.get_mut(&n) {
                    step.freeze = Freeze::Frozen(stopped);
                }
                return self.unthawed.push(key);
            }
            self.remember(Record::Thawed { n });
        }
        self.tell(HostEvent::Thawed { key });
    }
}

fn begin(stopped: Vec<ProcId>, inherited: Inherited) -> Freeze {
    Freeze::Freezing(Freezing { since: Instant::now(), stopped, n_quiet: 0, n_certain: 0, inherited })
}

impl Freezing {
    /// Whether nothing of the tree can be running: two looks in which nobody died unseen, or, where others die all the
    /// time, more looks than anything can run ahead of.
    fn is_seen_complete(&self) -> bool {
        self.n_quiet >= 2 && (self.n_certain >= 2 || self.n_quiet >= MANY_LOOKS)
    }

    /// Stops what is not stopped.
    fn scan(&mut self, members: &[Proc]) -> io::Result<Found> {
        let (mut is_new, mut running, mut reached) = (false, Vec::new(), Ok(()));
        for member in members {
            let is_known = self.stopped.contains(&member.id);
            if member.is_stopped() && !is_at_mercy_of_stranger(member, members)? {
                if !is_known && self.inherited == Inherited::Yes {
                    self.stopped.push(member.id);
                }
                continue;
            }
            reached = reached.and(process::signal(member.id, Signal::STOP));
            if !is_known {
                self.stopped.push(member.id);
                is_new = true;
            }
            running.push(*member);
        }
        self.n_quiet = if running.is_empty() && !is_new { self.n_quiet + 1 } else { 0 };
        reached.map(|()| if running.is_empty() { Found::AllStopped } else { Found::Running(running) })
    }
}

/// Whether a process is held by a tracer that is not of the tree, which may let it go on at any moment.
fn is_at_mercy_of_stranger(member: &Proc, members: &[Proc]) -> io::Result<bool> {
    if !member.is_held_by_tracer() {
        return Ok(false);
    }
    let tracer = tracer_of(member.id.pid)?;
    Ok(tracer.is_some_and(|tracer| !members.iter().any(|other| other.id.pid == tracer)))
}

/// Lets the stopped children of those that wait uninterruptibly run until the next scan stops them again: a parent in
/// vfork waits so until its child has exec'ed.
fn nudge_vforked(running: &[Proc], members: &[Proc]) -> io::Result<()> {
    let parents = running.iter().filter(|p| p.is_uninterruptible());
    let children = parents
        .flat_map(|parent| members.iter().filter(|p| p.parent == parent.id.pid && p.is_stopped()))
        .map(|child| child.id);
    process::signal_all(children, Signal::CONT)
}

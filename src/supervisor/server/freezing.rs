//! Freezing and thawing. A freeze stops parents first, scan by scan, until two scans in a row find nothing new and
//! everything stopped. A thaw continues children first, and only processes that we stopped. Scans are timed by alarms
//! of the loop, which never blocks. One snapshot of the processes serves all steps whose scan is due.

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

/// After this many scans in a row that found everything stopped, the freeze counts as complete, even if processes of
/// other steps died during each.
const ENOUGH_SCANS: u32 = 12;
/// After this long, processes that can't be stopped (state D) are reported by name.
const PATIENCE: Duration = Duration::from_secs(1);
/// After this long, processes that start new ones faster than they can be stopped are reported by name.
const LONG_PATIENCE: Duration = Duration::from_secs(5);
const FIRST_DELAY: Duration = Duration::from_micros(500);
const MAX_DOUBLINGS: u32 = 6;
/// After this long, stopped children of waiting parents are continued for a moment. A parent waits in vfork until its
/// child has exec'ed, and can't stop before.
const VFORK_PATIENCE: Duration = Duration::from_millis(20);

/// What one scan of a freeze found.
enum Found {
    /// Everything is stopped.
    AllStopped,
    /// These are not stopped yet.
    Running(Vec<Proc>),
}

impl Server {
    /// Stops every process of a step from running.
    pub(super) fn freeze(&mut self, key: AttemptKey) {
        let Some(n) = self.living(&key) else {
            return self.send_event(HostEvent::Frozen { key, unfrozen: Vec::new() });
        };
        let Some(step) = self.steps.get_mut(&n) else { return };
        self.deferred_thaws.retain(|deferred_thaws| *deferred_thaws != key);
        if step.ending != Ending::No {
            // The step is being ended: its end is the answer.
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
            // Later in this turn, together with all other freezes.
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
        let Some(found) = self.checked(n, found) else { return };
        let is_incomplete = self.orphan_died_during_snapshot();
        let is_late = self.steps.get(&n).is_some_and(|step| step.n_scans >= 2);
        if is_incomplete || (is_late && matches!(found, Found::Running(_))) {
            let signalled = self.with_reserve(|server| server.signal_descendants(n, Signal::STOP));
            let Some(signalled) = self.checked(n, signalled) else { return };
            if let Some(Freeze::Freezing(freezing)) = self.steps.get_mut(&n).map(|step| &mut step.freeze) {
                let new =
                    signalled.into_iter().filter(|id| !freezing.stopped.contains(id)).collect::<Vec<_>>();
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
            return self.send_event(HostEvent::Frozen { key, unfrozen });
        }
        if let Found::Running(running) = &found
            && elapsed >= VFORK_PATIENCE
        {
            // A child that could not be continued is still stopped, and is tried again after the next scan.
            let _ = continue_vfork_children(running, &members);
        }
        let Some(step) = self.steps.get_mut(&n) else { return };
        let Freeze::Freezing(freezing) = &step.freeze else { return };
        let doublings = if freezing.n_quiet > 0 { 0 } else { step.n_scans.min(MAX_DOUBLINGS) };
        step.n_scans += 1;
        step.wake_at(Instant::now() + FIRST_DELAY * (1 << doublings));
    }

    /// A child of ours has changed its state. If it is the main process of a frozen step and runs, another process has
    /// continued it: the step is frozen again.
    pub(super) fn refreeze_continued(&mut self) {
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

    /// Lets a step run again.
    pub(super) fn thaw(&mut self, key: AttemptKey) {
        if let Some(n) = self.living(&key)
            && let Some(step) = self.steps.get_mut(&n)
        {
            let stopped = match std::mem::replace(&mut step.freeze, Freeze::None) {
                Freeze::None => Vec::new(),
                Freeze::Freezing(freezing) => freezing.stopped,
                Freeze::Frozen(stopped) => stopped,
            };
            // The snapshot of this turn is out of date.
            self.scanner.forget();
            let children_first = || stopped.iter().rev().copied();
            let thawed = self.with_reserve(|_| process::signal_all(children_first(), Signal::CONT));
            if self.checked(n, thawed).is_none() {
                if let Some(step) = self.steps.get_mut(&n) {
                    step.freeze = Freeze::Frozen(stopped);
                }
                return self.deferred_thaws.push(key);
            }
            self.remember(Record::Thawed { n });
        }
        self.send_event(HostEvent::Thawed { key });
    }
}

fn begin(stopped: Vec<ProcId>, inherited: Inherited) -> Freeze {
    Freeze::Freezing(Freezing { since: Instant::now(), stopped, n_quiet: 0, n_certain: 0, inherited })
}

impl Freezing {
    /// Whether no process of the tree can be running. Two quiet scans are enough if no orphan died during them. When
    /// other processes die all the time, it takes so many scans that no chain of forks can stay ahead of them.
    fn is_seen_complete(&self) -> bool {
        self.n_quiet >= 2 && (self.n_certain >= 2 || self.n_quiet >= ENOUGH_SCANS)
    }

    /// Stops the members that are not stopped.
    fn scan(&mut self, members: &[Proc]) -> io::Result<Found> {
        let (mut is_new, mut running, mut reached) = (false, Vec::new(), Ok(()));
        for member in members {
            let is_known = self.stopped.contains(&member.id);
            if member.is_stopped() && !is_held_by_outside_tracer(member, members)? {
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

/// Whether a process is held by a tracer outside the tree, which may continue it at any moment.
fn is_held_by_outside_tracer(member: &Proc, members: &[Proc]) -> io::Result<bool> {
    if !member.is_held_by_tracer() {
        return Ok(false);
    }
    let tracer = tracer_of(member.id.pid)?;
    Ok(tracer.is_some_and(|tracer| !members.iter().any(|other| other.id.pid == tracer)))
}

/// Continues the stopped children of processes that wait uninterruptibly, until the next scan stops them again. A
/// parent in vfork waits like that until its child has exec'ed.
fn continue_vfork_children(running: &[Proc], members: &[Proc]) -> io::Result<()> {
    let parents = running.iter().filter(|p| p.is_uninterruptible());
    let children = parents
        .flat_map(|parent| members.iter().filter(|p| p.parent == parent.id.pid && p.is_stopped()))
        .map(|child| child.id);
    process::signal_all(children, Signal::CONT)
}

//! Which runs hold what: the runs that have begun, and what their living steps need. The engine keeps it up to date,
//! run by run.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::need::{Footprints, Need};
use super::orders::Orders;
use super::policy::AdmissionPolicy;
use super::wait::{Place, Wait};
use crate::base::id::{PipelineId, RunId, StepId};
use crate::resources::ResourceSnapshot;

/// Everything that decides whether something may start.
#[derive(Debug, Clone, Default)]
pub struct Admission {
    /// The limits that the operator has set.
    pub policy: AdmissionPolicy,
    /// The orders of the operator.
    pub orders: Orders,
    /// CPUs of the machine.
    pub n_cpus: usize,
    /// How many steps may live at once, whatever they need, because the supervisor has a limit of open files; none
    /// means no limit.
    pub max_steps: Option<usize>,
    /// The last sample: what the machine has left and what each step uses. None when nothing was measured yet.
    pub machine: Option<Arc<ResourceSnapshot>>,
    /// What the steps of pipelines usually need.
    pub footprints: BTreeMap<PipelineId, Arc<Footprints>>,
    /// When the next run that waited for the end of quiet may start, one at a time; none means at once.
    pub next_turn_at: Option<DateTime<Utc>>,
    /// Whether a wait counts as changed when its holder has changed; otherwise such changes are reported later.
    pub tells_holders: bool,
    /// Runs wait for places already, so a new run must join the line.
    pub(super) are_places_awaited: bool,
    /// Steps wait for memory, CPUs or space already, so a new step that needs these must join the line.
    pub(super) is_room_awaited: bool,
    pub(super) claims: BTreeMap<RunId, RunClaim>,
    /// What is reserved for runs that must not be overtaken: the run, and what it waits for.
    pub(super) kept: Vec<(RunId, Kept)>,
}

/// What is reserved for a run that must not be overtaken.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kept {
    /// Places of this kind.
    Place(Place),
    /// Memory, CPUs and space, as far as its step needs them.
    Resources(Need),
}

/// A run that has begun and not ended.
#[derive(Debug, Clone, PartialEq)]
pub struct RunClaim {
    pub pipeline_id: PipelineId,
    pub group: Option<String>,
    pub since: DateTime<Utc>,
    /// Since when it is frozen, if it is.
    pub frozen_since: Option<DateTime<Utc>>,
    pub steps: Vec<StepClaim>,
}

/// A living step.
#[derive(Debug, Clone, PartialEq)]
pub struct StepClaim {
    pub step_id: StepId,
    /// What it needs at its peak.
    pub need: Need,
    /// Its working directory, in whose file system it writes.
    pub folder: PathBuf,
}

impl Admission {
    /// No run has begun, and this policy holds.
    pub fn new(policy: AdmissionPolicy, n_cpus: usize) -> Self {
        Self { policy, n_cpus, tells_holders: true, ..Self::default() }
    }

    /// Sets what a run holds from now on; none when it has not begun or has ended.
    pub fn note(&mut self, run_id: &RunId, claim: Option<RunClaim>) {
        match claim {
            Some(claim) => drop(self.claims.insert(run_id.clone(), claim)),
            None => drop(self.claims.remove(run_id)),
        }
    }

    /// From now on every run and step must join the line, because it is not known yet which ones wait.
    pub fn await_line(&mut self) {
        (self.are_places_awaited, self.is_room_awaited) = (true, true);
    }

    /// Begins to go through the line from its head; nothing is reserved yet.
    pub fn begin_line(&mut self) {
        (self.are_places_awaited, self.is_room_awaited) = (false, false);
        self.kept.clear();
    }

    /// The line has been gone through. If runs still wait for places, new runs must wait as well; the same holds for
    /// steps.
    pub fn end_line(&mut self, are_places_awaited: bool, is_room_awaited: bool) {
        (self.are_places_awaited, self.is_room_awaited) = (are_places_awaited, is_room_awaited);
    }

    /// Reserves the place that `run_id` waits for, because it has waited so long that it must not be overtaken.
    pub fn keep_place(&mut self, run_id: &RunId, wait: &Wait) {
        if let Wait::Place { place, .. } = wait {
            self.kept.push((run_id.clone(), Kept::Place(place.clone())));
        }
    }

    /// Reserves what a step of `run_id` waits for, if the ends of other runs can free it.
    pub fn keep_room(&mut self, run_id: &RunId, wait: &Wait, step: &StepClaim) {
        let may_be_freed = match wait {
            Wait::Memory { .. } | Wait::Cpu { .. } | Wait::Disk { .. } => self.can_be_freed(run_id, step),
            Wait::Place { .. }
            | Wait::TooMuch { .. }
            | Wait::OpenFiles { .. }
            | Wait::Behind { .. }
            | Wait::Turn { .. }
            | Wait::Limit { .. }
            | Wait::Quiet { .. }
            | Wait::Drain
            | Wait::Battery
            | Wait::Closed => false,
        };
        if may_be_freed {
            self.kept.push((run_id.clone(), Kept::Resources(step.need)));
        }
    }

    /// Whether `now` adds nothing to the `known` wait: it is the same wait, and its holder still holds something.
    /// `Closed` and `Turn` add nothing either, because the known cause says more.
    pub fn is_still(&self, known: &Wait, now: &Wait) -> bool {
        if matches!(now, Wait::Closed | Wait::Turn { at: None }) {
            return true;
        }
        let holds = |run_id| self.claims.contains_key(run_id);
        let is_same_holder = || known.holder() == now.holder() || known.holder().is_none_or(holds);
        known.is_same(now) && (!self.tells_holders || is_same_holder())
    }

    /// Whether the machine runs on battery.
    pub fn is_on_battery(&self) -> bool {
        let power = self.machine.as_ref().and_then(|sample| sample.machine.power);
        power.is_some_and(|power| power.on_battery)
    }
}

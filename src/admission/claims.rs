//! Who holds what: the runs that have begun, and what their living steps need. Kept by whoever decides, run by run.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{AdmissionPolicy, Footprints, Need, Orders, Wait};
use crate::base::id::{PipelineId, RunId, StepId};
use crate::resources::ResourceSnapshot;

/// Everything that decides whether something may start.
#[derive(Debug, Clone, Default)]
pub struct Admission {
    /// What the operator allows.
    pub policy: AdmissionPolicy,
    /// What the operator has ordered.
    pub orders: Orders,
    /// CPUs of the machine.
    pub n_cpus: usize,
    /// How many steps may live at once, whatever they need: what watches over them can have so many files open; none: any.
    pub max_steps: Option<usize>,
    /// What the machine has left and what each step uses, as it was measured last; none: nothing is known of it.
    pub machine: Option<Arc<ResourceSnapshot>>,
    /// What the steps of pipelines usually need.
    pub footprints: BTreeMap<PipelineId, Arc<Footprints>>,
    /// What waited for the end of quiet may start from then on, one at a time; none: at once.
    pub next_turn_at: Option<DateTime<Utc>>,
    /// Who waits is told when another has what it waits for; else it is told of that later.
    pub tells_holders: bool,
    /// Runs wait for places already: whoever comes now stands in line first.
    pub(super) are_places_awaited: bool,
    /// Steps wait for memory, CPUs or space already: the next one that needs them stands in line first.
    pub(super) is_room_awaited: bool,
    pub(super) claims: BTreeMap<RunId, RunClaim>,
    /// Kept for those whom nobody may pass: their runs, and what each of them waits for.
    pub(super) kept: Vec<(RunId, Kept)>,
}

/// What is kept for one who may not be passed.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kept {
    /// Places of this kind.
    Place(super::Place),
    /// Memory, CPUs and space, as far as it needs them.
    Resources(Need),
}

/// A run that has begun and not ended.
#[derive(Debug, Clone, PartialEq)]
pub struct RunClaim {
    /// Its pipeline.
    pub pipeline_id: PipelineId,
    /// Its group.
    pub group: Option<String>,
    /// When it began.
    pub since: DateTime<Utc>,
    /// Since when it is frozen.
    pub frozen_since: Option<DateTime<Utc>>,
    /// Its living steps.
    pub steps: Vec<StepClaim>,
}

/// A living step.
#[derive(Debug, Clone, PartialEq)]
pub struct StepClaim {
    /// Which.
    pub step_id: StepId,
    /// What it needs at its peak.
    pub need: Need,
    /// Where it runs: there it writes.
    pub folder: PathBuf,
}

impl Admission {
    /// Nothing lives, and this is allowed.
    pub fn new(policy: AdmissionPolicy, n_cpus: usize) -> Self {
        Self { policy, n_cpus, tells_holders: true, ..Self::default() }
    }

    /// What a run holds from now on; none: it has not begun, or has ended.
    pub fn note(&mut self, run_id: &RunId, claim: Option<RunClaim>) {
        match claim {
            Some(claim) => drop(self.claims.insert(run_id.clone(), claim)),
            None => drop(self.claims.remove(run_id)),
        }
    }

    /// Whoever comes from now on stands in line: it is not known yet who waits.
    pub fn await_line(&mut self) {
        (self.are_places_awaited, self.is_room_awaited) = (true, true);
    }

    /// Looks at the line anew, from its head: nothing is kept for anybody yet.
    pub fn begin_line(&mut self) {
        (self.are_places_awaited, self.is_room_awaited) = (false, false);
        self.kept.clear();
    }

    /// The line has been looked at. Where runs wait for places still, whoever comes now waits too, and so with steps.
    pub fn end_line(&mut self, are_places_awaited: bool, is_room_awaited: bool) {
        (self.are_places_awaited, self.is_room_awaited) = (are_places_awaited, is_room_awaited);
    }

    /// Keeps the place that `run_id` waits for: it has waited for so long that nobody may pass it.
    pub fn keep_place(&mut self, run_id: &RunId, wait: &Wait) {
        if let Wait::Place { place, .. } = wait {
            self.kept.push((run_id.clone(), Kept::Place(place.clone())));
        }
    }

    /// The same for what a step of it waits for, where ends of others can give it that.
    pub fn keep_room(&mut self, run_id: &RunId, wait: &Wait, step: &StepClaim) {
        let may_come = match wait {
            Wait::Memory { .. } | Wait::Cpu { .. } | Wait::Disk { .. } => self.may_come_free(run_id, step),
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
        if may_come {
            self.kept.push((run_id.clone(), Kept::Resources(step.need)));
        }
    }

    /// Whether `now` tells nothing new where a wait is `known`: it is the same, of a holder that holds still. For what it
    /// waits in truth says more than that nothing starts at all, or others are looked at first.
    pub fn is_still(&self, known: &Wait, now: &Wait) -> bool {
        if matches!(now, Wait::Closed | Wait::Turn { at: None }) {
            return true;
        }
        let holds = |run_id| self.claims.contains_key(run_id);
        let is_same_holder = || known.holder() == now.holder() || known.holder().is_none_or(holds);
        known.is_same(now) && (!self.tells_holders || is_same_holder())
    }

    /// Whether the machine lives on its battery.
    pub fn is_on_battery(&self) -> bool {
        let power = self.machine.as_ref().and_then(|sample| sample.machine.power);
        power.is_some_and(|power| power.on_battery)
    }
}

//! Who holds what: the runs that have begun, and what their living steps need. Kept by whoever decides, run by run.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{AdmissionPolicy, Footprints, Need, Orders, Wait};
use crate::id::{PipelineId, RunId, StepId};
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
    /// What the machine has left and what each step uses, as it was measured last; none: nothing is known of it.
    pub machine: Option<Arc<ResourceSnapshot>>,
    /// What the steps of pipelines usually need.
    pub footprints: BTreeMap<PipelineId, Arc<Footprints>>,
    /// What waited for the end of quiet may start from then on, one at a time; none: at once.
    pub next_turn_at: Option<DateTime<Utc>>,
    /// Others wait already: whoever comes now stands in line first.
    pub is_line_formed: bool,
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
        Self { policy, n_cpus, ..Self::default() }
    }

    /// What a run holds from now on; none: it has not begun, or has ended.
    pub fn note(&mut self, run_id: &RunId, claim: Option<RunClaim>) {
        match claim {
            Some(claim) => drop(self.claims.insert(run_id.clone(), claim)),
            None => drop(self.claims.remove(run_id)),
        }
    }

    /// Looks at the line anew, from its head: nothing is kept for anybody yet.
    pub fn begin_line(&mut self) {
        self.is_line_formed = false;
        self.kept.clear();
    }

    /// Keeps what `run_id` waits for: it has waited for so long that nobody may pass it.
    pub fn keep_for(&mut self, run_id: &RunId, wait: &Wait, need: Need) {
        let kept = match wait {
            Wait::Place { place, .. } => Kept::Place(place.clone()),
            Wait::Memory { .. } | Wait::Cpu { .. } | Wait::Disk { .. } => Kept::Resources(need),
            Wait::TooMuch { .. }
            | Wait::Behind { .. }
            | Wait::Turn { .. }
            | Wait::Limit { .. }
            | Wait::Quiet { .. }
            | Wait::Drain
            | Wait::Battery
            | Wait::Closed => return,
        };
        self.kept.push((run_id.clone(), kept));
    }

    /// Whether the machine lives on its battery.
    pub fn is_on_battery(&self) -> bool {
        let power = self.machine.as_ref().and_then(|sample| sample.machine.power);
        power.is_some_and(|power| power.on_battery)
    }
}

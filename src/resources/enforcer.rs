//! What is done about exceeded limits: who is told, whether steps may start, and which run is frozen. What was done is
//! undone when the limit is cleared.

use std::path::Path;
use std::sync::Arc;

use super::{
    Limit, LimitAction, LimitChange, RaisedLimit, Resource, ResourceSnapshot, StepSample, Threshold,
};
use crate::base::id::RunId;
use crate::base::units::format_duration;

/// Who writes less than this, in bytes a second, does not fill a disk.
const MIN_WRITE_RATE: f64 = 65_536.0;

/// One thing to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Measure {
    /// Tell everybody. An alert is cleared by the text with which it was raised.
    Alert {
        /// A sentence with figures and the step that uses most.
        text: String,
        /// Whether it is over.
        cleared: bool,
    },
    /// From now on no step starts, for this reason; without one they may again.
    HoldStarts(Option<String>),
    /// Freeze this run.
    Freeze {
        /// Which.
        run_id: RunId,
        /// Why, and when it goes on.
        reason: String,
    },
    /// Let this run go on, if it is frozen for a limit.
    Thaw(RunId),
}

/// Remembers which limits are exceeded, and what was done about each.
#[derive(Debug, Default)]
pub struct LimitEnforcer {
    standing: Vec<Standing>,
}

/// A limit that is exceeded.
#[derive(Debug)]
struct Standing {
    limit: Limit,
    volume: Option<Arc<Path>>,
    text: String,
    reason: String,
    frozen: Vec<RunId>,
}

impl LimitEnforcer {
    /// What a sample calls for. `may_freeze` says of a run whether it goes on at the moment and can be frozen; `let_go` are
    /// those that the operator has let go on against a limit. Where that was before an engine was started anew, the limit
    /// that is raised counts as the same one: it has had its run.
    ///
    /// A limit freezes one run, the one that uses most of what is short; that of the disk freezes, as long as it is
    /// exceeded, with every sample the one that writes most, for a frozen writer gives back no space.
    pub fn answer(
        &mut self,
        sample: &ResourceSnapshot,
        let_go: &[RunId],
        may_freeze: impl Fn(&RunId) -> bool,
    ) -> Vec<Measure> {
        let mut measures = Vec::new();
        let held_before = self.reason_to_hold();
        for change in &sample.changes {
            match change {
                LimitChange::Cleared(cleared) => self.clear(cleared, &mut measures),
                LimitChange::Raised(raised) => {
                    let text = sentence(raised, culprit(raised.limit.resource(), sample));
                    measures.push(Measure::Alert { text: text.clone(), cleared: false });
                    let (limit, volume) = (raised.limit, raised.volume.clone());
                    let reason = format!("{}; it goes on when {}", figures(raised), clearing(&limit));
                    let is_new = |run: &&RunId| !self.standing.iter().any(|it| it.frozen.contains(*run));
                    let is_freezing = limit.action() == LimitAction::Freeze;
                    let frozen = let_go.iter().filter(|_| is_freezing).filter(is_new).cloned().collect();
                    self.standing.push(Standing { limit, volume, text, reason, frozen });
                }
            }
        }
        if self.reason_to_hold() != held_before {
            measures.push(Measure::HoldStarts(self.reason_to_hold()));
        }
        for at in 0..self.standing.len() {
            let Standing { limit, reason, frozen, .. } = &self.standing[at];
            let is_enough = !frozen.is_empty() && limit.resource() != Resource::Disk;
            if limit.action() != LimitAction::Freeze || is_enough {
                continue;
            }
            let is_frozen = |run: &RunId| self.standing.iter().any(|other| other.frozen.contains(run));
            let free = |run: &RunId| may_freeze(run) && !is_frozen(run);
            if let Some(run_id) = heaviest_run(limit.resource(), sample, free) {
                measures
                    .push(Measure::Freeze { run_id: run_id.clone(), reason: format!("frozen: {reason}") });
                self.standing[at].frozen.push(run_id);
            }
        }
        measures
    }

    fn clear(&mut self, cleared: &RaisedLimit, measures: &mut Vec<Measure>) {
        let is_it = |other: &Standing| other.limit == cleared.limit && other.volume == cleared.volume;
        let Some(at) = self.standing.iter().position(is_it) else { return };
        let gone = self.standing.remove(at);
        measures.push(Measure::Alert { text: gone.text, cleared: true });
        measures.extend(gone.frozen.into_iter().map(Measure::Thaw));
    }

    fn reason_to_hold(&self) -> Option<String> {
        let holds = |standing: &&Standing| standing.limit.action() != LimitAction::Alert;
        self.standing.iter().find(holds).map(|standing| standing.reason.clone())
    }
}

/// How much of a resource a step uses.
fn weight(resource: Resource, step: &StepSample) -> f64 {
    match resource {
        Resource::Cpu => step.cpu_fraction,
        // What of a step is swapped out is not known; what it has is the best guess at who pushed.
        Resource::Memory | Resource::Swap => step.memory_bytes as f64,
        Resource::Disk => filling_rate(step),
    }
}

/// How fast a step may be filling disks, in bytes a second. What it writes into a file system in memory, or into its log
/// (a pipe, which the supervisor empties), is none that the kernel counts as written towards a disk; what it maps into
/// memory is none that it hands to a write call. So the larger of both counts; 0 where it is too little to fill any.
fn filling_rate(step: &StepSample) -> f64 {
    let rate = step.write_rate.max(step.output_rate);
    if rate < MIN_WRITE_RATE { 0.0 } else { rate }
}

/// The step that uses most.
pub(super) fn culprit(resource: Resource, sample: &ResourceSnapshot) -> Option<&StepSample> {
    let by_weight = |a: &&StepSample, b: &&StepSample| weight(resource, a).total_cmp(&weight(resource, b));
    sample.steps.iter().max_by(by_weight).filter(|step| weight(resource, step) > 0.0)
}

/// The run that uses most among those that may be frozen.
fn heaviest_run(
    resource: Resource,
    sample: &ResourceSnapshot,
    may_freeze: impl Fn(&RunId) -> bool,
) -> Option<RunId> {
    let runs = sample.steps.chunk_by(|a, b| a.key.run_id == b.key.run_id);
    runs.filter_map(|steps| {
        Some((&steps.first()?.key.run_id, steps.iter().map(|s| weight(resource, s)).sum()))
    })
    .filter(|(run_id, sum): &(_, f64)| *sum > 0.0 && may_freeze(run_id))
    .max_by(|a, b| a.1.total_cmp(&b.1))
    .map(|(run_id, _)| run_id.clone())
}

pub(super) fn sentence(raised: &RaisedLimit, culprit: Option<&StepSample>) -> String {
    let limit = &raised.limit;
    let who = match culprit {
        Some(step) => {
            let key = &step.key;
            format!("step {} of run {} {}", key.step_id, key.run_id, usage(limit.resource(), step))
        }
        None => "no step is seen to be the cause".to_owned(),
    };
    let done = match limit.action() {
        LimitAction::Alert => String::new(),
        LimitAction::Hold => format!("; no step starts until {}", clearing(limit)),
        LimitAction::Freeze => {
            format!("; no step starts and the heaviest run is frozen until {}", clearing(limit))
        }
    };
    format!("{}; {who}{done}", figures(raised))
}

/// "memory 93% (limit 90%) for 30s".
fn figures(raised: &RaisedLimit) -> String {
    let limit = &raised.limit;
    let amount = match limit.raise_at() {
        Threshold::Fraction(_) => Threshold::Fraction(raised.amount / raised.total.max(f64::MIN_POSITIVE)),
        Threshold::Bytes(_) => Threshold::Bytes(raised.amount as u64),
    };
    let (name, free) = match (limit.resource(), &raised.volume) {
        (Resource::Disk, Some(path)) => (format!("disk of {}", path.display()), " free"),
        (Resource::Disk, None) => ("disk".to_owned(), " free"),
        (resource @ (Resource::Cpu | Resource::Memory | Resource::Swap), _) => {
            (resource.name().to_owned(), "")
        }
    };
    let sustained = match limit.sustain_ms() {
        0 => String::new(),
        ms => format!(" for {}", format_duration(std::time::Duration::from_millis(ms))),
    };
    format!("{name} {amount}{free} (limit {}){sustained}", limit.raise_at())
}

fn clearing(limit: &Limit) -> String {
    match limit.resource() {
        Resource::Disk => format!("{} are free again", limit.clear_at()),
        resource @ (Resource::Cpu | Resource::Memory | Resource::Swap) => {
            format!("{} is down to {}", resource.name(), limit.clear_at())
        }
    }
}

/// What a step does, as the rest of a sentence.
fn usage(resource: Resource, step: &StepSample) -> String {
    match resource {
        Resource::Cpu => format!("uses {}", Threshold::Fraction(step.cpu_fraction)),
        Resource::Memory | Resource::Swap => format!("holds {}", Threshold::Bytes(step.memory_bytes)),
        Resource::Disk => format!("writes {}/s", Threshold::Bytes(filling_rate(step) as u64)),
    }
}

#[cfg(test)]
mod tests;

//! What is done about exceeded limits: which alerts are published, whether steps may start, and which runs are frozen.
//! It is undone when the limit is cleared.

use std::path::Path;
use std::sync::Arc;

use super::limit_watch::{LimitChange, RaisedLimit};
use super::limits::{Limit, LimitAction, Resource, Threshold};
use super::sample::{ResourceSnapshot, StepSample};
use crate::base::id::RunId;
use crate::base::units::format_duration;

/// A step that writes less than this, in bytes a second, does not fill a disk.
const MIN_WRITE_RATE: f64 = 65_536.0;

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Measure {
    /// Publish an alert. It is cleared by the text with which it was raised.
    Alert {
        /// A sentence with figures and the step that uses most.
        text: String,
        /// Whether it is over.
        cleared: bool,
    },
    /// From now on no step starts, for this reason; none means that steps may start again.
    HoldStarts(Option<String>),
    /// Freeze this run.
    Freeze {
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
    exceeded: Vec<ExceededLimit>,
}

/// A limit that is exceeded.
#[derive(Debug)]
struct ExceededLimit {
    limit: Limit,
    volume: Option<Arc<Path>>,
    text: String,
    reason: String,
    frozen: Vec<RunId>,
}

impl LimitEnforcer {
    /// Decides what to do about a sample. `may_freeze` says whether a run is running and can be frozen. `let_go` are
    /// the runs that the operator has resumed in spite of a limit. After a restart of the engine, a raised limit counts
    /// as the one that had frozen them, and freezes no other run.
    ///
    /// A limit freezes one run: the one that uses most of the resource. The disk's limit freezes the run that writes
    /// most with every sample while it is exceeded, because a frozen writer frees no space.
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
                    let is_new = |run: &&RunId| !self.exceeded.iter().any(|it| it.frozen.contains(*run));
                    let is_freezing = limit.action() == LimitAction::Freeze;
                    let frozen = let_go.iter().filter(|_| is_freezing).filter(is_new).cloned().collect();
                    self.exceeded.push(ExceededLimit { limit, volume, text, reason, frozen });
                }
            }
        }
        if self.reason_to_hold() != held_before {
            measures.push(Measure::HoldStarts(self.reason_to_hold()));
        }
        for at in 0..self.exceeded.len() {
            let ExceededLimit { limit, reason, frozen, .. } = &self.exceeded[at];
            let is_enough = !frozen.is_empty() && limit.resource() != Resource::Disk;
            if limit.action() != LimitAction::Freeze || is_enough {
                continue;
            }
            let is_frozen = |run: &RunId| self.exceeded.iter().any(|other| other.frozen.contains(run));
            let free = |run: &RunId| may_freeze(run) && !is_frozen(run);
            if let Some(run_id) = heaviest_run(limit.resource(), sample, free) {
                measures
                    .push(Measure::Freeze { run_id: run_id.clone(), reason: format!("frozen: {reason}") });
                self.exceeded[at].frozen.push(run_id);
            }
        }
        measures
    }

    fn clear(&mut self, cleared: &RaisedLimit, measures: &mut Vec<Measure>) {
        let is_it = |other: &ExceededLimit| other.limit == cleared.limit && other.volume == cleared.volume;
        let Some(at) = self.exceeded.iter().position(is_it) else { return };
        let removed = self.exceeded.remove(at);
        measures.push(Measure::Alert { text: removed.text, cleared: true });
        measures.extend(removed.frozen.into_iter().map(Measure::Thaw));
    }

    fn reason_to_hold(&self) -> Option<String> {
        let holds = |exceeded: &&ExceededLimit| exceeded.limit.action() != LimitAction::Alert;
        self.exceeded.iter().find(holds).map(|exceeded| exceeded.reason.clone())
    }
}

/// How much of a resource a step uses.
fn weight(resource: Resource, step: &StepSample) -> f64 {
    match resource {
        Resource::Cpu => step.cpu_fraction,
        // How much of a step is swapped out is not known; its memory is the best guess.
        Resource::Memory | Resource::Swap => step.memory_bytes as f64,
        Resource::Disk => filling_rate(step),
    }
}

/// How fast a step may be filling disks, in bytes a second. The kernel's count of disk writes lacks what goes to a file
/// system in memory or to the log (a pipe, which the supervisor empties). The count of write calls lacks what is
/// written through mapped memory. So the larger of the two is used; 0 when it is too little to fill a disk.
fn filling_rate(step: &StepSample) -> f64 {
    let rate = step.write_rate.max(step.output_rate);
    if rate < MIN_WRITE_RATE { 0.0 } else { rate }
}

/// The step that uses most of a resource.
pub(super) fn culprit(resource: Resource, sample: &ResourceSnapshot) -> Option<&StepSample> {
    let by_weight = |a: &&StepSample, b: &&StepSample| weight(resource, a).total_cmp(&weight(resource, b));
    sample.steps.iter().max_by(by_weight).filter(|step| weight(resource, step) > 0.0)
}

/// The run that uses most of a resource, among those that may be frozen.
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
        None => "no step is known to be the cause".to_owned(),
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

/// What a step uses, as the end of a sentence.
fn usage(resource: Resource, step: &StepSample) -> String {
    match resource {
        Resource::Cpu => format!("uses {}", Threshold::Fraction(step.cpu_fraction)),
        Resource::Memory | Resource::Swap => format!("holds {}", Threshold::Bytes(step.memory_bytes)),
        Resource::Disk => format!("writes {}/s", Threshold::Bytes(filling_rate(step) as u64)),
    }
}

#[cfg(test)]
mod tests;

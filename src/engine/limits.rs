//! Exceeded limits of the machine: holds starts, freezes and thaws runs, and tells everybody, as the rules of
//! [`LimitEnforcer`] say.

use super::core::{Engine, Entry};
use super::message::PendingInput;
use crate::base::id::RunId;
use crate::resources::{LimitEnforcer, Measure, ResourceSnapshot};
use crate::run::{Body, EventKind, Hold, Input, Run, RunState, Starts};

/// What is exceeded, and what waits because of it.
#[derive(Default)]
pub(super) struct LimitHold {
    enforcer: LimitEnforcer,
    /// Why no step starts.
    pub(super) reason: Option<String>,
    /// Runs that may go on as soon as there is room on the disk.
    thawed_later: Vec<RunId>,
}

impl Engine {
    /// Turns what a sample says into inputs of runs.
    pub(super) fn translate_limits(&mut self, sample: &ResourceSnapshot, heard: &mut Vec<PendingInput>) {
        let runs = &self.runs;
        let may_freeze = |run_id: &RunId| {
            let is_driven_by_steps = |run: &Run| matches!(run.body, Body::Pipeline(_));
            runs.get(run_id)
                .is_some_and(|entry| entry.run.state == RunState::Running && is_driven_by_steps(&entry.run))
        };
        let is_let_go = |entry: &&Entry| entry.run.ledger.limit_met && !entry.run.state.is_ended();
        let let_go: Vec<_> = runs.values().filter(is_let_go).map(|entry| entry.run.id.clone()).collect();
        for measure in self.limits.enforcer.answer(sample, &let_go, may_freeze) {
            match measure {
                Measure::Alert { text, cleared } => self.tell(EventKind::ResourceAlert { text, cleared }),
                Measure::HoldStarts(reason) => {
                    self.limits.reason = reason;
                    // What has not begun is looked at in the order of the line.
                    let begun = self.runs.iter().filter(|(_, entry)| entry.run.state != RunState::Queued);
                    let begun = begun.map(|(run_id, _)| run_id.clone());
                    heard.extend(begun.map(|run_id| PendingInput::world(run_id, Input::StartsChanged)));
                }
                Measure::Freeze { run_id, reason } => {
                    heard.push(PendingInput::world(run_id, Input::LimitExceeded { reason: reason.into() }));
                }
                Measure::Thaw(run_id) if self.outage.is_some() => self.limits.thawed_later.push(run_id),
                Measure::Thaw(run_id) => heard.extend(self.thaw(run_id)),
            }
        }
    }

    /// What lets runs go on that may since there is no room on the disk. Nothing is in their way any more.
    pub(super) fn thaw_later(&mut self) -> Vec<PendingInput> {
        let later = std::mem::take(&mut self.limits.thawed_later);
        later.into_iter().filter_map(|run_id| self.thaw(run_id)).collect()
    }

    /// What may start as far as limits are concerned. Nothing waits for them while the engine stops its runs.
    pub(super) fn starts_within_limits(&self) -> Starts {
        match &self.limits.reason {
            Some(_) if self.closing.is_none() => Starts::CleanUpOnly,
            Some(_) | None => Starts::Allowed,
        }
    }

    fn thaw(&self, run_id: RunId) -> Option<PendingInput> {
        self.runs.contains_key(&run_id).then(|| PendingInput::world(run_id, Input::LimitCleared))
    }

    /// Runs that an earlier engine froze for a limit go on: where it is exceeded still, this engine freezes them again.
    pub(super) fn look_at_limit_holds(&mut self) {
        let is_held = |run: &Run| run.state == RunState::Paused && run.ledger.holds.has(Hold::Limit);
        let held = self.runs.iter().filter(|(_, entry)| is_held(&entry.run));
        self.limits.thawed_later = held.map(|(run_id, _)| run_id.clone()).collect();
        if self.outage.is_none() {
            let heard = self.thaw_later();
            self.handle(heard);
        }
    }
}

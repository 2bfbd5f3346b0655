//! What steps report, in its place in the order of things: after the start that made it, before the end.

use super::beats::Batch;
use super::core::Engine;
use super::message::PendingInput;
use crate::run::{Found, Input, Run, StepNews};

impl Engine {
    /// Whether this is the report of a step whose start has not been told: the news of a start and the first report come
    /// by different ways, and what happened first is told first.
    pub(super) fn is_early(&self, batch: &Batch, one: &PendingInput) -> bool {
        let Input::Step { index, attempt, news: StepNews::Reported(_) } = &one.input else { return false };
        let living = || Some(self.runs.get(&one.run_id)?.run.clone());
        let run = batch.staged(&one.run_id).or_else(living);
        run.as_ref()
            .and_then(|run| run.steps.get(*index))
            .is_some_and(|step| step.attempt == *attempt && step.state.is_live() && !step.ledger.told_started)
    }

    /// What steps have reported to their very ends, before those are decided. Read from where the decisions so far have
    /// taken them, those of this batch included: nothing is read twice, and nothing passed over.
    pub(super) fn last_reports(&self, run: &Run, input: &Input) -> Vec<Input> {
        let of = |index: usize| {
            let (attempt, offset) = (run.steps[index].attempt, run.steps[index].ledger.report_offset);
            let last = self.acting.reports.finish(&run.attempt_key(index), offset);
            let is_empty = last.is_empty();
            let news = StepNews::Reported(Box::new(last));
            (!is_empty).then_some(Input::Step { index, attempt, news })
        };
        let is_live = |index: usize| run.steps.get(index).is_some_and(|step| step.state.is_live());
        if let Input::Step { index, attempt, news: StepNews::Exited(_) } = input {
            let is_current = is_live(*index) && run.steps[*index].attempt == *attempt;
            return is_current.then(|| of(*index)).flatten().into_iter().collect();
        }
        let Input::Recover(found) = input else { return Vec::new() };
        let ended = found.iter().enumerate().filter(|(_, found)| matches!(found, Found::Exited(_)));
        ended
            .flat_map(|(index, _)| {
                // Where its start went ahead of a commit that was lost, that it was sent comes first.
                let attempt = run.steps[index].attempt;
                let sent = (!is_live(index)).then_some(Input::SentAhead { index, attempt });
                sent.into_iter().chain(of(index))
            })
            .collect()
    }
}

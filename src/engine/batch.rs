//! What a batch of decisions has decided and not yet recorded.

use std::collections::HashMap;
use std::sync::Arc;

use crate::base::id::RunId;
use crate::run::{Deadline, Decision, Effect, EventKind, Input, Outbox, Record, Run};
use crate::store::RunWrite;

/// Decisions that are recorded in one transaction, with their consequences.
#[derive(Default)]
pub(super) struct Batch {
    staged: HashMap<RunId, Staged>,
    effects: Vec<(RunId, Effect)>,
    events: Vec<(RunId, EventKind)>,
    records: Vec<(RunId, Record)>,
    sent_ahead: Vec<(RunId, Input)>,
    is_hard: bool,
    /// Ended runs that were read from disk to be resumed, as they were there.
    taken_up: Vec<RunWrite>,
}

/// A run as it is after the batch.
pub(super) struct Staged {
    pub(super) run: Arc<Run>,
    /// The run's next deadline, reckoned when the run was decided: the commit may last beyond it. None: the run was not
    /// decided in this batch.
    pub(super) deadline: Option<Deadline>,
}

impl Batch {
    /// Without decisions: records everything that waits for a commit.
    pub(super) fn of_what_waits() -> Self {
        Self { is_hard: true, ..Self::default() }
    }

    /// A run as it is on disk.
    pub(super) fn of_recorded(run: Arc<Run>, deadline: Deadline) -> Self {
        let staged = Staged { run: run.clone(), deadline: Some(deadline) };
        Self { staged: [(run.id.clone(), staged)].into(), is_hard: true, ..Self::default() }
    }

    /// The run as this batch has decided it.
    pub(super) fn staged(&self, run_id: &RunId) -> Option<&Arc<Run>> {
        self.staged.get(run_id).map(|staged| &staged.run)
    }

    pub(super) fn runs(&self) -> impl Iterator<Item = &Arc<Run>> {
        self.staged.values().map(|staged| &staged.run)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.staged.is_empty()
    }

    /// Whether it must be on disk before its effects are carried out.
    pub(super) fn is_hard(&self) -> bool {
        self.is_hard
    }

    /// Whether steps have ended, and the only effects are that the host may forget their ends.
    pub(super) fn is_of_ends(&self) -> bool {
        let is_acknowledged = |effect: &Effect| matches!(effect, Effect::Acknowledge { .. });
        self.is_hard
            && self.records.is_empty()
            && self.effects.iter().all(|(_, effect)| is_acknowledged(effect))
    }

    /// Notes that an ended run is resumed: on disk it must still be as it was read.
    pub(super) fn take_up(&mut self, run: &Run) {
        let (run_id, state, attempt) = (run.id.clone(), run.state(), run.attempt);
        self.taken_up.push(RunWrite::Expect { run_id, state, attempt });
    }

    /// Notes that a start was sent already, because an earlier commit holds it.
    pub(super) fn add_sent_ahead(&mut self, run_id: RunId, input: Input) {
        self.sent_ahead.push((run_id, input));
    }

    /// Adds a decided run with the consequences.
    pub(super) fn stage(&mut self, run: Arc<Run>, deadline: Deadline, out: Outbox) {
        let run_id = &run.id;
        let is_idle = out.effects.is_empty() && out.events.is_empty() && out.records.is_empty();
        self.is_hard |= !out.soft && !is_idle;
        self.effects.extend(out.effects.into_iter().map(|effect| (run_id.clone(), effect)));
        self.events.extend(out.events.into_iter().map(|event| (run_id.clone(), event)));
        self.records.extend(out.records.into_iter().map(|record| (run_id.clone(), record)));
        self.staged.insert(run_id.clone(), Staged { run, deadline: Some(deadline) });
    }

    /// Adds a run that has waited for a commit, unless it was decided anew.
    pub(super) fn include(&mut self, run: &Arc<Run>) {
        let waited = || Staged { run: run.clone(), deadline: None };
        self.staged.entry(run.id.clone()).or_insert_with(waited);
    }

    /// Lets the batch be carried out without a commit. Returns what must be recorded later.
    pub(super) fn put_off(&mut self) -> Vec<(RunId, Record)> {
        self.is_hard = false;
        std::mem::take(&mut self.records)
    }

    pub(super) fn records(&self) -> &[(RunId, Record)] {
        &self.records
    }

    /// Ended runs that are resumed, as they were read: they must still be so on disk. Returned once.
    pub(super) fn take_expectations(&mut self) -> Vec<RunWrite> {
        std::mem::take(&mut self.taken_up)
    }

    /// The decisions of recovery.
    pub(super) fn decisions(&self) -> Vec<Decision> {
        let decision = |(_, record): &(RunId, Record)| match record {
            Record::Decision(decision) => Some(decision.clone()),
            Record::EndedAttempt(_) | Record::Checkpoint { .. } | Record::ArchiveCheckpoint { .. } => None,
        };
        self.records.iter().filter_map(decision).collect()
    }

    pub(super) fn take_events(&mut self) -> Vec<(RunId, EventKind)> {
        std::mem::take(&mut self.events)
    }

    pub(super) fn take_effects(&mut self) -> Vec<(RunId, Effect)> {
        std::mem::take(&mut self.effects)
    }

    /// The starts that were sent already, for the case that the rest is lost.
    pub(super) fn into_sent_ahead(self) -> Vec<(RunId, Input)> {
        self.sent_ahead
    }

    pub(super) fn into_staged(self) -> impl Iterator<Item = Staged> {
        self.staged.into_values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::test_runs::of_steps;

    fn acknowledge() -> Effect {
        Effect::Acknowledge { index: 0, attempt: 1 }
    }

    #[test]
    fn a_batch_is_hard_once_something_that_is_no_telemetry_follows_from_it() {
        let mut batch = Batch::default();
        let run = Arc::new(of_steps("a", &["s"]));
        batch.stage(run.clone(), Deadline::default(), Outbox::default());
        assert!(!batch.is_hard(), "nothing follows from it");
        let mut out = Outbox { soft: true, ..Outbox::default() };
        out.effects.push(acknowledge());
        batch.stage(run.clone(), Deadline::default(), out);
        assert!(!batch.is_hard(), "it may wait");
        let mut out = Outbox::default();
        out.effects.push(acknowledge());
        batch.stage(run.clone(), Deadline::default(), out);
        assert!(batch.is_hard() && batch.is_of_ends());
        let mut out = Outbox::default();
        out.effects.push(Effect::Kill(0));
        batch.stage(run, Deadline::default(), out);
        assert!(!batch.is_of_ends());
        batch.put_off();
        assert!(!batch.is_hard());
    }

    #[test]
    fn what_has_waited_for_a_commit_does_not_undo_what_was_decided_since() {
        let waited = Arc::new(of_steps("a", &["s"]));
        let decided = Arc::new(of_steps("a", &["s"]));
        let deadline = Deadline { awake_ms: Some(7), wall: None };
        let mut batch = Batch::default();
        batch.stage(decided.clone(), deadline, Outbox::default());
        batch.include(&waited);
        batch.include(&Arc::new(of_steps("b", &["s"])));
        assert!(batch.staged(&decided.id).is_some_and(|run| Arc::ptr_eq(run, &decided)));
        let deadlines: Vec<_> =
            batch.into_staged().map(|staged| (staged.run.id.to_string(), staged.deadline)).collect();
        assert!(deadlines.contains(&("a".into(), Some(deadline))) && deadlines.contains(&("b".into(), None)));
    }
}

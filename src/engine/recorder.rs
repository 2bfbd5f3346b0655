//! Record: one transaction for a batch and for what has waited for a commit.

use std::collections::HashSet;

use super::batch::Batch;
use super::changes::push_changes;
use super::runs::Runs;
use crate::base::id::RunId;
use crate::run::Record;
use crate::store::{CheckpointManager, RunWrite, StoreError};

/// How long a change that nothing depends on may wait for another commit.
const LAZY_COMMIT_MS: u64 = 1000;

/// What is not on disk yet.
#[derive(Default)]
pub(super) struct Recorder {
    dirty: HashSet<RunId>,
    /// Records besides those runs.
    unrecorded: Vec<(RunId, Record)>,
    /// When all of it is recorded at the latest, on the clock of awake time.
    flush_at_ms: Option<u64>,
}

impl Recorder {
    /// Records a hard batch, together with all that has waited for a commit, which the batch then includes. Does
    /// nothing for a soft batch.
    ///
    /// # Errors
    /// As the store reports: nothing was recorded, and what has waited still waits.
    pub(super) fn record(
        &mut self,
        batch: &mut Batch,
        runs: &Runs,
        store: &CheckpointManager,
    ) -> Result<(), StoreError> {
        if !batch.is_hard() {
            return Ok(());
        }
        for run in self.dirty.iter().filter_map(|run_id| runs.get(run_id)) {
            batch.include(run);
        }
        let mut writes = batch.take_expectations();
        let records = self.unrecorded.iter().chain(batch.records());
        writes.extend(
            records
                .map(|(run_id, record)| RunWrite::Record { run_id: run_id.clone(), record: record.clone() }),
        );
        for run in batch.runs() {
            push_changes(&mut writes, runs.recorded(&run.id), run);
        }
        store.commit(&writes)?;
        self.dirty.clear();
        self.unrecorded.clear();
        self.flush_at_ms = None;
        Ok(())
    }

    /// Notes that a run is not on disk yet.
    pub(super) fn put_off(&mut self, run_id: RunId, now_ms: u64) {
        self.dirty.insert(run_id);
        self.flush_at_ms.get_or_insert(now_ms + LAZY_COMMIT_MS);
    }

    /// Keeps records for the next commit.
    pub(super) fn put_off_records(&mut self, records: Vec<(RunId, Record)>) {
        self.unrecorded.extend(records);
    }

    /// Whether everything is on disk.
    pub(super) fn is_all_recorded(&self) -> bool {
        self.dirty.is_empty() && self.unrecorded.is_empty()
    }

    pub(super) fn flush_at_ms(&self) -> Option<u64> {
        self.flush_at_ms
    }

    /// Whether something must be recorded now. If that fails, a later commit does it.
    pub(super) fn begin_flush(&mut self) -> bool {
        self.flush_at_ms = None;
        !self.is_all_recorded()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::engine::test_runs::driven;
    use crate::run::Phase;
    use crate::run::{Run, RunState};

    fn runs_with(run: &Run) -> Runs {
        let mut runs = Runs::default();
        runs.put(Arc::new(run.clone()), false);
        runs
    }

    #[test]
    fn what_was_put_off_goes_with_the_next_commit() {
        let store = CheckpointManager::in_memory().expect("a store");
        let run = driven("a");
        let (runs, mut recorder) = (runs_with(&run), Recorder::default());
        recorder.put_off(run.id.clone(), 5);
        recorder.put_off(run.id.clone(), 900);
        assert_eq!(recorder.flush_at_ms(), Some(5 + LAZY_COMMIT_MS));
        let is_stored = || store.load_summary(&run.id).expect("it can be read").is_some();
        let mut soft = Batch::default();
        recorder.record(&mut soft, &runs, &store).expect("nothing to do");
        assert!(!is_stored() && !recorder.is_all_recorded());
        let mut hard = Batch::of_what_waits();
        recorder.record(&mut hard, &runs, &store).expect("it is recorded");
        assert!(is_stored() && recorder.is_all_recorded() && recorder.flush_at_ms().is_none());
        assert!(hard.staged(&run.id).is_some(), "it is published as recorded");
    }

    #[test]
    fn a_commit_that_fails_leaves_what_waits() {
        let store = CheckpointManager::in_memory().expect("a store");
        let run = driven("a");
        let (runs, mut recorder) = (runs_with(&run), Recorder::default());
        recorder.put_off(run.id.clone(), 5);
        let mut batch = Batch::of_what_waits();
        batch.take_up(&Run { phase: Phase::of(RunState::Failed, None), ..driven("nowhere") });
        recorder.record(&mut batch, &runs, &store).expect_err("there is no such run");
        assert!(!recorder.is_all_recorded());
        assert!(recorder.begin_flush(), "it waits for another commit");
        assert_eq!(recorder.flush_at_ms(), None);
    }
}

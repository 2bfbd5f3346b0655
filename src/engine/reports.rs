//! The reports of steps, in order: after the event of the step's start, before its end.

use std::collections::{HashMap, HashSet};
use std::io;

use crossbeam_channel::Sender;

use super::launch::LaunchEnv;
use super::message::{Message, PendingInput};
use crate::base::id::{AttemptKey, RunId};
use crate::logs::ReportFollower;
use crate::run::{Found, Input, Run, StepNews};
use crate::store::DataDir;

/// Follows the report files of living runs.
pub(super) struct Reports {
    follower: ReportFollower,
    /// Runs whose folders exist and whose reports are followed.
    followed: HashSet<RunId>,
    /// Reports that came before the event of the step's start. They are decided after it.
    early: HashMap<RunId, Vec<PendingInput>>,
}

impl Reports {
    /// Reports go to `sender`.
    ///
    /// # Errors
    /// The system has no notification left.
    pub(super) fn new(data_dir: &DataDir, sender: Sender<Message>) -> io::Result<Self> {
        let follower = ReportFollower::new(data_dir.path(), move |batch| {
            // Fails when the engine is gone. The next engine reads the report again.
            let _ = sender.send(Message::Report(Box::new(batch)));
        })?;
        Ok(Self { follower, followed: HashSet::new(), early: HashMap::new() })
    }

    /// Creates the folders of a run and follows its reports.
    ///
    /// # Errors
    /// A folder or a file in it can't be created.
    pub(super) fn follow(&mut self, run_id: &RunId, launch_env: &LaunchEnv) -> io::Result<()> {
        if !self.followed.contains(run_id) {
            launch_env.make_run_files(run_id)?;
            self.follower.follow(run_id)?;
            self.followed.insert(run_id.clone());
        }
        Ok(())
    }

    /// Follows an attempt that may have been started. Everything before `offset` is recorded.
    pub(super) fn begin(&self, key: &AttemptKey, offset: u64) {
        self.follower.begin(key, offset);
    }

    /// Follows an attempt that nobody has started yet.
    pub(super) fn begin_new(&self, key: &AttemptKey) {
        self.follower.begin_new(key);
    }

    /// The attempt's reports up to `offset` are recorded: more may be read.
    pub(super) fn taken(&self, key: &AttemptKey, offset: u64) {
        self.follower.taken(key, offset);
    }

    /// The run has ended: its reports are no longer followed.
    pub(super) fn forget(&mut self, run_id: &RunId) {
        self.early.remove(run_id);
        if self.followed.remove(run_id) {
            self.follower.unfollow(run_id);
        }
    }

    /// Keeps the report of a step whose start has not been told yet, for [`take_early`](Self::take_early). The news of
    /// a start and the first report come by different ways, and must be told in order. Returns any other input.
    pub(super) fn keep_early(&mut self, one: PendingInput, run: Option<&Run>) -> Option<PendingInput> {
        if !run.is_some_and(|run| is_early(run, &one.input)) {
            return Some(one);
        }
        self.early.entry(one.run_id.clone()).or_default().push(one);
        None
    }

    /// Whether reports of any run are kept.
    pub(super) fn has_early(&self) -> bool {
        !self.early.is_empty()
    }

    /// The kept reports of a run, after a decision about it.
    pub(super) fn take_early(&mut self, run_id: &RunId) -> Option<Vec<PendingInput>> {
        self.early.remove(run_id)
    }

    /// The last reports of steps, to be decided before their ends. Read from where the decisions so far (of this batch
    /// too) have taken them, so that nothing is read twice or missed.
    pub(super) fn last_of(&self, run: &Run, input: &Input) -> Vec<Input> {
        let of = |index: usize| {
            let (attempt, offset) = (run.steps[index].attempt, run.steps[index].ledger.report_offset);
            let last = self.follower.finish(&run.attempt_key(index), offset);
            let is_empty = last.is_empty();
            let news = StepNews::Reported(Box::new(last));
            (!is_empty).then_some(Input::Step { index, attempt, news })
        };
        let is_live = |index: usize| run.steps.get(index).is_some_and(|step| step.state().is_live());
        if let Input::Step { index, attempt, news: StepNews::Exited(_) } = input {
            let is_current = is_live(*index) && run.steps[*index].attempt == *attempt;
            return is_current.then(|| of(*index)).flatten().into_iter().collect();
        }
        let Input::Recover(found) = input else { return Vec::new() };
        let ended = found.iter().enumerate().filter(|(_, found)| matches!(found, Found::Exited(_)));
        ended
            .flat_map(|(index, _)| {
                // If the step's start was sent ahead of a commit that was lost, that comes first.
                let attempt = run.steps[index].attempt;
                let sent = (!is_live(index)).then_some(Input::SentAhead { index, attempt });
                sent.into_iter().chain(of(index))
            })
            .collect()
    }
}

fn is_early(run: &Run, input: &Input) -> bool {
    let Input::Step { index, attempt, news: StepNews::Reported(_) } = input else { return false };
    let step = run.steps.get(*index);
    step.is_some_and(|step| step.attempt == *attempt && step.state().is_live() && !step.ledger.told_started)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::inbox::Inbox;
    use crate::engine::test_runs::of_steps;
    use crate::run::{Exit, ReportBatch, StepState};

    fn reports(dir: &std::path::Path) -> (Reports, LaunchEnv) {
        let data_dir = DataDir::open(dir).expect("a data directory");
        let reports = Reports::new(&data_dir, Inbox::new().sender()).expect("a follower");
        (reports, LaunchEnv::new(data_dir, std::collections::BTreeMap::new(), None))
    }

    /// A run whose one step was sent, and whose start was not told.
    fn sent() -> Run {
        let mut run = of_steps("a", &["s"]);
        let mut step = run.step_mut(0);
        step.fresh_attempt();
        step.phase = crate::run::StepPhase::of(StepState::Running);
        drop(step);
        run
    }

    fn report(run: &Run) -> PendingInput {
        let batch = ReportBatch::new(run.attempt_key(0), 0);
        let news = StepNews::Reported(Box::new(batch));
        PendingInput::world(run.id.clone(), Input::Step { index: 0, attempt: 1, news })
    }

    #[test]
    fn a_report_that_comes_before_its_start_was_told_is_kept_until_something_is_decided() {
        let dir = tempfile::tempdir().expect("a directory");
        let (mut reports, _) = reports(dir.path());
        let mut run = sent();
        assert!(reports.keep_early(report(&run), None).is_some(), "the run does not live here");
        assert!(reports.keep_early(report(&run), Some(&run)).is_none());
        assert!(reports.has_early());
        assert_eq!(reports.take_early(&run.id).map(|kept| kept.len()), Some(1));
        run.step_mut(0).ledger.told_started = true;
        assert!(reports.keep_early(report(&run), Some(&run)).is_some());
        assert!(!reports.has_early());
    }

    #[test]
    fn the_last_reports_of_the_attempt_that_ends_are_read_before_its_end_and_no_others() {
        let dir = tempfile::tempdir().expect("a directory");
        let (mut reports, launch_env) = reports(dir.path());
        let run = sent();
        reports.follow(&run.id, &launch_env).expect("its folders are made");
        let file = dir.path().join(crate::run::report_path(&run.id, &run.steps[0].id, 1));
        std::fs::write(file, "{\"progress\": 0.5}\n").expect("a report");
        let end_of = |attempt| {
            let exit = Exit {
                code: Some(0),
                signal: None,
                ended_at: chrono::DateTime::UNIX_EPOCH,
                cost: None,
                memory: None,
                interrupted: false,
                log_dropped_bytes: 0,
            };
            Input::Step { index: 0, attempt, news: StepNews::Exited(exit) }
        };
        assert!(reports.last_of(&run, &end_of(2)).is_empty(), "that attempt is not the current one");
        let last = reports.last_of(&run, &end_of(1));
        assert!(matches!(
            last.as_slice(),
            [Input::Step { index: 0, attempt: 1, news: StepNews::Reported(batch) }] if !batch.is_empty()
        ));
    }
}

//! Recording the outcomes of starts and runs: in the ledger, in the history, and for downstream jobs. If a loss of
//! power undoes it, every start repeats it.

use chrono::{DateTime, Utc};

use super::claim::job_start;
use super::claims::{Draft, one_fire};
use super::core::{Act, JobStart, SchedulerCore, StartOutcome};
use super::error::SchedulerError;
use super::job::Job;
use super::view::outcome_of;
use crate::base::id::{JobId, RunId};
use crate::base::time::Now;
use crate::run::{EventKind, FiredBy, RunState, RunSummary, Trigger};
use crate::schedule::Outcome;
use crate::store::{Durability, JobWrite, StoreError, StoredHistory, from_ms};

/// The status of a run that was never started.
const FAILED_TO_START: &str = "failed_to_start";

impl SchedulerCore {
    /// Records the outcome of a start.
    ///
    /// # Errors
    /// As the database reports; [`recover`](Self::recover) then finds what was not recorded.
    pub fn started(
        &mut self,
        start: JobStart,
        outcome: StartOutcome,
        now: Now,
    ) -> Result<Vec<Act>, StoreError> {
        let mut draft = Draft::of(&start.job_id);
        let durability = match outcome {
            StartOutcome::Started => {
                self.book_start(&start, now, &mut draft);
                Durability::Lazy
            }
            StartOutcome::Refused(reason) => {
                self.book_refusal(&start, reason, now, &mut draft);
                Durability::Synced
            }
            StartOutcome::NameTaken => {
                self.rename_start(start, now, &mut draft)?;
                Durability::Synced
            }
            StartOutcome::NotNow(reason) => {
                self.may_catch_up = true;
                let text = format!("job {}: its run can't be started at the moment: {reason}", start.job_id);
                draft.acts.push(Act::Tell(None, Box::new(EventKind::WarningRaised { text })));
                Durability::Lazy
            }
        };
        self.commit_each(vec![draft], durability, now)
    }

    fn book_start(&mut self, start: &JobStart, now: Now, draft: &mut Draft) {
        let job_id = start.job_id.to_string();
        let mut due_at = None;
        if let Some(due_ms) = start.due_ms {
            due_at = Some(from_ms(due_ms));
            let run_id = start.run_id.to_string();
            draft.writes.push(JobWrite::MarkRan { job_id: job_id.clone(), due_ms, run_id });
        }
        draft.writes.push(begun(&start.job_id, &start.run_id, RunState::Running, now));
        draft.writes.push(JobWrite::CountRun { job_id, at: due_at.unwrap_or(now.wall) });
        self.live.entry(start.job_id.clone()).or_default().insert(start.run_id.clone());
        let fired = EventKind::JobFired { job_id: start.job_id.clone(), due_at };
        draft.acts.push(Act::Tell(Some(start.run_id.clone()), Box::new(fired)));
    }

    fn book_refusal(&mut self, start: &JobStart, reason: String, now: Now, draft: &mut Draft) {
        let run_id = start.run_id.to_string();
        draft.writes.push(JobWrite::AddHistory(StoredHistory {
            job_id: start.job_id.to_string(),
            run_id: run_id.clone(),
            started_at: now.wall,
            finished_at: Some(now.wall),
            status: Some(FAILED_TO_START.to_owned()),
            error: Some(reason.clone()),
        }));
        match start.due_ms {
            Some(due_ms) => {
                let fire = one_fire(&start.job_id, due_ms, Outcome::Claimed);
                draft.settle(&fire, Outcome::FailedToStart, Some(reason), None);
            }
            // Its history row existed before its start.
            None => draft.writes.push(JobWrite::EndHistory {
                run_id,
                finished_at: now.wall,
                status: FAILED_TO_START.to_owned(),
                error: Some(reason),
            }),
        }
        self.forget_live(&start.job_id, &start.run_id);
    }

    /// Another run has taken the id first: this one gets another.
    fn rename_start(&mut self, start: JobStart, now: Now, draft: &mut Draft) -> Result<(), StoreError> {
        let Some(Ok(job)) = self.jobs.load_job(start.job_id.as_str())?.map(|row| Job::read(&row)) else {
            self.book_refusal(&start, "the job no longer exists".to_owned(), now, draft);
            return Ok(());
        };
        let at = start.due_ms.map_or(now.wall, from_ms);
        let run_id = self.reserve(&job, at)?;
        match start.due_ms {
            Some(due_ms) => {
                let fire = one_fire(&start.job_id, due_ms, Outcome::Claimed);
                draft.settle(&fire, Outcome::Claimed, None, Some(&run_id));
            }
            None => draft
                .writes
                .push(JobWrite::RenameHistory { from: start.run_id.to_string(), to: run_id.to_string() }),
        }
        draft.acts.push(Act::Start(Box::new(JobStart { run_id, ..start })));
        Ok(())
    }

    /// Whether the run with the id of `start` was started for it, by an engine that died before that was recorded.
    pub fn is_run_of(&self, start: &JobStart) -> Result<bool, StoreError> {
        let stored = self.runs.load_run(&start.run_id)?;
        let by = stored.and_then(|stored| stored.ledger.fired_by);
        Ok(by.is_some_and(|by| is_same(&by, &start.fired_by)))
    }

    /// Whether the fire of this start is still claimed for its run.
    pub(super) fn is_claimed_for(&self, start: &JobStart) -> Result<bool, StoreError> {
        let Some(due_ms) = start.due_ms else { return Ok(false) };
        let fire = self.jobs.fire_at(start.job_id.as_str(), due_ms)?;
        Ok(fire.is_some_and(|fire| {
            outcome_of(&fire.outcome) == Some(Outcome::Claimed)
                && fire.run_id.as_deref() == Some(start.run_id.as_str())
        }))
    }

    /// Prepares a run of a job by hand, which claims no instant.
    ///
    /// # Errors
    /// [`SchedulerError::NotFound`]; [`SchedulerError::Broken`]; or as the database reports.
    pub fn run_job_now(&mut self, job_id: &JobId, now: Now) -> Result<JobStart, SchedulerError> {
        let (_, job) = self.understood(job_id)?;
        let mut draft = Draft::default();
        let run_id = self.reserve(&job, now.wall)?;
        // On disk before the run is, so that the history never misses a run of a job.
        draft.writes.push(begun(job_id, &run_id, RunState::Queued, now));
        self.jobs.commit(&draft.writes, Durability::Synced)?;
        let fired_by = FiredBy { job_id: job_id.clone(), due_at: None, previous_due_at: None };
        Ok(job_start(&job, run_id, Trigger::Manual, fired_by, None))
    }

    /// Records the end of a run, if it is a job's, and claims what waits for it: queued fires and downstream jobs.
    ///
    /// # Errors
    /// As the database reports; [`recover`](Self::recover) then finds what was not recorded.
    pub fn ended(&mut self, run: &RunSummary, now: Now) -> Result<Vec<Act>, StoreError> {
        let Some(history) = self.jobs.history_of_run(&run.run_id)? else { return Ok(Vec::new()) };
        let Ok(job_id) = JobId::new(&history.job_id) else { return Ok(Vec::new()) };
        self.forget_live(&job_id, &run.run_id);
        let ms = |at: DateTime<Utc>| at.timestamp_millis();
        // The run may have ended so before, been resumed without a scheduler, and ended so again.
        let is_that_end = |at| run.finished_at.is_none_or(|finished_at| ms(at) == ms(finished_at));
        let is_booked = history.finished_at.is_some_and(is_that_end)
            && history.status.as_deref() == Some(run.state.as_str());
        if is_booked {
            return Ok(Vec::new());
        }
        let finished_at = run.finished_at.unwrap_or(now.wall);
        let mut draft = Draft::of(&job_id);
        draft.writes.push(JobWrite::EndHistory {
            run_id: run.run_id.to_string(),
            finished_at,
            status: run.state.as_str().to_owned(),
            error: run.error.as_deref().map(str::to_owned),
        });
        let mut drafts = vec![draft];
        drafts.extend(self.fire_downstream(&job_id, run.state, finished_at)?);
        drafts.push(self.let_next_go(&job_id)?);
        // A claim must not be lost; a mere record is repeated.
        let is_more = drafts.iter().skip(1).any(|draft| !draft.writes.is_empty());
        let durability = if is_more { Durability::Synced } else { Durability::Lazy };
        self.commit_each(drafts, durability, now)
    }

    /// Records that an ended run of a job goes on.
    pub fn reopened(&mut self, run: &RunSummary, now: Now) -> Result<Vec<Act>, StoreError> {
        let Some(history) = self.jobs.history_of_run(&run.run_id)? else { return Ok(Vec::new()) };
        let is_open = history.finished_at.is_none();
        let mut draft = Draft::of_row(&history.job_id);
        if let Ok(job_id) = JobId::new(&history.job_id) {
            self.live.entry(job_id).or_default().insert(run.run_id.clone());
        }
        if is_open {
            return Ok(Vec::new());
        }
        let (run_id, status) = (run.run_id.to_string(), run.state.as_str().to_owned());
        draft.writes.push(JobWrite::ReopenHistory { run_id, status });
        self.commit_each(vec![draft], Durability::Lazy, now)
    }

    /// Claims the fire that waits for the run that has ended.
    pub(super) fn let_next_go(&self, job_id: &JobId) -> Result<Draft, StoreError> {
        let mut draft = Draft::of(job_id);
        if self.n_live(job_id) > 0 {
            return Ok(draft);
        }
        let open = self.jobs.open_fires_of(job_id.as_str())?;
        let queued = open.iter().find(|fire| outcome_of(&fire.outcome) == Some(Outcome::Queued));
        let Some(fire) = queued else { return Ok(draft) };
        let Some(Ok(job)) = self.jobs.load_job(job_id.as_str())?.map(|row| Job::read(&row)) else {
            draft.settle(fire, Outcome::FailedToStart, Some("the job no longer exists".to_owned()), None);
            return Ok(draft);
        };
        let run_id = self.reserve(&job, from_ms(fire.due_ms))?;
        draft.settle(fire, Outcome::Claimed, None, Some(&run_id));
        let start = self.start_of(&job, fire, run_id);
        draft.acts.push(Act::Start(Box::new(start)));
        Ok(draft)
    }
}

/// A row for a run of a job that has not ended.
fn begun(job_id: &JobId, run_id: &RunId, state: RunState, now: Now) -> JobWrite {
    JobWrite::AddHistory(StoredHistory {
        job_id: job_id.to_string(),
        run_id: run_id.to_string(),
        started_at: now.wall,
        finished_at: None,
        status: Some(state.as_str().to_owned()),
        error: None,
    })
}

/// Whether a run was started for that fire. The job may have been renamed since, or its zone changed, but not the
/// instant.
pub(super) fn is_same(of_run: &FiredBy, wanted: &FiredBy) -> bool {
    let instant =
        |by: &FiredBy| by.due_at.as_deref().and_then(|text| crate::base::time::parse_instant(text).ok());
    instant(of_run).is_some() && instant(of_run) == instant(wanted)
}

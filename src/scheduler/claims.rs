//! Rows of the ledger of fires that are about to be written: instants that do not run join their like, and an instant
//! that is to run meets the overlap policy.

use std::collections::VecDeque;

use chrono::{DateTime, Utc};

use super::core::{Act, SchedulerCore, changed};
use super::job::Job;
use super::view::outcome_of;
use crate::base::id::{JobId, RunId};
use crate::run::EventKind;
use crate::schedule::{Admission, Fire, OnTime, Outcome, Start, admit};
use crate::store::{FireKind, JobWrite, StoreError, StoredFire, StoredJob, from_ms};

/// Writes, with the acts that follow them.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) writes: Vec<JobWrite>,
    pub(super) acts: Vec<Act>,
    /// Whether something is claimed that is not started with it.
    pub(super) has_catch_up: bool,
    /// The job that it is about, as its row names it. None: about several.
    pub(super) job: Option<String>,
}

/// Rows of one job's ledger, in order of time.
pub(super) struct Entry<'a> {
    core: &'a SchedulerCore,
    job: &'a Job,
    draft: &'a mut Draft,
    /// The row before the place.
    last: Option<StoredFire>,
    /// The rows behind the place, in order of time.
    behind: VecDeque<StoredFire>,
    n_active: usize,
    n_waiting: usize,
}

impl<'a> Entry<'a> {
    /// Opens the ledger of `job` behind the rows before `due_ms`. `behind` has the rows from there on.
    pub(super) fn open(
        core: &'a SchedulerCore,
        job: &'a Job,
        draft: &'a mut Draft,
        due_ms: i64,
        behind: Vec<StoredFire>,
    ) -> Result<Self, StoreError> {
        let job_id = &job.spec.job_id;
        let last = core.jobs.fire_before(job_id.as_str(), due_ms)?;
        let n_waiting = core.n_waiting(job_id.as_str())?;
        let n_active = core.n_live(job_id);
        Ok(Self { core, job, draft, last, behind: behind.into(), n_active, n_waiting })
    }

    /// Moves behind the rows before this instant.
    fn go_to(&mut self, due_ms: i64) {
        while self.behind.front().is_some_and(|row| row.due_ms < due_ms) {
            self.last = self.behind.pop_front();
        }
    }

    /// Records instants that do not run. They join the row before if it has the same outcome.
    pub(super) fn skip(&mut self, fire: &Fire) {
        let job_id = &self.job.spec.job_id;
        let through_ms = fire.through_at.timestamp_millis();
        let outcome = fire.outcome.as_str();
        self.go_to(fire.due_at.timestamp_millis());
        match &mut self.last {
            Some(last) if last.outcome == outcome && last.reason == fire.reason && last.run_id.is_none() => {
                self.draft.writes.push(JobWrite::ExtendFire {
                    job_id: job_id.to_string(),
                    due_ms: last.due_ms,
                    through_ms,
                    n_more: fire.n_instants,
                });
                last.through_ms = through_ms;
                last.n_instants = last.n_instants.saturating_add(fire.n_instants);
            }
            _ => {
                let previous_ms = self.last.as_ref().map(|last| last.through_ms);
                self.add(StoredFire { previous_ms, ..Self::row_of(self.job, fire) });
            }
        }
        self.draft.acts.push(Act::Tell(
            None,
            Box::new(EventKind::JobSkipped {
                job_id: job_id.clone(),
                due_at: fire.due_at,
                through_at: fire.through_at,
                n_instants: fire.n_instants,
                outcome: fire.outcome,
                reason: fire.reason.clone(),
            }),
        ));
    }

    /// Records an instant that is to run.
    pub(super) fn start(&mut self, start: &Start, kind: FireKind) -> Result<(), StoreError> {
        self.go_to(start.due_at.timestamp_millis());
        if start.on_time == OnTime::CatchUp {
            // Its turn comes later, and the overlap policy is applied then.
            self.draft.has_catch_up = true;
            return self.claim(start.due_at, kind).map(drop);
        }
        let spec = &self.job.spec;
        match admit(spec.overlap, spec.misfire.policy, start, self.n_active, self.n_waiting) {
            Admission::Start => {
                let (fire, run_id) = self.claim(start.due_at, kind)?;
                self.n_active += 1;
                let start = self.core.start_of(self.job, &fire, run_id);
                self.draft.acts.push(Act::Start(Box::new(start)));
            }
            Admission::Wait => {
                self.n_waiting += 1;
                self.queue(start.due_at, kind, "it waits for the run before it (overlap = queue)");
            }
            Admission::CancelPrevious => {
                for waiting in self.core.jobs.open_fires_of(spec.job_id.as_str())? {
                    if outcome_of(&waiting.outcome) == Some(Outcome::Queued) {
                        let reason = "a newer fire runs in its place (overlap = cancel_previous)".to_owned();
                        self.draft.settle(&waiting, Outcome::Coalesced, Some(reason), None);
                    }
                }
                self.n_waiting = 1;
                self.queue(start.due_at, kind, "it waits until the run before it has stopped");
                let running = self.core.live.get(&spec.job_id).into_iter().flatten();
                self.draft.acts.extend(running.map(|run_id| Act::Stop(run_id.clone())));
            }
            Admission::Skip { reason } => self.skip(&Fire {
                due_at: start.due_at,
                through_at: start.due_at,
                n_instants: 1,
                outcome: Outcome::Skipped,
                reason: Some(reason.to_owned()),
            }),
        }
        Ok(())
    }

    /// Claims an instant with the id of its run.
    pub(super) fn claim(
        &mut self,
        due_at: DateTime<Utc>,
        kind: FireKind,
    ) -> Result<(StoredFire, RunId), StoreError> {
        let run_id = self.core.reserve(self.job, due_at)?;
        let row = self.row(due_at, Outcome::Claimed, None, kind);
        let fire = StoredFire { run_id: Some(run_id.to_string()), ..row };
        self.add(fire.clone());
        Ok((fire, run_id))
    }

    fn queue(&mut self, due_at: DateTime<Utc>, kind: FireKind, reason: &str) {
        let row = self.row(due_at, Outcome::Queued, Some(reason.to_owned()), kind);
        self.add(row);
    }

    /// The row for instants without a run.
    pub(super) fn row_of(job: &Job, fire: &Fire) -> StoredFire {
        StoredFire {
            through_ms: fire.through_at.timestamp_millis(),
            n_instants: fire.n_instants,
            reason: fire.reason.clone(),
            ..one_fire(&job.spec.job_id, fire.due_at.timestamp_millis(), fire.outcome)
        }
    }

    /// A row of one instant, behind the last one.
    fn row(
        &self,
        due_at: DateTime<Utc>,
        outcome: Outcome,
        reason: Option<String>,
        kind: FireKind,
    ) -> StoredFire {
        StoredFire {
            reason,
            previous_ms: self.last.as_ref().map(|last| last.through_ms),
            kind,
            ..one_fire(&self.job.spec.job_id, due_at.timestamp_millis(), outcome)
        }
    }

    fn add(&mut self, fire: StoredFire) {
        self.draft.writes.push(JobWrite::AddFire(fire.clone()));
        self.last = Some(fire);
    }
}

/// The row of one due instant, of which nothing else is known.
pub(super) fn one_fire(job_id: &JobId, due_ms: i64, outcome: Outcome) -> StoredFire {
    StoredFire {
        job_id: job_id.to_string(),
        due_ms,
        through_ms: due_ms,
        n_instants: 1,
        outcome: outcome.as_str().to_owned(),
        reason: None,
        run_id: None,
        previous_ms: None,
        kind: FireKind::Due,
    }
}

impl Draft {
    /// A draft about this job.
    pub(super) fn of(job_id: &JobId) -> Self {
        Self::of_row(job_id.as_str())
    }

    /// A draft about a job as its row names it.
    pub(super) fn of_row(job: &str) -> Self {
        Self { job: Some(job.to_owned()), ..Self::default() }
    }

    /// Sets the outcome of a fire, with an event if it did not run.
    pub(super) fn settle(
        &mut self,
        fire: &StoredFire,
        outcome: Outcome,
        reason: Option<String>,
        run_id: Option<&RunId>,
    ) {
        self.writes.push(JobWrite::SettleFire {
            job_id: fire.job_id.clone(),
            due_ms: fire.due_ms,
            outcome: outcome.as_str().to_owned(),
            reason: reason.clone(),
            run_id: run_id.map(ToString::to_string),
        });
        if let (true, Ok(job_id)) = (outcome.is_without_run(), JobId::new(&fire.job_id)) {
            let (due_at, through_at) = (from_ms(fire.due_ms), from_ms(fire.through_ms));
            let n_instants = fire.n_instants;
            let told = EventKind::JobSkipped { job_id, due_at, through_at, n_instants, outcome, reason };
            self.acts.push(Act::Tell(None, Box::new(told)));
        }
    }
}

/// Parks a row that can't be read: it is listed with its problem, and never due.
pub(super) fn park(row: &StoredJob, problem: String) -> Draft {
    let job_id = JobId::new(&row.job_id).ok();
    let text = format!("job {:?} never fires until it is corrected: {problem}", row.job_id);
    let mut acts = vec![Act::Tell(None, Box::new(EventKind::WarningRaised { text }))];
    acts.extend(job_id.as_ref().map(changed));
    let writes = vec![JobWrite::Park { rowid: row.rowid, problem }];
    Draft { writes, acts, ..Draft::of_row(&row.job_id) }
}

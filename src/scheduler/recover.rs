//! Recovery: compares the ledger with the runs on disk, first thing at every start. Claimed fires are started or
//! recorded, missing ends are recorded, and what is wrong with one job delays no other.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::claims::Draft;
use super::core::{Act, SchedulerCore, StartOutcome};
use super::job::Job;
use super::outcomes::is_same;
use crate::base::id::{JobId, RunId};
use crate::base::time::Now;
use crate::base::units::format_duration;
use crate::run::{EventKind, RunState, RunSummary};
use crate::schedule::{Misfire, Outcome};
use crate::store::{Durability, FireKind, JobWrite, StoreError, StoredFire, StoredHistory, from_ms};

/// How late a claimed fire, whose engine died before its start, still counts as on time.
const STILL_ON_TIME_MS: i64 = 10_000;

/// How many unreadable rows a warning names; for the others it has the number.
const MOST_ROWS_NAMED: usize = 10;

impl SchedulerCore {
    /// Compares the ledger with the runs on disk. A claimed fire with a run is recorded as started; one without is
    /// started, unless it is older than its job allows; and every missing end is recorded. To be called first after a
    /// start, and after a failure to record.
    pub fn recover(&mut self, now: Now) -> Result<Vec<Act>, StoreError> {
        self.live.clear();
        self.may_catch_up = true;
        self.jobs_set_aside.clear();
        self.names.borrow_mut().forget();
        let mut acts = self.break_cycles(now)?;
        acts.extend(self.reckon_anew(now)?);
        let mut ended = Vec::new();
        let mut passed_over = Vec::new();
        for history in self.jobs.unbooked_history()? {
            let (job_id, run_id) = match (JobId::new(&history.job_id), RunId::new(&history.run_id)) {
                (Ok(job_id), Ok(run_id)) => (job_id, run_id),
                (Err(error), _) | (_, Err(error)) => {
                    let (job, run) = (&history.job_id, &history.run_id);
                    passed_over.push(format!("job_history, job {job:?}, run {run:?} ({error})"));
                    continue;
                }
            };
            match self.runs.load_summary(&run_id) {
                Ok(Some(run)) if run.state.is_ended() => ended.push(run),
                Ok(Some(_)) => drop(self.live.entry(job_id).or_default().insert(run_id)),
                Ok(None) => acts.extend(self.close_history_of_none(job_id, history, now)?),
                Err(error) => acts.extend(self.bear(Some(&job_id), Err(error), now)?),
            }
        }
        // Ends that were recorded before the run was resumed without a scheduler.
        for run in self.runs.runs_taken_up()? {
            if run.state.is_ended() {
                ended.push(run);
            } else {
                let more = self.reopened(&run, now);
                acts.extend(self.bear_end(&run, more, now)?);
            }
        }
        let mut claimed = Vec::new();
        let nameless = self.jobs.each_open_fire(Outcome::Claimed.as_str(), |fire| {
            claimed.push((fire.job_id, fire.due_ms));
            ControlFlow::Continue(())
        })?;
        passed_over.extend(nameless.into_iter().map(nameless_fire));
        let mut launched = BTreeSet::new();
        for (job_id, due_ms) in claimed {
            // One of each job at once; its others wait for their turn.
            let may_launch = !launched.contains(&job_id);
            let more = self.recover_claim(&job_id, due_ms, now, may_launch, &mut ended);
            let more = self.bear_of(&job_id, more, now)?;
            if more.iter().any(|act| matches!(act, Act::Start(_))) {
                launched.insert(job_id);
            }
            acts.extend(more);
        }
        for run in ended {
            let more = self.ended(&run, now);
            acts.extend(self.bear_end(&run, more, now)?);
        }
        acts.extend(self.recover_queued(&mut passed_over, now)?);
        acts.extend(self.tell_passed_over(&passed_over));
        Ok(acts)
    }

    /// The warning about skipped rows, unless it was the last one too.
    fn tell_passed_over(&mut self, rows: &[String]) -> Option<Act> {
        let named = rows.iter().take(MOST_ROWS_NAMED).map(String::as_str).collect::<Vec<_>>().join("; ");
        let n_more = rows.len().saturating_sub(MOST_ROWS_NAMED);
        let more = if n_more > 0 { format!("; and {n_more} more") } else { String::new() };
        let text = format!(
            "rows of scheduler.db can't be understood and are ignored: {named}{more}; correct or remove them"
        );
        let is_new = !rows.is_empty() && self.said_of_rows.as_ref() != Some(&text);
        is_new.then(|| {
            self.said_of_rows = Some(text.clone());
            Act::Tell(None, Box::new(EventKind::WarningRaised { text }))
        })
    }

    /// As [`bear`](Self::bear), for the job that has started this run.
    fn bear_end(
        &mut self,
        run: &RunSummary,
        outcome: Result<Vec<Act>, StoreError>,
        now: Now,
    ) -> Result<Vec<Act>, StoreError> {
        if outcome.is_ok() {
            return outcome;
        }
        let history = self.jobs.history_of_run(&run.run_id).ok().flatten();
        let job_id = history.and_then(|history| JobId::new(&history.job_id).ok());
        self.bear(job_id.as_ref(), outcome, now)
    }

    fn close_history_of_none(
        &mut self,
        job_id: JobId,
        history: StoredHistory,
        now: Now,
    ) -> Result<Vec<Act>, StoreError> {
        let mut draft = Draft::of(&job_id);
        draft.writes.push(JobWrite::EndHistory {
            run_id: history.run_id,
            finished_at: history.started_at,
            status: RunState::Interrupted.as_str().to_owned(),
            error: Some("the run is not in checkpoints.db: it was never recorded".to_owned()),
        });
        self.commit_each(vec![draft], Durability::Lazy, now)
    }

    /// Recovers a claim: its run exists; or it is started, if it is still on time; or it waits for its turn.
    fn recover_claim(
        &mut self,
        job_id: &str,
        due_ms: i64,
        now: Now,
        may_launch: bool,
        ended: &mut Vec<RunSummary>,
    ) -> Result<Vec<Act>, StoreError> {
        let Some(fire) = self.jobs.fire_at(job_id, due_ms)? else { return Ok(Vec::new()) };
        let run_id = fire.run_id.as_deref().and_then(|id| RunId::new(id).ok());
        let stored = match &run_id {
            Some(run_id) => self.runs.load_run(run_id)?,
            None => None,
        };
        let row = self.jobs.load_job(job_id)?;
        let Some(Ok(job)) = row.map(|row| Job::read(&row)) else { return Ok(Vec::new()) };
        let start = run_id.map(|run_id| self.start_of(&job, &fire, run_id));
        if let (Some(stored), Some(start)) = (stored, start) {
            if stored.ledger.fired_by.as_deref().is_some_and(|by| is_same(by, &start.fired_by)) {
                let acts = self.started(start, StartOutcome::Started, now)?;
                if stored.summary.state.is_ended() {
                    ended.push(stored.summary);
                }
                return Ok(acts);
            }
            return self.started(start, StartOutcome::NameTaken, now);
        }
        let mut draft = Draft::of(&job.spec.job_id);
        let is_own = self.watched_from.is_some_and(|from| from_ms(due_ms) >= from);
        let too_late = too_late(&job, &fire, now).filter(|_| !is_own);
        let is_on_time = is_own || late_ms(&fire, now) <= STILL_ON_TIME_MS;
        if let Some((outcome, reason)) = too_late {
            draft.settle(&fire, outcome, Some(reason), None);
        } else if may_launch
            && is_on_time
            && fire.kind != FireKind::Backfill
            && self.n_live(&job.spec.job_id) == 0
        {
            self.launch(&fire, &mut draft)?;
        }
        self.commit_each(vec![draft], Durability::Synced, now)
    }

    /// Recovers fires that wait for a run that no longer exists.
    fn recover_queued(&mut self, passed_over: &mut Vec<String>, now: Now) -> Result<Vec<Act>, StoreError> {
        let mut jobs = BTreeSet::new();
        let nameless = self.jobs.each_open_fire(Outcome::Queued.as_str(), |fire| {
            match JobId::new(&fire.job_id) {
                Ok(job_id) => drop(jobs.insert(job_id)),
                Err(error) => passed_over.push(format!("fires, job {:?} ({error})", fire.job_id)),
            }
            ControlFlow::Continue(())
        })?;
        passed_over.extend(nameless.into_iter().map(nameless_fire));
        let (mut drafts, mut acts) = (Vec::with_capacity(jobs.len()), Vec::new());
        for job_id in &jobs {
            match self.let_next_go(job_id) {
                Ok(draft) => drafts.push(draft),
                Err(error) => acts.extend(self.bear(Some(job_id), Err(error), now)?),
            }
        }
        acts.extend(self.commit_each(drafts, Durability::Synced, now)?);
        Ok(acts)
    }
}

fn nameless_fire(rowid: i64) -> String {
    format!("fires, rowid {rowid} (its job's name is not text)")
}

fn late_ms(fire: &StoredFire, now: Now) -> i64 {
    now.wall.timestamp_millis().saturating_sub(fire.due_ms)
}

/// The outcome of a claim that recovery finds and that is older than its job allows. A backfilled instant is wanted
/// however old it is.
fn too_late(job: &Job, fire: &StoredFire, now: Now) -> Option<(Outcome, String)> {
    let misfire = &job.spec.misfire;
    let is_older = |age: chrono::TimeDelta| late_ms(fire, now) > age.num_milliseconds();
    let in_words = |age: chrono::TimeDelta| format_duration(age.to_std().unwrap_or_default());
    match (fire.kind, misfire.max_age) {
        (FireKind::Backfill, _) => None,
        (FireKind::Due | FireKind::After, Some(age)) if is_older(age) => {
            Some((Outcome::Expired, format!("older than {} (misfire_max_age)", in_words(age))))
        }
        (FireKind::Due | FireKind::After, _) => {
            let is_missed = misfire.policy == Misfire::Skip && is_older(misfire.grace);
            is_missed.then(|| {
                let reason = format!("missed by more than {} (misfire = skip)", in_words(misfire.grace));
                (Outcome::Skipped, reason)
            })
        }
    }
}

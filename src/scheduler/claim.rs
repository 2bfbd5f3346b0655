//! Handling due jobs: every instant gets its place in the ledger, and what is to run is claimed with the id of its run,
//! before anything is started.

use std::ops::ControlFlow;

use chrono::{DateTime, Utc};

use super::claims::{Draft, Entry, park};
use super::core::{Act, CATCH_UP_GAP_MS, JobStart, SchedulerCore, changed};
use super::instants::just_before;
use super::job::{Job, next_ms};
use super::view::outcome_of;
use crate::base::id::{JobId, RunId};
use crate::base::time::Now;
use crate::base::tz::Tz;
use crate::run::{FiredBy, Trigger};
use crate::schedule;
use crate::schedule::{
    Admission, Misfire, OnTime, Outcome, Overlap, ScheduleConfig, Situation, Start, Timetable, admit,
};
use crate::store::{Durability, FireKind, JobWrite, StoreError, StoredFire, StoredJob, from_ms, run_id_base};

/// How many jobs are handled with one commit.
const BATCH: usize = 200;

/// How many rows of the ledger are looked at for instants that are recorded already.
const MOST_RECORDED: usize = 1_000;

impl SchedulerCore {
    /// Handles what is due at `now`, and the rows that a script has written. The claims of a turn share a commit, which
    /// is on disk when this returns.
    ///
    /// # Errors
    /// As the database reports. Nothing was recorded then, and there is nothing to carry out.
    pub fn look(&mut self, now: Now) -> Result<Vec<Act>, StoreError> {
        if self.hold_off_ms.is_some_and(|ms| now.awake_ms < ms) {
            return Ok(Vec::new());
        }
        self.hold_off_ms = None;
        self.names.borrow_mut().tidy();
        self.watch(now);
        let mut acts = self.read_unread(now)?;
        let due = self.jobs.due_jobs(now.wall.timestamp_millis(), BATCH)?;
        self.has_more = due.len() == BATCH;
        let mut drafts = Vec::with_capacity(due.len() + 1);
        drafts.extend(self.catch_up(now, &mut acts)?);
        for row in &due {
            match Job::read(row) {
                Ok(job) => {
                    let mut draft = Draft::of(&job.spec.job_id);
                    match self.take_in(&job, row, now, &mut draft) {
                        Ok(()) => drafts.push(draft),
                        Err(error) => {
                            acts.extend(self.bear(Some(&job.spec.job_id), Err(error), now)?);
                        }
                    }
                }
                Err(problem) => drafts.push(park(row, problem)),
            }
        }
        acts.extend(self.commit_each(drafts, Durability::Synced, now)?);
        Ok(acts)
    }

    /// Gives every instant of a job up to `now` its place. Recorded instants have one already.
    pub(super) fn take_in(
        &self,
        job: &Job,
        row: &StoredJob,
        now: Now,
        draft: &mut Draft,
    ) -> Result<(), StoreError> {
        let timetables =
            job.timetable(self.reckoned_by(row)).and_then(|by| Ok((by, job.timetable(&self.local)?)));
        let (timetable, from_now_on) = match timetables {
            Ok(timetables) => timetables,
            Err(error) => {
                draft.writes.extend(park(row, error.to_string()).writes);
                draft.acts.push(changed(&job.spec.job_id));
                return Ok(());
            }
        };
        let next_run_ms = row.next_run_ms.unwrap_or_default();
        let first = from_ms(next_run_ms);
        let next_run_ms = first.timestamp_millis();
        let before_first = just_before(first);
        let (recorded, kept) = self.recorded(job, first, now, Some((&timetable, &mut *draft)))?;
        let plan_of = |timetable: &Timetable, recorded: &[(DateTime<Utc>, DateTime<Utc>)]| {
            schedule::plan(&Situation {
                timetable,
                accounted_until: before_first,
                recorded,
                now: now.wall,
                watched_from: self.watched_from.unwrap_or(now.wall),
                misfire: &job.spec.misfire,
                disabled: &[],
            })
        };
        let mut plan = plan_of(&timetable, &recorded);
        let is_by_hand = row.first_by_hand
            && timetable.count(before_first, first) == 0
            && kept.iter().all(|fire| fire.due_ms != next_run_ms);
        if is_by_hand && plan.starts.is_empty() {
            // A script has set the first instant, which the schedule does not have.
            let once = ScheduleConfig::Once { at: first }.timetable(Tz::UTC, job.created_at);
            let by_hand = plan_of(&once, &[]);
            (plan.fires, plan.starts) = (by_hand.fires, by_hand.starts);
        }
        let mut entry = Entry::open(self, job, draft, next_run_ms, kept)?;
        // If all instants are wanted and one runs at a time, later ones wait for earlier ones.
        let is_row = plan.starts.len() > 1 && job.spec.overlap != Overlap::Allow;
        let in_a_row = |start: &Start| Start { on_time: OnTime::CatchUp, ..*start };
        let mut starts = plan.starts.iter().map(|start| if is_row { in_a_row(start) } else { *start });
        for fire in &plan.fires {
            if fire.outcome != Outcome::Claimed {
                entry.skip(fire);
            } else if let Some(start) = starts.next() {
                entry.start(&start, FireKind::Due)?;
            }
        }
        let next_at = from_now_on.next_after(now.wall.max(before_first));
        let is_over = matches!(job.spec.schedule, ScheduleConfig::Once { .. });
        let job_id = row.job_id.clone();
        draft.writes.push(self.next_run(job, next_at));
        if is_over && next_at.is_none() {
            draft.writes.push(JobWrite::Enable { job_id, enabled: false });
            draft.acts.push(changed(&job.spec.job_id));
        }
        Ok(())
    }

    /// Sets when a job is due next, with the zone in which that was reckoned.
    pub(super) fn next_run(&self, job: &Job, next_at: Option<DateTime<Utc>>) -> JobWrite {
        JobWrite::NextRun {
            job_id: job.spec.job_id.to_string(),
            at_ms: next_ms(next_at),
            zone: job.reckoned_zone(&self.local),
        }
    }

    /// The zone in which the job's next instant was reckoned.
    pub(super) fn reckoned_by<'a>(&'a self, row: &'a StoredJob) -> &'a str {
        row.reckoned_zone.as_deref().unwrap_or(&self.local)
    }

    /// The recorded instants of a job from `first` to `now`: as stretches of time, and as rows. There are some if the
    /// job was set back, or existed before under this name. A row that reaches beyond `now` was written while the clock
    /// was ahead, and does not count for that time. With `cut`, such a row is cut, and its instants are counted by that
    /// timetable.
    #[expect(clippy::type_complexity, reason = "two views of the same rows, taken apart by each caller")]
    pub(super) fn recorded(
        &self,
        job: &Job,
        first: DateTime<Utc>,
        now: Now,
        mut cut: Option<(&Timetable, &mut Draft)>,
    ) -> Result<(Vec<(DateTime<Utc>, DateTime<Utc>)>, Vec<StoredFire>), StoreError> {
        let job_id = job.spec.job_id.as_str();
        let (first_ms, now_ms) = (first.timestamp_millis(), now.wall.timestamp_millis());
        let mut rows = self.jobs.fires_within(job_id, first_ms, now_ms, MOST_RECORDED)?;
        // Older rows are not read: all of that time counts as recorded.
        let is_cut_off = rows.len() == MOST_RECORDED;
        let before = self.jobs.fire_before(job_id, first_ms)?.filter(|row| row.through_ms >= first_ms);
        let mut stretches = Vec::new();
        if let Some(oldest) = rows.first().filter(|_| is_cut_off) {
            stretches.push((first, from_ms(oldest.due_ms)));
        }
        let mut kept = Vec::with_capacity(rows.len());
        for row in before.into_iter().chain(rows.drain(..)) {
            let is_range = row.run_id.is_none() && row.through_ms > row.due_ms;
            if !is_range || row.through_ms <= now_ms {
                let through_ms = if is_range { row.through_ms } else { row.due_ms };
                if through_ms >= first_ms {
                    stretches.push((from_ms(row.due_ms), from_ms(through_ms)));
                }
                if row.due_ms >= first_ms {
                    kept.push(row);
                }
            } else if let Some((timetable, draft)) = &mut cut {
                let (due_ms, until) = (row.due_ms, just_before(first));
                let job_id = row.job_id;
                draft.writes.push(if due_ms < first_ms {
                    let n_instants = timetable.count(just_before(from_ms(due_ms)), until).max(1);
                    let through_ms = timetable
                        .last(just_before(from_ms(due_ms)), until)
                        .map_or(due_ms, |at| at.timestamp_millis());
                    JobWrite::CutFire { job_id, due_ms, through_ms, n_instants }
                } else {
                    JobWrite::RemoveFire { job_id, due_ms }
                });
            }
        }
        Ok((stretches, kept))
    }

    /// Starts the oldest claimed fire that is to catch up, if its time has come.
    fn catch_up(&mut self, now: Now, acts: &mut Vec<Act>) -> Result<Vec<Draft>, StoreError> {
        if !self.may_catch_up || now.awake_ms < self.catch_up_from_ms {
            return Ok(Vec::new());
        }
        let mut free = None;
        // The oldest of each job that has a run under way.
        let mut busy: Vec<StoredFire> = Vec::new();
        self.jobs.each_open_fire(Outcome::Claimed.as_str(), |fire| {
            let is_passed_over = busy.iter().any(|other| other.job_id == fire.job_id)
                || self.jobs_set_aside.contains(&fire.job_id);
            if !is_passed_over && JobId::new(&fire.job_id).is_ok_and(|job_id| self.n_live(&job_id) > 0) {
                busy.push(fire);
            } else if !is_passed_over {
                free = Some(fire);
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
        let mut drafts = Vec::new();
        let mut next = None;
        for fire in busy {
            let admission = match self.meet_living_run(&fire) {
                Ok(admission) => admission,
                Err(error) => {
                    acts.extend(self.bear_of(&fire.job_id, Err(error), now)?);
                    continue;
                }
            };
            match admission {
                Admission::Start => {
                    next = Some(fire);
                    break;
                }
                // It stays claimed until its turn after the end of that run.
                Admission::Wait | Admission::CancelPrevious => {}
                Admission::Skip { reason } => {
                    let mut draft = Draft::of_row(&fire.job_id);
                    draft.settle(&fire, Outcome::Skipped, Some(reason.to_owned()), None);
                    drafts.push(draft);
                }
            }
        }
        let Some(fire) = next.or(free) else {
            self.may_catch_up = false;
            return Ok(drafts);
        };
        self.catch_up_from_ms = now.awake_ms + CATCH_UP_GAP_MS;
        let mut draft = Draft::of_row(&fire.job_id);
        match self.launch(&fire, &mut draft) {
            Ok(()) => drafts.push(draft),
            Err(error) => acts.extend(self.bear_of(&fire.job_id, Err(error), now)?),
        }
        Ok(drafts)
    }

    /// Decides about a fire that catches up while a run of its job is under way.
    fn meet_living_run(&self, fire: &StoredFire) -> Result<Admission, StoreError> {
        let Some(Ok(job)) = self.jobs.load_job(&fire.job_id)?.map(|row| Job::read(&row)) else {
            // The start fails, with an event.
            return Ok(Admission::Start);
        };
        let misfire = match fire.kind {
            // Each backfilled instant is wanted.
            FireKind::Backfill => Misfire::RunAll,
            FireKind::Due | FireKind::After => job.spec.misfire.policy,
        };
        let start = Start { due_at: from_ms(fire.due_ms), on_time: OnTime::CatchUp };
        let (n_active, n_waiting) = (self.n_live(&job.spec.job_id), self.n_waiting(&fire.job_id)?);
        Ok(admit(job.spec.overlap, misfire, &start, n_active, n_waiting))
    }

    /// How many starts of a job wait for the run before them.
    pub(super) fn n_waiting(&self, job_id: &str) -> Result<usize, StoreError> {
        let open = self.jobs.open_fires_of(job_id)?;
        Ok(open.iter().filter(|fire| outcome_of(&fire.outcome) == Some(Outcome::Queued)).count())
    }

    /// Starts the run of a claimed fire.
    pub(super) fn launch(&self, fire: &StoredFire, draft: &mut Draft) -> Result<(), StoreError> {
        let job = match self.jobs.load_job(&fire.job_id)? {
            Some(row) => Job::read(&row),
            None => Err("the job no longer exists".to_owned()),
        };
        let run_id = fire.run_id.as_deref().and_then(|id| RunId::new(id).ok());
        match (job, run_id) {
            (Ok(job), Some(run_id)) => {
                let start = self.start_of(&job, fire, run_id);
                draft.acts.push(Act::Start(Box::new(start)));
            }
            (Ok(job), None) => {
                // A script has claimed it: it first gets a run id.
                let run_id = self.reserve(&job, from_ms(fire.due_ms))?;
                let named = StoredFire { run_id: Some(run_id.to_string()), ..fire.clone() };
                draft.settle(fire, Outcome::Claimed, None, Some(&run_id));
                draft.acts.push(Act::Start(Box::new(self.start_of(&job, &named, run_id))));
            }
            (Err(reason), _) => draft.settle(fire, Outcome::FailedToStart, Some(reason), None),
        }
        Ok(())
    }

    pub(super) fn start_of(&self, job: &Job, fire: &StoredFire, run_id: RunId) -> JobStart {
        let instant = |ms: i64| job.in_zone(ms, &self.local);
        let trigger = if fire.kind == FireKind::After { Trigger::After } else { Trigger::Schedule };
        let fired_by = FiredBy {
            job_id: job.spec.job_id.clone(),
            due_at: Some(instant(fire.due_ms)),
            previous_due_at: fire.previous_ms.map(instant),
        };
        job_start(job, run_id, trigger, fired_by, Some(fire.due_ms))
    }

    /// Reserves an id for a run of `job`, by its due instant.
    pub(super) fn reserve(&self, job: &Job, due_at: DateTime<Utc>) -> Result<RunId, StoreError> {
        let base = run_id_base(&job.source, due_at);
        self.names.borrow_mut().reserve(&base, &self.jobs, &self.runs)
    }
}

/// The start of a run of `job`.
pub(super) fn job_start(
    job: &Job,
    run_id: RunId,
    trigger: Trigger,
    fired_by: FiredBy,
    due_ms: Option<i64>,
) -> JobStart {
    let spec = job.spec.clone();
    JobStart {
        job_id: spec.job_id,
        pipeline_id: spec.pipeline_id,
        source: job.source.clone(),
        run_id,
        trigger,
        fired_by,
        params: spec.params,
        run_type: spec.run_type,
        environment: spec.environment,
        priority: spec.priority,
        held_at_most: spec.misfire.grace,
        due_ms,
    }
}

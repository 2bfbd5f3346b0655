//! What is due is taken in: every instant gets its place in the ledger, and what is to run is claimed with the name of
//! its run, before anything is started.

use std::ops::ControlFlow;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

use super::core::{Act, CATCH_UP_GAP_MS, JobStart, SchedulerCore, changed};
use super::job::{Job, next_ms};
use super::ledger::{Draft, Entry};
use super::view::outcome_of;
use crate::id::{JobId, RunId};
use crate::run::{FiredBy, Trigger};
use crate::schedule::{
    self, Admission, Misfire, OnTime, Outcome, Overlap, ScheduleConfig, Situation, Start, admit,
};
use crate::store::{Durability, FireKind, JobWrite, StoreError, StoredFire, StoredJob, from_ms, run_id_base};
use crate::time::{Now, parse_instant};

/// Jobs that are taken in with one commit.
const BATCH: usize = 200;

impl SchedulerCore {
    /// Takes in what is due at `now`, and what a script has written. The claims of a turn share a commit, which is on
    /// disk when this returns.
    ///
    /// # Errors
    /// What the disk has; then nothing was taken in, and nothing is to be done.
    pub fn look(&mut self, now: Now) -> Result<Vec<Act>, StoreError> {
        let mut acts = self.read_unread(now)?;
        let due = self.jobs.due_jobs(now.wall.timestamp_millis(), BATCH)?;
        self.has_more = due.len() == BATCH;
        let mut draft = Draft::default();
        self.catch_up(now, &mut draft)?;
        for row in &due {
            match Job::read(row) {
                Ok(job) => self.take_in(&job, row, now, &mut draft)?,
                Err(_) => self.park(row, &mut draft),
            }
        }
        self.jobs.commit(&draft.writes, Durability::Synced)?;
        self.may_catch_up |= draft.has_catch_up;
        acts.append(&mut draft.acts);
        Ok(acts)
    }

    /// A row that can't be understood is listed with its problem, and never due.
    fn park(&self, row: &StoredJob, draft: &mut Draft) {
        draft.writes.push(JobWrite::Park { job_id: row.job_id.clone() });
        draft.acts.extend(JobId::new(&row.job_id).ok().map(|id| changed(&id)));
    }

    /// Reads jobs that a script has written: when each is due, and what it comes after.
    fn read_unread(&mut self, now: Now) -> Result<Vec<Act>, StoreError> {
        const AT_ONCE: usize = 1000;
        let mut acts = Vec::new();
        loop {
            let unread = self.jobs.unread_jobs(AT_ONCE)?;
            if unread.is_empty() {
                return Ok(acts);
            }
            let mut draft = Draft::default();
            for row in unread {
                match Job::read(&row) {
                    Ok(job) => self.read_one(job, row, now, &mut draft),
                    Err(_) => self.park(&row, &mut draft),
                }
            }
            self.jobs.commit(&draft.writes, Durability::Synced)?;
            acts.append(&mut draft.acts);
        }
    }

    fn read_one(&self, mut job: Job, row: StoredJob, now: Now, draft: &mut Draft) {
        let Ok(timetable) = job.timetable(&self.local) else { return self.park(&row, draft) };
        // What is due by an instant is due at whole milliseconds, and never before the one that was written.
        let written = parse_instant(&row.next_run).ok().map(ceil_ms);
        let first = match &mut job.spec.schedule {
            // A job by hand, or one after others, is never due by itself, whatever stands there.
            ScheduleConfig::After { .. } | ScheduleConfig::Manual => None,
            ScheduleConfig::Interval { anchor, .. } => {
                let first = written.or_else(|| timetable.next_after(now.wall));
                if anchor.is_none() {
                    *anchor = first;
                }
                first
            }
            ScheduleConfig::Once { .. }
            | ScheduleConfig::Daily { .. }
            | ScheduleConfig::Weekly { .. }
            | ScheduleConfig::Cron(_) => written.or_else(|| timetable.next_after(now.wall)),
        };
        let first = first.filter(|at| next_ms(Some(*at)) < crate::store::NEVER_MS);
        let stored = StoredJob {
            next_run: row.next_run,
            created_at: row.created_at,
            zone: row.zone,
            misfire: row.misfire,
            overlap: row.overlap,
            params: row.params,
            first_by_hand: first.is_some(),
            ..job.to_row(first)
        };
        draft.writes.push(JobWrite::ChangeJob(Box::new(stored)));
        if let ScheduleConfig::After { jobs, .. } = &job.spec.schedule {
            let upstreams = jobs.iter().map(ToString::to_string).collect();
            draft.writes.push(JobWrite::Upstreams { job_id: row.job_id, upstreams });
        }
        draft.acts.push(changed(&job.spec.job_id));
    }

    /// Every instant of a job that has come by `now` gets its place.
    pub(super) fn take_in(
        &self,
        job: &Job,
        row: &StoredJob,
        now: Now,
        draft: &mut Draft,
    ) -> Result<(), StoreError> {
        let Ok(timetable) = job.timetable(&self.local) else {
            self.park(row, draft);
            return Ok(());
        };
        let next_run_ms = row.next_run_ms.unwrap_or_default();
        let plan_of = |timetable: &schedule::Timetable, accounted_until: DateTime<Utc>| {
            let misfire = &job.spec.misfire;
            schedule::plan(&Situation { timetable, accounted_until, now: now.wall, misfire, disabled: &[] })
        };
        let first = from_ms(next_run_ms);
        let before_first = first - TimeDelta::milliseconds(1);
        let mut plan = plan_of(&timetable, before_first);
        if row.first_by_hand && timetable.count(before_first, first) == 0 && plan.starts.is_empty() {
            // A script has said when it is due first, which its schedule does not know.
            let once = ScheduleConfig::Once { at: first }.timetable(chrono_tz::UTC, job.created_at);
            let by_hand = plan_of(&once, before_first);
            (plan.fires, plan.starts) = (by_hand.fires, by_hand.starts);
        }
        let mut entry = Entry::open(self, job, draft, next_run_ms)?;
        // Where all are wanted and one runs at a time, the newest waits for those before it.
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
        let is_over = matches!(job.spec.schedule, ScheduleConfig::Once { .. });
        let job_id = row.job_id.clone();
        draft.writes.push(JobWrite::NextRun { job_id: job_id.clone(), at_ms: next_ms(plan.next_at) });
        if is_over && plan.next_at.is_none() {
            draft.writes.push(JobWrite::Enable { job_id, enabled: false });
            draft.acts.push(changed(&job.spec.job_id));
        }
        Ok(())
    }

    /// Starts the oldest of what has been claimed and is to catch up, if its time has come.
    fn catch_up(&mut self, now: Now, draft: &mut Draft) -> Result<(), StoreError> {
        if !self.may_catch_up || now.awake_ms < self.catch_up_from_ms {
            return Ok(());
        }
        let mut free = None;
        // The oldest of each job that has a run under way.
        let mut busy: Vec<StoredFire> = Vec::new();
        self.jobs.each_open_fire(Outcome::Claimed.as_str(), |fire| {
            let is_known = busy.iter().any(|other| other.job_id == fire.job_id);
            if !is_known && JobId::new(&fire.job_id).is_ok_and(|job_id| self.n_live(&job_id) > 0) {
                busy.push(fire);
            } else if !is_known {
                free = Some(fire);
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
        let mut next = None;
        for fire in busy {
            match self.meet_living_run(&fire)? {
                Admission::Start => {
                    next = Some(fire);
                    break;
                }
                // It stays claimed until its turn comes, after the end of that run.
                Admission::Wait | Admission::CancelPrevious => {}
                Admission::Skip { reason } => {
                    draft.settle(&fire, Outcome::Skipped, Some(reason.to_owned()), None);
                }
            }
        }
        let Some(fire) = next.or(free) else {
            self.may_catch_up = false;
            return Ok(());
        };
        self.catch_up_from_ms = now.awake_ms + CATCH_UP_GAP_MS;
        self.launch(&fire, draft)
    }

    /// What becomes of one that catches up and finds a run of its job under way.
    fn meet_living_run(&self, fire: &StoredFire) -> Result<Admission, StoreError> {
        let Some(Ok(job)) = self.jobs.load_job(&fire.job_id)?.map(|row| Job::read(&row)) else {
            // It is told that it can't be started.
            return Ok(Admission::Start);
        };
        let misfire = match fire.kind {
            // Each of these is wanted.
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

    /// Has the run of a claimed fire started.
    pub(super) fn launch(&self, fire: &StoredFire, draft: &mut Draft) -> Result<(), StoreError> {
        let job = match self.jobs.load_job(&fire.job_id)? {
            Some(row) => Job::read(&row),
            None => Err("the job is there no more".to_owned()),
        };
        let run_id = fire.run_id.as_deref().and_then(|id| RunId::new(id).ok());
        match (job, run_id) {
            (Ok(job), Some(run_id)) => {
                let start = self.start_of(&job, fire, run_id);
                draft.acts.push(Act::Start(Box::new(start)));
            }
            (Ok(job), None) => {
                // A script has claimed it: it gets a name first.
                let run_id = self.reserve(&job, from_ms(fire.due_ms), draft)?;
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
        JobStart {
            job_id: job.spec.job_id.clone(),
            pipeline_id: job.spec.pipeline_id.clone(),
            source: job.source.clone(),
            run_id,
            trigger: if fire.kind == FireKind::After { Trigger::After } else { Trigger::Schedule },
            fired_by: FiredBy {
                job_id: job.spec.job_id.clone(),
                due_at: Some(instant(fire.due_ms)),
                previous_due_at: fire.previous_ms.map(instant),
            },
            params: job.spec.params.clone(),
            run_type: job.spec.run_type.clone(),
            environment: job.spec.environment.clone(),
            priority: job.spec.priority,
            due_ms: Some(fire.due_ms),
        }
    }

    /// A name for a run of `job`, after the instant that it was due.
    pub(super) fn reserve(
        &self,
        job: &Job,
        due_at: DateTime<Utc>,
        draft: &mut Draft,
    ) -> Result<RunId, StoreError> {
        let others = self.jobs.reserved_run_ids(&run_id_base(&job.source, due_at))?;
        let is_taken = |id: &RunId| others.contains(id.as_str()) || draft.reserved.contains(id);
        let run_id = self.runs.next_run_id(&job.source, due_at, is_taken)?;
        draft.reserved.insert(run_id.clone());
        Ok(run_id)
    }
}

/// The first whole millisecond that is not before `at`: nothing is early.
pub(super) fn ceil_ms(at: DateTime<Utc>) -> DateTime<Utc> {
    let floor = at.trunc_subsecs(3);
    if floor < at { floor + TimeDelta::milliseconds(1) } else { floor }
}

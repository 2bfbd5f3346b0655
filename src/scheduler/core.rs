//! [`SchedulerCore`]: everything that the scheduler decides and records. Its methods get the time as an argument and
//! return acts ([`Act`]), which the caller carries out and reports back. It has no thread, no timer and no engine:
//! without an engine, the command line uses it directly.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::claims::Draft;
use super::error::SchedulerError;
use super::job::Job;
use super::names::Names;
use crate::base::id::{JobId, PipelineId, RunId};
use crate::base::nearest::nearest;
use crate::base::time::Now;
use crate::run::{Definition, EventKind, FiredBy, Trigger};
use crate::store::{
    CheckpointManager, Durability, JobStore, JobWrite, StoreError, StoredFire, StoredJob, from_ms,
};

/// The distance between two starts that catch up, in milliseconds.
pub const CATCH_UP_GAP_MS: u64 = 5_000;

/// What a job runs.
#[derive(Debug, Clone)]
pub enum Target {
    /// A pipeline's definition.
    Pipeline(Arc<Definition>),
    /// A function that the program has registered with its engine.
    Function,
}

/// Finds what a pipeline's name means; the error says why it can't run.
pub type Resolve = dyn Fn(&PipelineId) -> Result<Target, String> + Send + Sync;

/// What the caller must do once a decision is on disk.
#[derive(Debug, Clone)]
pub enum Act {
    /// Start a run of a job, and report the outcome to [`SchedulerCore::started`].
    Start(Box<JobStart>),
    /// Stop a run in order: the next run of its job waits for its end.
    Stop(RunId),
    /// Tell an event to all subscribers.
    Tell(Option<RunId>, Box<EventKind>),
}

/// A run of a job that is to be started.
#[derive(Debug, Clone)]
pub struct JobStart {
    pub job_id: JobId,
    /// The pipeline to run.
    pub pipeline_id: PipelineId,
    /// What the run is named after.
    pub source: String,
    /// The run's id, which is reserved.
    pub run_id: RunId,
    /// The run's trigger.
    pub trigger: Trigger,
    /// The job and the instants, for the run's steps.
    pub fired_by: FiredBy,
    /// Parameters by name.
    pub params: std::collections::BTreeMap<String, String>,
    /// The run type; none: the pipeline's.
    pub run_type: Option<String>,
    /// The environment; none: the pipeline's.
    pub environment: Option<String>,
    /// The job's priority. It counts if it is higher than the pipeline's.
    pub priority: i32,
    /// How long the run may be held for a missing secret.
    pub held_at_most: TimeDelta,
    /// The due instant in milliseconds, which is the key of its row in the ledger. None for a run by hand.
    pub due_ms: Option<i64>,
}

/// The outcome of a start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartOutcome {
    /// The run is recorded.
    Started,
    /// It can't be started, for this reason.
    Refused(String),
    /// Another run has its id.
    NameTaken,
    /// It can't be started at present, for this reason; it will be tried again.
    NotNow(String),
}

/// When the scheduler must look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wake {
    /// At this instant of the wall clock.
    pub wall: Option<DateTime<Utc>>,
    /// At this reading of [`Now::awake_ms`].
    pub awake_ms: Option<u64>,
}

/// A job whose table was removed from its file.
pub(super) struct TakenOut {
    /// The [`Now::awake_ms`] at which that was seen.
    pub(super) at_ms: u64,
    /// Its fires that were waiting to be started, and no longer are.
    pub(super) fires: Vec<StoredFire>,
}

/// The scheduler's state. One thread owns it.
pub struct SchedulerCore {
    pub(super) jobs: JobStore,
    /// The runs, to look up their ends and the ids in use.
    pub(super) runs: CheckpointManager,
    pub(super) resolve: Arc<Resolve>,
    /// The name of this machine's zone.
    pub(super) local: String,
    /// The runs of each job that have not ended.
    pub(super) live: HashMap<JobId, BTreeSet<RunId>>,
    /// The [`Now::awake_ms`] before which nothing catches up.
    pub(super) catch_up_from_ms: u64,
    /// Whether there may be something to catch up that can start.
    pub(super) may_catch_up: bool,
    /// Jobs that were set aside, until the next recovery or until they are changed. What they have to catch up delays
    /// no other job.
    pub(super) jobs_set_aside: HashSet<String>,
    /// The last warning about skipped rows.
    pub(super) said_of_rows: Option<String>,
    /// Whether more is due than was handled at once.
    pub(super) has_more: bool,
    /// The run ids that are in use or reserved.
    pub(super) names: RefCell<Names>,
    /// The clocks at the last look.
    pub(super) looked_at: Option<Now>,
    /// Since when the clock has been watched without a break. None: not yet.
    pub(super) watched_from: Option<DateTime<Utc>>,
    /// Jobs whose tables were removed from their files a moment ago.
    pub(super) taken_out: HashMap<JobId, TakenOut>,
    /// A job could not be set aside: nothing is handled before this [`Now::awake_ms`].
    pub(super) hold_off_ms: Option<u64>,
    /// The database's error after a part of a commit was written.
    pub(super) trouble: Option<StoreError>,
}

impl SchedulerCore {
    /// A core over these databases, on a machine in the zone `local` (an IANA name). Reads nothing yet.
    pub fn new(
        jobs: JobStore,
        runs: CheckpointManager,
        resolve: Arc<Resolve>,
        local: impl Into<String>,
    ) -> Self {
        Self {
            jobs,
            runs,
            resolve,
            local: local.into(),
            live: HashMap::new(),
            catch_up_from_ms: 0,
            may_catch_up: true,
            jobs_set_aside: HashSet::new(),
            said_of_rows: None,
            has_more: false,
            names: RefCell::default(),
            looked_at: None,
            watched_from: None,
            taken_out: HashMap::new(),
            hold_off_ms: None,
            trouble: None,
        }
    }

    /// The database's error after a part of a decision was written; returned once. [`recover`](Self::recover) finds
    /// what was not written.
    pub fn take_trouble(&mut self) -> Option<StoreError> {
        self.trouble.take()
    }

    /// When the scheduler must look again, if nothing else happens.
    pub fn wake(&self) -> Result<Wake, StoreError> {
        if self.hold_off_ms.is_some() {
            return Ok(Wake { wall: None, awake_ms: self.hold_off_ms });
        }
        if self.has_more {
            return Ok(Wake { wall: None, awake_ms: Some(0) });
        }
        let awake_ms = self.may_catch_up.then_some(self.catch_up_from_ms);
        Ok(Wake { wall: self.jobs.earliest_due_ms()?.map(from_ms), awake_ms })
    }

    /// Sets the machine's zone. Jobs that follow it are due at other instants from `now` on.
    pub fn zone_changed(&mut self, local: &str, now: Now) -> Result<Vec<Act>, StoreError> {
        if self.local == local {
            return Ok(Vec::new());
        }
        self.local = local.to_owned();
        self.reckon_anew(now)
    }

    /// Reckons jobs anew that follow the machine's zone and were reckoned in another one: their next instant is by this
    /// zone, from `now` on. Instants that were due before by the other zone are still handled by that one.
    pub(super) fn reckon_anew(&mut self, now: Now) -> Result<Vec<Act>, StoreError> {
        let mut drafts = Vec::new();
        for row in self.jobs.jobs_reckoned_elsewhere(&self.local, now.wall.timestamp_millis())? {
            let Ok(job) = Job::read(&row) else { continue };
            if job.spec.schedule.follows_zone()
                && let Ok(timetable) = job.timetable(&self.local)
            {
                let at_ms = super::job::next_ms(timetable.next_after(now.wall));
                let zone = job.reckoned_zone(&self.local);
                let mut draft = Draft::of(&job.spec.job_id);
                draft.writes.push(JobWrite::NextRun { job_id: row.job_id, at_ms, zone });
                draft.acts.push(changed(&job.spec.job_id));
                drafts.push(draft);
            }
        }
        self.commit_each(drafts, Durability::Synced, now)
    }

    /// Notes the clocks of a look, and whether the clock was watched since the last look: it was not if the machine
    /// slept or the clock was set forward.
    pub(super) fn watch(&mut self, now: Now) {
        const BREAK_MS: i64 = 10_000;
        let wall_ms = |before: Now| (now.wall - before.wall).num_milliseconds();
        let awake_ms = |before: Now| now.awake_ms.saturating_sub(before.awake_ms) as i64;
        let is_break = self.looked_at.is_none_or(|before| wall_ms(before) - awake_ms(before) > BREAK_MS);
        if is_break {
            self.watched_from = Some(now.wall);
        }
        // A clock that was set back is watched from there on.
        self.watched_from = self.watched_from.map(|from| from.min(now.wall));
        self.looked_at = Some(now);
    }

    /// The scheduler's process was stopped until now, so the clock was not watched.
    pub fn stood_still(&mut self) {
        self.looked_at = None;
    }

    /// One job, which must exist.
    pub(super) fn row(&self, job_id: &JobId) -> Result<StoredJob, SchedulerError> {
        match self.jobs.load_job(job_id.as_str())? {
            Some(row) => Ok(row),
            None => Err(self.not_found(job_id.as_str())?),
        }
    }

    /// The error that a job does not exist, with the nearest name.
    pub(super) fn not_found(&self, job_id: &str) -> Result<SchedulerError, StoreError> {
        let hint = match self.near_job(job_id)? {
            Some(near) => format!("; did you mean {near:?}?"),
            None => "; `leverframe schedule list` lists all jobs".to_owned(),
        };
        Ok(SchedulerError::NotFound { job_id: job_id.to_owned(), hint })
    }

    pub(super) fn near_job(&self, job_id: &str) -> Result<Option<String>, StoreError> {
        let names = self.jobs.job_ids()?;
        Ok(nearest(job_id, names.iter().map(String::as_str)).map(str::to_owned))
    }

    /// One job, which must exist and be readable.
    pub(super) fn understood(&self, job_id: &JobId) -> Result<(StoredJob, Job), SchedulerError> {
        let row = self.row(job_id)?;
        match Job::read(&row) {
            Ok(job) => Ok((row, job)),
            Err(problem) => Err(SchedulerError::Broken { job_id: row.job_id, problem }),
        }
    }

    pub(super) fn n_live(&self, job_id: &JobId) -> usize {
        self.live.get(job_id).map_or(0, BTreeSet::len)
    }

    pub(super) fn forget_live(&mut self, job_id: &JobId, run_id: &RunId) {
        if let Some(runs) = self.live.get_mut(job_id) {
            runs.remove(run_id);
            if runs.is_empty() {
                self.live.remove(job_id);
            }
        }
        self.may_catch_up = true;
    }
}

/// The event that a job has changed.
pub(super) fn changed(job_id: &JobId) -> Act {
    Act::Tell(None, Box::new(EventKind::JobChanged { job_id: job_id.clone() }))
}

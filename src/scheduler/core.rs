//! [`SchedulerCore`]: everything that the scheduler decides and records. Its methods take the time as an argument and
//! give back what is to be done in the world ([`Act`]); who calls them does it, and tells what became of it. It has no
//! thread, no timer and no engine.

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

/// Catch-up starts are this far apart, in milliseconds.
pub const CATCH_UP_GAP_MS: u64 = 5_000;

/// What a job runs.
#[derive(Debug, Clone)]
pub enum Target {
    /// A pipeline's definition.
    Pipeline(Arc<Definition>),
    /// A function that the program has registered with its engine.
    Function,
}

/// Finds what a pipeline's name means, or says why it means nothing that can run.
pub type Resolve = dyn Fn(&PipelineId) -> Result<Target, String> + Send + Sync;

/// Something to be done once a decision is on disk.
#[derive(Debug, Clone)]
pub enum Act {
    /// Start a run of a job; what became of it is said with [`SchedulerCore::started`].
    Start(Box<JobStart>),
    /// Stop a run in good order: the next of its job waits for its end.
    Stop(RunId),
    /// Tell everybody.
    Tell(Option<RunId>, Box<EventKind>),
}

/// A run of a job that is to be started.
#[derive(Debug, Clone)]
pub struct JobStart {
    /// Which job.
    pub job_id: JobId,
    /// What it runs.
    pub pipeline_id: PipelineId,
    /// What its runs are named after.
    pub source: String,
    /// The run's name, reserved.
    pub run_id: RunId,
    /// What it is started by.
    pub trigger: Trigger,
    /// What its steps are told.
    pub fired_by: FiredBy,
    /// Parameters by name.
    pub params: std::collections::BTreeMap<String, String>,
    /// Its run type; none: the pipeline's.
    pub run_type: Option<String>,
    /// Its environment; none: the pipeline's.
    pub environment: Option<String>,
    /// The job's priority: it counts where it is higher than the pipeline's.
    pub priority: i32,
    /// How long it may be held for a secret that is missing.
    pub held_at_most: TimeDelta,
    /// The due instant in milliseconds: its row of the ledger. None for a run by hand.
    pub due_ms: Option<i64>,
}

/// What became of a start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartOutcome {
    /// The run is recorded.
    Started,
    /// It can't be started, for this reason.
    Refused(String),
    /// Another run has its name.
    NameTaken,
    /// Not at the moment, for this reason; it is tried again.
    NotNow(String),
}

/// When the scheduler is to look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wake {
    /// At this instant of the wall clock.
    pub wall: Option<DateTime<Utc>>,
    /// At this reading of [`Now::awake_ms`].
    pub awake_ms: Option<u64>,
}

/// A job whose table was taken out of its file.
pub(super) struct TakenOut {
    /// The [`Now::awake_ms`] at which that was seen.
    pub(super) at_ms: u64,
    /// What of it was waiting to be started, and is not since then.
    pub(super) fires: Vec<StoredFire>,
}

/// What the scheduler decides with. One thread owns it.
pub struct SchedulerCore {
    pub(super) jobs: JobStore,
    /// The runs, to look up how they ended and which names are taken.
    pub(super) runs: CheckpointManager,
    pub(super) resolve: Arc<Resolve>,
    /// The name of the zone that this machine is in.
    pub(super) local: String,
    /// The runs of each job that have not ended.
    pub(super) live: HashMap<JobId, BTreeSet<RunId>>,
    /// The [`Now::awake_ms`] before which nothing catches up.
    pub(super) catch_up_from_ms: u64,
    /// Whether something is there to catch up that may start.
    pub(super) may_catch_up: bool,
    /// Jobs that were set aside: what they have to catch up holds up no other. Until the next recovery, or until they
    /// are changed.
    pub(super) jobs_set_aside: HashSet<String>,
    /// What recovery has said of rows that it passed over.
    pub(super) said_of_rows: Option<String>,
    /// Whether more is due than was taken in at once.
    pub(super) has_more: bool,
    /// The names of runs that are taken or reserved.
    pub(super) names: RefCell<Names>,
    /// The reading of the clocks at the last look.
    pub(super) looked_at: Option<Now>,
    /// Since when the clock has been watched without a break; none: not yet.
    pub(super) watched_from: Option<DateTime<Utc>>,
    /// Jobs whose tables were taken out of their files a moment ago.
    pub(super) taken_out: HashMap<JobId, TakenOut>,
    /// Something could not even be set aside: nothing is taken in before this [`Now::awake_ms`].
    pub(super) hold_off_ms: Option<u64>,
    /// What the disk had after a part of what was decided together had been written.
    pub(super) trouble: Option<StoreError>,
}

impl SchedulerCore {
    /// Over these databases, on a machine in the zone `local` (an IANA name). Nothing is read yet.
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

    /// What the disk had after a part of what was decided together had been written; told once. What was not written is
    /// found by [`recover`](Self::recover).
    pub fn take_trouble(&mut self) -> Option<StoreError> {
        self.trouble.take()
    }

    /// The store, for reading beside it.
    pub fn store(&self) -> &JobStore {
        &self.jobs
    }

    /// When it is to be asked again, if nothing else happens.
    ///
    /// # Errors
    /// What the disk has.
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

    /// The machine is in this zone now: what follows it is due at other instants from `now` on.
    ///
    /// # Errors
    /// What the disk has.
    pub fn zone_changed(&mut self, local: &str, now: Now) -> Result<Vec<Act>, StoreError> {
        if self.local == local {
            return Ok(Vec::new());
        }
        self.local = local.to_owned();
        self.reckon_anew(now)
    }

    /// Jobs that follow the machine's zone and were reckoned by another one are due by this one from `now` on. What was
    /// due by the other one before is taken in by that, when its turn comes.
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

    /// Notes that the clocks are read for a look, and whether they were watched since the last one: not while the
    /// machine slept, nor when the clock was set forward.
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

    /// The scheduler's process stood still until now, and the clock was not watched.
    pub fn stood_still(&mut self) {
        self.looked_at = None;
    }

    /// One job, which must be there.
    pub(super) fn row(&self, job_id: &JobId) -> Result<StoredJob, SchedulerError> {
        match self.jobs.load_job(job_id.as_str())? {
            Some(row) => Ok(row),
            None => Err(self.not_found(job_id.as_str())?),
        }
    }

    /// That there is no such job, with the nearest name.
    pub(super) fn not_found(&self, job_id: &str) -> Result<SchedulerError, StoreError> {
        let hint = match self.near_job(job_id)? {
            Some(near) => format!("; did you mean {near:?}?"),
            None => "; `leverframe schedule list` lists those that are".to_owned(),
        };
        Ok(SchedulerError::NotFound { job_id: job_id.to_owned(), hint })
    }

    pub(super) fn near_job(&self, job_id: &str) -> Result<Option<String>, StoreError> {
        let names = self.jobs.job_ids()?;
        Ok(nearest(job_id, names.iter().map(String::as_str)).map(str::to_owned))
    }

    /// A job that must be there and be understood.
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

/// That a job is another one now.
pub(super) fn changed(job_id: &JobId) -> Act {
    Act::Tell(None, Box::new(EventKind::JobChanged { job_id: job_id.clone() }))
}

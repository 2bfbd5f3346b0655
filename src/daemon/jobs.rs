//! What is asked about jobs, carried out: by the scheduler that fires them, or, where none does, by what can be done
//! with their database alone, for the next one to go on from.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::lease::EngineLease;
use crate::api::{Error, JobPatch};
use crate::base::id::{JobId, RunId};
use crate::engine::{CoreExecutionEngine, now};
use crate::scheduler::{
    DesktopScheduler, FireView, HistoryView, JobView, OfflineScheduler, SchedulerCore, SchedulerError,
};
use crate::settings::{PipelineFinder, Settings};
use crate::store::{DataDir, FireFilter};

/// How many runs of a job are told where nobody says how many.
pub const MAX_HISTORY: usize = 50;

/// The most rows of history or of fires that a request is answered with: the answer stands in memory as a whole.
pub const MAX_ROWS: usize = 100_000;

/// The jobs of a data directory. Cheap to clone.
#[derive(Clone)]
pub struct Jobs(Kind);

#[derive(Clone)]
enum Kind {
    /// A scheduler fires them.
    Firing(DesktopScheduler),
    /// Nobody does. Whoever holds this holds the directory's lock.
    Resting(DataDir, Arc<Settings>),
}

impl Jobs {
    /// Those of a scheduler.
    pub fn firing(scheduler: DesktopScheduler) -> Self {
        Self(Kind::Firing(scheduler))
    }

    /// Those of an engine of this process, to run one by hand: none fires by itself.
    ///
    /// # Errors
    /// As [`DesktopScheduler::open_with`].
    pub fn by_hand(engine: &CoreExecutionEngine, settings: Settings) -> Result<Self, Error> {
        let finder = PipelineFinder::new(engine.data_dir().path(), settings);
        Ok(Self::firing(DesktopScheduler::open_with(engine, move |id| finder.find(id))?))
    }

    /// Those of the data directory of `lease`, in which no engine runs.
    pub fn resting(lease: &EngineLease, settings: Settings) -> Self {
        Self::beside_an_engine(lease.dir.clone(), Arc::new(settings))
    }

    /// Those of an engine that fires none.
    pub(crate) fn beside_an_engine(dir: DataDir, settings: Arc<Settings>) -> Self {
        Self(Kind::Resting(dir, settings))
    }

    /// The scheduler, where there is one.
    pub fn scheduler(&self) -> Option<&DesktopScheduler> {
        match &self.0 {
            Kind::Firing(scheduler) => Some(scheduler),
            Kind::Resting(..) => None,
        }
    }

    /// Whether they fire by themselves at this moment.
    pub fn are_fired(&self) -> bool {
        self.scheduler().is_some_and(DesktopScheduler::is_started)
    }

    /// Fires nothing any more.
    pub(crate) fn stop(&self) {
        if let Some(scheduler) = self.scheduler() {
            scheduler.stop();
        }
    }

    /// Adds a job.
    ///
    /// # Errors
    /// As [`DesktopScheduler::schedule_job`], and [`Error`].
    pub fn add(&self, patch: JobPatch) -> Result<JobView, Error> {
        let (job_id, spec) = (patch.job_id.clone(), patch.into_spec()?);
        match &self.0 {
            Kind::Firing(scheduler) => Ok(scheduler.schedule_job(spec)?),
            Kind::Resting(..) => self.change(&job_id, |core| core.schedule_job(spec, now()).map(drop)),
        }
    }

    /// Changes what is given of a job.
    ///
    /// # Errors
    /// As [`DesktopScheduler::set_job`], and [`Error`].
    pub fn set(&self, patch: JobPatch) -> Result<JobView, Error> {
        match &self.0 {
            Kind::Firing(scheduler) => Ok(scheduler.set_job(patch)?),
            Kind::Resting(..) => {
                let job_id = patch.job_id.clone();
                self.change(&job_id, |core| core.set_job(patch, now()).map(drop))
            }
        }
    }

    /// Removes a job.
    ///
    /// # Errors
    /// As [`DesktopScheduler::unschedule_job`].
    pub fn remove(&self, job_id: &JobId) -> Result<(), Error> {
        match &self.0 {
            Kind::Firing(scheduler) => Ok(scheduler.unschedule_job(job_id)?),
            Kind::Resting(..) => self.with_core(|core| core.unschedule_job(job_id).map(drop)),
        }
    }

    /// Lets a job fire.
    ///
    /// # Errors
    /// As [`DesktopScheduler::enable_job`].
    pub fn enable(&self, job_id: &JobId) -> Result<JobView, Error> {
        match &self.0 {
            Kind::Firing(scheduler) => {
                scheduler.enable_job(job_id)?;
                self.job(job_id)
            }
            Kind::Resting(..) => self.change(job_id, |core| core.enable_job(job_id, now()).map(drop)),
        }
    }

    /// Lets a job fire no more.
    ///
    /// # Errors
    /// As [`DesktopScheduler::disable_job`].
    pub fn disable(&self, job_id: &JobId) -> Result<JobView, Error> {
        match &self.0 {
            Kind::Firing(scheduler) => {
                scheduler.disable_job(job_id)?;
                self.job(job_id)
            }
            Kind::Resting(..) => self.change(job_id, |core| core.disable_job(job_id).map(drop)),
        }
    }

    /// Gives a job another name.
    ///
    /// # Errors
    /// As [`DesktopScheduler::rename_job`].
    pub fn rename(&self, from: &JobId, to: &JobId) -> Result<JobView, Error> {
        match &self.0 {
            Kind::Firing(scheduler) => {
                scheduler.rename_job(from, to)?;
                self.job(to)
            }
            Kind::Resting(..) => self.change(to, |core| core.rename_job(from, to).map(drop)),
        }
    }

    /// Runs what a job was due and did not run; how many instants these are. Where no scheduler is, they are claimed,
    /// and run when there is one.
    ///
    /// # Errors
    /// As [`DesktopScheduler::backfill`].
    pub fn backfill(&self, job_id: &JobId, from: DateTime<Utc>, to: DateTime<Utc>) -> Result<usize, Error> {
        match &self.0 {
            Kind::Firing(scheduler) => Ok(scheduler.backfill(job_id, from, to)?),
            Kind::Resting(..) => self.with_core(|core| Ok(core.backfill(job_id, from, to, now())?.0)),
        }
    }

    /// Starts a run of a job.
    ///
    /// # Errors
    /// As [`DesktopScheduler::run_job_now`], and [`Error`] where no scheduler is.
    pub fn run_now(&self, job_id: &JobId) -> Result<RunId, Error> {
        match &self.0 {
            Kind::Firing(scheduler) => Ok(scheduler.run_job_now(job_id)?),
            Kind::Resting(..) => {
                let job = self.job(job_id)?;
                Err(Error::impossible(format!(
                    "job {job_id} can't be run: the engine of this data directory drives a run in the foreground and fires no jobs; wait for its end, start `leverframe serve`, which takes it over, or run its pipeline: `leverframe run {}`",
                    job.pipeline_id
                )))
            }
        }
    }

    /// All jobs, by name.
    ///
    /// # Errors
    /// What the disk has.
    pub fn list(&self) -> Result<Vec<JobView>, Error> {
        match &self.0 {
            Kind::Firing(scheduler) => Ok(scheduler.list_jobs()?),
            Kind::Resting(..) => self.with_core(|core| core.list_jobs()),
        }
    }

    /// One job.
    ///
    /// # Errors
    /// [`SchedulerError::NotFound`].
    pub fn job(&self, job_id: &JobId) -> Result<JobView, Error> {
        match &self.0 {
            Kind::Firing(scheduler) => Ok(scheduler.get_job(job_id)?),
            Kind::Resting(..) => self.with_core(|core| core.get_job(job_id)),
        }
    }

    /// The newest runs of a job, newest first; [`MAX_HISTORY`] where no limit is given.
    ///
    /// # Errors
    /// [`SchedulerError::NotFound`].
    pub fn history(&self, job_id: &JobId, limit: Option<usize>) -> Result<Vec<HistoryView>, Error> {
        let limit = limit.unwrap_or(MAX_HISTORY);
        match &self.0 {
            Kind::Firing(scheduler) => Ok(scheduler.get_job_history(job_id, limit)?),
            Kind::Resting(..) => self.with_core(|core| core.history_as_it_stands(job_id, limit)),
        }
    }

    /// The fires of a job, oldest first.
    ///
    /// # Errors
    /// [`SchedulerError::NotFound`].
    pub fn fires(&self, job_id: &JobId, filter: FireFilter) -> Result<Vec<FireView>, Error> {
        match &self.0 {
            Kind::Firing(scheduler) => Ok(scheduler.fires(job_id, filter)?),
            Kind::Resting(..) => self.with_core(|core| core.fires(job_id, &filter, now())),
        }
    }

    fn change(
        &self,
        job_id: &JobId,
        work: impl FnOnce(&mut SchedulerCore) -> Result<(), SchedulerError>,
    ) -> Result<JobView, Error> {
        self.with_core(|core| {
            work(core)?;
            core.get_job(job_id)
        })
    }

    /// Works on the database alone.
    fn with_core<T>(
        &self,
        work: impl FnOnce(&mut SchedulerCore) -> Result<T, SchedulerError>,
    ) -> Result<T, Error> {
        let Kind::Resting(dir, settings) = &self.0 else { return Err(SchedulerError::Stopped.into()) };
        let finder = PipelineFinder::new(dir.path(), Settings::clone(settings));
        let mut offline = OfflineScheduler::under_lock(dir, move |id| finder.find(id))?;
        Ok(work(offline.core())?)
    }
}

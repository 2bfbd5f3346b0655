//! [`DesktopScheduler`]: the jobs of a data directory, as a program reaches them.

use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use parking_lot::Mutex;

use super::actor::{Actor, Order, Wakers};
use super::core::{Act, Resolve, SchedulerCore, Target};
use super::error::SchedulerError;
use super::files::{FileTables, Listing, TakenOver};
use super::job::{JobPatch, JobSpec};
use super::view::{FireView, HistoryView, JobView};
use super::zone::machine_zone;
use crate::base::id::{JobId, PipelineId, RunId};
use crate::base::thread::{self, Thread};
use crate::engine::{CoreExecutionEngine, now};
use crate::run::Definition;
use crate::store::{CheckpointManager, DataDir, EngineLock, FireFilter, JobStore};

/// The jobs of a data directory. On an engine ([`open`](Self::open)) it fires them from [`start`](Self::start) on, until
/// it is stopped or its last handle is dropped. Without one it works on the database alone: what is changed there counts
/// as soon as an engine fires the jobs. Cheap to clone; usable from any thread.
#[derive(Clone)]
pub struct DesktopScheduler {
    place: Place,
}

#[derive(Clone)]
enum Place {
    /// On an engine.
    Engine(Arc<Shared>),
    /// The database alone. It is opened for each piece of work, so that nothing is held between two.
    Database(Arc<dyn Fn() -> Result<SchedulerCore, SchedulerError> + Send + Sync>),
}

struct Shared {
    store: JobStore,
    orders: Sender<Order>,
    /// What the thread is made of, until it is started.
    idle: Mutex<Option<(Actor, Wakers, Receiver<Order>)>>,
    thread: Mutex<Option<Thread>>,
}

impl DesktopScheduler {
    /// As `open` (in `settings`), with another way to find pipelines: `find` returns the definition of a pipeline's id, or
    /// why it can't be run. Functions that are registered with the engine are found without it.
    ///
    /// # Errors
    /// [`SchedulerError::Store`] when the database can't be opened, [`SchedulerError::System`].
    pub fn open_with(
        engine: &CoreExecutionEngine,
        find: impl Fn(&PipelineId) -> Result<Arc<Definition>, String> + Send + Sync + 'static,
    ) -> Result<Self, SchedulerError> {
        let jobs = JobStore::open(engine.data_dir().scheduler_db())?;
        let functions = engine.clone();
        let resolve: Arc<Resolve> = Arc::new(move |id: &PipelineId| {
            if functions.is_registered(id) { Ok(Target::Function) } else { find(id).map(Target::Pipeline) }
        });
        let store = jobs.clone();
        let core = SchedulerCore::new(jobs, engine.store().clone(), resolve.clone(), machine_zone());
        let (actor, wakers) = Actor::new(core, engine.clone(), resolve)?;
        // Unbounded: callers wait for their answers, so that it holds as many orders as there are callers.
        let (orders, waiting) = unbounded();
        let idle = Mutex::new(Some((actor, wakers, waiting)));
        let shared = Shared { store, orders, idle, thread: Mutex::default() };
        Ok(Self { place: Place::Engine(Arc::new(shared)) })
    }

    /// The jobs of an engine that fires none.
    #[doc(hidden)]
    pub fn beside(
        engine: &CoreExecutionEngine,
        find: impl Fn(&PipelineId) -> Result<Arc<Definition>, String> + Send + Sync + 'static,
    ) -> Self {
        Self::in_database(engine.data_dir(), find)
    }

    /// The jobs of a data directory in which no engine runs. The lock of that directory must be held for as long as jobs
    /// are changed.
    #[doc(hidden)]
    pub fn under_lock(
        _lock: &EngineLock,
        data_dir: &DataDir,
        find: impl Fn(&PipelineId) -> Result<Arc<Definition>, String> + Send + Sync + 'static,
    ) -> Self {
        Self::in_database(data_dir, find)
    }

    fn in_database(
        data_dir: &DataDir,
        find: impl Fn(&PipelineId) -> Result<Arc<Definition>, String> + Send + Sync + 'static,
    ) -> Self {
        let dir = data_dir.clone();
        let resolve: Arc<Resolve> = Arc::new(move |id: &PipelineId| find(id).map(Target::Pipeline));
        Self::opened_by(move || {
            let jobs = JobStore::open(dir.scheduler_db())?;
            let runs = CheckpointManager::open(dir.checkpoints_db())?;
            Ok(SchedulerCore::new(jobs, runs, resolve.clone(), machine_zone()))
        })
    }

    /// The jobs of a data directory, read-only: no lock is taken, and a change fails. An engine may run there.
    pub fn read_only(data_dir: &Path) -> Self {
        let (jobs, runs) = (data_dir.join("scheduler.db"), data_dir.join("checkpoints.db"));
        let resolve: Arc<Resolve> = Arc::new(|id: &PipelineId| Err(format!("{id} was not looked for")));
        Self::opened_by(move || {
            let (jobs, runs) = (JobStore::open_read_only(&jobs)?, CheckpointManager::open_read_only(&runs)?);
            Ok(SchedulerCore::new(jobs, runs, resolve.clone(), machine_zone()))
        })
    }

    fn opened_by(open: impl Fn() -> Result<SchedulerCore, SchedulerError> + Send + Sync + 'static) -> Self {
        Self { place: Place::Database(Arc::new(open)) }
    }

    /// Starts the thread. It starts claimed fires that have no run, applies the misfire policy to what was missed, and from
    /// now on fires jobs. Harmless when it runs already.
    ///
    /// # Errors
    /// [`SchedulerError::System`] when there is no thread left, [`SchedulerError::Stopped`] after [`stop`](Self::stop),
    /// [`SchedulerError::NoEngine`].
    pub fn start(&self) -> Result<(), SchedulerError> {
        let Place::Engine(shared) = &self.place else {
            return Err(SchedulerError::NoEngine("jobs can't be fired".to_owned()));
        };
        let mut thread = shared.thread.lock();
        if thread.is_some() {
            return Ok(());
        }
        let idle = shared.idle.lock().take();
        let (actor, wakers, orders) = idle.ok_or(SchedulerError::Stopped)?;
        let work = move || actor.run(&orders, &wakers);
        *thread = Some(thread::start("lf-scheduler", work)?);
        Ok(())
    }

    /// Whether jobs fire: it was started, and has not been stopped.
    pub fn is_started(&self) -> bool {
        self.shared().is_some_and(|shared| shared.thread.lock().is_some())
    }

    /// Stops it: when this returns, nothing fires any more. Runs go on.
    pub fn stop(&self) {
        if let Some(shared) = self.shared() {
            shared.stop();
        }
    }

    /// The store, for reading beside it and for retention; none without an engine.
    #[doc(hidden)]
    pub fn store(&self) -> Option<&JobStore> {
        self.shared().map(|shared| &shared.store)
    }

    fn shared(&self) -> Option<&Shared> {
        match &self.place {
            Place::Engine(shared) => Some(shared),
            Place::Database(_) => None,
        }
    }

    /// Adds a job. It is first due after this call.
    ///
    /// # Errors
    /// As [`SchedulerCore::schedule_job`].
    pub fn schedule_job(&self, spec: JobSpec) -> Result<JobView, SchedulerError> {
        let job_id = spec.job_id.clone();
        self.change(&job_id, |core, _| core.schedule_job(spec, now()))
    }

    /// Removes a job; its history and the ledger of its fires stay until they are old.
    ///
    /// # Errors
    /// As [`SchedulerCore::unschedule_job`].
    pub fn unschedule_job(&self, job_id: &JobId) -> Result<(), SchedulerError> {
        let job_id = job_id.clone();
        self.work(move |core| Ok(((), core.unschedule_job(&job_id)?)))
    }

    /// Changes what is given of a job.
    ///
    /// # Errors
    /// As [`SchedulerCore::set_job`].
    pub fn set_job(&self, patch: JobPatch) -> Result<JobView, SchedulerError> {
        let job_id = patch.job_id.clone();
        self.change(&job_id, |core, _| core.set_job(patch, now()))
    }

    /// Gives a job another name.
    ///
    /// # Errors
    /// As [`SchedulerCore::rename_job`].
    pub fn rename_job(&self, from: &JobId, to: &JobId) -> Result<JobView, SchedulerError> {
        let from = from.clone();
        self.change(to, move |core, to| core.rename_job(&from, to))
    }

    /// Lets a job fire again.
    ///
    /// # Errors
    /// As [`SchedulerCore::enable_job`].
    pub fn enable_job(&self, job_id: &JobId) -> Result<JobView, SchedulerError> {
        self.change(job_id, |core, job_id| core.enable_job(job_id, now()))
    }

    /// Lets a job fire no more.
    ///
    /// # Errors
    /// As [`SchedulerCore::disable_job`].
    pub fn disable_job(&self, job_id: &JobId) -> Result<JobView, SchedulerError> {
        self.change(job_id, SchedulerCore::disable_job)
    }

    /// Starts a run of a job by hand, whatever its switch and its other runs; its id once it is recorded.
    ///
    /// # Errors
    /// [`SchedulerError::NotFound`], [`SchedulerError::NotStarted`], [`SchedulerError::NoEngine`].
    pub fn run_job_now(&self, job_id: &JobId) -> Result<RunId, SchedulerError> {
        let Place::Engine(shared) = &self.place else {
            let pipeline_id = self.get_job(job_id)?.pipeline_id;
            return Err(SchedulerError::NoEngine(format!(
                "job {job_id} can't be run (its pipeline can: `leverframe run {pipeline_id}`)"
            )));
        };
        let job_id = job_id.clone();
        shared.ask(move |actor| actor.run_now(&job_id))
    }

    /// Runs what a job was due from `from` to `to` and did not run; how many instants these are.
    ///
    /// # Errors
    /// As [`SchedulerCore::backfill`].
    pub fn backfill(
        &self,
        job_id: &JobId,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Result<usize, SchedulerError> {
        let job_id = job_id.clone();
        self.work(move |core| core.backfill(&job_id, from, to, now()))
    }

    /// Takes the `[[schedule]]` tables of pipeline files over as jobs.
    ///
    /// # Errors
    /// As [`SchedulerCore::take_over`].
    #[doc(hidden)]
    pub fn take_over(&self, files: Vec<FileTables>, listing: Listing) -> Result<TakenOver, SchedulerError> {
        self.work(move |core| Ok(core.take_over(files, listing, now())?))
    }

    /// One job.
    ///
    /// # Errors
    /// [`SchedulerError::NotFound`].
    pub fn get_job(&self, job_id: &JobId) -> Result<JobView, SchedulerError> {
        let job_id = job_id.clone();
        self.look(move |core| core.get_job(&job_id))
    }

    /// All jobs, by name.
    ///
    /// # Errors
    /// What the disk has.
    pub fn list_jobs(&self) -> Result<Vec<JobView>, SchedulerError> {
        self.look(|core| core.list_jobs())
    }

    /// The newest runs of a job, newest first. Without an engine, ends that are not booked yet are read from the runs.
    ///
    /// # Errors
    /// [`SchedulerError::NotFound`].
    pub fn get_job_history(&self, job_id: &JobId, limit: usize) -> Result<Vec<HistoryView>, SchedulerError> {
        let (job_id, is_booked) = (job_id.clone(), self.shared().is_some());
        self.look(move |core| match is_booked {
            true => core.get_job_history(&job_id, limit),
            false => core.history_as_it_stands(&job_id, limit),
        })
    }

    /// The fires of a job, oldest first.
    ///
    /// # Errors
    /// [`SchedulerError::NotFound`].
    pub fn fires(&self, job_id: &JobId, filter: FireFilter) -> Result<Vec<FireView>, SchedulerError> {
        let job_id = job_id.clone();
        self.look(move |core| core.fires(&job_id, &filter, now()))
    }

    /// Changes a job, and returns it as it is then.
    fn change(
        &self,
        job_id: &JobId,
        work: impl FnOnce(&mut SchedulerCore, &JobId) -> Result<Vec<Act>, SchedulerError> + Send + 'static,
    ) -> Result<JobView, SchedulerError> {
        let id = job_id.clone();
        self.work(move |core| Ok(((), work(core, &id)?)))?;
        self.get_job(job_id)
    }

    /// Looks at the jobs.
    pub(crate) fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&SchedulerCore) -> Result<T, SchedulerError> + Send + 'static,
    ) -> Result<T, SchedulerError> {
        match &self.place {
            Place::Engine(shared) => shared.ask(move |actor| look(&actor.core)),
            Place::Database(open) => look(&open()?),
        }
    }

    /// Works on the jobs, and carries out the acts that follow. Without an engine they are left to the next one, which finds
    /// them in the database.
    fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut SchedulerCore) -> Result<(T, Vec<Act>), SchedulerError> + Send + 'static,
    ) -> Result<T, SchedulerError> {
        match &self.place {
            Place::Engine(shared) => shared.ask(move |actor| {
                let (outcome, acts) = work(&mut actor.core)?;
                actor.carry_out(Ok(acts));
                Ok(outcome)
            }),
            Place::Database(open) => Ok(work(&mut open()?)?.0),
        }
    }
}

impl Shared {
    /// Does this work on the scheduler's thread, or here while there is none.
    fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Actor) -> Result<T, SchedulerError> + Send + 'static,
    ) -> Result<T, SchedulerError> {
        {
            let mut idle = self.idle.lock();
            if let Some((actor, _, _)) = idle.as_mut() {
                return work(actor);
            }
        }
        // Capacity 1: the one answer.
        let (reply, answer) = bounded(1);
        let order: Order = Box::new(move |actor| {
            // A caller that has gone needs no answer.
            let _ = reply.send(work(actor));
        });
        self.orders.send(order).map_err(|_| SchedulerError::Stopped)?;
        answer.recv().map_err(|_| SchedulerError::Stopped)?
    }

    fn stop(&self) {
        drop(self.idle.lock().take());
        let _ = self.orders.send(Box::new(Actor::end));
        let thread = self.thread.lock().take();
        // Without the lock: its end may take a while.
        drop(thread);
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.stop();
    }
}

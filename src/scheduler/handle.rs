//! The two ways to the scheduler: [`DesktopScheduler`] with an engine, [`OfflineScheduler`] without one.

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

/// Fires jobs on an engine. Cheap to clone; usable from any thread. Nothing fires before [`start`](Self::start); the
/// last handle that is dropped stops it.
#[derive(Clone)]
pub struct DesktopScheduler {
    shared: Arc<Shared>,
}

struct Shared {
    store: JobStore,
    orders: Sender<Order>,
    /// What the thread is made of, until it is started.
    idle: Mutex<Option<(Actor, Wakers, Receiver<Order>)>>,
    thread: Mutex<Option<Thread>>,
}

impl DesktopScheduler {
    /// As `open`, which stands where the pipeline files are known (`settings`), with another way to find pipelines: `find` says what the id of a pipeline's file means, or why it
    /// can't be run; functions that are registered with the engine are found without it.
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
        let (actor, bells) = Actor::new(core, engine.clone(), resolve)?;
        // Unbounded: callers wait for their answers, so that it holds as many orders as there are callers.
        let (orders, waiting) = unbounded();
        let idle = Mutex::new(Some((actor, bells, waiting)));
        Ok(Self { shared: Arc::new(Shared { store, orders, idle, thread: Mutex::default() }) })
    }

    /// Starts the thread: what was claimed and has no run is started, what was missed meets its policy, and from now on
    /// jobs fire. Harmless when it runs already.
    ///
    /// # Errors
    /// [`SchedulerError::System`] when there is no thread left, [`SchedulerError::Stopped`] after [`stop`](Self::stop).
    pub fn start(&self) -> Result<(), SchedulerError> {
        let mut thread = self.shared.thread.lock();
        if thread.is_some() {
            return Ok(());
        }
        let idle = self.shared.idle.lock().take();
        let (actor, bells, orders) = idle.ok_or(SchedulerError::Stopped)?;
        let work = move || actor.run(&orders, &bells);
        *thread = Some(thread::start("lf-scheduler", work)?);
        Ok(())
    }

    /// Whether jobs fire: it was started, and has not been stopped.
    pub fn is_started(&self) -> bool {
        self.shared.thread.lock().is_some()
    }

    /// Stops it: when this returns, nothing fires any more. Runs go on.
    pub fn stop(&self) {
        self.shared.stop();
    }

    /// The store, for reading beside it and for retention.
    pub fn store(&self) -> &JobStore {
        &self.shared.store
    }

    /// Adds a job. It is first due after this call.
    ///
    /// # Errors
    /// As [`SchedulerCore::schedule_job`].
    pub fn schedule_job(&self, spec: JobSpec) -> Result<JobView, SchedulerError> {
        let job_id = spec.job_id.clone();
        self.change(move |core| core.schedule_job(spec, now()))?;
        self.get_job(&job_id)
    }

    /// Removes a job; its history and the ledger of its fires stay until they are old.
    ///
    /// # Errors
    /// As [`SchedulerCore::unschedule_job`].
    pub fn unschedule_job(&self, job_id: &JobId) -> Result<(), SchedulerError> {
        let job_id = job_id.clone();
        self.change(move |core| core.unschedule_job(&job_id))
    }

    /// Changes what is given of a job.
    ///
    /// # Errors
    /// As [`SchedulerCore::set_job`].
    pub fn set_job(&self, patch: JobPatch) -> Result<JobView, SchedulerError> {
        let job_id = patch.job_id.clone();
        self.change(move |core| core.set_job(patch, now()))?;
        self.get_job(&job_id)
    }

    /// Gives a job another name.
    ///
    /// # Errors
    /// As [`SchedulerCore::rename_job`].
    pub fn rename_job(&self, from: &JobId, to: &JobId) -> Result<(), SchedulerError> {
        let (from, to) = (from.clone(), to.clone());
        self.change(move |core| core.rename_job(&from, &to))
    }

    /// Lets a job fire again.
    ///
    /// # Errors
    /// As [`SchedulerCore::enable_job`].
    pub fn enable_job(&self, job_id: &JobId) -> Result<(), SchedulerError> {
        let job_id = job_id.clone();
        self.change(move |core| core.enable_job(&job_id, now()))
    }

    /// Lets a job fire no more.
    ///
    /// # Errors
    /// As [`SchedulerCore::disable_job`].
    pub fn disable_job(&self, job_id: &JobId) -> Result<(), SchedulerError> {
        let job_id = job_id.clone();
        self.change(move |core| core.disable_job(&job_id))
    }

    /// Starts a run of a job by hand, whatever its switch and its other runs; its id once it is recorded.
    ///
    /// # Errors
    /// [`SchedulerError::NotFound`], [`SchedulerError::NotStarted`].
    pub fn run_job_now(&self, job_id: &JobId) -> Result<RunId, SchedulerError> {
        let job_id = job_id.clone();
        self.ask(move |actor| actor.run_now(&job_id))
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

    /// The newest runs of a job, newest first.
    ///
    /// # Errors
    /// [`SchedulerError::NotFound`].
    pub fn get_job_history(&self, job_id: &JobId, limit: usize) -> Result<Vec<HistoryView>, SchedulerError> {
        let job_id = job_id.clone();
        self.look(move |core| core.get_job_history(&job_id, limit))
    }

    /// The fires of a job, oldest first.
    ///
    /// # Errors
    /// [`SchedulerError::NotFound`].
    pub fn fires(&self, job_id: &JobId, filter: FireFilter) -> Result<Vec<FireView>, SchedulerError> {
        let job_id = job_id.clone();
        self.look(move |core| core.fires(&job_id, &filter, now()))
    }

    fn change(
        &self,
        work: impl FnOnce(&mut SchedulerCore) -> Result<Vec<Act>, SchedulerError> + Send + 'static,
    ) -> Result<(), SchedulerError> {
        self.work(move |core| Ok(((), work(core)?)))
    }

    /// Looks at the jobs.
    pub(crate) fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&SchedulerCore) -> Result<T, SchedulerError> + Send + 'static,
    ) -> Result<T, SchedulerError> {
        self.ask(move |actor| look(&actor.core))
    }

    /// Works on the jobs, and carries out what comes of it in the world.
    pub(crate) fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut SchedulerCore) -> Result<(T, Vec<Act>), SchedulerError> + Send + 'static,
    ) -> Result<T, SchedulerError> {
        self.ask(move |actor| {
            let (outcome, acts) = work(&mut actor.core)?;
            actor.carry_out(Ok(acts));
            Ok(outcome)
        })
    }

    /// Has something done on the scheduler's thread, or here while there is none.
    fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Actor) -> Result<T, SchedulerError> + Send + 'static,
    ) -> Result<T, SchedulerError> {
        {
            let mut idle = self.shared.idle.lock();
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
        self.shared.orders.send(order).map_err(|_| SchedulerError::Stopped)?;
        answer.recv().map_err(|_| SchedulerError::Stopped)?
    }
}

impl Shared {
    fn stop(&self) {
        drop(self.idle.lock().take());
        // If the thread has ended already, so be it.
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

/// The jobs of a data directory in which no engine runs; for the command line. Derefs to nothing: what can be done is
/// done with [`core`](Self::core), which takes the time as an argument.
pub struct OfflineScheduler {
    core: SchedulerCore,
    _lock: Option<EngineLock>,
}

impl OfflineScheduler {
    /// Opens the jobs for changing, under the lock of the data directory.
    ///
    /// # Errors
    /// [`SchedulerError::DataDir`] when an engine holds it or it can't be used, [`SchedulerError::Store`].
    pub fn open(
        data_dir: &DataDir,
        find: impl Fn(&PipelineId) -> Result<Arc<Definition>, String> + Send + Sync + 'static,
    ) -> Result<Self, SchedulerError> {
        let lock = data_dir.lock()?;
        Ok(Self { _lock: Some(lock), ..Self::under_lock(data_dir, find)? })
    }

    /// As [`open`](Self::open), for whoever holds the lock of the data directory already, and holds it on.
    ///
    /// # Errors
    /// [`SchedulerError::Store`].
    pub fn under_lock(
        data_dir: &DataDir,
        find: impl Fn(&PipelineId) -> Result<Arc<Definition>, String> + Send + Sync + 'static,
    ) -> Result<Self, SchedulerError> {
        let jobs = JobStore::open(data_dir.scheduler_db())?;
        let runs = CheckpointManager::open(data_dir.checkpoints_db())?;
        let resolve: Arc<Resolve> = Arc::new(move |id: &PipelineId| find(id).map(Target::Pipeline));
        let core = SchedulerCore::new(jobs, runs, resolve, machine_zone());
        Ok(Self { core, _lock: None })
    }

    /// Opens the jobs for looking: no lock is taken and nothing is changed. Also beside an engine.
    ///
    /// # Errors
    /// [`SchedulerError::Store`].
    pub fn open_read_only(data_dir: &Path) -> Result<Self, SchedulerError> {
        let jobs = JobStore::open_read_only(data_dir.join("scheduler.db"))?;
        let runs = CheckpointManager::open_read_only(data_dir.join("checkpoints.db"))?;
        let resolve: Arc<Resolve> = Arc::new(|id: &PipelineId| Err(format!("{id} was not looked for")));
        Ok(Self { core: SchedulerCore::new(jobs, runs, resolve, machine_zone()), _lock: None })
    }

    /// The jobs. What its calls give back to be done in the world waits for the next engine, which finds it.
    pub fn core(&mut self) -> &mut SchedulerCore {
        &mut self.core
    }
}

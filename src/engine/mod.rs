//! The engine: the only owner of every run. [`CoreExecutionEngine`] is the handle; behind it one thread
//! decides, records, acts and tells (`core`).
//!
//! It deliberately knows nothing of windows, terminals or files of pipelines: it is given definitions.

mod act;
mod admitting;
mod beats;
mod bus;
mod changes;
mod clock;
mod closing;
mod context;
mod core;
mod deadlines;
mod error;
mod for_jobs;
mod host_link;
mod launch;
mod launcher;
mod limits;
mod measuring;
mod message;
mod new_runs;
mod options;
mod orders;
mod outage;
mod recovery;
mod reported;
mod secrets;
mod signal;
mod silence;
mod sleep_inhibition;
mod stock;

pub use admitting::CurrentWait;
pub use bus::{EventBus, MAX_WAITING_FACTS, Subscription, SubscriptionEnder, SubscriptionGuard};
pub use clock::{WallTimer, now};
pub use context::ExecutionContext;
pub use error::EngineError;
pub use options::{
    EngineOptions, HostChoice, HostSink, HostStart, MakeHost, OnDiskFull, Scope, StartRequest,
};
pub use signal::Signal;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arc_swap::ArcSwap;
use crossbeam_channel::{Receiver, Sender, bounded};
use imbl::OrdMap;
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};

use crate::admission::Orders;
use crate::base::id::{PipelineId, RunId, StepId};
use crate::base::thread::Thread;
use crate::base::time::Now;
use crate::run::{Body, Event, Input, Plan, Run, RunState, RunSummary, StopKind};
use crate::store::{CheckpointManager, DataDir};
use message::{Answer, Ask, Message};

/// A pipeline that is a Rust function.
type PipelineFn = dyn Fn(&ExecutionContext) -> anyhow::Result<()> + Send + Sync;

/// What becomes of living runs when the engine shuts down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShutdownKind {
    /// Steps go on under the supervisor; the next engine takes them back.
    LeaveSteps,
    /// Runs are frozen, and stay so until they are resumed.
    FreezeRuns,
    /// Runs are stopped in good order.
    StopRuns,
}

/// All living runs at one moment.
#[derive(Debug, Clone, Default)]
pub struct EngineSnapshot {
    /// Events up to this one are contained in it.
    pub seq: u64,
    /// The runs that have not ended, with their steps.
    pub runs: OrdMap<RunId, Arc<Run>>,
    /// The operator's orders that are in force.
    pub orders: Orders,
}

/// A handle to the engine. Cheap to clone; usable from any thread. The engine ends when
/// [`shutdown`](Self::shutdown) is called or the last handle is dropped; either way steps that run are left
/// with the supervisor.
#[derive(Clone)]
pub struct CoreExecutionEngine {
    shared: Arc<Shared>,
}

struct Shared {
    inbox: Sender<Message>,
    published: Arc<Published>,
    functions: RwLock<HashMap<PipelineId, Arc<PipelineFn>>>,
    thread: Mutex<Option<Thread>>,
}

/// What readers take without the engine's thread.
struct Published {
    snapshot: ArcSwap<EngineSnapshot>,
    wants_samples: AtomicBool,
    progress: ProgressSlots,
    bus: EventBus,
    store: CheckpointManager,
    data_dir: DataDir,
}

/// The newest progress of each driven run that the engine has not taken yet: a flood of reports costs
/// one slot a run.
type ProgressSlots = Mutex<HashMap<RunId, (f64, Option<Arc<str>>)>>;

impl EngineSnapshot {
    /// The epoch of the engine: each start has a higher one.
    pub const fn epoch(&self) -> u64 {
        self.seq >> 32
    }
}

impl CoreExecutionEngine {
    /// Opens the data directory, takes its lock and recovers what an earlier engine left.
    ///
    /// # Errors
    /// [`EngineError::DataDir`] when the directory is held by another engine or can't be used,
    /// [`EngineError::Store`] when its database can't be opened, [`EngineError::Host`] when steps can't be run.
    pub fn open(data_dir: impl AsRef<Path>, options: EngineOptions) -> Result<Self, EngineError> {
        core::open(DataDir::open(data_dir)?, options)
    }

    /// Starts a run that the calling program drives itself.
    ///
    /// # Errors
    /// [`EngineError::Exists`] when there is a run of this id, [`EngineError::Store`] when it can't be recorded.
    pub fn start_execution(&self, request: StartRequest) -> Result<ExecutionContext, EngineError> {
        let run_id = self.start_pipeline(request.plan)?;
        self.context(&run_id)
    }

    /// Starts a run of a pipeline's definition; returns its id once it is recorded.
    ///
    /// # Errors
    /// [`EngineError::Exists`] when there is a run of the id asked for, [`EngineError::Store`] when it can't be recorded.
    pub fn start_pipeline(&self, plan: Plan) -> Result<RunId, EngineError> {
        self.send_start(plan, clock::now())?
            .recv()
            .map_err(|_| EngineError::ShutDown)?
            .map(|run| run.id.clone())
    }

    /// Makes a pipeline of a Rust function: [`start_registered`](Self::start_registered) and jobs may name it.
    pub fn register_pipeline(
        &self,
        id: PipelineId,
        function: impl Fn(&ExecutionContext) -> anyhow::Result<()> + Send + Sync + 'static,
    ) {
        let mut functions = self.shared.functions.write();
        functions.insert(id, Arc::new(function));
    }

    /// Whether a function is registered under this id.
    pub fn is_registered(&self, id: &PipelineId) -> bool {
        self.function(id).is_some()
    }

    /// Starts a run of a registered function on a thread of its own. The run completes when the function
    /// returns, and fails when it returns an error or panics.
    ///
    /// # Errors
    /// [`EngineError::NotRegistered`] without such a function, else as [`start_execution`](Self::start_execution).
    pub fn start_registered(&self, request: StartRequest) -> Result<ExecutionContext, EngineError> {
        let pipeline_id = &request.plan.pipeline_id;
        let function = self
            .function(pipeline_id)
            .ok_or_else(|| EngineError::NotRegistered { pipeline_id: pipeline_id.clone() })?;
        let context = self.start_execution(request)?;
        context::drive(context.clone(), function)?;
        Ok(context)
    }

    /// Freezes a run: recorded when this returns, told as `execution_paused` when its tree is seen frozen.
    ///
    /// # Errors
    /// [`EngineError::NotFound`], or [`EngineError::Refused`] naming both states.
    pub fn pause_execution(&self, run_id: &RunId) -> Result<(), EngineError> {
        self.ask(run_id, Input::Pause).map(drop)
    }

    /// Thaws a paused run, or takes up one that has ended badly, under the same id.
    ///
    /// # Errors
    /// [`EngineError::NotFound`], or [`EngineError::Refused`] naming both states.
    pub fn resume_execution(&self, run_id: &RunId) -> Result<ExecutionContext, EngineError> {
        let was_paused = self.get_execution_state(run_id)?.is_some_and(|run| run.state == RunState::Paused);
        let run = self.ask(run_id, Input::Resume)?;
        let context = self.context(run_id)?;
        if let (false, Body::Driven, Some(function)) =
            (was_paused, &run.body, self.function(&run.pipeline_id))
        {
            context::drive(context.clone(), function)?;
        }
        Ok(context)
    }

    /// Runs a step and what needs it again; without a step, what has not completed. Their checkpoints and
    /// outputs move to the earlier attempt.
    ///
    /// # Errors
    /// [`EngineError::NotFound`], or [`EngineError::Refused`] when it has not ended or has no such step.
    pub fn retry_execution(&self, run_id: &RunId, from: Option<StepId>) -> Result<(), EngineError> {
        self.ask(run_id, Input::Retry(from)).map(drop)
    }

    /// Stops a run: in good order (signal, grace, kill; `finally` steps run) or by force.
    ///
    /// # Errors
    /// [`EngineError::NotFound`], or [`EngineError::Refused`] naming both states.
    pub fn stop_execution(&self, run_id: &RunId, kind: StopKind) -> Result<(), EngineError> {
        self.ask(run_id, Input::Stop(kind)).map(drop)
    }

    /// Says how far a driven run is (0 to 1) and what it is at. Telemetry: it returns at once, and the newest counts.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] or [`EngineError::Refused`] when it does not run; [`EngineError::Invalid`] when
    /// `progress` is not a number.
    pub fn update_progress(
        &self,
        run_id: &RunId,
        progress: f64,
        current_step: Option<&str>,
    ) -> Result<(), EngineError> {
        if progress.is_nan() {
            return Err(EngineError::Invalid("progress must be a number from 0 to 1, not NaN".into()));
        }
        let snapshot = self.shared.published.snapshot.load();
        let Some(run) = snapshot.runs.get(run_id) else {
            return Err(self.refusal_of_ended(run_id, crate::run::Command::Report));
        };
        if matches!(run.body, Body::Pipeline(_)) {
            return Err(EngineError::Invalid(format!("run {run_id}: its progress comes from its steps")));
        }
        let step = current_step.map(Into::into);
        let mut slots = self.shared.published.progress.lock();
        let is_first = match slots.get_mut(run_id) {
            Some(slot) => {
                *slot = (progress, step.or_else(|| slot.1.take()));
                false
            }
            None => slots.insert(run_id.clone(), (progress, step)).is_none(),
        };
        drop(slots);
        if is_first { self.send(Message::Progress(run_id.clone())) } else { Ok(()) }
    }

    /// Says that a driven run is done. `error` is kept when it is not a success.
    ///
    /// # Errors
    /// [`EngineError::NotFound`], or [`EngineError::Refused`] naming both states.
    pub fn complete_execution(
        &self,
        run_id: &RunId,
        success: bool,
        error: Option<&str>,
    ) -> Result<(), EngineError> {
        let error = (!success).then(|| Arc::from(error.unwrap_or("it failed without saying why")));
        self.ask(run_id, Input::Complete { error }).map(drop)
    }

    /// Saves a checkpoint of a step: on disk when this returns.
    ///
    /// # Errors
    /// [`EngineError::Invalid`] when `step_id` is no id,
    /// [`EngineError::NotFound`] or [`EngineError::Refused`] when the run has ended, [`EngineError::Store`] when it can't be written.
    pub fn checkpoint(
        &self,
        run_id: &RunId,
        step_id: impl AsRef<str>,
        data: &serde_json::Value,
    ) -> Result<(), EngineError> {
        let step_id = StepId::new(step_id)?;
        let input = Input::Checkpoint { step_id: step_id.as_str().into(), data: data.to_string().into() };
        self.ask(run_id, input).map(drop)
    }

    /// The state of a run; none when there is no such run. A living one is answered without the engine's
    /// thread and without the disk.
    ///
    /// # Errors
    /// [`EngineError::Store`] when an ended run can't be looked up.
    pub fn get_execution_state(&self, run_id: &RunId) -> Result<Option<RunSummary>, EngineError> {
        if let Some(run) = self.shared.published.snapshot.load().runs.get(run_id) {
            return Ok(Some(run.summary()));
        }
        Ok(self.shared.published.store.load_summary(run_id)?)
    }

    /// Every run that has not ended.
    pub fn list_active_executions(&self) -> Vec<RunSummary> {
        self.snapshot().runs.values().map(|run| run.summary()).collect()
    }

    /// All living runs with their steps, and the event they stand at.
    pub fn snapshot(&self) -> Arc<EngineSnapshot> {
        self.shared.published.snapshot.load_full()
    }

    /// Calls `callback(event_type, data)` for every event from now on, until the guard is dropped.
    pub fn subscribe_events(&self, callback: impl FnMut(&str, &Event) + Send + 'static) -> SubscriptionGuard {
        self.bus().subscribe_events(callback)
    }

    /// A channel of every event from now on.
    pub fn subscribe(&self) -> Subscription {
        self.bus().subscribe()
    }

    /// The bus that its events go to.
    pub fn bus(&self) -> &EventBus {
        &self.shared.published.bus
    }

    /// The store: checkpoints and history, for reading beside the engine.
    pub fn store(&self) -> &CheckpointManager {
        &self.shared.published.store
    }

    /// The data directory that it holds.
    pub fn data_dir(&self) -> &DataDir {
        &self.shared.published.data_dir
    }

    fn context(&self, run_id: &RunId) -> Result<ExecutionContext, EngineError> {
        // Capacity 1: the one answer.
        let (reply, answer) = bounded(1);
        self.send(Message::Signals { run_id: run_id.clone(), reply })?;
        let (pause_signal, stop_signal) = answer.recv().map_err(|_| EngineError::ShutDown)?;
        Ok(ExecutionContext { run_id: run_id.clone(), pause_signal, stop_signal, engine: self.clone() })
    }

    fn function(&self, id: &PipelineId) -> Option<Arc<PipelineFn>> {
        self.shared.functions.read().get(id).cloned()
    }

    /// Asks for a run; what is given back gets the answer once it is recorded.
    fn send_start(&self, plan: Plan, now: Now) -> Result<Receiver<Answer>, EngineError> {
        // Capacity 1: the one answer.
        let (reply, answer) = bounded(1);
        let run_id = plan.run_id.clone();
        let run = Box::new(plan.into_run(now));
        let footprints = self.footprints(&run);
        self.send(Message::Start { run_id, run, footprints, reply })?;
        Ok(answer)
    }

    fn ask(&self, run_id: &RunId, input: Input) -> Result<Arc<Run>, EngineError> {
        // Capacity 1: the one answer.
        let (reply, answer) = bounded(1);
        self.send(Message::Ask(Ask { run_id: run_id.clone(), input, reply }))?;
        answer.recv().map_err(|_| EngineError::ShutDown)?
    }

    fn send(&self, message: Message) -> Result<(), EngineError> {
        self.shared.inbox.send(message).map_err(|_| EngineError::ShutDown)
    }

    fn refusal_of_ended(&self, run_id: &RunId, command: crate::run::Command) -> EngineError {
        match self.get_execution_state(run_id) {
            Ok(Some(run)) => EngineError::Refused(crate::run::Refusal::State {
                run_id: run_id.clone(),
                from: run.state,
                to: command.aim(run.state),
                hint: crate::run::hint(run.state),
            }),
            Ok(None) => EngineError::NotFound { run_id: run_id.clone() },
            Err(error) => error,
        }
    }
}

impl Shared {
    fn join(&self) {
        let thread = self.thread.lock().take();
        // Without the lock: its end may take a while.
        drop(thread);
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // If the thread has ended already, so be it.
        let _ = self.inbox.send(Message::Abandoned);
        self.join();
    }
}

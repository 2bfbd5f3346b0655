//! The handle to the engine: its calls, from any thread.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::{Mutex, RwLock};

use super::bus::{EventBus, Subscription, SubscriptionGuard};
use super::context::{self, ExecutionContext, PipelineFn};
use super::error::EngineError;
use super::message::{Answer, Ask, Message};
use super::options::{EngineOptions, StartRequest};
use super::published::{EngineSnapshot, Published};
use super::{clock, open};
use crate::base::id::{PipelineId, RunId, StepId};
use crate::base::thread::Thread;
use crate::base::time::Now;
use crate::run::{Body, Event, Input, Plan, Run, RunState, RunSummary, StopKind};
use crate::store::{CheckpointManager, DataDir};

/// A handle to the engine. Cheap to clone; usable from any thread. The engine ends when [`shutdown`](Self::shutdown) is
/// called or the last handle is dropped. In the latter case running steps are left to the supervisor.
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

/// The start of a run that was requested and may not be recorded yet.
pub(crate) struct Beginning(Receiver<Answer>);

impl Beginning {
    /// The run's id, once its start is recorded.
    ///
    /// # Errors
    /// As [`CoreExecutionEngine::start_pipeline`].
    pub(crate) fn wait(self) -> Result<RunId, EngineError> {
        self.0.recv().map_err(|_| EngineError::ShutDown)?.map(|run| run.id.clone())
    }
}

impl CoreExecutionEngine {
    /// Opens the data directory, acquires its lock and recovers what an earlier engine left.
    ///
    /// # Errors
    /// [`EngineError::DataDir`] when another engine holds the directory or it can't be used; [`EngineError::Store`]
    /// when its database can't be opened; [`EngineError::Host`] when steps can't be run.
    pub fn open(data_dir: impl AsRef<Path>, options: EngineOptions) -> Result<Self, EngineError> {
        let open::Opened { inbox, published, thread } = open::open(DataDir::open(data_dir)?, options)?;
        let (functions, thread) = (RwLock::default(), Mutex::new(Some(thread)));
        Ok(Self { shared: Arc::new(Shared { inbox, published, functions, thread }) })
    }

    /// Starts a run that the calling program drives itself.
    ///
    /// # Errors
    /// [`EngineError::Exists`] when a run of this id exists; [`EngineError::Store`] when it can't be recorded.
    pub fn start_execution(&self, request: StartRequest) -> Result<ExecutionContext, EngineError> {
        let run_id = self.start_pipeline(request.plan)?;
        self.context(&run_id)
    }

    /// Starts a run of a pipeline's definition. Returns its id once it is recorded.
    ///
    /// # Errors
    /// [`EngineError::Exists`] when a run of the requested id exists; [`EngineError::Store`] when it can't be recorded.
    pub fn start_pipeline(&self, plan: Plan) -> Result<RunId, EngineError> {
        self.begin_pipeline(plan)?.wait()
    }

    /// Requests the start of a run of a pipeline's definition, and does not wait until it is recorded.
    ///
    /// # Errors
    /// [`EngineError::ShutDown`] when the engine has ended.
    pub(crate) fn begin_pipeline(&self, plan: Plan) -> Result<Beginning, EngineError> {
        self.send_start(plan, clock::now()).map(Beginning)
    }

    /// Registers a Rust function as a pipeline, for [`start_registered`](Self::start_registered) and for jobs.
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

    /// Starts a run of a registered function on a thread of its own. The run completes when the function returns, and
    /// fails when it returns an error or panics.
    ///
    /// # Errors
    /// [`EngineError::NotRegistered`] without such a function; otherwise as [`start_execution`](Self::start_execution).
    pub fn start_registered(&self, request: StartRequest) -> Result<ExecutionContext, EngineError> {
        let pipeline_id = &request.plan.pipeline_id;
        let function = self
            .function(pipeline_id)
            .ok_or_else(|| EngineError::NotRegistered { pipeline_id: pipeline_id.clone() })?;
        let context = self.start_execution(request)?;
        context::drive(context.clone(), function)?;
        Ok(context)
    }

    /// Freezes a run. The request is recorded when this returns; the event `execution_paused` follows when its
    /// processes are frozen.
    ///
    /// # Errors
    /// [`EngineError::NotFound`]; [`EngineError::Refused`], which names both states.
    pub fn pause_execution(&self, run_id: &RunId) -> Result<(), EngineError> {
        self.ask(run_id, Input::Pause).map(drop)
    }

    /// Thaws a paused run, or resumes one that ended without completing, under the same id.
    ///
    /// # Errors
    /// [`EngineError::NotFound`]; [`EngineError::Refused`], which names both states.
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

    /// Runs a step and all that need it again; without a step, those that have not completed. Their checkpoints and
    /// outputs move to the earlier attempt.
    ///
    /// # Errors
    /// [`EngineError::NotFound`]; [`EngineError::Refused`] when the run has not ended or has no such step.
    pub fn retry_execution(&self, run_id: &RunId, from: Option<StepId>) -> Result<(), EngineError> {
        self.ask(run_id, Input::Retry(from)).map(drop)
    }

    /// Stops a run: in order (signal, grace, kill; `finally` steps run) or by force.
    ///
    /// # Errors
    /// [`EngineError::NotFound`]; [`EngineError::Refused`], which names both states.
    pub fn stop_execution(&self, run_id: &RunId, kind: StopKind) -> Result<(), EngineError> {
        self.ask(run_id, Input::Stop(kind)).map(drop)
    }

    /// Reports a driven run's progress (0 to 1) and present step. It is telemetry: it returns at once, and only the
    /// newest report counts.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] or [`EngineError::Refused`] when the run does not run; [`EngineError::Invalid`] when
    /// `progress` is NaN or the run has steps of its own.
    pub fn update_progress(
        &self,
        run_id: &RunId,
        progress: f64,
        current_step: Option<&str>,
    ) -> Result<(), EngineError> {
        if progress.is_nan() {
            return Err(EngineError::Invalid("progress must be a number from 0 to 1, not NaN".into()));
        }
        let snapshot = self.published().snapshot();
        let Some(run) = snapshot.runs.get(run_id) else {
            return Err(self.refusal_of_ended(run_id, crate::run::Command::Report));
        };
        if matches!(run.body, Body::Pipeline(_)) {
            return Err(EngineError::Invalid(format!("run {run_id}: its progress comes from its steps")));
        }
        let is_first = self.published().offer_progress(run_id, (progress, current_step.map(Into::into)));
        if is_first { self.send(Message::Progress(run_id.clone())) } else { Ok(()) }
    }

    /// Completes a driven run. `error` is kept unless `success` is true.
    ///
    /// # Errors
    /// [`EngineError::NotFound`]; [`EngineError::Refused`], which names both states.
    pub fn complete_execution(
        &self,
        run_id: &RunId,
        success: bool,
        error: Option<&str>,
    ) -> Result<(), EngineError> {
        let error = (!success).then(|| Arc::from(error.unwrap_or("it failed without saying why")));
        self.ask(run_id, Input::Complete { error }).map(drop)
    }

    /// Saves a checkpoint of a step. It is on disk when this returns.
    ///
    /// # Errors
    /// [`EngineError::Invalid`] when `step_id` is no id; [`EngineError::NotFound`] or [`EngineError::Refused`] when the
    /// run has ended; [`EngineError::Store`] when it can't be written.
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

    /// The summary of a run; none when there is no such run. For a living run, neither the engine's thread nor the disk
    /// is used.
    ///
    /// # Errors
    /// [`EngineError::Store`] when an ended run can't be read.
    pub fn get_execution_state(&self, run_id: &RunId) -> Result<Option<RunSummary>, EngineError> {
        if let Some(run) = self.published().snapshot().runs.get(run_id) {
            return Ok(Some(run.summary()));
        }
        Ok(self.store().load_summary(run_id)?)
    }

    /// The summaries of all runs that have not ended.
    pub fn list_active_executions(&self) -> Vec<RunSummary> {
        self.snapshot().runs.values().map(|run| run.summary()).collect()
    }

    /// All living runs with their steps, and the sequence number of the last event that they include.
    #[doc(hidden)]
    pub fn snapshot(&self) -> Arc<EngineSnapshot> {
        Arc::clone(&self.published().snapshot())
    }

    /// Calls `callback(event_type, data)` for every event from now on, until the guard is dropped.
    pub fn subscribe_events(&self, callback: impl FnMut(&str, &Event) + Send + 'static) -> SubscriptionGuard {
        self.bus().subscribe_events(callback)
    }

    /// A subscription to every event from now on.
    pub fn subscribe(&self) -> Subscription {
        self.bus().subscribe()
    }

    /// The bus of the engine's events.
    pub fn bus(&self) -> &EventBus {
        self.published().bus()
    }

    /// The store, for reading checkpoints and history beside the engine.
    pub fn store(&self) -> &CheckpointManager {
        self.published().store()
    }

    /// The engine's data directory.
    #[doc(hidden)]
    pub fn data_dir(&self) -> &DataDir {
        self.published().data_dir()
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

    /// Requests the start of a run. The returned channel gets the answer once it is recorded.
    pub(super) fn send_start(&self, plan: Plan, now: Now) -> Result<Receiver<Answer>, EngineError> {
        // Capacity 1: the one answer.
        let (reply, answer) = bounded(1);
        let run_id = plan.run_id.clone();
        let run = Box::new(plan.into_run(now));
        let footprints = self.footprints(&run);
        self.send(Message::Start { run_id, run, footprints, reply })?;
        Ok(answer)
    }

    pub(super) fn ask(&self, run_id: &RunId, input: Input) -> Result<Arc<Run>, EngineError> {
        // Capacity 1: the one answer.
        let (reply, answer) = bounded(1);
        self.send(Message::Ask(Ask { run_id: run_id.clone(), input, reply }))?;
        answer.recv().map_err(|_| EngineError::ShutDown)?
    }

    pub(super) fn published(&self) -> &Published {
        &self.shared.published
    }

    pub(super) fn send(&self, message: Message) -> Result<(), EngineError> {
        self.shared.inbox.send(message).map_err(|_| EngineError::ShutDown)
    }

    /// Waits until the engine's thread has ended.
    pub(super) fn join(&self) {
        self.shared.join();
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
        // Joined without the lock, because it may take a while.
        drop(thread);
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Fails when the thread has ended already.
        let _ = self.inbox.send(Message::Abandoned);
        self.join();
    }
}

//! What an engine is opened with, and what runs are started with.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::bus::EventBus;
use crate::admission::{AdmissionPolicy, MAX_PRIORITY, Order};
use crate::awake::AwakeHandle;
use crate::base::id::{InvalidId, PipelineId, RunId};
use crate::base::time::Now;
use crate::monitor::MonitorHandle;
use crate::pipeline::{DEFAULT_ENVIRONMENT, DEFAULT_RUN_TYPE};
use crate::run::{Body, Definition, FiredBy, Input, Run, RunLedger, RunState, StepRun, Trigger};
use crate::store::EngineLock;
use crate::supervisor::{HostEvent, StepHost};

/// Parameters by name.
pub type Params = BTreeMap<String, String>;

/// Which runs an engine takes back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Scope {
    /// All that have not ended.
    #[default]
    All,
    /// These alone; others stay with the supervisor until an engine that takes all is opened.
    Only(Vec<RunId>),
    /// None.
    Nothing,
}

/// What happens to running steps when the disk is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnDiskFull {
    /// They are frozen until there is room.
    #[default]
    Freeze,
    /// They go on; what they log meanwhile may be lost, and is counted.
    Continue,
}

/// Where a host's events go.
pub type HostSink = Box<dyn Fn(HostEvent) + Send + Sync>;

/// Makes a host for an epoch and a sink.
pub type MakeHost = dyn Fn(u64, HostSink) -> anyhow::Result<Box<dyn StepHost>> + Send + Sync;

/// Where steps run.
#[derive(Clone, Default)]
pub enum HostChoice {
    /// With the local supervisor, which is found or started.
    #[default]
    Supervisor,
    /// With the supervisor, by this program (it must call [`crate::supervisor_entry`]).
    SupervisorProgram(std::path::PathBuf),
    /// With a host that is made for the epoch and a sink; made anew after [`HostEvent::Gone`].
    Custom(Arc<MakeHost>),
}

/// How an engine is opened.
pub struct EngineOptions {
    /// Which runs it takes back.
    pub scope: Scope,
    /// Steps at once where a pipeline does not say; default: the number of CPUs.
    pub n_cpus: usize,
    /// What happens to running steps when the disk is full.
    pub on_disk_full: OnDiskFull,
    /// What may run at once.
    pub admission: AdmissionPolicy,
    /// Given and recorded before anything else, so that what an earlier engine left meets it.
    pub first_order: Option<Order>,
    /// Asked of a run when what an earlier engine left is known, and before any step of it starts: what was lost of a run
    /// that is to be stopped or paused is not begun again first. A refusal is the error of opening.
    pub first_input: Option<(RunId, Input)>,
    /// Environment of every step, over the engine's own (the settings).
    pub env: BTreeMap<String, String>,
    /// Where steps run.
    pub host: HostChoice,
    /// Whether steps will be run at once.
    pub host_start: HostStart,
    /// Where its events go; default: a bus of its own.
    pub bus: EventBus,
    /// The data directory's lock, where the opener holds it already; none: the engine takes it.
    pub lock: Option<EngineLock>,
    /// Who measures the steps; none: an end has only what the kernel says of it.
    pub monitor: Option<MonitorHandle>,
    /// Who keeps the machine awake for runs of pipelines that want it; none: nobody does.
    pub awake: Option<AwakeHandle>,
}

/// When the place where steps run is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HostStart {
    /// When the first step needs it: a program that drives its own runs never does.
    #[default]
    WhenNeeded,
    /// While the database is being opened, so that the first step waits for neither.
    AtOnce,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            scope: Scope::All,
            n_cpus: std::thread::available_parallelism().map_or(1, usize::from),
            on_disk_full: OnDiskFull::default(),
            admission: AdmissionPolicy::default(),
            first_order: None,
            first_input: None,
            env: BTreeMap::new(),
            host: HostChoice::default(),
            host_start: HostStart::default(),
            bus: EventBus::new(),
            lock: None,
            monitor: None,
            awake: None,
        }
    }
}

/// Starts a run that the calling program drives.
#[derive(Debug, Clone)]
pub struct StartRequest {
    /// The run's name; must be new.
    pub run_id: RunId,
    /// The pipeline's name.
    pub pipeline_id: PipelineId,
    /// What it reads from.
    pub source: String,
    /// Default `FULL_REFRESH`.
    pub run_type: String,
    /// Default `dev`.
    pub environment: String,
    /// What started it; default manual.
    pub trigger: Trigger,
    /// The job that it is a run of.
    pub fired_by: Option<FiredBy>,
    /// Kept with the run.
    pub metadata: Option<serde_json::Value>,
}

impl StartRequest {
    /// A request with the defaults `FULL_REFRESH` and `dev`. The ids may be texts, which are checked here, or ids.
    ///
    /// # Errors
    /// [`InvalidId`] when a text is no id: it must match `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`.
    pub fn new(
        run_id: impl TryInto<RunId, Error: Into<InvalidId>>,
        pipeline_id: impl TryInto<PipelineId, Error: Into<InvalidId>>,
        source: impl Into<String>,
    ) -> Result<Self, InvalidId> {
        let run_id = run_id.try_into().map_err(Into::into)?;
        let pipeline_id = pipeline_id.try_into().map_err(Into::into)?;
        Ok(Self::of(run_id, pipeline_id, source))
    }

    /// As [`new`](Self::new), for ids that are checked.
    pub(crate) fn of(run_id: RunId, pipeline_id: PipelineId, source: impl Into<String>) -> Self {
        Self {
            run_id,
            pipeline_id,
            source: source.into(),
            run_type: DEFAULT_RUN_TYPE.into(),
            environment: DEFAULT_ENVIRONMENT.into(),
            trigger: Trigger::Manual,
            fired_by: None,
            metadata: None,
        }
    }

    /// With another run type.
    #[must_use]
    pub fn run_type(mut self, run_type: impl Into<String>) -> Self {
        self.run_type = run_type.into();
        self
    }

    /// With another environment.
    #[must_use]
    pub fn environment(mut self, environment: impl Into<String>) -> Self {
        self.environment = environment.into();
        self
    }

    pub(super) fn into_run(self, now: Now) -> Run {
        new_run(NewRun {
            run_id: self.run_id,
            pipeline_id: self.pipeline_id,
            source: self.source,
            run_type: self.run_type,
            environment: self.environment,
            trigger: self.trigger,
            fired_by: self.fired_by,
            body: Body::Driven,
            params: Params::new(),
            metadata: self.metadata,
            now,
        })
    }
}

/// Starts a run of a pipeline.
#[derive(Debug, Clone)]
pub struct PipelineRequest {
    /// What it runs.
    pub definition: Arc<Definition>,
    /// Resolved parameters, without secrets.
    pub params: Params,
    /// The run's name; none: `<source>-<YYYYMMDDHHMMSS>`, with `-2`, `-3`, … where one exists.
    pub run_id: Option<RunId>,
    /// Default `FULL_REFRESH`.
    pub run_type: String,
    /// Default `dev`.
    pub environment: String,
    /// From 0 to 9: among runs that wait, the highest goes first; none: as the pipeline says.
    pub priority: Option<u8>,
    /// What started it.
    pub trigger: Trigger,
    /// The job that it is a run of.
    pub fired_by: Option<FiredBy>,
    /// How long it may be held for a secret that is missing until the step that lacks it fails; none: until the operator
    /// does something.
    pub held_at_most: Option<Duration>,
    /// Kept with the run.
    pub metadata: Option<serde_json::Value>,
}

impl PipelineRequest {
    /// A request with the defaults, for parameters that are resolved already.
    pub fn new(definition: Arc<Definition>, params: Params) -> Self {
        Self {
            definition,
            params,
            run_id: None,
            run_type: DEFAULT_RUN_TYPE.into(),
            environment: DEFAULT_ENVIRONMENT.into(),
            priority: None,
            trigger: Trigger::Manual,
            fired_by: None,
            held_at_most: None,
            metadata: None,
        }
    }

    pub(super) fn into_run(self, now: Now) -> Run {
        let held_at_most_ms = self.held_at_most.map(|at_most| at_most.as_millis() as u64);
        let pipeline = &self.definition.pipeline;
        let priority = self.priority.unwrap_or(pipeline.priority).min(MAX_PRIORITY);
        let (pipeline_id, source) = (pipeline.id.clone(), pipeline.source.clone());
        let steps = pipeline.steps.iter().map(|step| Arc::new(StepRun::new(step.id.clone()))).collect();
        // Without a name it gets one from the engine, which knows those that are taken.
        let run_id = self.run_id.unwrap_or_else(|| pipeline_id.as_run_id());
        let mut run = new_run(NewRun {
            run_id,
            pipeline_id,
            source,
            run_type: self.run_type,
            environment: self.environment,
            trigger: self.trigger,
            fired_by: self.fired_by,
            body: Body::Pipeline(self.definition),
            params: self.params,
            metadata: self.metadata,
            now,
        });
        run.steps = steps;
        run.ledger.priority = priority;
        run.ledger.held_at_most_ms = held_at_most_ms;
        run
    }
}

struct NewRun {
    run_id: RunId,
    pipeline_id: PipelineId,
    source: String,
    run_type: String,
    environment: String,
    trigger: Trigger,
    fired_by: Option<FiredBy>,
    body: Body,
    params: Params,
    metadata: Option<serde_json::Value>,
    now: Now,
}

fn new_run(new: NewRun) -> Run {
    Run {
        id: new.run_id,
        pipeline_id: new.pipeline_id,
        source: new.source.into(),
        run_type: new.run_type.into(),
        environment: new.environment.into(),
        trigger: new.trigger,
        body: new.body,
        params: Arc::new(new.params),
        state: RunState::Queued,
        attempt: 1,
        started_at: new.now.wall,
        finished_at: None,
        progress: 0.0,
        current_step: None,
        message: None,
        error: None,
        metadata: new.metadata.map(|value| value.to_string().into()),
        steps: Vec::new(),
        ledger: RunLedger { fired_by: new.fired_by.map(Arc::new), ..RunLedger::default() },
    }
}

//! The options of an engine, and the request to start a run.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::bus::EventBus;
use super::error::EngineError;
use crate::admission::{AdmissionPolicy, Order};
use crate::awake::AwakeHandle;
use crate::base::id::{InvalidId, PipelineId, RunId};
use crate::monitor::MonitorHandle;
use crate::run::{Input, Plan};
use crate::store::{DataDir, EngineLock};
use crate::supervisor::{ConnectError, HostEvent, Launched, Launcher, StepHost};

/// Which runs an engine recovers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Scope {
    /// All that have not ended.
    #[default]
    All,
    /// Only these. Others stay with the supervisor until an engine with the scope `All` is opened.
    Only(Vec<RunId>),
    /// None.
    Nothing,
}

/// What happens to running steps when the disk is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnDiskFull {
    /// They are frozen until there is space.
    #[default]
    Freeze,
    /// They go on. Log output may be lost meanwhile, and is counted.
    Continue,
}

/// Where a host sends its events.
pub type HostSink = Box<dyn Fn(HostEvent) + Send + Sync>;

/// Creates a host for an epoch and a sink.
pub type MakeHost = dyn Fn(u64, HostSink) -> anyhow::Result<Box<dyn StepHost>> + Send + Sync;

/// Where steps run.
#[derive(Clone, Default)]
pub enum HostChoice {
    /// Under the local supervisor, which is found or started.
    #[default]
    Supervisor,
    /// Under a supervisor of this program, which must call [`crate::supervisor_entry`].
    SupervisorProgram(std::path::PathBuf),
    /// With a custom host, created for an epoch and a sink, and again after [`HostEvent::Gone`].
    Custom(Arc<MakeHost>),
}

/// How an engine is opened. The default takes back every run that has not ended, and measures nothing:
///
/// ```
/// let options = leverframe::EngineOptions { n_cpus: 4, ..Default::default() };
/// ```
pub struct EngineOptions {
    /// Which runs it recovers.
    #[doc(hidden)]
    pub scope: Scope,
    /// How many steps run at once if a pipeline does not say. Default: the number of CPUs.
    pub n_cpus: usize,
    /// What happens to running steps when the disk is full.
    pub on_disk_full: OnDiskFull,
    /// The admission policy: what may run at once.
    #[doc(hidden)]
    pub admission: AdmissionPolicy,
    /// An order that is recorded before recovery, so that recovered runs meet it.
    #[doc(hidden)]
    pub first_order: Option<Order>,
    /// An input to a run, decided after recovery and before any step starts: a run that is to be stopped or paused does
    /// not first restart what it has lost. If it is refused, opening fails.
    #[doc(hidden)]
    pub first_input: Option<(RunId, Input)>,
    /// Environment variables for every step, over the engine's own (from the settings).
    pub env: BTreeMap<String, String>,
    /// Where steps run.
    #[doc(hidden)]
    pub host: HostChoice,
    /// When the step host is connected.
    #[doc(hidden)]
    pub host_start: HostStart,
    /// Where its events go. Default: a new bus.
    pub bus: EventBus,
    /// The data directory's lock, if the opener holds it. None: the engine acquires it.
    #[doc(hidden)]
    pub lock: Option<EngineLock>,
    /// Measures the steps. None: an end has only the kernel's figures.
    pub monitor: Option<MonitorHandle>,
    /// Keeps the machine awake for runs of pipelines that ask for it. None: it may sleep.
    #[doc(hidden)]
    pub awake: Option<AwakeHandle>,
}

/// When the step host is connected.
#[derive(Debug, Default)]
pub enum HostStart {
    /// When the first step needs it. A program that drives its own runs never needs it.
    #[default]
    WhenNeeded,
    /// While the database is opened, so that the first step waits for neither.
    AtOnce,
    /// It was begun before the engine is opened, by `HostStart::begin`.
    Begun(Box<Launched>),
}

impl HostStart {
    /// Finds or starts the local supervisor, without waiting for it. The engine will connect to it.
    ///
    /// # Errors
    /// [`EngineError::Host`] when it can't be started.
    pub(crate) fn begin(data_dir: &DataDir) -> Result<Self, EngineError> {
        let launched = Launcher::new(data_dir.path()).launch();
        launched.map(|launched| Self::Begun(Box::new(launched))).map_err(host_error)
    }
}

pub(super) fn host_error(error: ConnectError) -> EngineError {
    EngineError::Host(error.to_string())
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

/// The start of a run that the calling program drives.
#[derive(Debug, Clone)]
pub struct StartRequest {
    pub(crate) plan: Plan,
}

impl StartRequest {
    /// A request with the defaults `FULL_REFRESH` and `dev`. Each id may be an id, or a text, which is checked here.
    ///
    /// # Errors
    /// [`InvalidId`] when a text does not match `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`.
    pub fn new(
        run_id: impl TryInto<RunId, Error: Into<InvalidId>>,
        pipeline_id: impl TryInto<PipelineId, Error: Into<InvalidId>>,
        source: impl Into<String>,
    ) -> Result<Self, InvalidId> {
        let run_id = run_id.try_into().map_err(Into::into)?;
        let pipeline_id = pipeline_id.try_into().map_err(Into::into)?;
        Ok(Self { plan: Plan::driven(run_id, pipeline_id, source) })
    }

    /// Sets the run type.
    #[must_use]
    pub fn run_type(mut self, run_type: impl Into<String>) -> Self {
        self.plan.run_type = run_type.into();
        self
    }

    /// Sets the environment.
    #[must_use]
    pub fn environment(mut self, environment: impl Into<String>) -> Self {
        self.plan.environment = environment.into();
        self
    }

    /// Attaches data that is kept with the run.
    #[must_use]
    pub fn metadata(mut self, metadata: serde_json::Value) -> Self {
        self.plan.metadata = Some(metadata);
        self
    }
}

//! What an engine is opened with, and what runs are started with.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::bus::EventBus;
use crate::admission::{AdmissionPolicy, Order};
use crate::awake::AwakeHandle;
use crate::base::id::{InvalidId, PipelineId, RunId};
use crate::monitor::MonitorHandle;
use crate::run::{Input, Plan};
use crate::store::EngineLock;
use crate::supervisor::{HostEvent, StepHost};

/// Which of the runs that an earlier engine left unfinished an engine takes back when it opens.
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

/// How an engine is opened. The default takes back every run that has not ended, and measures nothing:
///
/// ```
/// let options = leverframe::EngineOptions { n_cpus: 4, ..Default::default() };
/// ```
pub struct EngineOptions {
    /// Which runs it takes back.
    pub scope: Scope,
    /// Steps at once where a pipeline does not say; default: the number of CPUs.
    pub n_cpus: usize,
    /// What happens to running steps when the disk is full.
    pub on_disk_full: OnDiskFull,
    /// What may run at once.
    #[doc(hidden)]
    pub admission: AdmissionPolicy,
    /// Given and recorded before anything else, so that what an earlier engine left meets it.
    #[doc(hidden)]
    pub first_order: Option<Order>,
    /// Asked of a run when what an earlier engine left is known, and before any step of it starts: what was lost of a run
    /// that is to be stopped or paused is not begun again first. A refusal is the error of opening.
    #[doc(hidden)]
    pub first_input: Option<(RunId, Input)>,
    /// Environment of every step, over the engine's own (the settings).
    pub env: BTreeMap<String, String>,
    /// Where steps run.
    #[doc(hidden)]
    pub host: HostChoice,
    /// Whether steps will be run at once.
    #[doc(hidden)]
    pub host_start: HostStart,
    /// Where its events go; default: a bus of its own.
    pub bus: EventBus,
    /// The data directory's lock, where the opener holds it already; none: the engine takes it.
    #[doc(hidden)]
    pub lock: Option<EngineLock>,
    /// Who measures the steps; none: an end has only what the kernel says of it.
    pub monitor: Option<MonitorHandle>,
    /// Who keeps the machine awake for runs of pipelines that want it; none: nobody does.
    #[doc(hidden)]
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
    pub(crate) plan: Plan,
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
        Ok(Self { plan: Plan::driven(run_id, pipeline_id, source) })
    }

    /// With another run type.
    #[must_use]
    pub fn run_type(mut self, run_type: impl Into<String>) -> Self {
        self.plan.run_type = run_type.into();
        self
    }

    /// With another environment.
    #[must_use]
    pub fn environment(mut self, environment: impl Into<String>) -> Self {
        self.plan.environment = environment.into();
        self
    }

    /// With what is kept with the run.
    #[must_use]
    pub fn metadata(mut self, metadata: serde_json::Value) -> Self {
        self.plan.metadata = Some(metadata);
        self
    }
}

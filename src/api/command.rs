//! Everything that can be asked of an engine's owner and changes something: [`Command`]; what does not is a
//! [`crate::api::query::Query`].
//! The window's levers, the verbs and the control socket all say these; a [`crate::daemon::CommandHandler`] carries them out.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::start::StartRun;
use crate::base::id::{JobId, PipelineId, RunId, StepId};
use crate::base::time::{instant, maybe_instant, read_instant, read_maybe_instant};
use crate::engine::ShutdownKind;
use crate::run::StopKind;
use crate::scheduler::JobPatch;
use crate::settings::LimitParams;

/// Something to be done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", content = "params", deny_unknown_fields)]
pub enum Command {
    /// Start a run; answered by its summary.
    #[serde(rename = "run.start")]
    Start(StartRun),
    /// Freeze a run; answered by its summary.
    #[serde(rename = "run.pause")]
    Pause {
        /// Which.
        run_id: RunId,
    },
    /// Thaw a paused run, or take up one that has ended before its time; answered by its summary.
    #[serde(rename = "run.resume")]
    Resume {
        /// Which.
        run_id: RunId,
        /// Take the pipeline file as it is now, instead of the definition that the run started with.
        #[serde(default, skip_serializing_if = "is_false")]
        refresh: bool,
    },
    /// Ask a run to stop, or end it at once; answered by its summary.
    #[serde(rename = "run.stop")]
    Stop {
        /// Which.
        run_id: RunId,
        /// End it at once: not even its last steps are run.
        #[serde(default, skip_serializing_if = "is_false")]
        force: bool,
    },
    /// Run steps of an ended run again; answered by its summary.
    #[serde(rename = "run.retry")]
    Retry {
        /// Which run.
        run_id: RunId,
        /// This step and what needs it; none: what has not completed, or else all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<StepId>,
        /// Take the pipeline file as it is now.
        #[serde(default, skip_serializing_if = "is_false")]
        refresh: bool,
    },
    /// Start a run, or what of it waits, although what it waits for is not there; answered by its summary.
    #[serde(rename = "run.admit")]
    Admit {
        /// Which.
        run_id: RunId,
    },
    /// Freeze what runs and hold what is to start, until then or until it is taken back; answered by
    /// [`crate::admission::Orders`].
    #[serde(rename = "engine.quiet")]
    Quiet {
        /// Until when; none: until [`Self::EndQuiet`].
        #[serde(
            default,
            serialize_with = "maybe_instant",
            deserialize_with = "read_maybe_instant",
            skip_serializing_if = "Option::is_none"
        )]
        until: Option<DateTime<Utc>>,
    },
    /// Let what was frozen go on and what was held start; answered by [`crate::admission::Orders`].
    #[serde(rename = "engine.end_quiet")]
    EndQuiet {},
    /// Start no run any more; those that run go on; answered by [`crate::admission::Orders`].
    #[serde(rename = "engine.drain")]
    Drain {},
    /// Start runs again; answered by [`crate::admission::Orders`].
    #[serde(rename = "engine.end_drain")]
    EndDrain {},
    /// Add a job; answered by it.
    #[serde(rename = "schedule.add")]
    AddJob(Box<JobPatch>),
    /// Change what is given of a job; answered by it.
    #[serde(rename = "schedule.set")]
    SetJob(Box<JobPatch>),
    /// Remove a job; answered by `{}`.
    #[serde(rename = "schedule.remove")]
    RemoveJob {
        /// Which.
        job_id: JobId,
    },
    /// Let a job fire; answered by it.
    #[serde(rename = "schedule.enable")]
    EnableJob {
        /// Which.
        job_id: JobId,
    },
    /// Let a job fire no more; answered by it.
    #[serde(rename = "schedule.disable")]
    DisableJob {
        /// Which.
        job_id: JobId,
    },
    /// Give a job another name; answered by it.
    #[serde(rename = "schedule.rename")]
    RenameJob {
        /// Which.
        job_id: JobId,
        /// Its name from now on.
        to: JobId,
    },
    /// Start a run of a job, whatever its switch; answered by the run's summary.
    #[serde(rename = "schedule.run_now")]
    RunJobNow {
        /// Which.
        job_id: JobId,
    },
    /// Run what a job was due in that time and did not run; answered by [`crate::api::answers::Backfilled`].
    #[serde(rename = "schedule.backfill")]
    Backfill {
        /// Which.
        job_id: JobId,
        /// From this instant on.
        #[serde(serialize_with = "instant", deserialize_with = "read_instant")]
        from: DateTime<Utc>,
        /// Up to this one, included.
        #[serde(serialize_with = "instant", deserialize_with = "read_instant")]
        to: DateTime<Utc>,
    },
    /// Set a limit, or take it out: in the settings, and at once; answered by the limits, a list of
    /// [`crate::settings::LimitView`].
    #[serde(rename = "limits.set")]
    SetLimit(LimitParams),
    /// End the engine; answered by `{}` when everything is recorded and, if asked, frozen or stopped.
    #[serde(rename = "engine.shutdown")]
    Shutdown {
        /// What becomes of living runs.
        kind: ShutdownKind,
    },
    /// Bring the window to the front; answered by `{}`.
    #[serde(rename = "window.raise")]
    Raise {},
}

impl Command {
    /// The names of all of them.
    pub const METHODS: &'static [&'static str] = &[
        "run.start",
        "run.pause",
        "run.resume",
        "run.stop",
        "run.retry",
        "run.admit",
        "engine.quiet",
        "engine.end_quiet",
        "engine.drain",
        "engine.end_drain",
        "schedule.add",
        "schedule.set",
        "schedule.remove",
        "schedule.enable",
        "schedule.disable",
        "schedule.rename",
        "schedule.run_now",
        "schedule.backfill",
        "limits.set",
        "engine.shutdown",
        "window.raise",
    ];

    /// Starts a pipeline with its defaults.
    pub fn start(pipeline: &PipelineId) -> Self {
        Self::Start(StartRun { pipeline: Some(pipeline.to_string()), ..StartRun::default() })
    }

    /// Starts a pipeline with what an earlier run of it was started with.
    pub fn start_like(pipeline: &PipelineId, earlier: &RunId) -> Self {
        let like = Some(earlier.clone());
        Self::Start(StartRun { pipeline: Some(pipeline.to_string()), like, ..StartRun::default() })
    }

    /// Freezes a run.
    pub fn pause(run_id: &RunId) -> Self {
        Self::Pause { run_id: run_id.clone() }
    }

    /// Lets a run go on, or takes it up again.
    pub fn resume(run_id: &RunId) -> Self {
        Self::Resume { run_id: run_id.clone(), refresh: false }
    }

    /// Has a run start, or what of it waits, whatever it waits for.
    pub fn admit(run_id: &RunId) -> Self {
        Self::Admit { run_id: run_id.clone() }
    }

    /// Ends a run.
    pub fn stop(run_id: &RunId, kind: StopKind) -> Self {
        Self::Stop { run_id: run_id.clone(), force: kind == StopKind::Force }
    }

    /// Runs a step and what needs it again; without a step all.
    pub fn retry(run_id: &RunId, from: Option<StepId>) -> Self {
        Self::Retry { run_id: run_id.clone(), from, refresh: false }
    }

    /// Its name on the wire.
    pub const fn method(&self) -> &'static str {
        match self {
            Self::Start(_) => "run.start",
            Self::Pause { .. } => "run.pause",
            Self::Resume { .. } => "run.resume",
            Self::Stop { .. } => "run.stop",
            Self::Retry { .. } => "run.retry",
            Self::Admit { .. } => "run.admit",
            Self::Quiet { .. } => "engine.quiet",
            Self::EndQuiet {} => "engine.end_quiet",
            Self::Drain {} => "engine.drain",
            Self::EndDrain {} => "engine.end_drain",
            Self::AddJob(_) => "schedule.add",
            Self::SetJob(_) => "schedule.set",
            Self::RemoveJob { .. } => "schedule.remove",
            Self::EnableJob { .. } => "schedule.enable",
            Self::DisableJob { .. } => "schedule.disable",
            Self::RenameJob { .. } => "schedule.rename",
            Self::RunJobNow { .. } => "schedule.run_now",
            Self::Backfill { .. } => "schedule.backfill",
            Self::SetLimit(_) => "limits.set",
            Self::Shutdown { .. } => "engine.shutdown",
            Self::Raise {} => "window.raise",
        }
    }

    /// Its verb and what it is done to, for messages.
    pub fn text(&self) -> String {
        match self {
            Self::Start(StartRun { like: Some(run_id), .. }) => format!("start again like {run_id}"),
            Self::Start(StartRun { pipeline, .. }) => {
                format!("start {}", pipeline.as_deref().unwrap_or("a run"))
            }
            Self::Pause { run_id } => format!("pause {run_id}"),
            Self::Resume { run_id, .. } => format!("resume {run_id}"),
            Self::Stop { run_id, force: false } => format!("stop {run_id}"),
            Self::Stop { run_id, force: true } => format!("force-stop {run_id}"),
            Self::Retry { run_id, .. } => format!("retry {run_id}"),
            Self::Admit { run_id } => format!("admit {run_id}"),
            Self::Quiet { .. } => "be quiet".to_owned(),
            Self::EndQuiet {} => "end the quiet".to_owned(),
            Self::Drain {} => "drain".to_owned(),
            Self::EndDrain {} => "end the drain".to_owned(),
            Self::AddJob(params) => format!("add job {}", params.job_id),
            Self::SetJob(params) => format!("change job {}", params.job_id),
            Self::RemoveJob { job_id } => format!("remove job {job_id}"),
            Self::EnableJob { job_id } => format!("enable job {job_id}"),
            Self::DisableJob { job_id } => format!("disable job {job_id}"),
            Self::RenameJob { job_id, to } => format!("rename job {job_id} to {to}"),
            Self::RunJobNow { job_id } => format!("run job {job_id}"),
            Self::Backfill { job_id, .. } => format!("backfill job {job_id}"),
            Self::SetLimit(LimitParams { resource, off: false, .. }) => {
                format!("set the limit of {}", resource.name())
            }
            Self::SetLimit(LimitParams { resource, off: true, .. }) => {
                format!("take out the limit of {}", resource.name())
            }
            Self::Shutdown { .. } => "quit".to_owned(),
            Self::Raise {} => "raise the window".to_owned(),
        }
    }
}

fn is_false(flag: &bool) -> bool {
    !flag
}

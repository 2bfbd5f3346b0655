//! The requests that a window offers, as one value for buttons, shortcuts and the palette.

use serde::{Serialize, Serializer};

use super::error::Error;
use super::request::{
    AddJob, Admit, Call, DisableJob, Drain, EnableJob, EndDrain, EndQuiet, HandlesAll, Pause, Quiet,
    RemoveJob, Resume, Retry, RunJobNow, SetJob, SetLimit, StartRun, Stop,
};
use crate::base::id::{PipelineId, RunId, StepId};
use crate::run::StopKind;

macro_rules! commands {
    ($($name:ident),* $(,)?) => {
        /// A request that a window offers. It serializes as it is sent.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Command {
            $(#[doc = concat!("See [`", stringify!($name), "`].")] $name($name)),*
        }

        impl Command {
            /// Has `handler` handle the request. The result shows in events.
            pub fn carry_out(self, handler: &impl HandlesAll) -> Result<(), Error> {
                match self {
                    $(Self::$name(request) => handler.handle(request).map(drop)),*
                }
            }
        }

        impl Serialize for Command {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    $(Self::$name(request) => Call::from(request).serialize(serializer)),*
                }
            }
        }

        $(impl From<$name> for Command {
            fn from(request: $name) -> Self {
                Self::$name(request)
            }
        })*
    };
}

commands! {
    StartRun, Pause, Resume, Stop, Retry, Admit, Quiet, EndQuiet, Drain, EndDrain, AddJob, SetJob, RemoveJob,
    EnableJob, DisableJob, RunJobNow, SetLimit,
}

impl Command {
    /// Starts a pipeline with its defaults.
    pub fn start(pipeline: &str) -> Self {
        StartRun { pipeline: Some(pipeline.to_owned()), ..StartRun::default() }.into()
    }

    /// Starts a pipeline with the parameters, run type and environment of an earlier run.
    pub fn start_like(pipeline: &PipelineId, earlier: &RunId) -> Self {
        let like = Some(earlier.clone());
        StartRun { pipeline: Some(pipeline.to_string()), like, ..StartRun::default() }.into()
    }

    /// Freezes a run.
    pub fn pause(run_id: &RunId) -> Self {
        Pause { run_id: run_id.clone() }.into()
    }

    /// Thaws a frozen run, or resumes an ended one.
    pub fn resume(run_id: &RunId) -> Self {
        Resume { run_id: run_id.clone(), refresh: false }.into()
    }

    /// Starts a run, or those of its steps that wait, whatever they wait for.
    pub fn admit(run_id: &RunId) -> Self {
        Admit { run_id: run_id.clone() }.into()
    }

    /// Stops a run.
    pub fn stop(run_id: &RunId, kind: StopKind) -> Self {
        Stop { run_id: run_id.clone(), force: kind == StopKind::Force }.into()
    }

    /// Runs a step and all that need it again; without a step, all.
    pub fn retry(run_id: &RunId, from: Option<StepId>) -> Self {
        Retry { run_id: run_id.clone(), from, refresh: false }.into()
    }

    /// The verb and what it applies to, for messages.
    pub fn text(&self) -> String {
        match self {
            Self::StartRun(StartRun { like: Some(run_id), .. }) => format!("start again like {run_id}"),
            Self::StartRun(StartRun { pipeline, .. }) => {
                format!("start {}", pipeline.as_deref().unwrap_or("a run"))
            }
            Self::Pause(Pause { run_id }) => format!("pause {run_id}"),
            Self::Resume(Resume { run_id, .. }) => format!("resume {run_id}"),
            Self::Stop(Stop { run_id, force: false }) => format!("stop {run_id}"),
            Self::Stop(Stop { run_id, force: true }) => format!("force-stop {run_id}"),
            Self::Retry(Retry { run_id, .. }) => format!("retry {run_id}"),
            Self::Admit(Admit { run_id }) => format!("admit {run_id}"),
            Self::Quiet(_) => "be quiet".to_owned(),
            Self::EndQuiet(_) => "end the quiet".to_owned(),
            Self::Drain(_) => "drain".to_owned(),
            Self::EndDrain(_) => "end the drain".to_owned(),
            Self::AddJob(AddJob { params }) => format!("add job {}", params.job_id),
            Self::SetJob(SetJob { params }) => format!("change job {}", params.job_id),
            Self::RemoveJob(RemoveJob { job_id }) => format!("remove job {job_id}"),
            Self::EnableJob(EnableJob { job_id }) => format!("enable job {job_id}"),
            Self::DisableJob(DisableJob { job_id }) => format!("disable job {job_id}"),
            Self::RunJobNow(RunJobNow { job_id }) => format!("run job {job_id}"),
            Self::SetLimit(SetLimit { params }) => {
                let verb = if params.off { "take out" } else { "set" };
                format!("{verb} the limit of {}", params.resource.name())
            }
        }
    }
}

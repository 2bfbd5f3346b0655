//! The errors of the engine's calls.

use crate::base::id::{InvalidId, PipelineId, RunId};
use crate::run::Refusal;
use crate::store::{DataDirError, StoreError};

/// Why the engine did not do what was requested.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The run does not exist.
    #[error("there is no run {run_id}; `leverframe runs` lists all runs")]
    NotFound {
        /// The requested run.
        run_id: RunId,
    },
    /// A run of this id exists already.
    #[error("there is a run {run_id} already; resume or retry it, or choose another id")]
    Exists {
        /// The requested id.
        run_id: RunId,
    },
    /// The run lives, and is outside of this engine's scope.
    #[error(
        "run {run_id} still belongs to the supervisor; only an engine that takes back all runs, or this one, can act on it"
    )]
    OutOfScope {
        /// The requested run.
        run_id: RunId,
    },
    /// No function is registered under this id.
    #[error("no function is registered for pipeline {pipeline_id}; the program must register it first")]
    NotRegistered {
        /// The requested pipeline.
        pipeline_id: PipelineId,
    },
    /// The run's state does not allow it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// An argument makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// The data directory is held or can't be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The database failed; nothing was changed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nothing can be recorded at present; nothing was changed.
    #[error("it was not done, because it can't be recorded at the moment: {reason}")]
    NotRecorded {
        /// The reason.
        reason: String,
    },
    /// The step host can't be reached.
    #[error("steps can't be run: {0}")]
    Host(String),
    /// The system has no thread, timer or pipe left.
    #[error("the system refused a resource: {0}")]
    System(#[from] std::io::Error),
    /// The engine has ended or is ending.
    #[error("the engine has been shut down")]
    ShutDown,
}

impl From<InvalidId> for EngineError {
    fn from(error: InvalidId) -> Self {
        Self::Invalid(error.to_string())
    }
}

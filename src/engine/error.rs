//! What can go wrong when the engine is asked for something.

use crate::base::id::{InvalidId, PipelineId, RunId};
use crate::run::Refusal;
use crate::store::{DataDirError, StoreError};

/// Why the engine did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// There is no such run.
    #[error("there is no run {run_id}; `leverframe runs` lists those that are")]
    NotFound {
        /// Which.
        run_id: RunId,
    },
    /// There is such a run already.
    #[error("there is a run {run_id} already; resume or retry it, or choose another id")]
    Exists {
        /// Which.
        run_id: RunId,
    },
    /// The run lives, and this engine was opened to leave it alone.
    #[error(
        "run {run_id} is left with the supervisor; an engine that takes back all runs, or this one, can act on it"
    )]
    OutOfScope {
        /// Which.
        run_id: RunId,
    },
    /// No function is registered under this id.
    #[error("no function is registered for pipeline {pipeline_id}; the program must register it first")]
    NotRegistered {
        /// Which.
        pipeline_id: PipelineId,
    },
    /// The run's state does not accept it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// An argument makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// The data directory is held or unusable.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The database said no; nothing was changed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nothing can be recorded at the moment; nothing was changed.
    #[error("it can't be recorded at the moment, and so was not done: {reason}")]
    NotRecorded {
        /// Why.
        reason: String,
    },
    /// The place where steps run can't be reached.
    #[error("steps can't be run: {0}")]
    Host(String),
    /// A thread, timer or pipe could not be had.
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

//! How the program ends: one number a kind of ending, and one message.

use std::io;

use crate::app::{
    CatalogueError, DataDirError, IntegrationError, RefreshError, SchedulerError, SettingsError, StoreError,
};
use crate::engine::EngineError;
use crate::id::{InvalidId, RunId};
use crate::pipeline::ParamError;
use crate::run::RunState;

/// The run completed, or what was asked for was done.
pub(super) const DONE: u8 = 0;
/// The run failed or was interrupted; also whatever has no number of its own.
pub(super) const FAILED: u8 = 1;
/// Wrong usage, or an invalid file.
pub(super) const USAGE: u8 = 2;
/// There is no such run or pipeline.
pub(super) const NOT_FOUND: u8 = 3;
/// Another engine holds the directory.
pub(super) const BUSY: u8 = 4;
/// The data directory is unusable.
pub(super) const UNUSABLE: u8 = 5;
/// The run was stopped.
pub(super) const STOPPED: u8 = 130;

/// The number for a run that ended so.
pub(super) fn of_run(state: RunState) -> u8 {
    match state {
        RunState::Completed => DONE,
        RunState::Stopped | RunState::ForceStopped => STOPPED,
        RunState::Failed
        | RunState::Interrupted
        | RunState::Queued
        | RunState::Running
        | RunState::Paused
        | RunState::Stopping => FAILED,
    }
}

/// A verb's outcome: the number that the program ends with.
pub(super) type Outcome = Result<u8, Failure>;

/// Why a verb did not do what it was asked.
#[derive(Debug)]
pub(super) struct Failure {
    /// The number that the program ends with.
    pub(super) code: u8,
    /// What was tried, on what, why it failed and what to do; none when nobody is there to read it.
    pub(super) message: Option<String>,
}

impl Failure {
    pub(super) fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: Some(message.into()) }
    }

    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::new(USAGE, message)
    }

    /// There is no such run; `near` is one that may have been meant.
    pub(super) fn no_run(run_id: &RunId, near: Option<&RunId>) -> Self {
        let hint = match near {
            Some(near) => format!("did you mean {near}?"),
            None => "`leverframe runs` lists those that are".to_owned(),
        };
        Self::new(NOT_FOUND, format!("there is no run {run_id}; {hint}"))
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        let code = match &error {
            EngineError::NotFound { .. } => NOT_FOUND,
            EngineError::Exists { .. }
            | EngineError::OutOfScope { .. }
            | EngineError::Refused(_)
            | EngineError::Invalid(_)
            | EngineError::NotRegistered { .. } => USAGE,
            EngineError::DataDir(DataDirError::Busy { .. }) => BUSY,
            EngineError::DataDir(DataDirError::Homeless | DataDirError::Unusable { .. })
            | EngineError::NotRecorded { .. } => UNUSABLE,
            EngineError::Store(error) => of_store(error),
            EngineError::Host(_) | EngineError::System(_) | EngineError::ShutDown => FAILED,
        };
        Self::new(code, error.to_string())
    }
}

impl From<DataDirError> for Failure {
    fn from(error: DataDirError) -> Self {
        EngineError::from(error).into()
    }
}

impl From<IntegrationError> for Failure {
    fn from(error: IntegrationError) -> Self {
        match error {
            IntegrationError::Catalogue(error) => error.into(),
            IntegrationError::Param(error) => error.into(),
            IntegrationError::Engine(error) => error.into(),
            IntegrationError::Scheduler(error) => error.into(),
            IntegrationError::Settings(error) => error.into(),
            IntegrationError::System(_) | IntegrationError::NotStarted => {
                Self::new(FAILED, error.to_string())
            }
        }
    }
}

impl From<SchedulerError> for Failure {
    fn from(error: SchedulerError) -> Self {
        let code = match &error {
            SchedulerError::NotFound { .. } => NOT_FOUND,
            SchedulerError::Exists { .. }
            | SchedulerError::Broken { .. }
            | SchedulerError::Schedule(_)
            | SchedulerError::Pipeline { .. }
            | SchedulerError::Param { .. }
            | SchedulerError::NoUpstream { .. }
            | SchedulerError::Cycle { .. }
            | SchedulerError::FromFile { .. }
            | SchedulerError::HasDownstream { .. }
            | SchedulerError::Backfill { .. }
            | SchedulerError::Id(_) => USAGE,
            SchedulerError::DataDir(DataDirError::Busy { .. }) => BUSY,
            SchedulerError::DataDir(DataDirError::Homeless | DataDirError::Unusable { .. }) => UNUSABLE,
            SchedulerError::Store(error) => of_store(error),
            SchedulerError::NotStarted { .. }
            | SchedulerError::Engine(_)
            | SchedulerError::System(_)
            | SchedulerError::Stopped => FAILED,
        };
        Self::new(code, error.to_string())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::new(of_store(&error), error.to_string())
    }
}

fn of_store(error: &StoreError) -> u8 {
    match error {
        StoreError::Invalid(_) | StoreError::Definition { .. } => USAGE,
        StoreError::Newer { .. }
        | StoreError::Corrupt { .. }
        | StoreError::Foreign { .. }
        | StoreError::DiskFull { .. }
        | StoreError::ReadOnly { .. }
        | StoreError::Locked { .. }
        | StoreError::Unopenable { .. }
        | StoreError::Io { .. }
        | StoreError::Statement { .. } => UNUSABLE,
    }
}

impl From<CatalogueError> for Failure {
    fn from(error: CatalogueError) -> Self {
        let code = match &error {
            CatalogueError::Unknown { .. } | CatalogueError::NoFile { .. } => NOT_FOUND,
            CatalogueError::Unreadable { .. }
            | CatalogueError::Invalid(_)
            | CatalogueError::Ambiguous { .. } => USAGE,
        };
        Self::new(code, error.to_string())
    }
}

impl From<RefreshError> for Failure {
    fn from(error: RefreshError) -> Self {
        match error {
            RefreshError::Store(error) => error.into(),
            error @ (RefreshError::Refused { .. } | RefreshError::Params(_)) => {
                Self::usage(error.to_string())
            }
        }
    }
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        let code = match &error {
            SettingsError::Unreadable { .. } => UNUSABLE,
            SettingsError::Invalid(_) => USAGE,
        };
        Self::new(code, error.to_string())
    }
}

impl From<ParamError> for Failure {
    fn from(error: ParamError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<InvalidId> for Failure {
    fn from(error: InvalidId) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        // Whoever read our output has had enough of it.
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self { code: DONE, message: None };
        }
        Self::new(FAILED, error.to_string())
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::new(FAILED, format!("{error:#}"))
    }
}

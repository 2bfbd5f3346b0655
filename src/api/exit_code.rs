//! One code for each kind of ending: the exit code of a verb's process, and the code of a refusal over the control
//! socket.

use crate::base::id::InvalidId;
use crate::engine::EngineError;
use crate::pipeline::ParamError;
use crate::records::RefreshError;
use crate::run::Refusal;
use crate::schedule::ScheduleError;
use crate::scheduler::SchedulerError;
use crate::settings::{CatalogueError, SettingsError};
use crate::store::{DataDirError, StoreError};

/// The run completed, or the request was done.
pub const DONE: u8 = 0;
/// The run failed or was interrupted. Also every failure without a code of its own.
pub const FAILED: u8 = 1;
/// Wrong usage, or an invalid file.
pub const USAGE: u8 = 2;
/// The run, step, pipeline or job does not exist.
pub const NOT_FOUND: u8 = 3;
/// Another engine holds the directory.
pub const BUSY: u8 = 4;
/// The data directory is unusable.
pub const UNUSABLE: u8 = 5;
/// No engine is running.
pub const NO_ENGINE: u8 = 6;
/// The engine does not answer.
pub const NO_ANSWER: u8 = 7;
/// The run was stopped.
pub const STOPPED: u8 = 130;

/// A value with an exit code.
pub trait HasExitCode {
    fn exit_code(&self) -> u8;
}

impl HasExitCode for EngineError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::NotFound { .. } | Self::Refused(Refusal::NoStep { .. }) => NOT_FOUND,
            Self::Exists { .. }
            | Self::OutOfScope { .. }
            | Self::Refused(Refusal::State { .. } | Refusal::Other { .. })
            | Self::Invalid(_)
            | Self::NotRegistered { .. } => USAGE,
            Self::DataDir(error) => error.exit_code(),
            Self::NotRecorded { .. } => UNUSABLE,
            Self::Store(error) => error.exit_code(),
            Self::Host(_) | Self::System(_) | Self::ShutDown => FAILED,
        }
    }
}

impl HasExitCode for DataDirError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Busy { .. } => BUSY,
            Self::Homeless | Self::Unusable { .. } => UNUSABLE,
        }
    }
}

impl HasExitCode for StoreError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Invalid(_) | Self::Definition { .. } => USAGE,
            Self::Newer { .. }
            | Self::Corrupt { .. }
            | Self::Foreign { .. }
            | Self::DiskFull { .. }
            | Self::ReadOnly { .. }
            | Self::Locked { .. }
            | Self::Unopenable { .. }
            | Self::Io { .. }
            | Self::Statement { .. } => UNUSABLE,
        }
    }
}

impl HasExitCode for CatalogueError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Unknown { .. } | Self::NoFile { .. } => NOT_FOUND,
            Self::Unreadable { .. } | Self::Invalid(_) | Self::Ambiguous { .. } => USAGE,
        }
    }
}

impl HasExitCode for SettingsError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Unreadable { .. } => UNUSABLE,
            Self::Invalid(_) => USAGE,
        }
    }
}

impl HasExitCode for RefreshError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::Store(error) => error.exit_code(),
            Self::Refused { .. } | Self::Params(_) => USAGE,
        }
    }
}

impl HasExitCode for SchedulerError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::NotFound { .. } => NOT_FOUND,
            Self::Exists { .. }
            | Self::Broken { .. }
            | Self::Schedule(_)
            | Self::Invalid(_)
            | Self::Pipeline { .. }
            | Self::Param { .. }
            | Self::NoUpstream { .. }
            | Self::Cycle { .. }
            | Self::FromFile { .. }
            | Self::HasDownstream { .. }
            | Self::Backfill { .. }
            | Self::Settings(_)
            | Self::Id(_) => USAGE,
            Self::Store(error) => error.exit_code(),
            Self::Engine(error) => error.exit_code(),
            Self::NoEngine(_) | Self::NotStarted { .. } | Self::System(_) | Self::Stopped => FAILED,
        }
    }
}

impl HasExitCode for ScheduleError {
    fn exit_code(&self) -> u8 {
        USAGE
    }
}

impl HasExitCode for ParamError {
    fn exit_code(&self) -> u8 {
        USAGE
    }
}

impl HasExitCode for InvalidId {
    fn exit_code(&self) -> u8 {
        USAGE
    }
}

//! How the program ends: one exit code for each kind of end, and one message.

use std::io;

use crate::api::HasExitCode;
pub(super) use crate::api::exit_code::{DONE, FAILED, NOT_FOUND, STOPPED, USAGE};
use crate::base::id::RunId;
use crate::run::RunState;

/// The exit code for a run in this state.
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

/// A verb's outcome: the exit code of the program.
pub(super) type Outcome = Result<u8, Failure>;

/// Why a verb failed.
#[derive(Debug)]
pub(super) struct Failure {
    /// The exit code of the program.
    pub(super) code: u8,
    /// What was tried, on what, why it failed and what to do; none when the output has no reader.
    pub(super) message: Option<String>,
}

impl Failure {
    pub(super) fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: Some(message.into()) }
    }

    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::new(USAGE, message)
    }

    /// There is no such run. `near` is a run that may have been meant.
    pub(super) fn no_run(run_id: &RunId, near: Option<&RunId>) -> Self {
        let hint = match near {
            Some(near) => format!("did you mean {near}?"),
            None => "`leverframe runs` lists all runs".to_owned(),
        };
        Self::new(NOT_FOUND, format!("there is no run {run_id}; {hint}"))
    }
}

impl<E: HasExitCode + std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(error.exit_code(), error.to_string())
    }
}

impl From<crate::api::Error> for Failure {
    fn from(error: crate::api::Error) -> Self {
        Self::new(error.exit_code(), error.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        // The reader of the output has closed it, as `head` does.
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

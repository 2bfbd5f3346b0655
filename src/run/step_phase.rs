//! The phase of a step: its state, with what belongs to that state alone.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::state::StepState;
use crate::admission::Wait;

/// The state of a step with its data. [`StepState`] is the word for it.
#[derive(Debug, Clone, PartialEq)]
pub enum StepPhase {
    /// Its turn has not come.
    Pending,
    /// Its last attempt failed; the next one is due at this instant.
    Retrying(DateTime<Utc>),
    /// Its attempt is on disk, or will be with the next commit, and waits to be sent to the supervisor.
    Prepared(Prepared),
    /// Sent: it has a process, or may have one.
    Alive {
        /// Its whole tree is seen frozen.
        is_frozen: bool,
        /// Why the engine ends it; none while it may go on.
        ending: Option<Ending>,
    },
    /// Nothing more happens to this attempt.
    Ended(StepEnd),
}

/// What keeps an attempt from being sent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Prepared {
    /// For what it waits to be admitted, and since when; none until admission has refused it.
    pub wait: Option<(Arc<Wait>, DateTime<Utc>)>,
    /// It could not be started, because a secret of it is missing.
    pub lacks_secret: bool,
}

/// Why the engine ends a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// The run is being stopped.
    Stop,
    /// Its own timeout.
    Timeout,
    /// The run's timeout.
    RunTimeout,
}

/// How a step has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepEnd {
    /// With exit code 0.
    Completed,
    /// Otherwise, not started, or timed out.
    Failed,
    /// Never run.
    Skipped,
    /// As its run was stopped.
    Stopped,
    /// Its process was lost.
    Interrupted,
}

impl StepEnd {
    /// The word for it.
    pub const fn state(self) -> StepState {
        match self {
            Self::Completed => StepState::Completed,
            Self::Failed => StepState::Failed,
            Self::Skipped => StepState::Skipped,
            Self::Stopped => StepState::Stopped,
            Self::Interrupted => StepState::Interrupted,
        }
    }
}

impl StepPhase {
    /// The word for it.
    pub const fn state(&self) -> StepState {
        match self {
            Self::Pending => StepState::Pending,
            Self::Retrying(_) | Self::Prepared(_) => StepState::Waiting,
            Self::Alive { is_frozen: false, .. } => StepState::Running,
            Self::Alive { is_frozen: true, .. } => StepState::Paused,
            Self::Ended(end) => end.state(),
        }
    }

    /// When a failed step is tried again.
    pub const fn retry_at(&self) -> Option<DateTime<Utc>> {
        if let Self::Retrying(at) = self { Some(*at) } else { None }
    }

    /// Whether its turn has not come.
    pub const fn is_pending(&self) -> bool {
        matches!(self, Self::Pending)
    }

    /// Whether its attempt is on disk, or will be with the next commit, and waits to be sent.
    pub const fn is_prepared(&self) -> bool {
        matches!(self, Self::Prepared(_))
    }

    /// For what a prepared step waits to be admitted, and since when.
    pub const fn wait(&self) -> Option<&(Arc<Wait>, DateTime<Utc>)> {
        if let Self::Prepared(prepared) = self { prepared.wait.as_ref() } else { None }
    }

    /// Whether a prepared step could not be started, because a secret of it is missing.
    pub(super) const fn lacks_secret(&self) -> bool {
        matches!(self, Self::Prepared(Prepared { lacks_secret: true, .. }))
    }

    pub(super) const fn prepared_mut(&mut self) -> Option<&mut Prepared> {
        if let Self::Prepared(prepared) = self { Some(prepared) } else { None }
    }

    /// Why the engine ends a living step.
    pub const fn ending(&self) -> Option<Ending> {
        if let Self::Alive { ending, .. } = self { *ending } else { None }
    }

    /// Sets why the engine ends a living step. Any other has nothing to end.
    pub(super) const fn end_for(&mut self, why: Ending) {
        if let Self::Alive { ending, .. } = self {
            *ending = Some(why);
        }
    }

    /// Whether it lives and may go on.
    pub const fn may_go_on(&self) -> bool {
        matches!(self, Self::Alive { ending: None, .. })
    }
}

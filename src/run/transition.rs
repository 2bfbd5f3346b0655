//! The one table of a run's transitions: which command each state accepts, and where it leads.

use super::RunState;
use crate::base::id::{RunId, StepId};

/// What may be asked of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Command {
    /// Freeze it.
    Pause,
    /// Let it go on, or take it up again.
    Resume,
    /// Run a step and what needs it again.
    Retry,
    /// End it in good order.
    Stop,
    /// End it at once.
    ForceStop,
    /// Its program says that it is done.
    Complete,
    /// Its program says that it has failed.
    Fail,
    /// Its program reports progress or a checkpoint.
    Report,
    /// Start it, or what waits of it, although what it waits for is not there.
    Admit,
}

impl Command {
    /// Every command.
    pub const ALL: &'static [Self] = &[
        Self::Pause,
        Self::Resume,
        Self::Retry,
        Self::Stop,
        Self::ForceStop,
        Self::Complete,
        Self::Fail,
        Self::Report,
        Self::Admit,
    ];

    /// The state that somebody who gives this command wants, for messages.
    pub const fn aim(self, from: RunState) -> RunState {
        match self {
            Self::Pause => RunState::Paused,
            Self::Resume | Self::Retry | Self::Admit => RunState::Running,
            Self::Stop => RunState::Stopping,
            Self::ForceStop => RunState::ForceStopped,
            Self::Complete => RunState::Completed,
            Self::Fail => RunState::Failed,
            Self::Report => from,
        }
    }
}

/// A command that a run's state does not accept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The table has no such transition.
    #[error("run {run_id} is {from} and can't become {to}: {hint}")]
    State {
        /// Which run.
        run_id: RunId,
        /// Its state.
        from: RunState,
        /// The state that was asked for.
        to: RunState,
        /// What the operator can do instead.
        hint: &'static str,
    },
    /// It is about a step that the run does not have.
    #[error("run {run_id}: it has no step {step}; its steps are {steps}")]
    NoStep {
        /// Which run.
        run_id: RunId,
        /// The step that was named.
        step: StepId,
        /// Those that it has.
        steps: String,
    },
    /// The state would accept it, but something else is in the way.
    #[error("run {run_id}: {reason}")]
    Other {
        /// Which run.
        run_id: RunId,
        /// What, and what to do.
        reason: String,
    },
}

/// Where `command` leads from `from`; none when it is refused.
///
/// `ForceStop` passes through `stopping` while processes are being killed, and `Stop` always does.
pub const fn transition(from: RunState, command: Command) -> Option<RunState> {
    use Command as C;
    use RunState as S;
    match (from, command) {
        (S::Running, C::Pause) => Some(S::Paused),
        (S::Paused, C::Resume) => Some(S::Running),
        (S::Stopped | S::ForceStopped | S::Failed | S::Interrupted, C::Resume | C::Retry) => Some(S::Running),
        (S::Completed, C::Retry) => Some(S::Running),
        (S::Queued | S::Running | S::Paused, C::Stop) => Some(S::Stopping),
        (S::Queued | S::Running | S::Paused | S::Stopping, C::ForceStop) => Some(S::ForceStopped),
        (S::Running, C::Complete) => Some(S::Completed),
        (S::Running, C::Fail) => Some(S::Failed),
        (S::Stopping, C::Complete | C::Fail) => Some(S::Stopped),
        (S::Queued | S::Running | S::Paused | S::Stopping, C::Report) => Some(from),
        (S::Queued | S::Running, C::Admit) => Some(S::Running),
        (S::Queued | S::Paused | S::Stopping, C::Pause)
        | (S::Queued | S::Running | S::Stopping | S::Completed, C::Resume)
        | (S::Queued | S::Running | S::Paused | S::Stopping, C::Retry)
        | (S::Stopping, C::Stop)
        | (S::Queued | S::Paused, C::Complete | C::Fail)
        | (S::Paused | S::Stopping, C::Admit)
        | (
            S::Stopped | S::ForceStopped | S::Completed | S::Failed | S::Interrupted,
            C::Pause | C::Stop | C::ForceStop | C::Complete | C::Fail | C::Report | C::Admit,
        ) => None,
    }
}

/// What to do instead of a command that `from` refuses.
pub const fn hint(from: RunState) -> &'static str {
    match from {
        RunState::Queued => "wait until it runs, admit it, or stop it",
        RunState::Running => "pause or stop it first",
        RunState::Paused => "resume it first, or stop it",
        RunState::Stopping => "wait for its end, or force-stop it",
        RunState::Stopped | RunState::ForceStopped | RunState::Failed | RunState::Interrupted => {
            "it has ended; resume or retry it"
        }
        RunState::Completed => "it has ended; retry it to run steps again",
    }
}

//! The one table of a run's transitions and that of a step's, and the only place where a state changes. What the system
//! does of its own, and what recovery finds, takes the same ways as what is asked: there are no others.

use super::{Run, RunState, StepRun, StepState};
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

/// What changes the state of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// This was asked, or the system does the same of its own.
    As(Command),
    /// The program or a step of it was lost, and the operator decides how it goes on.
    Lose,
}

impl Change {
    const fn leads_from(self, from: RunState) -> Option<RunState> {
        match self {
            Self::As(command) => transition(from, command),
            Self::Lose if from.is_ended() => None,
            Self::Lose => Some(RunState::Interrupted),
        }
    }
}

/// What changes the state of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StepChange {
    /// It gets an attempt, which waits to be sent.
    Prepare,
    /// Its attempt is sent.
    Launch,
    /// Its attempt was not sent after all: it waits again.
    Shelve,
    /// Its tree is seen frozen.
    Freeze,
    /// Its tree is let go on, or is to end.
    GoOn,
    /// It ended well.
    Complete,
    /// It ended badly, or could not be started.
    Fail,
    /// It was ended, or was waiting for another attempt, as its run was stopped.
    Stop,
    /// It is passed over.
    Skip,
    /// Its process was lost.
    Lose,
    /// It is tried again after a delay.
    TryAgain,
    /// Its turn is to come anew.
    Renew,
}

impl StepChange {
    /// Every change.
    #[cfg(test)]
    const ALL: &'static [Self] = &[
        Self::Prepare,
        Self::Launch,
        Self::Shelve,
        Self::Freeze,
        Self::GoOn,
        Self::Complete,
        Self::Fail,
        Self::Stop,
        Self::Skip,
        Self::Lose,
        Self::TryAgain,
        Self::Renew,
    ];

    const fn leads_from(self, from: StepState) -> Option<StepState> {
        use StepState as S;
        match (from, self) {
            (S::Pending | S::Waiting, Self::Prepare) => Some(S::Waiting),
            (S::Waiting, Self::Launch) => Some(S::Running),
            (S::Running | S::Paused, Self::Shelve) => Some(S::Waiting),
            (S::Running | S::Paused, Self::Freeze) => Some(S::Paused),
            (S::Running | S::Paused, Self::GoOn) => Some(S::Running),
            (S::Running | S::Paused, Self::Complete) => Some(S::Completed),
            (S::Waiting | S::Running | S::Paused, Self::Fail) => Some(S::Failed),
            (S::Pending | S::Waiting | S::Running | S::Paused, Self::Stop) => Some(S::Stopped),
            (S::Pending | S::Waiting | S::Running | S::Paused, Self::Skip) => Some(S::Skipped),
            (S::Running | S::Paused, Self::Lose) => Some(S::Interrupted),
            (S::Failed, Self::TryAgain) => Some(S::Waiting),
            // A run that is taken up again begins with what its steps have left, whatever that is.
            (_, Self::Renew) => Some(S::Pending),
            (S::Running | S::Paused, Self::Prepare | Self::Launch | Self::TryAgain)
            | (
                S::Pending,
                Self::Launch
                | Self::Shelve
                | Self::Freeze
                | Self::GoOn
                | Self::Complete
                | Self::Fail
                | Self::Lose
                | Self::TryAgain,
            )
            | (
                S::Waiting,
                Self::Shelve | Self::Freeze | Self::GoOn | Self::Complete | Self::Lose | Self::TryAgain,
            )
            | (
                S::Failed,
                Self::Prepare
                | Self::Launch
                | Self::Shelve
                | Self::Freeze
                | Self::GoOn
                | Self::Complete
                | Self::Fail
                | Self::Stop
                | Self::Skip
                | Self::Lose,
            )
            | (
                S::Completed | S::Skipped | S::Stopped | S::Interrupted,
                Self::Prepare
                | Self::Launch
                | Self::Shelve
                | Self::Freeze
                | Self::GoOn
                | Self::Complete
                | Self::Fail
                | Self::Stop
                | Self::Skip
                | Self::Lose
                | Self::TryAgain,
            ) => None,
        }
    }
}

impl Run {
    /// Changes its state as the table says, whatever the cause is.
    ///
    /// # Errors
    /// [`Refusal::State`] where the table has no such transition: the run stays as it was.
    pub(super) fn apply(&mut self, change: Change) -> Result<(), Refusal> {
        match change.leads_from(self.state) {
            Some(to) => {
                self.state = to;
                Ok(())
            }
            None => {
                let to = match change {
                    Change::As(command) => command.aim(self.state),
                    Change::Lose => RunState::Interrupted,
                };
                Err(self.refusal(to))
            }
        }
    }

    /// Whether it accepts a command that changes its state later, or not at all.
    ///
    /// # Errors
    /// [`Refusal::State`] where the table has no such transition.
    pub(super) fn accept(&self, command: Command) -> Result<(), Refusal> {
        match transition(self.state, command) {
            Some(_) => Ok(()),
            None => Err(self.refusal(command.aim(self.state))),
        }
    }

    fn refusal(&self, to: RunState) -> Refusal {
        Refusal::State { run_id: self.id.clone(), from: self.state, to, hint: hint(self.state) }
    }
}

impl StepRun {
    /// Changes its state as the table says, whatever the cause is; false where the table has no such transition: it stays
    /// as it was.
    pub(super) fn apply(&mut self, change: StepChange) -> bool {
        let to = change.leads_from(self.state);
        self.state = to.unwrap_or(self.state);
        to.is_some()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn step_in(state: StepState) -> StepRun {
        StepRun { state, ..StepRun::new("s".try_into().expect("an id")) }
    }

    #[test]
    fn every_living_run_can_be_lost_and_no_ended_one() {
        for &from in RunState::ALL {
            let to = (!from.is_ended()).then_some(RunState::Interrupted);
            assert_eq!(Change::Lose.leads_from(from), to, "{from}");
        }
    }

    #[test]
    fn a_step_that_has_ended_is_left_only_to_be_run_once_more() {
        for &from in StepState::ALL.iter().filter(|state| state.is_ended()) {
            for &change in StepChange::ALL {
                let is_tried_again = change == StepChange::TryAgain && from == StepState::Failed;
                let anew = (change == StepChange::Renew).then_some(StepState::Pending);
                let to = if is_tried_again { Some(StepState::Waiting) } else { anew };
                assert_eq!(change.leads_from(from), to, "{from} × {change:?}");
            }
        }
    }

    #[test]
    fn a_step_comes_to_life_by_its_launch_alone_and_only_the_living_freeze_or_are_lost() {
        for &from in StepState::ALL {
            for &change in StepChange::ALL {
                let Some(to) = change.leads_from(from) else { continue };
                let comes_to_life = !from.is_live() && to.is_live();
                assert_eq!(comes_to_life, change == StepChange::Launch, "{from} × {change:?}");
                let is_of_the_living = matches!(to, StepState::Paused | StepState::Interrupted);
                assert!(from.is_live() || !is_of_the_living, "{from} × {change:?}");
            }
        }
    }

    #[test]
    fn what_the_table_has_no_way_for_does_not_happen() {
        let mut step = step_in(StepState::Completed);
        assert!(!step.apply(StepChange::Lose));
        assert_eq!(step.state, StepState::Completed);
        assert!(step.apply(StepChange::Renew));
        assert_eq!(step.state, StepState::Pending);
    }
}

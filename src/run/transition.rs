//! The table of a run's transitions and that of a step's: the only place where a phase or a state changes, whether by a
//! request, by the system or by recovery.

use chrono::{DateTime, Utc};

use super::freeze::Freeze;
use super::model::Run;
use super::phase::{End, Phase, StopKind};
use super::state::RunState;
use super::step_phase::{Prepared, StepEnd, StepPhase};
use super::step_run::StepRun;
use crate::base::id::{RunId, StepId};
use crate::base::time::Now;

/// A command to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Command {
    /// Freeze it.
    Pause,
    /// Let it go on, or take it up after its end.
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
    /// Start it, or its steps that wait, although what they wait for is not there.
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

    /// The state that this command aims at, for messages.
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

/// A change of a run's phase, by a request or by the system.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Change {
    /// A queued run begins.
    Begin,
    /// It is to be frozen, for these reasons.
    Pause(Freeze),
    /// It goes on, or is taken up again.
    Resume,
    /// It is taken up again for a retry.
    Retry,
    /// Its processes are being ended. It passes through `stopping` by force as well.
    Stop(StopKind),
    /// It is over.
    End(End),
}

impl Change {
    /// The command that does the same; none for a loss.
    const fn command(&self) -> Option<Command> {
        Some(match self {
            Self::Begin => Command::Admit,
            Self::Pause(_) => Command::Pause,
            Self::Resume => Command::Resume,
            Self::Retry => Command::Retry,
            Self::Stop(StopKind::Graceful) => Command::Stop,
            Self::Stop(StopKind::Force) | Self::End(End::ForceStopped) => Command::ForceStop,
            Self::End(End::Completed | End::Stopped) => Command::Complete,
            Self::End(End::Failed) => Command::Fail,
            Self::End(End::Interrupted) => return None,
        })
    }

    fn is_accepted_from(&self, from: RunState) -> bool {
        let to = match self.command() {
            Some(command) => transition(from, command),
            None => (!from.is_ended()).then_some(RunState::Interrupted),
        };
        match self {
            Self::End(end) => to == Some(end.state()),
            Self::Begin | Self::Pause(_) | Self::Resume | Self::Retry | Self::Stop(_) => to.is_some(),
        }
    }
}

/// A change of a step's state.
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
    /// It does not run, or its loss is excused.
    Skip,
    /// Its process was lost.
    Lose,
    /// It is tried again at this instant.
    TryAgain(DateTime<Utc>),
    /// It waits for its turn anew.
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
        Self::TryAgain(DateTime::UNIX_EPOCH),
        Self::Renew,
    ];

    fn leads_from(self, from: &StepPhase) -> Option<StepPhase> {
        use StepPhase as P;
        let ended = |end| Some(P::Ended(end));
        let is_alive = matches!(from, P::Alive { .. });
        let has_ended = matches!(from, P::Ended(_));
        match self {
            Self::Prepare if matches!(from, P::Pending | P::Retrying(_)) => {
                Some(P::Prepared(Prepared::default()))
            }
            Self::Launch if from.is_prepared() => Some(P::Alive { is_frozen: false, ending: None }),
            Self::Shelve if is_alive => Some(P::Prepared(Prepared::default())),
            Self::Freeze if is_alive => Some(P::Alive { is_frozen: true, ending: from.ending() }),
            Self::GoOn if is_alive => Some(P::Alive { is_frozen: false, ending: from.ending() }),
            Self::Complete if is_alive => ended(StepEnd::Completed),
            Self::Fail if !has_ended && !from.is_pending() => ended(StepEnd::Failed),
            Self::Stop if !has_ended => ended(StepEnd::Stopped),
            Self::Skip if !has_ended => ended(StepEnd::Skipped),
            Self::Lose if is_alive => ended(StepEnd::Interrupted),
            Self::TryAgain(at) if *from == P::Ended(StepEnd::Failed) => Some(P::Retrying(at)),
            // A run that is taken up again finds its steps in any state.
            Self::Renew => Some(P::Pending),
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
            | Self::TryAgain(_) => None,
        }
    }
}

impl Run {
    /// Changes its phase as the table says, and books its clock and the time frozen. Its error becomes the reason of a
    /// pause, else none: the caller sets another one.
    ///
    /// # Errors
    /// [`Refusal::State`] where the table has no such transition: the run stays as it was.
    pub(super) fn apply(&mut self, change: Change, now: Now) -> Result<(), Refusal> {
        let from = self.state();
        if !change.is_accepted_from(from) {
            let aim = change.command().map_or(RunState::Interrupted, |command| command.aim(from));
            return Err(self.refusal(aim));
        }
        self.ledger.frozen_ms = self.frozen_ms(now);
        let verdict = self.phase.verdict().cloned();
        self.phase = match change {
            Change::Begin | Change::Resume | Change::Retry => Phase::Running { verdict },
            Change::Pause(freeze) => Phase::Paused { verdict, freeze },
            Change::Stop(kind) => Phase::Stopping(kind),
            Change::End(end) => Phase::Ended { end, at: Some(now.wall) },
        };
        self.error = self.phase.freeze().and_then(|freeze| freeze.holds.reason().cloned());
        if self.state() == RunState::Running {
            self.ledger.clock.start(now);
        } else {
            self.ledger.clock.stop(now);
        }
        Ok(())
    }

    /// Checks that its state accepts a command, without a change.
    ///
    /// # Errors
    /// [`Refusal::State`] where the table has no such transition.
    pub(super) fn accept(&self, command: Command) -> Result<(), Refusal> {
        match transition(self.state(), command) {
            Some(_) => Ok(()),
            None => Err(self.refusal(command.aim(self.state()))),
        }
    }

    fn refusal(&self, to: RunState) -> Refusal {
        Refusal::State { run_id: self.id.clone(), from: self.state(), to, hint: hint(self.state()) }
    }
}

impl StepRun {
    /// Changes its phase as the table says. Returns false where the table has no such transition; it then stays as it was.
    pub(super) fn apply(&mut self, change: StepChange) -> bool {
        let to = change.leads_from(&self.phase);
        let is_possible = to.is_some();
        self.phase = to.unwrap_or_else(|| self.phase.clone());
        is_possible
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
    use crate::run::plan::Plan;
    use crate::run::state::StepState;
    use crate::run::step_phase::Ending;

    /// Every phase that the table tells apart.
    const PHASES: [StepPhase; 10] = [
        StepPhase::Pending,
        StepPhase::Retrying(DateTime::UNIX_EPOCH),
        StepPhase::Prepared(Prepared { wait: None, lacks_secret: true }),
        StepPhase::Alive { is_frozen: false, ending: None },
        StepPhase::Alive { is_frozen: true, ending: Some(Ending::Timeout) },
        StepPhase::Ended(StepEnd::Completed),
        StepPhase::Ended(StepEnd::Failed),
        StepPhase::Ended(StepEnd::Skipped),
        StepPhase::Ended(StepEnd::Stopped),
        StepPhase::Ended(StepEnd::Interrupted),
    ];

    #[test]
    fn every_living_run_can_be_lost_and_no_ended_one() {
        for &from in RunState::ALL {
            assert_eq!(Change::End(End::Interrupted).is_accepted_from(from), !from.is_ended(), "{from}");
        }
    }

    #[test]
    fn a_change_leads_where_the_table_says_or_nowhere() {
        use Change as C;
        let pause = C::Pause(Freeze::default());
        let force = C::Stop(StopKind::Force);
        let stops = [C::Stop(StopKind::Graceful), force.clone()];
        let ends = [End::Stopped, End::ForceStopped, End::Completed, End::Failed].map(C::End);
        let now = Now { wall: chrono::DateTime::UNIX_EPOCH, awake_ms: 0 };
        for &from in RunState::ALL {
            for change in [C::Begin, pause.clone(), C::Resume, C::Retry].iter().chain(&stops).chain(&ends) {
                let plan = Plan::driven("r".try_into().unwrap(), "p".try_into().unwrap(), "s");
                let mut run = Run { phase: Phase::of(from, None), ..plan.into_run(now) };
                let to = transition(from, change.command().unwrap());
                match run.apply(change.clone(), now) {
                    // Its processes are ended first.
                    Ok(()) if *change == force => {
                        assert_eq!((run.state(), to.is_some()), (RunState::Stopping, true))
                    }
                    Ok(()) => assert_eq!(Some(run.state()), to, "{from} × {change:?}"),
                    Err(_) => assert!(
                        run.state() == from && (to.is_none() || ends.contains(change)),
                        "{from} × {change:?}"
                    ),
                }
            }
        }
    }

    #[test]
    fn a_step_that_has_ended_is_left_only_to_be_run_once_more() {
        for from in PHASES.iter().filter(|phase| phase.state().is_ended()) {
            for &change in StepChange::ALL {
                let again = StepChange::TryAgain(DateTime::UNIX_EPOCH);
                let to = if change == again && from.state() == StepState::Failed {
                    Some(StepPhase::Retrying(DateTime::UNIX_EPOCH))
                } else {
                    (change == StepChange::Renew).then_some(StepPhase::Pending)
                };
                assert_eq!(change.leads_from(from), to, "{from:?} × {change:?}");
            }
        }
    }

    #[test]
    fn a_step_comes_to_life_by_its_launch_alone_and_only_the_living_freeze_or_are_lost() {
        for from in &PHASES {
            let was_alive = from.state().is_live();
            for &change in StepChange::ALL {
                let Some(to) = change.leads_from(from).map(|to| to.state()) else { continue };
                let comes_to_life = !was_alive && to.is_live();
                assert_eq!(
                    comes_to_life,
                    change == StepChange::Launch && from.is_prepared(),
                    "{from:?} × {change:?}"
                );
                let is_of_the_living = matches!(to, StepState::Paused | StepState::Interrupted);
                assert!(was_alive || !is_of_the_living, "{from:?} × {change:?}");
            }
        }
    }

    #[test]
    fn a_step_that_is_being_ended_stays_so_whether_it_freezes_or_goes_on() {
        let ending = Some(Ending::Stop);
        for change in [StepChange::Freeze, StepChange::GoOn] {
            for is_frozen in [false, true] {
                let to = change.leads_from(&StepPhase::Alive { is_frozen, ending }).expect("a way");
                assert_eq!(to.ending(), ending, "{change:?}");
            }
        }
    }

    #[test]
    fn what_the_table_has_no_way_for_does_not_happen() {
        let mut step = StepRun::new("s".try_into().expect("an id"));
        step.phase = StepPhase::Ended(StepEnd::Completed);
        assert!(!step.apply(StepChange::Lose));
        assert_eq!(step.phase, StepPhase::Ended(StepEnd::Completed));
        assert!(step.apply(StepChange::Renew));
        assert_eq!(step.phase, StepPhase::Pending);
    }
}

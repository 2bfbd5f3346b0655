//! The engine between its opening and its end: the input for which it was opened is decided before any step starts, and
//! it ends when the runs are left, frozen or stopped as requested.

use crossbeam_channel::Sender;
use serde::{Deserialize, Serialize};

use super::runs::Runs;
use crate::base::id::RunId;
use crate::run::{Input, Run, RunState};
use crate::store::EngineLock;

/// How long a shutdown waits for driving programs to notice that they must stop, and for runs to be seen frozen.
const PATIENCE_MS: u64 = 10_000;

/// What happens to living runs when the engine shuts down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShutdownKind {
    /// Steps go on under the supervisor; the next engine recovers them.
    LeaveSteps,
    /// Runs are frozen, and stay so until they are resumed.
    FreezeRuns,
    /// Runs are stopped in order.
    StopRuns,
}

/// Whether an engine ends in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    Now,
    /// Only if no run lives.
    IfIdle,
}

/// The engine's beginning and end.
pub(super) struct Lifecycle {
    /// The input for which it was opened, until it is decided.
    first_input: Option<(RunId, Input)>,
    closing: Option<Closing>,
    /// Released when the thread ends, unless the caller gets it.
    lock: Option<EngineLock>,
}

/// A shutdown under way.
struct Closing {
    kind: ShutdownKind,
    when: When,
    /// Gets the data directory's lock when nothing is left to write; none when the engine goes on.
    reply: Sender<Option<EngineLock>>,
    /// Until when programs that drive runs have to notice that they must stop.
    drivers_until_ms: u64,
}

/// The stage of a shutdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// No shutdown is under way.
    Open,
    /// Runs are still to be frozen or stopped.
    Waits,
    /// The engine goes on: it was to end only if no run lived, and one has begun meanwhile.
    CalledOff,
    /// Nothing is left to wait for.
    Over,
}

impl Lifecycle {
    pub(super) fn new(first_input: Option<(RunId, Input)>, lock: EngineLock) -> Self {
        Self { first_input, closing: None, lock: Some(lock) }
    }

    /// The input for which the engine was opened. From now on steps may start.
    pub(super) fn take_first_input(&mut self) -> Option<(RunId, Input)> {
        self.first_input.take()
    }

    /// Whether steps may start. While runs are being stopped, their `finally` steps still run.
    pub(super) fn may_start(&self) -> bool {
        let stops_runs = |closing: &Closing| closing.kind == ShutdownKind::StopRuns;
        self.first_input.is_none() && self.closing.as_ref().is_none_or(stops_runs)
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    /// Whether no more runs are accepted. An engine that ends only if no run lives goes on for a new one.
    pub(super) fn refuses_runs(&self) -> bool {
        self.closing.as_ref().is_some_and(|closing| closing.when == When::Now)
    }

    /// Begins a shutdown. `reply` gets its outcome.
    pub(super) fn begin_closing(
        &mut self,
        kind: ShutdownKind,
        when: When,
        reply: Sender<Option<EngineLock>>,
        now_ms: u64,
    ) {
        self.closing = Some(Closing { kind, when, reply, drivers_until_ms: now_ms + PATIENCE_MS });
    }

    /// A shutdown that waits for runs waits no longer, and leaves them as they are.
    pub(super) fn leave_at_once(&mut self) {
        if let Some(closing) = &mut self.closing {
            closing.kind = ShutdownKind::LeaveSteps;
        }
    }

    /// When a shutdown must be looked at, on the clock of awake time.
    pub(super) fn look_again_at_ms(&self) -> Option<u64> {
        self.closing.as_ref().map(|closing| closing.drivers_until_ms)
    }

    /// The stage that a shutdown has reached.
    pub(super) fn look(&mut self, runs: &Runs, now_ms: u64) -> Stage {
        let Some(closing) = &mut self.closing else { return Stage::Open };
        if closing.when == When::IfIdle && !runs.is_empty() {
            return Stage::CalledOff;
        }
        let patience_is_over = closing.drivers_until_ms <= now_ms;
        if !runs.iter().any(|run| closing.awaits(run, patience_is_over)) {
            return Stage::Over;
        }
        if patience_is_over {
            closing.drivers_until_ms += PATIENCE_MS;
        }
        Stage::Waits
    }

    /// Calls the shutdown off; its caller gets no lock.
    pub(super) fn call_off(&mut self) {
        if let Some(closing) = self.closing.take() {
            // The caller may be gone.
            let _ = closing.reply.send(None);
        }
    }

    /// Everything is recorded: gives the lock of the data directory to the caller.
    pub(super) fn end(&mut self) {
        if let (Some(closing), Some(lock)) = (self.closing.take(), self.lock.take()) {
            // If the caller is gone, the lock is released with the answer.
            let _ = closing.reply.send(Some(lock));
        }
    }
}

impl Closing {
    fn awaits(&self, run: &Run, patience_is_over: bool) -> bool {
        match (self.kind, run.definition()) {
            (ShutdownKind::LeaveSteps, _) => false,
            (ShutdownKind::FreezeRuns, _) => {
                run.state() == RunState::Running
                    || run.phase.freeze().is_some_and(|freeze| freeze.since.is_none())
            }
            (ShutdownKind::StopRuns, None) => !patience_is_over,
            (ShutdownKind::StopRuns, Some(_)) => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::DateTime;
    use crossbeam_channel::{Receiver, bounded};

    use super::*;
    use crate::engine::test_runs::{driven, of_steps};
    use crate::run::{Freeze, Phase};
    use crate::store::DataDir;

    fn lifecycle(first_input: Option<(RunId, Input)>) -> Lifecycle {
        let dir = tempfile::tempdir().expect("a directory");
        let lock = DataDir::open(dir.path()).and_then(|data_dir| data_dir.lock()).expect("a lock");
        Lifecycle::new(first_input, lock)
    }

    fn close(lifecycle: &mut Lifecycle, kind: ShutdownKind, when: When) -> Receiver<Option<EngineLock>> {
        let (reply, answer) = bounded(1);
        lifecycle.begin_closing(kind, when, reply, 0);
        answer
    }

    fn runs_with(run: Run) -> Runs {
        let mut runs = Runs::default();
        runs.put(Arc::new(run), true);
        runs
    }

    #[test]
    fn an_end_that_waits_for_runs_can_be_told_to_leave_them() {
        let mut lifecycle = lifecycle(None);
        lifecycle.leave_at_once();
        let running = runs_with(Run { phase: Phase::of(RunState::Running, None), ..of_steps("a", &["s"]) });
        assert!(matches!(lifecycle.look(&running, 0), Stage::Open), "nothing ends");
        let answer = close(&mut lifecycle, ShutdownKind::StopRuns, When::Now);
        assert!(matches!(lifecycle.look(&running, 0), Stage::Waits));
        lifecycle.leave_at_once();
        assert!(matches!(lifecycle.look(&running, 0), Stage::Over));
        lifecycle.end();
        assert!(answer.recv().expect("an answer").is_some(), "who waited has the lock");
    }

    #[test]
    fn no_step_starts_before_the_first_input_is_decided_nor_at_an_end_that_leaves_or_freezes() {
        let run_id = driven("a").id;
        let mut lifecycle = lifecycle(Some((run_id, Input::Pause)));
        assert!(!lifecycle.may_start());
        assert!(lifecycle.take_first_input().is_some());
        assert!(lifecycle.may_start());
        for (kind, may_start) in [
            (ShutdownKind::LeaveSteps, false),
            (ShutdownKind::FreezeRuns, false),
            (ShutdownKind::StopRuns, true),
        ] {
            close(&mut lifecycle, kind, When::Now);
            assert_eq!((lifecycle.may_start(), lifecycle.refuses_runs()), (may_start, true), "{kind:?}");
        }
    }

    #[test]
    fn freezing_waits_until_every_run_is_seen_frozen() {
        let mut lifecycle = lifecycle(None);
        assert_eq!(lifecycle.look(&Runs::default(), 0), Stage::Open);
        close(&mut lifecycle, ShutdownKind::FreezeRuns, When::Now);
        let mut run = Run { phase: Phase::of(RunState::Running, None), ..of_steps("a", &["s"]) };
        assert_eq!(lifecycle.look(&runs_with(run.clone()), 1), Stage::Waits);
        run.phase = Phase::of(RunState::Paused, None);
        assert_eq!(lifecycle.look(&runs_with(run.clone()), 1), Stage::Waits);
        let freeze = Freeze { since: Some(DateTime::UNIX_EPOCH), ..Freeze::default() };
        run.phase = Phase::Paused { verdict: None, freeze };
        assert_eq!(lifecycle.look(&runs_with(run), 1), Stage::Over);
    }

    #[test]
    fn stopping_waits_for_steps_without_end_and_for_a_driving_program_as_long_as_patience_lasts() {
        let mut lifecycle = lifecycle(None);
        close(&mut lifecycle, ShutdownKind::StopRuns, When::Now);
        assert_eq!(lifecycle.look(&runs_with(driven("a")), PATIENCE_MS - 1), Stage::Waits);
        assert_eq!(lifecycle.look(&runs_with(of_steps("b", &["s"])), PATIENCE_MS), Stage::Waits);
        assert_eq!(lifecycle.look_again_at_ms(), Some(2 * PATIENCE_MS));
        assert_eq!(lifecycle.look(&runs_with(driven("a")), 2 * PATIENCE_MS), Stage::Over);
    }

    #[test]
    fn the_caller_gets_the_lock_at_the_end_and_none_when_the_engine_goes_on() {
        let mut lifecycle = lifecycle(None);
        let answer = close(&mut lifecycle, ShutdownKind::LeaveSteps, When::IfIdle);
        assert!(!lifecycle.refuses_runs());
        assert_eq!(lifecycle.look(&runs_with(driven("a")), 0), Stage::CalledOff);
        lifecycle.call_off();
        assert!(answer.recv().expect("an answer").is_none());
        assert!(!lifecycle.is_closing());
        let answer = close(&mut lifecycle, ShutdownKind::LeaveSteps, When::IfIdle);
        assert_eq!(lifecycle.look(&Runs::default(), 0), Stage::Over);
        lifecycle.end();
        assert!(answer.recv().expect("an answer").is_some());
    }
}

//! Exceeded limits of the machine: holds starts, freezes and thaws runs, and raises alerts, by the rules of
//! [`LimitEnforcer`].

use super::message::PendingInput;
use super::runs::Runs;
use crate::base::id::RunId;
use crate::resources::{LimitEnforcer, Measure, ResourceSnapshot};
use crate::run::{EventKind, Hold, Input, Run, RunState, Starts};

/// The exceeded limits, and what waits because of them.
#[derive(Default)]
pub(super) struct LimitHold {
    enforcer: LimitEnforcer,
    /// Why no step starts.
    reason: Option<String>,
    /// Runs to thaw as soon as that can be recorded.
    thawed_later: Vec<RunId>,
}

/// The consequences of a sample.
#[derive(Default)]
pub(super) struct SampleNews {
    /// Alerts to tell.
    pub(super) alerts: Vec<EventKind>,
    /// Inputs to decide.
    pub(super) heard: Vec<PendingInput>,
}

impl LimitHold {
    /// The consequences of a sample for limits. A run is thawed at once, unless nothing can be recorded at present:
    /// then it is kept for [`take_thawed`](Self::take_thawed).
    pub(super) fn answer(&mut self, sample: &ResourceSnapshot, runs: &Runs, may_thaw: bool) -> SampleNews {
        let may_freeze = |run_id: &RunId| {
            let run = runs.get(run_id);
            run.is_some_and(|run| run.state() == RunState::Running && run.definition().is_some())
        };
        let let_go = runs.ids_of(|run| run.ledger.limit_met && !run.state().is_ended());
        let mut news = SampleNews::default();
        for measure in self.enforcer.answer(sample, &let_go, may_freeze) {
            match measure {
                Measure::Alert { text, cleared } => {
                    news.alerts.push(EventKind::ResourceAlert { text, cleared });
                }
                Measure::HoldStarts(reason) => {
                    self.reason = reason;
                    // Runs that have not begun are looked at in the order of the line.
                    let begun = runs.ids_of(|run| run.state() != RunState::Queued).into_iter();
                    news.heard.extend(begun.map(|run_id| PendingInput::world(run_id, Input::StartsChanged)));
                }
                Measure::Freeze { run_id, reason } => {
                    let input = Input::LimitExceeded { reason: reason.into() };
                    news.heard.push(PendingInput::world(run_id, input));
                }
                Measure::Thaw(run_id) if may_thaw => news.heard.extend(thaw(run_id, runs)),
                Measure::Thaw(run_id) => self.thawed_later.push(run_id),
            }
        }
        news
    }

    /// Why no step starts, if that is so.
    pub(super) fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// What may start within the limits.
    pub(super) fn starts(&self) -> Starts {
        if self.reason.is_some() { Starts::CleanUpOnly } else { Starts::Allowed }
    }

    /// Notes the runs that an earlier engine froze for a limit, to be thawed. If the limit is still exceeded, this
    /// engine freezes them again.
    pub(super) fn take_over(&mut self, runs: &Runs) {
        let is_held = |run: &Run| run.phase.is_held_for(Hold::Limit);
        self.thawed_later = runs.ids_of(is_held);
    }

    /// The inputs that thaw the runs that were kept.
    pub(super) fn take_thawed(&mut self, runs: &Runs) -> Vec<PendingInput> {
        let later = std::mem::take(&mut self.thawed_later);
        later.into_iter().filter_map(|run_id| thaw(run_id, runs)).collect()
    }
}

fn thaw(run_id: RunId, runs: &Runs) -> Option<PendingInput> {
    runs.contains(&run_id).then(|| PendingInput::world(run_id, Input::LimitCleared))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::base::id::AttemptKey;
    use crate::engine::test_runs::of_steps;
    use crate::resources::{Limit, LimitAction, LimitChange, RaisedLimit, Resource, StepSample, Threshold};
    use crate::run::Holds;
    use crate::run::{Freeze, Phase};

    fn memory_limit() -> RaisedLimit {
        let (raise_at, clear_at) = (Threshold::Fraction(0.9), Threshold::Fraction(0.8));
        let limit = Limit::new(Resource::Memory, raise_at, clear_at, Duration::from_secs(30));
        let limit = limit.expect("a limit").with_action(LimitAction::Freeze);
        RaisedLimit { limit, volume: None, amount: 95.0, total: 100.0 }
    }

    fn sample(change: LimitChange, key: AttemptKey) -> ResourceSnapshot {
        let step = StepSample {
            key,
            cpu_fraction: 0.1,
            memory_bytes: 90,
            read_rate: 0.0,
            write_rate: 0.0,
            written_bytes: 0,
            output_rate: 0.0,
            n_processes: 1,
        };
        ResourceSnapshot { changes: vec![change], steps: vec![step], ..ResourceSnapshot::default() }
    }

    fn names(heard: &[PendingInput]) -> Vec<&'static str> {
        let name = |one: &PendingInput| {
            if matches!(one.input, Input::StartsChanged) {
                "looks at starts"
            } else if matches!(one.input, Input::LimitExceeded { .. }) {
                "freezes"
            } else {
                assert!(matches!(one.input, Input::LimitCleared), "{:?}", one.input);
                "goes on"
            }
        };
        heard.iter().map(name).collect()
    }

    #[test]
    fn a_limit_holds_starts_freezes_the_run_and_lets_it_go_on_when_it_can_be_recorded() {
        let (mut limits, mut runs) = (LimitHold::default(), Runs::default());
        let run = Run { phase: Phase::of(RunState::Running, None), ..of_steps("a", &["s"]) };
        let key = run.attempt_key(0);
        runs.put(Arc::new(run), true);
        let raised = limits.answer(&sample(LimitChange::Raised(memory_limit()), key.clone()), &runs, true);
        assert_eq!((names(&raised.heard), raised.alerts.len()), (vec!["looks at starts", "freezes"], 1));
        assert!(limits.reason().is_some() && limits.starts() == Starts::CleanUpOnly);
        let cleared = limits.answer(&sample(LimitChange::Cleared(memory_limit()), key), &runs, false);
        assert_eq!(names(&cleared.heard), ["looks at starts"], "nothing can be recorded at the moment");
        assert!(limits.reason().is_none() && limits.starts() == Starts::Allowed);
        assert_eq!(names(&limits.take_thawed(&runs)), ["goes on"]);
        assert!(limits.take_thawed(&runs).is_empty());
    }

    #[test]
    fn what_an_earlier_engine_froze_for_a_limit_goes_on_if_it_lives_here() {
        let (mut limits, mut runs) = (LimitHold::default(), Runs::default());
        let freeze = Freeze { holds: Holds::only(Hold::Limit, "the test says so"), ..Freeze::default() };
        let held = Run { phase: Phase::Paused { verdict: None, freeze }, ..of_steps("held", &["s"]) };
        runs.put(Arc::new(held), true);
        runs.put(
            Arc::new(Run { phase: Phase::of(RunState::Paused, None), ..of_steps("paused", &["s"]) }),
            true,
        );
        limits.take_over(&runs);
        let heard = limits.take_thawed(&runs);
        assert_eq!((names(&heard), heard[0].run_id.as_str()), (vec!["goes on"], "held"));
    }
}

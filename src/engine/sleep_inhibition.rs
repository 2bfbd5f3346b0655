//! The runs for which the machine is kept awake: runs of pipelines with `inhibit_sleep` whose steps may be working.

use std::collections::BTreeSet;

use crate::awake::AwakeHandle;
use crate::base::id::RunId;
use crate::run::{Body, Run, RunState};

/// Tells the keeper of the machine's sleep, if there is one, when the first of these runs comes and when the last has
/// gone.
pub(super) struct SleepInhibition {
    awake: Option<AwakeHandle>,
    runs: BTreeSet<RunId>,
    /// The run named as the reason. It stays while it runs: another name would mean another inhibitor.
    named: Option<RunId>,
}

impl SleepInhibition {
    pub(super) fn new(awake: Option<AwakeHandle>) -> Self {
        Self { awake, runs: BTreeSet::new(), named: None }
    }

    /// Takes in a run as it is now.
    pub(super) fn see(&mut self, run: &Run) {
        if self.awake.is_some() && self.names_another(run) {
            let why = self.named.as_ref().map(|run_id| format!("run {run_id} runs"));
            self.awake.iter().for_each(|awake| awake.want(why.as_deref()));
        }
    }

    /// Whether another run, or none, is to be named from now on.
    fn names_another(&mut self, run: &Run) -> bool {
        let has_changed = match wants_it(run) {
            true => self.runs.insert(run.id.clone()),
            false => self.runs.remove(&run.id),
        };
        let is_named = self.named.as_ref().is_some_and(|named| self.runs.contains(named));
        let names_another = has_changed && !is_named;
        if names_another {
            self.named = self.runs.first().cloned();
        }
        names_another
    }
}

impl Drop for SleepInhibition {
    /// The next engine keeps the machine awake for runs that go on.
    fn drop(&mut self) {
        if let (Some(awake), Some(_)) = (&self.awake, &self.named) {
            awake.want(None);
        }
    }
}

fn wants_it(run: &Run) -> bool {
    let is_asked_for = match &run.body {
        Body::Pipeline(definition) => definition.pipeline.inhibit_sleep,
        Body::Driven => false,
    };
    let is_at_work = match run.state() {
        RunState::Running | RunState::Stopping => true,
        RunState::Queued
        | RunState::Paused
        | RunState::Stopped
        | RunState::ForceStopped
        | RunState::Completed
        | RunState::Failed
        | RunState::Interrupted => false,
    };
    is_asked_for && is_at_work
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::test_runs::of_pipeline;
    use crate::run::Phase;

    fn run(run_id: &str, state: RunState) -> Run {
        let text = "inhibit_sleep = true\n[[step]]\nid = \"s\"\nrun = \"true\"\n";
        Run { phase: Phase::of(state, None), ..of_pipeline(run_id, text) }
    }

    #[test]
    fn the_one_that_is_named_stays_so_while_it_runs_and_then_the_next_is() {
        let mut inhibition = SleepInhibition::new(None);
        let named = |inhibition: &SleepInhibition| inhibition.named.as_ref().map(ToString::to_string);
        assert!(!inhibition.names_another(&run("b", RunState::Queued)));
        assert!(inhibition.names_another(&run("b", RunState::Running)));
        assert!(!inhibition.names_another(&run("a", RunState::Running)));
        assert_eq!(named(&inhibition).as_deref(), Some("b"));
        assert!(inhibition.names_another(&run("b", RunState::Paused)));
        assert_eq!(named(&inhibition).as_deref(), Some("a"));
        assert!(inhibition.names_another(&run("a", RunState::Completed)));
        assert_eq!(named(&inhibition), None);
    }

    #[test]
    fn a_pipeline_that_does_not_ask_for_it_keeps_nothing_awake() {
        let mut inhibition = SleepInhibition::new(None);
        let plain = of_pipeline("a", "[[step]]\nid = \"s\"\nrun = \"true\"\n");
        assert!(!inhibition.names_another(&Run { phase: Phase::of(RunState::Running, None), ..plain }));
    }
}

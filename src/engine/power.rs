//! The machine's power: tells the runs whose pipelines ask for it when the machine runs on battery, and when it no
//! longer does.

use std::collections::BTreeSet;

use super::message::PendingInput;
use crate::base::id::RunId;
use crate::pipeline::OnBattery;
use crate::run::{Input, Run};

/// The runs that power matters to, and the last state.
#[derive(Default)]
pub(super) struct Power {
    minding: BTreeSet<RunId>,
    /// None before the first sample.
    is_on_battery: Option<bool>,
}

impl Power {
    /// Notes a decided run.
    pub(super) fn note(&mut self, run: &Run) {
        let minds = run.definition().is_some_and(|it| it.pipeline.on_battery != OnBattery::Ignore);
        if minds && !run.state().is_ended() {
            self.minding.insert(run.id.clone());
        } else {
            self.minding.remove(&run.id);
        }
    }

    /// Removes a run that no longer lives here.
    pub(super) fn forget(&mut self, run_id: &RunId) {
        self.minding.remove(run_id);
    }

    /// Whether power matters to any run.
    pub(super) fn is_minded(&self) -> bool {
        !self.minding.is_empty()
    }

    /// The inputs to these runs, if the state has changed.
    pub(super) fn see(&mut self, on_battery: bool) -> Vec<PendingInput> {
        if self.is_on_battery.replace(on_battery) == Some(on_battery) {
            return Vec::new();
        }
        let minding = self.minding.iter().cloned();
        minding.map(|run_id| PendingInput::world(run_id, Input::Power { on_battery })).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::test_runs::of_pipeline;
    use crate::run::Phase;
    use crate::run::RunState;

    fn minding(run_id: &str) -> Run {
        of_pipeline(run_id, "on_battery = \"freeze\"\n[[step]]\nid = \"s\"\nrun = \"true\"\n")
    }

    fn told(heard: &[PendingInput]) -> Vec<(&str, bool)> {
        let power = |one| match one {
            &PendingInput { ref run_id, input: Input::Power { on_battery }, .. } => {
                (run_id.as_str(), on_battery)
            }
            PendingInput { .. } => panic!("nothing else is told"),
        };
        heard.iter().map(power).collect()
    }

    #[test]
    fn runs_that_mind_it_are_told_once_of_each_change() {
        let mut power = Power::default();
        power.note(&minding("a"));
        power.note(&of_pipeline("b", "[[step]]\nid = \"s\"\nrun = \"true\"\n"));
        assert_eq!(told(&power.see(true)), [("a", true)]);
        assert_eq!(told(&power.see(true)), []);
        assert_eq!(told(&power.see(false)), [("a", false)]);
    }

    #[test]
    fn a_run_that_has_ended_minds_it_no_more() {
        let mut power = Power::default();
        power.note(&minding("a"));
        power.note(&minding("b"));
        power.note(&Run { phase: Phase::of(RunState::Stopped, None), ..minding("a") });
        power.forget(&minding("b").id);
        assert!(!power.is_minded());
        assert_eq!(told(&power.see(true)), []);
    }
}

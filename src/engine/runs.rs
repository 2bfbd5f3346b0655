//! The runs that live in this engine: each as it was decided last, as it is on disk, and with the signals for the
//! program that drives it.

use std::collections::HashMap;
use std::sync::Arc;

use super::signal::Signal;
use crate::base::id::{AttemptKey, RunId, StepId};
use crate::run::{Input, Run, StepNews, StepRun};

#[derive(Default)]
pub(super) struct Runs {
    living: HashMap<RunId, Living>,
}

struct Living {
    run: Arc<Run>,
    recorded: Option<Arc<Run>>,
    signals: (Signal, Signal),
    /// Where each step stands in the run. Its steps stay the same as long as it lives.
    positions: HashMap<StepId, usize>,
}

impl Runs {
    pub(super) fn is_empty(&self) -> bool {
        self.living.is_empty()
    }

    pub(super) fn contains(&self, run_id: &RunId) -> bool {
        self.living.contains_key(run_id)
    }

    pub(super) fn get(&self, run_id: &RunId) -> Option<&Arc<Run>> {
        self.living.get(run_id).map(|living| &living.run)
    }

    /// A run as it is on disk.
    pub(super) fn recorded(&self, run_id: &RunId) -> Option<&Run> {
        self.living.get(run_id)?.recorded.as_deref()
    }

    /// The signals of a run: raised while it is paused, and when it is to stop.
    pub(super) fn signals(&self, run_id: &RunId) -> (Signal, Signal) {
        self.living.get(run_id).map(|living| living.signals.clone()).unwrap_or_default()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Run>> {
        self.living.values().map(|living| &living.run)
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = &RunId> {
        self.living.keys()
    }

    /// The ids of the runs for which `which` is true.
    pub(super) fn ids_of(&self, which: impl Fn(&Run) -> bool) -> Vec<RunId> {
        self.iter().filter(|run| which(run)).map(|run| run.id.clone()).collect()
    }

    /// Sets a run's present state, and whether that is on disk.
    pub(super) fn put(&mut self, run: Arc<Run>, is_recorded: bool) {
        match self.living.get_mut(&run.id) {
            Some(living) => {
                if is_recorded {
                    living.recorded = Some(run.clone());
                }
                living.run = run;
            }
            None => {
                let recorded = is_recorded.then(|| run.clone());
                let run_id = run.id.clone();
                let positions =
                    run.steps.iter().enumerate().map(|(index, step)| (step.id.clone(), index)).collect();
                self.living.insert(run_id, Living { run, recorded, signals: Default::default(), positions });
            }
        }
    }

    pub(super) fn remove(&mut self, run_id: &RunId) {
        self.living.remove(run_id);
    }

    /// The present step of an attempt's key, whichever attempt it is at, and its index in the run.
    pub(super) fn find_step(&self, key: &AttemptKey) -> Option<(usize, &StepRun)> {
        let living = self.living.get(&key.run_id)?;
        let index = *living.positions.get(&key.step_id)?;
        Some((index, living.run.steps.get(index)?))
    }

    /// The input for news of an attempt; none when its run does not live here.
    pub(super) fn step_input(&self, key: &AttemptKey, news: StepNews) -> Option<Input> {
        let (index, _) = self.find_step(key)?;
        Some(Input::Step { index, attempt: key.attempt, news })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::test_runs::{driven, of_steps};
    use crate::run::Phase;
    use crate::run::{Level, RunState};

    #[test]
    fn what_is_on_disk_stays_as_it_was_until_a_run_is_recorded_anew() {
        let mut runs = Runs::default();
        let mut run = driven("a");
        runs.put(Arc::new(run.clone()), false);
        assert!(runs.recorded(&run.id).is_none());
        runs.put(Arc::new(run.clone()), true);
        run.phase = Phase::of(RunState::Running, None);
        runs.put(Arc::new(run.clone()), false);
        assert_eq!(runs.get(&run.id).map(|run| run.state()), Some(RunState::Running));
        assert_eq!(runs.recorded(&run.id).map(|run| run.state()), Some(RunState::Queued));
    }

    #[test]
    fn the_signals_of_a_run_stay_the_same_ones_over_its_decisions() {
        let mut runs = Runs::default();
        let run = Arc::new(driven("a"));
        runs.put(run.clone(), true);
        let (_, stop_signal) = runs.signals(&run.id);
        runs.put(run.clone(), true);
        runs.signals(&run.id).1.set(Level::Raised);
        assert!(stop_signal.is_raised());
        runs.remove(&run.id);
        assert!(runs.is_empty() && !runs.signals(&run.id).1.is_raised());
    }

    #[test]
    fn news_of_an_attempt_find_its_step_and_strangers_find_none() {
        let mut runs = Runs::default();
        let run = Arc::new(of_steps("a", &["first", "second"]));
        let key = AttemptKey { attempt: 3, ..run.attempt_key(1) };
        assert!(runs.step_input(&key, StepNews::NotSent).is_none());
        runs.put(run, true);
        let input = runs.step_input(&key, StepNews::NotSent);
        assert!(matches!(input, Some(Input::Step { index: 1, attempt: 3, news: StepNews::NotSent })));
    }
}

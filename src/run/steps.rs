//! The steps of a run, in the order of its pipeline. A copy shares every step until that one changes. What decisions ask about
//! all of them is tallied with each change, so that a decision costs what it changes, however many steps there are.

use std::ops::{Deref, DerefMut, Index};
use std::sync::Arc;

use imbl::Vector;

use super::definition::Body;
use super::state::StepState;
use super::step_run::StepRun;
use super::tally::{Above, Mark, Tally};

/// The steps of a run, in the order of its pipeline; none of a driven run.
#[derive(Debug, Clone, Default)]
pub struct Steps {
    all: Vector<Arc<StepRun>>,
    /// [`StepMut`] keeps it true.
    tally: Tally,
}

impl Steps {
    /// One for each step of the pipeline that drives the run, in its order; none of a driven run.
    pub fn of(body: &Body, steps: impl IntoIterator<Item = Arc<StepRun>>) -> Self {
        let Body::Pipeline(definition) = body else { return Self::default() };
        let all: Vector<_> = steps.into_iter().collect();
        let tally = Tally::of(definition, &all, 0);
        Self { all, tally }
    }

    /// The same, each as before its turn has come.
    pub fn fresh(body: &Body) -> Self {
        let models = match body {
            Body::Driven => &[][..],
            Body::Pipeline(definition) => &definition.pipeline.steps,
        };
        Self::of(body, models.iter().map(|model| Arc::new(StepRun::new(model.id.clone()))))
    }

    /// After steps were made to run again: how the steps above others have ended is not known any more, however far above
    /// they are.
    pub(super) fn tally_anew(&mut self) {
        self.tally.renew(&self.all);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The step at `index`, if there is one.
    pub fn get(&self, index: usize) -> Option<&Arc<StepRun>> {
        self.all.get(index)
    }

    /// All of them.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<StepRun>> + ExactSizeIterator {
        self.all.iter()
    }

    /// The state of the step at `index`.
    pub fn state(&self, index: usize) -> StepState {
        self.all[index].state()
    }

    /// The steps in such a state, each with its index.
    pub fn in_state(
        &self,
        is_such: impl Fn(StepState) -> bool,
    ) -> impl Iterator<Item = (usize, &Arc<StepRun>)> {
        self.tally.in_state(is_such).into_ones().map(|index| (index, &self.all[index]))
    }

    /// The indexes of the steps in such a state, as they are now.
    pub(super) fn indexes_in_state<F: Fn(StepState) -> bool>(
        &self,
        is_such: F,
    ) -> impl Iterator<Item = usize> + use<F> {
        self.tally.in_state(is_such).into_ones()
    }

    /// Whether any is in such a state.
    pub fn has_any(&self, is_such: impl Fn(StepState) -> bool) -> bool {
        self.tally.has_any(is_such)
    }

    /// How many are in such a state.
    pub fn count(&self, is_such: impl Fn(StepState) -> bool) -> usize {
        self.tally.count(is_such)
    }

    /// Those that wait for a slot, a retry delay or a secret, each with its index.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = (usize, &Arc<StepRun>)> {
        self.in_state(|state| state == StepState::Waiting)
    }

    /// The indexes of those that may begin now or after a wait: pending ones whose needs have ended, and those that wait.
    /// No pending `finally` step is among them.
    pub(super) fn next_to_begin(&self) -> impl Iterator<Item = usize> + use<> {
        self.tally.next_to_begin().into_ones()
    }

    /// The indexes of those whose last need has ended since this was called before.
    pub(super) fn take_newly_ready(&mut self) -> Vec<usize> {
        self.tally.take_newly_ready()
    }

    /// How the steps above one whose needs have ended did end.
    pub(super) fn above(&self, index: usize) -> Above {
        self.tally.above(index)
    }

    /// Whether a step that is no `finally` step has not ended.
    pub(super) fn has_open_main_steps(&self) -> bool {
        self.tally.has_open_main_steps()
    }

    /// The done share of the steps' weights: a step that has not completed counts for what it reported. A step for failures
    /// alone counts only once it has begun.
    pub(super) fn share_done(&self) -> f64 {
        self.tally.share_done(|index| self.all[index].progress)
    }

    /// The indexes of those that live or whose time at work counts.
    pub(super) fn at_work(&self) -> Vec<usize> {
        self.tally.at_work().into_ones().collect()
    }

    /// Those that have completed and handed something on.
    pub(crate) fn with_outputs(&self) -> impl Iterator<Item = &Arc<StepRun>> {
        self.tally.with_outputs().map(|index| &self.all[index])
    }

    /// Those that differ from `earlier`, a copy from before the last changes.
    pub(crate) fn changed_since(&self, earlier: &Self) -> impl Iterator<Item = &Arc<StepRun>> {
        self.tally.changed_since(&earlier.tally).filter_map(|index| {
            let step = self.all.get(index)?;
            let is_same = earlier.get(index).is_some_and(|before| Arc::ptr_eq(before, step));
            (!is_same).then_some(step)
        })
    }

    /// The step at `index`, to be changed: copied if it is shared.
    pub fn change(&mut self, index: usize) -> StepMut<'_> {
        let before = Mark::of(&self.all[index]);
        StepMut { step: Arc::make_mut(&mut self.all[index]), tally: &mut self.tally, index, before }
    }
}

impl Index<usize> for Steps {
    type Output = Arc<StepRun>;

    fn index(&self, index: usize) -> &Arc<StepRun> {
        &self.all[index]
    }
}

impl PartialEq for Steps {
    fn eq(&self, other: &Self) -> bool {
        self.all == other.all
    }
}

/// A step that is being changed.
pub struct StepMut<'a> {
    step: &'a mut StepRun,
    tally: &'a mut Tally,
    index: usize,
    before: Mark,
}

impl Deref for StepMut<'_> {
    type Target = StepRun;

    fn deref(&self) -> &StepRun {
        self.step
    }
}

impl DerefMut for StepMut<'_> {
    fn deref_mut(&mut self) -> &mut StepRun {
        self.step
    }
}

impl Drop for StepMut<'_> {
    fn drop(&mut self) {
        self.tally.note(self.index, self.before, Mark::of(self.step));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::definition::Definition;
    use crate::run::step_phase::{StepEnd, StepPhase};

    const ALIVE: StepPhase = StepPhase::Alive { is_frozen: false, ending: None };
    const COMPLETED: StepPhase = StepPhase::Ended(StepEnd::Completed);
    const FAILED: StepPhase = StepPhase::Ended(StepEnd::Failed);

    fn steps_of(text: &str) -> Steps {
        let path = std::path::Path::new("/p.toml");
        let pipeline = crate::pipeline::Pipeline::parse(text, path, None).expect("a pipeline");
        let definition = Definition { path: "/p.toml".into(), text: text.into(), pipeline };
        Steps::fresh(&Body::Pipeline(Arc::new(definition)))
    }

    fn independent(n: usize) -> Steps {
        let step = |i| format!("[[step]]\nid = \"s{i}\"\nrun = \"true\"\nneeds = []\n");
        steps_of(&(0..n).map(step).collect::<String>())
    }

    fn indexes<'a>(found: impl Iterator<Item = (usize, &'a Arc<StepRun>)>) -> Vec<usize> {
        found.map(|(index, _)| index).collect()
    }

    #[test]
    fn a_change_is_seen_in_the_tally_and_not_in_an_earlier_copy() {
        let mut steps = independent(100);
        let before = steps.clone();
        steps.change(70).phase = ALIVE;
        let living = |steps: &Steps| indexes(steps.in_state(StepState::is_live));
        assert_eq!((living(&steps), living(&before)), (vec![70], vec![]));
        assert_eq!((steps.state(70), before.state(70)), (StepState::Running, StepState::Pending));
        assert_eq!(steps.count(|state| state == StepState::Pending), 99);
        assert!(steps.has_any(StepState::is_live) && !before.has_any(StepState::is_live));
        assert!(Arc::ptr_eq(&steps[69], &before[69]) && !Arc::ptr_eq(&steps[70], &before[70]));
    }

    #[test]
    fn at_work_is_what_lives_and_what_was_not_booked_since_it_ended() {
        let mut steps = independent(3);
        steps.change(0).phase = StepPhase::Alive { is_frozen: true, ending: None };
        steps.change(2).ledger.work = Some(Default::default());
        assert_eq!(steps.at_work(), [0]);
        let now = crate::base::time::Now { wall: chrono::DateTime::UNIX_EPOCH, awake_ms: 0 };
        steps.change(2).ledger.work.get_or_insert_default().start(now.wall, now);
        assert_eq!(steps.at_work(), [0, 2]);
    }

    #[test]
    fn what_differs_from_an_earlier_copy_is_what_changed_whichever_other_copies_there_were() {
        let mut steps = independent(1000);
        steps.change(3).attempt = 1;
        let recorded = steps.clone();
        // A decision that was lost.
        let mut lost = steps.clone();
        lost.change(500).attempt = 1;
        for index in [3, 130, 999] {
            steps.change(index).attempt = 2;
        }
        let changed: Vec<_> = steps.changed_since(&recorded).map(|step| step.id.to_string()).collect();
        assert_eq!(changed, ["s3", "s130", "s999"]);
        assert_eq!(steps.changed_since(&Steps::default()).count(), 1000, "nothing was recorded");
        assert_eq!(steps.changed_since(&steps).count(), 0);
    }

    const DIAMOND: &str = "[[step]]\nid = \"a\"\nrun = \"true\"\n\
        [[step]]\nid = \"b\"\nrun = \"true\"\nneeds = [\"a\"]\n\
        [[step]]\nid = \"c\"\nrun = \"true\"\nneeds = [\"a\"]\nmay_fail = true\n\
        [[step]]\nid = \"d\"\nrun = \"true\"\nneeds = [\"b\", \"c\"]\n\
        [[step]]\nid = \"f\"\nrun = \"true\"\nfinally = true\n";

    #[test]
    fn a_step_is_ready_once_when_the_last_of_its_needs_has_ended() {
        let mut steps = steps_of(DIAMOND);
        assert_eq!((steps.take_newly_ready(), steps.take_newly_ready()), (vec![0], vec![]));
        steps.change(0).phase = COMPLETED;
        assert_eq!(steps.take_newly_ready(), [1, 2]);
        assert_eq!(steps.next_to_begin().collect::<Vec<_>>(), [1, 2]);
        steps.change(1).phase = COMPLETED;
        assert!(steps.take_newly_ready().is_empty() && steps.has_open_main_steps());
        steps.change(2).phase = FAILED;
        assert_eq!(steps.take_newly_ready(), [3]);
        assert_eq!(steps.above(3), Above { has_failure: false, has_bad_end: true });
        // A need runs again.
        steps.change(1).phase = ALIVE;
        assert!(steps.next_to_begin().next().is_none());
        steps.change(1).phase = FAILED;
        assert_eq!(steps.take_newly_ready(), [3]);
        assert_eq!(steps.above(3), Above { has_failure: true, has_bad_end: true });
        steps.change(3).phase = StepPhase::Ended(StepEnd::Skipped);
        assert!(!steps.has_open_main_steps(), "the finally step is none of them");
    }

    #[test]
    fn a_tally_made_from_steps_as_they_are_says_the_same_as_one_that_followed_them() {
        let mut followed = steps_of(DIAMOND);
        followed.take_newly_ready();
        for (index, phase) in [(0, COMPLETED), (1, FAILED), (2, COMPLETED)] {
            followed.change(index).phase = phase;
        }
        followed.change(3).progress = 0.5;
        let mut anew = followed.clone();
        anew.tally_anew();
        assert_eq!(anew.above(3), followed.above(3));
        assert!(anew.next_to_begin().eq(followed.next_to_begin()));
        assert_eq!(anew.share_done(), followed.share_done());
        assert!(anew.has_open_main_steps() && followed.has_open_main_steps());
        assert!(anew.indexes_in_state(StepState::is_ended).eq([0, 1, 2]));
        assert_eq!(anew.changed_since(&followed).count(), 0, "the steps are the same");
        anew.change(2).attempt = 7;
        assert_eq!(anew.changed_since(&followed).count(), 1);
    }

    #[test]
    fn done_is_what_has_completed_and_what_the_others_have_reported() {
        let mut steps = steps_of(
            "[[step]]\nid = \"a\"\nrun = \"true\"\nweight = 3\n\
             [[step]]\nid = \"b\"\nrun = \"true\"\n\
             [[step]]\nid = \"c\"\nrun = \"true\"\nwhen = \"on_failure\"\n",
        );
        assert_eq!(steps.share_done(), 0.0);
        steps.change(0).phase = ALIVE;
        steps.change(0).progress = 0.5;
        assert_eq!(steps.share_done(), 0.375);
        steps.change(0).phase = COMPLETED;
        assert_eq!(steps.share_done(), 0.75);
        steps.change(2).started_at = Some(chrono::DateTime::UNIX_EPOCH);
        assert_eq!(steps.share_done(), 0.6, "once it has begun, the step for failures counts");
    }
}

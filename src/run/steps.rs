//! The steps of a run, in the order of its pipeline. A copy shares every step until that one changes. Which of them live or
//! have ended is known without a look at each: a decision asks that more often than it changes a step.

use std::ops::{Deref, DerefMut, Index};
use std::sync::Arc;

use imbl::Vector;

use super::model::StepRun;
use super::state::StepState;

/// The steps of a run, in the order of its pipeline; none of a driven run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Steps {
    all: Vector<Arc<StepRun>>,
    /// What is asked of each most often, beside it. [`StepMut`] keeps the two the same.
    marks: Vec<Mark>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Mark {
    state: StepState,
    counts_work: bool,
    has_outputs: bool,
}

impl Mark {
    fn of(step: &StepRun) -> Self {
        let counts_work = step.ledger.work.is_some_and(|work| work.since.is_some());
        Self { state: step.state(), counts_work, has_outputs: step.outputs.is_some() }
    }
}

impl Steps {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.marks.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// The step at `index`, if there is one.
    pub fn get(&self, index: usize) -> Option<&Arc<StepRun>> {
        self.all.get(index)
    }

    /// All of them.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<StepRun>> + ExactSizeIterator {
        self.all.iter()
    }

    /// The state of each.
    pub fn states(&self) -> impl ExactSizeIterator<Item = StepState> {
        self.marks.iter().map(|mark| mark.state)
    }

    /// The state of the step at `index`.
    pub fn state(&self, index: usize) -> StepState {
        self.marks[index].state
    }

    /// The steps in such a state, each with its index.
    pub fn in_state(
        &self,
        is_such: impl Fn(StepState) -> bool,
    ) -> impl Iterator<Item = (usize, &Arc<StepRun>)> {
        let such = self.states().enumerate().filter(move |(_, state)| is_such(*state));
        such.map(|(index, _)| (index, &self.all[index]))
    }

    /// Those that wait for a slot, a retry delay or a secret, each with its index.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = (usize, &Arc<StepRun>)> {
        self.in_state(|state| state == StepState::Waiting)
    }

    /// The indexes of those that live or whose time at work counts.
    pub(super) fn at_work(&self) -> Vec<usize> {
        let is_at_work =
            |(index, mark): (usize, &Mark)| (mark.state.is_live() || mark.counts_work).then_some(index);
        self.marks.iter().enumerate().filter_map(is_at_work).collect()
    }

    /// Those that have completed and handed something on.
    pub(crate) fn with_outputs(&self) -> impl Iterator<Item = &Arc<StepRun>> {
        let has_such = |mark: &Mark| mark.has_outputs && mark.state == StepState::Completed;
        let indexes = self.marks.iter().enumerate().filter(move |(_, mark)| has_such(mark));
        indexes.map(|(index, _)| &self.all[index])
    }

    /// The step at `index`, to be changed: copied if it is shared.
    pub fn change(&mut self, index: usize) -> StepMut<'_> {
        StepMut { step: Arc::make_mut(&mut self.all[index]), mark: &mut self.marks[index] }
    }
}

impl Index<usize> for Steps {
    type Output = Arc<StepRun>;

    fn index(&self, index: usize) -> &Arc<StepRun> {
        &self.all[index]
    }
}

impl FromIterator<Arc<StepRun>> for Steps {
    fn from_iter<I: IntoIterator<Item = Arc<StepRun>>>(steps: I) -> Self {
        let all: Vector<_> = steps.into_iter().collect();
        Self { marks: all.iter().map(|step| Mark::of(step)).collect(), all }
    }
}

/// A step that is being changed.
pub struct StepMut<'a> {
    step: &'a mut StepRun,
    mark: &'a mut Mark,
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
        *self.mark = Mark::of(self.step);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::StepId;
    use crate::run::step_phase::StepPhase;

    fn steps(n: usize) -> Steps {
        let name = |index| StepId::new(format!("s{index}")).expect("an id");
        (0..n).map(|index| Arc::new(StepRun::new(name(index)))).collect()
    }

    #[test]
    fn a_change_is_seen_in_the_states_and_not_in_an_earlier_copy() {
        let mut steps = steps(100);
        let before = steps.clone();
        steps.change(70).phase = StepPhase::Alive { is_frozen: false, ending: None };
        let living =
            |steps: &Steps| steps.in_state(StepState::is_live).map(|(index, _)| index).collect::<Vec<_>>();
        assert_eq!((living(&steps), living(&before)), (vec![70], vec![]));
        assert_eq!((steps.state(70), before.state(70)), (StepState::Running, StepState::Pending));
        assert!(Arc::ptr_eq(&steps[69], &before[69]) && !Arc::ptr_eq(&steps[70], &before[70]));
    }

    #[test]
    fn at_work_is_what_lives_and_what_was_not_booked_since_it_ended() {
        let mut steps = steps(3);
        steps.change(0).phase = StepPhase::Alive { is_frozen: true, ending: None };
        steps.change(2).ledger.work = Some(Default::default());
        assert_eq!(steps.at_work(), [0]);
        let now = crate::base::time::Now { wall: chrono::DateTime::UNIX_EPOCH, awake_ms: 0 };
        steps.change(2).ledger.work.get_or_insert_default().start(now.wall, now);
        assert_eq!(steps.at_work(), [0, 2]);
    }
}

//! What decisions ask about all steps of a run, brought up to date with each change of one.

use std::sync::Arc;

use fixedbitset::FixedBitSet;
use imbl::Vector;

use super::definition::Definition;
use super::state::StepState;
use super::step_run::StepRun;
use crate::pipeline::{Pipeline, When};

/// So many steps share the number of their last change.
const BLOCK: usize = 64;

/// What is known of all steps. Sets hold the indexes of steps.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    /// None of a driven run.
    definition: Option<Arc<Definition>>,
    /// For each state, in the order of [`StepState::ALL`], the steps that are in it.
    by_state: Vec<FixedBitSet>,
    /// Those whose time at work counts.
    counts_work: FixedBitSet,
    /// Those that have completed and handed something on.
    has_outputs: FixedBitSet,
    /// Those that have not completed and have reported progress.
    is_partly_done: FixedBitSet,
    /// For each step, how many of its needs have not ended.
    n_open_needs: Vector<u32>,
    /// Those that are pending and have no open need, without `finally` steps.
    is_ready: FixedBitSet,
    /// Those of them that became so and were not asked for since.
    is_newly_ready: FixedBitSet,
    /// Those below a failure that no `may_fail` excuses, as far as they have no open need.
    is_below_failure: FixedBitSet,
    /// The same below any bad end.
    is_below_bad_end: FixedBitSet,
    /// How many steps that are no `finally` steps have not ended.
    n_open_main: usize,
    /// The weights of those that count for the run's progress.
    total_weight: f64,
    /// The weights of those of them that have completed.
    done_weight: f64,
    /// How many changes there were, and for each block of steps which was its last.
    n_changes: u64,
    last_changes: Vec<u64>,
}

/// What of a step is tallied.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Mark {
    state: StepState,
    counts_work: bool,
    has_outputs: bool,
    has_progress: bool,
    has_begun: bool,
}

/// How the steps above a step have ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Above {
    /// One in a way that its `may_fail` does not excuse.
    pub(super) has_failure: bool,
    /// One without having completed or been skipped.
    pub(super) has_bad_end: bool,
}

impl Mark {
    /// Of a step whose turn has not come.
    const PENDING: Self = Self {
        state: StepState::Pending,
        counts_work: false,
        has_outputs: false,
        has_progress: false,
        has_begun: false,
    };

    pub(super) fn of(step: &StepRun) -> Self {
        Self {
            state: step.state(),
            counts_work: step.ledger.work.is_some_and(|work| work.since.is_some()),
            has_outputs: step.outputs.is_some(),
            has_progress: step.progress != 0.0,
            has_begun: step.started_at.is_some(),
        }
    }

    /// Whether the step's weight counts for the run's progress, and whether all of it is done.
    fn counts(self, when: When) -> (bool, bool) {
        let counts = when != When::OnFailure || self.has_begun;
        (counts, counts && self.state == StepState::Completed)
    }
}

impl Tally {
    /// Of these steps, one for each step of the pipeline, after so many changes.
    pub(super) fn of(definition: &Arc<Definition>, steps: &Vector<Arc<StepRun>>, n_changes: u64) -> Self {
        let pipeline = &definition.pipeline;
        let none = || FixedBitSet::with_capacity(steps.len());
        let mut tally = Self {
            definition: Some(definition.clone()),
            by_state: StepState::ALL.iter().map(|_| none()).collect(),
            counts_work: none(),
            has_outputs: none(),
            is_partly_done: none(),
            n_open_needs: pipeline.steps.iter().map(|step| step.needs.len() as u32).collect(),
            is_ready: none(),
            is_newly_ready: none(),
            is_below_failure: none(),
            is_below_bad_end: none(),
            n_open_main: pipeline.steps.iter().filter(|step| !step.finally).count(),
            total_weight: 0.0,
            done_weight: 0.0,
            n_changes,
            last_changes: vec![0; steps.len().div_ceil(BLOCK)],
        };
        // From above to below: what stands above a step is known before it.
        for &index in pipeline.order() {
            let model = &pipeline.steps[index];
            if Mark::PENDING.counts(model.when).0 {
                tally.total_weight += model.weight;
            }
            tally.by_state[StepState::Pending as usize].insert(index);
            if tally.n_open_needs[index] == 0 {
                tally.have_needs_ended(pipeline, index, StepState::Pending);
            }
            tally.note(index, Mark::PENDING, Mark::of(&steps[index]));
        }
        // All of them differ from whatever was tallied before.
        tally.n_changes += 1;
        tally.last_changes.fill(tally.n_changes);
        tally
    }

    /// Tallies the same steps anew.
    pub(super) fn renew(&mut self, steps: &Vector<Arc<StepRun>>) {
        if let Some(definition) = &self.definition {
            *self = Self::of(definition, steps, self.n_changes);
        }
    }

    /// The steps in such a state.
    pub(super) fn in_state(&self, is_such: impl Fn(StepState) -> bool) -> FixedBitSet {
        let mut found = FixedBitSet::new();
        self.sets_of(is_such).for_each(|set| found.union_with(set));
        found
    }

    pub(super) fn has_any(&self, is_such: impl Fn(StepState) -> bool) -> bool {
        self.sets_of(is_such).any(|set| !set.is_clear())
    }

    pub(super) fn count(&self, is_such: impl Fn(StepState) -> bool) -> usize {
        self.sets_of(is_such).map(|set| set.count_ones(..)).sum()
    }

    fn state(&self, index: usize) -> StepState {
        let mut states = StepState::ALL.iter().zip(&self.by_state);
        states.find(|(_, set)| set.contains(index)).map_or(StepState::Pending, |(state, _)| *state)
    }

    fn sets_of(&self, is_such: impl Fn(StepState) -> bool) -> impl Iterator<Item = &FixedBitSet> {
        let sets = StepState::ALL.iter().zip(&self.by_state);
        sets.filter(move |(state, _)| is_such(**state)).map(|(_, set)| set)
    }

    /// See [`Steps::next_to_begin`](super::steps::Steps::next_to_begin).
    pub(super) fn next_to_begin(&self) -> FixedBitSet {
        let mut found = self.in_state(|state| state == StepState::Waiting);
        found.union_with(&self.is_ready);
        found
    }

    /// See [`Steps::take_newly_ready`](super::steps::Steps::take_newly_ready).
    pub(super) fn take_newly_ready(&mut self) -> Vec<usize> {
        let found = self.is_newly_ready.ones().collect();
        self.is_newly_ready.clear();
        found
    }

    /// How the steps above one without open needs have ended.
    pub(super) fn above(&self, index: usize) -> Above {
        Above {
            has_failure: self.is_below_failure.contains(index),
            has_bad_end: self.is_below_bad_end.contains(index),
        }
    }

    pub(super) fn has_open_main_steps(&self) -> bool {
        self.n_open_main > 0
    }

    /// See [`Steps::share_done`](super::steps::Steps::share_done).
    pub(super) fn share_done(&self, progress: impl Fn(usize) -> f64) -> f64 {
        let Some(definition) = self.definition.as_ref().filter(|_| self.total_weight > 0.0) else {
            return 0.0;
        };
        let weight = |index: usize| definition.pipeline.steps[index].weight;
        let reported: f64 = self.is_partly_done.ones().map(|index| weight(index) * progress(index)).sum();
        (self.done_weight + reported) / self.total_weight
    }

    /// Those that live or whose time at work counts.
    pub(super) fn at_work(&self) -> FixedBitSet {
        let mut found = self.in_state(StepState::is_live);
        found.union_with(&self.counts_work);
        found
    }

    pub(super) fn with_outputs(&self) -> impl Iterator<Item = usize> {
        self.has_outputs.ones()
    }

    /// The steps that may differ from those that `earlier` tallied.
    pub(super) fn changed_since(&self, earlier: &Self) -> impl Iterator<Item = usize> {
        let was_known = self.last_changes.len() == earlier.last_changes.len();
        let since = if was_known { earlier.n_changes } else { 0 };
        let blocks = self.last_changes.iter().enumerate().filter(move |(_, last)| **last > since);
        blocks.flat_map(|(block, _)| block * BLOCK..(block + 1) * BLOCK)
    }

    /// Notes that a step has changed.
    pub(super) fn note(&mut self, index: usize, before: Mark, after: Mark) {
        self.n_changes += 1;
        self.last_changes[index / BLOCK] = self.n_changes;
        let Some(definition) = self.definition.clone().filter(|_| before != after) else { return };
        let pipeline = &definition.pipeline;
        let model = &pipeline.steps[index];
        self.by_state[before.state as usize].remove(index);
        self.by_state[after.state as usize].insert(index);
        self.counts_work.set(index, after.counts_work);
        let ((counted, was_done), (counts, is_done)) = (before.counts(model.when), after.counts(model.when));
        let change = |before: bool, after: bool| f64::from(i8::from(after) - i8::from(before)) * model.weight;
        self.total_weight += change(counted, counts);
        self.done_weight += change(was_done, is_done);
        let has_completed = after.state == StepState::Completed;
        self.has_outputs.set(index, has_completed && after.has_outputs);
        let may_be_partly_done = counts && !has_completed && after.state != StepState::Pending;
        self.is_partly_done.set(index, may_be_partly_done && after.has_progress);
        if before.state.is_ended() != after.state.is_ended() {
            self.has_opened_or_ended(pipeline, index, after.state.is_ended());
        }
        let is_ready = after.state == StepState::Pending && self.n_open_needs[index] == 0 && !model.finally;
        self.set_ready(index, is_ready);
    }

    /// A step has ended, or is open again.
    fn has_opened_or_ended(&mut self, pipeline: &Pipeline, index: usize, has_ended: bool) {
        if !pipeline.steps[index].finally {
            self.n_open_main = if has_ended { self.n_open_main - 1 } else { self.n_open_main + 1 };
        }
        for &below in pipeline.children(index) {
            let n_open = &mut self.n_open_needs[below];
            *n_open = if has_ended { *n_open - 1 } else { *n_open + 1 };
            if *n_open == 0 {
                let state = self.state(below);
                self.have_needs_ended(pipeline, below, state);
            } else {
                self.set_ready(below, false);
            }
        }
    }

    /// The last need of a step has ended.
    fn have_needs_ended(&mut self, pipeline: &Pipeline, index: usize, state: StepState) {
        let model = &pipeline.steps[index];
        let above = |index: &usize| {
            let is_bad = self.state(*index).is_bad_end();
            let is_unexcused = is_bad && !pipeline.steps[*index].may_fail;
            let Above { has_failure, has_bad_end } = self.above(*index);
            Above { has_failure: has_failure || is_unexcused, has_bad_end: has_bad_end || is_bad }
        };
        let (mut has_failure, mut has_bad_end) = (false, false);
        for above in model.needs.iter().map(above) {
            has_failure |= above.has_failure;
            has_bad_end |= above.has_bad_end;
        }
        self.is_below_failure.set(index, has_failure);
        self.is_below_bad_end.set(index, has_bad_end);
        self.set_ready(index, state == StepState::Pending && !model.finally);
    }

    fn set_ready(&mut self, index: usize, is_ready: bool) {
        let was_ready = self.is_ready.contains(index);
        self.is_ready.set(index, is_ready);
        if is_ready != was_ready {
            self.is_newly_ready.set(index, is_ready);
        }
    }
}

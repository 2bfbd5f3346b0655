//! Which step is above which: computed once for a pipeline, used at every decision.
//!
//! It grows with the number of needs, not with that of pairs. Nothing here recurses, so that a long chain needs no deep
//! stack.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use fixedbitset::FixedBitSet;

use super::model::{Pipeline, Step};
use crate::base::id::StepId;

/// The order of a pipeline's steps. Every step that is not `finally` is above every `finally` step.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Graph {
    children: Vec<Vec<usize>>,
    order: Vec<usize>,
    levels: Vec<usize>,
    index: HashMap<StepId, usize>,
}

impl Graph {
    /// The graph of these steps, whose needs must be indices into the same list. Steps in a cycle, which parsing
    /// refuses, come last and have no steps above them.
    pub fn of(steps: &[Step]) -> Self {
        let needs: Vec<&[usize]> = steps.iter().map(|step| step.needs.as_slice()).collect();
        let mut graph = Self {
            children: children(&needs),
            order: Vec::new(),
            levels: vec![0; steps.len()],
            index: steps.iter().enumerate().map(|(i, step)| (step.id.clone(), i)).collect(),
        };
        graph.order = order(&needs, &graph.children, |i| steps[i].finally);
        let mut normal_levels = 0;
        for &i in &graph.order {
            let first = if steps[i].finally { normal_levels } else { 0 };
            let level = needs[i].iter().map(|need| graph.levels[*need] + 1).fold(first, usize::max);
            if !steps[i].finally {
                normal_levels = normal_levels.max(level + 1);
            }
            graph.levels[i] = level;
        }
        let in_a_cycle: Vec<usize> = {
            let mut left: Vec<bool> = vec![true; steps.len()];
            graph.order.iter().for_each(|i| left[*i] = false);
            (0..steps.len()).filter(|i| left[*i]).collect()
        };
        graph.order.extend(in_a_cycle);
        graph
    }
}

impl Pipeline {
    /// All steps below these, direct and indirect. Each `finally` step is below every step that is none.
    pub fn below(&self, these: impl IntoIterator<Item = usize>) -> FixedBitSet {
        let mut below = FixedBitSet::with_capacity(self.steps.len());
        let mut left: Vec<usize> = these.into_iter().collect();
        if left.iter().any(|step| !self.steps[*step].finally) {
            let finally = self.steps.iter().enumerate().filter(|(_, step)| step.finally);
            finally.for_each(|(index, _)| below.insert(index));
        }
        while let Some(step) = left.pop() {
            for &child in self.children(step) {
                if !below.put(child) {
                    left.push(child);
                }
            }
        }
        below
    }

    /// The steps that name step `i` in their needs, in the order of the file.
    pub fn children(&self, i: usize) -> &[usize] {
        &self.graph.children[i]
    }

    /// The steps in an order in which they could run one by one: as close to the order of the file as their needs
    /// allow, `finally` steps last.
    pub fn order(&self) -> &[usize] {
        &self.graph.order
    }

    /// For each step its column in a drawing, from 0: one more than the largest column of the steps that it needs.
    pub fn levels(&self) -> &[usize] {
        &self.graph.levels
    }

    /// The index of a step by its id.
    pub fn step_index(&self, id: &str) -> Option<usize> {
        self.graph.index.get(id).copied()
    }
}

fn children(needs: &[&[usize]]) -> Vec<Vec<usize>> {
    let mut children = vec![Vec::new(); needs.len()];
    for (i, needs) in needs.iter().enumerate() {
        needs.iter().for_each(|need| children[*need].push(i));
    }
    children
}

/// A topological order (Kahn's algorithm); among ready steps the first in the file comes first. Steps in a cycle, and
/// those below one, are left out.
fn order(needs: &[&[usize]], children: &[Vec<usize>], is_finally: impl Fn(usize) -> bool) -> Vec<usize> {
    let place = |i: usize| Reverse((is_finally(i), i));
    let mut waits: Vec<usize> = needs.iter().map(|needs| needs.len()).collect();
    let mut ready: BinaryHeap<_> = (0..needs.len()).filter(|i| waits[*i] == 0).map(place).collect();
    let mut order = Vec::with_capacity(needs.len());
    while let Some(Reverse((_, i))) = ready.pop() {
        order.push(i);
        for &child in &children[i] {
            waits[child] -= 1;
            if waits[child] == 0 {
                ready.push(place(child));
            }
        }
    }
    order
}

/// A cycle: each of its steps needs the next, the last one the first.
#[derive(Debug, PartialEq)]
pub(super) struct Cycle {
    pub(super) steps: Vec<usize>,
    /// The index of the last step's need that closes the cycle.
    pub(super) closing_need: usize,
}

/// The cycles among steps with these needs, found by a depth-first walk: one for each need that closes a cycle, at most
/// `limit`.
pub(super) fn find_cycles(needs: &[Vec<usize>], limit: usize) -> Vec<Cycle> {
    #[derive(Clone, Copy, PartialEq)]
    enum Walk {
        Unseen,
        /// On the path, at this index.
        On(usize),
        Done,
    }
    let mut walks = vec![Walk::Unseen; needs.len()];
    let mut cycles = Vec::new();
    for start in 0..needs.len() {
        if walks[start] != Walk::Unseen {
            continue;
        }
        // The path, with the next need to follow for each of its steps.
        let mut path = vec![(start, 0)];
        walks[start] = Walk::On(0);
        while let Some((step, next)) = path.last_mut() {
            let (step, need_at) = (*step, *next);
            let Some(&need) = needs[step].get(need_at) else {
                walks[step] = Walk::Done;
                path.pop();
                continue;
            };
            *next += 1;
            match walks[need] {
                Walk::Unseen => {
                    walks[need] = Walk::On(path.len());
                    path.push((need, 0));
                }
                Walk::On(from) if cycles.len() < limit => {
                    let steps = path[from..].iter().map(|(step, _)| *step).collect();
                    cycles.push(Cycle { steps, closing_need: need_at });
                }
                Walk::On(_) | Walk::Done => {}
            }
        }
    }
    cycles
}

//! How long a run is likely to go on: by its progress, and by what the past runs of its pipeline took. These are asked for
//! when a run of the pipeline is visible, many pipelines at once, and again after a run of it has ended.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::entry::RunEntry;
use crate::base::id::PipelineId;
use crate::run::RunState;
use crate::window::estimates::{Estimate, Left};
use crate::window::port::Action;

/// Pipelines in one question.
const MAX_ASKED: usize = 32;
/// Pipelines whose estimate is kept.
const MAX_KNOWN: usize = 1024;

/// What is left of a run; none when nothing can be said. By its progress alone, or by that of the past runs alone, or by
/// both: the further it is, the more its own progress counts.
pub fn left_of(entry: &RunEntry, estimate: Option<&Estimate>, now: DateTime<Utc>) -> Option<Left> {
    let run = &entry.run;
    let by_progress = entry.remaining_time(now);
    let usual = estimate.and_then(|estimate| estimate.usual);
    let is_first = run.state == RunState::Running && run.attempt == 1;
    let Some(by_past) = usual.filter(|_| is_first).map(|usual| usual - run.took(now)) else {
        return by_progress.map(Left::About);
    };
    let is_over = by_past <= TimeDelta::zero();
    match by_progress {
        None if is_over => Some(Left::Over(-by_past)),
        Some(left) if is_over => Some(Left::About(left)),
        None => Some(Left::About(by_past)),
        Some(left) => {
            let share = run.progress.clamp(0.0, 1.0);
            let seconds = share * left.as_seconds_f64() + (1.0 - share) * by_past.as_seconds_f64();
            Some(Left::About(TimeDelta::seconds(seconds as i64)))
        }
    }
}

/// The estimates that were asked for. One question waits at a time.
#[derive(Debug, Default)]
pub(super) struct EstimatesModel {
    known: HashMap<PipelineId, Known>,
    is_asked: bool,
}

#[derive(Debug)]
struct Known {
    estimate: Estimate,
    /// A run of the pipeline has ended since.
    is_old: bool,
}

impl EstimatesModel {
    /// Asks for those of `pipelines` that are not known, or old.
    pub(super) fn want(&mut self, pipelines: &[PipelineId]) -> Option<Action> {
        if self.is_asked {
            return None;
        }
        let is_missing = |id: &&PipelineId| self.known.get(*id).is_none_or(|known| known.is_old);
        let mut missing: Vec<PipelineId> = pipelines.iter().filter(is_missing).cloned().collect();
        missing.sort();
        missing.dedup();
        missing.truncate(MAX_ASKED);
        if missing.is_empty() {
            return None;
        }
        if self.known.len() + missing.len() > MAX_KNOWN {
            self.known.retain(|id, _| pipelines.contains(id));
        }
        for pipeline_id in &missing {
            if let Some(known) = self.known.get_mut(pipeline_id) {
                known.is_old = false;
            }
        }
        self.is_asked = true;
        Some(Action::LoadEstimates(missing))
    }

    pub(super) fn put(&mut self, estimates: Vec<(PipelineId, Estimate)>) {
        self.is_asked = false;
        for (pipeline_id, estimate) in estimates {
            let is_old = self.known.get(&pipeline_id).is_some_and(|known| known.is_old);
            self.known.insert(pipeline_id, Known { estimate, is_old });
        }
    }

    /// A run of the pipeline has ended.
    pub(super) fn touch(&mut self, pipeline_id: &PipelineId) {
        if let Some(known) = self.known.get_mut(pipeline_id) {
            known.is_old = true;
        }
    }

    /// The question was not answered.
    pub(super) fn forget_question(&mut self) {
        self.is_asked = false;
    }

    pub(super) fn of(&self, pipeline_id: &PipelineId) -> Option<&Estimate> {
        self.known.get(pipeline_id).map(|known| &known.estimate)
    }
}

#[cfg(test)]
mod tests {
    use super::super::AppStore;
    use super::*;
    use crate::window::port::AppUpdate;

    fn id(name: &str) -> PipelineId {
        PipelineId::new(name).unwrap()
    }

    fn estimate(usual: i64) -> Estimate {
        Estimate { usual: Some(TimeDelta::seconds(usual)), n_completed: 5, group: None }
    }

    #[test]
    fn one_question_at_a_time_asks_for_what_is_visible_and_not_known() {
        let mut store = AppStore::default();
        let visible = [id("a"), id("b"), id("a")];
        store.want_estimates(&visible);
        store.want_estimates(&[id("c")]);
        assert_eq!(store.take_requests(), [Action::LoadEstimates(vec![id("a"), id("b")])]);
        store.apply(AppUpdate::Estimates(vec![(id("a"), estimate(60)), (id("b"), estimate(5))]));
        store.want_estimates(&visible);
        assert_eq!(store.take_requests(), []);
        assert_eq!(store.estimate(&id("a")), Some(&estimate(60)));
        assert_eq!(store.estimate(&id("c")), None);
    }

    #[test]
    fn an_estimate_is_asked_for_again_after_a_run_has_ended_even_while_the_answer_is_on_its_way() {
        let mut model = EstimatesModel::default();
        assert!(model.want(&[id("a")]).is_some());
        model.put(vec![(id("a"), estimate(60))]);
        model.touch(&id("a"));
        assert!(model.want(&[id("a")]).is_some());
        model.touch(&id("a"));
        model.put(vec![(id("a"), estimate(70))]);
        assert!(model.want(&[id("a")]).is_some(), "the answer may not include the last end");
    }

    #[test]
    fn what_is_kept_is_bounded_however_many_pipelines_are_seen() {
        let mut model = EstimatesModel::default();
        for n in 0..3 * MAX_KNOWN / MAX_ASKED {
            let visible: Vec<_> = (0..MAX_ASKED).map(|at| id(&format!("p{n}-{at}"))).collect();
            assert!(model.want(&visible).is_some());
            model.put(visible.into_iter().map(|id| (id, estimate(1))).collect());
            assert!(model.known.len() <= MAX_KNOWN, "{}", model.known.len());
        }
    }
}

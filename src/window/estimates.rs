//! How long the past runs of a pipeline took, read from the database.

use chrono::TimeDelta;

use crate::base::id::PipelineId;
use crate::base::time::Now;
use crate::records::{Records, definition_of};
use crate::run::RunState;
use crate::store::{RunFilter, StoreError};

/// Past runs that are looked at for each pipeline.
const MAX_PAST: usize = 40;
/// Fewer completed runs are no measure.
const MIN_PAST: usize = 3;

/// How long runs of a pipeline took.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Estimate {
    /// The median of the completed ones among the newest; none if they are too few.
    pub usual: Option<TimeDelta>,
    /// How many were completed.
    pub n_completed: usize,
    /// The group of the pipeline.
    pub group: Option<String>,
}

/// What is left of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// About this time.
    About(TimeDelta),
    /// It takes longer than usual, by this time so far.
    Over(TimeDelta),
}

/// Reads the estimates of these pipelines. One whose runs can't be read has an empty one: only a remark is missing.
pub(super) fn read_estimates(
    records: &Records,
    pipelines: Vec<PipelineId>,
    now: Now,
) -> Vec<(PipelineId, Estimate)> {
    let read = |pipeline: PipelineId| {
        let estimate = read_estimate(records, &pipeline, now).unwrap_or_default();
        (pipeline, estimate)
    };
    pipelines.into_iter().map(read).collect()
}

fn read_estimate(records: &Records, pipeline: &PipelineId, now: Now) -> Result<Estimate, StoreError> {
    let filter =
        RunFilter { pipeline: Some(pipeline.clone()), limit: Some(MAX_PAST), ..RunFilter::default() };
    let runs = records.runs(&filter, now)?;
    let completed = runs.iter().filter(|run| run.state == RunState::Completed && run.attempt == 1);
    let mut took: Vec<TimeDelta> = completed.map(|run| run.took(now.wall)).collect();
    took.sort();
    let usual = (took.len() >= MIN_PAST).then(|| took[took.len() / 2]);
    let newest = runs.first().map(|run| records.stored(&run.run_id)).transpose()?.flatten();
    // A definition that no longer parses belongs to no group.
    let group = newest.and_then(|run| definition_of(&run).ok()?.pipeline.group.clone());
    Ok(Estimate { usual, n_completed: took.len(), group })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{CoreExecutionEngine, EngineOptions, StartRequest, now};

    fn id(name: &str) -> PipelineId {
        PipelineId::new(name).unwrap()
    }

    #[test]
    fn the_usual_time_is_that_of_completed_runs_once_they_are_three() {
        let dir = tempfile::tempdir().unwrap();
        let engine = CoreExecutionEngine::open(dir.path(), EngineOptions::default()).unwrap();
        for (n, n_expected) in [(1, 1), (2, 1), (3, 2), (4, 3)] {
            let request = StartRequest::new(format!("books-{n}"), "books", "books").unwrap();
            let run = engine.start_execution(request).unwrap();
            // One of them fails and is no measure.
            engine.complete_execution(&run.run_id, n != 2, None).unwrap();
            let records = Records::beside(&engine);
            let [(_, estimate)] = &read_estimates(&records, vec![id("books")], now())[..] else { panic!() };
            assert_eq!((estimate.n_completed, estimate.usual.is_some()), (n_expected, n_expected >= 3));
        }
        let unknown = read_estimates(&Records::beside(&engine), vec![id("nothing")], now());
        assert_eq!(unknown, [(id("nothing"), Estimate::default())]);
    }
}

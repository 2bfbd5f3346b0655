//! Statistics of the last runs of a pipeline: how long its steps take and what they need.

use serde::Serialize;

use super::reader::{Records, RunRecord};
use crate::base::id::{PipelineId, RunId, StepId};
use crate::base::time::Now;
use crate::resources::Spread;
use crate::run::{RunState, StepState};
use crate::store::{RunFilter, StoreError};

/// Statistics of the last runs of a pipeline. Each figure counts only what completed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PipelineStats {
    pub pipeline_id: PipelineId,
    /// How many ended runs were read.
    pub n_runs: usize,
    /// How many of them completed.
    pub n_completed: usize,
    /// The time at work, in seconds: without frozen time, and without idle time before the first step or between
    /// attempts.
    pub duration_seconds: Option<Spread>,
    /// The steps, in the order of the newest run.
    pub steps: Vec<StepStats>,
}

/// Statistics of one step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepStats {
    pub step_id: StepId,
    /// In how many of the runs it completed.
    pub n_completed: usize,
    /// In how many of the runs it failed.
    pub n_failed: usize,
    /// The time at work of the completed attempt, in seconds.
    pub duration_seconds: Option<Spread>,
    /// The peak memory of the process tree, in bytes.
    pub peak_rss_bytes: Option<Spread>,
    /// The CPU time of the process tree, in seconds.
    pub cpu_seconds: Option<Spread>,
}

impl Records {
    /// Statistics of the newest `n` ended runs of a pipeline; none when there are none.
    pub fn stats(
        &self,
        pipeline: &PipelineId,
        n: usize,
        now: Now,
    ) -> Result<Option<PipelineStats>, StoreError> {
        self.stats_but(pipeline, n, None, now)
    }

    /// As [`Self::stats`], without the run `but`, which is to be compared with the others.
    pub(crate) fn stats_but(
        &self,
        pipeline: &PipelineId,
        n: usize,
        but: Option<&RunId>,
        now: Now,
    ) -> Result<Option<PipelineStats>, StoreError> {
        let filter = RunFilter {
            states: RunState::ALL.iter().copied().filter(|state| state.is_ended()).collect(),
            pipeline: Some(pipeline.clone()),
            limit: Some(n),
            ..RunFilter::default()
        };
        let mut records = Vec::new();
        for run in self.runs(&filter, now)?.into_iter().filter(|run| Some(&run.run_id) != but) {
            // A run that retention removes meanwhile is skipped.
            records.extend(self.run(&run.run_id, now)?);
        }
        Ok((!records.is_empty()).then(|| stats_of(pipeline, &records, now)))
    }
}

fn stats_of(pipeline: &PipelineId, records: &[RunRecord], now: Now) -> PipelineStats {
    let mut names: Vec<StepId> = Vec::new();
    for step in records.iter().flat_map(|record| &record.steps) {
        if !names.contains(&step.step_id) {
            names.push(step.step_id.clone());
        }
    }
    let runs = || records.iter().map(|record| &record.run);
    let completed = || runs().filter(|run| run.state == RunState::Completed);
    PipelineStats {
        pipeline_id: pipeline.clone(),
        n_runs: records.len(),
        n_completed: completed().count(),
        duration_seconds: Spread::of(completed().map(|run| run.took(now.wall).as_seconds_f64())),
        steps: names.into_iter().map(|step_id| stats_of_step(step_id, records, now)).collect(),
    }
}

fn stats_of_step(step_id: StepId, records: &[RunRecord], now: Now) -> StepStats {
    let all = || records.iter().flat_map(|record| &record.steps).filter(|step| step.step_id == step_id);
    let completed = || all().filter(|step| step.state == StepState::Completed);
    StepStats {
        n_completed: completed().count(),
        n_failed: all().filter(|step| step.state == StepState::Failed).count(),
        duration_seconds: Spread::of(
            completed().filter_map(|step| step.took(now.wall)).map(|took| took.as_seconds_f64()),
        ),
        peak_rss_bytes: Spread::of(
            completed().filter_map(|step| step.peak_rss_bytes.map(|bytes| bytes as f64)),
        ),
        cpu_seconds: Spread::of(completed().filter_map(|step| step.cpu_seconds)),
        step_id,
    }
}

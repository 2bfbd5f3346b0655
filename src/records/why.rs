//! Why a run is as it is: the engine's present knowledge, the records, and what is usual for its pipeline.

use serde::{Deserialize, Serialize};

use super::definition::parse_stored;
use super::reader::Records;
use super::stats::{PipelineStats, StepStats};
use crate::base::id::RunId;
use crate::base::time::Now;
use crate::run::{Run, RunSummary, StepSummary, Why, WhyContext, slower_than_usual, why};
use crate::store::StoreError;

/// How many of the last runs define what is usual.
const LAST_RUNS: usize = 20;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WhyAnswer {
    #[serde(flatten)]
    pub run: RunSummary,
    /// From 0 to 9. Among waiting runs the highest goes first.
    pub priority: u8,
    /// First about the run, then about its steps that wait or have ended badly.
    pub answers: Vec<Why>,
    /// What takes longer than usual, one sentence each.
    pub slower: Vec<String>,
}

impl Records {
    /// Why a run is as it is, as far as the disk tells. None when there is no such run.
    pub fn why(&self, run_id: &RunId, now: Now) -> Result<Option<WhyAnswer>, StoreError> {
        let Some(stored) = self.stored(run_id)? else { return Ok(None) };
        let run = stored.into_run(parse_stored)?;
        let is_live = !run.state().is_ended() && self.presence().is_alive();
        let n_cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let answers = why(&run, WhyContext { now: now.wall, waits: &[], is_live, n_cpus });
        let slower = self.slower(&run, now)?;
        Ok(Some(WhyAnswer { run: run.summary(), priority: run.ledger.priority, answers, slower }))
    }

    /// What in a run takes longer than in the runs before it.
    pub(crate) fn slower(&self, run: &Run, now: Now) -> Result<Vec<String>, StoreError> {
        let stats = self.stats_but(&run.pipeline_id, LAST_RUNS, Some(&run.id), now)?;
        let Some(PipelineStats { steps, .. }) = stats else { return Ok(Vec::new()) };
        let of_step = |step: StepSummary| {
            let StepStats { duration_seconds, .. } = steps.iter().find(|it| it.step_id == step.step_id)?;
            let took = step.took(now.wall)?.as_seconds_f64();
            let what = format!("step {}", step.step_id);
            slower_than_usual(&what, took, step.finished_at.is_some(), (*duration_seconds)?)
        };
        let begun = run.step_summaries().into_iter().filter(|step| step.attempt > 0);
        Ok(begun.filter_map(of_step).collect())
    }
}

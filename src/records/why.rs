//! Why a run is as it is: what its engine says of this moment, what is recorded, and what is usual for its pipeline.

use serde::{Deserialize, Serialize};

use super::definition::parse_stored;
use super::reader::Records;
use super::stats::{PipelineStats, StepStats};
use crate::base::id::RunId;
use crate::base::time::Now;
use crate::run::{Run, RunSummary, StepSummary, Why, WhyContext, slower_than_usual, why};
use crate::store::StoreError;

/// What is usual is told by so many of the last runs.
const LAST_RUNS: usize = 20;

/// Why a run is as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WhyAnswer {
    /// The run.
    #[serde(flatten)]
    pub run: RunSummary,
    /// From 0 to 9: among runs that wait, the highest goes first.
    pub priority: u8,
    /// First of the run, then of its steps that wait or have ended badly.
    pub answers: Vec<Why>,
    /// What takes longer than it usually does, a sentence each.
    pub slower: Vec<String>,
}

impl Records {
    /// Why a run is as it is, as far as the disk tells; none where there is no such run.
    ///
    /// # Errors
    /// [`StoreError`] when the database can't be read.
    pub fn why(&self, run_id: &RunId, now: Now) -> Result<Option<WhyAnswer>, StoreError> {
        let Some(stored) = self.stored(run_id)? else { return Ok(None) };
        let run = stored.into_run(parse_stored)?;
        let is_live = !run.state().is_ended() && self.presence().is_alive();
        let n_cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let answers = why(&run, WhyContext { now: now.wall, waits: &[], is_live, n_cpus });
        let slower = self.slower(&run, now)?;
        Ok(Some(WhyAnswer { run: run.summary(), priority: run.ledger.priority, answers, slower }))
    }

    /// What of a run takes longer than it did in the runs before it.
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

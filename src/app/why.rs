//! Why a run is as it is: what its engine says of this moment, what is recorded, and what is usual for its pipeline.

use serde::{Deserialize, Serialize};

use super::desk::Desk;
use super::integration::IntegrationError;
use super::request::parse_stored;
use super::{PipelineStats, Records, StepStats};
use crate::engine::{EngineError, now};
use crate::id::RunId;
use crate::run::{Run, RunSummary, StepSummary, Why, WhyContext, slower_than_usual, why};
use crate::store::StoreError;
use crate::time::Now;

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

impl Desk {
    /// Why a run is as it is, with the figures of this moment where it waits.
    ///
    /// # Errors
    /// [`IntegrationError::Engine`] when there is no such run, or it can't be read.
    pub(super) fn why(&self, run_id: &RunId) -> Result<WhyAnswer, IntegrationError> {
        let living = self.engine.snapshot().runs.get(run_id).cloned();
        let Some(run) = living else {
            let answer = self.records().why(run_id, now()).map_err(EngineError::from)?;
            return Ok(answer.ok_or_else(|| EngineError::NotFound { run_id: run_id.clone() })?);
        };
        let waits = self.engine.waits()?;
        let of_run = waits.into_iter().filter(|wait| wait.run_id == *run_id);
        let waits: Vec<_> = of_run.map(|wait| (wait.step_id, wait.wait)).collect();
        let (now, n_cpus) = (now(), std::thread::available_parallelism().map_or(1, usize::from));
        let answers = why(&run, WhyContext { now: now.wall, waits: &waits, is_live: true, n_cpus });
        let slower = self.records().slower(&run, now).map_err(EngineError::from)?;
        Ok(WhyAnswer { run: run.summary(), priority: run.ledger.priority, answers, slower })
    }
}

impl Records {
    /// Why a run is as it is, as far as the disk tells; none where there is no such run.
    ///
    /// # Errors
    /// [`StoreError`] when the database can't be read.
    pub fn why(&self, run_id: &RunId, now: Now) -> Result<Option<WhyAnswer>, StoreError> {
        let Some(stored) = self.stored(run_id)? else { return Ok(None) };
        let run = stored.into_run(parse_stored)?;
        let is_live = !run.state.is_ended() && self.presence().is_alive();
        let n_cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let answers = why(&run, WhyContext { now: now.wall, waits: &[], is_live, n_cpus });
        let slower = self.slower(&run, now)?;
        Ok(Some(WhyAnswer { run: run.summary(), priority: run.ledger.priority, answers, slower }))
    }

    /// What of a run takes longer than it did in the runs before it.
    fn slower(&self, run: &Run, now: Now) -> Result<Vec<String>, StoreError> {
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

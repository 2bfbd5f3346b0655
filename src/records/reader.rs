//! [`Records`]: runs as they stand in the database, over connections that only read. What fails is the
//! reading of the database.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::definition::parse_stored;
use crate::base::id::{RunId, StepId};
use crate::base::nearest::nearest;
use crate::base::time::Now;
use crate::engine::CoreExecutionEngine;
use crate::run::{Decision, RunState, RunSummary, StepSummary, log_path};
use crate::store::{
    AttemptRecord, CheckpointManager, CheckpointRecord, Presence, RunFilter, StoreError, StoredBody,
    StoredRun, presence,
};

/// How many of the newest runs are compared with a mistyped name.
const NEIGHBOURS: usize = 1000;

/// The records of a data directory.
#[derive(Debug, Clone)]
pub struct Records {
    data_dir: PathBuf,
    store: CheckpointManager,
    /// Whether the engine itself reads them.
    is_ours: bool,
}

/// One run with everything that is recorded about it: what `leverframe show --json` prints, with absolute paths.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// The run.
    #[serde(flatten)]
    pub run: RunSummary,
    /// Its steps in the order of its pipeline.
    pub steps: Vec<StepSummary>,
    /// The parameters of the run.
    pub params: Arc<BTreeMap<String, String>>,
    /// The pipeline file from which it was started.
    pub file: Option<Arc<str>>,
    /// Attempts of steps before the current ones, by step and attempt.
    pub earlier_attempts: Vec<StepSummary>,
    /// What recovery has decided about it.
    pub decisions: Vec<Decision>,
}

impl RunRecord {
    /// The same with the logs of its steps as absolute paths in `data_dir`, for a reader in another directory.
    #[must_use]
    pub fn with_whole_paths(mut self, data_dir: &Path) -> Self {
        for step in self.steps.iter_mut().chain(&mut self.earlier_attempts) {
            step.locate_log(data_dir);
        }
        self
    }
}

/// The log of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSection {
    /// Which step.
    pub step_id: StepId,
    /// Which attempt.
    pub attempt: u32,
    /// The file.
    pub path: PathBuf,
}

impl Records {
    /// Opens the records of a data directory for reading. Without a database there are no runs.
    pub fn open(data_dir: &Path) -> Result<Self, StoreError> {
        let store = CheckpointManager::open_read_only(data_dir.join("checkpoints.db"))?;
        Ok(Self { data_dir: data_dir.to_owned(), store, is_ours: false })
    }

    /// The records of an engine in this process, over its connections.
    pub fn beside(engine: &CoreExecutionEngine) -> Self {
        Self { data_dir: engine.data_dir().path().to_owned(), store: engine.store().clone(), is_ours: true }
    }

    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// Whether an engine lives on the data directory.
    pub fn presence(&self) -> Presence {
        if self.is_ours { Presence::Engine { pid: std::process::id() } } else { presence(&self.data_dir) }
    }

    /// The runs that match `filter`, newest first. `live` is true for a run that has not ended while an engine lives;
    /// `frozen_seconds` counts up to `now`.
    pub fn runs(&self, filter: &RunFilter, now: Now) -> Result<Vec<RunSummary>, StoreError> {
        let mut runs = self.store.list_runs(filter)?;
        // Asked once, and only if it matters.
        let is_alive = runs.iter().any(|run| !run.state.is_ended()) && self.presence().is_alive();
        runs.iter_mut().for_each(|run| bring_to(run, is_alive, now));
        Ok(runs)
    }

    /// How many runs have ended.
    pub fn count_ended(&self) -> Result<usize, StoreError> {
        self.store.count_runs(RunState::ALL.iter().copied().filter(|state| state.is_ended()))
    }

    /// The runs that are recorded as not ended, newest first.
    pub fn living(&self) -> Result<Vec<RunId>, StoreError> {
        let states = RunState::ALL.iter().copied().filter(|state| !state.is_ended()).collect();
        let runs = self.store.list_runs(&RunFilter { states, ..RunFilter::default() })?;
        Ok(runs.into_iter().map(|run| run.run_id).collect())
    }

    /// One run with all that is recorded; none when there is no such run.
    pub fn run(&self, run_id: &RunId, now: Now) -> Result<Option<RunRecord>, StoreError> {
        let Some(stored) = self.store.load_run(run_id)? else { return Ok(None) };
        let mut run = stored.summary.clone();
        let is_alive = !run.state.is_ended() && self.presence().is_alive();
        bring_to(&mut run, is_alive, now);
        let params = stored.params.clone();
        let file = match &stored.body {
            StoredBody::Pipeline(definition) => Some(definition.path.clone()),
            StoredBody::Driven | StoredBody::Unknown => None,
        };
        let recorded: Vec<_> = stored.steps.iter().map(|step| step.summary(run_id)).collect();
        // If the definition no longer parses, the recorded steps are shown.
        let steps = stored.into_run(parse_stored).map_or(recorded.clone(), |run| run.step_summaries());
        let steps = if steps.is_empty() { recorded } else { steps };
        let is_current = |attempt: &AttemptRecord| {
            steps.iter().any(|s| s.step_id == attempt.step.id && s.attempt == attempt.step.attempt)
        };
        let earlier = self.store.attempts(run_id)?;
        let earlier_attempts = earlier
            .iter()
            .filter(|attempt| !is_current(attempt))
            .map(|attempt| attempt.step.summary(run_id))
            .collect();
        let decisions = self.store.decisions(run_id)?;
        Ok(Some(RunRecord { run, steps, params, file, earlier_attempts, decisions }))
    }

    /// A run as it is stored, with its definition.
    pub fn stored(&self, run_id: &RunId) -> Result<Option<StoredRun>, StoreError> {
        self.store.load_run(run_id)
    }

    /// The last checkpoint of every step of a run, oldest first.
    pub fn checkpoints(&self, run_id: &RunId) -> Result<Vec<CheckpointRecord>, StoreError> {
        self.store.list_checkpoints(run_id)
    }

    /// What is wrong with the database, one sentence each. Reads the whole file.
    pub fn integrity_check(&self) -> Result<Vec<String>, StoreError> {
        self.store.integrity_check()
    }

    pub(crate) fn store(&self) -> &CheckpointManager {
        &self.store
    }

    /// The run with the name nearest to `wrong`, among the newest.
    pub fn nearest_run(&self, wrong: &RunId) -> Result<Option<RunId>, StoreError> {
        let filter = RunFilter { limit: Some(NEIGHBOURS), ..RunFilter::default() };
        let runs = self.store.list_runs(&filter)?;
        let near = nearest(wrong.as_str(), runs.iter().map(|run| run.run_id.as_str()));
        let near = near.and_then(|near| RunId::new(near).ok());
        // The name of a pipeline or source means its newest run.
        Ok(near.or_else(|| {
            let is_of = |run: &&RunSummary| {
                run.pipeline_id.as_str() == wrong.as_str() || *run.source == *wrong.as_str()
            };
            runs.iter().find(is_of).map(|run| run.run_id.clone())
        }))
    }

    /// The logs of a run's attempts, by start: the newest attempt of each step, or only of `step`, or that with the
    /// number `attempt`.
    pub fn logs(&self, record: &RunRecord, step: Option<&StepId>, attempt: Option<u32>) -> Vec<LogSection> {
        let wanted = |it: &&StepSummary| {
            step.is_none_or(|step| *step == it.step_id) && attempt.is_none_or(|n| n == it.attempt)
        };
        let earlier = record.earlier_attempts.iter().filter(|_| attempt.is_some());
        let mut found: Vec<_> = record.steps.iter().chain(earlier).filter(wanted).collect();
        found.retain(|step| step.started_at.is_some());
        found.sort_by_key(|step| step.started_at);
        found.into_iter().map(|step| self.log_of(&record.run.run_id, &step.step_id, step.attempt)).collect()
    }

    /// The log of one attempt.
    pub fn log_of(&self, run_id: &RunId, step_id: &StepId, attempt: u32) -> LogSection {
        let path = self.data_dir.join(log_path(run_id, step_id, attempt));
        LogSection { step_id: step_id.clone(), attempt, path }
    }
}

fn bring_to(run: &mut RunSummary, is_alive: bool, now: Now) {
    run.live = is_alive && !run.state.is_ended();
    if let Some(since) = run.frozen_since {
        run.frozen_seconds += (now.wall - since).num_milliseconds().max(0) as f64 / 1000.0;
    }
}

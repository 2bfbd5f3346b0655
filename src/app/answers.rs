//! What a [`super::Desk`] answers, in the shapes that `--json` prints: one shape from the socket to the command line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{CatalogueEntry, RunRecord};
use crate::control::wire::EngineId;
use crate::run::{Decision, RunSummary, StepSummary};
use crate::scheduler::{FireView, HistoryView, JobView};
use crate::store::CheckpointRecord;
use crate::time::format_instant;

/// What came of a command or a query.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// Nothing is left to be said.
    Done {},
    /// The run as it is now.
    Run(Arc<RunSummary>),
    /// Which engine it is.
    Status(EngineStatus),
    /// All living runs.
    Snapshot(LivingRuns),
    /// Runs, newest first.
    Runs(Vec<RunSummary>),
    /// One run whole.
    Document(Box<RunDocument>),
    /// Checkpoints, oldest first.
    Checkpoints(Vec<CheckpointDocument>),
    /// Pipelines by id.
    Pipelines(Vec<PipelineDocument>),
    /// A job as it is now.
    Job(Box<JobView>),
    /// Jobs by name.
    Jobs(Vec<JobView>),
    /// Runs of a job, newest first.
    JobHistory(Vec<HistoryView>),
    /// Fires of a job, oldest first.
    Fires(Vec<FireView>),
    /// What is run again.
    Backfilled(Backfilled),
}

/// What a backfill does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backfilled {
    /// How many instants are run.
    pub n_instants: usize,
}

/// An engine, as it describes itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EngineStatus {
    /// The program's version.
    pub version: String,
    /// Process, face and epoch.
    pub engine: EngineId,
    /// What it holds.
    pub data_dir: PathBuf,
    /// The newest event.
    pub seq: u64,
    /// How many runs live.
    pub n_living: usize,
}

/// All living runs at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LivingRuns {
    /// Every event up to this one is contained.
    pub seq: u64,
    /// With their steps, by id.
    pub runs: Vec<LivingRun>,
}

/// A living run with its steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LivingRun {
    /// The run.
    #[serde(flatten)]
    pub run: RunSummary,
    /// Its steps in the order of its pipeline.
    pub steps: Vec<StepSummary>,
}

/// A run with everything that is recorded about it: what `leverframe show --json` prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunDocument {
    /// The run.
    #[serde(flatten)]
    pub run: RunSummary,
    /// Its steps in the order of its pipeline; their logs with whole paths.
    pub steps: Vec<StepSummary>,
    /// The parameters that it was started with.
    pub params: Arc<BTreeMap<String, String>>,
    /// The pipeline file that it was started from.
    pub file: Option<Arc<str>>,
    /// Attempts before the current ones.
    pub earlier_attempts: Vec<StepSummary>,
    /// What recovery has decided about it.
    pub decisions: Vec<Decision>,
}

impl RunDocument {
    /// The document of a record of `data_dir`.
    pub fn new(record: RunRecord, data_dir: &Path) -> Self {
        let whole = |steps: Vec<StepSummary>| {
            let path = |log: &Arc<str>| -> Arc<str> { data_dir.join(&**log).to_string_lossy().into() };
            let with_path = |step: StepSummary| StepSummary { log: step.log.as_ref().map(path), ..step };
            steps.into_iter().map(with_path).collect()
        };
        Self {
            run: record.run,
            steps: whole(record.steps),
            params: record.params,
            file: record.file,
            earlier_attempts: whole(record.earlier_attempts),
            decisions: record.decisions,
        }
    }
}

/// What a step last checkpointed: an entry of `leverframe checkpoints --json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckpointDocument {
    /// Which step.
    pub step_id: String,
    /// When.
    pub created_at: String,
    /// What.
    pub data: Value,
}

impl From<CheckpointRecord> for CheckpointDocument {
    fn from(record: CheckpointRecord) -> Self {
        let created_at = format_instant(record.created_at);
        Self { step_id: record.step_id, created_at, data: record.data }
    }
}

/// A pipeline file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PipelineDocument {
    /// The pipeline's id; of a file that can't be understood its stem.
    pub id: String,
    /// What it reads from.
    pub source: String,
    /// One line for people.
    pub description: Option<String>,
    /// The file.
    pub path: PathBuf,
    /// How many steps it has.
    pub n_steps: usize,
    /// Why it can't be started, a line a problem.
    pub error: Option<String>,
}

impl From<CatalogueEntry> for PipelineDocument {
    fn from(entry: CatalogueEntry) -> Self {
        let (description, n_steps, error) = match &entry.outcome {
            Ok(definition) => {
                (definition.pipeline.description.clone(), definition.pipeline.steps.len(), None)
            }
            Err(problems) => (None, 0, Some(super::settings::in_lines(problems))),
        };
        Self { id: entry.id, source: entry.source, description, path: entry.path, n_steps, error }
    }
}

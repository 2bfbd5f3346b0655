//! What a [`crate::daemon::CommandHandler`] answers, in the shapes that `--json` prints: one shape from the socket to the command line.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::admission::Orders;
use crate::api::engine_id::EngineId;
use crate::base::time::format_instant;
use crate::run::{RunSummary, StepSummary};
use crate::settings::CatalogueEntry;
use crate::store::CheckpointRecord;

/// Nothing is left to be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {}

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
    /// The operator's orders that are in force.
    pub orders: Orders,
}

/// All living runs at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LivingRuns {
    /// Every event up to this one is contained.
    pub seq: u64,
    /// With their steps, by id.
    pub runs: Vec<LivingRun>,
    /// The operator's orders that are in force.
    #[serde(default)]
    pub orders: Orders,
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
            Err(problems) => (None, 0, Some(crate::settings::in_lines(problems))),
        };
        Self { id: entry.id, source: entry.source, description, path: entry.path, n_steps, error }
    }
}

//! The answers of a [`crate::daemon::CommandHandler`], in the shapes that `--json` prints: the same on the socket and
//! the command line.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::admission::Orders;
use crate::api::engine_id::EngineId;
use crate::base::time::format_instant;
use crate::pipeline::Param;
use crate::run::{RunSummary, StepSummary};
use crate::settings::CatalogueEntry;
use crate::store::CheckpointRecord;

/// The answer to a request that returns nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {}

/// The answer to a backfill.
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
    /// Process, owner and epoch.
    pub engine: EngineId,
    /// The data directory that the engine holds.
    pub data_dir: PathBuf,
    /// The newest event.
    pub seq: u64,
    /// How many runs have not ended.
    pub n_living: usize,
    /// The operator's orders in force.
    pub orders: Orders,
}

/// All living runs at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LivingRuns {
    /// Every event up to this one is included.
    pub seq: u64,
    /// By id.
    pub runs: Vec<LivingRun>,
    /// The operator's orders in force.
    #[serde(default)]
    pub orders: Orders,
}

/// A living run with its steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LivingRun {
    #[serde(flatten)]
    pub run: RunSummary,
    /// The steps in the order of the pipeline.
    pub steps: Vec<StepSummary>,
}

/// The last checkpoint of a step: an entry of `leverframe checkpoints --json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckpointDocument {
    pub step_id: String,
    /// When it was saved.
    pub created_at: String,
    /// The data.
    pub data: Value,
}

impl From<CheckpointRecord> for CheckpointDocument {
    fn from(record: CheckpointRecord) -> Self {
        let created_at = format_instant(record.created_at);
        Self { step_id: record.step_id, created_at, data: record.data }
    }
}

/// A pipeline file as it is listed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PipelineView {
    /// The pipeline's id; the file's stem, which may be no id, if the file can't be parsed.
    pub id: String,
    /// What it reads from.
    pub source: String,
    /// One line for people.
    pub description: Option<String>,
    pub path: PathBuf,
    /// How many steps it has.
    pub n_steps: usize,
    /// Why the pipeline can't be started, one line for each problem.
    pub error: Option<String>,
    /// Whether a parameter has no default, so that it can't be started without a value. Known only to the process that
    /// has read the file.
    #[serde(skip)]
    pub needs_values: bool,
}

impl From<CatalogueEntry> for PipelineView {
    fn from(entry: CatalogueEntry) -> Self {
        let (description, n_steps, needs_values, error) = match &entry.outcome {
            Ok(definition) => {
                let pipeline = &definition.pipeline;
                let needs_values = pipeline.params.values().any(Param::is_required);
                (pipeline.description.clone(), pipeline.steps.len(), needs_values, None)
            }
            Err(problems) => (None, 0, false, Some(crate::settings::in_lines(problems))),
        };
        let CatalogueEntry { id, source, path, .. } = entry;
        Self { id, source, description, path, n_steps, error, needs_values }
    }
}

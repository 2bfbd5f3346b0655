//! What the store returns: rows as they are on disk, and their conversion to a [`Run`].

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::base::id::{PipelineId, RunId};
use crate::pipeline::Pipeline;
use crate::run::{Body, Definition, Phase, Run, RunLedger, RunState, RunSummary, StepRun, Steps};
use crate::store::error::StoreError;

/// One run with its steps. Its definition is still text.
#[derive(Debug, Clone)]
pub struct StoredRun {
    /// Its summary; `live` is false.
    pub summary: RunSummary,
    /// What drives it.
    pub body: StoredBody,
    /// The resolved parameters, without secrets.
    pub params: Arc<BTreeMap<String, String>>,
    /// What the starter attached to it, as JSON text.
    pub metadata: Option<Arc<str>>,
    /// Where it stands.
    pub phase: Phase,
    /// State that only decisions need.
    pub ledger: RunLedger,
    /// The recorded steps, by start, then by name. Steps that have not begun may be missing; [`StoredRun::into_run`]
    /// adds them.
    pub steps: Vec<Arc<StepRun>>,
}

/// What drives a stored run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoredBody {
    /// A Rust program, by calls of the engine.
    Driven,
    /// The engine, by this definition. Runs that are loaded together share equal definitions.
    Pipeline(Arc<StoredDefinition>),
    /// Unknown: a script wrote the row. It may be the pipeline of that name.
    Unknown,
}

/// A definition as it was when the run started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDefinition {
    /// SHA-256 of path and text, in hexadecimal.
    pub hash: Arc<str>,
    /// The file's absolute path.
    pub path: Arc<str>,
    pub text: Arc<str>,
}

impl StoredRun {
    /// The run, with one step for each step of its pipeline; steps that were never recorded are pending. A run without
    /// a definition becomes a driven one, which has no steps.
    ///
    /// # Errors
    /// [`StoreError::Definition`] with the message of `parse(path, text)`.
    pub fn into_run(self, parse: impl Fn(&str, &str) -> Result<Pipeline, String>) -> Result<Run, StoreError> {
        let Self { summary, body, params, metadata, phase, ledger, steps } = self;
        let (body, steps) = match body {
            StoredBody::Driven | StoredBody::Unknown => (Body::Driven, Vec::new()),
            StoredBody::Pipeline(stored) => {
                let pipeline =
                    parse(&stored.path, &stored.text).map_err(|reason| StoreError::Definition {
                        run_id: summary.run_id.clone(),
                        path: stored.path.to_string(),
                        reason,
                    })?;
                let steps = line_up(&pipeline, steps);
                let definition =
                    Definition { path: stored.path.clone(), text: stored.text.clone(), pipeline };
                (Body::Pipeline(Arc::new(definition)), steps)
            }
        };
        Ok(Run {
            id: summary.run_id,
            pipeline_id: summary.pipeline_id,
            source: summary.source,
            run_type: summary.run_type,
            environment: summary.environment,
            trigger: summary.trigger,
            steps: Steps::of(&body, steps),
            body,
            params,
            phase,
            attempt: summary.attempt,
            started_at: summary.started_at,
            progress: summary.progress,
            current_step: summary.current_step,
            message: summary.message,
            error: summary.error,
            metadata,
            ledger,
        })
    }
}

/// One step for each step of the pipeline, in its order.
fn line_up(pipeline: &Pipeline, stored: Vec<Arc<StepRun>>) -> Vec<Arc<StepRun>> {
    let mut by_id: BTreeMap<_, _> = stored.into_iter().map(|step| (step.id.clone(), step)).collect();
    pipeline
        .steps
        .iter()
        .map(|step| by_id.remove(&step.id).unwrap_or_else(|| Arc::new(StepRun::new(step.id.clone()))))
        .collect()
}

/// One attempt of a step: an earlier one as it ended, or the current one.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptRecord {
    /// The step as it was in this attempt.
    pub step: StepRun,
    /// The checkpoint that a retry has archived with this attempt.
    pub archived_checkpoint: Option<Value>,
}

/// The last checkpoint of a step.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckpointRecord {
    /// The step's name. A row that a script wrote may have any text.
    pub step_id: String,
    /// When it was saved.
    pub created_at: DateTime<Utc>,
    /// The data. If the text in the row is not JSON, it is a JSON string.
    pub data: Value,
}

/// A row of `execution_state` with the fixed columns, which users' scripts know.
#[derive(Debug, Clone, PartialEq)]
pub struct ExecutionRecord {
    pub run_id: RunId,
    pub pipeline_id: PipelineId,
    /// What the run reads from.
    pub source: String,
    pub state: RunState,
    /// When the run was recorded.
    pub started_at: DateTime<Utc>,
    /// When the run ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// From 0 to 1.
    pub progress: f64,
    /// The step that reported or began last.
    pub current_step: Option<String>,
    /// Why the run failed, was interrupted or is held.
    pub error: Option<String>,
    /// What the caller attached to the run. If the text in the row is not JSON, it is a JSON string.
    pub metadata: Option<Value>,
}

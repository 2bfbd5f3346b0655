//! What the store gives back: rows as they lie on disk, and the way from them to a [`Run`].

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::base::id::{PipelineId, RunId};
use crate::pipeline::Pipeline;
use crate::run::{Body, Definition, Phase, Run, RunLedger, RunState, RunSummary, StepRun};
use crate::store::error::StoreError;

/// One run with its steps, its definition still a text.
#[derive(Debug, Clone)]
pub struct StoredRun {
    /// What stands in its row, as others see it; `live` is false.
    pub summary: RunSummary,
    /// Who drives it.
    pub body: StoredBody,
    /// Resolved parameters, without secrets.
    pub params: Arc<BTreeMap<String, String>>,
    /// What its starter wanted kept with it, as JSON text.
    pub metadata: Option<Arc<str>>,
    /// Where it stands.
    pub phase: Phase,
    /// What only decisions need.
    pub ledger: RunLedger,
    /// The steps that were ever recorded, by start, then by name. The pipeline may have more, whose turn
    /// has not come: [`StoredRun::into_run`] fills them in.
    pub steps: Vec<Arc<StepRun>>,
}

/// Who drives a stored run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoredBody {
    /// A Rust program, through the engine's calls.
    Driven,
    /// The engine, by this definition. Runs loaded together share equal ones.
    Pipeline(Arc<StoredDefinition>),
    /// The row was filled in by hand and does not say: the pipeline of that name, if there is one.
    Unknown,
}

/// A definition as it was when a run started with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDefinition {
    /// SHA-256 of path and text, in hexadecimal.
    pub hash: Arc<str>,
    /// Absolute path of the file.
    pub path: Arc<str>,
    /// The file's text.
    pub text: Arc<str>,
}

impl StoredRun {
    /// The run that was stored, its steps lined up with its pipeline; steps that were never recorded
    /// are pending. A run without a definition becomes a driven one, which has no steps.
    ///
    /// # Errors
    /// [`StoreError::Definition`] with what `parse(path, text)` said.
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
            steps,
            ledger,
        })
    }
}

/// One step a step of the pipeline, in its order.
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
    /// The checkpoint that a retry has set aside with this attempt.
    pub archived_checkpoint: Option<Value>,
}

/// What a step last checkpointed: a row of the table `checkpoints`.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckpointRecord {
    /// Which step; any text in rows that were filled in by hand.
    pub step_id: String,
    /// When.
    pub created_at: DateTime<Utc>,
    /// What. A text that is no JSON (filled in by hand) is a JSON string.
    pub data: Value,
}

/// A row of `execution_state`: the fixed columns, which users' scripts know.
#[derive(Debug, Clone, PartialEq)]
pub struct ExecutionRecord {
    /// Its name.
    pub run_id: RunId,
    /// Which pipeline.
    pub pipeline_id: PipelineId,
    /// What it reads from.
    pub source: String,
    /// Its state.
    pub state: RunState,
    /// When it was recorded.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// 0 to 1.
    pub progress: f64,
    /// The step that reported or began last.
    pub current_step: Option<String>,
    /// Why it failed, was interrupted or is held.
    pub error: Option<String>,
    /// Whatever the caller wants kept with it. A text that is no JSON (filled in by hand) is a JSON string.
    pub metadata: Option<Value>,
}

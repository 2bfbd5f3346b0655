//! What a run begins with: given values and defaults, resolved.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::definition::{Body, Definition};
use super::model::{FiredBy, Run, RunLedger};
use super::phase::Phase;
use super::state::{RunState, Trigger};
use super::steps::Steps;
use crate::admission::MAX_PRIORITY;
use crate::base::id::{PipelineId, RunId};
use crate::base::time::Now;
use crate::pipeline::{DEFAULT_ENVIRONMENT, DEFAULT_RUN_TYPE, ParamError};

/// A run that is to begin.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The run's name; none: `<source>-<YYYYMMDDHHMMSS>`, with `-2`, `-3`, … where one exists.
    pub run_id: Option<RunId>,
    /// Which pipeline.
    pub pipeline_id: PipelineId,
    /// What it reads from.
    pub source: String,
    /// Who drives it.
    pub body: Body,
    /// Resolved parameters, without secrets.
    pub params: BTreeMap<String, String>,
    /// Default `FULL_REFRESH`.
    pub run_type: String,
    /// Default `dev`.
    pub environment: String,
    /// From 0 to 9: among runs that wait, the highest goes first; none: as the pipeline says.
    pub priority: Option<u8>,
    /// What starts it.
    pub trigger: Trigger,
    /// The job that it is a run of.
    pub fired_by: Option<FiredBy>,
    /// How long it may be held for a secret that is missing until the step that lacks it fails; none: until the operator
    /// does something.
    pub held_at_most: Option<Duration>,
    /// Kept with the run.
    pub metadata: Option<serde_json::Value>,
}

impl Plan {
    /// A run of a definition with the defaults, for parameters that are resolved already.
    pub fn new(definition: Arc<Definition>, params: BTreeMap<String, String>) -> Self {
        let (pipeline_id, source) = (definition.pipeline.id.clone(), definition.pipeline.source.clone());
        Self { params, ..Self::of_body(pipeline_id, source, Body::Pipeline(definition)) }
    }

    /// A run of a definition with the given values: run type and environment agree with the parameters of those names.
    ///
    /// # Errors
    /// [`ParamError`], when a parameter is unknown, missing, a secret, or not of its type.
    pub fn resolve(
        definition: Arc<Definition>,
        given: &BTreeMap<String, String>,
        run_type: Option<&str>,
        environment: Option<&str>,
        home: Option<&Path>,
    ) -> Result<Self, ParamError> {
        let arguments = definition.pipeline.resolve_arguments(given, run_type, environment, home)?;
        Ok(Self {
            run_type: arguments.run_type,
            environment: arguments.environment,
            ..Self::new(definition, arguments.params)
        })
    }

    /// A run that a program drives, with the defaults.
    pub fn driven(run_id: RunId, pipeline_id: PipelineId, source: impl Into<String>) -> Self {
        Self { run_id: Some(run_id), ..Self::of_body(pipeline_id, source.into(), Body::Driven) }
    }

    fn of_body(pipeline_id: PipelineId, source: String, body: Body) -> Self {
        Self {
            run_id: None,
            pipeline_id,
            source,
            body,
            params: BTreeMap::new(),
            run_type: DEFAULT_RUN_TYPE.into(),
            environment: DEFAULT_ENVIRONMENT.into(),
            priority: None,
            trigger: Trigger::Manual,
            fired_by: None,
            held_at_most: None,
            metadata: None,
        }
    }

    /// The run, recorded at `now`.
    #[doc(hidden)]
    pub fn into_run(self, now: Now) -> Run {
        let pipeline = match &self.body {
            Body::Driven => None,
            Body::Pipeline(definition) => Some(&definition.pipeline),
        };
        let priority = self.priority.or(pipeline.map(|pipeline| pipeline.priority)).unwrap_or_default();
        let ledger = RunLedger {
            priority: priority.min(MAX_PRIORITY),
            held_at_most_ms: self.held_at_most.map(|at_most| at_most.as_millis() as u64),
            fired_by: self.fired_by.map(Arc::new),
            ..RunLedger::default()
        };
        Run {
            // Without a name it gets one from the engine, which knows those that are taken.
            id: self.run_id.unwrap_or_else(|| self.pipeline_id.as_run_id()),
            steps: Steps::fresh(&self.body),
            pipeline_id: self.pipeline_id,
            source: self.source.into(),
            run_type: self.run_type.into(),
            environment: self.environment.into(),
            trigger: self.trigger,
            body: self.body,
            params: Arc::new(self.params),
            phase: Phase::of(RunState::Queued, None),
            attempt: 1,
            started_at: now.wall,
            progress: 0.0,
            current_step: None,
            message: None,
            error: None,
            metadata: self.metadata.map(|value| value.to_string().into()),
            ledger,
        }
    }
}

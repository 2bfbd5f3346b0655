//! Replaces the definition of an ended run by the present one.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::definition::parse_stored;
use crate::base::id::RunId;
use crate::engine::CoreExecutionEngine;
use crate::pipeline::{ParamError, differences};
use crate::run::{Body, Definition, Run, StepRun, StepState, Steps};
use crate::settings::{Catalogue, CatalogueError, Settings, read_definition};
use crate::store::{RunWrite, StoreError, StoredBody, StoredRun};

/// Why a run keeps its definition.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// The present file would lose finished work, or is that of another pipeline.
    #[error("run {run_id} can't continue with {path} as it is now: {reason}; resume it without --refresh, or start a new run{}", listed(.changes))]
    Refused {
        run_id: RunId,
        path: String,
        /// What prevents it.
        reason: String,
        /// All differences, one sentence each.
        changes: Vec<String>,
    },
    /// The run's parameters do not fit the present file.
    #[error(transparent)]
    Params(#[from] ParamError),
    /// The database failed, or the run does not exist or has no pipeline file.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn listed(changes: &[String]) -> String {
    changes.iter().map(|change| format!("\n  {change}")).collect()
}

/// The definition with which a run continues instead of its own: the present file, if `wants_fresh`; for a row that a
/// script wrote, the pipeline of its name. None: its own.
///
/// # Errors
/// [`CatalogueError`] when the file can't be found or read.
pub fn fresh_definition(
    stored: &StoredRun,
    wants_fresh: bool,
    data_dir: &Path,
    settings: &Settings,
) -> Result<Option<Arc<Definition>>, CatalogueError> {
    match &stored.body {
        StoredBody::Pipeline(definition) if wants_fresh => {
            read_definition(Path::new(&*definition.path)).map(Some)
        }
        StoredBody::Pipeline(_) | StoredBody::Driven => Ok(None),
        StoredBody::Unknown => {
            Catalogue::scan(data_dir, settings).find(stored.summary.pipeline_id.as_str()).map(Some)
        }
    }
}

/// Gives the ended run `run_id` the definition `fresh`. Returns the differences from the old one, one sentence each.
/// The engine does not keep ended runs in memory, so it reads the change when the run is resumed.
///
/// # Errors
/// [`RefreshError::Refused`] when the run has not ended, the file is that of another pipeline, or a finished step is
/// missing from the file.
pub fn refresh_definition(
    engine: &CoreExecutionEngine,
    run_id: &RunId,
    fresh: &Arc<Definition>,
) -> Result<Vec<String>, RefreshError> {
    let stored = engine.store().load_run(run_id)?;
    let stored = stored.ok_or_else(|| StoreError::Invalid(format!("there is no run {run_id}")))?;
    if matches!(stored.body, StoredBody::Driven) {
        return Err(StoreError::Invalid(format!("run {run_id} is driven by a program of its own")).into());
    }
    let run = stored.into_run(parse_stored)?;
    let (mut refreshed, changes) = refreshed(&run, fresh)?;
    let mut writes = Vec::new();
    for index in 0..refreshed.steps.len() {
        let step = &refreshed.steps[index];
        // Steps of a row that a script wrote have no record but their checkpoints.
        if step.attempt == 0 && engine.store().load_checkpoint(run_id, &step.id)?.is_some() {
            refreshed.step_mut(index).ledger.has_checkpoint = true;
            writes.push(RunWrite::Step { run_id: run_id.clone(), step: refreshed.steps[index].clone() });
        }
    }
    // Fails if the run was resumed meanwhile.
    let expected = RunWrite::Expect { run_id: run_id.clone(), state: run.state(), attempt: run.attempt };
    writes.splice(0..0, [expected, RunWrite::Run(Arc::new(refreshed))]);
    engine.store().commit(&writes)?;
    Ok(changes)
}

/// The run with the new definition, and one step for each of its steps.
fn refreshed(run: &Run, fresh: &Arc<Definition>) -> Result<(Run, Vec<String>), RefreshError> {
    let changes = run.definition().map(|old| differences(&old.pipeline, &fresh.pipeline)).unwrap_or_default();
    let refused = |reason: String| RefreshError::Refused {
        run_id: run.id.clone(),
        path: fresh.path.to_string(),
        reason,
        changes: changes.clone(),
    };
    if !run.state().is_ended() {
        return Err(refused(format!("it is {}; stop it first", run.state())));
    }
    if fresh.pipeline.id != run.pipeline_id {
        return Err(refused(format!(
            "the file is that of pipeline {}, the run that of {}",
            fresh.pipeline.id, run.pipeline_id
        )));
    }
    let is_gone = |step: &&Arc<StepRun>| {
        step.state() == StepState::Completed && fresh.pipeline.step_index(step.id.as_str()).is_none()
    };
    let gone: Vec<_> = run.steps.iter().filter(is_gone).map(|step| step.id.as_str()).collect();
    if !gone.is_empty() {
        return Err(refused(format!("its finished step {} is gone from the file", gone.join(", "))));
    }
    let known = &fresh.pipeline.params;
    let given: BTreeMap<_, _> =
        run.params.iter().filter(|(name, _)| known.contains_key(*name)).map(owned).collect();
    let params = fresh.pipeline.resolve_params(&given, std::env::home_dir().as_deref())?;
    let by_id: BTreeMap<_, _> = run.steps.iter().map(|step| (step.id.as_str(), step)).collect();
    let steps = fresh.pipeline.steps.iter().map(|step| match by_id.get(step.id.as_str()) {
        Some(known) => Arc::clone(known),
        None => Arc::new(StepRun::new(step.id.clone())),
    });
    let body = Body::Pipeline(fresh.clone());
    let steps = Steps::of(&body, steps);
    let refreshed = Run { steps, body, params: Arc::new(params), ..run.clone() };
    Ok((refreshed, changes))
}

fn owned((name, value): (&String, &String)) -> (String, String) {
    (name.clone(), value.clone())
}

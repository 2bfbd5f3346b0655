//! What a start form shows: the definition, the values of an earlier run, and which secrets are set.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::api::Error;
use crate::backend::Backend;
use crate::base::id::RunId;
use crate::engine::{EngineError, now, secret_state};
use crate::pipeline::{Param, SecretState};
use crate::records::definition_of;
use crate::run::{Definition, RunSummary};
use crate::settings::read_definition;
use crate::store::{DataDir, RunFilter};

/// How many past runs are looked at for what was used before.
const MAX_RUNS: usize = 200;

/// What is to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartOf {
    pub pipeline_id: String,
    /// Its file; none where none is listed: then the definition of `like` is used.
    pub path: Option<PathBuf>,
    /// The run whose values are the first ones.
    pub like: Option<RunId>,
}

/// What a start form shows.
#[derive(Debug, Clone, PartialEq)]
pub struct StartBasis {
    pub definition: Arc<Definition>,
    pub earlier: Option<Earlier>,
    /// For each secret of the pipeline, whether it is set.
    pub secrets: BTreeMap<String, SecretState>,
    /// What past runs used, as suggestions.
    pub used: UsedValues,
    /// Replaces a leading `~` in paths.
    pub home: Option<PathBuf>,
    /// The data directory, unless it is the platform's own.
    pub data_dir: Option<PathBuf>,
}

/// The values of an earlier run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Earlier {
    pub run_id: RunId,
    pub params: BTreeMap<String, String>,
    pub run_type: String,
    pub environment: String,
    /// Whether the definition is the one that it started with, because no file has it any more.
    pub has_the_definition: bool,
}

/// The run types and environments of a pipeline's past runs, the latest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UsedValues {
    pub run_types: Vec<String>,
    pub environments: Vec<String>,
}

impl UsedValues {
    fn of<'a>(runs: impl Iterator<Item = &'a RunSummary>) -> Self {
        let mut used = Self::default();
        let add = |values: &mut Vec<String>, value: &str| {
            if !values.iter().any(|known| known == value) {
                values.push(value.to_owned());
            }
        };
        for run in runs {
            add(&mut used.run_types, &run.run_type);
            add(&mut used.environments, &run.environment);
        }
        used
    }
}

impl StartBasis {
    /// Reads it from disk.
    pub(super) fn read(of: &StartOf, backend: &Backend) -> Result<Self, Error> {
        let stored = match &of.like {
            Some(run_id) => backend.records()?.stored(run_id).map_err(EngineError::from)?,
            None => None,
        };
        let definition = match (&of.path, &stored) {
            (Some(path), _) => read_definition(path).map_err(|error| Error::impossible(error.to_string()))?,
            (None, Some(stored)) => definition_of(stored).map_err(EngineError::from)?,
            (None, None) => {
                let text = format!("no pipeline file has the id {:?}", of.pipeline_id);
                return Err(Error::impossible(text));
            }
        };
        let is_own_engine = backend.handler().is_some();
        let secrets = definition.pipeline.params.iter().filter_map(|(name, param)| match param {
            Param::Secret(source) => Some((name.clone(), secret_state(source, is_own_engine))),
            Param::Value { .. } => None,
        });
        let secrets = secrets.collect();
        let runs = RunFilter {
            pipeline: Some(definition.pipeline.id.clone()),
            limit: Some(MAX_RUNS),
            ..RunFilter::default()
        };
        let runs = backend.records()?.runs(&runs, now()).map_err(EngineError::from)?;
        let earlier = stored.map(|stored| Earlier {
            run_id: stored.summary.run_id.clone(),
            params: (*stored.params).clone(),
            run_type: stored.summary.run_type.to_string(),
            environment: stored.summary.environment.to_string(),
            has_the_definition: of.path.is_none(),
        });
        let data_dir = backend.data_dir().path();
        let is_platforms = DataDir::locate(None).is_ok_and(|own| own == data_dir);
        let data_dir = (!is_platforms).then(|| data_dir.to_owned());
        Ok(Self {
            definition,
            earlier,
            secrets,
            used: UsedValues::of(runs.iter()),
            home: std::env::home_dir(),
            data_dir,
        })
    }
}

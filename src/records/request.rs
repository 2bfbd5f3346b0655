//! From what was asked for to a request that the engine takes: parameters resolved, run type and environment
//! consistent with the parameters of those names.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::base::id::RunId;
use crate::engine::PipelineRequest;
use crate::pipeline::{ParamError, Pipeline};
use crate::run::Definition;
use crate::store::{StoreError, StoredBody, StoredRun};

/// What a caller says about a run that is to be started.
#[derive(Debug, Clone, Default)]
pub struct RunRequest {
    /// Parameters by name.
    pub params: BTreeMap<String, String>,
    /// The run's name; none: one is made.
    pub run_id: Option<RunId>,
    /// Its run type; none: the pipeline's or `FULL_REFRESH`.
    pub run_type: Option<String>,
    /// Its environment; none: the pipeline's or `dev`.
    pub environment: Option<String>,
    /// From 0 to 9: among runs that wait, the highest goes first; none: the pipeline's.
    pub priority: Option<u8>,
}

impl RunRequest {
    /// What was said of an earlier run, where this does not say otherwise: its parameters, run type and
    /// environment. Parameters that `definition` does not have are left out.
    #[must_use]
    pub fn like(mut self, earlier: &StoredRun, definition: &Definition) -> Self {
        let known = &definition.pipeline.params;
        let mut params: BTreeMap<_, _> = earlier
            .params
            .iter()
            .filter(|(name, _)| known.contains_key(*name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        for (name, own, earlier) in [
            ("run_type", &mut self.run_type, &earlier.summary.run_type),
            ("environment", &mut self.environment, &earlier.summary.environment),
        ] {
            if own.is_some() {
                // The new word counts, not the earlier parameter of that name.
                params.remove(name);
            } else if !known.contains_key(name) {
                *own = Some(earlier.to_string());
            }
        }
        params.append(&mut self.params);
        self.params = params;
        self
    }
}

/// A request for a run of `definition`.
///
/// # Errors
/// [`ParamError`], when a parameter is unknown, missing, a secret, or not of its type.
pub fn resolve(definition: Arc<Definition>, asked: RunRequest) -> Result<PipelineRequest, ParamError> {
    let home = std::env::home_dir();
    let arguments = definition.pipeline.resolve_arguments(
        &asked.params,
        asked.run_type.as_deref(),
        asked.environment.as_deref(),
        home.as_deref(),
    )?;
    Ok(PipelineRequest {
        run_id: asked.run_id,
        priority: asked.priority,
        run_type: arguments.run_type,
        environment: arguments.environment,
        ..PipelineRequest::new(definition, arguments.params)
    })
}

/// The definition that a run started with.
///
/// # Errors
/// [`StoreError::Definition`] when it is not understood any more, [`StoreError::Invalid`] when the run has none.
pub fn definition_of(run: &StoredRun) -> Result<Arc<Definition>, StoreError> {
    match &run.body {
        StoredBody::Pipeline(stored) => {
            let pipeline =
                parse_stored(&stored.path, &stored.text).map_err(|reason| StoreError::Definition {
                    run_id: run.summary.run_id.clone(),
                    path: stored.path.to_string(),
                    reason,
                })?;
            Ok(Arc::new(Definition { path: stored.path.clone(), text: stored.text.clone(), pipeline }))
        }
        StoredBody::Driven | StoredBody::Unknown => Err(StoreError::Invalid(format!(
            "run {} has no pipeline file of its own (a program drove it); name the pipeline to run",
            run.summary.run_id
        ))),
    }
}

/// Reads a stored definition; the first problem, where it is not understood.
pub(crate) fn parse_stored(path: &str, text: &str) -> Result<Pipeline, String> {
    Pipeline::parse(text, Path::new(path), std::env::home_dir().as_deref()).map_err(|problems| {
        problems.first().map_or_else(|| "it can't be read".to_owned(), ToString::to_string)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "id = \"p\"\n[params.run_type]\ndefault = \"FULL\"\nchoices = [\"FULL\", \"DELTA\"]\n\
                        [params.n]\ntype = \"int\"\ndefault = 1\n[[step]]\nid = \"a\"\nrun = \"true\"\n";

    fn definition() -> Arc<Definition> {
        let pipeline = Pipeline::parse(TEXT, Path::new("/p.toml"), None).unwrap();
        Arc::new(Definition { path: "/p.toml".into(), text: TEXT.into(), pipeline })
    }

    fn asked(params: &[(&str, &str)], run_type: Option<&str>) -> RunRequest {
        RunRequest {
            params: params.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            run_type: run_type.map(str::to_owned),
            ..RunRequest::default()
        }
    }

    #[test]
    fn the_run_type_and_the_parameter_of_that_name_agree() {
        let made = resolve(definition(), asked(&[], Some("DELTA"))).unwrap();
        assert_eq!((made.run_type.as_str(), made.params["run_type"].as_str()), ("DELTA", "DELTA"));
        let made = resolve(definition(), asked(&[("run_type", "DELTA"), ("n", "3")], None)).unwrap();
        assert_eq!((made.run_type.as_str(), made.params["n"].as_str()), ("DELTA", "3"));
        assert_eq!(made.environment, "dev");
        resolve(definition(), asked(&[("run_type", "FULL")], Some("DELTA"))).expect_err("they contradict");
        resolve(definition(), asked(&[("m", "3")], None)).expect_err("there is no m");
    }
}

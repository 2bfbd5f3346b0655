//! The definition of a stored run.

use std::path::Path;
use std::sync::Arc;

use crate::pipeline::Pipeline;
use crate::run::Definition;
use crate::store::{StoreError, StoredBody, StoredRun};

/// Parses the definition that a run started with.
///
/// # Errors
/// [`StoreError::Definition`] when it no longer parses; [`StoreError::Invalid`] when the run has none.
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

/// Parses a stored definition. The error is its first problem.
pub(crate) fn parse_stored(path: &str, text: &str) -> Result<Pipeline, String> {
    Pipeline::parse(text, Path::new(path), std::env::home_dir().as_deref()).map_err(|problems| {
        problems.first().map_or_else(|| "it can't be read".to_owned(), ToString::to_string)
    })
}

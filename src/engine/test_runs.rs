//! Runs for the unit tests of the engine's parts.

use std::path::Path;
use std::sync::Arc;

use chrono::DateTime;

use super::options::{Params, PipelineRequest, StartRequest};
use crate::base::time::Now;
use crate::pipeline::Pipeline;
use crate::run::{Definition, Run};

const NOW: Now = Now { wall: DateTime::UNIX_EPOCH, awake_ms: 0 };

/// A run that a program drives, as it is started.
pub(super) fn driven(run_id: &str) -> Run {
    StartRequest::new(run_id, "p", "test").expect("ids").into_run(NOW)
}

/// A run of a pipeline with these steps, as it is started.
pub(super) fn of_steps(run_id: &str, steps: &[&str]) -> Run {
    let steps = steps.iter().map(|id| format!("[[step]]\nid = \"{id}\"\nrun = \"true\"\n"));
    of_pipeline(run_id, &steps.collect::<String>())
}

/// A run of the pipeline that this text describes, as it is started.
pub(super) fn of_pipeline(run_id: &str, text: &str) -> Run {
    let pipeline = Pipeline::parse(text, Path::new("/pipelines/p.toml"), None).expect("a pipeline");
    let definition = Definition { path: "/pipelines/p.toml".into(), text: text.into(), pipeline };
    let request = PipelineRequest::new(Arc::new(definition), Params::new());
    Run { id: run_id.try_into().expect("an id"), ..request.into_run(NOW) }
}

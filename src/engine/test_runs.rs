//! Runs for the unit tests of the engine's parts.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use chrono::DateTime;

use crate::base::time::Now;
use crate::pipeline::Pipeline;
use crate::run::{Definition, Plan, Run};

const NOW: Now = Now { wall: DateTime::UNIX_EPOCH, awake_ms: 0 };

/// A run that a program drives, as it is at its start.
pub(super) fn driven(run_id: &str) -> Run {
    let (run_id, pipeline_id) = (run_id.try_into().expect("an id"), "p".try_into().expect("an id"));
    Plan::driven(run_id, pipeline_id, "test").into_run(NOW)
}

/// A run of a pipeline with these steps, as it is at its start.
pub(super) fn of_steps(run_id: &str, steps: &[&str]) -> Run {
    let steps = steps.iter().map(|id| format!("[[step]]\nid = \"{id}\"\nrun = \"true\"\n"));
    of_pipeline(run_id, &steps.collect::<String>())
}

/// A run of the pipeline in this text, as it is at its start.
pub(super) fn of_pipeline(run_id: &str, text: &str) -> Run {
    let pipeline = Pipeline::parse(text, Path::new("/pipelines/p.toml"), None).expect("a pipeline");
    let definition = Definition { path: "/pipelines/p.toml".into(), text: text.into(), pipeline };
    let plan = Plan::new(Arc::new(definition), BTreeMap::new());
    Run { id: run_id.try_into().expect("an id"), ..plan.into_run(NOW) }
}

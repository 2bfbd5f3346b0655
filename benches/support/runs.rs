//! Engines and runs to be measured.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use leverframe::CoreExecutionEngine;
use leverframe::base::id::{PipelineId, RunId, StepId};
use leverframe::engine::{EngineOptions, HostStart, StartRequest, Subscription};
use leverframe::pipeline::Pipeline;
use leverframe::run::{Definition, Plan, Record, RunState};
use leverframe::store::{CheckpointManager, ExecutionRecord, RunWrite};
use serde_json::json;

/// An engine with a supervisor: this program.
pub(crate) fn engine(data_dir: &Path) -> CoreExecutionEngine {
    let options = EngineOptions { host_start: HostStart::AtOnce, ..EngineOptions::default() };
    CoreExecutionEngine::open(data_dir, options).expect("the engine opens")
}

/// An engine that runs no steps.
pub(crate) fn engine_without_steps(data_dir: &Path) -> CoreExecutionEngine {
    CoreExecutionEngine::open(data_dir, EngineOptions::default()).expect("the engine opens")
}

/// A definition from a pipeline's text.
pub(crate) fn definition(text: &str) -> Arc<Definition> {
    let path = Path::new("/benchmark.toml");
    let pipeline = Pipeline::parse(text, path, None).expect("a valid pipeline");
    Arc::new(Definition { path: path.to_string_lossy().into(), text: text.into(), pipeline })
}

/// `n` steps `/bin/true`, each after the one before it (`needs` left out) or none after another (`needs = []`).
pub(crate) fn trues(n: usize, settings: &str, needs: &str) -> Arc<Definition> {
    let mut text = format!("id = \"bench\"\n{settings}\n");
    for i in 0..n {
        write!(text, "[[step]]\nid = \"step-{i}\"\nrun = [\"/bin/true\"]\n{needs}\n").expect("a text");
    }
    definition(&text)
}

/// Runs a pipeline from the call to the event of its end.
pub(crate) fn run_to_the_end(
    engine: &CoreExecutionEngine,
    events: &Subscription,
    pipeline: &Arc<Definition>,
) -> RunId {
    let request = Plan::new(pipeline.clone(), Default::default());
    let run_id = engine.start_pipeline(request).expect("the run starts");
    loop {
        let event = events.recv().expect("the engine lives");
        let of_this = event.kind.run().filter(|_| event.run_id.as_ref() == Some(&run_id));
        if let Some(run) = of_this.filter(|run| run.state.is_ended()) {
            assert_eq!(run.state, RunState::Completed, "{:?}", run.error);
            return run_id;
        }
    }
}

pub(crate) fn run_id(text: impl AsRef<str>) -> RunId {
    RunId::new(text).expect("an id")
}

pub(crate) fn step_id(text: &str) -> StepId {
    StepId::new(text).expect("an id")
}

/// A request for a run that the benchmark drives.
pub(crate) fn driven(id: RunId) -> StartRequest {
    StartRequest::new(id, "nightly", "alfabeta").expect("ids")
}

/// The name of an ended run that [`fill`] makes.
pub(crate) fn old_run(i: usize) -> RunId {
    run_id(format!("run-{i:06}"))
}

/// Records `n` ended runs with a checkpoint each, in large batches.
pub(crate) fn fill(store: &CheckpointManager, n: usize) {
    let started_at = "2026-03-01T02:00:00Z".parse().expect("an instant");
    for first in (0..n).step_by(5000) {
        let writes: Vec<RunWrite> = (first..n.min(first + 5000))
            .flat_map(|i| {
                let data = json!({ "page": i }).to_string().into();
                let record = Record::Checkpoint { step_id: "fetch".into(), data, at: started_at };
                let checkpoint = RunWrite::Record { run_id: old_run(i), record };
                let run = RunWrite::Execution(Box::new(ExecutionRecord {
                    run_id: old_run(i),
                    pipeline_id: PipelineId::new("nightly").expect("an id"),
                    source: "alfabeta".to_owned(),
                    state: RunState::Completed,
                    started_at: started_at + chrono::TimeDelta::seconds(i as i64),
                    finished_at: Some(started_at + chrono::TimeDelta::seconds(i as i64 + 60)),
                    progress: 1.0,
                    current_step: Some("load".to_owned()),
                    error: None,
                    metadata: None,
                }));
                [checkpoint, run]
            })
            .collect();
        store.commit(&writes).expect("filled");
    }
}

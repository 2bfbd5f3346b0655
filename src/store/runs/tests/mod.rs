//! The store against real SQLite files.

mod crashing;
mod history;
mod opening;
mod pruning;
mod reading;
mod writing;

use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use tempfile::TempDir;

use super::schema::HAS_ENDED;
use super::{CheckpointManager, RunWrite};
use crate::base::id::{PipelineId, RunId, StepId};
use crate::pipeline::{Command, OnFailure, Pipeline, Retries, Step};
use crate::run::{
    Body, Definition, Phase, Record, Run, RunLedger, RunState, StepPhase, StepRun, StepState, Trigger,
};

/// A store on a real file, removed with the test.
struct Fixture {
    dir: TempDir,
    store: CheckpointManager,
}

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = CheckpointManager::open(dir.path().join("checkpoints.db")).unwrap();
        Self { dir, store }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("checkpoints.db")
    }
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_399_200, 0).unwrap() + TimeDelta::seconds(seconds)
}

fn run_id(text: &str) -> RunId {
    RunId::new(text).unwrap()
}

fn step_id(text: &str) -> StepId {
    StepId::new(text).unwrap()
}

fn run(id: &str, state: RunState, started: i64) -> Run {
    Run {
        id: run_id(id),
        pipeline_id: PipelineId::new("nightly").unwrap(),
        source: "alfabeta".into(),
        run_type: "DELTA".into(),
        environment: "prod".into(),
        trigger: Trigger::Schedule,
        body: Body::Driven,
        params: Arc::new([("limit".to_owned(), "3".to_owned())].into()),
        phase: Phase::of(state, state.is_ended().then(|| at(started + 10))),
        attempt: 2,
        started_at: at(started),
        progress: 0.5,
        current_step: Some("fetch".into()),
        message: Some("page 12".into()),
        error: None,
        metadata: Some("{\"ticket\":7}".into()),
        steps: Default::default(),
        ledger: RunLedger { frozen_ms: 1500, boot_id: "b".into(), ..RunLedger::default() },
    }
}

fn step(id: &str, state: StepState, attempt: u32) -> StepRun {
    StepRun {
        phase: StepPhase::of(state),
        attempt,
        started_at: Some(at(1)),
        progress: 0.25,
        ..StepRun::new(step_id(id))
    }
}

fn checkpoint(run: &str, step: &str, data: &str, at: DateTime<Utc>) -> RunWrite {
    let record = Record::Checkpoint { step_id: step.into(), data: data.into(), at };
    RunWrite::Record { run_id: run_id(run), record }
}

/// Stands for the parser: each word of the text is a step.
#[expect(clippy::unnecessary_wraps, reason = "the shape of the real parser")]
fn parse(_path: &str, text: &str) -> Result<Pipeline, String> {
    let step = |word: &str| Step {
        id: step_id(word),
        needs: Vec::new(),
        command: Command::Argv(vec!["true".into()]),
        working_dir: "/".into(),
        env: Default::default(),
        timeout: None,
        retries: Retries { max: 0, delay: Default::default(), factor: 1.0, max_delay: Default::default() },
        resources: Default::default(),
        weight: 1.0,
        on_interrupt: Default::default(),
        stop_signal: 15,
        grace: Default::default(),
        log_limit: 1024,
        background: Default::default(),
        when: Default::default(),
        may_fail: false,
        finally: false,
    };
    let steps: Vec<_> = text.split_whitespace().map(step).collect();
    Ok(Pipeline {
        id: PipelineId::new("nightly").unwrap(),
        source: "alfabeta".into(),
        description: None,
        max_parallel: None,
        inhibit_sleep: false,
        on_failure: OnFailure::Stop,
        timeout: None,
        max_concurrent_runs: None,
        group: None,
        priority: 0,
        on_battery: Default::default(),
        quiet: Default::default(),
        params: Default::default(),
        env: Default::default(),
        schedules: Vec::new(),
        graph: crate::pipeline::Graph::of(&steps),
        steps,
    })
}

fn definition(text: &str) -> Arc<Definition> {
    let path = "/home/u/nightly.toml";
    Arc::new(Definition { path: path.into(), text: text.into(), pipeline: parse(path, text).unwrap() })
}

//! Commits: all or nothing, shared, refused by kind.

use std::sync::Barrier;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::json;

use super::*;
use crate::run::{Decision, Freeze, Verdict};
use crate::store::{ExecutionRecord, RunWrite, StoreError, StoredBody};

#[test]
fn a_run_comes_back_as_it_was_written() {
    let f = Fixture::new();
    let mut written = run("r", RunState::Paused, 0);
    written.body = Body::Pipeline(definition("fetch parse load"));
    let freeze = Freeze { since: Some(at(5)), ..Freeze::default() };
    written.phase = Phase::Paused { verdict: Some(Verdict::Failed("why".to_owned())), freeze };
    let fetch = StepRun {
        exit_code: Some(0),
        finished_at: Some(at(4)),
        peak_rss: Some((7_000_000, "rusage".into())),
        cpu_seconds: Some(1.5),
        outputs: Some("{\"rows\":3}".into()),
        pid: Some(42),
        message: Some("done".into()),
        ..step("fetch", StepState::Completed, 1)
    };
    let load = step("load", StepState::Waiting, 0);
    f.store
        .commit(&[
            RunWrite::Run(Arc::new(written.clone())),
            RunWrite::Step { run_id: run_id("r"), step: Arc::new(load.clone()) },
            RunWrite::Step { run_id: run_id("r"), step: Arc::new(fetch.clone()) },
        ])
        .unwrap();
    let stored = f.store.load_run(&run_id("r")).unwrap().unwrap();
    assert_eq!(Some(&stored.summary), f.store.load_summary(&run_id("r")).unwrap().as_ref());
    assert_eq!(stored.summary, crate::run::RunSummary { live: false, ..written.summary() });
    let read = stored.into_run(parse).unwrap();
    assert_eq!(read.summary(), written.summary());
    assert_eq!((read.phase, read.ledger, read.params), (written.phase, written.ledger, written.params));
    assert_eq!(read.metadata, written.metadata);
    let steps: Vec<StepRun> = read.steps.iter().map(|step| (**step).clone()).collect();
    assert_eq!(steps, [fetch, StepRun::new(step_id("parse")), load]);
    assert!(matches!(read.body, Body::Pipeline(d) if &*d.text == "fetch parse load"));
}

#[test]
fn runs_share_the_text_of_a_definition_and_a_refreshed_one_replaces_it() {
    let f = Fixture::new();
    let shared = definition("fetch");
    let mut first = Run { body: Body::Pipeline(shared.clone()), ..run("a", RunState::Running, 0) };
    let second = Run { body: Body::Pipeline(definition("fetch")), ..run("b", RunState::Running, 1) };
    f.store.commit(&[RunWrite::Run(Arc::new(first.clone())), RunWrite::Run(Arc::new(second))]).unwrap();
    let n_definitions = || -> i64 {
        f.store
            .with_writer(|conn| conn.query_row("SELECT count(*) FROM definitions", [], |r| r.get(0)).unwrap())
    };
    assert_eq!(n_definitions(), 1);
    let living = f.store.load_living().unwrap();
    match (&living[0].body, &living[1].body) {
        (StoredBody::Pipeline(a), StoredBody::Pipeline(b)) => assert!(Arc::ptr_eq(a, b)),
        other => panic!("{other:?}"),
    }
    first.body = Body::Pipeline(definition("fetch load"));
    f.store.commit(&[RunWrite::Run(Arc::new(first))]).unwrap();
    assert_eq!(n_definitions(), 2);
    let read = f.store.load_run(&run_id("a")).unwrap().unwrap().into_run(parse).unwrap();
    assert_eq!(read.steps.len(), 2);
}

#[test]
fn a_definition_that_no_longer_parses_is_an_error_that_names_run_and_file() {
    let f = Fixture::new();
    let written = Run { body: Body::Pipeline(definition("fetch")), ..run("a", RunState::Running, 0) };
    f.store.commit(&[RunWrite::Run(Arc::new(written))]).unwrap();
    let stored = f.store.load_run(&run_id("a")).unwrap().unwrap();
    let error = stored.into_run(|_, _| Err("line 3: what?".to_owned())).unwrap_err().to_string();
    assert!(error.contains("run a") && error.contains("nightly.toml") && error.contains("line 3"), "{error}");
}

#[test]
fn an_earlier_attempt_is_kept_when_the_step_begins_again() {
    let f = Fixture::new();
    let write = |state, attempt, exit_code| {
        let step = StepRun { exit_code, ..step("fetch", state, attempt) };
        f.store.commit(&[RunWrite::Step { run_id: run_id("r"), step: Arc::new(step) }]).unwrap();
    };
    f.store.commit(&[RunWrite::Run(Arc::new(run("r", RunState::Running, 0)))]).unwrap();
    write(StepState::Waiting, 0, None);
    write(StepState::Running, 1, None);
    write(StepState::Failed, 1, Some(3));
    write(StepState::Waiting, 1, None);
    write(StepState::Running, 2, None);
    write(StepState::Failed, 2, Some(4));
    write(StepState::Running, 3, None);
    write(StepState::Completed, 3, Some(0));
    let attempts = f.store.attempts(&run_id("r")).unwrap();
    let seen: Vec<_> = attempts.iter().map(|a| (a.step.attempt, a.step.state(), a.step.exit_code)).collect();
    assert_eq!(
        seen,
        [
            (1, StepState::Failed, Some(3)),
            (2, StepState::Failed, Some(4)),
            (3, StepState::Completed, Some(0))
        ]
    );
    assert_eq!(f.store.load_run(&run_id("r")).unwrap().unwrap().steps[0].attempt, 3);
}

#[test]
fn a_retry_moves_checkpoint_and_outputs_to_the_earlier_attempt() {
    let f = Fixture::new();
    let done = StepRun { outputs: Some("{\"rows\":3}".into()), ..step("fetch", StepState::Completed, 1) };
    f.store
        .commit(&[
            RunWrite::Run(Arc::new(run("r", RunState::Completed, 0))),
            RunWrite::Step { run_id: run_id("r"), step: Arc::new(done) },
            checkpoint("r", "fetch", "{\"page\":9}", at(3)),
        ])
        .unwrap();
    let archive = RunWrite::Record {
        run_id: run_id("r"),
        record: Record::ArchiveCheckpoint { step_id: step_id("fetch"), attempt: 1 },
    };
    let again = RunWrite::Step {
        run_id: run_id("r"),
        step: Arc::new(StepRun { attempt: 1, ..StepRun::new(step_id("fetch")) }),
    };
    // In any order within the batch, and also when it is repeated.
    f.store.commit(&[again, archive.clone(), archive]).unwrap();
    assert_eq!(f.store.load_checkpoint("r", "fetch").unwrap(), None);
    let attempts = f.store.attempts(&run_id("r")).unwrap();
    assert_eq!(attempts.len(), 1);
    assert_eq!(attempts[0].step.state(), StepState::Completed);
    assert_eq!(attempts[0].step.outputs.as_deref(), Some("{\"rows\":3}"));
    assert_eq!(attempts[0].archived_checkpoint, Some(json!({"page": 9})));
    let current = &f.store.load_run(&run_id("r")).unwrap().unwrap().steps[0];
    assert_eq!((current.state(), current.outputs.as_deref()), (StepState::Pending, None));
}

#[test]
fn a_refused_commit_leaves_no_trace() {
    let f = Fixture::new();
    let bad = checkpoint("r", "fetch", "{broken", at(0));
    let refused = f.store.commit(&[RunWrite::Run(Arc::new(run("r", RunState::Queued, 0))), bad]);
    assert!(matches!(refused, Err(StoreError::Invalid(_))), "{refused:?}");
    assert!(f.store.load_summary(&run_id("r")).unwrap().is_none());
    for (run, step) in [("../r", "x"), ("r", "a/b"), ("r", "")] {
        assert!(matches!(f.store.save_checkpoint(run, step, &json!(1)), Err(StoreError::Invalid(_))));
    }
}

#[test]
fn one_callers_bad_row_does_not_fail_the_others_of_its_batch() {
    let f = Fixture::new();
    // An error that no check foresees: a user's trigger refuses one run.
    Connection::open(f.path())
        .unwrap()
        .execute_batch(
            "CREATE TRIGGER no BEFORE INSERT ON checkpoints WHEN NEW.run_id = 'bad'
               BEGIN SELECT RAISE(ABORT, 'not this one'); END",
        )
        .unwrap();
    let start = Barrier::new(8);
    std::thread::scope(|scope| {
        for caller in 0..8 {
            let (store, start) = (f.store.clone(), &start);
            scope.spawn(move || {
                start.wait();
                for i in 0..30 {
                    let run = if caller == 0 { "bad".to_owned() } else { format!("r{caller}-{i}") };
                    let saved = store.save_checkpoint(run, "x", &json!(i));
                    assert_eq!(saved.is_err(), caller == 0, "{saved:?}");
                }
            });
        }
    });
    let n: i64 =
        f.store.with_writer(|c| c.query_row("SELECT count(*) FROM checkpoints", [], |r| r.get(0)).unwrap());
    assert_eq!(n, 7 * 30);
}

#[test]
fn sixteen_callers_at_once_all_find_their_checkpoints_on_disk() {
    let f = Fixture::new();
    std::thread::scope(|scope| {
        for caller in 0..16 {
            let store = f.store.clone();
            scope.spawn(move || {
                let run = format!("r{caller}");
                for i in 0..50 {
                    store.save_checkpoint(&run, "fetch", &json!({ "page": i })).unwrap();
                    assert_eq!(store.load_checkpoint(&run, "fetch").unwrap(), Some(json!({ "page": i })));
                }
            });
        }
    });
    assert!(f.store.integrity_check().unwrap().is_empty());
}

#[test]
fn a_full_disk_is_told_as_such_and_all_goes_on_when_there_is_space() {
    let f = Fixture::new();
    f.store.save_checkpoint("r", "x", &json!("small")).unwrap();
    let limit = |pages: i64| {
        f.store.with_writer(|conn| {
            conn.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).unwrap();
        });
    };
    let big = json!("x".repeat(200_000));
    limit(1);
    let refused = f.store.save_checkpoint("r", "y", &big);
    assert!(matches!(refused, Err(StoreError::DiskFull { .. })), "{refused:?}");
    assert!(refused.unwrap_err().is_passing());
    assert_eq!(f.store.load_checkpoint("r", "y").unwrap(), None);
    assert_eq!(f.store.load_checkpoint("r", "x").unwrap(), Some(json!("small")));
    limit(1_000_000);
    f.store.save_checkpoint("r", "y", &big).unwrap();
    assert_eq!(f.store.load_checkpoint("r", "y").unwrap(), Some(big));
}

#[test]
fn somebody_elses_open_transaction_is_told_as_such_and_reads_go_on() {
    let f = Fixture::new();
    f.store.save_checkpoint("r", "x", &json!(1)).unwrap();
    let store = CheckpointManager::open_with_patience(f.path(), Duration::from_millis(50)).unwrap();
    let other = Connection::open(f.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE; DELETE FROM checkpoints").unwrap();
    let refused = store.save_checkpoint("r", "x", &json!(2));
    assert!(matches!(refused, Err(StoreError::Locked { .. })), "{refused:?}");
    assert_eq!(store.load_checkpoint("r", "x").unwrap(), Some(json!(1)), "a read waits for nobody");
    other.execute_batch("ROLLBACK").unwrap();
    store.save_checkpoint("r", "x", &json!(2)).unwrap();
    assert_eq!(store.load_checkpoint("r", "x").unwrap(), Some(json!(2)));
}

#[test]
fn the_fixed_columns_alone_can_be_saved_and_leave_ours_alone() {
    let f = Fixture::new();
    f.store.commit(&[RunWrite::Run(Arc::new(run("r", RunState::Running, 0)))]).unwrap();
    let record = ExecutionRecord {
        run_id: run_id("r"),
        pipeline_id: PipelineId::new("nightly").unwrap(),
        source: "alfabeta".into(),
        state: RunState::Failed,
        started_at: at(0),
        finished_at: Some(at(9)),
        progress: 0.75,
        current_step: None,
        error: Some("boom".into()),
        metadata: Some(json!({"k": [1, 2]})),
    };
    f.store.save_execution_state(&record).unwrap();
    assert_eq!(f.store.load_execution_state("r").unwrap(), Some(record.clone()));
    assert_eq!(f.store.load_summary(&run_id("r")).unwrap().unwrap().run_type.as_ref(), "DELTA");
    f.store.save_execution_state(&ExecutionRecord { run_id: run_id("new"), ..record }).unwrap();
    assert_eq!(f.store.load_summary(&run_id("new")).unwrap().unwrap().environment.as_ref(), "dev");
}

#[test]
fn decisions_come_back_in_their_order() {
    let f = Fixture::new();
    let decision = |second, run: &str, step: Option<&str>| Decision {
        at: at(second),
        run_id: run_id(run),
        step_id: step.map(step_id),
        text: format!("decision {second}"),
    };
    let all = [decision(0, "a", None), decision(5, "b", Some("x")), decision(9, "a", Some("y"))];
    let of = |decision: &Decision| RunWrite::Record {
        run_id: decision.run_id.clone(),
        record: Record::Decision(decision.clone()),
    };
    f.store.commit(&all.iter().map(of).collect::<Vec<_>>()).unwrap();
    assert_eq!(f.store.decisions(&run_id("a")).unwrap(), [all[0].clone(), all[2].clone()]);
    assert_eq!(f.store.decisions(&run_id("b")).unwrap(), [all[1].clone()]);
}

//! The engine through its public calls: runs that a program drives, and runs of pipelines with real steps.

use leverframe::base::id::PipelineId;
use leverframe::engine::{CoreExecutionEngine, EngineError, EngineOptions, ShutdownKind, StartRequest};
use leverframe::run::{EventKind, RunState, StopKind};
use serde_json::json;
use tempfile::TempDir;

use crate::support::{DEADLINE, run_id, step_id, wait_for_end, wait_for_named};

fn engine() -> (TempDir, CoreExecutionEngine) {
    let dir = tempfile::tempdir().expect("a directory");
    let engine = CoreExecutionEngine::open(dir.path(), EngineOptions::default()).expect("it opens");
    (dir, engine)
}

fn request(id: &str) -> StartRequest {
    StartRequest::new(run_id(id), "p", "alfabeta").expect("ids")
}

fn state(engine: &CoreExecutionEngine, id: &str) -> RunState {
    engine.get_execution_state(&run_id(id)).expect("it can be read").expect("it is there").state
}

#[test]
fn a_driven_run_starts_running_with_the_defaults_and_completes() {
    let (_dir, engine) = engine();
    let context = engine.start_execution(request("r1")).expect("it starts");
    let run = engine.get_execution_state(&context.run_id).expect("read").expect("there");
    assert_eq!((&*run.run_type, &*run.environment, run.state), ("FULL_REFRESH", "dev", RunState::Running));
    context.complete(true, None).expect("it completes");
    let run = engine.get_execution_state(&context.run_id).expect("read").expect("there");
    assert_eq!((run.state, run.progress), (RunState::Completed, 1.0));
    assert!(run.finished_at.is_some());
}

#[test]
fn a_failure_keeps_its_reason() {
    let (_dir, engine) = engine();
    let context = engine.start_execution(request("r1")).expect("it starts");
    context.complete(false, Some("no such table")).expect("it fails");
    let run = engine.get_execution_state(&context.run_id).expect("read").expect("there");
    assert_eq!((run.state, run.error.as_deref()), (RunState::Failed, Some("no such table")));
}

#[test]
fn the_pause_signal_blocks_the_program_until_resume() {
    let (_dir, engine) = engine();
    let context = engine.start_execution(request("r1")).expect("it starts");
    engine.pause_execution(&context.run_id).expect("it pauses");
    assert!(context.pause_signal.is_raised());
    // Unbounded: a few messages of one test.
    let (tx, rx) = crossbeam_channel::unbounded();
    let program = context.clone();
    let thread = std::thread::spawn(move || {
        tx.send("waits").expect("the test listens");
        let goes_on = program.proceed();
        tx.send(if goes_on { "goes on" } else { "stops" }).expect("the test listens");
    });
    assert_eq!(rx.recv(), Ok("waits"));
    assert!(rx.try_recv().is_err());
    engine.resume_execution(&context.run_id).expect("it resumes");
    assert_eq!(rx.recv_timeout(DEADLINE), Ok("goes on"));
    thread.join().expect("it ends");
}

#[test]
fn the_stop_signal_wakes_a_program_that_is_paused() {
    let (_dir, engine) = engine();
    let context = engine.start_execution(request("r1")).expect("it starts");
    engine.pause_execution(&context.run_id).expect("it pauses");
    engine.stop_execution(&context.run_id, StopKind::Graceful).expect("it stops");
    assert!(!context.proceed());
    assert_eq!(state(&engine, "r1"), RunState::Stopping);
    context.complete(true, None).expect("it ends");
    assert_eq!(state(&engine, "r1"), RunState::Stopped);
}

#[test]
fn force_stop_ends_a_driven_run_at_once() {
    let (_dir, engine) = engine();
    let context = engine.start_execution(request("r1")).expect("it starts");
    engine.stop_execution(&context.run_id, StopKind::Force).expect("it stops");
    assert_eq!(state(&engine, "r1"), RunState::ForceStopped);
    assert!(context.stop_signal.is_raised());
}

#[test]
fn a_refused_change_names_both_states() {
    let (_dir, engine) = engine();
    let context = engine.start_execution(request("r1")).expect("it starts");
    context.complete(true, None).expect("it completes");
    let error = engine.pause_execution(&context.run_id).expect_err("it has ended").to_string();
    assert!(error.contains("completed") && error.contains("paused"), "{error}");
}

#[test]
fn an_unknown_run_is_not_found_by_any_call() {
    let (_dir, engine) = engine();
    let id = run_id("nobody");
    let not_found = |result: Result<(), EngineError>| matches!(result, Err(EngineError::NotFound { .. }));
    assert!(engine.get_execution_state(&id).expect("read").is_none());
    assert!(not_found(engine.pause_execution(&id)));
    assert!(not_found(engine.resume_execution(&id).map(drop)));
    assert!(not_found(engine.retry_execution(&id, None)));
    assert!(not_found(engine.stop_execution(&id, StopKind::Force)));
    assert!(not_found(engine.complete_execution(&id, true, None)));
    assert!(not_found(engine.update_progress(&id, 0.5, None)));
    assert!(not_found(engine.checkpoint(&id, step_id("s"), &json!(1))));
}

#[test]
fn a_run_id_is_given_once() {
    let (_dir, engine) = engine();
    engine.start_execution(request("r1")).expect("it starts");
    assert!(matches!(engine.start_execution(request("r1")), Err(EngineError::Exists { .. })));
    engine.complete_execution(&run_id("r1"), true, None).expect("it completes");
    assert!(matches!(engine.start_execution(request("r1")), Err(EngineError::Exists { .. })));
}

#[test]
fn progress_reaches_subscribers_and_is_clamped() {
    let (_dir, engine) = engine();
    let events = engine.subscribe();
    let context = engine.start_execution(request("r1")).expect("it starts");
    context.update_progress(7.0, Some("load")).expect("it reports");
    let event = wait_for_named(&events, "execution_progress");
    let EventKind::ExecutionProgress { progress, current_step, .. } = &event.kind else {
        panic!("{event:?}")
    };
    assert_eq!((*progress, current_step.as_deref()), (1.0, Some("load")));
    assert!(matches!(context.update_progress(f64::NAN, None), Err(EngineError::Invalid(_))));
}

#[test]
fn a_checkpoint_is_on_disk_when_the_call_returns_and_no_event_carries_its_body() {
    let (dir, engine) = engine();
    let events = engine.subscribe();
    let context = engine.start_execution(request("r1")).expect("it starts");
    context.checkpoint(step_id("fetch"), &json!({"page": 12, "body": "opensesame"})).expect("it is saved");
    let beside =
        leverframe::CheckpointManager::open_read_only(dir.path().join("checkpoints.db")).expect("it opens");
    let data = beside.load_checkpoint(&context.run_id, step_id("fetch")).expect("read");
    assert_eq!(data, Some(json!({"page": 12, "body": "opensesame"})));
    let event = wait_for_named(&events, "checkpoint_saved");
    assert!(!serde_json::to_string(&*event).expect("json").contains("opensesame"));
    assert_eq!(context.load_checkpoint(&step_id("fetch")).expect("read"), data);
}

#[test]
fn events_have_the_contracts_names_and_strictly_increasing_numbers_over_restarts() {
    let (dir, engine) = engine();
    let names = |engine: &CoreExecutionEngine, act: &dyn Fn()| {
        let events = engine.subscribe();
        act();
        std::iter::from_fn(|| events.try_recv()).map(|e| (e.kind.name(), e.seq)).collect::<Vec<_>>()
    };
    let first = names(&engine, &|| {
        let context = engine.start_execution(request("r1")).expect("it starts");
        engine.pause_execution(&context.run_id).expect("it pauses");
        engine.resume_execution(&context.run_id).expect("it resumes");
        context.complete(false, None).expect("it fails");
        engine.resume_execution(&context.run_id).expect("it is taken up");
        engine.stop_execution(&context.run_id, StopKind::Graceful).expect("it stops");
        context.complete(true, None).expect("it ends");
    });
    let words: Vec<_> = first.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        words,
        [
            "execution_started",
            "execution_paused",
            "execution_resumed",
            "execution_failed",
            "execution_resumed",
            "execution_stopping",
            "execution_stopped"
        ]
    );
    engine.shutdown(ShutdownKind::LeaveSteps).expect("it ends");
    let engine = CoreExecutionEngine::open(dir.path(), EngineOptions::default()).expect("it opens");
    let second = names(&engine, &|| drop(engine.start_execution(request("r2")).expect("it starts")));
    let seqs: Vec<_> = first.iter().chain(&second).map(|(_, seq)| *seq).collect();
    assert!(seqs.windows(2).all(|pair| pair[0] < pair[1]), "{seqs:?}");
    assert!(seqs.iter().all(|seq| *seq < 1 << 53));
}

#[test]
fn a_callback_hears_type_and_data_until_its_guard_is_dropped() {
    let (_dir, engine) = engine();
    // Unbounded: a few messages of one test.
    let (tx, rx) = crossbeam_channel::unbounded();
    let guard = engine.subscribe_events(move |event_type, data| {
        tx.send((event_type.to_owned(), data.run_id.clone())).expect("the test listens");
    });
    engine.start_execution(request("r1")).expect("it starts");
    assert_eq!(rx.recv_timeout(DEADLINE), Ok(("execution_started".to_owned(), Some(run_id("r1")))));
    drop(guard);
    engine.start_execution(request("r2")).expect("it starts");
    assert!(rx.recv().is_err(), "nobody calls any more");
}

#[test]
fn the_living_are_listed_and_the_ended_are_not() {
    let (_dir, engine) = engine();
    for id in ["r1", "r2", "r3"] {
        engine.start_execution(request(id)).expect("it starts");
    }
    engine.complete_execution(&run_id("r2"), true, None).expect("it completes");
    let ids: Vec<_> = engine.list_active_executions().iter().map(|run| run.run_id.to_string()).collect();
    assert_eq!(ids, ["r1", "r3"]);
}

#[test]
fn a_registered_function_is_a_pipeline_that_completes_fails_or_panics() {
    let (_dir, engine) = engine();
    let id = |name: &str| PipelineId::new(name).expect("an id");
    engine.register_pipeline(id("good"), |context| {
        context.checkpoint(step_id("s"), &json!(1))?;
        Ok(())
    });
    engine.register_pipeline(id("bad"), |_| anyhow::bail!("no luck"));
    engine.register_pipeline(id("ugly"), |_| panic!("a bad function (the test wants it)"));
    let events = engine.subscribe();
    let end_of = |name: &str| {
        let run = run_id(name);
        engine
            .start_registered(StartRequest::new(run.clone(), id(name), "s").expect("ids"))
            .expect("it starts");
        let end = wait_for_end(&events, &run);
        let run = end.kind.run().expect("a run").clone();
        (run.state, run.error.as_deref().map(str::to_owned))
    };
    assert_eq!(end_of("good"), (RunState::Completed, None));
    assert_eq!(end_of("bad"), (RunState::Failed, Some("no luck".into())));
    assert_eq!(end_of("ugly"), (RunState::Failed, Some("the function panicked".into())));
    let nobody = engine.start_registered(StartRequest::new(run_id("x"), id("nobody"), "s").expect("ids"));
    assert!(matches!(nobody, Err(EngineError::NotRegistered { .. })));
}

#[test]
fn a_driven_run_whose_program_is_gone_is_interrupted_and_can_be_resumed() {
    let (dir, engine) = engine();
    engine.start_execution(request("r1")).expect("it starts");
    engine.checkpoint(&run_id("r1"), step_id("s"), &json!({"page": 3})).expect("it is saved");
    drop(engine);
    let engine = CoreExecutionEngine::open(dir.path(), EngineOptions::default()).expect("it opens");
    assert_eq!(state(&engine, "r1"), RunState::Interrupted);
    let resumable = engine.store().list_resumable_executions().expect("read");
    assert_eq!(resumable.len(), 1);
    let context = engine.resume_execution(&run_id("r1")).expect("it resumes");
    assert_eq!(context.load_checkpoint(&step_id("s")).expect("read"), Some(json!({"page": 3})));
    context.complete(true, None).expect("it completes");
    assert_eq!(state(&engine, "r1"), RunState::Completed);
}

#[test]
fn a_second_engine_is_refused_while_the_first_lives() {
    let (dir, engine) = engine();
    let second = CoreExecutionEngine::open(dir.path(), EngineOptions::default());
    assert!(matches!(second, Err(EngineError::DataDir(leverframe::store::DataDirError::Busy { .. }))));
    engine.shutdown(ShutdownKind::LeaveSteps).expect("it ends");
    CoreExecutionEngine::open(dir.path(), EngineOptions::default()).expect("it is free");
}

#[test]
fn after_shutdown_every_call_says_so() {
    let (_dir, engine) = engine();
    engine.shutdown(ShutdownKind::LeaveSteps).expect("it ends");
    assert!(matches!(engine.start_execution(request("r1")), Err(EngineError::ShutDown)));
    assert!(matches!(engine.shutdown(ShutdownKind::LeaveSteps), Err(EngineError::ShutDown)));
}

#[test]
fn many_threads_share_one_truth() {
    let (_dir, engine) = engine();
    std::thread::scope(|scope| {
        for n in 0..8 {
            let engine = engine.clone();
            scope.spawn(move || {
                for i in 0..20 {
                    let id = run_id(&format!("r{n}-{i}"));
                    let context = engine.start_execution(request(id.as_str())).expect("it starts");
                    engine.pause_execution(&id).expect("it pauses");
                    engine.resume_execution(&id).expect("it resumes");
                    context.checkpoint(step_id("s"), &json!(i)).expect("it is saved");
                    context.complete(i % 2 == 0, None).expect("it ends");
                }
            });
        }
    });
    assert!(engine.list_active_executions().is_empty());
    for n in 0..8 {
        assert_eq!(state(&engine, &format!("r{n}-0")), RunState::Completed);
        assert_eq!(state(&engine, &format!("r{n}-1")), RunState::Failed);
    }
}

#[test]
fn a_million_progress_events_past_a_sleeping_subscriber_lose_no_change_of_state() {
    let (_dir, engine) = engine();
    let events = engine.subscribe();
    let context = engine.start_execution(request("r1")).expect("it starts");
    for i in 0..1_000_000 {
        context.update_progress(f64::from(i) / 1e6, None).expect("it reports");
    }
    context.complete(true, None).expect("it completes");
    assert!(events.n_waiting() < 10, "{} wait", events.n_waiting());
    let names: Vec<_> = std::iter::from_fn(|| events.try_recv()).map(|e| e.kind.name()).collect();
    let facts: Vec<_> = names.iter().filter(|name| **name != "execution_progress").collect();
    assert_eq!(facts, [&"execution_started", &"execution_running", &"execution_completed"]);
}

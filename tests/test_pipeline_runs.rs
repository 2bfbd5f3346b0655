//! Runs of pipelines, with real steps under a real supervisor.

use std::collections::BTreeMap;
use std::fs;

use leverframe::engine::{CoreExecutionEngine, EngineOptions, ShutdownKind};
use leverframe::run::{RunState, StopKind};

use crate::support::{
    definition, open_engine, options, run_id, start, wait_for, wait_for_end, wait_for_named,
};

#[test]
fn a_pipeline_runs_its_steps_in_order_and_hands_outputs_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let engine = open_engine(dir.path());
    let events = engine.subscribe();
    let run = start(
        &engine,
        "r1",
        r#"
        [[step]]
        id = "one"
        run = '''echo out; echo err >&2; echo '{"output": {"rows": 42}, "progress": 0.5, "message": "half"}' >> "$LEVERFRAME_REPORT"'''
        [[step]]
        id = "two"
        run = '''cat "$LEVERFRAME_OUTPUTS" "$LEVERFRAME_CHECKPOINT"; echo "$LEVERFRAME_RUN_ID $LEVERFRAME_STEP_ID $LEVERFRAME_ATTEMPT"; echo x > /dev/stderr; echo last'''
        "#,
    );
    let end = wait_for_end(&events, &run);
    assert_eq!(end.kind.name(), "execution_completed", "{end:?}");
    let log =
        |step: &str| fs::read_to_string(dir.path().join(format!("logs/r1/{step}.1.log"))).expect("a log");
    assert_eq!(log("one"), "out\nerr\n");
    assert_eq!(log("two"), "{\"one\":{\"rows\":42}}null\nr1 two 1\nx\nlast\n");
}

#[test]
fn parallel_steps_overlap_and_a_retry_gets_the_next_attempt() {
    let dir = tempfile::tempdir().expect("a directory");
    let engine = open_engine(dir.path());
    let events = engine.subscribe();
    // Each waits until the other has started: only side by side can both end.
    let meet = |own: &str, other: &str| {
        format!("touch \"$RENDEZVOUS/{own}\"; until [ -e \"$RENDEZVOUS/{other}\" ]; do sleep 0.01; done")
    };
    let text = format!(
        r#"
        max_parallel = 2
        env = {{ RENDEZVOUS = "{}" }}
        [[step]]
        id = "a"
        run = '''{}'''
        [[step]]
        id = "b"
        needs = []
        run = '''{}'''
        [[step]]
        id = "flaky"
        needs = ["a", "b"]
        retries = {{ max = 2, delay = "10ms" }}
        run = '''[ "$LEVERFRAME_ATTEMPT" = 2 ]'''
        "#,
        dir.path().display(),
        meet("a", "b"),
        meet("b", "a")
    );
    let run = start(&engine, "r1", &text);
    let end = wait_for_end(&events, &run);
    assert_eq!(end.kind.name(), "execution_completed", "{end:?}");
    let stored = engine.store().load_run(&run).expect("read").expect("there");
    let flaky = stored.steps.iter().find(|step| step.id.as_str() == "flaky").expect("there");
    assert_eq!((flaky.attempt, flaky.exit_code), (2, Some(0)));
}

#[test]
fn a_retry_that_falls_due_while_it_is_being_recorded_is_not_forgotten() {
    let dir = tempfile::tempdir().expect("a directory");
    let engine = open_engine(dir.path());
    let events = engine.subscribe();
    // A delay as short as a commit: now and then it is over before the commit is.
    let step =
        "retries = { max = 3, delay = \"1ms\", factor = 1.0 }\nrun = '[ \"$LEVERFRAME_ATTEMPT\" = 4 ]'\n";
    let text: String = (0..10).map(|i| format!("[[step]]\nid = \"s{i}\"\n{step}")).collect();
    let run = start(&engine, "r1", &text);
    assert_eq!(wait_for_end(&events, &run).kind.name(), "execution_completed");
}

#[test]
fn a_missing_program_and_a_bad_exit_are_told_in_words() {
    let dir = tempfile::tempdir().expect("a directory");
    let engine = open_engine(dir.path());
    let events = engine.subscribe();
    let error_of = |id: &str, command: &str| {
        let run = start(&engine, id, &format!("[[step]]\nid = \"a\"\nrun = {command}"));
        let end = wait_for_end(&events, &run);
        end.kind.run().expect("a run").error.as_deref().unwrap_or_default().to_owned()
    };
    let missing = error_of("r1", r#"["no-such-program-anywhere"]"#);
    assert!(
        missing.contains("could not be started") && missing.contains("no-such-program-anywhere"),
        "{missing}"
    );
    assert_eq!(error_of("r2", r#""exit 7""#), "step a exited with code 7");
    assert_eq!(error_of("r3", r#""kill -9 $$""#), "step a was ended by signal 9");
}

#[test]
fn a_step_that_outlives_its_timeout_is_ended_with_its_tree() {
    let dir = tempfile::tempdir().expect("a directory");
    let engine = open_engine(dir.path());
    let events = engine.subscribe();
    let text = r#"
        [[step]]
        id = "slow"
        timeout = "300ms"
        grace = "200ms"
        run = "trap '' TERM; sleep 1000 & sleep 1000"
    "#;
    let run = start(&engine, "r1", text);
    let end = wait_for_end(&events, &run);
    assert_eq!(end.kind.run().expect("a run").error.as_deref(), Some("step slow timed out after 300ms"));
}

#[test]
fn parameters_and_secrets_reach_the_environment_and_a_secret_stays_out_of_everything_else() {
    let dir = tempfile::tempdir().expect("a directory");
    let secret_file = dir.path().join("secret");
    fs::write(&secret_file, "opensesame\n").expect("a file");
    fs::set_permissions(&secret_file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("chmod");
    let data = dir.path().join("data");
    let engine = open_engine(&data);
    let (events, heard) = (engine.subscribe(), engine.subscribe());
    let text = format!(
        r#"
        [params.day]
        default = "monday"
        [params.token]
        secret = {{ file = "{}" }}
        [[step]]
        id = "a"
        run = '''[ "$LEVERFRAME_PARAM_DAY" = monday ] && [ "${{#LEVERFRAME_PARAM_TOKEN}}" = 10 ]'''
        "#,
        secret_file.display()
    );
    let definition = definition(&text);
    let params = definition.pipeline.resolve_params(&BTreeMap::new(), None).expect("they resolve");
    let request = leverframe::run::Plan {
        run_id: Some(run_id("r1")),
        ..leverframe::run::Plan::new(definition, params)
    };
    let run = engine.start_pipeline(request).expect("it starts");
    assert_eq!(wait_for_end(&events, &run).kind.name(), "execution_completed");
    engine.shutdown(ShutdownKind::LeaveSteps).expect("it ends");
    while let Some(event) = heard.try_recv() {
        assert!(!serde_json::to_string(&*event).expect("json").contains("opensesame"));
    }
    for path in files_below(&data) {
        let bytes = fs::read(&path).unwrap_or_default();
        assert!(!bytes.windows(10).any(|window| window == b"opensesame"), "{}", path.display());
    }
}

#[test]
fn a_missing_secret_holds_the_run_and_says_which() {
    let dir = tempfile::tempdir().expect("a directory");
    let engine = open_engine(dir.path());
    let events = engine.subscribe();
    let secret = dir.path().join("token");
    let text = format!(
        "[params.token]\nsecret = {{ file = \"{}\" }}\n[[step]]\nid = \"a\"\nrun = [\"true\"]",
        secret.display()
    );
    let run = start(&engine, "r1", &text);
    let paused = wait_for_named(&events, "execution_paused");
    let why = paused.kind.run().expect("a run").error.as_deref().unwrap_or_default().to_owned();
    assert!(why.contains("secret token is missing"), "{why}");
    fs::write(&secret, "x").expect("a file");
    fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("chmod");
    engine.resume_execution(&run).expect("it resumes");
    assert_eq!(wait_for_end(&events, &run).kind.name(), "execution_completed");
}

#[test]
fn resume_takes_up_a_failed_run_and_runs_no_finished_step_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let engine = open_engine(dir.path());
    let events = engine.subscribe();
    let text = format!(
        r#"
        env = {{ HERE = "{}" }}
        [[step]]
        id = "once"
        run = '''echo ran >> "$HERE/once"'''
        [[step]]
        id = "page"
        run = '''
        cat "$LEVERFRAME_CHECKPOINT" >> "$HERE/seen"; echo >> "$HERE/seen"
        echo '{{"checkpoint": {{"page": 12}}}}' >> "$LEVERFRAME_REPORT"
        [ -e "$HERE/go" ]'''
        "#,
        dir.path().display()
    );
    let run = start(&engine, "r1", &text);
    assert_eq!(wait_for_end(&events, &run).kind.name(), "execution_failed");
    fs::write(dir.path().join("go"), "").expect("a file");
    engine.resume_execution(&run).expect("it resumes");
    assert_eq!(wait_for_end(&events, &run).kind.name(), "execution_completed");
    assert_eq!(fs::read_to_string(dir.path().join("once")).expect("read"), "ran\n");
    let seen = fs::read_to_string(dir.path().join("seen")).expect("read");
    assert_eq!(seen.split_whitespace().collect::<Vec<_>>(), ["null", "{\"page\":12}"]);
}

#[test]
fn a_shutdown_that_stops_runs_lets_their_finally_steps_run_first() {
    let dir = tempfile::tempdir().expect("a directory");
    let engine = open_engine(dir.path());
    let events = engine.subscribe();
    let text = format!(
        r#"
        env = {{ HERE = "{}" }}
        [[step]]
        id = "long"
        run = ["sleep", "1000"]
        [[step]]
        id = "unlock"
        finally = true
        run = "touch $HERE/unlocked"
        "#,
        dir.path().display()
    );
    let run = start(&engine, "r1", &text);
    wait_for_named(&events, "step_started");
    engine.shutdown(ShutdownKind::StopRuns).expect("it ends");
    assert!(dir.path().join("unlocked").exists());
    let engine = open_engine(dir.path());
    assert_eq!(engine.get_execution_state(&run).expect("read").expect("there").state, RunState::Stopped);
}

#[test]
fn one_engine_of_a_scope_leaves_the_runs_of_others_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    let engine = open_engine(dir.path());
    let events = engine.subscribe();
    let other = start(&engine, "other", "[[step]]\nid = \"a\"\nrun = [\"sleep\", \"1000\"]");
    wait_for_named(&events, "step_started");
    engine.shutdown(ShutdownKind::LeaveSteps).expect("it ends");
    let scope = leverframe::engine::Scope::Nothing;
    let engine =
        CoreExecutionEngine::open(dir.path(), EngineOptions { scope, ..options() }).expect("it opens");
    let events = engine.subscribe();
    let own = start(&engine, "own", "[[step]]\nid = \"a\"\nrun = [\"true\"]");
    assert_eq!(wait_for_end(&events, &own).kind.name(), "execution_completed");
    engine.shutdown(ShutdownKind::LeaveSteps).expect("it ends");
    let engine = open_engine(dir.path());
    let events = engine.subscribe();
    assert_eq!(
        engine.get_execution_state(&other).expect("read").expect("there").state,
        RunState::Running,
        "taken back, not lost"
    );
    engine.stop_execution(&other, StopKind::Force).expect("it stops");
    wait_for(&events, "the end", |event| event.kind.name() == "execution_force_stopped");
}

fn files_below(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() { files.extend(files_below(&entry)) } else { files.push(entry) }
    }
    files
}

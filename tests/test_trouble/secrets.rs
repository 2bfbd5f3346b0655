//! A secret that does not come: the command that prints it hangs, floods or is left behind, or a FIFO stands in the place of
//! its file. That is one run's affair, every lever reaches it, and nothing of it outlives what it was for.

use std::fs;

use leverframe::engine::ShutdownKind;
use leverframe::run::{Event, RunState, StepState, StopKind};

use crate::support::bench::{Bench, living, stored_step};
use crate::support::engine_process::EngineProcess;
use crate::support::process::{is_gone, wait_gone};
use crate::support::{run_id, start, wait_for, wait_for_end, wait_for_named};

/// A pipeline whose secret never comes: a process and its child, which ignores TERM, both in `secret.pids`.
fn hanging(bench: &Bench, head: &str, step: &str) -> String {
    let script = format!(
        "trap '' TERM; echo $$ >> {here}/secret.pids; sleep 1000 & echo $! >> {here}/secret.pids; wait",
        here = bench.here.display()
    );
    with_secret(bench, head, &script, "60s", step)
}

fn with_secret(bench: &Bench, head: &str, script: &str, limit: &str, step: &str) -> String {
    let head = format!(
        "{head}\n[params.token]\nsecret = {{ command = [\"sh\", \"-c\", \"\"\"{script}\"\"\"], timeout = \"{limit}\" }}"
    );
    bench.pipeline(&head, &[("a", step, "")])
}

fn error_of(event: &Event) -> String {
    event.kind.run().expect("it is of a run").error.as_deref().unwrap_or_default().to_owned()
}

#[test]
fn a_secret_that_never_comes_is_one_runs_affair_and_a_stop_ends_it() {
    let bench = Bench::new();
    let (engine, events) = bench.open();
    for (id, kind, end) in [
        ("graceful", StopKind::Graceful, "execution_stopped"),
        ("forced", StopKind::Force, "execution_force_stopped"),
    ] {
        let stuck = start(&engine, id, &hanging(&bench, "", ""));
        let pids = bench.pids_in("secret.pids", 2);
        // Another run with a secret, and one whose second attempt has a checkpoint, pass it by.
        let with = with_secret(&bench, "", "echo hush", "60s", "");
        let beside = start(&engine, &format!("{id}-beside"), &with);
        assert_eq!(wait_for_end(&events, &beside).kind.name(), "execution_completed");
        let again = bench.pipeline(
            "",
            &[(
                "b",
                "retries = { max = 1, delay = \"0s\" }",
                "echo '{\"checkpoint\": 1}' >> $LEVERFRAME_REPORT; [ $LEVERFRAME_ATTEMPT -eq 2 ]",
            )],
        );
        let again = start(&engine, &format!("{id}-again"), &again);
        assert_eq!(wait_for_end(&events, &again).kind.name(), "execution_completed");
        engine.stop_execution(&stuck, kind).expect("it is stopped");
        assert_eq!(wait_for_end(&events, &stuck).kind.name(), end);
        wait_gone(&pids);
        fs::remove_file(bench.here.join("secret.pids")).expect("it is there");
        assert_eq!(stored_step(&bench.stored(id), "a").state(), StepState::Stopped);
    }
}

#[test]
fn timeouts_of_step_and_run_reach_a_secret_that_never_comes() {
    let bench = Bench::new();
    let (engine, events) = bench.open();
    for (id, head, step, why) in [
        ("step", "", "timeout = \"300ms\"", "step a timed out after 300ms before it was started"),
        ("run", "timeout = \"300ms\"", "", "timed out after 300ms"),
    ] {
        let run = start(&engine, id, &hanging(&bench, head, step));
        let pids = bench.pids_in("secret.pids", 2);
        let end = wait_for_end(&events, &run);
        assert_eq!((end.kind.name(), error_of(&end).as_str()), ("execution_failed", why));
        wait_gone(&pids);
        fs::remove_file(bench.here.join("secret.pids")).expect("it is there");
    }
}

#[test]
fn a_pause_ends_a_secret_that_never_comes_and_resume_asks_for_it_anew() {
    let bench = Bench::new();
    let (engine, events) = bench.open();
    let run = start(&engine, "r1", &hanging(&bench, "", ""));
    let first = bench.pids_in("secret.pids", 2);
    engine.pause_execution(&run).expect("it is paused");
    wait_for_named(&events, "execution_paused");
    wait_gone(&first);
    assert_eq!(living(&engine, &run).steps[0].state(), StepState::Waiting);
    engine.resume_execution(&run).expect("it is resumed");
    let second = bench.pids_in("secret.pids", 4)[2..].to_vec();
    assert!(!second.iter().any(|pid| is_gone(*pid)), "{second:?}");
    assert_eq!(living(&engine, &run).steps[0].attempt, 1, "the attempt has not begun yet");
    engine.stop_execution(&run, StopKind::Force).expect("it is stopped");
    wait_for_end(&events, &run);
    wait_gone(&second);
}

#[test]
fn what_a_secrets_command_takes_and_prints_is_bounded_and_then_the_run_is_held() {
    let bench = Bench::new();
    let (engine, events) = bench.open();
    let fifo = bench.here.join("fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RUSR).expect("a FIFO");
    let file = format!("[params.token]\nsecret = {{ file = \"{}\" }}", fifo.display());
    for (id, text, why) in [
        (
            "slow",
            with_secret(&bench, "", "sleep 1000", "200ms", ""),
            "secret token is missing: the command sh did not end within 0.2 s, and was killed",
        ),
        (
            "flood",
            with_secret(&bench, "", "cat /dev/zero", "60s", ""),
            "secret token is missing: the command sh printed more than 65536 bytes, and was killed",
        ),
        (
            "fails",
            with_secret(&bench, "", "echo hush; exit 3", "60s", ""),
            "secret token is missing: the command sh failed (exit status: 3)",
        ),
        (
            "nowhere",
            bench.pipeline("[params.token]\nsecret = { command = [\"/no/such\"] }", &[("a", "", "")]),
            "secret token is missing: the command /no/such can't be run: No such file or directory (os error 2)",
        ),
        ("fifo", bench.pipeline(&file, &[("a", "", "")]), "fifo is not a regular file"),
    ] {
        start(&engine, id, &text);
        let paused = wait_for_named(&events, "execution_paused");
        let said = error_of(&paused);
        assert!(said.contains(why) && !said.contains("hush"), "{id}: {said}");
    }
}

#[test]
fn a_command_has_an_empty_stdin_and_its_background_does_not_keep_the_secret() {
    let bench = Bench::new();
    let (engine, events) = bench.open();
    // What it leaves behind keeps its stdout open; its end is its exit all the same.
    let script = format!("cat; sleep 1000 & echo $! >> {}/secret.pids; echo hush", bench.here.display());
    let run = start(&engine, "r1", &with_secret(&bench, "", &script, "60s", ""));
    assert_eq!(wait_for_end(&events, &run).kind.name(), "execution_completed");
    wait_gone(&bench.pids_in("secret.pids", 1));
}

#[test]
fn the_engine_ends_at_once_beside_a_secret_that_never_comes_and_the_next_one_asks_for_it_again() {
    let bench = Bench::new();
    let (engine, _events) = bench.open();
    start(&engine, "r1", &hanging(&bench, "", ""));
    let pids = bench.pids_in("secret.pids", 2);
    engine.shutdown(ShutdownKind::LeaveSteps).expect("it ends");
    wait_gone(&pids);
    let stored = bench.stored("r1");
    assert_eq!(
        (stored.summary.state, stored_step(&stored, "a").state()),
        (RunState::Running, StepState::Waiting)
    );

    let (engine, events) = bench.open();
    let second = bench.pids_in("secret.pids", 4)[2..].to_vec();
    engine.stop_execution(&run_id("r1"), StopKind::Graceful).expect("it is stopped");
    wait_for(&events, "the end", |event| event.kind.name() == "execution_stopped");
    wait_gone(&second);
}

#[test]
fn a_secrets_command_and_its_children_end_with_an_engine_that_is_killed() {
    let bench = Bench::new();
    let file = bench.here.join("p.toml");
    fs::write(&file, hanging(&bench, "", "")).expect("a file");
    let mut engine = EngineProcess::open(&bench.data_dir);
    engine.order(&format!("start {} r1", file.display()));
    let pids = bench.pids_in("secret.pids", 2);
    engine.kill();
    wait_gone(&pids);
}

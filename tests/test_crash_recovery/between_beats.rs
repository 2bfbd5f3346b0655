//! The engine dies after it recorded and before it acted, at every kind of input: at the next start the world comes to
//! agree with the record, and nothing is done twice.

use std::time::Duration;

use leverframe::engine::{CoreExecutionEngine, EngineOptions, Subscription};
use leverframe::run::{Ending, RunState, StepState, StopKind};

use crate::support::bench::{ALONE, Bench, PATIENT, living, stored_step};
use crate::support::host::{Silence, Witness, stammering};
use crate::support::process::{are_frozen, is_gone, let_pass, look_until, wait_frozen, wait_gone};
use crate::support::{options, run_id, start, wait_for_end, wait_for_named};

/// Ends when it is told to, and says so.
const OBEDIENT: &str = "trap 'echo told; exit 3' TERM\nwhile :; do sleep 0.02; done\n";

/// An engine that can fall silent.
fn open(bench: &Bench) -> (Silence, CoreExecutionEngine, Subscription) {
    let silence = Silence::default();
    let options = EngineOptions { host: silence.host(bench.data_dir.clone()), ..options() };
    let (engine, events) = bench.open_with(options);
    (silence, engine, events)
}

/// A run of one step, with its engine, and the process of the step.
fn open_with_run(
    bench: &Bench,
    keys: &str,
    script: &str,
) -> (Silence, CoreExecutionEngine, Subscription, u32) {
    let (silence, engine, events) = open(bench);
    start(&engine, "r1", &bench.pipeline("", &[("a", keys, script)]));
    let pid = bench.pids_in("a.pids", 1)[0];
    wait_for_named(&events, "step_started");
    (silence, engine, events, pid)
}

/// Opens an engine whose acts arrive, and waits for the end of the run.
fn recover_to_end(bench: &Bench) -> RunState {
    let (engine, events) = bench.open();
    wait_for_end(&events, &run_id("r1"));
    drop(engine);
    bench.wait_deserted();
    bench.stored("r1").summary.state
}

/// The obedient step has heard its signal, and once. (Its shell may say more about what it ended.)
fn assert_told_once(bench: &Bench) {
    let log = bench.log("a", 1);
    assert_eq!(log.matches("told\n").count(), 1, "{log}");
}

#[test]
fn a_begin_that_was_recorded_and_not_sent_starts_its_step_once() {
    let bench = Bench::new();
    let (silence, engine, _events) = open(&bench);
    silence.fall();
    start(&engine, "r1", &bench.pipeline("", &[("a", "", "")]));
    drop(engine);
    assert_eq!(
        stored_step(&bench.stored("r1"), "a").state(),
        StepState::Running,
        "as far as the record goes"
    );
    bench.assert_ledger(&[]);
    assert_eq!(recover_to_end(&bench), RunState::Completed);
    bench.assert_ledger(&["a 1"]);
}

#[test]
fn a_pause_that_was_recorded_and_not_sent_freezes_at_the_next_start() {
    let bench = Bench::new();
    let (silence, engine, _events, pid) = open_with_run(&bench, "", PATIENT);
    silence.fall();
    engine.pause_execution(&run_id("r1")).expect("it is recorded");
    drop(engine);
    assert!(!are_frozen(&[pid]));
    let (engine, events) = bench.open();
    wait_for_named(&events, "execution_paused");
    assert!(are_frozen(&[pid]));
    engine.stop_execution(&run_id("r1"), StopKind::Force).expect("it ends");
    wait_for_end(&events, &run_id("r1"));
    bench.assert_ledger(&["a 1"]);
}

#[test]
fn a_resume_that_was_recorded_and_not_sent_thaws_at_the_next_start() {
    let bench = Bench::new();
    let (silence, engine, events, pid) = open_with_run(&bench, "may_fail = true", PATIENT);
    engine.pause_execution(&run_id("r1")).expect("it pauses");
    wait_for_named(&events, "execution_paused");
    silence.fall();
    engine.resume_execution(&run_id("r1")).expect("it is recorded");
    drop(engine);
    assert!(are_frozen(&[pid]), "nobody thawed it");
    bench.let_go();
    assert_eq!(recover_to_end(&bench), RunState::Completed);
    bench.assert_ledger(&["a 1"]);
}

#[test]
fn a_stop_that_was_recorded_and_not_sent_is_done_at_the_next_start() {
    let bench = Bench::new();
    let (silence, engine, _events, pid) = open_with_run(&bench, "", OBEDIENT);
    silence.fall();
    engine.stop_execution(&run_id("r1"), StopKind::Graceful).expect("it is recorded");
    drop(engine);
    assert!(!is_gone(pid));
    assert_eq!(recover_to_end(&bench), RunState::Stopped);
    assert_told_once(&bench);
    assert_eq!(stored_step(&bench.stored("r1"), "a").exit_code, Some(3));
    bench.assert_ledger(&["a 1"]);
}

#[test]
fn a_stop_of_a_frozen_run_that_was_recorded_and_not_sent_is_done_at_the_next_start() {
    let bench = Bench::new();
    let (silence, engine, events, pid) = open_with_run(&bench, "", OBEDIENT);
    engine.pause_execution(&run_id("r1")).expect("it pauses");
    wait_for_named(&events, "execution_paused");
    silence.fall();
    engine.stop_execution(&run_id("r1"), StopKind::Graceful).expect("it is recorded");
    drop(engine);
    wait_frozen(&[pid]);
    assert_eq!(recover_to_end(&bench), RunState::Stopped);
    assert_told_once(&bench);
}

#[test]
fn a_force_stop_that_was_recorded_and_not_sent_is_done_at_the_next_start() {
    let bench = Bench::new();
    let (silence, engine, _events, _pid) =
        open_with_run(&bench, "grace = \"10m\"", "trap '' TERM\nsleep 1000\n");
    silence.fall();
    engine.stop_execution(&run_id("r1"), StopKind::Force).expect("it is recorded");
    drop(engine);
    // Not by its grace, which lasts longer than this test may.
    assert_eq!(recover_to_end(&bench), RunState::ForceStopped);
    bench.assert_ledger(&["a 1"]);
}

#[test]
fn a_retry_that_was_recorded_and_not_sent_starts_one_next_attempt() {
    let bench = Bench::new();
    let (silence, engine, events) = open(&bench);
    let text = bench.pipeline("", &[("once", "", ""), ("a", "", "[ -e \"$HERE/go\" ]\n")]);
    let run = start(&engine, "r1", &text);
    wait_for_end(&events, &run);
    bench.let_go();
    silence.fall();
    engine.retry_execution(&run, None).expect("it is recorded");
    drop(engine);
    assert_eq!(recover_to_end(&bench), RunState::Completed);
    bench.assert_ledger(&["once 1", "a 1", "a 2"]);
}

#[test]
fn a_timeout_that_was_decided_and_not_sent_ends_the_step_at_the_next_start() {
    let bench = Bench::new();
    let (silence, engine, _events) = open(&bench);
    let keys = "timeout = \"3s\"\ngrace = \"10m\"";
    start(&engine, "r1", &bench.pipeline("", &[("a", keys, OBEDIENT)]));
    let pid = bench.pids_in("a.pids", 1)[0];
    silence.fall();
    look_until("the timeout", || {
        (living(&engine, &run_id("r1")).steps[0].phase.ending() == Some(Ending::Timeout)).then_some(())
    });
    drop(engine);
    assert!(!is_gone(pid));
    assert_eq!(recover_to_end(&bench), RunState::Failed);
    let error = bench.stored("r1").summary.error;
    assert_eq!(error.as_deref(), Some("step a timed out after 3s"));
    assert_told_once(&bench);
}

#[test]
fn a_timeout_that_passed_while_no_engine_lived_acts_at_the_next_start() {
    let bench = Bench::new();
    let (_, engine, _events, pid) = open_with_run(&bench, "timeout = \"3s\"", OBEDIENT);
    drop(engine);
    let_pass(Duration::from_millis(3100));
    assert!(!is_gone(pid), "nobody is there to end it");
    assert_eq!(recover_to_end(&bench), RunState::Failed);
    assert_told_once(&bench);
}

#[test]
fn an_end_that_was_recorded_and_not_acknowledged_is_forgotten_at_the_next_start() {
    let bench = Bench::new();
    let (silence, engine, events, _pid) =
        open_with_run(&bench, "", "until [ -e \"$HERE/go\" ]; do sleep 0.02; done\n");
    silence.fall();
    bench.let_go();
    wait_for_end(&events, &run_id("r1"));
    drop(engine);
    let supervisor = bench.supervisor();
    assert!(!is_gone(supervisor), "it keeps what nobody has taken");
    let (engine, _events) = bench.open();
    drop(engine);
    bench.wait_deserted();
    assert_eq!(bench.stored("r1").summary.state, RunState::Completed);
    bench.assert_ledger(&["a 1"]);
}

#[test]
fn the_next_start_that_was_recorded_and_not_sent_is_made_once() {
    let bench = Bench::new();
    let wait = "until [ -e \"$HERE/go\" ]; do sleep 0.02; done\n";
    let text = bench.pipeline("", &[("a", "", wait), ("b", "", ""), ("c", "", "")]);
    let (silence, engine, events) = open(&bench);
    start(&engine, "r1", &text);
    let pid = bench.pids_in("a.pids", 1)[0];
    silence.fall();
    bench.let_go();
    wait_gone(&[pid]);
    wait_for_named(&events, "step_finished");
    drop(engine);
    let run = bench.stored("r1");
    assert_eq!(stored_step(&run, "b").state(), StepState::Running, "as far as the record goes");
    assert_eq!(recover_to_end(&bench), RunState::Completed);
    bench.assert_ledger(&["a 1", "b 1", "c 1"]);
}

#[test]
fn a_start_that_was_recorded_ahead_and_never_sent_is_made_once() {
    let bench = Bench::new();
    let wait = "until [ -e \"$HERE/go\" ]; do sleep 0.02; done\n";
    let steps = [("a", "", wait), ("b", "needs = []", ""), ("c", "needs = []", "")];
    let (silence, engine, events) = open(&bench);
    start(&engine, "r1", &bench.pipeline("max_parallel = 1", &steps));
    bench.pids_in("a.pids", 1);
    silence.fall();
    bench.let_go();
    wait_for_named(&events, "step_finished");
    drop(engine);
    assert_eq!(recover_to_end(&bench), RunState::Completed);
    bench.assert_ledger(&["a 1", "b 1", "c 1"]);
}

#[test]
fn the_engine_may_die_in_silence_again_and_again() {
    let bench = Bench::new();
    let steps: Vec<_> = ["a", "b", "c", "d", "e", "f"].map(|id| (id, "", "sleep 0.05\n")).to_vec();
    let text = bench.pipeline("", &steps);
    let (_, engine, _events) = open(&bench);
    start(&engine, "r1", &text);
    drop(engine);
    loop {
        let (silence, engine, events) = open(&bench);
        if engine.snapshot().runs.is_empty() {
            break;
        }
        // It hears of one end, records what follows, and dies before it does it.
        silence.fall();
        let told = events.recv_timeout(crate::support::DEADLINE).expect("something happens");
        drop(told);
        drop(engine);
        // The next one acts on what it finds, and dies as well.
        let (_, engine, _events) = open(&bench);
        drop(engine);
    }
    assert_eq!(bench.stored("r1").summary.state, RunState::Completed);
    bench.assert_ledger(&["a 1", "b 1", "c 1", "d 1", "e 1", "f 1"]);
}

#[test]
fn nothing_is_asked_of_the_supervisor_before_it_is_on_disk() {
    let bench = Bench::new();
    let witness = Witness::default();
    let (engine, events) =
        bench.open_with(EngineOptions { host: witness.host(bench.data_dir.clone()), ..options() });
    // A crowd of steps that are ready at once.
    let ids: Vec<String> = (0..40).map(|i| format!("s{i}")).collect();
    let steps: Vec<_> = ids.iter().map(|id| (id.as_str(), "needs = []", "")).collect();
    for width in [1, 5] {
        let head = format!("max_parallel = {width}");
        let run = start(&engine, &format!("r{width}"), &bench.pipeline(&head, &steps));
        wait_for_end(&events, &run);
    }
    // Two ends that are heard together: the first makes three steps ready, the second makes room for one of them.
    let wait = "until [ -e \"$HERE/go\" ]; do sleep 0.02; done\n";
    let steps = [
        ("a", "", wait),
        ("b", "needs = []", wait),
        ("c", "needs = [\"a\"]", ""),
        ("d", "needs = [\"a\"]", ""),
        ("e", "needs = [\"a\"]", ""),
    ];
    let other = start(&engine, "other", &bench.pipeline("", &[("z", "may_fail = true", PATIENT)]));
    wait_for_named(&events, "step_started");
    let run = start(&engine, "pair", &bench.pipeline("max_parallel = 2", &steps));
    let pids = [bench.pids_in("a.pids", 1)[0], bench.pids_in("b.pids", 1)[0]];
    engine.pause_execution(&other).expect("it pauses");
    wait_for_named(&events, "execution_paused");
    let barrier = witness.barrier.lock().expect("nobody panicked");
    std::thread::scope(|scope| {
        scope.spawn(|| engine.resume_execution(&other).expect("it resumes"));
        bench.let_go();
        wait_gone(&pids);
        let_pass(Duration::from_millis(100));
        drop(barrier);
    });
    wait_for_end(&events, &run);
    assert_eq!(bench.stored("pair").summary.state, RunState::Completed);
    assert_eq!(witness.too_early(), [""; 0]);
}

#[test]
fn a_supervisor_that_is_told_everything_twice_does_it_once() {
    let bench = Bench::new();
    let options = EngineOptions { host: stammering(bench.data_dir.clone()), ..options() };
    let (engine, events) = bench.open_with(options);
    let run = start(&engine, "r1", &bench.pipeline("", &[("a", "may_fail = true", PATIENT), ("b", "", "")]));
    let pid = bench.pids_in("a.pids", 1)[0];
    engine.pause_execution(&run).expect("it pauses");
    wait_for_named(&events, "execution_paused");
    assert!(are_frozen(&[pid]));
    engine.resume_execution(&run).expect("it resumes");
    bench.let_go();
    wait_for_end(&events, &run);
    bench.assert_ledger(&["a 1", "b 1"]);
    let second = start(
        &engine,
        "r2",
        &format!(
            "env = {{ HERE = \"{}\" }}\n[[step]]\nid = \"a\"\nrun = '''\n{ALONE}trap '' TERM; sleep 1000'''",
            bench.here.display()
        ),
    );
    bench.pids_in("a.pids", 2);
    engine.stop_execution(&second, StopKind::Force).expect("it ends");
    wait_for_end(&events, &second);
    drop(engine);
    bench.wait_deserted();
}

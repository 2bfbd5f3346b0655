//! Pause is a freeze of every process of a run, and stop is the end of every one of them; neither depends on the engine
//! that was asked to live on.

use std::time::Duration;

use leverframe::engine::{CoreExecutionEngine, ShutdownKind, Subscription};
use leverframe::run::{RunState, StepState, StopKind};

use crate::support::bench::{Bench, PATIENT, living, stored_step};
use crate::support::engine_process::EngineProcess;
use crate::support::process::{
    are_frozen, cpu_ticks, is_gone, kill, let_pass, look_until, signal, wait_frozen, wait_gone,
};
use crate::support::{run_id, start, wait_for_end, wait_for_named};

/// A process that works until `$HERE/go` is there, and notes its pid.
const BUSY: &str = "echo $$ >> tree; until [ -e go ]; do :; done";

/// A tree: a shell, its child, a grandchild in a session of its own, and one that was orphaned in a further session with
/// an empty environment. All of them work.
fn tree() -> String {
    let inner = BUSY.replace('$', "\\$");
    format!(
        "cd \"$HERE\"\n\
         sh -c '{BUSY}' &\n\
         sh -c \"setsid sh -c '{inner}'\" &\n\
         (setsid env -i PATH=\"$PATH\" sh -c '{BUSY}' >/dev/null 2>&1 </dev/null &)\n\
         {BUSY}\n\
         wait\necho whole\n"
    )
}

/// Starts the tree in an engine of this process.
fn start_tree(bench: &Bench, keys: &str) -> (CoreExecutionEngine, Subscription, Vec<u32>) {
    let (engine, events) = bench.open();
    start(&engine, "r1", &bench.pipeline("", &[("a", keys, &tree())]));
    let pids = bench.pids_in("tree", 4);
    (engine, events, pids)
}

fn pause(engine: &CoreExecutionEngine, events: &Subscription) {
    engine.pause_execution(&run_id("r1")).expect("it pauses");
    wait_for_named(events, "execution_paused");
}

fn frozen_seconds(engine: &CoreExecutionEngine) -> f64 {
    living(engine, &run_id("r1")).frozen_ms(leverframe::engine::now()) as f64 / 1000.0
}

#[test]
fn pause_stops_every_process_of_the_tree_and_its_cpu_time_and_resume_lets_it_end_rightly() {
    let bench = Bench::new();
    let (engine, events, pids) = start_tree(&bench, "");
    pause(&engine, &events);
    assert!(are_frozen(&pids), "in state T when it is told");
    let ticks = || -> Vec<u64> { pids.iter().map(|pid| cpu_ticks(*pid)).collect() };
    let (ticks_before, frozen_before) = (ticks(), frozen_seconds(&engine));
    let_pass(Duration::from_millis(300));
    assert_eq!(ticks(), ticks_before, "CPU time stands still");
    assert!(frozen_seconds(&engine) >= frozen_before + 0.3, "the time that it is frozen grows");
    bench.let_go();
    engine.resume_execution(&run_id("r1")).expect("it resumes");
    wait_for_end(&events, &run_id("r1"));
    let run = bench.stored("r1");
    assert_eq!((run.summary.state, stored_step(&run, "a").exit_code), (RunState::Completed, Some(0)));
    assert!(run.summary.frozen_seconds >= 0.3);
    assert!(bench.log("a", 1).ends_with("whole\n"));
}

#[test]
fn a_frozen_run_stays_frozen_over_a_restart_and_its_timeout_stands_still() {
    let bench = Bench::new();
    let (engine, events, pids) = start_tree(&bench, "timeout = \"4s\"");
    pause(&engine, &events);
    let frozen_before = frozen_seconds(&engine);
    engine.shutdown(ShutdownKind::LeaveSteps).expect("it ends");
    // Longer than its timeout, were it not frozen.
    let_pass(Duration::from_millis(4200));
    assert!(are_frozen(&pids));
    let (engine, events) = bench.open();
    assert!(are_frozen(&pids));
    let run = living(&engine, &run_id("r1"));
    assert_eq!((run.state(), run.steps[0].state()), (RunState::Paused, StepState::Paused));
    assert!(frozen_seconds(&engine) >= frozen_before + 4.2, "also the time without an engine");
    bench.let_go();
    engine.resume_execution(&run_id("r1")).expect("it resumes");
    wait_for_end(&events, &run_id("r1"));
    assert_eq!(bench.stored("r1").summary.state, RunState::Completed);
}

#[test]
fn an_engine_that_closes_by_freezing_leaves_everything_frozen() {
    let bench = Bench::new();
    let (engine, _events, pids) = start_tree(&bench, "");
    engine.shutdown(ShutdownKind::FreezeRuns).expect("it ends");
    assert!(are_frozen(&pids));
    let (engine, _events) = bench.open();
    assert_eq!(living(&engine, &run_id("r1")).state(), RunState::Paused);
    assert!(are_frozen(&pids));
}

#[test]
fn no_step_starts_while_its_run_is_paused() {
    let bench = Bench::new();
    let (engine, events) = bench.open();
    let steps = [("a", "may_fail = true", PATIENT), ("b", "", "")];
    start(&engine, "r1", &bench.pipeline("", &steps));
    let pid = bench.pids_in("a.pids", 1)[0];
    pause(&engine, &events);
    // It ends although it is frozen: somebody else kills it.
    kill(pid);
    wait_for_named(&events, "step_finished");
    let_pass(Duration::from_millis(200));
    bench.assert_ledger(&["a 1"]);
    engine.resume_execution(&run_id("r1")).expect("it resumes");
    wait_for_end(&events, &run_id("r1"));
    bench.assert_ledger(&["a 1", "b 1"]);
}

#[test]
fn pause_and_resume_in_quick_succession_leave_what_was_asked_last() {
    let bench = Bench::new();
    let (engine, events, pids) = start_tree(&bench, "");
    let run = run_id("r1");
    for _ in 0..20 {
        engine.pause_execution(&run).expect("it pauses");
        engine.resume_execution(&run).expect("it resumes");
    }
    engine.pause_execution(&run).expect("it pauses");
    wait_frozen(&pids);
    look_until("the pause to be seen", || living(&engine, &run).phase.frozen_since());
    bench.let_go();
    engine.resume_execution(&run).expect("it resumes");
    wait_for_end(&events, &run);
    assert_eq!(bench.stored("r1").summary.state, RunState::Completed);
}

/// Ignores the polite signal, with a tree that ignores it as well.
const STUBBORN: &str = "trap '' TERM\ncd \"$HERE\"\n\
    (setsid env -i PATH=\"$PATH\" sh -c 'echo $$ >> tree; while :; do sleep 1; done' >/dev/null 2>&1 </dev/null &)\n\
    setsid sh -c 'echo $$ >> tree; while :; do sleep 1; done' &\n\
    echo $$ >> tree\nwhile :; do sleep 1; done\n";

fn start_stubborn(bench: &Bench) -> (CoreExecutionEngine, Subscription, Vec<u32>) {
    let (engine, events) = bench.open();
    start(&engine, "r1", &bench.pipeline("", &[("a", "grace = \"400ms\"", STUBBORN)]));
    let pids = bench.pids_in("tree", 3);
    (engine, events, pids)
}

fn assert_stopped(bench: &Bench, pids: &[u32]) {
    assert!(pids.iter().all(|pid| is_gone(*pid)), "no process of its tree is left");
    let run = bench.stored("r1");
    let step = stored_step(&run, "a");
    assert_eq!((run.summary.state, step.state()), (RunState::Stopped, StepState::Stopped));
    assert_eq!(step.signal, Some(9));
}

#[test]
fn a_step_that_ignores_term_is_killed_after_its_grace_with_its_daemons() {
    let bench = Bench::new();
    let (engine, events, pids) = start_stubborn(&bench);
    engine.stop_execution(&run_id("r1"), StopKind::Graceful).expect("it stops");
    wait_for_end(&events, &run_id("r1"));
    assert_stopped(&bench, &pids);
    drop(engine);
    bench.wait_deserted();
}

#[test]
fn a_step_that_ignores_term_is_killed_after_its_grace_also_when_the_engine_died() {
    let bench = Bench::new();
    let file = bench.pipeline_file("", &[("a", "grace = \"400ms\"", STUBBORN)]);
    let mut process = EngineProcess::open(&bench.data_dir);
    process.order(&format!("start {} r1", file.display()));
    let pids = bench.pids_in("tree", 3);
    process.order("stop r1");
    process.kill();
    wait_gone(&pids);
    let (engine, events) = bench.open();
    wait_for_end(&events, &run_id("r1"));
    assert_stopped(&bench, &pids);
    drop(engine);
    bench.wait_deserted();
}

#[test]
fn a_frozen_tree_is_stopped_too() {
    let bench = Bench::new();
    let (engine, events, pids) = start_stubborn(&bench);
    pause(&engine, &events);
    assert!(are_frozen(&pids));
    engine.stop_execution(&run_id("r1"), StopKind::Graceful).expect("it stops");
    wait_for_end(&events, &run_id("r1"));
    assert_stopped(&bench, &pids);
}

#[test]
fn a_frozen_step_that_obeys_is_let_on_to_hear_that_it_is_to_stop() {
    let bench = Bench::new();
    let (engine, events) = bench.open();
    let script = "trap 'echo bye; exit 3' TERM\necho $$ >> \"$HERE/tree\"\nwhile :; do sleep 0.02; done\n";
    start(&engine, "r1", &bench.pipeline("", &[("a", "grace = \"10m\"", script)]));
    bench.pids_in("tree", 1);
    pause(&engine, &events);
    engine.stop_execution(&run_id("r1"), StopKind::Graceful).expect("it stops");
    wait_for_end(&events, &run_id("r1"));
    assert!(bench.log("a", 1).ends_with("bye\n"));
    assert_eq!(stored_step(&bench.stored("r1"), "a").exit_code, Some(3));
}

#[test]
fn force_kills_a_tree_at_once_also_one_that_is_being_stopped() {
    let bench = Bench::new();
    let (engine, events) = bench.open();
    start(&engine, "r1", &bench.pipeline("", &[("a", "grace = \"10m\"", STUBBORN)]));
    let pids = bench.pids_in("tree", 3);
    engine.stop_execution(&run_id("r1"), StopKind::Graceful).expect("it stops");
    engine.stop_execution(&run_id("r1"), StopKind::Force).expect("it ends");
    wait_for_end(&events, &run_id("r1"));
    assert!(pids.iter().all(|pid| is_gone(*pid)));
    assert_eq!(bench.stored("r1").summary.state, RunState::ForceStopped);
}

#[test]
fn a_step_that_is_ending_by_itself_hears_its_signal_once_although_its_engine_is_killed() {
    let bench = Bench::new();
    let script = "trap 'echo told >> \"$HERE/told\"' TERM\necho $$ >> \"$HERE/tree\"\n\
        until [ -e \"$HERE/go\" ]; do sleep 0.02; done\n";
    let file = bench.pipeline_file("", &[("a", "grace = \"10m\"", script)]);
    let mut process = EngineProcess::open(&bench.data_dir);
    process.order(&format!("start {} r1", file.display()));
    bench.pids_in("tree", 1);
    process.order("stop r1");
    look_until("the signal to be heard", || (!bench.lines("told").is_empty()).then_some(()));
    process.kill();
    let (_engine, events) = bench.open();
    let_pass(Duration::from_millis(100));
    bench.let_go();
    wait_for_end(&events, &run_id("r1"));
    assert_eq!(bench.lines("told").len(), 1, "to many a program a second signal means at once");
    assert_eq!(bench.stored("r1").summary.state, RunState::Stopped);
}

#[test]
fn reopening_stderr_loses_no_line() {
    let bench = Bench::new();
    let (engine, events) = bench.open();
    let script = "for i in 1 2 3; do echo out$i; echo err$i > /dev/stderr; echo both$i > /dev/stdout; done\n";
    start(&engine, "r1", &bench.pipeline("", &[("a", "", script)]));
    wait_for_end(&events, &run_id("r1"));
    let expected: String = (1..=3).map(|i| format!("out{i}\nerr{i}\nboth{i}\n")).collect();
    assert_eq!(bench.log("a", 1), expected);
}

#[test]
fn background_that_is_kept_is_left_alone_and_background_that_is_not_is_ended() {
    let bench = Bench::new();
    let (engine, events) = bench.open();
    let script =
        "sh -c 'echo $$ >> \"$HERE/left\"; exec sleep 1000' &\nuntil [ -e \"$HERE/left\" ]; do :; done\n";
    let keep = bench.pipeline("", &[("a", "background = \"keep\"", script)]);
    start(&engine, "r1", &keep);
    wait_for_end(&events, &run_id("r1"));
    let kept = bench.pids_in("left", 1)[0];
    assert!(!is_gone(kept), "it is left alone");
    std::fs::remove_file(bench.here.join("left")).expect("a file");
    start(&engine, "r2", &bench.pipeline("", &[("b", "", script)]));
    wait_for_end(&events, &run_id("r2"));
    let ended = bench.pids_in("left", 1)[0];
    assert!(is_gone(ended) && !is_gone(kept));
    signal(kept, rustix::process::Signal::KILL);
    assert_eq!(bench.stored("r1").summary.state, RunState::Completed);
    assert_eq!(bench.stored("r2").summary.state, RunState::Completed);
}

#[test]
fn a_frozen_step_that_somebody_else_continues_is_frozen_again() {
    let bench = Bench::new();
    let (engine, events) = bench.open();
    start(&engine, "r1", &bench.pipeline("", &[("a", "may_fail = true", PATIENT)]));
    let pid = bench.pids_in("a.pids", 1)[0];
    wait_for_named(&events, "step_started");
    pause(&engine, &events);
    for _ in 0..3 {
        assert!(are_frozen(&[pid]));
        // From here on it runs, until it is stopped again.
        signal(pid, rustix::process::Signal::CONT);
        wait_frozen(&[pid]);
    }
    assert_eq!(living(&engine, &run_id("r1")).state(), RunState::Paused);
    engine.resume_execution(&run_id("r1")).expect("it resumes");
    bench.let_go();
    wait_for_end(&events, &run_id("r1"));
}

//! What is left standing when the engine, the supervisor or both are killed: the steps, the record, and each other.

#[path = "test_crash_recovery/between_beats.rs"]
mod between_beats;
#[path = "test_crash_recovery/campaign.rs"]
mod campaign;
#[path = "test_crash_recovery/everything_killed.rs"]
mod everything_killed;
#[path = "test_crash_recovery/meanwhile.rs"]
mod meanwhile;
#[path = "test_crash_recovery/no_host.rs"]
mod no_host;

use std::sync::Barrier;
use std::time::Duration;

use leverframe::engine::{CoreExecutionEngine, ShutdownKind, Subscription};
use leverframe::run::{RunState, StepState};
use rustix::process::Signal;

use crate::support::bench::{Bench, PATIENT, living, stored_step};
use crate::support::engine_process::EngineProcess;
use crate::support::process::{
    are_frozen, is_gone, kill, let_pass, look_until, parent_of_supervisor, signal, state_of, wait_gone,
};
use crate::support::{run_id, start, wait_for_end, wait_for_named};

/// A step that fails in its own way, which the run puts up with: its exit code is told apart from any other.
const MAY_FAIL: &str = "may_fail = true";

/// Starts a patient step in an engine of its own and gives both.
fn patient_run(bench: &Bench) -> (EngineProcess, u32) {
    let file = bench.pipeline_file("", &[("a", MAY_FAIL, PATIENT)]);
    let mut engine = EngineProcess::open(&bench.data_dir);
    engine.order(&format!("start {} r1", file.display()));
    let pid = bench.pids_in("a.pids", 1)[0];
    engine.wait_for_event("step_started");
    (engine, pid)
}

/// The patient step has ended as one whose engine never died.
fn assert_unharmed(bench: &Bench) {
    let run = bench.stored("r1");
    let step = stored_step(&run, "a");
    assert_eq!(run.summary.state, RunState::Completed);
    assert_eq!((step.state(), step.attempt, step.exit_code), (StepState::Failed, 1, Some(7)));
    assert_eq!(bench.log("a", 1), "begin\nend\n");
    bench.assert_ledger(&["a 1"]);
}

#[test]
fn a_step_whose_engine_is_killed_goes_on_with_its_pid_log_and_true_exit() {
    let bench = Bench::new();
    let (process, pid) = patient_run(&bench);
    process.kill();
    let (engine, events) = bench.open();
    assert_eq!(living(&engine, &run_id("r1")).steps[0].pid, Some(pid));
    assert!(!is_gone(pid), "it goes on");
    assert_eq!(bench.decisions("r1"), [format!("a (attempt 1) is alive as process {pid}: taken back")]);
    bench.let_go();
    wait_for_end(&events, &run_id("r1"));
    assert_unharmed(&bench);
    drop(engine);
    bench.wait_deserted();
}

#[test]
fn a_step_that_ends_while_no_engine_lives_is_recorded_with_its_true_exit() {
    let bench = Bench::new();
    let (process, pid) = patient_run(&bench);
    process.kill();
    bench.let_go();
    wait_gone(&[pid]);
    let (engine, events) = bench.open();
    wait_for_end(&events, &run_id("r1"));
    assert_unharmed(&bench);
    drop(engine);
    bench.wait_deserted();
}

#[test]
fn a_frozen_run_stays_frozen_when_its_engine_is_killed_and_goes_on_when_resumed() {
    let bench = Bench::new();
    let (mut process, pid) = patient_run(&bench);
    process.order("pause r1");
    process.wait_for_event("execution_paused");
    let frozen_at = bench.stored("r1").phase.frozen_since();
    process.kill();
    assert!(are_frozen(&[pid]));
    let (engine, events) = bench.open();
    let run = living(&engine, &run_id("r1"));
    assert_eq!((run.state(), run.steps[0].state()), (RunState::Paused, StepState::Paused));
    assert!(frozen_at.is_some() && run.phase.frozen_since() == frozen_at, "the freeze counts on");
    bench.let_go();
    assert!(are_frozen(&[pid]));
    engine.resume_execution(&run_id("r1")).expect("it resumes");
    wait_for_end(&events, &run_id("r1"));
    assert_unharmed(&bench);
}

#[test]
fn a_frozen_tree_stays_frozen_when_its_supervisor_is_killed_and_is_found_by_the_next() {
    let bench = Bench::new();
    let (engine, events) = bench.open();
    start(&engine, "r1", &bench.pipeline("", &[("a", MAY_FAIL, PATIENT)]));
    let pid = bench.pids_in("a.pids", 1)[0];
    engine.pause_execution(&run_id("r1")).expect("it pauses");
    wait_for_named(&events, "execution_paused");
    let first = bench.supervisor();
    kill(first);
    assert!(are_frozen(&[pid]));
    wait_for_named(&events, "recovery_decided");
    assert_ne!(bench.supervisor(), first);
    assert!(are_frozen(&[pid]), "still");
    assert_eq!(living(&engine, &run_id("r1")).state(), RunState::Paused);
    engine.resume_execution(&run_id("r1")).expect("it resumes");
    bench.let_go();
    wait_for_end(&events, &run_id("r1"));
    assert_unharmed(&bench);
}

#[test]
fn a_frozen_tree_outlives_engine_and_supervisor_and_is_found() {
    let bench = Bench::new();
    let (mut process, pid) = patient_run(&bench);
    process.order("pause r1");
    process.wait_for_event("execution_paused");
    let supervisor = bench.supervisor();
    process.kill();
    kill(supervisor);
    assert!(are_frozen(&[pid]));
    let (engine, events) = bench.open();
    assert!(are_frozen(&[pid]), "taken back as it was");
    assert_eq!(living(&engine, &run_id("r1")).state(), RunState::Paused);
    engine.resume_execution(&run_id("r1")).expect("it resumes");
    bench.let_go();
    wait_for_end(&events, &run_id("r1"));
    assert_unharmed(&bench);
}

/// Runs once with a checkpoint, then waits for ever; taken up from there, it ends.
const CHECKPOINTING: &str = r#"cat "$LEVERFRAME_CHECKPOINT" >> "$HERE/seen"; echo >> "$HERE/seen"
echo '{"checkpoint": {"page": 3}}' >> "$LEVERFRAME_REPORT"
[ "$LEVERFRAME_ATTEMPT" = 1 ] && [ ! -e "$HERE/go" ] && exec sleep 1000
exit 0
"#;

#[test]
fn the_survivor_of_engine_and_supervisor_is_found_before_anything_is_started_again() {
    let bench = Bench::new();
    let (process, pid) = patient_run(&bench);
    let supervisor = bench.supervisor();
    process.kill();
    kill(supervisor);
    assert!(!is_gone(pid), "the step survives both");
    let (engine, events) = bench.open();
    assert_eq!(living(&engine, &run_id("r1")).steps[0].pid, Some(pid), "taken back");
    bench.let_go();
    wait_for_end(&events, &run_id("r1"));
    assert_unharmed(&bench);
    drop(engine);
    bench.wait_deserted();
}

#[test]
fn when_everything_is_killed_the_run_resumes_from_its_last_checkpoint_and_repeats_no_finished_step() {
    let bench = Bench::new();
    let file = bench.pipeline_file("", &[("first", "", ""), ("pages", "", CHECKPOINTING), ("last", "", "")]);
    let mut process = EngineProcess::open(&bench.data_dir);
    process.order(&format!("start {} r1", file.display()));
    process.wait_for_event("checkpoint_saved");
    let (supervisor, pages) = (bench.supervisor(), bench.pids_in("pages.pids", 1)[0]);
    process.kill();
    // Its parent too: it would see how the step ends, which would have failed, not been lost.
    kill(parent_of_supervisor(supervisor).expect("a parent"));
    kill(supervisor);
    kill(pages);
    // Nor must a new supervisor find its zombie.
    look_until("nothing of the step", || state_of(pages).is_none().then_some(()));
    let (engine, events) = bench.open();
    wait_for_end(&events, &run_id("r1"));
    assert_eq!(bench.stored("r1").summary.state, RunState::Completed);
    let seen = bench.lines("seen").join("\n");
    assert_eq!(seen.split_whitespace().collect::<Vec<_>>(), ["null", "{\"page\":3}"]);
    bench.assert_ledger(&["first 1", "pages 1", "pages 2", "last 1"]);
    drop(engine);
    bench.wait_deserted();
}

#[test]
fn a_start_that_its_supervisor_never_read_is_asked_of_the_next_one() {
    let bench = Bench::new();
    let (engine, events) = bench.open();
    start(&engine, "r1", &bench.pipeline("", &[("a", MAY_FAIL, PATIENT)]));
    bench.pids_in("a.pids", 1);
    let supervisor = bench.supervisor();
    signal(supervisor, Signal::STOP);
    let second = start(&engine, "r2", &bench.pipeline("", &[("b", "", "sleep 0.1\n")]));
    kill(supervisor);
    wait_for_end(&events, &second);
    assert_eq!(bench.stored("r2").summary.state, RunState::Completed);
    bench.let_go();
    wait_for_end(&events, &run_id("r1"));
    let step = stored_step(&bench.stored("r1"), "a");
    assert_eq!((step.state(), step.attempt, step.exit_code), (StepState::Failed, 1, Some(7)));
    bench.assert_ledger(&["a 1", "b 1"]);
}

#[test]
fn of_two_engines_that_start_at_the_same_instant_exactly_one_opens() {
    let bench = Bench::new();
    for round in 0..20 {
        let barrier = Barrier::new(2);
        let begin = || {
            barrier.wait();
            let process = EngineProcess::spawn(&bench.data_dir);
            let outcome = process.outcome_of_opening();
            (process, outcome)
        };
        let both = std::thread::scope(|scope| {
            let (a, b) = (scope.spawn(begin), scope.spawn(begin));
            [a, b].map(|thread| thread.join().expect("it starts"))
        });
        let refusals: Vec<_> = both.iter().filter_map(|(_, outcome)| outcome.as_ref().err()).collect();
        assert_eq!(refusals.len(), 1, "round {round}: {refusals:?}");
        assert!(refusals[0].contains("another engine holds"), "{refusals:?}");
        for (process, outcome) in both {
            assert_eq!(process.leave().success(), outcome.is_ok());
        }
    }
}

#[test]
fn a_start_still_unread_when_its_engine_died_leads_to_one_tree() {
    for round in 0..6 {
        let bench = Bench::new();
        // A first run, so that there is a supervisor which listens to this engine.
        let (mut process, _) = patient_run(&bench);
        let file = bench.here.join("q.toml");
        std::fs::write(&file, bench.pipeline("", &[("b", "", "sleep 0.1\n")])).expect("a file");
        let supervisor = bench.supervisor();
        signal(supervisor, Signal::STOP);
        // Recorded and sent, but not read.
        process.order(&format!("start {} r2", file.display()));
        process.kill();
        let path = bench.data_dir.clone();
        let next = std::thread::spawn(move || EngineProcess::open(&path));
        if round % 2 == 0 {
            // The next engine has most likely said hello: its predecessor's requests are thrown away.
            let_pass(Duration::from_millis(200));
        }
        signal(supervisor, Signal::CONT);
        let engine = next.join().expect("it opens");
        look_until("the end of r2", || bench.stored("r2").summary.state.is_ended().then_some(()));
        assert_eq!(bench.stored("r2").summary.state, RunState::Completed);
        bench.let_go();
        look_until("the end of r1", || bench.stored("r1").summary.state.is_ended().then_some(()));
        bench.assert_ledger(&["a 1", "b 1"]);
        engine.leave();
        bench.wait_deserted();
    }
}

#[test]
fn an_engine_that_leaves_in_good_order_leaves_its_steps_alone() {
    let bench = Bench::new();
    let (process, pid) = patient_run(&bench);
    assert!(process.leave().success());
    assert!(!is_gone(pid));
    let (engine, events) = bench.open();
    bench.let_go();
    wait_for_end(&events, &run_id("r1"));
    assert_unharmed(&bench);
    engine.shutdown(ShutdownKind::LeaveSteps).expect("it ends");
    bench.wait_deserted();
}

/// A step whose start is noted by its supervisor, which dies before it can note the process: its journal ends there, and
/// nothing of the step lives any more.
fn start_that_nobody_saw(bench: &Bench, keys: &str) -> (CoreExecutionEngine, Subscription) {
    let (engine, _events) = bench.open();
    let script = "until [ -e \"$HERE/go\" ]; do sleep 0.02; done\n";
    start(&engine, "r1", &bench.pipeline("", &[("a", keys, script)]));
    let (pid, supervisor) = (bench.pids_in("a.pids", 1)[0], bench.supervisor());
    engine.shutdown(ShutdownKind::LeaveSteps).expect("it ends");
    kill(supervisor);
    kill(pid);
    look_until("nothing of the step", || state_of(pid).is_none().then_some(()));
    let path = bench.data_dir.join("supervisor.journal");
    let mut journal = std::fs::read(&path).expect("it is left");
    let spawned = b"{\"record\":\"spawned\"";
    let at = journal.windows(spawned.len()).position(|bytes| bytes == spawned).expect("it was noted");
    // What its checksum does not fit is as if it had never been written.
    journal[at..].fill(0);
    std::fs::write(&path, journal).expect("it can be written");
    bench.let_go();
    bench.open()
}

#[test]
fn a_start_that_may_have_happened_is_not_repeated_under_the_same_attempt() {
    let bench = Bench::new();
    let (_engine, events) = start_that_nobody_saw(&bench, "");
    wait_for_end(&events, &run_id("r1"));
    assert_eq!(bench.stored("r1").summary.state, RunState::Completed);
    bench.assert_ledger(&["a 1", "a 2"]);
}

#[test]
fn a_start_that_may_have_happened_is_not_repeated_at_all_where_on_interrupt_asks() {
    let bench = Bench::new();
    let (_engine, events) = start_that_nobody_saw(&bench, "on_interrupt = \"ask\"");
    wait_for_end(&events, &run_id("r1"));
    assert_eq!(bench.stored("r1").summary.state, RunState::Interrupted);
    bench.assert_ledger(&["a 1"]);
}

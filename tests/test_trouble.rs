//! A disk that is full or read-only, a database that is damaged, newer, or locked by somebody else, and a flood of
//! output: what is asked still happens, what was accepted is not lost, and nothing of the operator's is overwritten.

#[path = "test_trouble/flood.rs"]
mod flood;
#[path = "test_trouble/opening.rs"]
mod opening;
#[path = "test_trouble/secrets.rs"]
mod secrets;

use std::time::Duration;

use leverframe::engine::{CoreExecutionEngine, EngineError, EngineOptions, OnDiskFull, Subscription};
use leverframe::run::{EventKind, RunState, StepState, StopKind};

use crate::support::bench::{Bench, PATIENT, living, stored_step};
use crate::support::engine_process::EngineProcess;
use crate::support::process::{are_frozen, is_gone, let_pass, look_until, wait_frozen, wait_gone};
use crate::support::small_disk::SmallDisk;
use crate::support::{definition, options, run_id, start, wait_for, wait_for_end, wait_for_named};

/// Enough for the reserve, the database and a few logs.
const DISK_MIB: u32 = 48;
/// A step that waits for a word of its own.
const SLOW: &str = "until [ -e \"$HERE/go-slow\" ]; do sleep 0.02; done\n";

/// The steps of these runs: `a` waits for a word and fails in its own way, `slow` waits for another one, `b` follows `a`.
fn steps() -> [(&'static str, &'static str, &'static str); 3] {
    [
        ("a", "may_fail = true", PATIENT),
        ("slow", "needs = []", SLOW),
        ("b", "needs = [\"a\"]\nwhen = \"always\"", ""),
    ]
}

/// A run of these steps, the first two of which live.
fn start_both(bench: &Bench, options: EngineOptions) -> (CoreExecutionEngine, Subscription, [u32; 2]) {
    let (engine, events) = bench.open_with(EngineOptions { n_cpus: 2, ..options });
    start(&engine, "r1", &bench.pipeline("", &steps()));
    let pids = [bench.pids_in("a.pids", 1)[0], bench.pids_in("slow.pids", 1)[0]];
    for _ in 0..2 {
        wait_for_named(&events, "step_started");
    }
    (engine, events, pids)
}

fn wait_for_alert(events: &Subscription, is_cleared: bool) -> String {
    let event = wait_for(
        events,
        "the alert",
        |event| matches!(event.kind, EventKind::ResourceAlert { cleared, .. } if cleared == is_cleared),
    );
    let EventKind::ResourceAlert { text, .. } = &event.kind else { panic!("{event:?} is no alert") };
    text.clone()
}

#[test]
fn on_a_full_disk_ends_are_recorded_nothing_starts_what_runs_is_frozen_and_all_goes_on_when_there_is_room() {
    let Some(mut disk) = SmallDisk::mount(DISK_MIB) else { return };
    let bench = Bench::on(&disk);
    let (engine, events, [_, slow]) = start_both(&bench, options());
    disk.fill();
    bench.let_go();
    let alert = wait_for_alert(&events, false);
    assert!(alert.contains("is full"), "{alert}");
    wait_frozen(&[slow]);
    look_until("the end of a on disk", || {
        (stored_step(&bench.stored("r1"), "a").exit_code == Some(7)).then_some(())
    });
    let refusal = engine.start_pipeline(leverframe::run::Plan::new(
        definition(&bench.pipeline("", &[("x", "", "")])),
        Default::default(),
    ));
    if let Ok(queued) = refusal {
        assert_eq!(living(&engine, &queued).state(), RunState::Queued, "it may be accepted, and waits");
    }
    let_pass(Duration::from_millis(1500));
    bench.assert_ledger_of_any_order(&["a 1", "slow 1"]);
    assert!(are_frozen(&[slow]));
    disk.free();
    assert_eq!(wait_for_alert(&events, true), alert, "cleared by the same words");
    look_until("b", || (bench.lines("b.pids").len() == 1).then_some(()));
    std::fs::write(bench.here.join("go-slow"), "").expect("a file");
    wait_for_end(&events, &run_id("r1"));
    let run = bench.stored("r1");
    assert_eq!(run.summary.state, RunState::Completed);
    assert!(run.summary.frozen_seconds > 0.0);
    assert_eq!(bench.lines("violations"), [""; 0]);
}

#[test]
fn pause_and_stop_act_although_not_even_the_reserve_is_left_and_are_recorded_when_there_is_room() {
    let Some(mut disk) = SmallDisk::mount(DISK_MIB) else { return };
    let bench = Bench::on(&disk);
    let on_disk_full = OnDiskFull::Continue;
    let (engine, events, [_, slow]) = start_both(&bench, EngineOptions { on_disk_full, ..options() });
    let other = start(&engine, "r2", &bench.pipeline("", &[("c", "grace = \"200ms\"", "sleep 1000\n")]));
    let c = bench.pids_in("c.pids", 1)[0];
    wait_for_named(&events, "step_started");
    disk.fill();
    bench.let_go();
    wait_for_alert(&events, false);
    assert!(!are_frozen(&[slow]), "it goes on, as it was asked");
    // What the reserve has given up is gone too.
    disk.fill();
    engine.pause_execution(&run_id("r1")).expect("it acts");
    wait_frozen(&[slow]);
    engine.stop_execution(&other, StopKind::Graceful).expect("it acts");
    wait_gone(&[c]);
    let refused = engine.resume_execution(&run_id("r1")).map(drop);
    assert!(matches!(refused, Err(EngineError::NotRecorded { .. })), "{refused:?}");
    let on_disk = |id: &str| bench.stored(id).summary.state;
    assert_eq!(
        (on_disk("r1"), on_disk("r2")),
        (RunState::Running, RunState::Running),
        "as far as there was room"
    );
    disk.free();
    wait_for_alert(&events, true);
    assert_eq!((on_disk("r1"), on_disk("r2")), (RunState::Paused, RunState::Stopped));
    engine.resume_execution(&run_id("r1")).expect("it resumes");
    std::fs::write(bench.here.join("go-slow"), "").expect("a file");
    wait_for_end(&events, &run_id("r1"));
    let run = bench.stored("r1");
    assert_eq!(run.summary.state, RunState::Completed);
    assert_eq!(stored_step(&run, "a").exit_code, Some(7), "what ended meanwhile was not lost");
    bench.assert_ledger_of_any_order(&["a 1", "b 1", "c 1", "slow 1"]);
}

#[test]
fn an_engine_that_dies_on_a_full_disk_loses_nothing_that_has_ended() {
    let Some(mut disk) = SmallDisk::mount(DISK_MIB) else { return };
    let bench = Bench::on(&disk);
    let (engine, events, [a, slow]) = start_both(&bench, options());
    disk.fill();
    bench.let_go();
    wait_for_alert(&events, false);
    disk.fill();
    wait_gone(&[a]);
    drop(engine);
    disk.free();
    let (engine, events) = bench.open();
    // The next engine finds room: what was held for want of it goes on by itself.
    std::fs::write(bench.here.join("go-slow"), "").expect("a file");
    wait_for_end(&events, &run_id("r1"));
    assert!(is_gone(slow));
    let run = bench.stored("r1");
    assert_eq!((run.summary.state, stored_step(&run, "a").exit_code), (RunState::Completed, Some(7)));
    bench.assert_ledger_of_any_order(&["a 1", "b 1", "slow 1"]);
    drop(engine);
    bench.wait_deserted();
}

#[test]
fn a_log_that_fills_the_disk_freezes_its_step_and_is_whole_in_the_end() {
    let Some(mut disk) = SmallDisk::mount(DISK_MIB) else { return };
    let bench = Bench::on(&disk);
    let (engine, events) = bench.open();
    let script = "until [ -e \"$HERE/go\" ]; do sleep 0.02; done\nseq 1 1000000\n";
    start(&engine, "r1", &bench.pipeline("", &[("a", "", script)]));
    wait_for_named(&events, "step_started");
    disk.fill();
    bench.let_go();
    wait_for_named(&events, "execution_paused");
    assert_eq!(living(&engine, &run_id("r1")).state(), RunState::Paused);
    disk.free();
    wait_for_end(&events, &run_id("r1"));
    let expected: String = (1..=1_000_000).map(|n| format!("{n}\n")).collect();
    assert!(bench.log("a", 1) == expected, "no line is missing");
}

/// Holds the database as a foreign program may: nobody else can write until this is dropped.
fn hold_database(bench: &Bench) -> rusqlite::Connection {
    let database = rusqlite::Connection::open(bench.data_dir.join("checkpoints.db")).expect("it opens");
    database.busy_timeout(Duration::from_secs(10)).expect("it waits");
    database.execute_batch("BEGIN EXCLUSIVE").expect("it is held");
    database
}

#[test]
fn while_somebody_else_holds_the_database_pause_acts_nothing_starts_and_everything_goes_on_afterwards() {
    let bench = Bench::new();
    let file = bench.pipeline_file("max_parallel = 2", &steps());
    let mut process = EngineProcess::open(&bench.data_dir);
    process.order(&format!("start {} r1", file.display()));
    let slow = bench.pids_in("slow.pids", 1)[0];
    process.wait_for_event("step_started");
    process.wait_for_event("step_started");
    let held = hold_database(&bench);
    bench.let_go();
    let is_alert = |cleared: bool| {
        move |line: &serde_json::Value| line["event"] == "resource_alert" && line["cleared"] == cleared
    };
    let alert = process.wait_for("the alert", is_alert(false));
    assert!(alert["text"].as_str().is_some_and(|text| text.contains("another program holds")), "{alert}");
    process.order("pause r1");
    wait_frozen(&[slow]);
    bench.assert_ledger_of_any_order(&["a 1", "slow 1"]);
    drop(held);
    process.wait_for("the end of the alert", is_alert(true));
    assert_eq!(bench.stored("r1").summary.state, RunState::Paused);
    process.order("resume r1");
    std::fs::write(bench.here.join("go-slow"), "").expect("a file");
    process.wait_for_event("execution_completed");
    assert_eq!(stored_step(&bench.stored("r1"), "a").exit_code, Some(7));
    bench.assert_ledger_of_any_order(&["a 1", "b 1", "slow 1"]);
    process.leave();
    bench.wait_deserted();
}

#[test]
fn a_start_that_was_sent_ahead_of_a_commit_that_failed_is_known_and_made_once() {
    let bench = Bench::new();
    let (engine, events) = bench.open();
    // The second waits for a slot: its start is recorded ahead, and is sent when the first one ends.
    let steps = [("a", "may_fail = true", PATIENT), ("ahead", "needs = []", SLOW)];
    start(&engine, "r1", &bench.pipeline("max_parallel = 1", &steps));
    bench.pids_in("a.pids", 1);
    wait_for_named(&events, "step_started");
    let held = hold_database(&bench);
    bench.let_go();
    wait_for_alert(&events, false);
    let ahead = bench.pids_in("ahead.pids", 1)[0];
    look_until("the step to be known", || {
        let run = living(&engine, &run_id("r1"));
        (run.steps[1].state() == StepState::Running && run.steps[1].pid == Some(ahead)).then_some(())
    });
    engine.pause_execution(&run_id("r1")).expect("it acts");
    wait_frozen(&[ahead]);
    drop(held);
    wait_for_alert(&events, true);
    engine.resume_execution(&run_id("r1")).expect("it resumes");
    std::fs::write(bench.here.join("go-slow"), "").expect("a file");
    wait_for_end(&events, &run_id("r1"));
    assert_eq!(bench.stored("r1").summary.state, RunState::Completed);
    bench.assert_ledger(&["a 1", "ahead 1"]);
}

#[test]
fn a_start_that_was_sent_ahead_and_ended_before_anything_could_be_recorded_is_not_made_again() {
    let bench = Bench::new();
    let (engine, events) = bench.open();
    let steps = [("a", "may_fail = true", PATIENT), ("ahead", "needs = []", "")];
    start(&engine, "r1", &bench.pipeline("max_parallel = 1", &steps));
    bench.pids_in("a.pids", 1);
    wait_for_named(&events, "step_started");
    let held = hold_database(&bench);
    bench.let_go();
    wait_for_alert(&events, false);
    wait_gone(&[bench.pids_in("ahead.pids", 1)[0]]);
    let_pass(Duration::from_millis(200));
    drop(held);
    wait_for_end(&events, &run_id("r1"));
    let run = bench.stored("r1");
    assert_eq!((run.summary.state, stored_step(&run, "ahead").exit_code), (RunState::Completed, Some(0)));
    bench.assert_ledger(&["a 1", "ahead 1"]);
    drop(engine);
    bench.wait_deserted();
}

#[test]
fn what_the_database_cannot_hold_is_refused_to_whoever_asked_and_hinders_nobody_else() {
    let bench = Bench::new();
    let (engine, events) = bench.open();
    let request = |id: &str| leverframe::engine::StartRequest::new(run_id(id), "p", "s").expect("ids");
    let big = engine.start_execution(request("big")).expect("it starts");
    let small = engine.start_execution(request("small")).expect("it starts");
    let step = crate::support::step_id("s");
    let too_much = serde_json::Value::String("x".repeat(65 << 20));
    std::thread::scope(|scope| {
        // Side by side, so that some of them share a commit.
        scope.spawn(|| {
            for n in 0..200 {
                small.checkpoint(&step, &serde_json::json!(n)).expect("it is saved");
            }
        });
        for _ in 0..3 {
            let refused = big.checkpoint(&step, &too_much);
            assert!(matches!(refused, Err(EngineError::Store(_))), "{refused:?}");
        }
    });
    let of_last = serde_json::json!(199);
    assert_eq!(small.load_checkpoint(&step).expect("it can be read"), Some(of_last));
    assert_eq!(big.load_checkpoint(&step).expect("it can be read"), None);
    let told: Vec<_> = std::iter::from_fn(|| events.try_recv()).map(|event| event.kind.name()).collect();
    assert!(!told.contains(&"resource_alert"), "nothing is wrong with the disk");
}

//! What waits to be admitted under a real engine, with real steps: memory that was learned, places and priorities, orders
//! for everything at once, power.

#[path = "test_admission/places.rs"]
mod places;
#[path = "test_admission/restarts.rs"]
mod restarts;
#[path = "test_admission/room.rs"]
mod room;

use std::sync::Arc;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use leverframe::admission::{AdmissionPolicy, Wait};
use leverframe::base::id::RunId;
use leverframe::engine::{CoreExecutionEngine, EngineError, EngineOptions, ShutdownKind, Subscription};
use leverframe::resources::{MachineSample, Power, ResourceSnapshot, Threshold};
use leverframe::run::{EventKind, Hold, Plan, RunState, StepState};
use leverframe::store::{CheckpointManager, RunWrite};

use crate::support::bench::{Bench, living};
use crate::support::process::{look_until, wait_frozen};
use crate::support::{definition, options, run_id, start, wait_for, wait_for_end};

const MIB: u64 = 1 << 20;

fn policy(change: impl FnOnce(&mut AdmissionPolicy)) -> EngineOptions {
    let mut admission = AdmissionPolicy::default();
    change(&mut admission);
    EngineOptions { admission, ..options() }
}

/// A pipeline of one step that notes when it begins and ends, and lasts until a file is there.
fn until(bench: &Bench, id: &str, head: &str, keys: &str, file: &str) -> String {
    let script = format!(
        "echo begin $LEVERFRAME_RUN_ID >> $HERE/story\nuntil [ -e $HERE/{file} ]; do sleep 0.02; done\n\
         echo end $LEVERFRAME_RUN_ID >> $HERE/story\n"
    );
    // Several at once are what is wanted here.
    bench
        .pipeline(head, &[("work", keys, &script)])
        .replacen("id = \"p\"", &format!("id = \"{id}\""), 1)
        .replace("flock -n 9 ||", "true ||")
}

fn with_priority(engine: &CoreExecutionEngine, id: &str, text: &str, priority: u8) -> RunId {
    let request = Plan {
        run_id: Some(run_id(id)),
        priority: Some(priority),
        ..Plan::new(definition(text), Default::default())
    };
    engine.start_pipeline(request).expect("the run starts")
}

fn error(engine: &CoreExecutionEngine, run: &RunId) -> String {
    living(engine, run).error.as_deref().unwrap_or_default().to_owned()
}

fn wait_for_begin(bench: &Bench, run: &RunId) {
    let line = format!("begin {run}");
    look_until(&format!("the begin of {run}"), || bench.lines("story").contains(&line).then_some(()));
}

fn go(bench: &Bench, file: &str) {
    std::fs::write(bench.here.join(file), "").expect("a file");
}

/// The most that were under way at once, as their steps have noted it.
fn most_at_once(bench: &Bench) -> usize {
    let (mut now, mut most) = (0_usize, 0);
    for line in bench.lines("story") {
        if line.starts_with("begin") {
            now += 1
        } else {
            now -= 1
        }
        most = most.max(now);
    }
    most
}

fn wait_for_ends(events: &Subscription, runs: &[RunId]) {
    let mut left: Vec<&RunId> = runs.iter().collect();
    while !left.is_empty() {
        let event = wait_for(events, "the ends of all runs", |event| {
            event.kind.run().is_some_and(|run| run.state.is_ended())
        });
        assert!(matches!(event.kind, EventKind::ExecutionCompleted { .. }), "{event:?}");
        left.retain(|run| event.run_id.as_ref() != Some(*run));
    }
}

#[test]
fn three_that_usually_need_two_fifths_each_never_run_three_at_once_and_all_run() {
    let bench = Bench::new();
    // What they usually need is learned from a run of each: about 40 MiB of a budget of 100.
    let pipeline = |id: &str| {
        let script = "echo begin $LEVERFRAME_RUN_ID >> $HERE/story\n\
             head -c 41943040 /dev/zero | tail -c 41943040 > /dev/null; sleep 0.3\n\
             echo end $LEVERFRAME_RUN_ID >> $HERE/story\n";
        bench
            .pipeline("", &[("load", "", script)])
            .replacen("id = \"p\"", &format!("id = \"{id}\""), 1)
            .replace("flock -n 9 ||", "true ||")
    };
    let names = ["one", "two", "three"];
    let (engine, events) =
        bench.open_with(policy(|policy| policy.memory = Some(Threshold::Bytes(100 * MIB))));
    for name in names {
        let run = start(&engine, &format!("{name}-learned"), &pipeline(name));
        wait_for_end(&events, &run);
        let stored = bench.stored(run.as_str());
        let peak = stored.steps[0].peak_rss.as_ref().expect("it was measured").0;
        assert!((39 * MIB..50 * MIB).contains(&peak), "{peak} bytes at the peak");
    }
    std::fs::remove_file(bench.here.join("story")).expect("a file");
    let runs: Vec<_> =
        names.iter().map(|name| start(&engine, &format!("{name}-2"), &pipeline(name))).collect();
    let waits = wait_for(&events, "a step that waits", |event| {
        event.kind.step().is_some_and(|step| step.waits_for.is_some())
    });
    let step = waits.kind.step().expect("a step");
    assert_eq!(step.state, StepState::Waiting);
    let text = step.message.as_deref().expect("a reason");
    assert!(text.starts_with("Waiting for memory: usually needs 4"), "{text}");
    assert!(text.contains(" MiB are free; run ") && text.contains(" holds 4"), "{text}");
    wait_for_ends(&events, &runs);
    assert_eq!(most_at_once(&bench), 2, "{:?}", bench.lines("story"));
}

#[test]
fn the_lowest_is_not_starved_by_a_stream_of_the_highest() {
    let bench = Bench::new();
    let (engine, events) = bench.open_with(policy(|policy| {
        policy.max_concurrent_runs = Some(1);
        policy.ageing = Duration::from_millis(100);
    }));
    let short = bench.pipeline("", &[("work", "", "sleep 0.1\n")]);
    let first = with_priority(&engine, "first", &short, 9);
    let low = with_priority(&engine, "low", &short, 0);
    assert_eq!(living(&engine, &low).state(), RunState::Queued);
    // A new one comes whenever one ends: there are always three of the highest that wait.
    let mut n = 0;
    let mut stream = || {
        n += 1;
        with_priority(&engine, &format!("high-{n}"), &short, 9)
    };
    (0..3).for_each(|_| drop(stream()));
    let mut ended = Vec::new();
    while ended.last() != Some(&low) {
        let event =
            wait_for(&events, "an end", |event| event.kind.run().is_some_and(|run| run.state.is_ended()));
        ended.extend(event.run_id.clone());
        assert!(ended.len() < 60, "it waits while others pass: {ended:?}");
        stream();
    }
    assert_eq!(ended[0], first);
    // Urgent ones that had come before it rose above them went first.
    assert!(ended.len() > 3, "{ended:?}");
    for run in engine.list_active_executions() {
        engine.stop_execution(&run.run_id, leverframe::run::StopKind::Force).expect("it lives");
    }
}

#[test]
fn a_frozen_run_gives_back_cpus_and_its_place_in_the_line_is_kept_over_a_restart() {
    let bench = Bench::new();
    let cpus = |policy: &mut AdmissionPolicy| policy.cpus = Some(2.0);
    let (engine, _events) = bench.open_with(policy(cpus));
    let keys = "resources = { cpu = 1.5 }";
    let busy = start(&engine, "busy", &until(&bench, "a", "", keys, "go"));
    wait_for_begin(&bench, &busy);
    let next = start(&engine, "next", &until(&bench, "b", "", keys, "go"));
    let step = living(&engine, &next).steps[0].clone();
    assert!(matches!(step.phase.wait().map(|(wait, _)| &**wait), Some(Wait::Cpu { .. })), "{step:?}");
    engine.shutdown(ShutdownKind::LeaveSteps).expect("it ends");
    let (engine, events) = bench.open_with(policy(cpus));
    let step = living(&engine, &next).steps[0].clone();
    assert_eq!((step.state(), step.attempt), (StepState::Waiting, 1));
    engine.pause_execution(&busy).expect("it runs");
    wait_for_begin(&bench, &next);
    bench.let_go();
    wait_for_ends(&events, std::slice::from_ref(&next));
    engine.resume_execution(&busy).expect("it is paused");
    wait_for_ends(&events, &[busy]);
}

#[test]
fn what_asks_for_more_than_there_is_says_so_and_waits() {
    let bench = Bench::new();
    let (engine, events) = bench.open_with(policy(|policy| policy.memory = Some(Threshold::Bytes(64 * MIB))));
    let keys = "resources = { memory = \"1GiB\" }";
    let run = start(&engine, "greedy", &until(&bench, "a", "", keys, "go"));
    let step = living(&engine, &run).steps[0].clone();
    assert_eq!(step.message.as_deref(), Some("Asks for more memory than there is: 1.0 GiB of 64 MiB"));
    engine.admit_execution(&run).expect("it waits");
    wait_for_begin(&bench, &run);
    bench.let_go();
    wait_for_ends(&events, &[run]);
}

#[test]
fn quiet_freezes_holds_survives_a_restart_and_lets_go_one_at_a_time() {
    let bench = Bench::new();
    let (engine, events) = bench.open();
    let runs = start(&engine, "runs", &until(&bench, "a", "", "", "go"));
    wait_for_begin(&bench, &runs);
    let pid = bench.pids_in("work.pids", 1);
    let ignores = start(&engine, "ignores", &until(&bench, "b", "quiet = \"ignore\"", "", "go"));
    wait_for_begin(&bench, &ignores);
    engine.begin_quiet(None).expect("it can be recorded");
    wait_for(&events, "the freeze", |event| {
        matches!(event.kind, EventKind::ExecutionPaused { .. }) && event.run_id.as_ref() == Some(&runs)
    });
    wait_frozen(&pid);
    assert!(living(&engine, &runs).phase.is_held_for(Hold::Quiet));
    assert_eq!(living(&engine, &ignores).state(), RunState::Running);
    let held: Vec<_> =
        ["held-1", "held-2"].map(|id| start(&engine, id, &until(&bench, "c", "", "", "go"))).into();
    assert_eq!(error(&engine, &held[0]), "Waiting for the end of quiet");
    engine.shutdown(ShutdownKind::LeaveSteps).expect("it ends");

    let (engine, events) = bench.open();
    assert!(engine.orders().quiet.is_some(), "it outlives the engine");
    assert_eq!(living(&engine, &runs).state(), RunState::Paused);
    assert_eq!(living(&engine, &held[0]).state(), RunState::Queued);
    // What the operator lets go on is not frozen again, not even by the next engine.
    engine.resume_execution(&runs).expect("it is frozen");
    engine.shutdown(ShutdownKind::LeaveSteps).expect("it ends");
    let (engine, events_after) = bench.open();
    drop(events);
    assert_eq!(living(&engine, &runs).state(), RunState::Running);

    engine.end_quiet().expect("it can be recorded");
    wait_for_begin(&bench, &held[0]);
    let second = living(&engine, &held[1]);
    assert!(
        matches!(second.phase.wait().map(|wait| &**wait), Some(Wait::Turn { at: Some(_) })),
        "{second:?}"
    );
    wait_for_begin(&bench, &held[1]);
    bench.let_go();
    wait_for_ends(&events_after, &[runs, ignores, held[0].clone(), held[1].clone()]);
}

#[test]
fn quiet_ends_by_itself_and_one_whose_end_was_missed_is_over() {
    let bench = Bench::new();
    let (engine, events) = bench.open();
    let past = Utc::now() - TimeDelta::seconds(1);
    assert!(matches!(engine.begin_quiet(Some(past)), Err(EngineError::Invalid(_))));
    let run = start(&engine, "run", &until(&bench, "a", "", "", "go"));
    wait_for_begin(&bench, &run);
    engine.begin_quiet(Some(Utc::now() + TimeDelta::milliseconds(700))).expect("it can be recorded");
    wait_for(
        &events,
        "the end of quiet",
        |event| matches!(&event.kind, EventKind::OrdersChanged { orders } if orders.quiet.is_none()),
    );
    wait_for(&events, "the thaw", |event| matches!(event.kind, EventKind::ExecutionResumed { .. }));
    engine.begin_quiet(None).expect("it can be recorded");
    wait_for(&events, "the freeze", |event| matches!(event.kind, EventKind::ExecutionPaused { .. }));
    engine.shutdown(ShutdownKind::LeaveSteps).expect("it ends");
    // While nobody was there its end has passed.
    let store = CheckpointManager::open(bench.data_dir.join("checkpoints.db")).expect("it opens");
    let mut orders = store.load_orders().expect("they can be read");
    orders.quiet.as_mut().expect("it is recorded").until = Some(past);
    store.commit(&[RunWrite::Orders(orders)]).expect("it is written");
    drop(store);
    let (engine, events) = bench.open();
    assert_eq!(engine.orders().quiet, None);
    bench.let_go();
    wait_for_ends(&events, &[run]);
    assert_eq!(bench.store().load_orders().expect("they can be read").quiet, None);
}

#[test]
fn a_drain_starts_nothing_and_what_runs_goes_on_to_its_end() {
    let bench = Bench::new();
    let (engine, events) = bench.open();
    let script = "until [ -e $HERE/go ]; do sleep 0.02; done\n";
    let two = bench.pipeline("", &[("first", "", script), ("second", "", "true\n")]);
    let runs = start(&engine, "runs", &two);
    engine.begin_drain().expect("it can be recorded");
    let late = start(&engine, "late", &two);
    assert_eq!(error(&engine, &late), "Waiting: the engine drains and starts nothing new");
    bench.let_go();
    wait_for_ends(&events, &[runs]);
    engine.shutdown(ShutdownKind::LeaveSteps).expect("it ends");
    let (engine, events) = bench.open();
    assert_eq!(living(&engine, &late).state(), RunState::Queued);
    engine.end_drain().expect("it can be recorded");
    wait_for_ends(&events, &[late]);
}

fn powered(on_battery: bool) -> Arc<ResourceSnapshot> {
    let power = Some(Power { battery_fraction: 0.5, on_battery });
    let machine = MachineSample { power, memory_total_bytes: 1 << 40, ..MachineSample::default() };
    Arc::new(ResourceSnapshot { machine, ..ResourceSnapshot::default() })
}

#[test]
fn on_battery_those_are_frozen_or_held_that_say_so_and_go_on_with_the_mains() {
    let bench = Bench::new();
    let (engine, events) = bench.open();
    let freezes = start(&engine, "freezes", &until(&bench, "a", "on_battery = \"freeze\"", "", "go"));
    let ignores = start(&engine, "ignores", &until(&bench, "b", "", "", "go"));
    wait_for_begin(&bench, &freezes);
    wait_for_begin(&bench, &ignores);
    assert!(engine.wants_samples(), "power matters to it");
    engine.take_sample(powered(true)).expect("it lives");
    wait_for(&events, "the freeze", |event| {
        matches!(event.kind, EventKind::ExecutionPaused { .. }) && event.run_id.as_ref() == Some(&freezes)
    });
    let holds = start(&engine, "holds", &until(&bench, "c", "on_battery = \"hold\"", "", "go"));
    assert_eq!(error(&engine, &holds), "Waiting: the machine runs on battery");
    assert_eq!(living(&engine, &ignores).state(), RunState::Running);
    // Held for two reasons, it goes on when both are gone.
    engine.begin_quiet(None).expect("it can be recorded");
    engine.take_sample(powered(false)).expect("it lives");
    wait_for(&events, "another reason", |event| {
        event.run_id.as_ref() == Some(&freezes)
            && event.kind.run().and_then(|run| run.error.as_deref()) == Some("frozen: it is quiet")
    });
    engine.end_quiet().expect("it can be recorded");
    wait_for_begin(&bench, &holds);
    bench.let_go();
    wait_for_ends(&events, &[freezes, ignores, holds]);
}

#[test]
fn a_run_that_waits_for_nothing_starts_beside_one_that_waits_for_memory() {
    let bench = Bench::new();
    let (engine, events) =
        bench.open_with(policy(|policy| policy.memory = Some(Threshold::Bytes(100 * MIB))));
    let keys = "resources = { memory = \"80MiB\" }";
    let first = start(&engine, "first", &until(&bench, "a", "", keys, "first"));
    wait_for_begin(&bench, &first);
    let waits = start(&engine, "waits", &until(&bench, "b", "", keys, "go"));
    let small = start(&engine, "small", &until(&bench, "c", "", "resources = { memory = \"10MiB\" }", "go"));
    wait_for_begin(&bench, &small);
    let current = engine.waits().expect("it lives");
    assert_eq!(current.len(), 1);
    assert_eq!(current[0].run_id, waits);
    let Wait::Memory { needs, is_usual, free, ref holder } = current[0].wait else { panic!("{current:?}") };
    assert_eq!((needs, is_usual, free), (80 * MIB, false, 10 * MIB));
    assert_eq!(holder.as_ref().map(|holder| &holder.run_id), Some(&first));
    go(&bench, "first");
    wait_for_begin(&bench, &waits);
    bench.let_go();
    wait_for_ends(&events, &[first, waits, small]);
}

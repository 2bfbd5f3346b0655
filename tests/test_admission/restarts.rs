//! Orders that outlive the engine, and what each run keeps of them.

use chrono::{TimeDelta, Utc};
use leverframe::admission::Wait;
use leverframe::engine::ShutdownKind;
use leverframe::run::{EventKind, RunState};

use super::{until, wait_for_begin, wait_for_ends};
use crate::support::bench::{Bench, living};
use crate::support::{start, wait_for};

#[test]
fn what_is_wanted_in_quiet_is_not_frozen_by_a_later_order_or_by_the_engines_that_follow() {
    let bench = Bench::new();
    let (engine, events) = bench.open();
    let resumed = start(&engine, "resumed", &until(&bench, "a", "", "", "go"));
    wait_for_begin(&bench, &resumed);
    let orders = engine.begin_quiet(None).expect("it can be recorded");
    assert_eq!(engine.orders(), orders, "the engine shows it as soon as it has answered");
    assert_eq!(living(&engine, &resumed).state(), RunState::Paused);
    wait_for(&events, "the freeze", |event| matches!(event.kind, EventKind::ExecutionPaused { .. }));
    engine.resume_execution(&resumed).expect("it is frozen");
    let admitted = start(&engine, "admitted", &until(&bench, "b", "", "", "go"));
    engine.admit_execution(&admitted).expect("it waits");
    wait_for_begin(&bench, &admitted);
    let both = [resumed, admitted];
    engine.begin_quiet(Some(Utc::now() + TimeDelta::hours(1))).expect("it can be recorded");
    assert!(both.iter().all(|run| living(&engine, run).state() == RunState::Running));
    engine.shutdown(ShutdownKind::LeaveSteps).expect("it ends");
    let (engine, events) = bench.open();
    assert!(engine.orders().quiet.is_some());
    assert!(both.iter().all(|run| living(&engine, run).state() == RunState::Running));
    bench.let_go();
    wait_for_ends(&events, &both);
}

#[test]
fn what_was_held_in_quiet_begins_one_at_a_time_whatever_comes_between() {
    let bench = Bench::new();
    let (engine, _events) = bench.open();
    engine.begin_quiet(None).expect("it can be recorded");
    let held = ["a", "b", "c"].map(|id| start(&engine, id, &until(&bench, id, "", "", "go")));
    engine.begin_drain().expect("it can be recorded");
    engine.end_quiet().expect("it can be recorded");
    assert_eq!(living(&engine, &held[2]).phase.wait().map(|wait| &**wait), Some(&Wait::Drain));
    engine.shutdown(ShutdownKind::LeaveSteps).expect("it ends");
    let (engine, _events) = bench.open();
    engine.end_drain().expect("it can be recorded");
    wait_for_begin(&bench, &held[0]);
    engine.shutdown(ShutdownKind::LeaveSteps).expect("it ends");
    // The one whose turn comes first may begin; the last one stands behind it.
    let (engine, events) = bench.open();
    let last = living(&engine, &held[2]);
    assert!(matches!(last.phase.wait().map(|wait| &**wait), Some(Wait::Turn { at: Some(_) })), "{last:?}");
    wait_for_begin(&bench, &held[2]);
    bench.let_go();
    wait_for_ends(&events, &held);
}

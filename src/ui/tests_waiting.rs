//! Waiting runs and orders for all runs, with hand-made updates.

use std::sync::Arc;

use chrono::TimeDelta;

use super::tests::{Scene, does, id, now, run, scene, snapshot, step};
use crate::admission::{Holder, Orders, Quiet, Wait};
use crate::api::{Command, CurrentWait, EndDrain, EndQuiet};
use crate::run::{Event, EventKind, RunState, RunSummary, StepState};
use crate::window::AppUpdate;

fn memory(free: u64) -> Wait {
    let holder = Holder {
        run_id: id("train-ranker-1"),
        bytes: Some(5_476_083_302),
        frozen_since: Some(now() - TimeDelta::minutes(14)),
    };
    Wait::Memory { needs: 6_657_199_309, is_usual: true, free, holder: Some(holder) }
}

/// A frozen run, and one that waits for what it holds.
fn waiting() -> [RunSummary; 2] {
    let wait = memory(3_650_722_201);
    let queued = RunSummary {
        error: Some(wait.sentence(now()).into()),
        waits_for: Some(Arc::new(wait)),
        ..run("reindex", RunState::Queued)
    };
    [run("train-ranker", RunState::Paused), queued]
}

fn orders_changed(orders: Orders) -> AppUpdate {
    let kind = EventKind::OrdersChanged { orders: Box::new(orders) };
    AppUpdate::Event(Arc::new(Event { seq: 99, at: now(), run_id: None, kind }))
}

#[test]
fn a_run_that_waits_says_for_what_and_who_has_it_and_can_be_started_anyway_or_stopped() {
    let mut scene = scene([snapshot(&waiting())]);
    let sentence = "Waiting for memory: usually needs 6.2 GiB, 3.4 GiB are free; run train-ranker-1 holds 5.1 GiB (frozen 14 min)";
    assert!(scene.shows(sentence));
    assert_eq!(scene.pull("Start anyway reindex-1"), does(Command::admit(&id("reindex-1"))));
    let stop = Command::stop(&id("reindex-1"), crate::run::StopKind::Graceful);
    assert_eq!(scene.pull("Stop reindex-1"), does(stop));
    // The figures of the last sample are used, if there is one.
    let fresh = CurrentWait { run_id: id("reindex-1"), step_id: None, wait: memory(1 << 30) };
    scene.tell(AppUpdate::Waits(vec![fresh]));
    assert!(scene.shows("1.0 GiB are free"));
}

#[test]
fn the_holder_is_a_link() {
    let mut scene = scene([snapshot(&waiting())]);
    scene.pull("Show train-ranker-1");
    assert!(scene.is_selected("train-ranker-1"));
}

#[test]
fn a_run_of_which_only_waiting_steps_are_left_says_for_what() {
    let mut held = step("fit", StepState::Waiting);
    held.waits_for = Some(Arc::new(memory(1 << 30)));
    let runs = vec![(run("books", RunState::Running), vec![step("list", StepState::Completed), held])];
    let mut scene = scene([AppUpdate::Snapshot { runs, orders: Orders::default(), seq: 10 }]);
    assert!(scene.shows("Show train-ranker-1"), "the link in its row");
    assert_eq!(scene.pull("Start anyway books-1"), does(Command::admit(&id("books-1"))));
}

#[test]
fn what_is_held_can_be_kept_frozen_and_what_was_paused_by_hand_is_so_already() {
    let error = Some("frozen: it is quiet".into());
    let mut held = scene([snapshot(&[RunSummary { error, ..run("books", RunState::Paused) }])]);
    held.pull("More for books-1");
    assert_eq!(held.pull("Keep it frozen"), does(Command::pause(&id("books-1"))));
    let mut paused = scene([snapshot(&waiting())]);
    paused.pull("More for train-ranker-1");
    assert!(paused.shows("Force stop") && !paused.shows("Keep it frozen"));
}

#[test]
fn quiet_and_drain_are_shown_while_they_are_in_force_and_can_be_ended() {
    let mut scene = scene([snapshot(&waiting())]);
    assert!(!scene.shows("Quiet:"));
    let quiet = Quiet { since: now(), until: Some(now() + TimeDelta::hours(1)) };
    scene.tell(orders_changed(Orders { quiet: Some(quiet), draining_since: Some(now()) }));
    assert!(scene.shows("Quiet: until ") && scene.shows("1 run frozen, 1 waiting"));
    assert!(scene.shows("Draining: Nothing new starts; 1 run to end, 1 of them frozen, 1 waiting"));
    assert_eq!(scene.pull("End the quiet"), does(EndQuiet {}.into()));
    assert_eq!(scene.pull("End the drain"), does(EndDrain {}.into()));
    ended(&mut scene);
}

fn ended(scene: &mut Scene) {
    let kind = EventKind::OrdersChanged { orders: Box::default() };
    scene.tell(AppUpdate::Event(Arc::new(Event { seq: 100, at: now(), run_id: None, kind })));
    assert!(!scene.shows("Quiet:") && !scene.shows("Draining:"));
}

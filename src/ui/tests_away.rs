//! What happened while the operator was away, with hand-made updates.

use std::sync::Arc;

use chrono::TimeDelta;
use egui::{Key, Modifiers};
use egui_kittest::kittest::{NodeT, Queryable};

use super::tests::{Scene, does, id, now, run, scene, snapshot};
use crate::api::{self, Command};
use crate::base::id::JobId;
use crate::run::{Event, EventKind, RunState};
use crate::schedule::Outcome;
use crate::window::{Action, AppUpdate, AwayItem, AwayMark, AwayPage, AwayWhat};

fn job_id() -> JobId {
    JobId::new("nightly").unwrap()
}

pub(super) fn page() -> AwayPage {
    let item = |key: &str, what| AwayItem { key: key.to_owned(), at: now() - TimeDelta::hours(3), what };
    let of_run = |name: &str, state, decided: &[&str]| AwayWhat::Run {
        run: Box::new(run(name, state)),
        decided: decided.iter().map(ToString::to_string).collect(),
    };
    let missed = AwayWhat::Fire {
        job: "nightly".to_owned(),
        job_id: Some(job_id()),
        n_instants: 3,
        outcome: Outcome::Expired,
        reason: Some("the machine was off".to_owned()),
    };
    let alert = AwayWhat::Alert {
        text: "Memory is above 90 %".to_owned(),
        cleared_at: Some(now() - TimeDelta::minutes(170)),
    };
    AwayPage {
        since: now() - TimeDelta::hours(10),
        until: now() - TimeDelta::minutes(1),
        items: vec![
            item("i", of_run("alfabeta", RunState::Interrupted, &["The machine was restarted"])),
            item("j", of_run("import", RunState::Interrupted, &[])),
            item("f", of_run("books", RunState::Failed, &[])),
            item("m", missed),
            item("l", alert),
            item("t", of_run("archive", RunState::Running, &["It was taken back"])),
        ],
        n_ended: 12,
        ended: vec![run("quiet", RunState::Completed)],
    }
}

fn away(page: AwayPage) -> AppUpdate {
    AppUpdate::Away(Arc::new(page))
}

fn handled(keys: &[&str]) -> Action {
    Action::MarkAway(AwayMark::Handled(keys.iter().map(ToString::to_string).collect()))
}

pub(super) fn on_its_page(page: AwayPage) -> Scene {
    let mut scene = scene([snapshot(&[]), away(page)]);
    scene.press(Modifiers::COMMAND, Key::Num6);
    scene
}

#[test]
fn the_first_page_says_in_one_line_what_happened_and_leads_to_it() {
    let mut scene = scene([snapshot(&[]), away(page())]);
    let line = "While you were away: 2 interrupted, 1 failed, 1 fire did not run, 1 limit raised, 1 taken back, 12 ended";
    assert!(scene.shows(line));
    assert!(scene.shows("While you were away, 6 to handle"), "the rail counts it on every page");
    scene.pull("Review");
    assert!(scene.shows("interrupted, alfabeta, alfabeta-1, The machine was restarted"));
    scene.press(Modifiers::COMMAND, Key::Num1);
    assert_eq!(scene.pull("Dismiss"), [Action::MarkAway(AwayMark::All(now() - TimeDelta::minutes(1)))]);
    assert!(!scene.shows("2 interrupted") && !scene.shows("to handle"));
}

#[test]
fn nothing_is_said_where_nothing_happened() {
    let nothing = AwayPage { items: Vec::new(), n_ended: 0, ended: Vec::new(), ..page() };
    let mut scene = scene([snapshot(&[]), away(nothing)]);
    assert!(!scene.shows("While you were away:"));
    scene.press(Modifiers::COMMAND, Key::Num6);
    assert!(scene.shows("Nothing waits for you"));
}

#[test]
fn each_entry_has_its_levers_and_pulling_one_marks_it_as_handled() {
    let mut scene = on_its_page(page());
    let [resume] = does(Command::resume(&id("alfabeta-1")));
    assert_eq!(scene.pull("Resume alfabeta-1"), [resume, handled(&["i"])]);
    assert!(!scene.shows("Resume alfabeta-1"));
    let [resume] = does(Command::resume(&id("books-1")));
    assert_eq!(scene.pull("Resume books-1"), [resume, handled(&["f"])]);
    assert!(scene.shows("expired, nightly, 3 instants: the machine was off"));
    let [run_now] = does(api::RunJobNow { job_id: job_id() }.into());
    assert_eq!(scene.pull("Run now nightly"), [run_now, handled(&["m"])]);
    let skip = scene.harness.get_by_label_contains("Skip import, import-1").accesskit_node().description();
    assert_eq!(skip.as_deref(), Some("Only mark as handled: nothing is run or changed"));
    scene.harness.get_by_label_contains("Skip import, import-1").click();
    scene.harness.run();
    assert_eq!(scene.sent(), [handled(&["j"])]);
    assert!(scene.shows("for 10 min, Machine, Memory is above 90 %"));
    scene.harness.get_by_label_contains("Dismiss Machine").click();
    scene.harness.run();
    assert_eq!(scene.sent(), [handled(&["l"])]);
}

#[test]
fn all_of_one_kind_are_done_at_once() {
    let mut scene = on_its_page(page());
    let [first] = does(Command::resume(&id("alfabeta-1")));
    let [second] = does(Command::resume(&id("import-1")));
    assert_eq!(scene.pull("Resume all: interrupted"), [first, second, handled(&["i", "j"])]);
    assert_eq!(scene.pull("Skip all: fires that did not run"), [handled(&["m"])]);
    assert_eq!(
        scene.pull("Mark all as handled"),
        [Action::MarkAway(AwayMark::All(now() - TimeDelta::minutes(1)))]
    );
    assert!(scene.shows("Nothing waits for you"));
}

#[test]
fn an_entry_opens_what_it_is_about() {
    let mut scene = on_its_page(page());
    let sent = scene.pull("Open alfabeta, alfabeta-1");
    assert!(sent.contains(&Action::SelectRun(Some(id("alfabeta-1")))), "{sent:?}");
    let mut scene = on_its_page(page());
    assert!(scene.pull("Open nightly").contains(&Action::LoadJob(job_id())));
}

#[test]
fn a_run_that_was_resumed_elsewhere_needs_nothing_any_more() {
    let mut scene = on_its_page(page());
    let run = Arc::new(run("alfabeta", RunState::Running));
    let kind = EventKind::ExecutionRunning { run: run.clone() };
    let event = Event { seq: 11, at: now(), run_id: Some(run.run_id.clone()), kind };
    scene.tell(AppUpdate::Event(Arc::new(event)));
    assert!(!scene.shows("Resume alfabeta-1") && scene.shows("Resume import-1"));
}

#[test]
fn coming_back_looks_again_and_leaving_keeps_what_was_seen() {
    let mut scene = scene([snapshot(&[]), away(page())]);
    let focus = |scene: &mut Scene, is_focused| {
        let viewports = &mut scene.harness.input_mut().viewports;
        viewports.entry(egui::ViewportId::ROOT).or_default().focused = Some(is_focused);
        scene.harness.run();
        scene.sent()
    };
    assert_eq!(focus(&mut scene, true), []);
    assert_eq!(focus(&mut scene, false), [Action::MarkAway(AwayMark::Seen(now()))]);
    assert_eq!(focus(&mut scene, false), []);
    assert_eq!(focus(&mut scene, true), [Action::LoadAway(now())]);
}

#[test]
fn a_fire_that_is_settled_late_is_looked_up() {
    let mut scene = scene([snapshot(&[]), away(page())]);
    let kind = EventKind::JobSkipped {
        job_id: job_id(),
        due_at: now(),
        through_at: now(),
        outcome: Outcome::Expired,
        n_instants: 1,
        reason: None,
    };
    scene.tell(AppUpdate::Event(Arc::new(Event { seq: 11, at: now(), run_id: None, kind })));
    assert!(scene.sent().contains(&Action::LoadAway(now() - TimeDelta::minutes(1))));
}

#[test]
fn a_job_that_missed_several_instants_has_a_row_for_each_and_runs_once_for_all() {
    let missed = |key: &str| {
        let mut item = page().items.into_iter().find(|item| item.key == "m").unwrap();
        item.key = key.to_owned();
        item
    };
    let mut scene = on_its_page(AwayPage { items: vec![missed("m"), missed("n")], ..page() });
    assert_eq!(scene.harness.query_all_by_label("Run now nightly").count(), 2);
    let [run_now] = does(api::RunJobNow { job_id: job_id() }.into());
    assert_eq!(scene.pull("Run all now: fires that did not run"), [run_now, handled(&["m", "n"])]);
}

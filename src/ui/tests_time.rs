//! The line in time: on which pages it stands, what it names, its keys, and the logs that it opens.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use egui::accesskit::Role;
use egui::{Key, Modifiers, Pos2, pos2};
use egui_kittest::kittest::{NodeT, Queryable};

use super::command::Page;
use super::tests::{Scene, id, now, run, scene, snapshot};
use super::time_line::{AxisOf, Shown};
use crate::api::{RunPoint, StepUse};
use crate::base::id::{AttemptKey, StepId};
use crate::run::RunState;
use crate::window::{
    Action, AppUpdate, HistorySpan, LogQuestion, Moment, TimeAnswer, TimeQuestion, TimeRange,
};

const NOW: &str = "Time of the machine and the runs";
const RUN: &str = "Time of the run";
const MACHINE: &str = "Time of the machine,";

fn key(run: &str, step: &str) -> AttemptKey {
    AttemptKey { run_id: id(run), step_id: StepId::new(step).unwrap(), attempt: 1 }
}

fn line(scene: &Scene) -> Option<DateTime<Utc>> {
    scene.harness.state().as_ref().unwrap().state.time.at
}

fn shown(scene: &Scene, of: AxisOf) -> Shown {
    scene.harness.state().as_ref().unwrap().state.time.shown(of)
}

fn slider<'a>(scene: &'a Scene, axis: &str) -> egui_kittest::Node<'a> {
    let slider = scene.harness.get_by_role(Role::Slider);
    let name = slider.accesskit_node().label().unwrap_or_default();
    assert!(name.starts_with(axis), "{name}");
    slider
}

fn name(scene: &Scene, axis: &str) -> String {
    slider(scene, axis).accesskit_node().label().unwrap_or_default()
}

/// Moves the pointer to a place on an axis: its share of the width, and of the height.
fn point_at(scene: &mut Scene, axis: &str, share: f32, height: f32) -> Pos2 {
    let rect = slider(scene, axis).rect();
    let place = pos2(rect.left() + rect.width() * share, rect.top() + rect.height() * height);
    scene.harness.event(egui::Event::PointerMoved(place));
    scene.harness.run();
    place
}

fn click(scene: &mut Scene, place: Pos2) -> Vec<Action> {
    for pressed in [true, false] {
        let button = egui::PointerButton::Primary;
        let modifiers = Modifiers::NONE;
        scene.harness.event(egui::Event::PointerButton { pos: place, button, pressed, modifiers });
        scene.harness.run();
    }
    scene.sent()
}

fn two_runs() -> Scene {
    scene([snapshot(&[run("alfabeta", RunState::Running), run("train", RunState::Running)])])
}

#[test]
fn now_begins_with_the_last_hour_and_asks_for_it_again_only_after_minutes() {
    let mut scene = two_runs();
    let asked = |scene: &Scene| {
        let sent = scene.world.actions.try_iter();
        sent.filter(|action| *action == Action::LoadHistory(HistorySpan::Hour)).count()
    };
    assert_eq!(asked(&scene), 1);
    scene.harness.run();
    assert_eq!(asked(&scene), 0);
}

#[test]
fn the_line_stands_at_the_pointer_names_what_ran_and_stays_there_on_the_other_pages() {
    let mut scene = two_runs();
    point_at(&mut scene, NOW, 0.75, 0.2);
    let at = line(&scene).unwrap();
    assert_eq!(at, now() - TimeDelta::seconds(30), "of the two minutes");
    assert_eq!(scene.sent(), [Action::AskTime(TimeQuestion::Moment(at))]);
    let said = name(&scene, NOW);
    assert!(said.contains("alfabeta/list, alfabeta/fetch, train/list, train/fetch"), "{said}");
    let use_of = |key, cpu_fraction| StepUse { key, cpu_fraction, memory_bytes: 3 << 30 };
    let steps = vec![use_of(key("train-1", "fetch"), 0.63), use_of(key("other-7", "load"), 0.1)];
    scene.tell(AppUpdate::Time(TimeAnswer::Moment(Moment { at, steps })));
    let said = name(&scene, NOW);
    assert!(said.contains("train/fetch 63 % · 3.0 GiB"), "{said}");
    assert!(said.contains("other-7/load 10 % · 3.0 GiB"), "a run that is not kept here too: {said}");
    scene.press(Modifiers::COMMAND, Key::Num5);
    assert_eq!(line(&scene), Some(at));
    let said = name(&scene, MACHINE);
    assert!(said.contains("train/fetch 63 % · 3.0 GiB"), "{said}");
}

#[test]
fn a_click_opens_what_they_logged_at_that_second() {
    let mut scene = two_runs();
    let place = point_at(&mut scene, NOW, 0.75, 0.2);
    scene.sent();
    let at = now() - TimeDelta::seconds(30);
    let sent = click(&mut scene, place);
    assert!(
        matches!(&sent[..], [Action::OpenLog(Some(_)), Action::AskLog(LogQuestion::AtTime(asked)), ..] if *asked == at),
        "{sent:?}"
    );
}

#[test]
fn keys_move_the_line_zoom_and_open_the_log() {
    let mut scene = scene([snapshot(&[run("alfabeta", RunState::Running)])]);
    slider(&scene, NOW).focus();
    scene.harness.run();
    scene.press(Modifiers::NONE, Key::ArrowRight);
    let first = line(&scene).unwrap();
    scene.press(Modifiers::NONE, Key::ArrowLeft);
    assert_eq!(line(&scene), Some(first - TimeDelta::seconds(1)));
    scene.press(Modifiers::SHIFT, Key::ArrowRight);
    assert_eq!(line(&scene), Some(first + TimeDelta::seconds(9)));
    scene.press(Modifiers::NONE, Key::Plus);
    assert_ne!(shown(&scene, AxisOf::Now), Shown::All);
    scene.press(Modifiers::NONE, Key::Num0);
    assert_eq!(shown(&scene, AxisOf::Now), Shown::All);
    scene.sent();
    let sent = scene.press(Modifiers::NONE, Key::Enter);
    let opened = sent.iter().any(|action| matches!(action, Action::OpenLog(Some(_))));
    assert!(opened, "{sent:?}");
}

#[test]
fn at_its_end_a_zoomed_axis_goes_on_with_the_line_that_keys_move() {
    let mut scene = two_runs();
    slider(&scene, NOW).focus();
    scene.harness.run();
    scene.press(Modifiers::NONE, Key::Plus);
    let zoomed = shown(&scene, AxisOf::Now);
    for _ in 0..20 {
        scene.press(Modifiers::SHIFT, Key::ArrowLeft);
    }
    let moved = shown(&scene, AxisOf::Now);
    assert!(moved != zoomed && moved != Shown::All, "{moved:?}");
}

#[test]
fn the_levers_zoom_around_the_line_and_back() {
    let mut scene = two_runs();
    scene.pull(&format!("Show less of the time: {NOW}"));
    let narrow = shown(&scene, AxisOf::Now);
    assert!(matches!(narrow, Shown::Between(_)), "{narrow:?}");
    scene.pull(&format!("Show all of the time: {NOW}"));
    assert_eq!(shown(&scene, AxisOf::Now), Shown::All);
}

#[test]
fn the_page_of_a_run_shows_what_it_used_over_its_steps() {
    let mut scene = scene([snapshot(&[run("alfabeta", RunState::Running)])]);
    scene.press(Modifiers::NONE, Key::ArrowDown);
    let sent = scene.press(Modifiers::NONE, Key::Enter);
    let range = TimeRange { from: now() - TimeDelta::seconds(761), until: now() };
    let question = TimeQuestion::Run(id("alfabeta-1"), range);
    assert!(sent.contains(&Action::AskTime(question)), "{sent:?}");
    assert!(scene.harness.state().as_ref().unwrap().state.page == Page::Run);
    let points: Arc<[RunPoint]> = (0..761)
        .map(|n| RunPoint {
            at: range.from + TimeDelta::seconds(n),
            cpu_fraction: 0.5,
            memory_bytes: (n as u64) << 20,
        })
        .collect();
    scene.tell(AppUpdate::Time(TimeAnswer::Run(id("alfabeta-1"), range, points)));
    point_at(&mut scene, RUN, 0.5, 0.1);
    let said = name(&scene, RUN);
    assert!(said.contains("the run: CPU 50 %, memory 38"), "{said}");
}

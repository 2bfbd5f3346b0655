//! The page of the machine with hand-made updates: spans, plots, alerts, figures, and editing limits.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use egui::{Key, Modifiers, ViewportId};
use egui_kittest::kittest::Queryable;

use super::tests::{Scene, now, run, scene, snapshot};
use super::tests_schedule::write;
use crate::api::{MachinePoint, SetLimit, StepSpan};
use crate::base::id::{AttemptKey, RunId, StepId};
use crate::resources::{Limit, LimitAction, Limits, MachineSample, Resource, Threshold};
use crate::run::{Event, EventKind, RunState};
use crate::settings::LimitParams;
use crate::window::{Action, AlertMark, AppUpdate, HistorySpan, LogQuestion, MachineHistory};

const GIB: u64 = 1 << 30;

fn point(at: DateTime<Utc>, cpu: f64) -> MachinePoint {
    MachinePoint {
        at,
        cpu_fraction: cpu,
        cpu_peak: cpu + 0.1,
        memory_used_bytes: 17 * GIB,
        memory_peak_bytes: 18 * GIB,
        memory_total_bytes: 24 * GIB,
        swap_used_bytes: 0,
        swap_total_bytes: 0,
        disk_free_bytes: 41 * GIB,
        disk_read_rate: 3 << 20,
        disk_write_rate: 1 << 20,
        network_receive_rate: 1000,
        network_send_rate: 0,
    }
}

fn span(run: &str, from_minutes: i64, minutes: i64) -> StepSpan {
    let from = now() - TimeDelta::minutes(from_minutes);
    StepSpan {
        key: AttemptKey {
            run_id: RunId::new(run).unwrap(),
            step_id: StepId::new("fetch").unwrap(),
            attempt: 1,
        },
        from,
        until: from + TimeDelta::minutes(minutes),
        cpu_peak: 0.63,
        memory_peak_bytes: 3 * GIB,
    }
}

fn history(spans: Vec<StepSpan>, marks: Vec<AlertMark>) -> AppUpdate {
    let points = (0..360).map(|n| point(now() - TimeDelta::seconds(10 * (360 - n)), 0.4)).collect();
    AppUpdate::History(Arc::new(MachineHistory {
        span: HistorySpan::Hour,
        read_at: now(),
        points,
        spans,
        marks,
    }))
}

fn sample() -> AppUpdate {
    AppUpdate::Machine(MachineSample {
        at: now(),
        cpu_fraction: 0.41,
        cores: [0.9, 0.1].into(),
        memory_used_bytes: 17 * GIB,
        memory_total_bytes: 24 * GIB,
        swap_used_bytes: GIB,
        swap_total_bytes: 4 * GIB,
        disk_free_bytes: 41 * GIB,
        load_average: [1.5, 1.0, 0.25],
        temperature_celsius: Some(61.4),
        ..MachineSample::default()
    })
}

fn memory_limit(percent: f64) -> Limit {
    let [raise, clear] = [percent, percent - 10.0].map(|percent| Threshold::Fraction(percent / 100.0));
    let limit = Limit::new(Resource::Memory, raise, clear, Duration::from_secs(30)).unwrap();
    limit.with_action(LimitAction::Freeze)
}

/// The open page, and the actions that it has sent.
fn machine(updates: impl IntoIterator<Item = AppUpdate>) -> (Scene, Vec<Action>) {
    let mut scene = scene([snapshot(&[run("alfabeta", RunState::Running)])].into_iter().chain(updates));
    let sent = scene.press(Modifiers::COMMAND, Key::Num5);
    (scene, sent)
}

pub(super) fn with_limit() -> Scene {
    machine([sample(), AppUpdate::Limits(Limits::none().with(memory_limit(90.0)))]).0
}

/// The same with an hour of curves, two steps that ran, and the limit raised and cleared once.
pub(super) fn with_curves() -> Scene {
    let mut scene = with_limit();
    let mark = |minutes, is_cleared| AlertMark {
        at: now() - TimeDelta::minutes(minutes),
        text: "memory is above 90 %".to_owned(),
        is_cleared,
    };
    let spans = vec![span("books-1", 50, 20), span("alfabeta-1", 15, 15)];
    scene.tell(history(spans, vec![mark(24, false), mark(21, true)]));
    scene
}

#[test]
fn history_is_requested_when_the_page_is_open_and_for_another_span_when_that_is_chosen() {
    let (mut scene, sent) = machine([]);
    assert_eq!(sent, [Action::LoadHistory(HistorySpan::Hour)]);
    assert!(scene.shows("What the machine does is plotted here"));
    scene.tell(history(Vec::new(), Vec::new()));
    assert_eq!(scene.sent(), [], "what is known is not asked for");
    assert!(!scene.shows("What the machine does is plotted here"));
    assert_eq!(scene.pull("Show the last month"), [Action::LoadHistory(HistorySpan::Month)]);
    assert!(scene.shows("What the machine does is plotted here"), "an hour is no month");
    scene.press(Modifiers::COMMAND, Key::K);
    scene.harness.event(egui::Event::Text("machine last day".to_owned()));
    scene.harness.run();
    assert_eq!(scene.press(Modifiers::NONE, Key::Enter), [Action::LoadHistory(HistorySpan::Day)]);
    assert_eq!(scene.press(Modifiers::COMMAND, Key::Num1), []);
}

#[test]
fn the_page_wakes_to_read_anew_and_sleeps_until_then() {
    let mut scene = scene([snapshot(&[])]);
    scene.press(Modifiers::COMMAND, Key::Num5);
    scene.tell(history(Vec::new(), Vec::new()));
    scene.harness.step();
    let delay = scene.harness.output().viewport_output[&ViewportId::ROOT].repaint_delay;
    assert_eq!(delay, Duration::from_secs(10));
    scene.pull("Show the last month");
    scene.harness.step();
    let delay = scene.harness.output().viewport_output[&ViewportId::ROOT].repaint_delay;
    assert_eq!(delay, Duration::from_secs(600));
}

#[test]
fn steps_lie_below_the_curves_with_their_peaks_and_lead_to_what_they_logged() {
    let spans = vec![span("alfabeta-1", 40, 30), span("other-1", 35, 5)];
    let (mut scene, _) = machine([sample()]);
    scene.tell(history(spans, Vec::new()));
    assert!(scene.shows("alfabeta/fetch · 3.0 GiB, CPU 63 % at most"));
    assert!(scene.shows("other-1/fetch · 3.0 GiB"), "a run that is not known is named by its id");
    scene.sent();
    let sent = scene.pull("alfabeta/fetch · 3.0 GiB, CPU 63 % at most");
    let key = span("alfabeta-1", 40, 30).key;
    // The middle of the bar: a click opens the log where it stood then.
    let at = now() - TimeDelta::minutes(25);
    let [.., Action::OpenLog(Some(opened)), Action::AskLog(LogQuestion::AtTime(asked))] = &sent[..] else {
        panic!("{sent:?}");
    };
    assert_eq!(*opened, key.into());
    assert!((*asked - at).abs() < TimeDelta::seconds(10), "{asked}");
}

#[test]
fn of_too_many_steps_at_once_the_heaviest_are_shown_and_the_others_counted() {
    let spans =
        (0..9).map(|n| StepSpan { memory_peak_bytes: n << 20, ..span("alfabeta-1", 40, 30) }).enumerate();
    let spans = spans.map(|(n, mut span)| {
        span.key.attempt = n as u32 + 1;
        span
    });
    let (mut scene, _) = machine([]);
    scene.tell(history(spans.collect(), Vec::new()));
    let n_bars = scene.harness.query_all_by_label_contains("alfabeta/fetch").count();
    assert_eq!(n_bars, 3);
    assert!(scene.shows("alfabeta/fetch · 8.0 MiB") && !scene.shows("alfabeta/fetch · 1.0 MiB"));
}

#[test]
fn alerts_are_on_the_axis_once_whether_from_history_or_updates() {
    let text = "memory 93% (limit 90%); step fetch of run alfabeta-1 holds 3GiB";
    let at = now() - TimeDelta::minutes(20);
    let mark = |at, is_cleared| AlertMark { at, text: text.to_owned(), is_cleared };
    let alert = Event {
        seq: 20,
        at: at + TimeDelta::milliseconds(4),
        run_id: None,
        kind: EventKind::ResourceAlert { text: text.to_owned(), cleared: false },
    };
    let (mut scene, _) = machine([AppUpdate::Event(Arc::new(alert))]);
    scene.tell(history(Vec::new(), vec![mark(at, false), mark(at + TimeDelta::minutes(5), true)]));
    assert_eq!(scene.harness.query_all_by_label_contains("Alert 23 Nov").count(), 2);
    assert!(scene.shows(&format!("over: {text}")));
}

#[test]
fn a_limit_is_a_line_in_both_timelines() {
    let mut scene = with_limit();
    assert!(scene.shows("memory limit 90 %"));
    scene.press(Modifiers::COMMAND, Key::Num1);
    assert!(scene.shows("memory limit 90 %"));
    scene.tell(AppUpdate::Limits(Limits::none()));
    assert!(!scene.shows("memory limit"));
}

#[test]
fn the_machine_s_figures_are_shown() {
    let (scene, _) = machine([sample()]);
    for label in [
        "CPU by core: 89 %, 10 %",
        "Swap: 1.0 GiB of 4.0 GiB",
        "Load, 1, 5, 15 min: 1.50  1.00  0.25",
        "Temperature: 61 °C",
    ] {
        assert!(scene.shows(label), "{label}");
    }
    assert!(!scene.shows("Battery"));
}

#[test]
fn a_limit_that_is_edited_is_sent_with_save_and_shown_as_it_is_then() {
    let mut scene = with_limit();
    assert!(scene.shows("When memory is above 90% for 30s, no step starts and the heaviest run is frozen"));
    assert!(!scene.shows("Save limits"));
    write(&mut scene, "Above of memory", "80%");
    write(&mut scene, "Clear at of memory", "70%");
    assert!(scene.shows("When memory is above 80% for 30s"));
    let expected = LimitParams::of(&memory_limit(80.0));
    let sent = scene.press(Modifiers::COMMAND, Key::S);
    assert_eq!(sent, [Action::Do(SetLimit { params: expected.clone() }.into())]);
    assert_eq!(scene.pull("Save limits"), [Action::Do(SetLimit { params: expected }.into())]);
    scene.tell(AppUpdate::Limits(Limits::none().with(memory_limit(80.0))));
    assert!(!scene.shows("Save limits"), "what is in force needs no saving");
}

#[test]
fn a_limit_is_moved_on_its_line_by_the_pointer_and_by_keys_and_saved_then() {
    let mut scene = with_limit();
    let line = |scene: &Scene| scene.harness.get_by_label_contains("Move the memory limit").rect().center();
    let begin = line(&scene);
    let button = |pos, pressed| egui::Event::PointerButton {
        pos,
        button: egui::PointerButton::Primary,
        pressed,
        modifiers: Modifiers::NONE,
    };
    let end = begin + egui::vec2(0.0, 30.0);
    let events = [
        egui::Event::PointerMoved(begin),
        button(begin, true),
        egui::Event::PointerMoved(end),
        button(end, false),
    ];
    for event in events {
        scene.harness.event(event);
        scene.harness.run();
    }
    assert!(!scene.shows("memory limit 90 %"));
    assert!((line(&scene).y - end.y).abs() < 3.0, "it lies where it was left");
    let is_set = |action: &Action| matches!(action, Action::Do(_));
    assert!(!scene.sent().iter().any(is_set), "not before it is saved");
    scene.harness.get_by_label_contains("Move the memory limit").focus();
    scene.harness.run();
    for _ in 0..60 {
        scene.press(Modifiers::NONE, Key::ArrowUp);
    }
    assert!(scene.shows("memory limit 99 %"));
    let limit = memory_limit(99.0);
    let sent = scene.pull("Save limits");
    let [Action::Do(crate::api::Command::SetLimit(SetLimit { params }))] = &sent[..] else {
        panic!("{sent:?}")
    };
    assert_eq!(params.above, LimitParams::of(&limit).above);
}

#[test]
fn a_switch_takes_a_limit_out_and_another_puts_a_usual_one_in() {
    let mut scene = with_limit();
    assert!(scene.shows("Nothing is done, however little of it is free."));
    scene.pull("Limit of memory");
    scene.pull("Limit of disk");
    let disk = LimitParams {
        below: Some("5GiB".to_owned()),
        clear: Some("8GiB".to_owned()),
        sustain: Some("30s".to_owned()),
        action: Some("alert".to_owned()),
        off: false,
        ..LimitParams::off(Resource::Disk)
    };
    let set = |params| Action::Do(SetLimit { params }.into());
    assert_eq!(scene.pull("Save limits"), [set(LimitParams::off(Resource::Memory)), set(disk)]);
    scene.pull("Revert limits");
    assert!(scene.shows("When memory is above 90%") && !scene.shows("Save limits"));
}

#[test]
fn what_is_wrong_is_said_beside_its_field_and_is_not_sent() {
    let mut scene = with_limit();
    write(&mut scene, "Above of memory", "much");
    assert!(scene.shows("\"much\" is not a limit; give a share such as \"90%\""));
    assert_eq!(scene.press(Modifiers::COMMAND, Key::S), []);
    write(&mut scene, "Above of memory", "70%");
    assert!(scene.shows("it must be cleared below where it is raised"));
    assert_eq!(scene.press(Modifiers::COMMAND, Key::S), []);
    // Limits that change meanwhile do not overwrite the form.
    scene.tell(AppUpdate::Limits(Limits::none()));
    assert!(scene.shows("it must be cleared below where it is raised"));
    scene.pull("Revert limits");
    assert!(!scene.shows("When memory is"));
}

#[test]
fn a_limit_that_is_exceeded_says_so() {
    let mut scene = with_limit();
    assert!(!scene.shows("exceeded now"));
    scene.tell(AppUpdate::ShortOf(vec![Resource::Memory]));
    assert!(scene.shows("Memory limit exceeded now"));
    scene.tell(AppUpdate::ShortOf(Vec::new()));
    assert!(!scene.shows("exceeded now"));
}

#[test]
fn a_machine_is_shown_in_figures() {
    let sample = MachineSample {
        cpu_fraction: 0.41,
        memory_used_bytes: 18_360_985_190,
        memory_total_bytes: 24 << 30,
        disk_free_bytes: 41 << 30,
        ..MachineSample::default()
    };
    let scene = scene([snapshot(&[]), AppUpdate::Machine(sample)]);
    let labels = ["CPU 41 %", "Memory 17.1 of 24 GiB", "Disk 41 GiB free"];
    assert_eq!(labels.map(|label| scene.shows(label)), [true; 3]);
}

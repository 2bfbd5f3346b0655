//! The whole log of an attempt with hand-made answers: opening, reading, scrolling, searching, copying, closing.

use chrono::{Local, TimeDelta};
use egui::{Event as Input, Key, Modifiers, OutputCommand};
use egui_kittest::kittest::Queryable;

use super::tests::{Scene, id, now, run, scene, snapshot};
use crate::base::id::{AttemptKey, StepId};
use crate::run::RunState;
use crate::window::{
    Action, AppUpdate, Folder, LogAnswer, LogExtent, LogFound, LogHit, LogOf, LogQuestion, LogRow, LogRows,
    StyledText,
};

fn key() -> AttemptKey {
    AttemptKey { run_id: id("alfabeta-1"), step_id: StepId::new("fetch").unwrap(), attempt: 1 }
}

/// The window with the log of the running step open, before any answer.
fn opened() -> Scene {
    let mut scene = scene([snapshot(&[run("alfabeta", RunState::Running)])]);
    scene.harness.get_by_label_contains("running, alfabeta").click();
    scene.harness.run();
    scene.sent();
    assert_eq!(scene.press(Modifiers::COMMAND, Key::L), [Action::OpenLog(Some(key().into()))]);
    scene
}

fn tell(scene: &mut Scene, answer: LogAnswer) -> Vec<Action> {
    scene.tell(AppUpdate::Log { of: key().into(), answer });
    scene.sent()
}

fn extent(n_lines: u64) -> LogExtent {
    LogExtent {
        is_removed: false,
        exists: true,
        n_lines,
        log_len: n_lines * 100,
        n_indexed: n_lines * 100,
        begun_at: Some(now() - TimeDelta::hours(2)),
    }
}

/// Answers until nothing is asked; returns the last lines that were asked for.
fn answer(scene: &mut Scene, mut sent: Vec<Action>, extent: LogExtent) -> std::ops::Range<u64> {
    let mut last = 0..0;
    while let Some(Action::AskLog(LogQuestion::Rows(lines))) = sent.pop() {
        last = lines.start..lines.end.min(extent.n_lines);
        let row = |line: u64| LogRow::Text {
            text: StyledText { text: format!("text {line}"), parts: Vec::new() },
            n_cut: 0,
        };
        let rows = last.clone().map(row).collect();
        let rows = LogRows { first: last.start, rows, numbers: None, extent, is_exact: true };
        sent = tell(scene, LogAnswer::Rows(rows));
    }
    last
}

/// The window with a log of so many lines.
pub(super) fn with_lines(n_lines: u64) -> Scene {
    let mut scene = opened();
    let sent = tell(&mut scene, LogAnswer::Extent(extent(n_lines)));
    answer(&mut scene, sent, extent(n_lines));
    scene
}

fn shows_line(scene: &Scene, line: u64) -> bool {
    scene.harness.query_by_label(&format!("{line}: text {}", line - 1)).is_some()
}

#[test]
fn a_log_whose_file_was_removed_says_so_beside_its_size_and_keeps_its_lines() {
    let mut scene = with_lines(400);
    assert!(!scene.shows("was removed"));
    tell(&mut scene, LogAnswer::Extent(LogExtent { is_removed: true, ..extent(400) }));
    assert!(scene.shows("400 lines") && scene.shows("its file was removed") && shows_line(&scene, 400));
}

#[test]
fn the_end_of_a_log_of_ten_million_lines_is_shown_and_every_line_is_reached_by_keys() {
    let mut scene = with_lines(10_000_000);
    assert!(scene.shows("Log of fetch") && shows_line(&scene, 10_000_000));
    let sent = scene.press(Modifiers::NONE, Key::Home);
    answer(&mut scene, sent, extent(10_000_000));
    assert!(shows_line(&scene, 1) && !shows_line(&scene, 10_000_000));
    let sent = scene.press(Modifiers::NONE, Key::ArrowDown);
    answer(&mut scene, sent, extent(10_000_000));
    assert!(!shows_line(&scene, 1) && shows_line(&scene, 2));
    let sent = scene.press(Modifiers::NONE, Key::PageDown);
    answer(&mut scene, sent, extent(10_000_000));
    assert!(!shows_line(&scene, 2));
    let sent = scene.press(Modifiers::NONE, Key::End);
    answer(&mut scene, sent, extent(10_000_000));
    assert!(shows_line(&scene, 10_000_000));
}

#[test]
fn it_follows_a_growing_log_until_one_scrolls_up() {
    let mut scene = with_lines(1000);
    let sent = tell(&mut scene, LogAnswer::Extent(extent(1010)));
    answer(&mut scene, sent, extent(1010));
    assert!(shows_line(&scene, 1010));
    let sent = scene.press(Modifiers::NONE, Key::ArrowUp);
    answer(&mut scene, sent, extent(1010));
    assert_eq!(tell(&mut scene, LogAnswer::Extent(extent(2000))), []);
    assert!(shows_line(&scene, 1009) && !shows_line(&scene, 2000));
    let sent = scene.pull("Follow");
    answer(&mut scene, sent, extent(2000));
    assert!(shows_line(&scene, 2000));
}

#[test]
fn what_is_typed_is_searched_and_f3_steps_through_the_hits() {
    let mut scene = with_lines(1000);
    scene.press(Modifiers::COMMAND, Key::F);
    scene.harness.input_mut().events.push(Input::Text("text 5".into()));
    scene.harness.run();
    assert_eq!(scene.sent(), [Action::AskLog(LogQuestion::Search("text 5".into()))]);
    assert!(scene.shows("Searching…"));
    let found = LogFound { text: "text 5".into(), n_hits: 111, places: vec![true; 400], is_whole: true };
    tell(&mut scene, LogAnswer::Found(found));
    assert!(scene.shows("111 lines"));
    let sent = scene.press(Modifiers::NONE, Key::F3);
    assert!(matches!(sent[..], [Action::AskLog(LogQuestion::Next(Some(_)))]), "{sent:?}");
    let sent = tell(&mut scene, LogAnswer::Hit(Some(LogHit { line: 500, ordinal: 11 })));
    answer(&mut scene, sent, extent(1000));
    assert!(scene.shows("12 of 111") && shows_line(&scene, 501));
    let sent = scene.press(Modifiers::SHIFT, Key::F3);
    assert_eq!(sent, [Action::AskLog(LogQuestion::Previous(Some(500)))]);
    let sent = scene.press(Modifiers::NONE, Key::Enter);
    assert_eq!(sent, [Action::AskLog(LogQuestion::Next(Some(500)))]);
    assert!(scene.press(Modifiers::NONE, Key::ArrowUp).is_empty(), "the field has the keys");
}

#[test]
fn lines_are_selected_by_keys_alone() {
    let mut scene = with_lines(100);
    scene.harness.get_by_label("90: text 89").focus();
    scene.harness.run();
    scene.press(Modifiers::NONE, Key::Space);
    for _ in 0..2 {
        scene.press(Modifiers::NONE, Key::Tab);
    }
    scene.press(Modifiers::SHIFT, Key::Space);
    let sent = scene.pull("Copy lines");
    assert!(sent.contains(&Action::AskLog(LogQuestion::Copy(89..92))), "{sent:?}");
}

#[test]
fn selected_lines_are_copied() {
    let mut scene = with_lines(100);
    scene.harness.get_by_label("90: text 89").click();
    scene.harness.run();
    scene.sent();
    assert_eq!(scene.pull("Copy lines"), [Action::AskLog(LogQuestion::Copy(89..90))]);
    scene.harness.input_mut().events.push(Input::Copy);
    scene.harness.run();
    assert_eq!(scene.sent(), [Action::AskLog(LogQuestion::Copy(89..90))]);
    let update = AppUpdate::Log { of: key().into(), answer: LogAnswer::Copied("text 89\n".into()) };
    scene.world.updates.send(update).unwrap();
    scene.harness.step();
    let commands = &scene.harness.output().platform_output.commands;
    assert!(commands.contains(&OutputCommand::CopyText("text 89\n".into())), "{commands:?}");
}

#[test]
fn a_log_that_is_empty_missing_or_unreadable_says_so() {
    let mut scene = opened();
    assert!(scene.shows("Reading the log…"));
    tell(&mut scene, LogAnswer::Extent(LogExtent::default()));
    assert!(scene.shows("There is no log"));
    tell(&mut scene, LogAnswer::Extent(extent(0)));
    assert!(scene.shows("It has written nothing so far"));
    tell(&mut scene, LogAnswer::Failed("fetch.1.log: no".into()));
    assert!(scene.shows("The log can't be read (fetch.1.log: no)"));
}

#[test]
fn what_can_not_be_shown_of_a_log_is_said() {
    let mut scene = opened();
    tell(&mut scene, LogAnswer::Extent(extent(2)));
    let text = StyledText { text: "long".into(), parts: Vec::new() };
    let rows = vec![LogRow::Dropped(3 << 20), LogRow::Text { text, n_cut: 100 << 20 }];
    tell(
        &mut scene,
        LogAnswer::Rows(LogRows { first: 0, rows, numbers: None, extent: extent(2), is_exact: true }),
    );
    assert!(scene.shows("… 3.0 MiB were dropped here") && scene.shows("2: long … and 100 MiB more"));
}

#[test]
fn escape_closes_it_and_a_lever_opens_its_file_in_another_program() {
    let mut scene = with_lines(10);
    assert_eq!(scene.pull("Open outside fetch"), [Action::OpenFolder(Folder::Log(key()))]);
    let sent = scene.press(Modifiers::NONE, Key::Escape);
    assert_eq!(sent, [Action::OpenLog(None)]);
    assert!(!scene.shows("Log of fetch") && scene.is_selected("alfabeta-1"));
}

/// Types into the field of that name.
fn type_into(scene: &mut Scene, field: &str, text: &str) {
    scene.harness.get_by_label(field).focus();
    scene.harness.run();
    scene.harness.input_mut().events.push(Input::Text(text.into()));
    scene.harness.run();
}

#[test]
fn only_the_lines_that_match_are_shown_with_their_own_numbers_and_all_again() {
    let mut scene = with_lines(1000);
    type_into(&mut scene, "Search the log", "text 5");
    scene.sent();
    let found = LogFound { text: "text 5".into(), n_hits: 2, places: vec![true; 400], is_whole: true };
    tell(&mut scene, LogAnswer::Found(found));
    let sent = scene.pull("Only hits");
    assert_eq!(sent, [Action::AskLog(LogQuestion::Filter(true)), Action::AskLog(LogQuestion::Rows(0..4))]);
    let row = |text: &str| LogRow::Text { text: StyledText { text: text.into(), parts: vec![] }, n_cut: 0 };
    let rows = vec![row("text 5"), row("text 50")];
    let numbers = Some(vec![5, 50]);
    tell(
        &mut scene,
        LogAnswer::Rows(LogRows { first: 0, rows, numbers, extent: extent(1000), is_exact: true }),
    );
    assert!(shows_line(&scene, 6) && shows_line(&scene, 51) && !shows_line(&scene, 1000));
    let sent = scene.pull("Only hits");
    assert!(sent.contains(&Action::AskLog(LogQuestion::Filter(false))), "{sent:?}");
}

#[test]
fn a_time_that_is_typed_leads_to_its_line_and_a_wrong_one_says_how_to_write_it() {
    let mut scene = with_lines(1000);
    let at = now() - TimeDelta::hours(1);
    let typed = at.with_timezone(&Local).format("%H:%M:%S").to_string();
    type_into(&mut scene, "Go to time", &typed);
    let sent = scene.press(Modifiers::NONE, Key::Enter);
    assert_eq!(sent, [Action::AskLog(LogQuestion::AtTime(at))]);
    let sent = tell(&mut scene, LogAnswer::Reached(400));
    answer(&mut scene, sent, extent(1000));
    assert!(shows_line(&scene, 401));
    scene.harness.input_mut().events.push(Input::Text("x".into()));
    scene.harness.run();
    assert!(scene.shows("Go to time: write it as 14:05 or 14:05:30"));
}

#[test]
fn the_logs_of_all_steps_are_merged_and_one_alone_is_shown_again() {
    let mut scene = with_lines(10);
    let of = |step: &str| AttemptKey { step_id: StepId::new(step).unwrap(), ..key() };
    let merged = LogOf::Merged(vec![of("list"), of("fetch")].into());
    let sent = scene.pull("All steps, merged");
    assert_eq!(sent, [Action::OpenLog(Some(merged.clone()))]);
    assert!(scene.shows("2 logs, merged by time"));
    scene.tell(AppUpdate::Log { of: merged, answer: LogAnswer::Extent(extent(20)) });
    scene.sent();
    assert_eq!(scene.pull("One step"), [Action::OpenLog(Some(key().into()))]);
}

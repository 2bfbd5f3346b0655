//! The page of ended runs: its rows by number, the filter, what is new, marked runs, and the states without rows.

use std::sync::Arc;

use chrono::TimeDelta;
use egui::{Key, Modifiers, PointerButton};
use egui_kittest::kittest::{NodeT, Queryable};

use super::command::{Page, RunTab};
use super::tests::{Scene, id, now, run, scene, snapshot};
use super::tests_schedule::write;
use crate::api;
use crate::base::id::{PipelineId, StepId};
use crate::run::{Event, EventKind, RunState, RunSummary, StepState};
use crate::window::{
    Action, AppUpdate, GridCell, GridColumn, HistoryFilter, HistoryOrder, HistoryPage, HistoryQuestion,
    RunGrid,
};

/// The open page, with nothing read yet, and the question that it asked.
fn opened() -> (Scene, HistoryQuestion) {
    let mut scene = scene([snapshot(&[run("living", RunState::Running)])]);
    let sent = scene.press(Modifiers::COMMAND, Key::Num2);
    let question = question(sent).unwrap();
    (scene, question)
}

pub(super) fn question(sent: Vec<Action>) -> Option<HistoryQuestion> {
    let asked = sent.into_iter().filter_map(|action| {
        if let Action::LoadRuns(question) = action { question.map(|question| *question) } else { None }
    });
    asked.last()
}

fn job(n: usize) -> RunSummary {
    let mut run = run(&format!("job{n:03}"), RunState::Failed);
    run.started_at = now() - TimeDelta::hours(1 + n as i64);
    run
}

/// Two steps of the runs of the trend, of which the second one failed in the newest.
fn grid(is_wanted: bool) -> Arc<RunGrid> {
    let cell = |state| Some(GridCell { state, attempt: 1, took: Some(TimeDelta::seconds(41)) });
    let column = |n: usize| GridColumn {
        run_id: job(n).run_id,
        peak_bytes: Some(((n as u64) + 1) << 20),
        cells: vec![
            cell(StepState::Completed),
            cell(if n == 0 { StepState::Failed } else { StepState::Completed }),
        ],
    };
    let steps = ["fetch", "parse"].map(|name| StepId::new(name).unwrap()).to_vec();
    Arc::new(if is_wanted {
        RunGrid { steps, columns: (0..12).map(column).collect() }
    } else {
        RunGrid::default()
    })
}

/// The answer from a list of `total` runs.
pub(super) fn answer(question: &HistoryQuestion, total: usize) -> AppUpdate {
    let rows = question.rows.start..question.rows.end.min(total);
    AppUpdate::Runs(HistoryPage {
        serial: question.serial,
        offset: rows.start,
        runs: rows.map(job).collect(),
        n_known: total,
        is_whole: true,
        pipelines: vec![PipelineId::new("job000").unwrap(), PipelineId::new("job001").unwrap()],
        trend: match &question.list.filter.pipeline {
            Some(_) => (0..12).map(job).collect(),
            None => Vec::new(),
        },
        grid: grid(question.list.filter.pipeline.is_some()),
    })
}

pub(super) fn filled(total: usize) -> Scene {
    let (mut scene, question) = opened();
    scene.tell(answer(&question, total));
    scene.sent();
    scene
}

fn ended(scene: &mut Scene, run: RunSummary) {
    scene.tell(AppUpdate::Event(std::sync::Arc::new(Event {
        seq: 20,
        at: now(),
        run_id: Some(run.run_id.clone()),
        kind: EventKind::ExecutionFailed { run: std::sync::Arc::new(run) },
    })));
}

#[test]
fn the_list_is_read_when_it_is_opened_and_given_up_when_it_is_closed() {
    let (mut scene, asked) = opened();
    assert_eq!((asked.rows.start, asked.list.order), (0, HistoryOrder::Newest));
    assert!(scene.shows("Reading the runs…"));
    scene.tell(answer(&asked, 3));
    assert!(scene.shows("Ended 3") && scene.shows("failed, job002, job002-1,"));
    assert_eq!(question(scene.sent()), None, "what is known is not asked for");
    let sent = scene.press(Modifiers::COMMAND, Key::Num1);
    assert!(sent.contains(&Action::LoadRuns(None)), "{sent:?}");
    let again = question(scene.press(Modifiers::COMMAND, Key::Num2)).unwrap();
    assert!(again.serial > asked.serial, "what has ended meanwhile is in the list");
}

#[test]
fn any_row_of_a_million_is_reached_and_only_the_visible_ones_are_asked_for() {
    let mut scene = filled(1_000_000);
    assert!(scene.shows("Ended 1,000,000") && scene.shows("Rows 1 to "));
    let asked = question(scene.press(Modifiers::NONE, Key::End)).unwrap();
    assert!(asked.rows.contains(&999_999) && asked.rows.len() < 200, "{:?}", asked.rows);
    scene.tell(answer(&asked, 1_000_000));
    assert!(scene.shows("failed, job999999,") && scene.shows("to 1,000,000 of 1,000,000"));
    scene.press(Modifiers::NONE, Key::PageUp);
    assert!(!scene.shows("failed, job999999,"));
    scene.press(Modifiers::NONE, Key::Home);
    assert!(scene.shows("Rows 1 to "));
}

#[test]
fn the_arrows_select_the_rows_one_by_one_and_keep_the_selected_one_visible() {
    let mut scene = filled(60);
    for n in 0..30 {
        scene.press(Modifiers::NONE, Key::ArrowDown);
        let row = format!("failed, job{n:03},");
        let window = scene.harness.state_mut().as_mut().unwrap();
        // The run's details are known at once, as from a fast disk.
        window.store.apply(AppUpdate::RecentRuns(vec![job(n)]));
        scene.harness.run();
        assert!(scene.shows(&row) && scene.is_selected(&format!("job{n:03}-1")), "{row}");
    }
    scene.press(Modifiers::NONE, Key::Escape);
    assert!(!scene.shows("Close details"));
}

#[test]
fn a_filter_asks_for_another_list_and_one_without_a_match_offers_to_clear_it() {
    let mut scene = filled(3);
    write(&mut scene, "Text in names, messages, errors", "exit 12");
    let asked = question(scene.sent()).unwrap();
    assert_eq!(asked.list.filter.text, "exit 12");
    scene.tell(answer(&asked, 0));
    assert!(scene.shows("No run matches the filter"));
    let asked = question(scene.pull("Show all runs")).unwrap();
    assert!(asked.list.filter.text.is_empty());
    scene.tell(answer(&asked, 0));
    assert!(scene.shows("Runs that have ended are listed here"));

    scene.pull("State: any");
    scene.pull("force stopped");
    scene.pull("Pipeline: any");
    scene.pull("job001");
    scene.pull("Time: any");
    let asked = question(scene.pull("last 7 days")).unwrap().list;
    assert_eq!(asked.filter.state, Some(RunState::ForceStopped));
    assert_eq!(asked.filter.pipeline, PipelineId::new("job001").ok());
    assert_eq!(asked.filter.since, Some(now() - TimeDelta::days(7)));
    let asked = question(scene.pull("Order: longest first")).unwrap().list;
    assert_eq!(asked.order, HistoryOrder::Longest);
    scene.tell(AppUpdate::EndedCount(100_002));
    assert!(scene.shows("of 100,002 that have ended"));
    let asked = question(scene.pull("Clear filters")).unwrap().list;
    assert!(asked.filter == HistoryFilter::default() && asked.order == HistoryOrder::Longest);
}

#[test]
fn the_list_stands_still_while_runs_end_and_the_new_ones_are_counted() {
    let mut scene = filled(3);
    ended(&mut scene, run("living", RunState::Failed));
    assert!(scene.shows("failed, job000,") && !scene.shows("failed, living,"));
    assert!(question(scene.sent()).is_none());
    let asked = question(scene.pull("Show new runs")).unwrap();
    scene.tell(answer(&asked, 4));
    assert!(scene.shows("Ended 4") && !scene.shows("Show new runs"));
}

#[test]
fn several_runs_are_marked_with_ctrl_and_shift_and_run_again_together() {
    let mut scene = filled(5);
    let row = |n: usize| format!("failed, job{n:03}, job{n:03}-1,");
    let click = |scene: &mut Scene, n: usize, modifiers: Modifiers| {
        let row = row(n);
        let pos = scene.harness.get_by_label_contains(&row).rect().left_center() + egui::vec2(30.0, 0.0);
        for pressed in [true, false] {
            scene.harness.event_modifiers(
                egui::Event::PointerButton { pos, button: PointerButton::Primary, pressed, modifiers },
                modifiers,
            );
        }
        scene.harness.run();
    };
    click(&mut scene, 1, Modifiers::COMMAND);
    click(&mut scene, 3, Modifiers::SHIFT);
    click(&mut scene, 2, Modifiers::COMMAND);
    assert!(scene.shows("2 marked"));
    let retry = |n| Action::Do(api::Command::retry(&id(&format!("job{n:03}-1")), None));
    let sent = scene.pull("Retry marked");
    assert_eq!(sent, [retry(1), retry(3)]);
    assert!(!scene.shows("marked"));
}

#[test]
fn exactly_two_marked_runs_are_compared_and_with_another_number_the_lever_stays_and_says_why() {
    let mut scene = filled(5);
    scene.press(Modifiers::NONE, Key::ArrowDown);
    scene.press(Modifiers::NONE, Key::M);
    let refused = scene.harness.get_by_label("Compare marked: choose two");
    assert!(refused.accesskit_node().is_disabled());
    let place = refused.rect();
    scene.press(Modifiers::SHIFT, Key::ArrowDown);
    assert_eq!(scene.harness.get_by_label("Compare marked").rect(), place);
    scene.press(Modifiers::SHIFT, Key::ArrowDown);
    assert_eq!(scene.harness.get_by_label("Compare marked: choose two").rect(), place);
    scene.press(Modifiers::NONE, Key::M);
    scene.sent();
    scene.pull("Compare marked");
    let window = scene.harness.state_mut().as_mut().unwrap();
    assert_eq!((window.state.page, window.state.run_tab), (Page::Run, RunTab::Compare));
    assert_eq!(window.store.selected_id(), Some(&id("job001-1")));
    // The details of the selected run, which the engine would send.
    window.store.apply(AppUpdate::RecentRuns(vec![job(0), job(1)]));
    scene.harness.run();
    assert!(scene.shows("Compared with: job000-1, failed"));
    assert!(scene.sent().contains(&Action::Compare(id("job001-1"), id("job000-1"))));
}

#[test]
fn a_pipeline_shows_how_long_its_runs_took_and_each_can_be_selected() {
    let (mut scene, asked) = opened();
    scene.tell(answer(&asked, 3));
    assert!(!scene.shows("last 12 runs"));
    scene.pull("Pipeline: any");
    let asked = question(scene.pull("job001")).unwrap();
    scene.tell(answer(&asked, 3));
    assert!(scene.shows("last 12 runs: 0 completed, 12 failed; longest 12:00:00"));
    let bar = format!("failed, {}, started ", job(7).run_id);
    scene.harness.get_by_label_contains(&bar).click();
    scene.harness.run();
    assert!(scene.sent().contains(&Action::SelectRun(Some(job(7).run_id))));
}

/// The page with the trend of one pipeline.
pub(super) fn of_one_pipeline() -> Scene {
    let (mut scene, asked) = opened();
    scene.tell(answer(&asked, 3));
    scene.pull("Pipeline: any");
    let asked = question(scene.pull("job000")).unwrap();
    scene.tell(answer(&asked, 3));
    scene.sent();
    scene
}

#[test]
fn the_trend_shows_the_memory_and_the_steps_of_its_runs_on_the_same_columns() {
    let mut scene = of_one_pipeline();
    assert!(scene.shows("Peak memory of the runs: newest 1.0 MiB, most 12 MiB"));
    assert!(scene.shows("fetch in the last runs: 12 completed, 0 failed"));
    assert!(scene.shows("parse in the last runs: 11 completed, 1 failed"));
    let row = scene.harness.get_by_label_contains("parse in the last runs").rect();
    let bar = scene.harness.get_by_label_contains("failed, job000-1, started").rect();
    assert!((row.right() - bar.right()).abs() < 1.0, "{row:?} under {bar:?}");
    let newest = egui::pos2(bar.center().x, row.center().y);
    scene.harness.hover_at(newest);
    scene.harness.run();
    scene.harness.drag_at(newest);
    scene.harness.drop_at(newest);
    scene.harness.run();
    assert!(scene.sent().contains(&Action::SelectRun(Some(id("job000-1")))));
}

#[test]
fn the_grid_is_gone_through_by_keys_and_a_cell_selects_its_run() {
    let mut scene = of_one_pipeline();
    scene.harness.get_by_label_contains("parse in the last runs").focus();
    scene.harness.run();
    let of = |n: usize| format!("; parse of {}: ", job(n).run_id);
    assert!(scene.shows(&of(0)), "the newest first");
    scene.press(Modifiers::NONE, Key::ArrowLeft);
    assert!(scene.shows(&of(1)));
    let sent = scene.press(Modifiers::NONE, Key::Enter);
    assert!(sent.contains(&Action::SelectRun(Some(job(1).run_id))), "{sent:?}");
}

#[test]
fn the_steps_can_be_hidden() {
    let mut scene = of_one_pipeline();
    scene.pull("Hide the steps");
    assert!(!scene.shows("fetch in the last runs"));
    scene.pull("Show the steps");
    assert!(scene.shows("fetch in the last runs"));
}

#[test]
fn runs_are_marked_by_the_keyboard_alone_and_deleted_after_a_question() {
    let mut scene = filled(5);
    scene.press(Modifiers::NONE, Key::ArrowDown);
    scene.press(Modifiers::SHIFT, Key::ArrowDown);
    assert!(scene.shows("2 marked"));
    scene.press(Modifiers::NONE, Key::ArrowDown);
    scene.press(Modifiers::NONE, Key::M);
    assert!(scene.shows("3 marked"), "what was marked stays so");
    scene.press(Modifiers::NONE, Key::M);
    assert!(scene.shows("2 marked"));
    scene.sent();
    assert_eq!(scene.pull("Delete marked…"), []);
    assert!(scene.shows("Delete 2 runs?"));
    let ids: Vec<_> = ["job000-1", "job001-1"].map(id).to_vec();
    let sent = scene.pull("Delete");
    assert!(sent.contains(&Action::DeleteRuns(ids.clone())), "{sent:?}");
    assert!(!scene.shows("marked"));
    let problems = vec!["1 of 2 stay: their job still has to book them".to_owned()];
    scene.tell(AppUpdate::RunsDeleted { run_ids: ids, n_deleted: 1, problems });
    assert!(question(scene.sent()).is_some(), "the list is read again");
    assert!(scene.shows("Could not delete runs: 1 of 2 stay"));
}

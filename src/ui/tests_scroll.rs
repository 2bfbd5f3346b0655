//! Where a page was scrolled to is the same when one comes back to it.

use egui::{Event as Input, Key, Modifiers, Pos2, pos2};
use egui_kittest::kittest::Queryable;

use super::tests::{Scene, run, scene, snapshot};
use super::{tests_history, tests_schedule, tests_settings};
use crate::api::PipelineView;
use crate::run::RunState;
use crate::window::{Action, AppUpdate};

const MIDDLE: Pos2 = pos2(600.0, 500.0);

fn scroll(scene: &mut Scene, by: f32) {
    scene.harness.hover_at(MIDDLE);
    scene.harness.event(Input::MouseWheel {
        unit: egui::MouseWheelUnit::Point,
        delta: egui::vec2(0.0, -by),
        phase: egui::TouchPhase::Move,
        source: egui::MouseWheelSource::Unknown,
        modifiers: Modifiers::NONE,
    });
    scene.harness.run_steps(40);
    scene.harness.remove_cursor();
    scene.harness.run();
    scene.sent();
}

/// Scrolls the page of this key, goes to Machine and back, and checks that this is where it was before.
#[track_caller]
fn check(scene: &mut Scene, page: Key, label: &str, answer: impl Fn(&mut Scene, Vec<Action>)) {
    let place = |scene: &Scene| scene.harness.get_by_label(label).rect();
    scroll(scene, 520.0);
    let before = place(scene);
    assert!(before.center().y > 100.0 && before.center().y < 800.0, "{label} is visible: {before:?}");
    scene.press(Modifiers::COMMAND, Key::Num5);
    assert!(scene.harness.query_by_label(label).is_none(), "another page is open");
    let sent = scene.press(Modifiers::COMMAND, page);
    answer(scene, sent);
    assert_eq!(place(scene), before, "{label}");
}

fn names() -> impl Iterator<Item = String> {
    (0..60).map(|n| format!("job{n:03}"))
}

#[test]
fn the_lists_of_runs_keep_where_they_were_scrolled_to() {
    let runs: Vec<_> = names().map(|name| run(&name, RunState::Running)).collect();
    let mut now = scene([snapshot(&runs)]);
    check(&mut now, Key::Num1, "Stop job014-1", |_, _| {});
    let mut history = tests_history::filled(60);
    check(&mut history, Key::Num2, "Start again job014-1", |scene, sent| {
        let asked = tests_history::question(sent).unwrap();
        assert!(asked.rows.contains(&14), "what was visible is asked for: {:?}", asked.rows);
        scene.tell(tests_history::answer(&asked, 60));
    });
}

#[test]
fn the_lists_of_pipelines_and_jobs_keep_where_they_were_scrolled_to() {
    let listed = |id: String| PipelineView {
        source: id.clone(),
        description: None,
        path: format!("/data/pipelines/{id}.toml").into(),
        n_steps: 1,
        error: None,
        needs_values: false,
        id,
    };
    let mut pipelines = scene([snapshot(&[]), AppUpdate::Pipelines(names().map(listed).collect())]);
    pipelines.press(Modifiers::COMMAND, Key::Num3);
    check(&mut pipelines, Key::Num3, "Start… job014", |_, _| {});
    let rows = || tests_schedule::page(names().map(|name| tests_schedule::row(&name)).collect());
    let mut jobs = scene([snapshot(&[]), rows()]);
    jobs.press(Modifiers::COMMAND, Key::Num4);
    check(&mut jobs, Key::Num4, "Run now job018", |scene, _| scene.tell(rows()));
}

#[test]
fn the_settings_keep_where_they_were_scrolled_to() {
    let mut settings = tests_settings::opened(&[]);
    settings.harness.set_size(egui::vec2(900.0, 560.0));
    settings.harness.run();
    check(&mut settings, Key::Comma, "Open /data", |_, _| {});
}

//! Pictures of small parts of the window, painted on the CPU, in both themes. Those that are right stand in
//! `tests/snapshots`; CONTRIBUTING says how they are written anew.

mod painter;

use std::sync::Arc;

use chrono::TimeDelta;
use egui::{Key, Modifiers, Rect, ThemePreference, Ui, Vec2, pos2, vec2};
use egui_kittest::kittest::Queryable;
use egui_kittest::{
    Harness, HarnessBuilder, LazyRenderer, SnapshotOptions, SnapshotResults, try_image_snapshot_options,
};
use image::imageops::crop_imm;
use image::{Pixel, RgbaImage};

use super::command::Command;
use super::tests::{Scene, id, now, run, scene, snapshot, step};
use super::tests_schedule::write;
use super::theme;
use super::widgets::{Icon, Lever, Tone, progress_bar, sparkline, state_at};
use super::{tests_history, tests_machine, tests_run, tests_start};
use crate::api;
use crate::base::id::StepId;
use crate::run::{Event, EventKind, RunState, RunSummary, StepState, StepSummary, StopKind};
use crate::window::{Action, AppUpdate, RunFacts, RunUsage, StepNeeds};
use painter::Painter;

const THEMES: [(ThemePreference, &str); 2] =
    [(ThemePreference::Dark, "dark"), (ThemePreference::Light, "light")];

/// How far a picture may be from the stored one. Triangles are painted with the same bytes everywhere. The edges of letters
/// and circles are computed with the instructions that a machine has, and may be rounded to a neighbour of the 256 steps of
/// brightness: a step is 0.5 in the measure of the comparison. Four steps are let pass, and some single pixels beyond; what
/// moves or changes its colour is farther away in hundreds.
fn tolerance() -> SnapshotOptions {
    SnapshotOptions::new().threshold(2.0).max_failed_pixels(12)
}

/// Lets a window of a test be painted.
pub(super) fn with_painter<State>(builder: HarnessBuilder<State>) -> HarnessBuilder<State> {
    builder.renderer(LazyRenderer::new(Painter::default)).with_render_cursor(false)
}

fn cut(picture: &RgbaImage, part: Rect) -> RgbaImage {
    let part = part.round();
    let (left, top) = (part.left() as u32, part.top() as u32);
    crop_imm(picture, left, top, part.width() as u32, part.height() as u32).to_image()
}

/// Compares a part of the window with its pictures.
fn compare(mut scene: Scene, name: &str, part: impl Fn(&Scene) -> Rect) {
    let mut results = SnapshotResults::new();
    for (theme, theme_name) in THEMES {
        let ctx = scene.harness.ctx.clone();
        let window = scene.harness.state_mut().as_mut().unwrap();
        window.run_command(&ctx, Command::SetTheme(theme), now());
        scene.harness.run();
        let picture = cut(&scene.harness.render().unwrap(), part(&scene));
        let name = format!("{name}-{theme_name}");
        results.add(try_image_snapshot_options(&picture, name, &tolerance()));
    }
    results.unwrap();
}

/// Compares what `paint` adds with its pictures.
fn compare_widgets(name: &str, size: Vec2, paint: impl Fn(&mut Ui) + Copy) {
    let mut results = SnapshotResults::new();
    for (theme, theme_name) in THEMES {
        let builder = with_painter(Harness::builder()).with_size(size).with_context_setup(theme::install);
        let mut harness = builder.build_ui(|ui| {
            ui.ctx().set_theme(theme);
            ui.painter().rect_filled(ui.ctx().content_rect(), 0, theme::tokens(ui).panel);
            paint(ui);
        });
        harness.run();
        let (picture, name) = (harness.render().unwrap(), format!("{name}-{theme_name}"));
        results.add(try_image_snapshot_options(&picture, name, &tolerance()));
    }
    results.unwrap();
}

#[test]
fn another_digit_or_a_step_to_the_side_is_found_and_a_rounded_edge_is_not() {
    let picture_of = |progress: f64| {
        let mut scene = scene([snapshot(&[RunSummary { progress, ..run("alfabeta", RunState::Running) }])]);
        let row = place(&scene, "running, alfabeta");
        (scene.harness.render().unwrap(), row)
    };
    let (window, row) = picture_of(0.45);
    let stored = cut(&window, row);
    let mut rounded = stored.clone();
    rounded.pixels_mut().for_each(|pixel| pixel.apply(|byte| byte.saturating_add(1)));
    for (is_found, picture) in [
        (false, stored.clone()),
        (false, rounded),
        (true, cut(&picture_of(0.45).0, row.translate(vec2(1.0, 0.0)))),
        (true, cut(&picture_of(0.46).0, row)),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("row.png");
        stored.save(&file).unwrap();
        let before = std::fs::read(&file).unwrap();
        let compared = try_image_snapshot_options(&picture, "row", &tolerance().output_path(folder.path()));
        // Where pictures are written anew, a difference replaces the stored one.
        assert_eq!(compared.is_err() || std::fs::read(&file).unwrap() != before, is_found);
    }
}

/// The place of everything with this text in its name.
fn place(scene: &Scene, name: &str) -> Rect {
    let nodes = scene.harness.query_all_by_label_contains(name);
    let place = nodes.fold(Rect::NOTHING, |place, node| place.union(node.rect()));
    assert!(place.is_positive(), "{name} is shown");
    place
}

#[test]
fn marks_of_states() {
    compare_widgets("marks-of-states", vec2(270.0, 9.0 * 24.0 + 8.0), |ui| {
        let tokens = theme::tokens(ui);
        let at = |column: f32, row: usize| {
            Rect::from_min_size(pos2(8.0 + column * 130.0, 4.0 + row as f32 * 24.0), vec2(120.0, 24.0))
        };
        for (row, state) in RunState::ALL.iter().enumerate() {
            let color = tokens.run_state(*state);
            state_at(ui, at(0.0, row), Icon::of_run(*state), &state.as_str().replace('_', " "), color);
        }
        for (row, state) in StepState::ALL.iter().enumerate() {
            let color = tokens.step_state(*state);
            state_at(ui, at(1.0, row), Icon::of_step(*state), state.as_str(), color);
        }
    });
}

#[test]
fn levers_of_every_tone() {
    compare_widgets("levers", vec2(610.0, 46.0), |ui| {
        let paused = theme::tokens(ui).paused;
        let run_id = id("alfabeta-1");
        let send = |command: api::Command| Command::Send(Action::Do(command));
        let (pause, resume) = (send(api::Command::pause(&run_id)), send(api::Command::resume(&run_id)));
        let stop = send(api::Command::stop(&run_id, StopKind::Graceful));
        ui.horizontal_centered(|ui| {
            Lever::of(&pause).ui(ui);
            Lever::of(&resume).tone(Tone::Marked(paused)).ui(ui);
            Lever::of(&stop).enabled_if(false).ui(ui);
            Lever::of(&Command::NewJob).tone(Tone::Primary).ui(ui);
            Lever::of(&Command::OpenPalette).tone(Tone::Field).ui(ui);
            Lever::icon(Icon::More, "More").ui(ui);
        });
    });
}

#[test]
fn a_sparkline_and_bars() {
    compare_widgets("sparkline", vec2(200.0, 60.0), |ui| {
        let tokens = theme::tokens(ui);
        let wave = |n: usize| 0.5 + 0.5 * f64::from(u8::from(n % 12 < 5)) * (n as f64 / 40.0);
        let points: Vec<_> =
            (0..60).map(|n| pos2(10.0 + 3.0 * n as f32, 40.0 - 30.0 * wave(n) as f32)).collect();
        sparkline(ui, &points, 40.0, tokens.running, 1.25);
        for (n, share) in [0.0, 0.02, 0.45, 1.0].into_iter().enumerate() {
            let left = pos2(10.0 + 46.0 * n as f32, 48.0);
            progress_bar(ui, Rect::from_min_size(left, vec2(40.0, 6.0)), share, tokens.running);
        }
    });
}

/// The first page with a run in each state that a row can show.
fn rows() -> Scene {
    let frozen = RunSummary { started_at: now() - TimeDelta::hours(1), ..run("books", RunState::Paused) };
    let queued =
        RunSummary { progress: 0.0, current_step: None, message: None, ..run("train", RunState::Queued) };
    let living = [run("alfabeta", RunState::Running), frozen, queued, run("backup", RunState::Stopping)];
    let ended = vec![run("mirror", RunState::Failed), run("invoice", RunState::Completed)];
    let mut scene = scene([snapshot(&living), AppUpdate::RecentRuns(ended)]);
    for n in 0..60 {
        let usage = |name: &str, cpu_fraction, memory_bytes| RunUsage {
            run_id: id(name),
            at: now() - TimeDelta::seconds(60 - n),
            cpu_fraction,
            memory_bytes,
        };
        let wave = f64::from((n % 20) as u8) / 20.0;
        let usages = vec![
            usage("alfabeta-1", 0.2 + 0.6 * wave, (1 << 30) + (n as u64) * (8 << 20)),
            usage("books-1", if n < 40 { 0.5 } else { 0.0 }, 512 << 20),
        ];
        scene.world.updates.send(AppUpdate::Usage(usages)).unwrap();
    }
    scene.harness.run();
    scene
}

#[test]
fn rows_of_living_runs() {
    compare(rows(), "rows-of-living-runs", |scene| {
        place(scene, "running, alfabeta").union(place(scene, "frozen 14 min, books"))
    });
}

#[test]
fn a_row_of_a_waiting_run() {
    compare(rows(), "row-of-a-waiting-run", |scene| place(scene, "waiting for 12 min, train"));
}

#[test]
fn rows_of_ended_runs() {
    compare(rows(), "rows-of-ended-runs", |scene| {
        let rows = place(scene, "failed, mirror").union(place(scene, "completed, invoice"));
        // What is right of it says when, by the clock of the machine's zone.
        rows.with_max_x(rows.left() + 600.0)
    });
}

#[test]
fn a_plot_with_its_limit() {
    compare(tests_machine::with_curves(), "plot-with-limit", |scene| place(scene, "CPU now"));
}

/// The page of a run of four steps, of which one is in its second attempt, after the run was frozen.
fn page_of_a_run() -> Scene {
    let mut scene = tests_run::opened(RunState::Running);
    let [listed_at, again_at] = [740, 560].map(|seconds| Some(now() - TimeDelta::seconds(seconds)));
    let again = StepSummary { attempt: 2, started_at: again_at, ..step("fetch", StepState::Running) };
    let list = StepSummary {
        started_at: listed_at,
        finished_at: Some(now() - TimeDelta::seconds(705)),
        ..step("list", StepState::Completed)
    };
    let frozen_since = Some(now() - TimeDelta::seconds(420));
    let frozen = RunSummary { frozen_since, ..run("alfabeta", RunState::Paused) };
    let thawed = RunSummary { frozen_seconds: 180.0, ..run("alfabeta", RunState::Running) };
    for (seq, kind) in [
        (11, EventKind::StepFinished { step: list }),
        (12, EventKind::StepStarted { step: again }),
        (13, EventKind::ExecutionPaused { run: Arc::new(frozen), unfrozen: vec![] }),
        (14, EventKind::ExecutionResumed { run: Arc::new(thawed), from: RunState::Paused }),
    ] {
        let event = Event { seq, at: now(), run_id: Some(id("alfabeta-1")), kind };
        scene.tell(AppUpdate::Event(Arc::new(event)));
    }
    let needs = |name: &str, needs: &[usize]| StepNeeds {
        step_id: StepId::new(name).unwrap(),
        needs: needs.to_vec(),
    };
    let needs =
        vec![needs("list", &[]), needs("fetch", &[0]), needs("images", &[0]), needs("publish", &[1, 2])];
    tests_run::tell_facts(&mut scene, RunFacts { needs, ..tests_run::facts() });
    scene
}

#[test]
fn the_graph_of_a_run() {
    compare(page_of_a_run(), "graph", |scene| {
        place(scene, "Node list")
            .union(place(scene, "Node publish"))
            .union(place(scene, "Node images"))
            .expand(8.0)
    });
}

#[test]
fn a_lane_with_a_retry_and_a_frozen_span() {
    compare(page_of_a_run(), "lanes", |scene| {
        place(scene, "list over time").union(place(scene, "fetch over time"))
    });
}

#[test]
fn toasts() {
    let mut scene = scene([snapshot(&[run("alfabeta", RunState::Running)])]);
    scene.press(Modifiers::COMMAND, Key::Num3);
    scene.tell(AppUpdate::Done(api::Command::pause(&id("alfabeta-1"))));
    let (action, message) = ("pause books-1".to_owned(), "It has ended".to_owned());
    scene.tell(AppUpdate::Failure { action, message });
    compare(scene, "toasts", |scene| {
        // With the marks at the left of the texts, and the levers at the right.
        let texts = place(scene, "Could not pause books-1").union(place(scene, "Paused alfabeta-1"));
        Rect::from_min_max(texts.min - vec2(44.0, 20.0), texts.max + vec2(104.0, 20.0))
    });
}

#[test]
fn a_day_is_chosen_in_the_start_form() {
    let mut scene = tests_start::opened();
    write(&mut scene, "day", "2026-11-30");
    scene.pull("Calendar for day");
    compare(scene, "calendar", |scene| {
        // The month that is shown, with the days of those before and after it.
        let days = ["October 2026", "November 2026", "December 2026"].map(|month| place(scene, month));
        days.into_iter().fold(place(scene, "Calendar for day"), Rect::union).expand(8.0)
    });
}

#[test]
fn the_grid_of_runs_and_steps() {
    compare(tests_history::of_one_pipeline(), "grid", |scene| {
        let grid = place(scene, "Peak memory of the runs").union(place(scene, "parse in the last runs"));
        // With the names at its left.
        grid.with_min_x(grid.left() - 70.0).with_min_y(grid.top() - 8.0)
    });
}

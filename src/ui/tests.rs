//! The window with hand-made updates, without a display: tests find levers by label, pull them, and check the actions.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, TimeZone, Utc};
use egui::{Event as Input, Key, Modifiers, ViewportCommand, ViewportEvent, ViewportId};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable;

use super::LeverframeWindow;
use super::command::Page;
use super::tests_pictures;
use crate::api::{Command, PipelineView};
use crate::base::id::{AttemptKey, PipelineId, RunId, StepId};
use crate::run::{Event, EventKind, RunState, RunSummary, StepState, StepSummary, StopKind, Trigger};
use crate::window::{Action, AppUpdate, HistorySpan, LogTail, WorldPort, window_port};

pub(super) fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 23, 14, 0, 0).unwrap()
}

pub(super) fn run(name: &str, state: RunState) -> RunSummary {
    RunSummary {
        run_id: RunId::new(format!("{name}-1")).unwrap(),
        pipeline_id: PipelineId::new(name).unwrap(),
        source: name.into(),
        run_type: "FULL_REFRESH".into(),
        environment: "dev".into(),
        trigger: Trigger::Manual,
        state,
        live: !state.is_ended(),
        progress: 0.45,
        current_step: Some("fetch".into()),
        message: Some("page 214 of 480".into()),
        started_at: now() - TimeDelta::seconds(761),
        finished_at: state.is_ended().then(now),
        frozen_seconds: 0.0,
        worked_seconds: None,
        works_since: None,
        frozen_since: (state == RunState::Paused).then(|| now() - TimeDelta::minutes(14)),
        error: (state == RunState::Failed).then(|| "Step parse failed: it exited with 12".into()),
        attempt: 1,
        waits_for: None,
    }
}

pub(super) fn step(name: &str, state: StepState) -> StepSummary {
    StepSummary {
        step_id: StepId::new(name).unwrap(),
        state,
        attempt: 1,
        exit_code: None,
        signal: None,
        started_at: Some(now() - TimeDelta::seconds(60)),
        finished_at: None,
        peak_rss_bytes: Some(118 << 20),
        peak_rss_source: None,
        cpu_seconds: None,
        written_bytes: None,
        worked_seconds: None,
        works_since: None,
        log: None,
        progress: 0.4,
        message: Some("page 214".into()),
        pid: None,
        error: None,
        waits_for: None,
    }
}

pub(super) fn snapshot(runs: &[RunSummary]) -> AppUpdate {
    let steps = vec![step("list", StepState::Completed), step("fetch", StepState::Running)];
    AppUpdate::Snapshot {
        runs: runs.iter().map(|run| (run.clone(), steps.clone())).collect(),
        orders: Default::default(),
        seq: 10,
    }
}

fn pipelines() -> AppUpdate {
    let entry = |id: &str, error: Option<&str>| PipelineView {
        id: id.to_owned(),
        source: id.to_owned(),
        description: Some(format!("What {id} does")),
        path: format!("/data/pipelines/{id}.toml").into(),
        n_steps: 5,
        error: error.map(str::to_owned),
        needs_values: false,
    };
    AppUpdate::Pipelines(vec![
        entry("price-list", None),
        entry("broken", Some("broken.toml:7:1: unknown key `retires`; did you mean `retries`?")),
    ])
}

pub(super) struct Scene {
    pub(super) harness: Harness<'static, Option<LeverframeWindow>>,
    pub(super) world: WorldPort,
}

/// The window after it has applied `updates`.
pub(super) fn scene(updates: impl IntoIterator<Item = AppUpdate>) -> Scene {
    let (window, world) = window_port();
    for update in updates {
        world.updates.send(update).unwrap();
    }
    let mut port = Some(window);
    let builder = tests_pictures::with_painter(Harness::builder());
    let mut harness = builder.with_size([1280.0, 800.0]).with_max_steps(12).build_ui_state(
        move |ui, window: &mut Option<LeverframeWindow>| {
            // Fonts that are set in a frame are available in the next.
            let Some(window) = window else {
                *window = port.take().map(|port| LeverframeWindow::with_context(ui.ctx(), port));
                return;
            };
            window.process_updates(ui.ctx());
            window.paint(ui, now());
        },
        None,
    );
    harness.run();
    Scene { harness, world }
}

impl Scene {
    /// Pulls the lever of that name, and returns the actions that were sent.
    pub(super) fn pull(&mut self, label: &str) -> Vec<Action> {
        self.harness.get_by_label(label).click();
        self.harness.run();
        self.sent()
    }

    pub(super) fn press(&mut self, modifiers: Modifiers, key: Key) -> Vec<Action> {
        self.harness.key_press_modifiers(modifiers, key);
        self.harness.run();
        self.sent()
    }

    /// What was sent, without what the first page asks by itself.
    pub(super) fn sent(&self) -> Vec<Action> {
        let window = self.harness.state().as_ref();
        let looks_back = window.is_some_and(|window| window.state.page == Page::Machine);
        let hour = Action::LoadHistory(HistorySpan::Hour);
        let is_own =
            |action: &Action| matches!(action, Action::LoadEstimates(_)) || !looks_back && *action == hour;
        self.world.actions.try_iter().filter(|action| !is_own(action)).collect()
    }

    pub(super) fn tell(&mut self, update: AppUpdate) {
        self.world.updates.send(update).unwrap();
        self.harness.run();
    }

    pub(super) fn shows(&self, label: &str) -> bool {
        self.harness.query_all_by_label_contains(label).next().is_some()
    }

    /// Whether this run's details are shown.
    pub(super) fn is_selected(&self, run_id: &str) -> bool {
        let window = self.harness.state().as_ref().unwrap();
        window.store().selected().is_some_and(|entry| entry.run.run_id.as_str() == run_id)
    }

    pub(super) fn ask_to_close(&mut self) -> Vec<ViewportCommand> {
        let viewports = &mut self.harness.input_mut().viewports;
        viewports.entry(ViewportId::ROOT).or_default().events.push(ViewportEvent::Close);
        self.harness.step();
        let viewports = &mut self.harness.input_mut().viewports;
        viewports.entry(ViewportId::ROOT).or_default().events.clear();
        self.harness.output().viewport_output[&ViewportId::ROOT].commands.clone()
    }
}

pub(super) fn does(command: Command) -> [Action; 1] {
    [Action::Do(command)]
}

pub(super) fn id(name: &str) -> RunId {
    RunId::new(name).unwrap()
}

#[test]
fn a_row_says_what_state_which_run_where_and_how_long() {
    let scene = scene([snapshot(&[run("alfabeta", RunState::Running)])]);
    assert!(scene.shows("running, alfabeta, alfabeta-1, fetch · page 214 of 480, 45 %, 12:41, 15 min left"));
}

#[test]
fn a_running_run_can_be_paused_and_stopped() {
    let mut scene = scene([snapshot(&[run("alfabeta", RunState::Running)])]);
    assert_eq!(scene.pull("Pause alfabeta-1"), does(Command::pause(&id("alfabeta-1"))));
    assert_eq!(scene.pull("Stop alfabeta-1"), does(Command::stop(&id("alfabeta-1"), StopKind::Graceful)));
}

#[test]
fn a_paused_run_says_for_how_long_and_offers_resume_where_pause_was() {
    let running = scene([snapshot(&[run("alfabeta", RunState::Running)])]);
    let pause = running.harness.get_by_label("Pause alfabeta-1").rect();
    let mut paused = scene([snapshot(&[run("alfabeta", RunState::Paused)])]);
    assert!(paused.shows("frozen 14 min, alfabeta"));
    assert!(paused.shows("clock stopped"));
    assert_eq!(paused.harness.get_by_label("Resume alfabeta-1").rect(), pause);
    assert_eq!(paused.pull("Resume alfabeta-1"), does(Command::resume(&id("alfabeta-1"))));
}

#[test]
fn force_stop_appears_once_a_run_is_stopping_and_not_under_the_pointer_that_stopped_it() {
    let mut scene = scene([snapshot(&[run("alfabeta", RunState::Running)])]);
    assert!(!scene.shows("Force stop alfabeta-1"));
    let stop = scene.harness.get_by_label("Stop alfabeta-1").rect();
    let run = Arc::new(run("alfabeta", RunState::Stopping));
    let event = Event {
        seq: 11,
        at: now(),
        run_id: Some(run.run_id.clone()),
        kind: EventKind::ExecutionStopping { run },
    };
    scene.tell(AppUpdate::Event(Arc::new(event)));
    assert!(!scene.harness.get_by_label("Force stop alfabeta-1").rect().intersects(stop));
    assert_eq!(scene.pull("Force stop alfabeta-1"), [], "it can't be undone: the operator is asked first");
    scene.pull("Cancel");
    scene.pull("Force stop alfabeta-1");
    let confirmed = scene.pull("Confirm: Force stop alfabeta-1");
    assert_eq!(confirmed, does(Command::stop(&id("alfabeta-1"), StopKind::Force)));
    assert!(!scene.shows("Confirm"), "the question is closed");
}

#[test]
fn a_failed_run_says_why_and_can_be_resumed_or_started_again() {
    let mut scene = scene([snapshot(&[]), AppUpdate::RecentRuns(vec![run("books", RunState::Failed)])]);
    assert!(scene.shows("failed, books, books-1, Step parse failed: it exited with 12"));
    assert_eq!(scene.pull("Resume books-1"), does(Command::resume(&id("books-1"))));
    assert_eq!(
        scene.pull("Start again books-1"),
        does(Command::start_like(&PipelineId::new("books").unwrap(), &id("books-1")))
    );
}

#[test]
fn an_empty_window_offers_the_sample() {
    let mut scene = scene([snapshot(&[]), pipelines()]);
    let started = scene.pull("Start price-list");
    assert_eq!(started, does(Command::start("price-list")));
}

#[test]
fn a_pipeline_that_does_not_parse_says_where_and_cannot_be_started() {
    let mut scene = scene([snapshot(&[]), pipelines()]);
    scene.press(Modifiers::COMMAND, Key::Num3);
    assert!(scene.shows("broken.toml:7:1: unknown key `retires`; did you mean `retries`?"));
    assert!(!scene.shows("Start broken"));
}

#[test]
fn a_selected_run_shows_its_steps_and_the_tail_of_the_log_that_grows() {
    let mut scene = scene([snapshot(&[run("alfabeta", RunState::Running)])]);
    let row = "running, alfabeta, alfabeta-1, fetch · page 214 of 480, 45 %, 12:41, 15 min left";
    let (run_id, step_id) = (id("alfabeta-1"), StepId::new("fetch").unwrap());
    let key = AttemptKey { run_id, step_id, attempt: 1 };
    let sent = [Action::SelectRun(Some(id("alfabeta-1"))), Action::SelectStep(key.clone())];
    assert_eq!(scene.pull(row), sent);
    assert!(scene.shows("list, completed, page 214"));
    let lines = (0..3000).map(|n| format!("line {n}")).collect();
    let tail = LogTail { lines, dropped_bytes: 0, total_bytes: 9000, truncated_front: false };
    scene.tell(AppUpdate::LogTail { key, tail: Arc::new(tail) });
    assert!(scene.harness.query_by_label("line 2999").is_some(), "it sticks to the end");
    let n_lines = scene.harness.query_all_by_label_contains("line ").count();
    assert!(n_lines < 60, "{n_lines} lines were laid out: only what is visible may cost");
    assert_eq!(scene.press(Modifiers::NONE, Key::Escape), [Action::SelectRun(None)]);
}

#[test]
fn space_pauses_and_resumes_the_selected_run() {
    let mut scene = scene([snapshot(&[run("alfabeta", RunState::Running)])]);
    assert_eq!(scene.press(Modifiers::NONE, Key::Space), []);
    scene.press(Modifiers::NONE, Key::ArrowDown);
    assert_eq!(scene.press(Modifiers::NONE, Key::Space), does(Command::pause(&id("alfabeta-1"))));
    assert_eq!(
        scene.press(Modifiers::COMMAND, Key::Backspace),
        does(Command::stop(&id("alfabeta-1"), StopKind::Graceful))
    );
}

#[test]
fn the_palette_finds_what_can_be_done_now() {
    let mut scene = scene([snapshot(&[run("alfabeta", RunState::Running)]), pipelines()]);
    scene.press(Modifiers::COMMAND, Key::K);
    assert!(scene.shows("Start price-list"));
    scene.harness.event(Input::Text("pau alf".to_owned()));
    scene.harness.run();
    assert!(!scene.shows("Start price-list"));
    assert_eq!(scene.press(Modifiers::NONE, Key::Enter), does(Command::pause(&id("alfabeta-1"))));
    assert!(!scene.shows("What to do"), "it closes");
}

#[test]
fn what_could_not_be_done_is_said() {
    let action = "pause alfabeta-1".to_owned();
    let mut scene = scene([snapshot(&[]), AppUpdate::Failure { action, message: "It has ended".to_owned() }]);
    assert!(scene.shows("Could not pause alfabeta-1: It has ended"));
    scene.pull("Dismiss");
    assert!(!scene.shows("Could not pause"));
}

#[test]
fn an_action_without_a_receiver_is_reported() {
    let mut scene = scene([snapshot(&[run("alfabeta", RunState::Running)])]);
    let (_, nobody) = window_port();
    scene.world = nobody;
    scene.harness.get_by_label("Pause alfabeta-1").click();
    scene.harness.run();
    assert!(scene.shows("Could not pause alfabeta-1: The engine has ended"));
}

#[test]
fn a_row_that_ends_under_the_pointer_keeps_its_place() {
    let mut scene = scene([snapshot(&[run("alfabeta", RunState::Running), run("books", RunState::Running)])]);
    let place = scene.harness.get_by_label("Pause books-1").rect();
    scene.harness.hover_at(place.center());
    scene.harness.run();
    let run = Arc::new(run("alfabeta", RunState::Completed));
    let event = Event {
        seq: 11,
        at: now(),
        run_id: Some(run.run_id.clone()),
        kind: EventKind::ExecutionCompleted { run },
    };
    scene.tell(AppUpdate::Event(Arc::new(event)));
    assert_eq!(scene.harness.get_by_label("Pause books-1").rect(), place);
    scene.harness.hover_at(egui::pos2(700.0, 780.0));
    scene.harness.run();
    scene.harness.run();
    assert!(scene.harness.get_by_label("Pause books-1").rect().top() < place.top());
}

#[test]
fn a_thousand_living_runs_cost_no_more_than_the_visible_ones() {
    let runs: Vec<RunSummary> = (0..1000).map(|n| run(&format!("job{n}"), RunState::Running)).collect();
    let scene = scene([snapshot(&runs)]);
    let n_rows = scene.harness.query_all_by_label_contains("Stop job").count();
    assert!((8..16).contains(&n_rows), "{n_rows} rows were laid out");
}

#[test]
fn a_window_that_has_nothing_to_show_does_not_repaint() {
    let mut scene = scene([snapshot(&[]), AppUpdate::RecentRuns(vec![run("books", RunState::Failed)])]);
    scene.harness.step();
    let delay = scene.harness.output().viewport_output[&ViewportId::ROOT].repaint_delay;
    assert!(delay > std::time::Duration::from_secs(3600), "{delay:?}");
    assert_eq!(scene.harness.state().as_ref().map(|window| window.store().recent().len()), Some(1));
}

#[test]
fn without_a_display_one_line_names_the_verbs_that_need_none() {
    let message = super::require_display(|_| None).unwrap_err().to_string();
    assert!(!message.contains('\n') && message.contains("leverframe run"), "{message}");
    let message = super::refusal("winit EventLoopError: os error at linux/mod.rs:788: Failed to open\nmore");
    assert!(message.starts_with("the window cannot open (Failed to open); without a display"), "{message}");
    assert!(super::require_display(|name| (name == "DISPLAY").then(|| ":0".into())).is_ok());
}

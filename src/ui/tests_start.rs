//! The start form with hand-made updates: its fields by label, its errors, what it sends, and the keyboard alone.

use std::path::Path;
use std::sync::Arc;

use egui::{Event as Input, Key, Modifiers, OutputCommand};
use egui_kittest::kittest::Queryable;

use super::tests::{Scene, id, run, scene, snapshot};
use super::tests_schedule::write;
use crate::api::{Command, PipelineView, StartRun};
use crate::pipeline::{Pipeline, SecretState};
use crate::run::{Definition, RunState};
use crate::window::{Action, AppUpdate, Earlier, StartBasis, StartOf};

const TEXT: &str = r#"
    id = "report"
    description = "closes the month"
    [params.day]
    type = "date"
    description = "the last day of it"
    [params.region]
    default = "north"
    choices = ["north", "south"]
    [params.dry]
    type = "bool"
    default = false
    [params.token]
    secret = { env = "TOKEN" }
    [[step]]
    id = "a"
    run = "true"
"#;

const PATH: &str = "/data/pipelines/report.toml";

fn listed(id: &str, needs_values: bool) -> PipelineView {
    PipelineView {
        id: id.to_owned(),
        source: id.to_owned(),
        description: None,
        path: format!("/data/pipelines/{id}.toml").into(),
        n_steps: 1,
        error: None,
        needs_values,
    }
}

fn basis(earlier: Option<Earlier>) -> AppUpdate {
    let pipeline = Pipeline::parse(TEXT, Path::new(PATH), None).unwrap();
    let definition = Arc::new(Definition { path: PATH.into(), text: TEXT.into(), pipeline });
    let state = SecretState::Missing("the environment variable TOKEN is not set; set it".to_owned());
    let secrets = [("token".to_owned(), state)].into();
    AppUpdate::StartBasis(Arc::new(StartBasis { definition, earlier, secrets, home: None, data_dir: None }))
}

/// The page of pipelines.
fn page() -> Scene {
    let pipelines = AppUpdate::Pipelines(vec![listed("backup", false), listed("report", true)]);
    let mut scene = scene([snapshot(&[run("alfabeta", RunState::Running)]), pipelines]);
    scene.press(Modifiers::COMMAND, Key::Num3);
    scene
}

/// The form of a pipeline with a required parameter.
pub(super) fn opened() -> Scene {
    let mut scene = page();
    let of = StartOf { pipeline_id: "report".to_owned(), path: Some(PATH.into()), like: None };
    assert_eq!(scene.pull("Start… report"), [Action::LoadStart(of)]);
    scene.tell(basis(None));
    scene
}

fn enter(scene: &mut Scene, text: &str) -> Vec<Action> {
    scene.harness.event(Input::Text(text.to_owned()));
    scene.harness.run();
    scene.press(Modifiers::NONE, Key::Enter)
}

fn starts(params: &[(&str, &str)]) -> [Action; 1] {
    let params = params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let pipeline = Some("report".to_owned());
    [Action::Start(Box::new(StartRun { pipeline, params, ..StartRun::default() }))]
}

#[test]
fn what_needs_no_value_starts_with_one_click_and_what_needs_one_is_asked() {
    let mut scene = page();
    assert!(!scene.harness.query_all_by_label("Start report").any(|_| true), "it can't be started at once");
    assert_eq!(scene.pull("Start backup"), [Action::Do(Command::start("backup"))]);
    let sent = scene.pull("Start… backup");
    assert!(matches!(&sent[..], [Action::LoadStart(of)] if of.pipeline_id == "backup"), "{sent:?}");
    // The palette offers the same.
    scene.press(Modifiers::COMMAND, Key::K);
    scene.harness.event(Input::Text("start report".to_owned()));
    scene.harness.run();
    let sent = scene.press(Modifiers::NONE, Key::Enter);
    assert!(matches!(&sent[..], [Action::LoadStart(of)] if of.pipeline_id == "report"), "{sent:?}");
}

#[test]
fn the_form_shows_each_parameter_its_error_and_the_state_of_secrets() {
    let mut scene = opened();
    assert!(scene.shows("Start report") && scene.shows("1 step · closes the month"));
    assert!(scene.shows("Fill it in: it has no default") && scene.shows("1 field to mend"));
    assert!(scene.shows("region: north") && scene.shows("dry"));
    assert!(scene.shows("secret token: missing, the environment variable TOKEN is not set; set it"));
    assert!(scene.shows("leverframe run report"));
    write(&mut scene, "day", "30.11.2026");
    assert!(scene.shows("It must be a date such as 2026-11-23"));
    assert_eq!(scene.pull("Start"), [], "Start leads to the first error");
    assert!(scene.harness.get_by_label("day").is_focused());
    write(&mut scene, "day", "2026-11-30");
    assert!(!scene.shows("to mend") && scene.shows("the last day of it"));
    scene.pull("dry");
    assert!(scene.shows("leverframe run report --param day=2026-11-30 --param dry=true"));
    assert_eq!(scene.pull("Start"), starts(&[("day", "2026-11-30"), ("dry", "true")]));
    assert_eq!(scene.pull("Start"), [], "it is under way");
}

#[test]
fn the_keyboard_alone_fills_it_in_and_starts_it() {
    let mut scene = opened();
    assert_eq!(enter(&mut scene, "2026-11"), [], "that is no date");
    assert_eq!(enter(&mut scene, "-30"), starts(&[("day", "2026-11-30")]), "the field has kept the keyboard");
}

#[test]
fn the_started_run_is_selected_and_a_refusal_is_shown_in_the_form() {
    let mut scene = opened();
    enter(&mut scene, "2026-11-30");
    scene.tell(AppUpdate::Started(Err("no engine lives any more".to_owned())));
    assert!(scene.shows("It was not started: no engine lives any more"));
    assert!(!scene.shows("Could not"), "it is said once");
    assert_eq!(scene.pull("Start"), starts(&[("day", "2026-11-30")]));
    scene.tell(AppUpdate::Started(Ok(id("alfabeta-1"))));
    assert!(!scene.shows("The same on the command line"));
    assert!(scene.is_selected("alfabeta-1") && scene.shows("Close details"));
}

#[test]
fn it_is_closed_without_a_start_and_a_late_refusal_is_still_said() {
    let title = "The same on the command line";
    let mut scene = opened();
    assert!(scene.shows(title));
    assert_eq!(scene.press(Modifiers::NONE, Key::Escape), []);
    assert!(!scene.shows(title));
    for lever in ["Cancel", "Close the form"] {
        scene.tell(basis(None));
        assert!(scene.shows(title));
        assert_eq!(scene.pull(lever), []);
        assert!(!scene.shows(title), "{lever}");
    }
    // Beside the sheet: what was entered is not lost by a stray click.
    scene.tell(basis(None));
    scene.harness.hover_at(egui::pos2(300.0, 500.0));
    scene.harness.run();
    scene.harness.drag_at(egui::pos2(300.0, 500.0));
    scene.harness.drop_at(egui::pos2(300.0, 500.0));
    scene.harness.run();
    assert!(scene.shows(title));
    scene.press(Modifiers::NONE, Key::Escape);
    scene.tell(AppUpdate::Started(Err("the disk is full".to_owned())));
    assert!(scene.shows("Could not start a run: the disk is full"));
}

#[test]
fn a_day_is_chosen_from_a_calendar() {
    let mut scene = opened();
    scene.pull("Calendar for day");
    assert!(scene.shows("November 2026"), "the month of today");
    scene.pull("The month before");
    assert!(scene.shows("October 2026"));
    scene.pull("Saturday 31 October 2026");
    assert!(!scene.shows("October 2026"), "it is closed");
    assert!(scene.shows("leverframe run report --param day=2026-10-31"));
    scene.pull("Calendar for day");
    assert!(scene.shows("October 2026"), "the month of the chosen day");
    scene.press(Modifiers::NONE, Key::Escape);
    assert!(!scene.shows("October 2026") && scene.shows("The same on the command line"));
}

#[test]
fn the_command_is_copied() {
    let mut scene = opened();
    scene.harness.get_by_label("Copy the command").click();
    let copied = |output: &OutputCommand| matches!(output, OutputCommand::CopyText(text) if text == "leverframe run report");
    // The click is done in one of the next frames.
    let is_copied = (0..3).any(|_| {
        scene.harness.step();
        scene.harness.output().platform_output.commands.iter().any(copied)
    });
    assert!(is_copied);
}

#[test]
fn again_with_shows_the_values_of_the_run() {
    let mut scene = page();
    scene.press(Modifiers::COMMAND, Key::Num1);
    scene.press(Modifiers::NONE, Key::ArrowDown);
    scene.press(Modifiers::COMMAND, Key::K);
    scene.harness.event(Input::Text("again with alfabeta".to_owned()));
    scene.harness.run();
    let like = Some(id("alfabeta-1"));
    let of = StartOf { pipeline_id: "alfabeta".to_owned(), path: None, like };
    assert_eq!(scene.press(Modifiers::NONE, Key::Enter), [Action::LoadStart(of)]);
    let params = [("day", "2026-10-31"), ("region", "south")];
    scene.tell(basis(Some(Earlier {
        run_id: id("alfabeta-1"),
        params: params.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        run_type: "FULL_REFRESH".to_owned(),
        environment: "dev".to_owned(),
        has_the_definition: false,
    })));
    assert!(scene.shows("Start alfabeta-1 again") && scene.shows("region: south"));
    assert_eq!(scene.pull("Start"), starts(&params));
}

#[test]
fn in_a_narrow_window_it_covers_the_page() {
    let mut scene = opened();
    scene.harness.set_size(egui::vec2(900.0, 600.0));
    scene.harness.run();
    let (start, close) =
        (scene.harness.get_by_label("Start").rect(), scene.harness.get_by_label("Close the form").rect());
    assert!(start.right() <= 900.0 && start.bottom() <= 600.0, "{start:?}");
    assert!(close.right() <= 900.0 && close.top() >= 0.0, "{close:?}");
    assert!(scene.harness.get_by_label("day").rect().left() < 100.0);
}

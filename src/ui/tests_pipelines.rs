//! The page of pipelines with hand-made updates: rows, the search, the selected one, errors, a new one.

use std::sync::Arc;

use chrono::TimeDelta;
use egui::{Key, Modifiers, Role};
use egui_kittest::kittest::{NodeT, Queryable};

use super::tests::{Scene, id, now, run, scene, snapshot};
use super::tests_schedule::{page, write};
use crate::api::PipelineView;
use crate::base::id::{JobId, PipelineId, StepId};
use crate::base::tz::Tz;
use crate::run::{Event, EventKind, RunState};
use crate::window::{
    Action, AppUpdate, FileProblem, Folder, JobBrief, ParamBrief, PipelineDetail, PipelineFacts, RunMark,
    StepBrief, StepNeeds,
};

fn view(name: &str, error: Option<&str>) -> PipelineView {
    PipelineView {
        id: name.to_owned(),
        source: name.to_owned(),
        description: Some(format!("What {name} does")),
        path: format!("/data/pipelines/{name}.toml").into(),
        n_steps: 2,
        error: error.map(str::to_owned),
        needs_values: false,
    }
}

fn job() -> JobBrief {
    JobBrief {
        job_id: JobId::new("books-nightly").ok(),
        name: "books-nightly".to_owned(),
        words: "every day at 14:51".to_owned(),
        schedule_type: "daily".to_owned(),
        enabled: true,
        next_at: Some(now() + TimeDelta::minutes(51)),
        zone: Tz::UTC,
        problem: None,
    }
}

fn facts(name: &str) -> PipelineFacts {
    let mark = |n: i64, state| RunMark {
        run_id: id(&format!("{name}-{n}")),
        state,
        started_at: now() - TimeDelta::hours(n),
        took: TimeDelta::seconds(90),
    };
    PipelineFacts {
        id: name.to_owned(),
        marks: vec![mark(3, RunState::Completed), mark(2, RunState::Failed), mark(1, RunState::Completed)],
        median: Some(TimeDelta::seconds(90)),
        n_jobs: 2,
        job: Some(job()),
    }
}

fn detail(name: &str) -> PipelineDetail {
    let step = |name: &str| StepId::new(name).unwrap();
    PipelineDetail {
        id: name.to_owned(),
        path: format!("/data/pipelines/{name}.toml").into(),
        needs: vec![
            StepNeeds { step_id: step("fetch"), needs: Vec::new() },
            StepNeeds { step_id: step("parse"), needs: vec![0] },
        ],
        steps: vec![
            StepBrief { command: "curl x".to_owned(), usual: Some(TimeDelta::seconds(41)), n_failed: 0 },
            StepBrief { command: "parse".to_owned(), usual: None, n_failed: 2 },
        ],
        params: vec![ParamBrief {
            name: "since".to_owned(),
            kind: "date, no default".to_owned(),
            description: None,
        }],
        jobs: vec![job()],
        n_jobs: 2,
        problems: Vec::new(),
        n_problems: 0,
    }
}

/// The open page with these pipelines.
fn pipelines(listed: Vec<PipelineView>) -> Scene {
    let mut scene = scene([snapshot(&[]), AppUpdate::Pipelines(listed)]);
    scene.press(Modifiers::COMMAND, Key::Num3);
    scene
}

/// The page with its first pipeline selected.
fn selected(entry: PipelineView, detail: PipelineDetail) -> Scene {
    let mut scene = pipelines(vec![entry]);
    let sent = scene.press(Modifiers::NONE, Key::ArrowDown);
    let asked = Action::LoadPipeline { id: detail.id.clone(), path: detail.path.clone() };
    assert!(sent.contains(&asked), "{sent:?}");
    scene.tell(AppUpdate::Pipeline(Arc::new(detail)));
    scene
}

/// The page with a selected pipeline.
pub(super) fn with_its_card() -> Scene {
    selected(view("books", None), detail("books"))
}

#[test]
fn a_row_says_how_the_last_runs_went_how_long_they_take_and_when_the_next_one_is_due() {
    let mut scene = scene([snapshot(&[]), AppUpdate::Pipelines(vec![view("books", None)])]);
    let sent = scene.press(Modifiers::COMMAND, Key::Num3);
    assert_eq!(sent, [Action::LoadPipelines(vec![PipelineId::new("books").unwrap()])]);
    scene.tell(AppUpdate::PipelineFacts(vec![facts("books")]));
    let said = "books, What books does, 2 of the last 3 runs completed, usually 1:30, next 14:51, in 51 min";
    assert!(scene.shows(said));
    assert_eq!(scene.sent(), [], "what is known is not asked for");
}

#[test]
fn the_last_runs_are_gone_through_by_keys_and_each_can_be_opened() {
    let mut scene = pipelines(vec![view("books", None)]);
    scene.tell(AppUpdate::PipelineFacts(vec![facts("books")]));
    scene.harness.get_by_label("Last runs of books").focus();
    scene.harness.run();
    assert!(scene.shows("Last runs of books: books-1 completed"), "the newest first");
    scene.press(Modifiers::NONE, Key::ArrowLeft);
    assert!(scene.shows("Last runs of books: books-2 failed"));
    scene.press(Modifiers::NONE, Key::Home);
    scene.press(Modifiers::NONE, Key::ArrowLeft);
    assert!(scene.shows("Last runs of books: books-3 completed"));
    let sent = scene.press(Modifiers::NONE, Key::Enter);
    assert!(sent.contains(&Action::SelectRun(Some(id("books-3")))), "{sent:?}");
}

#[test]
fn a_run_that_ends_is_looked_up_again_and_a_living_one_shows_in_its_row() {
    let mut scene = pipelines(vec![view("books", None)]);
    scene.tell(AppUpdate::PipelineFacts(vec![facts("books")]));
    scene.tell(snapshot(&[run("books", RunState::Running)]));
    assert!(scene.shows("What books does, running 45 %, 2 of the last"));
    scene.sent();
    let ended = Arc::new(run("books", RunState::Completed));
    scene.tell(AppUpdate::Event(Arc::new(Event {
        seq: 20,
        at: now(),
        run_id: Some(ended.run_id.clone()),
        kind: EventKind::ExecutionCompleted { run: ended },
    })));
    let asked = Action::LoadPipelines(vec![PipelineId::new("books").unwrap()]);
    assert!(scene.sent().contains(&asked));
    assert!(!scene.shows("running 45 %"));
}

#[test]
fn ten_thousand_pipelines_cost_no_more_than_the_visible_ones_and_can_be_searched() {
    let listed = (0..10_000).map(|n| view(&format!("p{n:05}"), None)).collect();
    let mut scene = scene([snapshot(&[]), AppUpdate::Pipelines(listed)]);
    let sent = scene.press(Modifiers::COMMAND, Key::Num3);
    let [Action::LoadPipelines(asked)] = &sent[..] else { panic!("{sent:?}") };
    assert!((5..60).contains(&asked.len()), "{} are looked up", asked.len());
    let n_rows = scene.harness.query_all_by_label_contains("Start p").count();
    assert!((5..60).contains(&n_rows), "{n_rows} rows were laid out");
    write(&mut scene, "Search pipelines", "p09999");
    assert!(scene.shows("p09999, What p09999 does") && !scene.shows("p00000, "));
    write(&mut scene, "Search pipelines", "nothing has this");
    assert!(scene.shows("No pipeline has this text"));
}

#[test]
fn the_selected_one_shows_its_graph_its_jobs_and_its_parameters() {
    let mut scene = selected(view("books", None), detail("books"));
    assert!(scene.shows("Step fetch: 41 s; curl x"));
    assert!(scene.shows("Step parse: not run yet, failed 2 ×"));
    assert!(scene.shows("Parameter since, date, no default"));
    assert!(scene.shows("Jobs: the first 1 of 2"));
    let path = std::path::PathBuf::from("/data/pipelines/books.toml");
    let opened = scene.pull("Show the folder of the file");
    assert_eq!(opened, [Action::OpenFolder(Folder::Of(path.clone()))]);
    assert_eq!(scene.pull("Edit books.toml"), [Action::EditFile { path: path.clone(), line: None }]);
    scene.tell(AppUpdate::Edited { path, with: "code".to_owned() });
    assert!(scene.shows("Open in code; errors show here as it is saved"));
    let sent = scene.pull("Job books-nightly, every day at 14:51, next 14:51, in 51 min");
    assert!(sent.contains(&Action::LoadJob(JobId::new("books-nightly").unwrap())), "{sent:?}");
    assert!(scene.harness.query_by_label("Jobs").is_some() || scene.shows("Reading the job"));
}

#[test]
fn a_pipeline_is_scheduled_from_its_card() {
    let mut scene = selected(view("books", None), detail("books"));
    scene.pull("Schedule… books");
    scene.tell(page(Vec::new()));
    assert!(scene.shows("New job"));
    assert_eq!(scene.harness.get_by_label("Pipeline").accesskit_node().value().as_deref(), Some("books"));
}

#[test]
fn errors_show_the_line_of_the_file_and_change_as_it_is_saved() {
    let mut broken = detail("broken");
    broken.problems = vec![FileProblem {
        line: Some(14),
        message: "unknown key `needz`; did you mean `needs`?".to_owned(),
        excerpt: vec![(13, "id = \"parse\"".to_owned()), (14, "needz = [\"fetch\"]".to_owned())],
    }];
    broken.n_problems = 3;
    let mut scene = selected(view("broken", Some("broken.toml:14:1: unknown key `needz`")), broken);
    assert!(scene.shows("line 14: unknown key `needz`"));
    assert!(scene.shows("14: needz = [\"fetch\"]") && scene.shows("and 2 problems more"));
    let path = std::path::PathBuf::from("/data/pipelines/broken.toml");
    let at_line = || Action::EditFile { path: path.clone(), line: Some(14) };
    assert_eq!(scene.pull("Edit line 14"), [at_line()]);
    assert_eq!(scene.press(Modifiers::COMMAND, Key::E), [at_line()]);
    scene.tell(AppUpdate::Pipelines(vec![view("broken", None)]));
    assert!(matches!(scene.sent()[..], [Action::LoadPipeline { .. }]));
    scene.tell(AppUpdate::Pipeline(Arc::new(detail("broken"))));
    assert!(scene.shows("Step fetch") && !scene.shows("needz"));
}

#[test]
fn the_keyboard_selects_rows_and_closes_the_selected_one() {
    let mut scene = pipelines(vec![view("books", None), view("prices", None)]);
    scene.press(Modifiers::NONE, Key::ArrowDown);
    let sent = scene.press(Modifiers::NONE, Key::ArrowDown);
    assert!(
        sent.iter().any(|it| matches!(it, Action::LoadPipeline { id, .. } if id == "prices")),
        "{sent:?}"
    );
    assert!(scene.shows("Close the pipeline"));
    scene.press(Modifiers::NONE, Key::Escape);
    assert!(!scene.shows("Close the pipeline"));
}

#[test]
fn enter_in_the_name_creates_the_pipeline_and_what_is_wrong_with_a_name_makes_the_dialog_higher() {
    let mut scene = pipelines(Vec::new());
    scene.pull("Create the first pipeline");
    let height = |scene: &Scene| {
        let heading = scene.harness.get_by_role_and_label(Role::Heading, "New pipeline").rect();
        scene.harness.get_by_label("Create").rect().bottom() - heading.top()
    };
    let before = height(&scene);
    write(&mut scene, "Name", "books nightly");
    scene.harness.run();
    assert!(height(&scene) > before);
    let create = scene.harness.get_by_label("Create").rect();
    let window = scene.harness.ctx.content_rect().center();
    let dialog_top = scene.harness.get_by_role_and_label(Role::Heading, "New pipeline").rect().top();
    let (above, below) = (window.y - dialog_top, create.bottom() - window.y);
    assert!((above - below).abs() < 20.0, "it stands in the middle with all it has: {above}, {below}");
    assert_eq!(scene.press(Modifiers::NONE, Key::Enter), [], "no such name");
    write(&mut scene, "Name", "books");
    let sent = scene.press(Modifiers::NONE, Key::Enter);
    assert!(matches!(&sent[..], [Action::NewPipeline { .. }]), "{sent:?}");
}

#[test]
fn a_new_pipeline_begins_with_a_template_and_is_selected() {
    let mut scene = pipelines(Vec::new());
    assert!(scene.shows("A pipeline is a file that says which steps run"));
    scene.pull("Create the first pipeline");
    scene.pull("A chain of steps: Steps one after another, with retries and a parameter");
    assert_eq!(scene.pull("Create"), [], "it needs a name");
    write(&mut scene, "Name", "books nightly");
    assert_eq!(scene.pull("Create"), []);
    write(&mut scene, "Name", "books");
    let sent = scene.pull("Create");
    let [Action::NewPipeline { template, pipeline_id }] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!((template.title, pipeline_id.as_str()), ("A chain of steps", "books"));
    scene.tell(AppUpdate::PipelineMade(Err("there is a file already".to_owned())));
    assert!(scene.shows("there is a file already"));
    scene.tell(AppUpdate::PipelineMade(Ok("/data/pipelines/books.toml".into())));
    scene.tell(AppUpdate::Pipelines(vec![view("books", None)]));
    assert!(!scene.shows("New pipeline books") && scene.shows("Close the pipeline"));
}

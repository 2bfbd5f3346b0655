//! The page of jobs with hand-made updates: rows, switches, the form with its preview and its errors, fires.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use egui::{Event as Input, Key, Modifiers, ViewportId};
use egui_kittest::kittest::Queryable;
use serde_json::json;

use super::tests::{Scene, now, scene, snapshot};
use crate::api::{DisableJob, EnableJob, JobView, PipelineView, RemoveJob, RunJobNow};
use crate::base::id::{JobId, RunId};
use crate::base::tz::Tz;
use crate::pipeline::Pipeline;
use crate::run::{Definition, Event, EventKind, RunState};
use crate::schedule::{Misfire, Outcome, Overlap};
use crate::window::{
    Action, AppUpdate, FireRow, JobDetail, JobPage, JobRow, SaveJob, SavedJob, StartBasis, UsedValues,
};

const ZONE: &str = "America/New_York";

fn zone() -> Tz {
    ZONE.parse().unwrap()
}

fn id(name: &str) -> JobId {
    JobId::new(name).unwrap()
}

fn fire(hours_ago: i64, outcome: Outcome, state: Option<RunState>, reason: Option<&str>) -> FireRow {
    let due_at = now() - TimeDelta::hours(hours_ago);
    FireRow {
        due_at,
        through_at: due_at,
        n_instants: 1,
        outcome: Some(outcome),
        reason: reason.map(str::to_owned),
        run_id: state.map(|_| RunId::new(format!("backup-{hours_ago}")).unwrap()),
        state,
        took: state.map(|_| TimeDelta::seconds(2472)),
        is_by_hand: false,
    }
}

pub(super) fn row(name: &str) -> JobRow {
    let next_at = now() + TimeDelta::minutes(51);
    let job = JobView {
        job_id: name.to_owned(),
        pipeline_id: "backup".to_owned(),
        source: "backup".to_owned(),
        schedule_type: "cron".to_owned(),
        schedule_config: json!({ "expression": "30 2 * * 1-5" }),
        words: "every weekday at 02:30, America/New_York".to_owned(),
        zone: ZONE.to_owned(),
        enabled: true,
        next_run: Some(next_at),
        last_run: None,
        run_count: 2,
        created_at: "2026-01-01T00:00:00Z".to_owned(),
        misfire: Misfire::RunOnce,
        catchup_limit: 100,
        misfire_grace_seconds: 3600.0,
        misfire_max_age_seconds: None,
        overlap: Overlap::Skip,
        priority: 0,
        params: std::collections::BTreeMap::new(),
        run_type: None,
        environment: None,
        file: None,
        problem: None,
        running: Vec::new(),
        held: None,
        last_fire: None,
        trouble: None,
    };
    let marks = vec![
        fire(30, Outcome::Ran, Some(RunState::Failed), Some("exit 12 in copy")),
        fire(6, Outcome::Ran, Some(RunState::Completed), None),
    ];
    JobRow { job, job_id: JobId::new(name).ok(), zone: zone(), marks }
}

pub(super) fn page(rows: Vec<JobRow>) -> AppUpdate {
    AppUpdate::Jobs(JobPage { total: rows.len(), n_disabled: 0, offset: 0, rows, local: zone() })
}

pub(super) fn detail(row: JobRow) -> AppUpdate {
    let fires = vec![
        fire(6, Outcome::Ran, Some(RunState::Completed), None),
        fire(30, Outcome::Skipped, None, Some("the run before is still there (skip)")),
    ];
    let job_id = row.job_id.clone().unwrap();
    AppUpdate::Job { job_id, detail: Some(Box::new(JobDetail { row, fires })) }
}

/// The open page of jobs.
fn jobs(updates: impl IntoIterator<Item = AppUpdate>) -> Scene {
    let mut scene = scene([snapshot(&[])].into_iter().chain(updates));
    scene.press(Modifiers::COMMAND, Key::Num4);
    scene
}

/// The page with this job selected.
pub(super) fn selected(row: JobRow) -> Scene {
    let mut scene = jobs([page(vec![row.clone()])]);
    scene.press(Modifiers::NONE, Key::ArrowDown);
    scene.tell(detail(row));
    scene
}

/// Replaces the text of a field by `text`.
pub(super) fn write(scene: &mut Scene, field: &str, text: &str) {
    scene.harness.get_by_label(field).focus();
    scene.harness.run();
    scene.harness.key_press_modifiers(Modifiers::COMMAND, Key::A);
    scene.harness.event(Input::Text(text.to_owned()));
    scene.harness.run();
}

fn event(kind: EventKind) -> AppUpdate {
    AppUpdate::Event(std::sync::Arc::new(Event { seq: 50, at: now(), run_id: None, kind }))
}

#[test]
fn a_row_says_which_job_when_and_how_the_last_fire_went() {
    let scene = jobs([page(vec![row("backup")])]);
    let said = "backup, every weekday at 02:30, America/New_York, next 09:51, in 51 min, last ran";
    assert!(scene.shows(said));
}

#[test]
fn jobs_are_requested_when_the_page_is_open_and_again_when_one_changes() {
    let mut scene = scene([snapshot(&[])]);
    let changed = || event(EventKind::JobChanged { job_id: id("backup") });
    scene.tell(changed());
    assert_eq!(scene.sent(), [], "nobody looks");
    let requests = scene.press(Modifiers::COMMAND, Key::Num4);
    assert!(matches!(requests.as_slice(), [Action::LoadJobs { offset: 0, .. }]), "{requests:?}");
    scene.tell(page(vec![row("backup")]));
    assert_eq!(scene.sent(), [Action::LoadDay], "what is known is not requests for");
    scene.tell(event(EventKind::JobFired { job_id: id("backup"), due_at: Some(now()) }));
    scene.tell(AppUpdate::Event(std::sync::Arc::new(Event {
        seq: 51,
        at: now(),
        run_id: None,
        kind: EventKind::JobChanged { job_id: id("backup") },
    })));
    let requests = scene.sent();
    assert!(matches!(requests.as_slice(), [Action::LoadJobs { .. }]), "one at a time: {requests:?}");
}

#[test]
fn the_switch_and_run_now_ask_for_what_they_say() {
    let mut scene = jobs([page(vec![row("backup")])]);
    scene.sent();
    assert_eq!(scene.pull("backup fires"), [Action::Do(DisableJob { job_id: id("backup") }.into())]);
    assert_eq!(scene.pull("Run now backup"), [Action::Do(RunJobNow { job_id: id("backup") }.into())]);
    let mut off = row("backup");
    off.job.enabled = false;
    scene.tell(page(vec![off]));
    assert!(scene.shows("disabled, backup"));
    assert_eq!(scene.pull("backup fires"), [Action::Do(EnableJob { job_id: id("backup") }.into())]);
}

#[test]
fn a_selected_job_shows_its_fires_and_why_each_did_or_did_not_run() {
    let mut scene = selected(row("backup"));
    assert_eq!(scene.sent(), []);
    assert!(scene.shows("03:00, ran, 41:12"));
    assert!(scene.shows("Sun 03:00, skipped, the run before is still there (skip)"));
    let requests = scene.pull("03:00, ran, 41:12");
    assert_eq!(requests[..1], [Action::SelectRun(Some(RunId::new("backup-6").unwrap()))]);
    assert!(matches!(requests[1..], [Action::CountEnded, Action::LoadRuns(Some(_))]), "{requests:?}");
}

#[test]
fn what_is_typed_is_previewed_and_saved() {
    let mut scene = selected(row("backup"));
    assert!(scene.shows("Tue 24 Nov 2026 02:30 EST"));
    assert!(scene.shows("Sun 2027-03-14: the clock goes from 02:00 forward to 03:00"));
    assert!(!scene.shows("Save backup") && scene.harness.query_by_label("Save").is_none());
    write(&mut scene, "At", "15 4 * * *");
    assert!(scene.shows("every day at 04:15"));
    assert!(scene.shows("Tue 24 Nov 2026 04:15 EST"));
    let sent = scene.pull("Save");
    let [Action::SaveJob(form)] = sent.as_slice() else { panic!("{sent:?}") };
    let SaveJob::Set(params) = &**form else { panic!("{form:?}") };
    assert_eq!(params.schedule_config, Some(json!({ "expression": "15 4 * * *" })));
    assert_eq!(params.job_id, id("backup"));
    let refusal = Some("the job is being removed".to_owned());
    scene.tell(AppUpdate::JobSaved(SavedJob { job_id: id("backup"), refusal }));
    assert!(scene.shows("the job is being removed"), "the form stays and says why");
    scene.pull("Save");
    scene.tell(AppUpdate::JobSaved(SavedJob { job_id: id("backup"), refusal: None }));
    assert!(scene.harness.query_by_label("Save").is_none());
}

#[test]
fn what_is_wrong_is_said_beside_its_field_and_cannot_be_saved() {
    let mut scene = selected(row("backup"));
    write(&mut scene, "At", "99 4 * * *");
    assert!(scene.shows("cron expression"));
    assert_eq!(scene.pull("Save"), []);
    write(&mut scene, "At", "15 4 * * *");
    write(&mut scene, "Zone", "Europe/Madird");
    assert!(scene.shows("did you mean Europe/Madrid?"));
    assert_eq!(scene.pull("Save"), []);
    scene.pull("Revert");
    assert!(scene.shows("Tue 24 Nov 2026 02:30 EST"));
}

#[test]
fn a_new_job_is_filled_in_and_added() {
    let mut scene = jobs([page(Vec::new())]);
    scene.sent();
    assert!(scene.shows("New job"));
    scene.pull("New job");
    write(&mut scene, "Name", "books nightly");
    assert_eq!(scene.pull("Save"), [], "that is no name");
    write(&mut scene, "Name", "books-nightly");
    write(&mut scene, "Pipeline", "books");
    write(&mut scene, "At", "02:00");
    let sent = scene.pull("Save");
    let [Action::SaveJob(form)] = sent.as_slice() else { panic!("{sent:?}") };
    let SaveJob::Add(params) = &**form else { panic!("{form:?}") };
    assert_eq!(params.zone.as_deref(), Some(ZONE));
    assert_eq!(params.schedule_config, Some(json!({ "hour": 2, "minute": 0 })));
    scene.tell(AppUpdate::JobSaved(SavedJob { job_id: id("books-nightly"), refusal: None }));
    assert!(scene.sent().contains(&Action::LoadJob(id("books-nightly"))));
}

/// What the form of a job asks for about the pipeline `backup`.
fn basis() -> AppUpdate {
    let text = "id = \"backup\"\n[params.keep]\ntype = \"int\"\ndefault = 7\n[params.what]\ndefault = \"all\"\n\
        [[step]]\nid = \"a\"\nrun = \"true\"\n";
    let pipeline = Pipeline::parse(text, Path::new("/p/backup.toml"), None).unwrap();
    let definition = Arc::new(Definition { path: "/p/backup.toml".into(), text: text.into(), pipeline });
    let (earlier, secrets, home, data_dir) = (None, Default::default(), None, None);
    AppUpdate::StartBasis(Arc::new(StartBasis {
        definition,
        earlier,
        secrets,
        used: UsedValues::default(),
        home,
        data_dir,
    }))
}

fn listed() -> AppUpdate {
    AppUpdate::Pipelines(vec![PipelineView {
        id: "backup".to_owned(),
        source: "backup".to_owned(),
        description: None,
        path: "/p/backup.toml".into(),
        n_steps: 1,
        error: None,
        needs_values: false,
    }])
}

#[test]
fn a_job_has_the_fields_of_the_start_form_and_saves_what_was_changed_of_them() {
    let mut of_job = row("backup");
    of_job.job.params =
        [("keep", "7"), ("what", "pages")].map(|(name, value)| (name.into(), value.into())).into();
    let mut scene = jobs([listed(), page(vec![of_job.clone()])]);
    scene.press(Modifiers::NONE, Key::ArrowDown);
    scene.tell(detail(of_job));
    assert!(scene.sent().iter().any(|it| matches!(it, Action::LoadStart(of) if of.pipeline_id == "backup")));
    scene.tell(basis());
    assert!(scene.shows("How it runs") && !scene.shows("Start backup"), "it opens no sheet");
    assert!(scene.harness.query_by_label("Save").is_none(), "a saved value that is the default is no change");
    write(&mut scene, "keep", "x");
    assert!(scene.shows("It must be a whole number"));
    assert_eq!(scene.pull("Save"), []);
    write(&mut scene, "keep", "3");
    write(&mut scene, "what", "all");
    let sent = scene.pull("Save");
    let [Action::SaveJob(form)] = sent.as_slice() else { panic!("{sent:?}") };
    let SaveJob::Set(params) = &**form else { panic!("{form:?}") };
    let changed = [("keep", Some("3")), ("what", None)];
    let changed = changed.map(|(name, value)| (name.to_owned(), value.map(str::to_owned)));
    assert_eq!(params.params, changed.into());
    assert_eq!((&params.run_type, &params.environment, params.priority), (&None, &None, None));
}

#[test]
fn a_job_of_a_file_is_written_there() {
    let mut of_file = row("backup");
    of_file.job.file = Some("/data/pipelines/backup.toml".to_owned());
    let mut scene = selected(of_file);
    assert!(!scene.shows("Remove job"));
    write(&mut scene, "At", "15 4 * * *");
    let sent = scene.pull("Save");
    let [Action::SaveJob(form)] = sent.as_slice() else { panic!("{sent:?}") };
    let SaveJob::InFile { path, job } = &**form else { panic!("{form:?}") };
    assert_eq!(path.to_str(), Some("/data/pipelines/backup.toml"));
    assert_eq!(job.schedule.kind(), "cron");
}

#[test]
fn a_job_is_removed_only_after_a_question() {
    let mut scene = selected(row("backup"));
    assert_eq!(scene.pull("Remove job… backup"), []);
    assert!(scene.shows("Remove backup?"));
    assert_eq!(scene.pull("Remove job backup"), [Action::Do(RemoveJob { job_id: id("backup") }.into())]);
    assert!(!scene.shows("Remove backup?"));
}

#[test]
fn what_is_typed_stays_while_the_job_fires() {
    let mut scene = selected(row("backup"));
    write(&mut scene, "At", "15 4 * * *");
    scene.tell(detail(row("backup")));
    assert!(scene.shows("Tue 24 Nov 2026 04:15 EST"));
}

#[test]
fn a_hundred_thousand_jobs_cost_no_more_than_the_visible_ones() {
    let rows: Vec<JobRow> = (0..80).map(|n| row(&format!("job{n:06}"))).collect();
    let local = zone();
    let all = JobPage { total: 100_000, n_disabled: 0, offset: 0, rows, local };
    let mut scene = jobs([AppUpdate::Jobs(all)]);
    assert_eq!(scene.sent(), [], "what can be seen is known");
    let n_rows = scene.harness.query_all_by_label_contains("Run now").count();
    assert!((8..24).contains(&n_rows), "{n_rows} rows were laid out");
    scene.harness.hover_at(egui::pos2(600.0, 400.0));
    scene.harness.event(Input::MouseWheel {
        unit: egui::MouseWheelUnit::Point,
        delta: egui::vec2(0.0, -2_200_000.0),
        phase: egui::TouchPhase::Move,
        source: egui::MouseWheelSource::Unknown,
        modifiers: Modifiers::NONE,
    });
    scene.harness.run_steps(40);
    let requests = scene.sent();
    let [Action::LoadJobs { offset, limit }] = requests[..] else { panic!("one at a time: {requests:?}") };
    assert!(offset > 0 && limit < 200, "{offset} {limit}");
}

#[test]
fn only_a_countdown_that_can_be_seen_repaints() {
    let mut scene = jobs([page(vec![row("backup")])]);
    let delay = |scene: &mut Scene| {
        scene.harness.step();
        scene.harness.output().viewport_output[&ViewportId::ROOT].repaint_delay
    };
    let shown = delay(&mut scene);
    assert!(shown <= Duration::from_secs(60), "{shown:?}");
    scene.press(Modifiers::COMMAND, Key::Num3);
    let hidden = delay(&mut scene);
    assert!(hidden > Duration::from_secs(3600), "{hidden:?}");
    let mut off = row("backup");
    off.job.enabled = false;
    let mut scene = jobs([page(vec![off])]);
    assert!(delay(&mut scene) > Duration::from_secs(3600), "a disabled job counts nothing down");
}

#[test]
fn of_a_disabled_job_no_fire_is_counted_down_to() {
    let on = selected(row("backup"));
    assert!(on.shows("Next fires") && !on.shows("if it were enabled"));
    assert!(on.harness.query_all_by_label_contains(" EST, in ").next().is_some());
    let mut off = row("backup");
    off.job.enabled = false;
    let off = selected(off);
    assert!(off.shows("Next fires, if it were enabled"));
    assert!(off.harness.query_all_by_label_contains(" EST, in ").next().is_none());
}

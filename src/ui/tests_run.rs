//! The page of a run: how it is opened and left, what it shows, and its keys.

use std::sync::Arc;

use chrono::TimeDelta;
use egui::{Key, Modifiers};
use egui_kittest::kittest::{NodeT, Queryable};

use super::command::{Page, RunTab};
use super::tests::{Scene, does, id, now, run, scene, snapshot, step};
use super::tests_history;
use crate::api;
use crate::base::id::{AttemptKey, StepId};
use crate::run::{Decision, Event, EventKind, RunState, RunSummary, StepState, StepSummary};
use crate::window::{
    Action, AppUpdate, CheckpointText, Comparison, DefinitionText, LogDifference, OutputText, RunFacts,
    StepNeeds, StepPair, Usual,
};

fn page(scene: &Scene) -> Page {
    scene.harness.state().as_ref().unwrap().state.page
}

fn step_id(name: &str) -> StepId {
    StepId::new(name).unwrap()
}

/// The window with one running run, whose page is open.
pub(super) fn opened(state: RunState) -> Scene {
    let one = run("alfabeta", state);
    let runs = if state.is_ended() { Vec::new() } else { vec![one.clone()] };
    let mut scene = scene([snapshot(&runs), AppUpdate::RecentRuns(vec![one])]);
    scene.press(Modifiers::NONE, Key::ArrowDown);
    let sent = scene.press(Modifiers::NONE, Key::Enter);
    assert!(sent.contains(&Action::LoadFacts(id("alfabeta-1"))), "{sent:?}");
    scene
}

pub(super) fn facts() -> RunFacts {
    let attempt = StepSummary {
        attempt: 1,
        state: StepState::Failed,
        exit_code: Some(137),
        started_at: Some(now() - TimeDelta::seconds(700)),
        finished_at: Some(now() - TimeDelta::seconds(600)),
        ..step("fetch", StepState::Failed)
    };
    RunFacts {
        params: Arc::new([("day".to_owned(), "2026-11-23".to_owned())].into()),
        fired_by: None,
        earlier: vec![attempt],
        definition: Some(DefinitionText {
            path: "/data/alfabeta.toml".into(),
            text: "id = \"alfabeta\"".into(),
        }),
        needs: vec![
            StepNeeds { step_id: step_id("list"), needs: vec![] },
            StepNeeds { step_id: step_id("fetch"), needs: vec![0] },
        ],
        env_names: vec!["API_HOST".into()],
        checkpoints: vec![CheckpointText {
            step_id: "fetch".into(),
            at: now(),
            text: "{\n  \"page\": 214\n}".into(),
            tree: Some(serde_json::json!({"page": 214})),
        }],
        outputs: vec![OutputText { step_id: step_id("list"), name: "n_pages".into(), value: "480".into() }],
        decisions: Vec::new(),
        usual: Arc::default(),
    }
}

pub(super) fn tell_facts(scene: &mut Scene, facts: RunFacts) {
    scene.tell(AppUpdate::RunFacts { run_id: id("alfabeta-1"), facts: Arc::new(facts) });
}

#[test]
fn enter_opens_the_page_of_the_selected_run_and_escape_goes_back_to_where_one_was() {
    let now_page = || scene([snapshot(&[run("alfabeta", RunState::Running)])]);
    for (before, mut scene, pipeline) in
        [(Page::Now, now_page(), "alfabeta"), (Page::History, tests_history::filled(1), "job000")]
    {
        let run_id = format!("{pipeline}-1");
        scene.press(Modifiers::NONE, Key::Enter);
        assert_eq!(page(&scene), before, "no run is selected");
        scene.press(Modifiers::NONE, Key::ArrowDown);
        if before == Page::History {
            scene.tell(AppUpdate::RecentRuns(vec![run(pipeline, RunState::Failed)]));
        }
        scene.press(Modifiers::NONE, Key::Enter);
        assert_eq!(page(&scene), Page::Run);
        let label = before.label().text;
        assert!(scene.shows(&format!("Back to {label}")));
        scene.press(Modifiers::NONE, Key::Escape);
        assert_eq!(page(&scene), before);
        assert!(scene.is_selected(&run_id), "it stays selected");
        scene.press(Modifiers::NONE, Key::Enter);
        scene.pull(&format!("Back to {label}"));
        assert_eq!(page(&scene), before);
    }
}

#[test]
fn a_double_click_on_a_row_and_its_menu_open_the_page() {
    let mut scene = scene([snapshot(&[run("alfabeta", RunState::Running)])]);
    let row = scene.harness.get_by_label_contains("running, alfabeta, alfabeta-1");
    let center = row.rect().center();
    for _ in 0..2 {
        // Both in one frame: a frame of the harness takes nearly as long as a double click may.
        let button = |pressed| egui::Event::PointerButton {
            pos: center,
            button: egui::PointerButton::Primary,
            pressed,
            modifiers: Modifiers::NONE,
        };
        let events = [egui::Event::PointerMoved(center), button(true), button(false)];
        scene.harness.input_mut().events.extend(events);
        scene.harness.step();
    }
    scene.harness.run();
    assert_eq!(page(&scene), Page::Run);
    scene.press(Modifiers::NONE, Key::Escape);
    scene.pull("More for alfabeta-1");
    scene.pull("Open the run");
    assert_eq!(page(&scene), Page::Run);
}

#[test]
fn the_page_has_the_levers_of_the_run_and_its_keys() {
    let mut scene = opened(RunState::Running);
    let run_id = id("alfabeta-1");
    assert_eq!(scene.pull("Pause alfabeta-1"), does(api::Command::pause(&run_id)));
    let stop = api::Command::stop(&run_id, crate::run::StopKind::Graceful);
    assert_eq!(scene.pull("Stop alfabeta-1"), does(stop));
    assert_eq!(scene.press(Modifiers::NONE, Key::Space), does(api::Command::pause(&run_id)));
    let mut scene = opened(RunState::Failed);
    assert_eq!(scene.pull("Resume alfabeta-1"), does(api::Command::resume(&run_id)));
    assert!(scene.shows("Start again alfabeta-1") && scene.shows("Step parse failed: it exited with 12"));
}

#[test]
fn each_tab_shows_what_is_known_and_says_so_if_there_is_nothing() {
    let mut scene = opened(RunState::Running);
    scene.pull("Parameters");
    assert!(scene.shows("Reading…"));
    tell_facts(&mut scene, facts());
    for (tab, texts) in [
        ("Parameters 1", &["day", "2026-11-23", "API_HOST"][..]),
        ("Checkpoints 1", &["fetch, ", "page", "214"]),
        ("Outputs 1", &["n_pages", "480"]),
        ("Decisions 0", &["Recovery had nothing to decide"]),
        ("Definition", &["id = \"alfabeta\"", "/data/alfabeta.toml"]),
        ("Steps 2", &["list, completed", "fetch, running, Attempt 1"]),
        ("Log", &["Log"]),
        (
            "Overview",
            &["fetch over time: attempt 1 running", "Node list: completed", "Node fetch: running 40 %"],
        ),
    ] {
        scene.pull(tab);
        for text in texts {
            assert!(scene.shows(text), "{text} under {tab}");
        }
    }
    tell_facts(&mut scene, RunFacts::default());
    for (tab, text) in [
        ("Parameters 0", "Its pipeline has no parameters"),
        ("Checkpoints 0", "None of its steps has saved a checkpoint"),
        ("Outputs 0", "None of its steps has handed anything on"),
        ("Definition", "A program drove this run"),
    ] {
        scene.pull(tab);
        assert!(scene.shows(text), "{tab}");
    }
}

#[test]
fn earlier_attempts_stand_in_the_lane_of_their_step() {
    let mut scene = opened(RunState::Running);
    let again = StepSummary { attempt: 2, ..step("fetch", StepState::Running) };
    let event = Event {
        seq: 11,
        at: now(),
        run_id: Some(id("alfabeta-1")),
        kind: EventKind::StepStarted { step: again },
    };
    scene.tell(AppUpdate::Event(Arc::new(event)));
    tell_facts(&mut scene, facts());
    assert!(scene.shows("fetch over time: attempt 1 failed 1:40, attempt 2 running 1:00"));
    assert!(scene.shows("Node fetch: running 40 %, after 1 attempt"));
}

#[test]
fn decisions_of_recovery_are_listed() {
    let mut scene = opened(RunState::Interrupted);
    let decision = Decision {
        at: now(),
        run_id: id("alfabeta-1"),
        step_id: Some(step_id("fetch")),
        text: "its process was lost; it asks before it runs again".into(),
    };
    tell_facts(&mut scene, RunFacts { decisions: vec![decision], ..RunFacts::default() });
    scene.pull("Decisions 1");
    assert!(scene.shows("fetch: its process was lost; it asks before it runs again"));
}

#[test]
fn a_click_on_a_node_chooses_the_step_and_a_second_enter_opens_its_log() {
    let mut scene = opened(RunState::Running);
    tell_facts(&mut scene, facts());
    let key = AttemptKey { run_id: id("alfabeta-1"), step_id: step_id("list"), attempt: 1 };
    assert_eq!(scene.pull("Node list: completed"), [Action::SelectStep(key)]);
    scene.press(Modifiers::NONE, Key::Enter);
    assert_eq!(scene.harness.state().as_ref().unwrap().state.run_tab, RunTab::Log);
}

#[test]
fn the_page_says_it_if_its_run_is_gone_and_asks_for_nothing_when_it_is_closed() {
    let mut scene = opened(RunState::Running);
    scene.press(Modifiers::NONE, Key::Escape);
    scene.tell(AppUpdate::Snapshot { runs: Vec::new(), orders: Default::default(), seq: 12 });
    assert_eq!(scene.sent(), []);
    let mut scene = opened(RunState::Running);
    scene.tell(AppUpdate::Snapshot { runs: Vec::new(), orders: Default::default(), seq: 12 });
    assert!(scene.shows("This run is gone; go back and choose another one"));
    scene.pull("Back to Now");
    assert_eq!(page(&scene), Page::Now);
}

#[test]
fn arrows_move_between_steps_and_enter_opens_the_log() {
    let mut scene = opened(RunState::Running);
    let key = |name: &str| AttemptKey { run_id: id("alfabeta-1"), step_id: step_id(name), attempt: 1 };
    assert_eq!(scene.press(Modifiers::NONE, Key::ArrowUp), [Action::SelectStep(key("list"))]);
    assert_eq!(scene.press(Modifiers::NONE, Key::ArrowDown), [Action::SelectStep(key("fetch"))]);
    assert_eq!(scene.press(Modifiers::NONE, Key::ArrowDown), [], "it is the last");
    scene.press(Modifiers::NONE, Key::Enter);
    assert_eq!(scene.harness.state().as_ref().unwrap().state.run_tab, RunTab::Log);
    assert!(!scene.shows("over time"), "the log has the page");
}

#[test]
fn earlier_attempts_stand_below_their_step_with_what_is_usual_and_open_their_log() {
    let mut scene = opened(RunState::Failed);
    let usual = Usual { run: None, steps: [(step_id("fetch"), TimeDelta::seconds(90))].into() };
    tell_steps(&mut scene);
    tell_facts(&mut scene, RunFacts { usual: Arc::new(usual), ..facts() });
    scene.pull("Steps 2");
    assert!(scene.shows("Usually 1:30"));
    scene.sent();
    let sent = scene.pull("fetch, attempt 1 failed, exit 137, took 1:40: open its log");
    let key = AttemptKey { run_id: id("alfabeta-1"), step_id: step_id("fetch"), attempt: 1 };
    assert_eq!(sent[0], Action::OpenLog(Some(key.into())));
}

/// The steps of the run, of which one is in its second attempt.
fn tell_steps(scene: &mut Scene) {
    let again = StepSummary { attempt: 2, ..step("fetch", StepState::Failed) };
    for (n, step) in [step("list", StepState::Completed), again].into_iter().enumerate() {
        let kind = EventKind::StepFinished { step };
        let event = Event { seq: 30 + n as u64, at: now(), run_id: Some(id("alfabeta-1")), kind };
        scene.tell(AppUpdate::Event(Arc::new(event)));
    }
}

#[test]
fn an_ended_run_is_retried_from_the_chosen_step_and_started_again_with_other_values() {
    let mut scene = opened(RunState::Failed);
    tell_steps(&mut scene);
    assert!(!scene.shows("Retry from"), "no step is chosen");
    scene.pull("Steps 2");
    scene.harness.get_by_label_contains("fetch, failed").click();
    scene.harness.run();
    scene.sent();
    let retry = api::Command::retry(&id("alfabeta-1"), Some(step_id("fetch")));
    let told = scene.harness.get_by_label("Retry from fetch").accesskit_node().description().unwrap();
    assert!(told.contains("all steps that need it, again from their beginning"), "{told}");
    assert_eq!(scene.pull("Retry from fetch"), [Action::Do(retry)]);
    let sent = scene.pull("Again with… alfabeta-1");
    assert!(matches!(&sent[..], [Action::LoadStart(_)]), "{sent:?}");
}

#[test]
fn a_run_is_compared_with_the_newest_other_one_or_with_the_chosen_one() {
    let mut scene = opened(RunState::Failed);
    scene.pull("Compare");
    assert!(scene.shows("Its pipeline has no other run to compare it with"));
    let other = |n: i64| RunSummary {
        run_id: id(&format!("alfabeta-{n}")),
        finished_at: Some(now() - TimeDelta::hours(n)),
        ..run("alfabeta", RunState::Completed)
    };
    scene.tell(AppUpdate::RecentRuns(vec![other(7), other(8), run("books", RunState::Failed)]));
    let asked = |n: i64| Action::Compare(id("alfabeta-1"), id(&format!("alfabeta-{n}")));
    assert!(scene.sent().contains(&asked(7)));
    assert!(scene.shows("Comparing…"));
    let log = LogDifference { line: 41, texts: (Some("85 rows".into()), None) };
    let steps = (
        Some(StepSummary { peak_rss_bytes: Some(3 << 30), ..step("fetch", StepState::Failed) }),
        Some(StepSummary { peak_rss_bytes: Some(2 << 30), ..step("fetch", StepState::Completed) }),
    );
    let comparison = Comparison {
        runs: (run("alfabeta", RunState::Failed), other(7)),
        steps: vec![StepPair { step_id: step_id("fetch"), steps, log: Some(log) }],
        params: vec![("day".into(), (Some("23".into()), None))],
        definition: Ok(vec!["step fetch: timeout is 30m instead of 10m".into()]),
    };
    let runs = (id("alfabeta-1"), id("alfabeta-7"));
    scene.tell(AppUpdate::Compared { runs, comparison: Some(Arc::new(comparison)) });
    for text in [
        "+50 %",
        "failed, other completed",
        "day: 23, other (none)",
        "step fetch: timeout is 30m instead of 10m",
        "fetch, line 42",
        "85 rows",
        "(it has ended)",
    ] {
        assert!(scene.shows(text), "{text}");
    }
    scene.harness.get_by_label_contains("Compared with: alfabeta-7").click();
    scene.harness.run();
    scene.sent();
    scene.harness.get_by_label_contains("alfabeta-8, completed").click();
    scene.harness.run();
    assert!(scene.sent().contains(&asked(8)));
}

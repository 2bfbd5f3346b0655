//! What the window asks before it closes, with hand-made updates.

use egui::accesskit::Role;
use egui::{Key, Modifiers, UserAttentionType, ViewportCommand, ViewportId};
use egui_kittest::kittest::{NodeT, Queryable};

use super::outline::OutlineState;
use super::pipeline_list::NewPipeline;
use super::state::Overlay;
use super::tests::{Scene, id, run, scene, snapshot};
use super::views::PaletteState;
use crate::base::id::JobId;
use crate::run::RunState;
use crate::window::{Action, AppUpdate, QuitChoice};

#[test]
fn closing_asks_while_runs_are_alive() {
    let mut scene = scene([snapshot(&[run("alfabeta", RunState::Running)])]);
    assert!(scene.ask_to_close().contains(&ViewportCommand::CancelClose));
    scene.harness.run();
    assert!(scene.shows("1 run still alive"));
    assert_eq!(scene.pull("Cancel"), []);
    assert!(!scene.shows("1 run still alive"));
    scene.ask_to_close();
    scene.harness.run();
    assert_eq!(scene.pull("Freeze"), [Action::Quit(QuitChoice::Freeze)]);
    assert!(scene.shows("Freezing 1 run…"));
    scene.world.updates.send(AppUpdate::ReadyToClose).unwrap();
    scene.harness.step();
    let commands = &scene.harness.output().viewport_output[&ViewportId::ROOT].commands;
    assert!(commands.contains(&ViewportCommand::Close), "{commands:?}");
    assert!(!scene.ask_to_close().contains(&ViewportCommand::CancelClose));
}

#[test]
fn each_answer_says_what_becomes_of_runs_and_of_jobs() {
    let mut both = scene([snapshot(&[run("alfabeta", RunState::Running)]), AppUpdate::JobsLeft(2)]);
    both.ask_to_close();
    both.harness.run();
    assert!(both.shows("2 enabled jobs are due again"));
    for (answer, of_runs) in [
        ("Leave running", "Runs: their steps go on without the window"),
        ("Freeze", "Runs: they stand still"),
        ("Stop", "Runs: they are asked to stop"),
    ] {
        let lever = both.harness.get_by_role_and_label(Role::Button, answer);
        let said = lever.accesskit_node().description().unwrap_or_default();
        assert!(said.starts_with(of_runs), "{answer}: {said}");
        assert!(said.ends_with("Jobs: they go on firing in the background."), "{answer}: {said}");
    }
    // Also without living runs.
    let mut jobs_alone = scene([snapshot(&[]), AppUpdate::JobsLeft(1)]);
    assert!(jobs_alone.ask_to_close().contains(&ViewportCommand::CancelClose));
    jobs_alone.harness.run();
    assert!(jobs_alone.shows("1 enabled job is due again"));
    assert!(!jobs_alone.shows("Freeze"));
    let said = jobs_alone.harness.get_by_label("Close window").accesskit_node().description();
    assert_eq!(said.as_deref(), Some("Jobs: it goes on firing in the background."));
    assert_eq!(jobs_alone.pull("Close window"), [Action::Quit(QuitChoice::Close)]);
}

#[test]
fn enter_gives_the_answer_that_loses_nothing_even_if_something_else_had_the_focus() {
    let mut scene = scene([snapshot(&[run("alfabeta", RunState::Running)]), AppUpdate::JobsLeft(1)]);
    scene.press(Modifiers::NONE, Key::Tab);
    scene.press(Modifiers::NONE, Key::Tab);
    scene.ask_to_close();
    scene.harness.run();
    assert_eq!(scene.press(Modifiers::NONE, Key::Enter), [Action::Quit(QuitChoice::LeaveRunning)]);
}

#[test]
fn enter_and_escape_leave_everything_as_it_is_where_something_would_be_lost() {
    let job_id = JobId::new("nightly").unwrap();
    let questions = [
        (Overlay::StopAll, "Stop 1 run?"),
        (Overlay::ForceStop(id("alfabeta-1")), "Kill its processes?"),
        (Overlay::RemoveJob(job_id), "Remove nightly?"),
        (Overlay::DeleteRuns(vec![id("old-1")]), "Delete 1 run?"),
    ];
    for (overlay, question) in questions {
        for key in [Key::Enter, Key::Escape] {
            let mut scene = scene([snapshot(&[run("alfabeta", RunState::Running)])]);
            scene.harness.state_mut().as_mut().unwrap().state.overlay = overlay.clone();
            scene.harness.run();
            assert!(scene.shows(question));
            assert_eq!(scene.press(Modifiers::NONE, key), [], "{question} {key:?}");
            assert!(!scene.shows(question), "{question} {key:?}");
        }
    }
}

#[test]
fn escape_closes_each_form_and_starts_nothing() {
    for overlay in [
        Overlay::Quit,
        Overlay::Palette(PaletteState::typed(String::new())),
        Overlay::Outline(OutlineState::default()),
        Overlay::NewPipeline(NewPipeline::default()),
    ] {
        let mut scene = scene([snapshot(&[run("alfabeta", RunState::Running)])]);
        scene.harness.state_mut().as_mut().unwrap().state.overlay = overlay.clone();
        scene.harness.run();
        assert_eq!(scene.press(Modifiers::NONE, Key::Escape), [], "{overlay:?}");
        assert_eq!(scene.harness.state().as_ref().unwrap().state.overlay, Overlay::None, "{overlay:?}");
    }
}

#[test]
fn a_second_start_raises_the_window_and_asks_for_attention_where_it_must_not_be_raised() {
    let mut scene = scene([snapshot(&[])]);
    let commands = |scene: &mut Scene, is_focused| {
        let viewports = &mut scene.harness.input_mut().viewports;
        viewports.entry(ViewportId::ROOT).or_default().focused = Some(is_focused);
        scene.world.updates.send(AppUpdate::Raise).unwrap();
        scene.harness.step();
        scene.harness.output().viewport_output[&ViewportId::ROOT].commands.clone()
    };
    let attention = ViewportCommand::RequestUserAttention(UserAttentionType::Informational);
    let raised = commands(&mut scene, false);
    assert!(raised.contains(&ViewportCommand::Minimized(false)) && raised.contains(&ViewportCommand::Focus));
    assert!(raised.contains(&attention));
    assert!(!commands(&mut scene, true).contains(&attention), "the operator looks at it");
}

#[test]
fn closing_does_not_ask_when_nothing_lives_and_no_job_is_due() {
    let mut scene = scene([snapshot(&[]), AppUpdate::JobsLeft(0)]);
    assert!(!scene.ask_to_close().contains(&ViewportCommand::CancelClose));
}

//! What the window asks before it closes, with hand-made updates.

use egui::{ViewportCommand, ViewportId};

use super::tests::{run, scene, snapshot};
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
fn closing_says_that_jobs_go_on_whatever_becomes_of_runs() {
    let mut both = scene([snapshot(&[run("alfabeta", RunState::Running)]), AppUpdate::JobsLeft(2)]);
    both.ask_to_close();
    both.harness.run();
    assert!(both.shows("2 enabled jobs go on firing in the background, whichever you choose."));
    // Also without living runs.
    let mut jobs_alone = scene([snapshot(&[]), AppUpdate::JobsLeft(1)]);
    assert!(jobs_alone.ask_to_close().contains(&ViewportCommand::CancelClose));
    jobs_alone.harness.run();
    assert!(jobs_alone.shows("1 enabled job goes on firing in the background."));
    assert!(!jobs_alone.shows("Freeze"));
    assert_eq!(jobs_alone.pull("Close window"), [Action::Quit(QuitChoice::Close)]);
}

#[test]
fn closing_does_not_ask_when_nothing_lives_and_no_job_is_due() {
    let mut scene = scene([snapshot(&[]), AppUpdate::JobsLeft(0)]);
    assert!(!scene.ask_to_close().contains(&ViewportCommand::CancelClose));
}

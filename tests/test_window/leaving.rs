//! What becomes of runs and jobs when the window closes, is told to end or loses its display.

use std::fs;

use leverframe::api::ProcessKind;
use leverframe::control::ControlClient;
use leverframe::run::RunState;
use rustix::process::Signal;

use super::super::support::process::{look_until, signal};
use super::super::support::run_id;
use super::heard::Ear;
use super::stage::OpenWindow;
use super::{RUNNING, Stage, icon};

#[test]
fn jobs_go_on_firing_whatever_the_window_leaves_of_runs() {
    let answers =
        [("Leave running", RunState::Running), ("Freeze", RunState::Paused), ("Stop", RunState::Stopped)];
    for (answer, expected) in answers {
        let Some(ear) = Ear::set() else { return };
        let Ear { reader, stage, .. } = &ear;
        write_pipelines(stage);
        let mut window = ear.open();
        start_the_run(stage);
        reader.hear_of("the row of the run", |heard| heard.name.starts_with("running, long, r,"));
        stage.display.ask_to_close(window.id);
        reader.press(answer);
        assert_eq!(window.wait().code(), Some(0));
        stage.seq_of(ProcessKind::Serve);
        stage.fires();
        let run = stage.store().expect("a database").load_run(&run_id("r")).expect("read").expect("there");
        assert_eq!(run.summary.state, expected);
        end_all(stage);
    }
}

#[test]
fn a_window_that_loses_its_display_or_is_told_to_end_leaves_runs_and_jobs_to_another_process() {
    type Loss = (&'static str, fn(&mut Stage, &OpenWindow), Option<i32>);
    let losses: [Loss; 2] = [
        // Xlib ends the process itself.
        ("display", |stage, _| stage.display.lose(), Some(1)),
        // Ctrl-Z in its terminal does not stop it.
        ("TERM", told_to_stop_and_to_end, Some(0)),
    ];
    for (what, lose, code) in losses {
        let Some(mut stage) = Stage::set() else { return };
        let mut window = open_with_a_run_and_a_job(&stage);
        lose(&mut stage, &window);
        assert_eq!(window.wait().code(), code, "{what}");
        is_served_on(&stage);
    }
}

fn told_to_stop_and_to_end(stage: &mut Stage, window: &OpenWindow) {
    signal(window.child.id(), Signal::TSTP);
    stage.fires();
    signal(window.child.id(), Signal::TERM);
}

#[test]
fn a_window_whose_wayland_compositor_dies_leaves_runs_and_jobs_to_another_process() {
    let Some((stage, mut compositor)) = Stage::set_under_wayland() else { return };
    write_pipelines(&stage);
    let mut window = stage.open_under(&compositor, stage.program(&[]));
    stage.seq_of(ProcessKind::Window);
    start_the_run(&stage);
    stage.look_for("the window", |picture| picture.n_colors() > 50);
    compositor.lose();
    assert_ne!(window.wait().code(), Some(0));
    is_served_on(&stage);
}

/// Jobs fire and the run's step goes on, before an engine without a window; then all of it is ended.
fn is_served_on(stage: &Stage) {
    stage.seq_of(ProcessKind::Serve);
    stage.fires();
    let run = stage.store().expect("a database").load_run(&run_id("r")).expect("read").expect("there");
    assert_eq!(run.summary.state, RunState::Running);
    assert_eq!(run.steps[0].attempt, 1);
    end_all(stage);
}

/// A window before the step of a run and a job that fires each second.
fn open_with_a_run_and_a_job(stage: &Stage) -> OpenWindow {
    write_pipelines(stage);
    let window = stage.open();
    start_the_run(stage);
    stage.look_for("the row of the run", |picture| icon(picture, RUNNING).is_some());
    window
}

fn write_pipelines(stage: &Stage) {
    let pipelines = stage.data().join("pipelines");
    fs::create_dir_all(&pipelines).expect("a folder");
    let tick = "id = \"tick\"\n[[step]]\nid = \"a\"\nrun = \"sleep 0.7\"\n[[schedule]]\nevery = \"1s\"\noverlap = \"allow\"\n";
    fs::write(pipelines.join("tick.toml"), tick).expect("a file");
    let long = "id = \"long\"\n[[step]]\nid = \"a\"\nrun = \"sleep 600\"\n";
    fs::write(pipelines.join("long.toml"), long).expect("a file");
}

fn start_the_run(stage: &Stage) {
    stage.fires();
    let client = ControlClient::connect(&stage.data(), "test 1").expect("it answers").expect("it lives");
    let start = serde_json::json!({"method": "run.start", "params": {"pipeline": "long", "run_id": "r"}});
    client.call::<serde_json::Value>(&start).expect("it starts");
}

fn end_all(stage: &Stage) {
    let stop = serde_json::json!({"method": "run.stop", "params": {"run_id": "r", "force": true}});
    let client = ControlClient::connect(&stage.data(), "test 1").expect("it answers").expect("it lives");
    // What was stopped is refused.
    let _ = client.call::<serde_json::Value>(&stop);
    look_until("the end of the run", || {
        let run = stage.store()?.load_run(&run_id("r")).ok()??;
        run.summary.state.is_ended().then_some(())
    });
    drop(client);
    stage.end_server();
}

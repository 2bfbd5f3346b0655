//! What becomes of jobs when the window closes.

use std::fs;

use leverframe::app::{ControlClient, Face};
use leverframe::run::RunState;

use super::super::support::process::look_until;
use super::super::support::run_id;
use super::{RUNNING, Stage, icon, primary_lever};

#[test]
fn jobs_go_on_firing_whatever_the_window_leaves_of_runs() {
    const ROW: u16 = 46;
    for (choice, expected) in [(0, RunState::Running), (1, RunState::Paused), (2, RunState::Stopped)] {
        let Some(stage) = Stage::set() else { return };
        let pipelines = stage.data().join("pipelines");
        fs::create_dir_all(&pipelines).expect("a folder");
        let tick = "id = \"tick\"\n[[step]]\nid = \"a\"\nrun = \"true\"\n[[schedule]]\nevery = \"1s\"\n";
        fs::write(pipelines.join("tick.toml"), tick).expect("a file");
        let long = "id = \"long\"\n[[step]]\nid = \"a\"\nrun = \"sleep 600\"\n";
        fs::write(pipelines.join("long.toml"), long).expect("a file");
        let mut window = stage.open();
        stage.fires();
        let client = ControlClient::connect(&stage.data(), "test 1").expect("it answers").expect("it lives");
        let start = serde_json::json!({"method": "run.start", "params": {"pipeline": "long", "run_id": "r"}});
        client.call::<serde_json::Value>(&start).expect("it starts");
        stage.look_for("the row of the run", |picture| icon(picture, RUNNING).is_some());
        stage.display.ask_to_close(window.id);
        let (x, y) = look_until("the question", || primary_lever(&stage.display.picture()));
        stage.display.click((x, y + choice * ROW));
        assert_eq!(window.wait().code(), Some(0));
        stage.seq_of(Face::Serve);
        stage.fires();
        let run = stage.store().expect("a database").load_run(&run_id("r")).expect("read").expect("there");
        assert_eq!(run.summary.state, expected);
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
}

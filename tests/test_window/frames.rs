//! How often the window is painted: once a second for the clocks of any number of runs, and never where nobody sees it.

use std::fs;
use std::time::Duration;

use leverframe::api::ProcessKind;
use leverframe::control::ControlClient;
use leverframe::run::RunState;
use leverframe::store::RunFilter;
use serde_json::{Value, json};

use super::stage::Stage;
use crate::support::process::look_until;

/// Runs that sleep.
const N_RUNS: usize = 20;
/// Frames that are waited for.
const N_FRAMES: usize = 6;
/// Samples of the machine that come meanwhile, each of which tells the window something.
const N_SAMPLES: usize = 4;

#[test]
fn twenty_clocks_cost_a_frame_a_second_and_a_window_that_nobody_sees_paints_none() {
    let Some(stage) = Stage::set() else { return };
    let pipelines = stage.data().join("pipelines");
    fs::create_dir_all(&pipelines).expect("a folder");
    fs::write(pipelines.join("sleeper.toml"), "[[step]]\nid = \"sleep\"\nrun = [\"sleep\", \"600\"]\n")
        .expect("a file");
    let mut window = stage.open();
    stage.seq_of(ProcessKind::Window);
    let client = ControlClient::connect(&stage.data(), "test 1").expect("no trouble").expect("an engine");
    for n in 0..N_RUNS {
        let params = json!({"pipeline": "sleeper", "run_id": format!("r{n}")});
        client.call::<Value>(&json!({"method": "run.start", "params": params})).expect("it starts");
        // Each begins at its own moment of a second.
        crate::support::process::let_pass(Duration::from_millis(47));
    }
    let running = RunFilter { states: vec![RunState::Running], ..RunFilter::default() };
    look_until("all runs", || (stage.store()?.list_runs(&running).ok()?.len() == N_RUNS).then_some(()));

    // Frames of what has happened until now are over once one comes alone.
    stage.display.count_paints(window.id);
    look_until("a calm window", || {
        (stage.display.time_of_paints(2) > Duration::from_millis(600)).then_some(())
    });
    let took = stage.display.time_of_paints(N_FRAMES);
    // A slow machine paints less, never more: 20 clocks of their own would take a third of a second.
    let least = Duration::from_millis(600) * u32::try_from(N_FRAMES - 1).expect("a few");
    assert!(took > least, "{N_FRAMES} frames in {took:?}");

    // Off the screen, as on another desktop: nothing is painted, though there is news each second.
    let n_drawn = || look_until("a thread that draws", || drawn(window.child.id()));
    let before = n_drawn();
    look_until("frames that are drawn", || (n_drawn() > before).then_some(()));
    stage.display.take_off(window.id);
    await_samples(&client, 2);
    let hidden = n_drawn();
    await_samples(&client, N_SAMPLES);
    assert_eq!(n_drawn(), hidden, "nothing is drawn for nobody");

    // Back on it, it shows what is.
    stage.display.put_back(window.id);
    look_until("frames that are drawn again", || (n_drawn() > hidden).then_some(()));

    client
        .call::<Value>(&json!({"method": "engine.shutdown", "params": {"kind": "stop_runs"}}))
        .expect("it ends");
    assert_eq!(window.wait().code(), Some(0));
}

/// Waits until the machine was measured so often again.
fn await_samples(client: &ControlClient, n: usize) {
    let mut after = Value::Null;
    for _ in 0..=n {
        let asked = json!({"method": "engine.usage", "params": {"after": after}});
        let usage = client.call::<Value>(&asked).expect("an answer");
        after = usage["at"].clone();
    }
}

/// How often the thread that fills pixels was woken; none before there is one.
fn drawn(pid: u32) -> Option<u64> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    tasks.flatten().find_map(|task| {
        let name = fs::read_to_string(task.path().join("comm")).ok()?;
        let status =
            name.starts_with("llvmpipe").then(|| fs::read_to_string(task.path().join("status")).ok())??;
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        line.trim().parse().ok()
    })
}

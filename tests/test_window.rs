//! The real window of the real program under a virtual display: what is seen in it, what clicks and keys do to
//! real processes, what it asks before it closes, and that the next start takes back what was left.

mod frames;
mod heard;
mod leaving;
mod stage;
mod story;
mod trouble;
mod wayland;

use std::fs;

use leverframe::api::ProcessKind;
use leverframe::control::ControlClient;
use leverframe::run::RunState;

use super::support::display::{BACKSPACE, CONTROL, Picture, SPACE};
use super::support::process::{are_frozen, is_gone, look_until, state_of};
use stage::{SIZE, Stage};

// Of the window's theme and layout: the colours in the dark and in the light, and places from the edges.
const ACCENT: [u32; 2] = [0x6E_A8_FE, 0x1F_5F_BF];
const RUNNING: [u32; 2] = [0x5A_B0_FF, 0x0B_6B_CB];
const PAUSED: [u32; 2] = [0xF2_B8_4B, 0x8F_5A_00];
/// Where a row's icon of state is painted.
const STATE_ICONS: std::ops::Range<u16> = 100..122;
/// Where the first row of the first card can be, above every plot.
const FIRST_ROWS: std::ops::Range<u16> = 80..400;
/// The middle of a row's first lever: page margin, card margin, the lever's own half and those at its right.
const FIRST_LEVER: u16 = SIZE.0 - 20 - 12 - (98 / 2 + 6 + 82 + 2 + 30);

#[test]
fn a_click_on_pause_freezes_the_run_and_what_is_left_running_is_taken_back() {
    let Some(stage) = Stage::set() else { return };
    let mut window = stage.open();

    // It opens on an empty data directory with a sample that is ready to start.
    let picture =
        stage.look_for("the sample that can be started", |picture| primary_lever(picture).is_some());
    assert!(picture.n_colors() > 50, "a window has something to show");
    stage.command("start price-list");
    let run = stage.wait_for("the run", |run| run.state == RunState::Running);
    assert_eq!(run.pipeline_id.as_str(), "price-list");
    let fetch = look_until("the step that fetches", || stage.pid_of("fetch"));

    // A click on Pause freezes every process.
    let row = look_until("the row of the run", || icon(&stage.display.picture(), RUNNING));
    stage.display.click((FIRST_LEVER, row));
    stage.wait_for("the pause", |run| run.state == RunState::Paused);
    look_until("every process of the run frozen", || {
        let pids = stage.step_processes();
        (pids.contains(&fetch) && are_frozen(&pids)).then_some(())
    });
    stage.look_for("the colour of frozen", |picture| icon(picture, PAUSED).is_some());

    // A key thaws it.
    stage.select(row);
    stage.display.press(&[SPACE]);
    stage.wait_for("the end of the pause", |run| run.state == RunState::Running);
    look_until("the thaw", || (state_of(fetch) != Some('T')).then_some(()));

    // Asked to close, it asks what becomes of the run.
    stage.display.ask_to_close(window.id);
    let dialog = look_until("the question", || primary_lever(&stage.display.picture()));
    assert!(window.child.try_wait().expect("a child").is_none(), "it waits for the answer");
    stage.display.click(dialog);
    assert_eq!(window.wait().code(), Some(0));
    let left = stage.run().expect("the run");
    assert_eq!(left.state, RunState::Running);
    assert!(!is_gone(fetch), "the step goes on");

    // The next start takes it back, and can stop it.
    let mut window = stage.open();
    look_until("the row of the run", || icon(&stage.display.picture(), RUNNING));
    let store = stage.store().expect("a database");
    assert!(!store.decisions(&left.run_id).expect("decisions").is_empty(), "it was taken back");
    assert!(stage.pid_of("fetch").is_none_or(|pid| pid == fetch), "it ran once");
    // It is still selected.
    stage.display.press(&[CONTROL, BACKSPACE]);
    stage.wait_for("the stop", |run| run.state == RunState::Stopped);
    look_until("the end of every step", || stage.step_processes().is_empty().then_some(()));

    // With nothing alive it closes without a question, and the server that it took over from has its place again.
    stage.look_for("no row that runs", |picture| icon(picture, RUNNING).is_none());
    stage.display.ask_to_close(window.id);
    assert_eq!(window.wait().code(), Some(0));
    stage.seq_of(ProcessKind::Serve);
    stage.end_server();
}

#[test]
fn the_engine_passes_between_the_window_and_a_server_and_no_step_notices() {
    let Some(stage) = Stage::set() else { return };
    let ran = stage.dir.path().join("ran");
    let step =
        |i| format!("[[step]]\nid = \"s{i}\"\nrun = \"echo s{i} >> '{}'; sleep 0.1\"\n", ran.display());
    let text: String = std::iter::once("id = \"short\"\n".to_owned()).chain((0..N_SHORT).map(step)).collect();
    let pipelines = stage.data().join("pipelines");
    fs::create_dir_all(&pipelines).expect("a folder");
    fs::write(pipelines.join("short.toml"), text).expect("a file");

    let mut server = stage.program(&["serve"]).spawn().expect("the program starts");
    let follower = look_until("an engine", || ControlClient::connect(&stage.data(), "test 1").ok().flatten());
    let mut seqs = vec![follower.welcome().seq];
    let started = follower.call::<serde_json::Value>(&serde_json::json!({
        "method": "run.start", "params": {"pipeline": "short", "run_id": "r"},
    }));
    started.expect("it starts");
    for _ in 0..N_ROUNDS {
        // The window takes the engine over from the server, which stands by.
        let mut window = stage.open();
        seqs.push(stage.seq_of(ProcessKind::Window));
        // Closed, it leaves the engine to that server.
        stage.display.ask_to_close(window.id);
        let dialog = look_until("the question", || primary_lever(&stage.display.picture()));
        stage.display.click(dialog);
        assert_eq!(window.wait().code(), Some(0));
        seqs.push(stage.seq_of(ProcessKind::Serve));
    }
    // Killed, it leaves the engine to it as well.
    let mut window = stage.open();
    seqs.push(stage.seq_of(ProcessKind::Window));
    window.child.kill().expect("it lives");
    seqs.push(stage.seq_of(ProcessKind::Serve));
    assert_eq!(stage.engine().map(|(pid, _)| pid), Some(server.id()));
    assert!(seqs.is_sorted() && seqs.first() < seqs.last(), "{seqs:?}");
    let run = stage.wait_for("the end of the run", |run| run.state.is_ended());
    assert_eq!(run.state, RunState::Completed);
    let expected: String = (0..N_SHORT).map(|i| format!("s{i}\n")).collect();
    assert_eq!(fs::read_to_string(&ran).expect("they ran"), expected, "each step ran once");
    let stored = stage.store().expect("a database").load_run(&run.run_id).expect("read").expect("there");
    assert!(stored.steps.iter().all(|step| step.attempt == 1));
    stage.end_server();
    assert_eq!(server.wait().expect("it has ended").code(), Some(0));
}

#[test]
fn a_second_window_raises_the_first_and_an_attached_one_leaves_the_engine_where_it_is() {
    let Some(stage) = Stage::set() else { return };
    let mut first = stage.open();
    let second = stage.program(&[]).output().expect("the program runs");
    assert!(second.status.success());
    assert!(String::from_utf8_lossy(&second.stderr).contains("is now in front"), "{second:?}");
    assert!(first.child.try_wait().expect("a child").is_none());
    stage.display.ask_to_close(first.id);
    assert_eq!(first.wait().code(), Some(0));

    let mut server = stage.program(&["serve"]).spawn().expect("the program starts");
    stage.seq_of(ProcessKind::Serve);
    let mut attached = stage.open_with(&["--attach"]);
    stage.look_for("the sample that can be started", |picture| primary_lever(picture).is_some());
    stage.command("start price-list");
    stage.wait_for("the run", |run| run.state == RunState::Running);
    stage.look_for("the row of the run", |picture| icon(picture, RUNNING).is_some());
    assert!(server.try_wait().expect("a child").is_none(), "the engine stays where it is");
    let row = look_until("the row of the run", || icon(&stage.display.picture(), RUNNING));
    stage.select(row);
    stage.display.press(&[CONTROL, BACKSPACE]);
    stage.wait_for("the stop", |run| run.state == RunState::Stopped);
    stage.look_for("no row that runs", |picture| icon(picture, RUNNING).is_none());
    stage.display.ask_to_close(attached.id);
    assert_eq!(attached.wait().code(), Some(0));
    stage.seq_of(ProcessKind::Serve);
    stage.end_server();
    assert_eq!(server.wait().expect("it has ended").code(), Some(0));
}

/// Steps of the run under which the engine changes hands.
const N_SHORT: usize = 150;
/// How often it goes there and back.
const N_ROUNDS: usize = 5;

/// The middle of the one lever that is filled with the accent.
fn primary_lever(picture: &Picture) -> Option<(u16, u16)> {
    let found = ACCENT.iter().filter_map(|color| picture.middle_of(*color, 100..SIZE.0, 60..SIZE.1));
    found.filter(|(_, n_pixels)| *n_pixels > 1500).map(|(at, _)| at).next()
}

/// The row of the first icon of state in one of these colours.
fn icon(picture: &Picture, colors: [u32; 2]) -> Option<u16> {
    colors.iter().find_map(|color| picture.middle_of(*color, STATE_ICONS, FIRST_ROWS)).map(|((_, y), _)| y)
}

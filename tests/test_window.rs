//! The real window of the real program under a virtual display: what is seen in it, what clicks and keys do to
//! real processes, what it asks before it closes, and that the next start takes back what was left.

mod leaving;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use leverframe::CheckpointManager;
use leverframe::app::{ControlClient, Face};
use leverframe::id::PipelineId;
use leverframe::run::{RunState, RunSummary, StepState};
use leverframe::store::RunFilter;

use super::support::display::{BACKSPACE, CONTROL, DOWN, Display, ENTER, Picture, SPACE};
use super::support::process::{are_frozen, is_gone, kill, look_until, processes_of, state_of};
use super::support::{PROGRAM, step_id};

const SIZE: (u16, u16) = (1280, 800);

// Of the window's theme and layout: the colours in the dark and in the light, and places from the edges.
const ACCENT: [u32; 2] = [0x6E_A8_FE, 0x1F_5F_BF];
const RUNNING: [u32; 2] = [0x5A_B0_FF, 0x0B_6B_CB];
const PAUSED: [u32; 2] = [0xF2_B8_4B, 0x8F_5A_00];
const RAISED: [u32; 2] = [0x21_25_2D, 0xEC_EE_F2];
/// Where a row's icon of state is painted.
const STATE_ICONS: std::ops::Range<u16> = 100..122;
/// Where the first row of the first card can be, above every plot.
const FIRST_ROWS: std::ops::Range<u16> = 80..400;
/// The middle of a row's first lever: page margin, card margin, the lever's own half and those at its right.
const FIRST_LEVER: u16 = SIZE.0 - 20 - 12 - (98 / 2 + 6 + 82 + 2 + 30);
/// A place of a row where nothing is painted on it.
const BESIDE_LEVERS: u16 = FIRST_LEVER - 60;
/// A place of the window where nothing reacts to the pointer.
const NOWHERE: (u16, u16) = (36, 600);

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
    let row = look_until("the row of the run", || icon(&stage.display.picture(), RUNNING));
    let store = stage.store().expect("a database");
    assert!(!store.decisions(&left.run_id).expect("decisions").is_empty(), "it was taken back");
    assert!(stage.pid_of("fetch").is_none_or(|pid| pid == fetch), "it ran once");
    stage.select(row);
    stage.display.press(&[CONTROL, BACKSPACE]);
    stage.wait_for("the stop", |run| run.state == RunState::Stopped);
    look_until("the end of every step", || stage.step_processes().is_empty().then_some(()));

    // With nothing alive it closes without a question, and the server that it took over from has its place again.
    stage.look_for("no row that runs", |picture| icon(picture, RUNNING).is_none());
    stage.display.ask_to_close(window.id);
    assert_eq!(window.wait().code(), Some(0));
    stage.seq_of(Face::Serve);
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
        seqs.push(stage.seq_of(Face::Window));
        // Closed, it leaves the engine to that server.
        stage.display.ask_to_close(window.id);
        let dialog = look_until("the question", || primary_lever(&stage.display.picture()));
        stage.display.click(dialog);
        assert_eq!(window.wait().code(), Some(0));
        seqs.push(stage.seq_of(Face::Serve));
    }
    // Killed, it leaves the engine to it as well.
    let mut window = stage.open();
    seqs.push(stage.seq_of(Face::Window));
    window.child.kill().expect("it lives");
    seqs.push(stage.seq_of(Face::Serve));
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
    assert!(String::from_utf8_lossy(&second.stderr).contains("brought to the front"), "{second:?}");
    assert!(first.child.try_wait().expect("a child").is_none());
    stage.display.ask_to_close(first.id);
    assert_eq!(first.wait().code(), Some(0));

    let mut server = stage.program(&["serve"]).spawn().expect("the program starts");
    stage.seq_of(Face::Serve);
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
    stage.seq_of(Face::Serve);
    stage.end_server();
    assert_eq!(server.wait().expect("it has ended").code(), Some(0));
}

/// Steps of the run under which the engine changes hands.
const N_SHORT: usize = 150;
/// How often it goes there and back.
const N_ROUNDS: usize = 5;

/// A display and a data directory.
struct Stage {
    display: Display,
    dir: tempfile::TempDir,
}

struct OpenWindow {
    child: Child,
    id: u32,
}

impl Stage {
    /// A display of its own and an empty folder; none, and said so, where there can be no window.
    fn set() -> Option<Self> {
        if cfg!(not(feature = "gui")) {
            skipped("this build has no window");
            return None;
        }
        let Some(display) = Display::open(SIZE) else {
            skipped("there is no Xvfb to open a window on");
            return None;
        };
        Some(Self { display, dir: tempfile::tempdir().expect("a folder") })
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Starts the program and waits for its window.
    fn open(&self) -> OpenWindow {
        self.open_with(&[])
    }

    fn program(&self, args: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .arg("--data-dir")
            .arg(self.data())
            .args(args)
            .stdin(Stdio::null())
            .env("DISPLAY", self.display.name())
            .env("LIBGL_ALWAYS_SOFTWARE", "1");
        for name in ["WAYLAND_DISPLAY", "WAYLAND_SOCKET", "LEVERFRAME_DATA_DIR", "XAUTHORITY"] {
            command.env_remove(name);
        }
        command
    }

    /// The newest event of the engine, once it belongs to `face`.
    fn seq_of(&self, face: Face) -> u64 {
        look_until("the engine of that face", || {
            let client = ControlClient::connect(&self.data(), "test 1").ok().flatten()?;
            (client.welcome().engine.face == face).then(|| client.welcome().seq)
        })
    }

    /// The process and face of the engine.
    fn engine(&self) -> Option<(u32, Face)> {
        let client = ControlClient::connect(&self.data(), "test 1").ok().flatten()?;
        let engine = &client.welcome().engine;
        Some((engine.pid, engine.face))
    }

    /// Waits until the job fires once more.
    fn fires(&self) {
        let n_runs = || {
            let filter = RunFilter { pipeline: PipelineId::new("tick").ok(), ..RunFilter::default() };
            self.store()?.list_runs(&filter).ok().map(|runs| runs.len())
        };
        let before = look_until("the database", n_runs);
        look_until("the next fire", || n_runs().filter(|n| *n > before));
    }

    /// Ends the engine, which runs without a window.
    fn end_server(&self) {
        let client = ControlClient::connect(&self.data(), "test 1").expect("no trouble").expect("it lives");
        let end = serde_json::json!({"method": "engine.shutdown", "params": {"kind": "leave_steps"}});
        client.call::<serde_json::Value>(&end).expect("it ends");
        look_until("the end of all processes", || processes_of(&self.data()).is_empty().then_some(()));
    }

    fn open_with(&self, args: &[&str]) -> OpenWindow {
        let child = self.program(args).spawn().expect("the program starts");
        self.display.point_at(NOWHERE);
        OpenWindow { child, id: self.display.window("Leverframe") }
    }

    /// Runs a command by typing it into the palette.
    fn command(&self, text: &str) {
        let rail = self.display.picture().pixel(NOWHERE.0, NOWHERE.1);
        self.display.press(&[CONTROL, u32::from('k')]);
        // What is typed before it is there would be lost; it dims what lies below.
        self.look_for("the palette", |picture| picture.pixel(NOWHERE.0, NOWHERE.1) != rail);
        self.display.type_text(text);
        self.display.press(&[ENTER]);
    }

    /// Selects the only row, of this height, by a key.
    fn select(&self, row: u16) {
        self.display.press(&[DOWN]);
        self.look_for("the row selected", |picture| RAISED.contains(&picture.pixel(BESIDE_LEVERS, row)));
    }

    fn look_for(&self, what: &str, is_seen: impl Fn(&Picture) -> bool) -> Picture {
        look_until(what, || Some(self.display.picture()).filter(|picture| is_seen(picture)))
    }

    fn store(&self) -> Option<CheckpointManager> {
        CheckpointManager::open_read_only(self.data().join("checkpoints.db")).ok()
    }

    /// The one run.
    fn run(&self) -> Option<RunSummary> {
        self.store()?.list_runs(&RunFilter::default()).ok()?.pop()
    }

    fn wait_for(&self, what: &str, is_it: impl Fn(&RunSummary) -> bool) -> RunSummary {
        look_until(what, || self.run().filter(|run| is_it(run)))
    }

    /// The process of a step that runs, as it is recorded.
    fn pid_of(&self, step: &str) -> Option<u32> {
        let run = self.store()?.load_run(&self.run()?.run_id).ok()??;
        let step = run.steps.iter().find(|it| it.id == step_id(step))?.clone();
        step.pid.filter(|_| step.state == StepState::Running)
    }

    fn step_processes(&self) -> Vec<u32> {
        let is_step = |pid: &u32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            !line.starts_with(b"leverframe-supervisor")
        };
        processes_of(&self.data()).into_iter().filter(is_step).collect()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // What a person would have seen, for whoever looks into the failure.
            let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("window-at-failure.ppm");
            let _ = fs::write(path, self.display.picture().to_ppm());
            // Nothing of a failed test may live on, frozen ones least of all.
            processes_of(&self.data()).into_iter().for_each(kill);
        }
    }
}

impl OpenWindow {
    fn wait(&mut self) -> ExitStatus {
        look_until("the end of the program", || self.child.try_wait().expect("a child"))
    }
}

impl Drop for OpenWindow {
    fn drop(&mut self) {
        // It has ended by itself, unless the test has failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The middle of the one lever that is filled with the accent.
fn primary_lever(picture: &Picture) -> Option<(u16, u16)> {
    let found = ACCENT.iter().filter_map(|color| picture.middle_of(*color, 100..SIZE.0, 60..SIZE.1));
    found.filter(|(_, n_pixels)| *n_pixels > 1500).map(|(at, _)| at).next()
}

/// The row of the first icon of state in one of these colours.
fn icon(picture: &Picture, colors: [u32; 2]) -> Option<u16> {
    colors.iter().find_map(|color| picture.middle_of(*color, STATE_ICONS, FIRST_ROWS)).map(|((_, y), _)| y)
}

/// Says that the test did not run; where it must, it fails.
#[expect(clippy::print_stdout, reason = "whoever runs the tests is to see it")]
fn skipped(why: &str) {
    assert!(
        std::env::var_os("LEVERFRAME_REQUIRE_DISPLAY").is_none(),
        "the window must be tested here: {why}"
    );
    println!("SKIPPED: {why}");
}

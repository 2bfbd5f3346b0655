//! What the window's tests stand on: a display, a data directory, and the program that opens its window there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use leverframe::CheckpointManager;
use leverframe::api::ProcessKind;
use leverframe::base::id::PipelineId;
use leverframe::control::ControlClient;
use leverframe::run::{RunSummary, StepState};
use leverframe::store::RunFilter;

use crate::support::compositor::Compositor;
use crate::support::display::{CONTROL, DOWN, Display, ENTER, Picture};
use crate::support::process::{kill, look_until, processes_of, step_processes_of};
use crate::support::{PROGRAM, step_id};

pub(super) const SIZE: (u16, u16) = (1280, 800);
/// The size of a compositor's screen.
const SCREEN: (u16, u16) = (1600, 1000);

const RAISED: [u32; 2] = [0x21_25_2D, 0xEC_EE_F2];
/// A place of a row where nothing is painted on it.
const BESIDE_LEVERS: u16 = super::FIRST_LEVER - 60;
/// A place of the window where nothing reacts to the pointer.
const NOWHERE: (u16, u16) = (36, 600);

/// A display and a data directory.
pub(super) struct Stage {
    pub(super) display: Display,
    pub(super) dir: tempfile::TempDir,
}

pub(super) struct OpenWindow {
    pub(super) child: Child,
    /// That of X11; 0 under Wayland.
    pub(super) id: u32,
}

impl Stage {
    /// A display of its own and an empty folder; none, and said so, where there can be no window.
    pub(super) fn set() -> Option<Self> {
        if cfg!(not(feature = "gui")) {
            skipped("this build has no window");
            return None;
        }
        let Some(display) = Display::open(SIZE) else {
            skipped("there is no Xvfb to open a window on");
            return None;
        };
        Some(Self::on(display))
    }

    /// The same with a Wayland compositor, whose screen has room to move the window.
    pub(super) fn set_under_wayland() -> Option<(Self, Compositor)> {
        if cfg!(not(feature = "gui")) {
            skipped("this build has no window");
            return None;
        }
        let Some(display) = Display::open(SCREEN) else {
            skipped_wayland("there is no Xvfb on which a compositor could be looked at");
            return None;
        };
        let Some(compositor) = Compositor::open(&display, SCREEN) else {
            skipped_wayland("there is no Weston to open a window on");
            return None;
        };
        Some((Self::on(display), compositor))
    }

    /// An empty folder beside that display.
    fn on(display: Display) -> Self {
        Self { display, dir: tempfile::tempdir().expect("a folder") }
    }

    pub(super) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Starts the program and waits for its window.
    pub(super) fn open(&self) -> OpenWindow {
        self.open_with(&[])
    }

    pub(super) fn program(&self, args: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .arg("--data-dir")
            .arg(self.data())
            .args(args)
            .stdin(Stdio::null())
            .env("DISPLAY", self.display.name())
            .env("LIBGL_ALWAYS_SOFTWARE", "1")
            // One thread fills pixels: whether it works is looked at.
            .env("LP_NUM_THREADS", "1");
        for name in ["WAYLAND_DISPLAY", "WAYLAND_SOCKET", "LEVERFRAME_DATA_DIR", "XAUTHORITY"] {
            command.env_remove(name);
        }
        command
    }

    /// The newest event of the engine, once it belongs to `face`.
    pub(super) fn seq_of(&self, face: ProcessKind) -> u64 {
        look_until("the engine of that face", || {
            let client = ControlClient::connect(&self.data(), "test 1").ok().flatten()?;
            (client.welcome().engine.face == face).then(|| client.welcome().seq)
        })
    }

    /// The process and face of the engine.
    pub(super) fn engine(&self) -> Option<(u32, ProcessKind)> {
        let client = ControlClient::connect(&self.data(), "test 1").ok().flatten()?;
        let engine = &client.welcome().engine;
        Some((engine.pid, engine.face))
    }

    /// Waits until the job fires once more.
    pub(super) fn fires(&self) {
        let n_runs = || {
            let filter = RunFilter { pipeline: PipelineId::new("tick").ok(), ..RunFilter::default() };
            self.store()?.list_runs(&filter).ok().map(|runs| runs.len())
        };
        let before = look_until("the database", n_runs);
        look_until("the next fire", || n_runs().filter(|n| *n > before));
    }

    /// Ends the engine, which runs without a window, and stops what a job has just started: a supervisor stays with a
    /// step that an engine left.
    pub(super) fn end_server(&self) {
        let client = ControlClient::connect(&self.data(), "test 1").expect("no trouble").expect("it lives");
        let end = serde_json::json!({"method": "engine.shutdown", "params": {"kind": "stop_runs"}});
        client.call::<serde_json::Value>(&end).expect("it ends");
        look_until("the end of all processes", || processes_of(&self.data()).is_empty().then_some(()));
    }

    pub(super) fn open_with(&self, args: &[&str]) -> OpenWindow {
        self.open_by(self.program(args))
    }

    /// Starts the program by this command and waits for its window.
    pub(super) fn open_by(&self, mut command: Command) -> OpenWindow {
        let child = command.spawn().expect("the program starts");
        self.display.point_at(NOWHERE);
        OpenWindow { child, id: self.display.window("Leverframe") }
    }

    /// Starts the program by this command under that compositor.
    pub(super) fn open_under(&self, compositor: &Compositor, mut command: Command) -> OpenWindow {
        compositor.dress(&mut command);
        OpenWindow { child: command.spawn().expect("the program starts"), id: 0 }
    }

    /// Runs a command by typing it into the palette.
    pub(super) fn command(&self, text: &str) {
        let rail = self.display.picture().pixel(NOWHERE.0, NOWHERE.1);
        self.display.press(&[CONTROL, u32::from('k')]);
        // What is typed before it is there would be lost; it dims what lies below.
        self.look_for("the palette", |picture| picture.pixel(NOWHERE.0, NOWHERE.1) != rail);
        self.display.type_text(text);
        self.display.press(&[ENTER]);
    }

    /// Selects the only row, of this height, by a key.
    pub(super) fn select(&self, row: u16) {
        self.display.press(&[DOWN]);
        self.look_for("the row selected", |picture| RAISED.contains(&picture.pixel(BESIDE_LEVERS, row)));
    }

    pub(super) fn look_for(&self, what: &str, is_seen: impl Fn(&Picture) -> bool) -> Picture {
        look_until(what, || Some(self.display.picture()).filter(|picture| is_seen(picture)))
    }

    pub(super) fn store(&self) -> Option<CheckpointManager> {
        CheckpointManager::open_read_only(self.data().join("checkpoints.db")).ok()
    }

    /// The one run.
    pub(super) fn run(&self) -> Option<RunSummary> {
        self.store()?.list_runs(&RunFilter::default()).ok()?.pop()
    }

    pub(super) fn wait_for(&self, what: &str, is_it: impl Fn(&RunSummary) -> bool) -> RunSummary {
        look_until(what, || self.run().filter(|run| is_it(run)))
    }

    /// The process of a step that runs, as it is recorded.
    pub(super) fn pid_of(&self, step: &str) -> Option<u32> {
        let run = self.store()?.load_run(&self.run()?.run_id).ok()??;
        let step = run.steps.iter().find(|it| it.id == step_id(step))?.clone();
        step.pid.filter(|_| step.state() == StepState::Running)
    }

    pub(super) fn step_processes(&self) -> Vec<u32> {
        step_processes_of(&self.data())
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
    pub(super) fn wait(&mut self) -> ExitStatus {
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

/// Says that the test did not run; where a display is required, it fails.
pub(super) fn skipped(why: &str) {
    skipped_unless("LEVERFRAME_REQUIRE_DISPLAY", why);
}

/// The same for a test under Wayland.
fn skipped_wayland(why: &str) {
    skipped_unless("LEVERFRAME_REQUIRE_WAYLAND", why);
}

#[expect(clippy::print_stdout, reason = "whoever runs the tests is to see it")]
fn skipped_unless(required: &str, why: &str) {
    assert!(std::env::var_os(required).is_none(), "the window must be tested here: {why}");
    println!("SKIPPED: {why}");
}

//! `leverframe` without a verb: the window, where there can be one.

use crossbeam_channel::Receiver;

use super::exit::{Failure, Outcome};
use super::output::{note, say_ignored};
use super::signals::{Asked, SignalWatch};
use super::{Place, Window};
use crate::api::exit_code::{DONE, NO_ENGINE};
use crate::api::{Command, Error, ProcessKind};
use crate::base::at_exit::AtExit;
use crate::base::thread;
use crate::control::ControlClient;
use crate::daemon::{JoinError, OWN_NAME, succeed};
use crate::diagnostics::{self, Output};
use crate::engine::{EventBus, ShutdownKind};
use crate::offline::has_display;
use crate::settings::Settings;
use crate::store::DataDir;
use crate::window::{ExecutionIntegration, window_port};

/// What to use where no window can be opened.
const VERBS: &str = "`leverframe run`, `resume`, `retry`, `runs`, `show`, `logs`, `checkpoints`, `validate`, `init` and `doctor` need none (see `leverframe --help`)";

/// Opens the window and shows it until it is closed.
pub(super) fn open(place: &Place, window: Option<Window>, attach: bool) -> Outcome {
    let Some(show) = window else {
        return Err(Failure::usage(format!("this build has no window; {VERBS}")));
    };
    if !has_display() {
        return Err(Failure::usage(format!("there is no display for the window; {VERBS}")));
    }
    let path = place.path()?;
    let settings = Settings::load(&path)?;
    let dir = DataDir::open(&path)?;
    say_ignored(diagnostics::install(Output::DataDir(dir.path().to_owned())));
    if attach {
        return watch(show, dir, settings);
    }
    let lease = match succeed(&dir, ProcessKind::Window) {
        Ok(lease) => lease,
        Err(kept @ JoinError::Kept(_)) => return raise_other(&dir, kept),
        Err(error) => return Err(error.into()),
    };
    let (port, world) = window_port();
    let mut integration = ExecutionIntegration::for_window(world, EventBus::new());
    let options = settings.engine_options();
    integration.start_on(lease, ProcessKind::Window, settings, options)?;
    let leave = integration.leaver()?;
    let lost = {
        let leave = leave.clone();
        AtExit::set(move || {
            note("the display is gone; the engine goes on without a window where runs or jobs need one");
            say_failure(leave());
        })?
    };
    let signals = SignalWatch::start()?;
    let asked = signals.asked.clone();
    let answering = thread::start("lf-signal-answers", move || answer_signals(&asked, &leave))?;
    let shown = show(port);
    // The window may have asked for something else before it went; then this finds nothing left to do.
    integration.shutdown(ShutdownKind::LeaveSteps);
    drop((signals, lost));
    answering.join();
    shown.map(|()| DONE).map_err(|error| Failure::usage(format!("{error:#}")))
}

/// Closes the window as its frame does, without a question, when a signal asks for that: at a logout nobody answers.
fn answer_signals(asked: &Receiver<Asked>, leave: &impl Fn() -> Result<(), Error>) {
    for asked in asked {
        match asked {
            Asked::Interrupt | Asked::Terminate | Asked::HangUp => say_failure(leave()),
            // Stopped, it would hold the engine and answer nobody.
            Asked::Suspend => note("the window goes on; it holds the engine. Ctrl-C closes it"),
            Asked::Continue => {}
        }
    }
}

fn say_failure(left: Result<(), Error>) {
    if let Err(error) = left {
        note(format_args!("warning: {error}"));
    }
}

/// The engine belongs to a window that is open already: that one comes to the front.
fn raise_other(dir: &DataDir, kept: JoinError) -> Outcome {
    let Some(client) = ControlClient::connect(dir.path(), OWN_NAME)? else { return Err(kept.into()) };
    if client.welcome().engine.face != ProcessKind::Window {
        return Err(kept.into());
    }
    client.call::<serde_json::Value>(&Command::Raise {})?;
    note("the window that is open already was brought to the front");
    Ok(DONE)
}

/// Shows the window before the engine that lives, which stays where it is.
fn watch(show: Window, dir: DataDir, settings: Settings) -> Outcome {
    let Some(client) = ControlClient::connect(dir.path(), OWN_NAME)? else {
        let text =
            "no engine is running that the window could be attached to; without --attach it runs one itself";
        return Err(Failure::new(NO_ENGINE, text));
    };
    let (port, world) = window_port();
    let mut integration = ExecutionIntegration::for_window(world, EventBus::new());
    integration.attach(client, dir, settings)?;
    let shown = show(port);
    integration.shutdown(ShutdownKind::LeaveSteps);
    shown.map(|()| DONE).map_err(|error| Failure::usage(format!("{error:#}")))
}

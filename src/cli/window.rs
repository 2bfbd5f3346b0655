//! `leverframe` without a verb: opens the window, if one can be opened.

use crossbeam_channel::Receiver;

use super::exit::{Failure, Outcome};
use super::output::{note, say_ignored};
use super::signals::{Asked, SignalWatch};
use super::{Place, Window};
use crate::api::exit_code::{DONE, NO_ENGINE};
use crate::api::{Error, ProcessKind, Raise};
use crate::base::at_exit::AtExit;
use crate::base::thread;
use crate::control::{ControlClient, OWN_NAME};
use crate::daemon::{JoinError, succeed};
use crate::diagnostics::{self, Output};
use crate::engine::{EventBus, ShutdownKind};
use crate::offline::has_display;
use crate::settings::Settings;
use crate::store::DataDir;
use crate::window::{ExecutionIntegration, window_port};

/// What works without a window.
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
        return show_attached(show, dir, settings);
    }
    let lease = match succeed(&dir, ProcessKind::Window) {
        Ok(lease) => lease,
        Err(kept @ JoinError::Kept(_)) => return raise_open_window(&dir, kept),
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
            warn_failure(leave());
        })?
    };
    let signals = SignalWatch::start()?;
    let asked = signals.asked.clone();
    let answering = thread::start("lf-signal-answers", move || answer_signals(&asked, &leave))?;
    let shown = show(port);
    // If the window has already asked for another kind of end, this does nothing.
    integration.shutdown(ShutdownKind::LeaveSteps);
    drop((signals, lost));
    answering.join();
    shown.map(|()| DONE).map_err(|error| Failure::usage(format!("{error:#}")))
}

/// On a signal, closes the window as its close button does, but without a question: at a logout no user can answer.
fn answer_signals(asked: &Receiver<Asked>, leave: &impl Fn() -> Result<(), Error>) {
    for asked in asked {
        match asked {
            Asked::Interrupt | Asked::Terminate | Asked::HangUp => warn_failure(leave()),
            // A suspended process would still be the engine, but answer no client.
            Asked::Suspend => note("the window goes on; it holds the engine. Ctrl-C closes it"),
            Asked::Continue => {}
        }
    }
}

fn warn_failure(outcome: Result<(), Error>) {
    if let Err(error) = outcome {
        note(format_args!("warning: {error}"));
    }
}

/// If the engine belongs to an open window, brings that window to the front.
fn raise_open_window(dir: &DataDir, kept: JoinError) -> Outcome {
    let Some(client) = ControlClient::connect(dir.path(), OWN_NAME)? else { return Err(kept.into()) };
    if client.welcome().engine.face != ProcessKind::Window {
        return Err(kept.into());
    }
    client.ask(&Raise {})?;
    let is_wayland = std::env::var_os("WAYLAND_DISPLAY").is_some_and(|display| !display.is_empty());
    note(if is_wayland {
        "the window was open already; Wayland lets no program raise its window, so it asks for attention"
    } else {
        "the window was open already and is now in front"
    });
    Ok(DONE)
}

/// Shows a window attached to the running engine, which stays in its process.
fn show_attached(show: Window, dir: DataDir, settings: Settings) -> Outcome {
    let Some(client) = ControlClient::connect(dir.path(), OWN_NAME)? else {
        let text =
            "there is no running engine to attach the window to; without --attach the window runs one itself";
        return Err(Failure::new(NO_ENGINE, text));
    };
    let (port, world) = window_port();
    let mut integration = ExecutionIntegration::for_window(world, EventBus::new());
    integration.attach(client, dir, settings)?;
    let shown = show(port);
    integration.shutdown(ShutdownKind::LeaveSteps);
    shown.map(|()| DONE).map_err(|error| Failure::usage(format!("{error:#}")))
}

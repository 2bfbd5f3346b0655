//! `leverframe` without a verb: the window, where there can be one.

use super::exit::{DONE, Failure, NO_ENGINE, Outcome};
use super::output::note;
use super::{Place, Window};
use crate::app::{
    Command, ControlClient, DataDir, ExecutionIntegration, Face, JoinError, OWN_NAME, Settings, has_display,
    succeed, window_port,
};
use crate::engine::{EventBus, ShutdownKind};

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
    if attach {
        return watch(show, dir, settings);
    }
    let seat = match succeed(&dir, Face::Window) {
        Ok(seat) => seat,
        Err(kept @ JoinError::Kept(_)) => return raise_other(&dir, kept),
        Err(error) => return Err(error.into()),
    };
    let (port, world) = window_port();
    let mut integration = ExecutionIntegration::new(world, EventBus::new());
    let options = settings.engine_options();
    integration.start_on(seat, Face::Window, settings, options)?;
    let shown = show(port);
    // The window may have asked for something else before it went; then this finds nothing left to do.
    integration.shutdown(ShutdownKind::LeaveSteps);
    shown.map(|()| DONE).map_err(|error| Failure::usage(format!("{error:#}")))
}

/// The engine belongs to a window that is open already: that one comes to the front.
fn raise_other(dir: &DataDir, kept: JoinError) -> Outcome {
    let Some(client) = ControlClient::connect(dir.path(), OWN_NAME)? else { return Err(kept.into()) };
    if client.welcome().engine.face != Face::Window {
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
    let mut integration = ExecutionIntegration::new(world, EventBus::new());
    integration.attach(client, dir, settings)?;
    let shown = show(port);
    integration.shutdown(ShutdownKind::LeaveSteps);
    shown.map(|()| DONE).map_err(|error| Failure::usage(format!("{error:#}")))
}

//! `leverframe` without a verb: the window, where there can be one.

use super::exit::{DONE, Failure, Outcome};
use super::{Place, Window};
use crate::app::{ExecutionIntegration, has_display, window_port};
use crate::engine::{EventBus, ShutdownKind};

/// What to use where no window can be opened.
const VERBS: &str = "`leverframe run`, `resume`, `retry`, `runs`, `show`, `logs`, `checkpoints`, `validate`, `init` and `doctor` need none (see `leverframe --help`)";

/// Opens the window and shows it until it is closed.
pub(super) fn open(place: &Place, window: Option<Window>) -> Outcome {
    let Some(show) = window else {
        return Err(Failure::usage(format!("this build has no window; {VERBS}")));
    };
    if !has_display() {
        return Err(Failure::usage(format!("there is no display for the window; {VERBS}")));
    }
    let (port, world) = window_port();
    let mut integration = ExecutionIntegration::new(world, EventBus::new());
    integration.start(&place.path()?)?;
    let shown = show(port);
    // The window may have asked for something else before it went; then this finds nothing left to do.
    integration.shutdown(ShutdownKind::LeaveSteps);
    shown.map(|()| DONE).map_err(|error| Failure::usage(format!("{error:#}")))
}

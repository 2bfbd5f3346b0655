//! `leverframe` without a verb: the window, where there can be one.

use super::Place;
use super::exit::{Failure, Outcome};

/// What to use where no window can be opened.
const VERBS: &str = "`leverframe run`, `resume`, `retry`, `runs`, `show`, `logs`, `checkpoints`, `validate`, `init` and `doctor` need none (see `leverframe --help`)";

/// Opens the window and shows it until it is closed.
#[cfg(feature = "gui")]
pub(super) fn open(place: &Place) -> Outcome {
    let data_dir = place.path()?;
    if !crate::app::has_display() {
        return Err(Failure::usage(format!("there is no display for the window; {VERBS}")));
    }
    let _ = data_dir;
    Err(Failure::usage(format!("the window is not part of this build yet; {VERBS}")))
}

/// There is no window in a build without the feature `gui`.
#[cfg(not(feature = "gui"))]
pub(super) fn open(_place: &Place) -> Outcome {
    Err(Failure::usage(format!("this build has no window; {VERBS}")))
}

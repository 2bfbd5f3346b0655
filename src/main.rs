//! Parse, choose a face, exit code.

use std::process::ExitCode;

use leverframe::cli::Window;

/// The face without a verb.
#[cfg(feature = "gui")]
const WINDOW: Option<Window> = Some(leverframe::ui::run);
#[cfg(not(feature = "gui"))]
const WINDOW: Option<Window> = None;

fn main() -> ExitCode {
    // First: this program may have been started as the supervisor of its own steps.
    leverframe::supervisor_entry();
    leverframe::cli::main(WINDOW)
}

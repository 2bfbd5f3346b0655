//! Verbs that later versions bring: known, so that nobody looks for a slip of the hand.

use std::ffi::OsString;

use clap::{Args, Subcommand};

use super::exit::{Failure, Outcome};

/// Whatever a later version will understand.
#[derive(Debug, Args)]
pub(super) struct Anything {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    _rest: Vec<OsString>,
}

#[derive(Debug, Subcommand)]
pub(super) enum LaterVerb {
    /// Watch what runs (comes with a later version).
    #[command(hide = true)]
    Top(Anything),
    /// Show numbers over many runs (comes with a later version).
    #[command(hide = true)]
    Stats(Anything),
    /// Answer why something runs or does not (comes with a later version).
    #[command(hide = true)]
    Why(Anything),
    /// Hold back starts for a while (comes with a later version).
    #[command(hide = true)]
    Quiet(Anything),
    /// Let what runs end, and start nothing new (comes with a later version).
    #[command(hide = true)]
    Drain(Anything),
}

pub(super) fn later(verb: LaterVerb) -> Outcome {
    let (name, instead) = match verb {
        LaterVerb::Top(_) => ("top", "the window plots what the machine does"),
        LaterVerb::Stats(_) => ("stats", "`leverframe runs --json` has the raw figures"),
        LaterVerb::Why(_) => ("why", "`leverframe show RUN_ID` says what is known of a run"),
        LaterVerb::Quiet(_) => ("quiet", "use the window to pause what runs"),
        LaterVerb::Drain(_) => ("drain", "close the window and choose what becomes of the steps"),
    };
    Err(Failure::usage(format!("`{name}` comes with a later version of Leverframe; {instead}")))
}

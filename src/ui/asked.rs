//! How what can be asked of an engine reads on buttons: its text, subject, tooltip and icon.

use super::widgets::Icon;
use crate::app::{Command, Start};

/// What stands on its button.
pub(super) const fn text_of(asked: &Command) -> &'static str {
    match asked {
        Command::Start(Start { like: None, .. }) => "Start",
        Command::Start(Start { like: Some(_), .. }) => "Start again",
        Command::Pause { .. } => "Pause",
        Command::Resume { .. } => "Resume",
        Command::Stop { force: false, .. } => "Stop",
        Command::Stop { force: true, .. } => "Force stop",
        Command::Retry { from: None, .. } => "Retry",
        Command::Retry { from: Some(_), .. } => "Retry from here",
        Command::Shutdown { .. } => "Quit",
        Command::Raise {} => "Raise the window",
    }
}

/// What it is done to.
pub(super) fn subject_of(asked: &Command) -> Option<String> {
    match asked {
        Command::Start(Start { like: Some(run_id), .. })
        | Command::Pause { run_id }
        | Command::Resume { run_id, .. }
        | Command::Stop { run_id, .. }
        | Command::Retry { run_id, .. } => Some(run_id.to_string()),
        Command::Start(Start { pipeline, .. }) => pipeline.clone(),
        Command::Shutdown { .. } | Command::Raise {} => None,
    }
}

/// What it does, in one sentence.
pub(super) const fn tooltip_of(asked: &Command) -> Option<&'static str> {
    match asked {
        Command::Start(Start { like: None, .. }) => Some("Start a new run with the pipeline's defaults"),
        Command::Start(Start { like: Some(_), .. }) => Some("Start a new run with the same parameters"),
        Command::Pause { .. } => Some("Freeze every process of this run; its clocks stand still"),
        Command::Resume { .. } => Some("Go on where it stands; finished steps are not run again"),
        Command::Stop { force: false, .. } => {
            Some("Ask its processes to stop, and end them after their grace period")
        }
        Command::Stop { force: true, .. } => {
            Some("End its processes at once; not even its last steps are run")
        }
        Command::Retry { from: Some(_), .. } => Some("Run this step and what needs it again"),
        Command::Retry { from: None, .. } => Some("Run all its steps again"),
        Command::Shutdown { .. } | Command::Raise {} => None,
    }
}

/// Its icon.
pub(super) const fn icon_of(asked: &Command) -> Option<Icon> {
    match asked {
        Command::Start(Start { like: None, .. }) | Command::Resume { .. } => Some(Icon::Play),
        Command::Start(Start { like: Some(_), .. }) | Command::Retry { .. } => Some(Icon::Again),
        Command::Pause { .. } => Some(Icon::Snow),
        Command::Stop { force: false, .. } => Some(Icon::Stop),
        Command::Stop { force: true, .. } => Some(Icon::Cross),
        Command::Shutdown { .. } | Command::Raise {} => None,
    }
}

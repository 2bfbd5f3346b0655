//! How what can be asked of an engine reads on buttons: its text, subject, tooltip and icon.

use super::widgets::Icon;
use crate::api::{Command, StartRun};
use crate::settings::LimitParams;

/// What stands on its button.
pub(super) const fn text_of(asked: &Command) -> &'static str {
    match asked {
        Command::Start(StartRun { like: None, .. }) => "Start",
        Command::Start(StartRun { like: Some(_), .. }) => "Start again",
        Command::Pause { .. } => "Pause",
        Command::Resume { .. } => "Resume",
        Command::Stop { force: false, .. } => "Stop",
        Command::Stop { force: true, .. } => "Force stop",
        Command::Retry { from: None, .. } => "Retry",
        Command::Retry { from: Some(_), .. } => "Retry from here",
        Command::Admit { .. } => "Start anyway",
        Command::Quiet { .. } => "Be quiet",
        Command::EndQuiet {} => "End the quiet",
        Command::Drain {} => "Drain",
        Command::EndDrain {} => "End the drain",
        Command::AddJob(_) => "Add job",
        Command::SetJob(_) => "Change job",
        Command::RemoveJob { .. } => "Remove job",
        Command::EnableJob { .. } => "Enable job",
        Command::DisableJob { .. } => "Disable job",
        Command::RenameJob { .. } => "Rename job",
        Command::RunJobNow { .. } => "Run now",
        Command::Backfill { .. } => "Backfill job",
        Command::SetLimit(LimitParams { off: false, .. }) => "Set limit",
        Command::SetLimit(LimitParams { off: true, .. }) => "Take out limit",
        Command::Shutdown { .. } => "Quit",
        Command::Raise {} => "Raise the window",
    }
}

/// What it is done to.
pub(super) fn subject_of(asked: &Command) -> Option<String> {
    match asked {
        Command::Start(StartRun { like: Some(run_id), .. })
        | Command::Pause { run_id }
        | Command::Resume { run_id, .. }
        | Command::Stop { run_id, .. }
        | Command::Retry { run_id, .. }
        | Command::Admit { run_id } => Some(run_id.to_string()),
        Command::Start(StartRun { pipeline, .. }) => pipeline.clone(),
        Command::AddJob(params) | Command::SetJob(params) => Some(params.job_id.to_string()),
        Command::RemoveJob { job_id }
        | Command::EnableJob { job_id }
        | Command::DisableJob { job_id }
        | Command::RenameJob { job_id, .. }
        | Command::RunJobNow { job_id }
        | Command::Backfill { job_id, .. } => Some(job_id.to_string()),
        Command::SetLimit(params) => Some(format!("of {}", params.resource.name())),
        Command::Quiet { .. }
        | Command::EndQuiet {}
        | Command::Drain {}
        | Command::EndDrain {}
        | Command::Shutdown { .. }
        | Command::Raise {} => None,
    }
}

/// What it does, in one sentence.
pub(super) const fn tooltip_of(asked: &Command) -> Option<&'static str> {
    match asked {
        Command::Start(StartRun { like: None, .. }) => Some("Start a new run with the pipeline's defaults"),
        Command::Start(StartRun { like: Some(_), .. }) => Some("Start a new run with the same parameters"),
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
        Command::Admit { .. } => Some("Start it although what it waits for is not there"),
        Command::Quiet { .. } => Some("Freeze what runs and hold what is to start, until you end it"),
        Command::EndQuiet {} => Some("Let what was frozen go on, and start what was held one at a time"),
        Command::Drain {} => Some("Start nothing new; what runs goes on to its end"),
        Command::EndDrain {} => Some("Start runs again"),
        Command::RemoveJob { .. } => Some("Remove the job with the ledger of its fires; its runs stay"),
        Command::EnableJob { .. } => Some("Let it fire again from now on"),
        Command::DisableJob { .. } => {
            Some("Let it fire no more; what falls due meanwhile is never caught up")
        }
        Command::RunJobNow { .. } => Some("Run it by hand; when it is due next stays as it is"),
        Command::Backfill { .. } => Some("Run what was due in that time and did not run"),
        Command::AddJob(_) | Command::SetJob(_) | Command::RenameJob { .. } | Command::SetLimit(_) => None,
        Command::Shutdown { .. } | Command::Raise {} => None,
    }
}

/// Its icon.
pub(super) const fn icon_of(asked: &Command) -> Option<Icon> {
    match asked {
        Command::Start(StartRun { like: None, .. })
        | Command::Resume { .. }
        | Command::Admit { .. }
        | Command::EndQuiet {}
        | Command::EndDrain {}
        | Command::RunJobNow { .. } => Some(Icon::Play),
        Command::Start(StartRun { like: Some(_), .. }) | Command::Retry { .. } => Some(Icon::Again),
        Command::Pause { .. } | Command::Quiet { .. } => Some(Icon::Snow),
        Command::Stop { force: false, .. } => Some(Icon::Stop),
        Command::Stop { force: true, .. } => Some(Icon::Cross),
        Command::Drain {}
        | Command::AddJob(_)
        | Command::SetJob(_)
        | Command::RemoveJob { .. }
        | Command::EnableJob { .. }
        | Command::DisableJob { .. }
        | Command::RenameJob { .. }
        | Command::Backfill { .. }
        | Command::SetLimit(_)
        | Command::Shutdown { .. }
        | Command::Raise {} => None,
    }
}

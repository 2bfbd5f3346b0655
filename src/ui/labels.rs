//! The labels of the engine's commands on buttons: text, subject, tooltip and icon.

use super::icon::Icon;
use crate::api::{
    AddJob, Admit, Command, DisableJob, EnableJob, Pause, RemoveJob, Resume, Retry, RunJobNow, SetJob,
    SetLimit, StartRun, Stop,
};
use crate::settings::LimitParams;

/// What stands on its button.
pub(super) const fn text_of(command: &Command) -> &'static str {
    match command {
        Command::StartRun(StartRun { like: None, .. }) => "Start",
        Command::StartRun(StartRun { like: Some(_), .. }) => "Start again",
        Command::Pause(_) => "Pause",
        Command::Resume(_) => "Resume",
        Command::Stop(Stop { force: false, .. }) => "Stop",
        Command::Stop(Stop { force: true, .. }) => "Force stop",
        Command::Retry(Retry { from: None, .. }) => "Retry",
        Command::Retry(Retry { from: Some(_), .. }) => "Retry from here",
        Command::Admit(_) => "Start anyway",
        Command::Quiet(_) => "Be quiet",
        Command::EndQuiet(_) => "End the quiet",
        Command::Drain(_) => "Drain",
        Command::EndDrain(_) => "End the drain",
        Command::AddJob(_) => "Add job",
        Command::SetJob(_) => "Change job",
        Command::RemoveJob(_) => "Remove job",
        Command::EnableJob(_) => "Enable job",
        Command::DisableJob(_) => "Disable job",
        Command::RunJobNow(_) => "Run now",
        Command::SetLimit(SetLimit { params: LimitParams { off: false, .. } }) => "Set limit",
        Command::SetLimit(SetLimit { params: LimitParams { off: true, .. } }) => "Remove limit",
    }
}

/// What it is done to.
pub(super) fn subject_of(command: &Command) -> Option<String> {
    match command {
        Command::StartRun(StartRun { like: Some(run_id), .. })
        | Command::Pause(Pause { run_id })
        | Command::Resume(Resume { run_id, .. })
        | Command::Stop(Stop { run_id, .. })
        | Command::Retry(Retry { run_id, .. })
        | Command::Admit(Admit { run_id }) => Some(run_id.to_string()),
        Command::StartRun(StartRun { pipeline, .. }) => pipeline.clone(),
        Command::AddJob(AddJob { params }) | Command::SetJob(SetJob { params }) => {
            Some(params.job_id.to_string())
        }
        Command::RemoveJob(RemoveJob { job_id })
        | Command::EnableJob(EnableJob { job_id })
        | Command::DisableJob(DisableJob { job_id })
        | Command::RunJobNow(RunJobNow { job_id }) => Some(job_id.to_string()),
        Command::SetLimit(SetLimit { params }) => Some(format!("of {}", params.resource.name())),
        Command::Quiet(_) | Command::EndQuiet(_) | Command::Drain(_) | Command::EndDrain(_) => None,
    }
}

/// What it does, in one sentence.
pub(super) const fn tooltip_of(command: &Command) -> Option<&'static str> {
    match command {
        Command::StartRun(StartRun { like: None, .. }) => {
            Some("Start a new run with the pipeline's defaults")
        }
        Command::StartRun(StartRun { like: Some(_), .. }) => Some("Start a new run with the same parameters"),
        Command::Pause(_) => Some("Freeze every process of this run; its clocks stand still"),
        Command::Resume(_) => Some("Go on where it stands; finished steps are not run again"),
        Command::Stop(Stop { force: false, .. }) => {
            Some("Ask its processes to stop, and kill them after their grace period")
        }
        Command::Stop(Stop { force: true, .. }) => {
            Some("Kill its processes at once; its `finally` steps do not run")
        }
        Command::Retry(Retry { from: Some(_), .. }) => {
            Some("Run this step, and all steps that need it, again")
        }
        Command::Retry(Retry { from: None, .. }) => Some("Run all its steps again"),
        Command::Admit(_) => Some("Start it now, without what it waits for"),
        Command::Quiet(_) => Some("Freeze all runs and start no new ones, until you end it"),
        Command::EndQuiet(_) => Some("Let frozen runs go on, and start held runs one at a time"),
        Command::Drain(_) => Some("Start nothing new; current runs go on to their end"),
        Command::EndDrain(_) => Some("Start runs again"),
        Command::RemoveJob(_) => Some("Remove the job and the record of its fires; its runs stay"),
        Command::EnableJob(_) => Some("Let it fire again from now on"),
        Command::DisableJob(_) => Some("Stop it from firing; what it misses meanwhile is never caught up"),
        Command::RunJobNow(_) => Some("Run it now; its next due time does not change"),
        Command::AddJob(_) | Command::SetJob(_) | Command::SetLimit(_) => None,
    }
}

/// Its icon.
pub(super) const fn icon_of(command: &Command) -> Option<Icon> {
    match command {
        Command::StartRun(StartRun { like: None, .. })
        | Command::Resume(_)
        | Command::Admit(_)
        | Command::EndQuiet(_)
        | Command::EndDrain(_)
        | Command::RunJobNow(_) => Some(Icon::Play),
        Command::StartRun(StartRun { like: Some(_), .. }) | Command::Retry(_) => Some(Icon::Again),
        Command::Pause(_) | Command::Quiet(_) => Some(Icon::Snow),
        Command::Stop(Stop { force: false, .. }) => Some(Icon::Stop),
        Command::Stop(Stop { force: true, .. }) => Some(Icon::Cross),
        Command::Drain(_)
        | Command::AddJob(_)
        | Command::SetJob(_)
        | Command::RemoveJob(_)
        | Command::EnableJob(_)
        | Command::DisableJob(_)
        | Command::SetLimit(_) => None,
    }
}

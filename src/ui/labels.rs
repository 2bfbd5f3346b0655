//! The labels of the engine's commands on buttons: text, icon, tooltip, key and subject.

use egui::{Key, Modifiers};

use super::command::Label;
use super::icon::Icon;
use super::log_page::LogCommand;
use super::time_line::{Shown, TimeCommand};
use crate::api::{
    AddJob, Admit, Command, DisableJob, Drain, EnableJob, EndDrain, EndQuiet, Pause, RemoveJob, Resume,
    Retry, RunJobNow, SetJob, SetLimit, StartRun, Stop,
};
use crate::settings::LimitParams;

/// What stands on its button.
pub(super) const fn label_of(command: &Command) -> Label {
    match command {
        Command::StartRun(StartRun { like: None, .. }) => {
            Label::new("Start").icon(Icon::Play).tooltip("Start a new run with the pipeline's defaults")
        }
        Command::StartRun(StartRun { like: Some(_), .. }) => {
            Label::new("Start again").icon(Icon::Again).tooltip("Start a new run with the same parameters")
        }
        Command::Pause(_) => Label::new("Pause")
            .icon(Icon::Snow)
            .tooltip("Freeze every process of this run; its clocks stand still")
            .key(Modifiers::NONE, Key::Space),
        Command::Resume(_) => Label::new("Resume")
            .icon(Icon::Play)
            .tooltip("Go on where it stands; finished steps are not run again")
            .key(Modifiers::NONE, Key::Space),
        Command::Stop(Stop { force: false, .. }) => Label::new("Stop")
            .icon(Icon::Stop)
            .tooltip("Ask its processes to stop, and kill them after their grace period")
            .key(Modifiers::COMMAND, Key::Backspace),
        Command::Stop(Stop { force: true, .. }) => Label::new("Force stop")
            .icon(Icon::Cross)
            .tooltip("Kill its processes at once; its `finally` steps do not run"),
        Command::Retry(Retry { from: None, .. }) => {
            Label::new("Retry").icon(Icon::Again).tooltip("Run all its steps again")
        }
        Command::Retry(Retry { from: Some(_), .. }) => Label::new("Retry from here")
            .icon(Icon::Again)
            .tooltip("Run this step, and all steps that need it, again"),
        Command::Admit(_) => {
            Label::new("Start anyway").icon(Icon::Play).tooltip("Start it now, without what it waits for")
        }
        Command::Quiet(_) => Label::new("Be quiet")
            .icon(Icon::Snow)
            .tooltip("Freeze all runs and start no new ones, until you end it"),
        Command::EndQuiet(_) => Label::new("End the quiet")
            .icon(Icon::Play)
            .tooltip("Let frozen runs go on, and start held runs one at a time"),
        Command::Drain(_) => {
            Label::new("Drain").tooltip("Start nothing new; current runs go on to their end")
        }
        Command::EndDrain(_) => Label::new("End the drain").icon(Icon::Play).tooltip("Start runs again"),
        Command::AddJob(_) => Label::new("Add job"),
        Command::SetJob(_) => Label::new("Change job"),
        Command::RemoveJob(_) => {
            Label::new("Remove job").tooltip("Remove the job and the record of its fires; its runs stay")
        }
        Command::EnableJob(_) => Label::new("Enable job").tooltip("Let it fire again from now on"),
        Command::DisableJob(_) => Label::new("Disable job")
            .tooltip("Stop it from firing; what it misses meanwhile is never caught up"),
        Command::RunJobNow(_) => {
            Label::new("Run now").icon(Icon::Play).tooltip("Run it now; its next due time does not change")
        }
        Command::SetLimit(SetLimit { params: LimitParams { off: false, .. } }) => Label::new("Set limit"),
        Command::SetLimit(SetLimit { params: LimitParams { off: true, .. } }) => Label::new("Remove limit"),
    }
}

/// The same of a command about a whole log.
pub(super) const fn log_label(command: &LogCommand) -> Label {
    const CTRL: Modifiers = Modifiers::COMMAND;
    const NONE: Modifiers = Modifiers::NONE;
    match command {
        LogCommand::OpenAt(..) => Label::new("Open the log at this second").icon(Icon::List),
        LogCommand::Open(_) => {
            Label::new("Open the log").icon(Icon::List).tooltip("Read and search all of it").key(CTRL, Key::L)
        }
        LogCommand::Close => Label::new("Close the log").icon(Icon::Close).key(NONE, Key::Escape),
        LogCommand::Find => Label::new("Search the log").icon(Icon::Search).key(CTRL, Key::F),
        LogCommand::Previous => Label::new("Go to the hit before").key(Modifiers::SHIFT, Key::F3),
        LogCommand::Next => Label::new("Go to the next hit").key(NONE, Key::F3),
        LogCommand::Filter => Label::new("Only hits").tooltip("Show only the lines that have the text"),
        LogCommand::GoToTime => Label::new("Go to time"),
        LogCommand::Follow => {
            Label::new("Follow").tooltip("Stay at the end as the log grows").key(CTRL, Key::End)
        }
        LogCommand::Wrap => Label::new("Wrap").tooltip("Wrap long lines").key(CTRL, Key::W),
        LogCommand::Copy => Label::new("Copy lines")
            .tooltip("Copy the selected lines (click or Space, with Shift for several)"),
    }
}

/// The same of a command about the time.
pub(super) const fn time_label(command: &TimeCommand) -> Label {
    match command {
        TimeCommand::Line(_) => Label::new("Move the line in time"),
        TimeCommand::Show(_, Shown::All) => Label::new("Show all of the time"),
        TimeCommand::Show(..) => Label::new("Show a part of the time"),
        TimeCommand::OpenLogs(..) => Label::new("Show what they logged at this second"),
    }
}

/// What was done, as a message says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Deed {
    /// In the past tense.
    pub(super) verb: &'static str,
    /// What it is done to, for a count of several.
    pub(super) noun: &'static str,
}

/// What carrying out a command has done.
pub(super) const fn deed_of(command: &Command) -> Deed {
    let (verb, noun) = match command {
        Command::StartRun(StartRun { like: None, .. }) => ("Started", "run"),
        Command::StartRun(StartRun { like: Some(_), .. }) => ("Started again:", "run"),
        Command::Pause(_) => ("Paused", "run"),
        Command::Resume(_) => ("Resumed", "run"),
        Command::Stop(Stop { force: false, .. }) => ("Asked to stop:", "run"),
        Command::Stop(Stop { force: true, .. }) => ("Force stopped", "run"),
        Command::Retry(_) => ("Runs again:", "run"),
        Command::Admit(_) => ("Admitted", "run"),
        Command::Quiet(_) => ("It is quiet now", ""),
        Command::EndQuiet(_) => ("The quiet has ended", ""),
        Command::Drain(_) => ("Nothing new starts now", ""),
        Command::EndDrain(_) => ("Runs start again", ""),
        Command::AddJob(_) => ("Added", "job"),
        Command::SetJob(_) => ("Changed", "job"),
        Command::RemoveJob(_) => ("Removed", "job"),
        Command::EnableJob(_) => ("Enabled", "job"),
        Command::DisableJob(_) => ("Disabled", "job"),
        Command::RunJobNow(_) => ("Runs now:", "job"),
        Command::SetLimit(SetLimit { params: LimitParams { off: false, .. } }) => ("Set the limit", "limit"),
        Command::SetLimit(SetLimit { params: LimitParams { off: true, .. } }) => {
            ("Removed the limit", "limit")
        }
    };
    Deed { verb, noun }
}

/// What undoes a command exactly; none if nothing does.
pub(super) fn undo_of(command: &Command) -> Option<Command> {
    match command {
        Command::Pause(Pause { run_id }) => Some(Command::resume(run_id)),
        Command::Quiet(_) => Some(EndQuiet {}.into()),
        Command::Drain(_) => Some(EndDrain {}.into()),
        Command::EndDrain(_) => Some(Drain {}.into()),
        Command::EnableJob(EnableJob { job_id }) => Some(DisableJob { job_id: job_id.clone() }.into()),
        Command::DisableJob(DisableJob { job_id }) => Some(EnableJob { job_id: job_id.clone() }.into()),
        // The run may have been resumed from any state, the quiet may have had an end, and what has ended, started or
        // was removed can't be taken back.
        Command::Resume(_)
        | Command::EndQuiet(_)
        | Command::StartRun(_)
        | Command::Stop(_)
        | Command::Retry(_)
        | Command::Admit(_)
        | Command::AddJob(_)
        | Command::SetJob(_)
        | Command::RemoveJob(_)
        | Command::RunJobNow(_)
        | Command::SetLimit(_) => None,
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

//! Everything that can be done in the window, in one enum. Buttons, shortcuts and the palette take their texts,
//! tooltips, keys and icons from it. Views push its values, and the window runs them after the frame is painted.

use egui::{Key, KeyboardShortcut, Modifiers, ThemePreference};

use super::icon::Icon;
use super::labels::{icon_of, subject_of, text_of, tooltip_of};
use crate::api;
use crate::base::id::{JobId, RunId, StepId};
use crate::window::{Action, HistorySpan, QuitChoice};

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Command {
    /// Send an action through the port.
    Send(Action),
    /// Go to a page.
    Show(Page),
    /// Select a run, or none.
    Select(Option<RunId>),
    /// Select the next or the previous row.
    SelectNeighbour(Neighbour),
    /// Follow the log of this step; none means of the running one.
    ChooseStep(Option<StepId>),
    /// Select a job, or none.
    SelectJob(Option<JobId>),
    /// Open the form for a new job.
    NewJob,
    /// These rows of the list of jobs are visible; none when the list is not open.
    ShowJobs(Option<std::ops::Range<usize>>),
    /// Save the form of a job.
    SaveJob,
    /// Undo the changes in the form of a job.
    RevertJob,
    /// Ask before removing a job.
    AskRemoveJob(JobId),
    /// Show this much of the machine's history.
    ShowSpan(HistorySpan),
    /// Save the form of the limits.
    SaveLimits,
    /// Undo the changes in the form of the limits.
    RevertLimits,
    /// Freeze every running run.
    PauseAll,
    /// Thaw every paused run.
    ResumeAll,
    /// Ask before stopping every living run.
    AskStopAll,
    /// Stop every living run.
    StopAll,
    /// Open the palette.
    OpenPalette,
    /// Close the overlay.
    CloseOverlay,
    /// Quit, after asking what to do with living runs.
    AskQuit,
    /// Show or hide the decisions of recovery.
    ToggleReview,
    /// Remove the decisions of recovery.
    DismissDecisions,
    /// Remove a failure, by its index.
    DismissFailure(usize),
    /// Choose the theme.
    SetTheme(ThemePreference),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Page {
    /// Running runs, and those that have just ended.
    #[default]
    Now,
    /// Ended runs.
    History,
    /// Pipelines, which can be started.
    Pipelines,
    /// Jobs, which start by themselves.
    Schedule,
    /// The machine's figures and limits.
    Machine,
}

/// A direction in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Neighbour {
    Next,
    Previous,
}

impl Page {
    pub(super) const ALL: [Self; 5] =
        [Self::Now, Self::History, Self::Pipelines, Self::Schedule, Self::Machine];

    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Now => "Now",
            Self::History => "History",
            Self::Pipelines => "Pipelines",
            Self::Schedule => "Schedule",
            Self::Machine => "Machine",
        }
    }

    /// Whether it lists runs and shows the selected one.
    pub(super) const fn shows_runs(self) -> bool {
        match self {
            Self::Now | Self::History => true,
            Self::Pipelines | Self::Schedule | Self::Machine => false,
        }
    }

    pub(super) const fn icon(self) -> Icon {
        match self {
            Self::Now => Icon::Now,
            Self::History => Icon::List,
            Self::Pipelines => Icon::Branch,
            Self::Schedule => Icon::Clock,
            Self::Machine => Icon::Wave,
        }
    }
}

impl Command {
    /// The text of its button; the palette adds [`Self::subject`].
    pub(super) fn text(&self) -> String {
        match self {
            Self::Send(action) => action_text(action).to_owned(),
            Self::Show(page) => page.text().to_owned(),
            Self::Select(Some(_)) => "Show".to_owned(),
            Self::Select(None) => "Close details".to_owned(),
            Self::SelectNeighbour(Neighbour::Next) => "Select the next row".to_owned(),
            Self::SelectNeighbour(Neighbour::Previous) => "Select the row before".to_owned(),
            Self::SelectJob(Some(_)) => "Show job".to_owned(),
            Self::SelectJob(None) => "Close the job".to_owned(),
            Self::NewJob => "New job".to_owned(),
            Self::ShowJobs(_) => "Look up jobs".to_owned(),
            Self::SaveJob | Self::SaveLimits => "Save".to_owned(),
            Self::RevertJob | Self::RevertLimits => "Revert".to_owned(),
            Self::ShowSpan(HistorySpan::Hour) => "Show the machine's last hour".to_owned(),
            Self::ShowSpan(HistorySpan::Day) => "Show the machine's last day".to_owned(),
            Self::ShowSpan(HistorySpan::Month) => "Show the machine's last month".to_owned(),
            Self::AskRemoveJob(_) => "Remove job…".to_owned(),
            Self::ChooseStep(Some(_)) => "Follow its log".to_owned(),
            Self::ChooseStep(None) => "Follow the running step".to_owned(),
            Self::PauseAll => "Pause all".to_owned(),
            Self::ResumeAll => "Resume all".to_owned(),
            Self::AskStopAll => "Stop all…".to_owned(),
            Self::StopAll => "Stop all".to_owned(),
            Self::OpenPalette => "Search or do anything".to_owned(),
            Self::CloseOverlay => "Cancel".to_owned(),
            Self::AskQuit => "Quit…".to_owned(),
            Self::ToggleReview => "Review".to_owned(),
            Self::DismissDecisions | Self::DismissFailure(_) => "Dismiss".to_owned(),
            Self::SetTheme(ThemePreference::System) => "Theme of the system".to_owned(),
            Self::SetTheme(ThemePreference::Dark) => "Dark theme".to_owned(),
            Self::SetTheme(ThemePreference::Light) => "Light theme".to_owned(),
        }
    }

    /// What it acts on, such as a run's id.
    pub(super) fn subject(&self) -> Option<String> {
        match self {
            Self::Send(action) => match action {
                Action::Do(command) => subject_of(command),
                Action::LoadRun(run_id) | Action::SelectStep { run_id, .. } => Some(run_id.to_string()),
                Action::SelectRun(run_id) => run_id.as_ref().map(RunId::to_string),
                Action::LoadJob(job_id) => Some(job_id.to_string()),
                Action::SaveJob(form) => Some(form.job_id().to_string()),
                Action::LoadJobs { .. }
                | Action::LoadHistory(_)
                | Action::CountEnded
                | Action::Refresh
                | Action::OpenFolder(_)
                | Action::KeepLook(_)
                | Action::Quit(_) => None,
            },
            Self::Select(run_id) => run_id.as_ref().map(RunId::to_string),
            Self::ChooseStep(step_id) => step_id.as_ref().map(StepId::to_string),
            Self::SelectJob(job_id) => job_id.as_ref().map(JobId::to_string),
            Self::AskRemoveJob(job_id) => Some(job_id.to_string()),
            Self::SaveLimits | Self::RevertLimits => Some("limits".to_owned()),
            Self::NewJob | Self::ShowJobs(_) | Self::SaveJob | Self::RevertJob | Self::ShowSpan(_) => None,
            Self::Show(_)
            | Self::SelectNeighbour(_)
            | Self::PauseAll
            | Self::ResumeAll
            | Self::AskStopAll
            | Self::StopAll
            | Self::OpenPalette
            | Self::CloseOverlay
            | Self::AskQuit
            | Self::ToggleReview
            | Self::DismissDecisions
            | Self::DismissFailure(_)
            | Self::SetTheme(_) => None,
        }
    }

    /// Its text and subject: its name for screen readers, the palette and messages.
    pub(super) fn name(&self) -> String {
        match self.subject() {
            Some(subject) => format!("{} {subject}", self.text()),
            None => self.text(),
        }
    }

    /// What it does, in one sentence.
    pub(super) fn tooltip(&self) -> Option<&'static str> {
        match self {
            Self::Send(action) => match action {
                Action::Do(command) => tooltip_of(command),
                Action::OpenFolder(_) => Some("Show it in the file manager"),
                Action::SelectRun(_)
                | Action::SelectStep { .. }
                | Action::LoadRun(_)
                | Action::LoadJobs { .. }
                | Action::LoadJob(_)
                | Action::LoadHistory(_)
                | Action::CountEnded
                | Action::SaveJob(_)
                | Action::Refresh
                | Action::KeepLook(_)
                | Action::Quit(_) => None,
            },
            Self::PauseAll => Some("Freeze every running run"),
            Self::ResumeAll => Some("Let every paused run go on"),
            Self::Show(_)
            | Self::Select(_)
            | Self::SelectNeighbour(_)
            | Self::ChooseStep(_)
            | Self::AskStopAll
            | Self::StopAll
            | Self::OpenPalette
            | Self::CloseOverlay
            | Self::AskQuit
            | Self::ToggleReview
            | Self::SelectJob(_)
            | Self::NewJob
            | Self::ShowJobs(_)
            | Self::SaveJob
            | Self::RevertJob
            | Self::ShowSpan(_)
            | Self::SaveLimits
            | Self::RevertLimits
            | Self::AskRemoveJob(_)
            | Self::DismissDecisions
            | Self::DismissFailure(_)
            | Self::SetTheme(_) => None,
        }
    }

    /// Its key. The keys of runs act on the selected run.
    pub(super) const fn shortcut(&self) -> Option<KeyboardShortcut> {
        let (modifiers, key) = match self {
            Self::Send(Action::Do(api::Command::Pause(_) | api::Command::Resume(_))) => {
                (Modifiers::NONE, Key::Space)
            }
            Self::Send(Action::Do(api::Command::Stop(api::Stop { force: false, .. }))) => {
                (Modifiers::COMMAND, Key::Backspace)
            }
            Self::Show(Page::Now) => (Modifiers::COMMAND, Key::Num1),
            Self::Show(Page::History) => (Modifiers::COMMAND, Key::Num2),
            Self::Show(Page::Pipelines) => (Modifiers::COMMAND, Key::Num3),
            Self::Show(Page::Schedule) => (Modifiers::COMMAND, Key::Num4),
            Self::NewJob => (Modifiers::COMMAND, Key::N),
            Self::Show(Page::Machine) => (Modifiers::COMMAND, Key::Num5),
            Self::SaveJob | Self::SaveLimits => (Modifiers::COMMAND, Key::S),
            Self::Select(None) | Self::SelectJob(None) => (Modifiers::NONE, Key::Escape),
            Self::SelectNeighbour(Neighbour::Next) => (Modifiers::NONE, Key::ArrowDown),
            Self::SelectNeighbour(Neighbour::Previous) => (Modifiers::NONE, Key::ArrowUp),
            Self::OpenPalette => (Modifiers::COMMAND, Key::K),
            Self::AskQuit => (Modifiers::COMMAND, Key::Q),
            Self::Send(
                Action::Do(_)
                | Action::SelectRun(_)
                | Action::SelectStep { .. }
                | Action::LoadRun(_)
                | Action::LoadJobs { .. }
                | Action::LoadJob(_)
                | Action::LoadHistory(_)
                | Action::CountEnded
                | Action::SaveJob(_)
                | Action::Refresh
                | Action::OpenFolder(_)
                | Action::KeepLook(_)
                | Action::Quit(_),
            )
            | Self::Select(Some(_))
            | Self::ChooseStep(_)
            | Self::PauseAll
            | Self::ResumeAll
            | Self::AskStopAll
            | Self::StopAll
            | Self::CloseOverlay
            | Self::SelectJob(Some(_))
            | Self::ShowJobs(_)
            | Self::RevertJob
            | Self::ShowSpan(_)
            | Self::RevertLimits
            | Self::AskRemoveJob(_)
            | Self::ToggleReview
            | Self::DismissDecisions
            | Self::DismissFailure(_)
            | Self::SetTheme(_) => return None,
        };
        Some(KeyboardShortcut::new(modifiers, key))
    }

    pub(super) const fn icon(&self) -> Option<Icon> {
        match self {
            Self::Send(action) => match action {
                Action::Do(command) => icon_of(command),
                Action::OpenFolder(_) => Some(Icon::Folder),
                Action::SelectRun(_)
                | Action::SelectStep { .. }
                | Action::LoadRun(_)
                | Action::LoadJobs { .. }
                | Action::LoadJob(_)
                | Action::LoadHistory(_)
                | Action::CountEnded
                | Action::SaveJob(_)
                | Action::Refresh
                | Action::KeepLook(_)
                | Action::Quit(_) => None,
            },
            Self::Show(page) => Some(page.icon()),
            Self::ShowSpan(_) => Some(Icon::Wave),
            Self::NewJob => Some(Icon::Plus),
            Self::AskRemoveJob(_) => Some(Icon::Cross),
            Self::PauseAll => Some(Icon::Snow),
            Self::ResumeAll => Some(Icon::Play),
            Self::AskStopAll | Self::StopAll => Some(Icon::Stop),
            Self::OpenPalette => Some(Icon::Search),
            Self::SetTheme(_) => Some(Icon::HalfMoon),
            Self::Select(_)
            | Self::SelectNeighbour(_)
            | Self::ChooseStep(_)
            | Self::CloseOverlay
            | Self::AskQuit
            | Self::ToggleReview
            | Self::SelectJob(_)
            | Self::ShowJobs(_)
            | Self::SaveJob
            | Self::RevertJob
            | Self::SaveLimits
            | Self::RevertLimits
            | Self::DismissDecisions
            | Self::DismissFailure(_) => None,
        }
    }
}

const fn action_text(action: &Action) -> &'static str {
    match action {
        Action::Do(command) => text_of(command),
        Action::SelectRun(_) => "Show",
        Action::SelectStep { .. } => "Follow its log",
        Action::LoadRun(_) => "Load",
        Action::LoadJobs { .. } | Action::LoadJob(_) => "Look up jobs",
        Action::LoadHistory(_) => "Look up the machine's history",
        Action::CountEnded => "Count the runs that have ended",
        Action::SaveJob(_) => "Save job",
        Action::Refresh => "Refresh",
        Action::OpenFolder(_) => "Open folder",
        Action::KeepLook(_) => "Save the appearance",
        Action::Quit(QuitChoice::LeaveRunning) => "Leave running",
        Action::Quit(QuitChoice::Freeze) => "Freeze",
        Action::Quit(QuitChoice::Stop) => "Stop",
        Action::Quit(QuitChoice::Close) => "Close window",
    }
}

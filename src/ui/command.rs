//! Everything that can be done in the window, in one enum. Buttons, shortcuts and the palette take their texts,
//! tooltips, keys and icons from it. Views push its values, and the window runs them after the frame is painted.

use std::path::{Path, PathBuf};

use egui::{Key, KeyboardShortcut, Modifiers, ThemePreference};

use super::icon::Icon;
use super::labels::{label_of, log_label, subject_of, time_label};
use super::log_page::LogCommand;
use super::schedule_page::{LedgerSpan, ScheduleTab};
use super::time_line::TimeCommand;
use crate::base::id::{AttemptKey, JobId, PipelineId, RunId, StepId};
use crate::window::{
    Action, AwayMark, Density, Folder, Formats, HistorySpan, LogOf, NowGroups, NowOrder, QuitChoice,
};

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Command {
    /// Send an action through the port.
    Send(Action),
    /// Go to a page.
    Show(Page),
    /// Open the page of a run.
    OpenRun(RunId),
    /// Compare the selected run with this one.
    CompareWith(RunId),
    /// Leave the page of a run.
    CloseRun,
    /// Show this on the page of a run.
    ShowRunTab(RunTab),
    /// Select a run, or none.
    Select(Option<RunId>),
    /// Select the next or the previous row.
    SelectNeighbour(Neighbour),
    /// Follow the log of this step; none means of the running one.
    ChooseStep(Option<StepId>),
    /// Something about the whole log of an attempt.
    Log(LogCommand),
    /// Something about the line in time.
    Time(TimeCommand),
    /// Select the pipeline of this file, or none.
    SelectPipeline(Option<PathBuf>),
    /// Open the form for a new pipeline.
    AskNewPipeline,
    /// Write the file of the new pipeline.
    MakePipeline,
    /// Show a job on its page.
    OpenJob(JobId),
    /// Select a job, or none.
    SelectJob(Option<JobId>),
    /// Open the form for a new job.
    NewJob,
    /// Open the form for a new job of this pipeline.
    NewJobOf(String),
    /// Show this on the page of jobs.
    ShowScheduleTab(ScheduleTab),
    /// Show the fires of this time, of all jobs or only of the selected one.
    ShowFires(LedgerSpan, bool),
    /// Open the form that runs what a job missed.
    AskBackfill(JobId),
    /// Run what the open form of a backfill says.
    RunBackfill,
    /// These rows of the list of jobs are visible; none when the list is not open.
    ShowJobs(Option<std::ops::Range<usize>>),
    /// Save the form of a job.
    SaveJob,
    /// Undo the changes in the form of a job.
    RevertJob,
    /// Ask before removing a job.
    AskRemoveJob(JobId),
    /// Open the form that starts this pipeline.
    AskStart(String),
    /// Open the form that starts a run again, with its values.
    AskStartLike(RunId),
    /// Start the run of the open form, or go to its first error.
    StartForm,
    /// Open the form of a new job with the values of the open start form.
    ScheduleForm,
    /// List the runs too that have ended since the list was read.
    ShowNewRuns,
    /// List all ended runs.
    ClearRunFilter,
    /// Mark the selected run, or no longer.
    MarkRun,
    /// Select the next or the previous row and mark both.
    MarkNeighbour(Neighbour),
    /// Ask before the marked runs are deleted.
    AskDeleteMarked,
    /// Delete these runs.
    DeleteRuns(Vec<RunId>),
    /// Mark no run.
    UnmarkRuns,
    /// Run what did not complete in the marked runs again; of completed ones, everything.
    RetryMarked,
    /// Compare the two marked runs.
    CompareMarked,
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
    /// Open the outline of the page.
    OpenOutline,
    /// Close the overlay.
    CloseOverlay,
    /// Quit, after asking what to do with living runs.
    AskQuit,
    /// Mark what was handled of what happened while the operator was away.
    MarkAway(AwayMark),
    /// Remove a failure, by its index.
    DismissFailure(usize),
    /// Choose the theme.
    SetTheme(ThemePreference),
    /// Choose the scale of everything, in percent.
    SetScale(u16),
    /// Choose how times and numbers are written.
    SetFormats(Formats),
    /// Choose how high the rows of lists are.
    SetDensity(Density),
    /// Save the form of the settings.
    SaveSettings,
    /// Undo the changes in the form of the settings.
    RevertSettings,
    /// Choose the order of living runs.
    OrderNow(NowOrder),
    /// Choose how living runs are grouped.
    GroupNow(NowGroups),
    /// Put the rows of living runs in order, with the new ones, though the pointer is over them.
    ShowNewRows,
    /// List the ended runs of a pipeline.
    ShowHistoryOf(PipelineId),
    /// List the ended runs with this text in a name.
    SearchHistory(String),
    /// Undo what a message says was done, by its index.
    Undo(usize),
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
    /// The selected run.
    Run,
    /// What happened while the operator was away.
    Away,
    /// The settings.
    Settings,
}

/// What the page of a run shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum RunTab {
    /// Its steps as a graph and over time, and the log of one of them.
    #[default]
    Overview,
    /// The table of its steps.
    Steps,
    Parameters,
    Checkpoints,
    Outputs,
    /// What recovery decided.
    Decisions,
    Definition,
    /// What it has not in common with another run.
    Compare,
    /// The log of the chosen step alone.
    Log,
}

impl RunTab {
    pub(super) const ALL: [Self; 9] = [
        Self::Overview,
        Self::Steps,
        Self::Parameters,
        Self::Checkpoints,
        Self::Outputs,
        Self::Decisions,
        Self::Definition,
        Self::Compare,
        Self::Log,
    ];

    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Steps => "Steps",
            Self::Parameters => "Parameters",
            Self::Checkpoints => "Checkpoints",
            Self::Outputs => "Outputs",
            Self::Decisions => "Decisions",
            Self::Definition => "Definition",
            Self::Compare => "Compare",
            Self::Log => "Log",
        }
    }
}

/// A direction in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Neighbour {
    Next,
    Previous,
}

impl Neighbour {
    /// The index of the row that it leads to from the one at `at`; the first if there is none.
    pub(super) const fn of(self, at: Option<usize>) -> usize {
        match (at, self) {
            (None, _) => 0,
            (Some(at), Self::Next) => at + 1,
            (Some(at), Self::Previous) => at.saturating_sub(1),
        }
    }
}

impl Page {
    /// Those that the rail has.
    pub(super) const ALL: [Self; 5] =
        [Self::Now, Self::History, Self::Pipelines, Self::Schedule, Self::Machine];

    /// Those at the foot of the rail.
    pub(super) const MORE: [Self; 2] = [Self::Settings, Self::Away];

    /// What its entry shows.
    pub(super) const fn label(self) -> Label {
        let (text, icon, key) = match self {
            Self::Now => ("Now", Icon::Now, Key::Num1),
            Self::History => ("History", Icon::List, Key::Num2),
            Self::Pipelines => ("Pipelines", Icon::Branch, Key::Num3),
            Self::Schedule => ("Schedule", Icon::Clock, Key::Num4),
            Self::Machine => ("Machine", Icon::Wave, Key::Num5),
            Self::Away => ("While you were away", Icon::Bolt, Key::Num6),
            Self::Settings => ("Settings", Icon::Sliders, Key::Comma),
            // It is opened by Enter, and the rail has no entry for it.
            Self::Run => return Label::new("Run"),
        };
        Label::new(text).icon(icon).key(Modifiers::COMMAND, key)
    }

    /// Whether it lists runs and shows the selected one.
    pub(super) const fn shows_runs(self) -> bool {
        match self {
            Self::Now | Self::History | Self::Run => true,
            Self::Pipelines | Self::Schedule | Self::Machine | Self::Away | Self::Settings => false,
        }
    }
}

/// What its button shows.
pub(super) struct Label {
    pub(super) text: &'static str,
    pub(super) icon: Option<Icon>,
    /// What it does, in one sentence.
    pub(super) tooltip: Option<&'static str>,
    /// Its key. The keys of runs act on the selected run.
    pub(super) shortcut: Option<KeyboardShortcut>,
}

impl Label {
    pub(super) const fn new(text: &'static str) -> Self {
        Self { text, icon: None, tooltip: None, shortcut: None }
    }

    pub(super) const fn icon(mut self, icon: Icon) -> Self {
        self.icon = Some(icon);
        self
    }

    pub(super) const fn tooltip(mut self, tooltip: &'static str) -> Self {
        self.tooltip = Some(tooltip);
        self
    }

    pub(super) const fn key(mut self, modifiers: Modifiers, key: Key) -> Self {
        self.shortcut = Some(KeyboardShortcut::new(modifiers, key));
        self
    }
}

impl Command {
    /// What its button shows; the palette adds [`Self::subject`] to the text.
    pub(super) const fn label(&self) -> Label {
        const CTRL: Modifiers = Modifiers::COMMAND;
        const NONE: Modifiers = Modifiers::NONE;
        match self {
            Self::Send(action) => action_label(action),
            Self::Show(page) => page.label(),
            Self::OpenRun(_) => Label::new("Open the run")
                .tooltip("All about this run, on a page of its own")
                .key(NONE, Key::Enter),
            Self::CompareWith(_) => Label::new("Compare")
                .tooltip("Compare its durations, memory, parameters, definition and logs"),
            Self::CloseRun => Label::new("Back").key(NONE, Key::Escape),
            Self::ShowRunTab(RunTab::Log) => Label::new(RunTab::Log.text()).key(NONE, Key::Enter),
            Self::ShowRunTab(tab) => Label::new(tab.text()),
            Self::Select(Some(_)) => Label::new("Show"),
            Self::Select(None) => Label::new("Close details").key(NONE, Key::Escape),
            Self::SelectNeighbour(Neighbour::Next) => {
                Label::new("Select the next row").key(NONE, Key::ArrowDown)
            }
            Self::SelectNeighbour(Neighbour::Previous) => {
                Label::new("Select the row before").key(NONE, Key::ArrowUp)
            }
            Self::SelectPipeline(Some(_)) => Label::new("Show pipeline"),
            Self::SelectPipeline(None) => Label::new("Close the pipeline").key(NONE, Key::Escape),
            Self::AskNewPipeline => Label::new("New pipeline…").icon(Icon::Plus).key(CTRL, Key::N),
            Self::MakePipeline => Label::new("Create"),
            Self::OpenJob(_) => Label::new("Show job").tooltip("Show it on the page of jobs"),
            Self::NewJobOf(_) => {
                Label::new("Schedule…").icon(Icon::Clock).tooltip("Add a job that starts it")
            }
            Self::SelectJob(Some(_)) => Label::new("Show job"),
            Self::SelectJob(None) => Label::new("Close the job").key(NONE, Key::Escape),
            Self::NewJob => Label::new("New job").icon(Icon::Plus).key(CTRL, Key::N),
            Self::ShowScheduleTab(tab) => Label::new(tab.text()),
            Self::ShowFires(..) => Label::new("Show fires"),
            Self::AskBackfill(_) => {
                Label::new("Backfill…").tooltip("Run what it was due for in the past and did not run")
            }
            Self::RunBackfill => Label::new("Run").icon(Icon::Play),
            Self::ShowJobs(_) => Label::new("Look up jobs"),
            Self::SaveJob | Self::SaveLimits | Self::SaveSettings => Label::new("Save").key(CTRL, Key::S),
            Self::RevertJob | Self::RevertLimits | Self::RevertSettings => Label::new("Revert"),
            Self::SetScale(_) => Label::new("Scale"),
            Self::SetDensity(Density::Comfortable) => Label::new("Comfortable rows"),
            Self::SetDensity(Density::Compact) => Label::new("Compact rows"),
            Self::SetFormats(Formats::System) => Label::new("Write times and numbers as the system does"),
            Self::SetFormats(Formats::Neutral) => Label::new("Write times and numbers without a language"),
            Self::AskStart(_) => Label::new("Start…")
                .icon(Icon::Play)
                .tooltip("Choose its parameters, run type, environment and priority first"),
            Self::AskStartLike(_) => Label::new("Again with…")
                .icon(Icon::Again)
                .tooltip("Start a new run; its parameters can be changed first"),
            Self::StartForm => Label::new("Start").icon(Icon::Play),
            Self::ScheduleForm => {
                Label::new("Start on a schedule…").tooltip("Add a job that starts it with these values")
            }
            Self::ShowSpan(HistorySpan::Hour) => Label::new("Show the machine's last hour").icon(Icon::Wave),
            Self::ShowSpan(HistorySpan::Day) => Label::new("Show the machine's last day").icon(Icon::Wave),
            Self::ShowSpan(HistorySpan::Month) => {
                Label::new("Show the machine's last month").icon(Icon::Wave)
            }
            Self::ShowNewRuns => Label::new("Show new runs")
                .icon(Icon::Plus)
                .tooltip("List what has ended since the list was read"),
            Self::ClearRunFilter => Label::new("Clear filters").icon(Icon::Close).tooltip("List all runs"),
            Self::MarkRun => Label::new("Mark the run").key(NONE, Key::M),
            Self::MarkNeighbour(Neighbour::Next) => {
                Label::new("Mark the next row too").key(Modifiers::SHIFT, Key::ArrowDown)
            }
            Self::MarkNeighbour(Neighbour::Previous) => {
                Label::new("Mark the row before too").key(Modifiers::SHIFT, Key::ArrowUp)
            }
            Self::AskDeleteMarked => Label::new("Delete marked…").icon(Icon::Cross),
            Self::DeleteRuns(_) => Label::new("Delete").icon(Icon::Cross),
            Self::UnmarkRuns => Label::new("Mark none"),
            Self::RetryMarked => Label::new("Retry marked").icon(Icon::Again).tooltip(
                "Run what did not complete in each again from its beginning; of completed ones, everything",
            ),
            Self::CompareMarked => Label::new("Compare marked")
                .tooltip("Compare the durations, memory, parameters, definitions and logs of both"),
            Self::AskRemoveJob(_) => Label::new("Remove job…").icon(Icon::Cross),
            Self::ChooseStep(Some(_)) => Label::new("Follow its log"),
            Self::ChooseStep(None) => Label::new("Follow the running step"),
            Self::Log(command) => log_label(command),
            Self::Time(command) => time_label(command),
            Self::PauseAll => Label::new("Pause all").icon(Icon::Snow).tooltip("Freeze every running run"),
            Self::ResumeAll => {
                Label::new("Resume all").icon(Icon::Play).tooltip("Let every paused run go on")
            }
            Self::AskStopAll => Label::new("Stop all…")
                .icon(Icon::Stop)
                .tooltip("Ask every living run to stop, after a question"),
            Self::StopAll => Label::new("Stop all").icon(Icon::Stop),
            Self::OpenPalette => Label::new("Search or do anything").icon(Icon::Search).key(CTRL, Key::K),
            Self::OpenOutline => Label::new("Outline of the page")
                .icon(Icon::List)
                .tooltip("Every graph and plot as a tree that is walked by keys")
                .key(CTRL, Key::O),
            Self::CloseOverlay => Label::new("Cancel").key(NONE, Key::Escape),
            Self::AskQuit => Label::new("Quit…").key(CTRL, Key::Q),
            Self::MarkAway(AwayMark::All(_)) => Label::new("Mark all as handled").icon(Icon::Check),
            Self::MarkAway(AwayMark::Handled(_)) => Label::new("Skip")
                .icon(Icon::Check)
                .tooltip("Only mark as handled: nothing is run or changed"),
            Self::MarkAway(AwayMark::Seen(_)) => Label::new("Mark as seen"),
            Self::DismissFailure(_) => Label::new("Dismiss"),
            Self::SetTheme(ThemePreference::System) => Label::new("Theme of the system").icon(Icon::HalfMoon),
            Self::SetTheme(ThemePreference::Dark) => Label::new("Dark theme").icon(Icon::HalfMoon),
            Self::SetTheme(ThemePreference::Light) => Label::new("Light theme").icon(Icon::HalfMoon),
            Self::OrderNow(_) => Label::new("Order living runs:").tooltip("The order of living runs"),
            Self::GroupNow(_) => Label::new("Group living runs:").tooltip("How living runs are grouped"),
            Self::ShowHistoryOf(_) => Label::new("Show the history of").icon(Icon::List),
            Self::SearchHistory(_) => Label::new("Search the history for").icon(Icon::Search),
            Self::Undo(_) => Label::new("Undo").icon(Icon::Again),
            Self::ShowNewRows => Label::new("Show new rows")
                .icon(Icon::Plus)
                .tooltip("Put the rows in order, with those that are new"),
        }
    }

    /// What it acts on, such as a run's id.
    pub(super) fn subject(&self) -> Option<String> {
        match self {
            Self::Send(action) => match action {
                Action::Do(command) => subject_of(command),
                Action::LoadRun(run_id)
                | Action::LoadFacts(run_id)
                | Action::Compare(run_id, _)
                | Action::SelectStep(AttemptKey { run_id, .. }) => Some(run_id.to_string()),
                Action::OpenFolder(Folder::At(path)) | Action::LoadFolder(path) => {
                    Some(path.display().to_string())
                }
                Action::OpenFolder(Folder::Log(key)) | Action::OpenLog(Some(LogOf::Attempt(key))) => {
                    Some(key.step_id.to_string())
                }
                Action::SelectRun(run_id) => run_id.as_ref().map(RunId::to_string),
                Action::LoadJob(job_id) => Some(job_id.to_string()),
                Action::LoadPipeline { id, .. } => Some(id.clone()),
                Action::NewPipeline { pipeline_id, .. } => Some(pipeline_id.to_string()),
                Action::EditFile { path, .. } => file_name(path),
                Action::PreviewBackfill { job_id, .. } | Action::Backfill { job_id, .. } => {
                    Some(job_id.to_string())
                }
                Action::SaveJob(form) => Some(form.job_id().to_string()),
                Action::LoadStart(of) => Some(of.pipeline_id.clone()),
                Action::LoadJobs { .. }
                | Action::LoadPipelines(_)
                | Action::LoadDay
                | Action::LoadMonth(_)
                | Action::LoadFires(_)
                | Action::ExportFires(_)
                | Action::LoadHistory(_)
                | Action::LoadEstimates(_)
                | Action::LoadJobNames
                | Action::AskTime(_)
                | Action::CountEnded
                | Action::Start(_)
                | Action::LoadAway(_)
                | Action::MarkAway(_)
                | Action::LoadSettings
                | Action::SaveSettings(_)
                | Action::LoadRuns(_)
                | Action::DeleteRuns(_)
                | Action::Refresh
                | Action::OpenFolder(Folder::Logs(_) | Folder::Pipelines | Folder::Of(_))
                | Action::OpenLog(None | Some(LogOf::Merged(_)))
                | Action::AskLog(_)
                | Action::KeepLook(_)
                | Action::Quit(_) => None,
            },
            Self::OpenRun(run_id) | Self::CompareWith(run_id) => Some(run_id.to_string()),
            Self::Select(run_id) => run_id.as_ref().map(RunId::to_string),
            Self::ChooseStep(step_id) => step_id.as_ref().map(StepId::to_string),
            Self::Log(command) => command.subject(),
            Self::Time(_) => None,
            Self::SelectPipeline(path) => path.as_deref().and_then(file_name),
            Self::OpenJob(job_id) | Self::AskBackfill(job_id) => Some(job_id.to_string()),
            Self::NewJobOf(pipeline) => Some(pipeline.clone()),
            Self::SelectJob(job_id) => job_id.as_ref().map(JobId::to_string),
            Self::AskRemoveJob(job_id) => Some(job_id.to_string()),
            Self::AskStart(pipeline) => Some(pipeline.clone()),
            Self::AskStartLike(run_id) => Some(run_id.to_string()),
            Self::SaveLimits | Self::RevertLimits => Some("limits".to_owned()),
            Self::SaveSettings | Self::RevertSettings => Some("settings".to_owned()),
            Self::SetScale(percent) => Some(format!("{percent} %")),
            Self::SetFormats(_) => None,
            Self::ShowHistoryOf(pipeline_id) => Some(pipeline_id.to_string()),
            Self::SearchHistory(text) => Some(text.clone()),
            Self::OrderNow(order) => Some(order.text().to_lowercase()),
            Self::GroupNow(groups) => Some(groups.text().to_lowercase()),
            Self::AskNewPipeline
            | Self::ScheduleForm
            | Self::ShowScheduleTab(_)
            | Self::ShowFires(..)
            | Self::RunBackfill
            | Self::MakePipeline
            | Self::NewJob
            | Self::ShowJobs(_)
            | Self::SaveJob
            | Self::RevertJob
            | Self::StartForm
            | Self::ShowSpan(_)
            | Self::ShowNewRuns
            | Self::ClearRunFilter
            | Self::MarkRun
            | Self::MarkNeighbour(_)
            | Self::AskDeleteMarked
            | Self::DeleteRuns(_)
            | Self::UnmarkRuns
            | Self::RetryMarked
            | Self::CompareMarked => None,
            Self::Show(_)
            | Self::CloseRun
            | Self::ShowRunTab(_)
            | Self::SelectNeighbour(_)
            | Self::PauseAll
            | Self::ResumeAll
            | Self::AskStopAll
            | Self::StopAll
            | Self::OpenPalette
            | Self::OpenOutline
            | Self::CloseOverlay
            | Self::AskQuit
            | Self::MarkAway(_)
            | Self::DismissFailure(_)
            | Self::ShowNewRows
            | Self::Undo(_)
            | Self::SetDensity(_)
            | Self::SetTheme(_) => None,
        }
    }

    /// Its text and subject: its name for screen readers, the palette and messages.
    pub(super) fn name(&self) -> String {
        match self.subject() {
            Some(subject) => format!("{} {subject}", self.label().text),
            None => self.label().text.to_owned(),
        }
    }
}

fn file_name(path: &Path) -> Option<String> {
    Some(path.file_name()?.to_string_lossy().into_owned())
}

const fn action_label(action: &Action) -> Label {
    match action {
        Action::Do(command) => label_of(command),
        Action::SelectRun(_) => Label::new("Show"),
        Action::SelectStep(_) => Label::new("Follow its log"),
        Action::LoadRun(_) | Action::LoadFacts(_) => Label::new("Load"),
        Action::Compare(..) => Label::new("Compare"),
        Action::LoadJobs { .. } | Action::LoadJob(_) | Action::LoadJobNames => Label::new("Look up jobs"),
        Action::LoadEstimates(_) => Label::new("Look up how long runs take"),
        Action::LoadPipelines(_) | Action::LoadPipeline { .. } => Label::new("Look up pipelines"),
        Action::EditFile { .. } => Label::new("Edit")
            .icon(Icon::List)
            .tooltip("Open the file in your editor; what is wrong with it shows here as it is saved")
            .key(Modifiers::COMMAND, Key::E),
        Action::LoadDay | Action::LoadMonth(_) | Action::LoadFires(_) => Label::new("Look up fires"),
        Action::ExportFires(_) => Label::new("Export CSV")
            .icon(Icon::Folder)
            .tooltip("Write all rows that match into a file for spreadsheets"),
        Action::PreviewBackfill { .. } => Label::new("Look up a backfill of"),
        Action::Backfill { .. } => Label::new("Backfill"),
        Action::NewPipeline { .. } => Label::new("Create the pipeline"),
        Action::LoadHistory(_) | Action::AskTime(_) => Label::new("Look up the machine's history"),
        Action::CountEnded => Label::new("Count the runs that have ended"),
        Action::LoadRuns(_) => Label::new("Look up the runs that have ended"),
        Action::DeleteRuns(_) => Label::new("Delete runs"),
        Action::SaveJob(_) => Label::new("Save job"),
        Action::LoadFolder(_) => Label::new("Look into the folder"),
        Action::LoadStart(_) => Label::new("Prepare the start of"),
        Action::Start(_) => Label::new("Start a run"),
        Action::LoadSettings => Label::new("Look up the settings"),
        Action::SaveSettings(_) => Label::new("Save settings"),
        Action::LoadAway(_) => Label::new("Look up what happened meanwhile"),
        Action::MarkAway(_) => Label::new("Mark as handled"),
        Action::Refresh => Label::new("Refresh"),
        Action::OpenLog(_) | Action::AskLog(_) => Label::new("Read the log"),
        Action::OpenFolder(Folder::Log(_)) => {
            Label::new("Open outside").icon(Icon::Folder).tooltip("Show its file in the program for texts")
        }
        Action::OpenFolder(Folder::At(_)) => Label::new("Open").icon(Icon::Folder),
        Action::OpenFolder(Folder::Logs(_) | Folder::Pipelines | Folder::Of(_)) => {
            Label::new("Open folder").icon(Icon::Folder).tooltip("Show it in the file manager")
        }
        Action::KeepLook(_) => Label::new("Save the appearance"),
        Action::Quit(QuitChoice::LeaveRunning) => Label::new("Leave running"),
        Action::Quit(QuitChoice::Freeze) => Label::new("Freeze"),
        Action::Quit(QuitChoice::Stop) => Label::new("Stop"),
        Action::Quit(QuitChoice::Close) => Label::new("Close window"),
    }
}

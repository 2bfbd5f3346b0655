//! The window's own state: which page, which dialog. Views read it, and the window changes it.

use egui::{SystemTheme, ThemePreference};

use super::command::{Page, RunTab};
use super::history_filter::HistoryState;
use super::job_form::SchedulePage;
use super::limit_form::MachinePage;
use super::log_page::LogPage;
use super::start_form::StartForm;
use super::time_line::TimeLine;
use super::views::PaletteState;
use crate::base::id::{JobId, RunId};
use crate::window::{QuitChoice, WindowLook};

/// The overlay over the page.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) enum Overlay {
    /// Nothing.
    #[default]
    None,
    Palette(PaletteState),
    /// The question what to do with living runs.
    Quit,
    /// Living runs are being left, frozen or stopped; then the window closes.
    Leaving(QuitChoice),
    /// The question whether to stop every run.
    StopAll,
    /// The question whether to remove a job.
    RemoveJob(JobId),
    /// The form that starts a run.
    Start(Box<StartForm>),
}

/// The window's own state.
#[derive(Debug)]
pub(super) struct WindowState {
    pub(super) page: Page,
    /// The page from which the page of a run was opened.
    pub(super) back: Page,
    /// What the page of a run shows.
    pub(super) run_tab: RunTab,
    /// The run with which the selected one is compared; none: the newest other one.
    pub(super) compared_with: Option<RunId>,
    pub(super) overlay: Overlay,
    pub(super) is_review_open: bool,
    pub(super) theme: ThemePreference,
    /// The page of jobs. It is taken out while a frame is painted, because its form is edited in place.
    pub(super) schedule: SchedulePage,
    /// The page of the machine, likewise.
    pub(super) machine: MachinePage,
    /// The page of ended runs, likewise.
    pub(super) history: HistoryState,
    /// The open log, likewise.
    pub(super) log: LogPage,
    /// The line in time, and what of it each axis shows.
    pub(super) time: TimeLine,
    pub(super) may_close: bool,
    /// The look that was saved last.
    pub(super) look: WindowLook,
    /// The theme that the title bar got last.
    pub(super) title_bar: Option<SystemTheme>,
}

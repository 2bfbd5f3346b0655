//! The window's own state: which page, which dialog. Views read it, and the window changes it.

use chrono::{DateTime, Utc};
use egui::{SystemTheme, ThemePreference};

use super::announce::Announcer;
use super::command::{Page, RunTab};
use super::format::Manner;
use super::history_filter::HistoryState;
use super::job_form::SchedulePage;
use super::limit_form::MachinePage;
use super::log_page::LogPage;
use super::now_page::NowPage;
use super::outline::OutlineState;
use super::pipeline_list::{NewPipeline, PipelineList};
use super::schedule_page::BackfillForm;
use super::settings_form::SettingsPage;
use super::start_form::StartForm;
use super::time_line::TimeLine;
use super::toasts::Toasts;
use super::views::PaletteState;
use crate::base::id::{JobId, RunId};
use crate::window::{Density, Formats, QuitChoice, WindowLook};

/// The overlay over the page.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) enum Overlay {
    /// Nothing.
    #[default]
    None,
    Palette(PaletteState),
    /// The outline of the page.
    Outline(OutlineState),
    /// The question what to do with living runs.
    Quit,
    /// Living runs are being left, frozen or stopped; then the window closes.
    Leaving(QuitChoice),
    /// The question whether to stop every run.
    StopAll,
    /// The question whether to force the end of a run.
    ForceStop(RunId),
    /// The question whether to remove a job.
    RemoveJob(JobId),
    /// The form that starts a run.
    Start(Box<StartForm>),
    /// The question whether to delete these runs.
    DeleteRuns(Vec<RunId>),
    /// The form for a new pipeline.
    NewPipeline(NewPipeline),
    /// The form of a backfill.
    Backfill(BackfillForm),
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
    /// Whether the window has the focus, so that the operator is there; none until that is known.
    pub(super) is_there: Option<bool>,
    /// When the operator was there last.
    pub(super) there_until: DateTime<Utc>,
    pub(super) theme: ThemePreference,
    /// The page of jobs. It is taken out while a frame is painted, because its form is edited in place.
    pub(super) schedule: SchedulePage,
    /// The page of the machine, likewise.
    pub(super) machine: MachinePage,
    /// The page of ended runs, likewise.
    pub(super) history: HistoryState,
    /// The page of pipelines, likewise.
    pub(super) pipelines: PipelineList,
    /// The open log, likewise.
    pub(super) log: LogPage,
    /// The page of settings, likewise.
    pub(super) settings: SettingsPage,
    /// How high the rows of lists are.
    pub(super) density: Density,
    /// How times and numbers are written, and how the system does.
    pub(super) formats: Formats,
    pub(super) of_system: Manner,
    /// What a screen reader announces.
    pub(super) announcer: Announcer,
    /// The page of living runs, likewise.
    pub(super) now: NowPage,
    /// What was done.
    pub(super) toasts: Toasts,
    /// The line in time, and what of it each axis shows.
    pub(super) time: TimeLine,
    pub(super) may_close: bool,
    /// The look that was saved last.
    pub(super) look: WindowLook,
    /// The title of the window.
    pub(super) title: &'static str,
    /// The theme that the title bar got last.
    pub(super) title_bar: Option<SystemTheme>,
}

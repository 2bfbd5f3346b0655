//! Views. Each is a function of the read model that paints and pushes commands. No view keeps the state of a run, waits
//! for anything or changes the store.

mod away;
mod axis;
mod backfill;
mod banner;
mod day_ahead;
mod detail;
mod dialogs;
mod frame;
mod history;
mod history_trend;
mod job_card;
mod job_row;
mod lanes;
mod ledger;
mod limits_card;
mod log_tail;
mod log_view;
mod machine;
mod machine_plots;
mod menus;
mod month;
mod new_pipeline;
mod now;
mod now_list;
mod now_traffic;
mod outline;
mod outline_tree;
mod palette;
mod path_popup;
mod pipeline_card;
mod pipelines;
mod plotted;
mod ran_then;
mod recent;
mod run_compare;
mod run_facts;
mod run_gantt;
mod run_graph;
mod run_grid;
mod run_page;
mod run_steps;
mod running;
mod schedule;
mod scrub;
mod settings;
mod start_sheet;
mod timeline;
mod tiny;
mod toasts;
mod waiting;

use chrono::{DateTime, Utc};
use egui::{Stroke, StrokeKind, Ui};

use super::beat::Beat;
use super::command::{Command, Page};
use super::history_filter::HistoryState;
use super::job_form::SchedulePage;
use super::limit_form::MachinePage;
use super::log_page::LogPage;
use super::now_page::NowPage;
use super::pipeline_list::PipelineList;
use super::settings_form::SettingsPage;
use super::state::WindowState;
use super::theme;
use crate::window::AppStore;
pub(super) use banner::strip_ui;
pub(super) use dialogs::overlay_ui;
pub(super) use frame::{header_ui, rail_ui};
pub(super) use palette::PaletteState;
pub(super) use run_compare::other_run;
pub(super) use tiny::tiny_ui;
pub(super) use toasts::toasts_ui;

/// What a view paints from.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) store: &'a AppStore,
    pub(super) state: &'a WindowState,
    /// The wall clock of this frame, from [`Beat::now`].
    pub(super) now: DateTime<Utc>,
    /// Gets a call for everything painted that changes with time.
    pub(super) beat: &'a Beat,
}

impl View<'_> {
    /// The height of a row of a list of runs.
    pub(super) const fn row(&self) -> f32 {
        theme::row(self.state.density)
    }
}

/// Marks what has the focus, whatever painted it.
pub(super) fn focus_ring(ui: &Ui) {
    let focused = ui.memory(|memory| memory.focused()).and_then(|id| ui.ctx().read_response(id));
    let Some(focused) = focused.filter(|focused| focused.interact_rect.is_positive()) else { return };
    let painter = ui.ctx().layer_painter(focused.layer_id).with_clip_rect(focused.interact_rect.expand(3.0));
    let ring = Stroke::new(2.0, theme::tokens(ui).accent);
    painter.rect_stroke(focused.rect.expand(2.0), theme::CARD_RADIUS, ring, StrokeKind::Inside);
}

/// The commands pushed while painting; they run after the frame is painted.
pub(super) type Commands = Vec<Command>;

/// What is edited in place on the pages; each takes its own.
pub(super) struct Forms<'a> {
    pub(super) now: &'a mut NowPage,
    pub(super) schedule: &'a mut SchedulePage,
    pub(super) machine: &'a mut MachinePage,
    pub(super) history: &'a mut HistoryState,
    pub(super) pipelines: &'a mut PipelineList,
    pub(super) log: &'a mut LogPage,
    pub(super) settings: &'a mut SettingsPage,
}

/// The open page. The forms are those of the pages that have one.
pub(super) fn page_ui(
    ui: &mut Ui,
    view: View<'_>,
    Forms { now, schedule, machine, history, pipelines, log, settings }: Forms<'_>,
    out: &mut Commands,
) {
    if let Some(open) = view.store.log_view() {
        return log_view::log_view_ui(ui, view, open, log, out);
    }
    match view.state.page {
        Page::Now => now::now_ui(ui, view, now, out),
        Page::History => history::history_ui(ui, view, history, out),
        Page::Pipelines => pipelines::pipelines_ui(ui, view, pipelines, out),
        Page::Schedule => schedule::schedule_ui(ui, view, schedule, out),
        Page::Machine => machine::machine_ui(ui, view, machine, out),
        Page::Settings => settings::settings_ui(ui, view, (settings, machine), out),
        Page::Away => away::away_ui(ui, view, out),
        Page::Run => run_page::run_page_ui(ui, view, out),
    }
}

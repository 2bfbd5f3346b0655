//! Views. Each is a function of the read model that paints and pushes commands. No view keeps the state of a run, waits
//! for anything or changes the store.

mod axis;
mod banner;
mod detail;
mod dialogs;
mod frame;
mod history;
mod history_trend;
mod job_card;
mod job_row;
mod lanes;
mod limits_card;
mod log_tail;
mod log_view;
mod machine;
mod machine_plots;
mod menus;
mod now;
mod palette;
mod pipelines;
mod plotted;
mod ran_then;
mod recent;
mod run_compare;
mod run_facts;
mod run_gantt;
mod run_graph;
mod run_page;
mod run_steps;
mod running;
mod schedule;
mod scrub;
mod start_sheet;
mod timeline;
mod waiting;

use chrono::{DateTime, Utc};
use egui::Ui;

use super::beat::Beat;
use super::command::{Command, Page};
use super::history_filter::HistoryState;
use super::job_form::SchedulePage;
use super::limit_form::MachinePage;
use super::log_page::LogPage;
use super::state::WindowState;
use crate::window::AppStore;
pub(super) use dialogs::overlay_ui;
pub(super) use frame::{header_ui, rail_ui};
pub(super) use palette::PaletteState;
pub(super) use run_compare::other_run;
pub(super) use waiting::is_waiting;

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

/// The commands pushed while painting; they run after the frame is painted.
pub(super) type Commands = Vec<Command>;

/// The open page. The forms are those of the pages that have one.
pub(super) fn page_ui(
    ui: &mut Ui,
    view: View<'_>,
    (schedule, machine, history, log): (&mut SchedulePage, &mut MachinePage, &mut HistoryState, &mut LogPage),
    out: &mut Commands,
) {
    if let Some(open) = view.store.log_view() {
        return log_view::log_view_ui(ui, view, open, log, out);
    }
    match view.state.page {
        Page::Now => now::now_ui(ui, view, out),
        Page::History => history::history_ui(ui, view, history, out),
        Page::Pipelines => pipelines::pipelines_ui(ui, view, out),
        Page::Schedule => schedule::schedule_ui(ui, view, schedule, out),
        Page::Machine => machine::machine_ui(ui, view, machine, out),
        Page::Run => run_page::run_page_ui(ui, view, out),
    }
}

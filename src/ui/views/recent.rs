//! The row of a run that has ended.

use egui::{Align2, Id, Rect, Response, Ui, pos2, vec2};

use super::super::command::Command;
use super::super::offers::first_lever;
use super::super::widgets::{
    AccessibleName, Corners, Icon, Lever, RowKind, label_at, numbers_at, row_ui, state_at,
};
use super::running::{names_at, state_text};
use super::{Commands, View, menus};
use crate::api;
use crate::run::{RunState, RunSummary};
use crate::ui::{format, theme};
use crate::window::Action;

const FIRST: f32 = 98.0;
const SECOND: f32 = 114.0;

/// The widths of the first two levers of a row `width` wide; what it says has the rest.
fn lever_widths(width: f32) -> (f32, f32) {
    if width > LONG { (FIRST, SECOND) } else { (theme::LEVER, theme::LEVER) }
}

/// From this width on, a row has room for the words of its levers.
const LONG: f32 = 900.0;

/// One run that has ended, in a list.
#[derive(Clone, Copy)]
pub(crate) struct EndedRow<'a> {
    pub(crate) run: &'a RunSummary,
    pub(crate) time: RowTime,
    pub(crate) is_selected: bool,
    /// Whether it is the last row of its card.
    pub(crate) is_last: bool,
}

/// Which instant a row shows: the one by which its list is ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowTime {
    Started,
    Ended,
}

/// Paints it; its levers push their commands.
pub(crate) fn ended_row_ui(ui: &mut Ui, view: View<'_>, row: &EndedRow<'_>, out: &mut Commands) -> Response {
    let EndedRow { run, time, is_selected, is_last } = *row;
    let state = state_text(run, view);
    let (why, ink) = why_text(ui, run);
    let (word, at) = match time {
        RowTime::Started => ("started", run.started_at),
        RowTime::Ended => ("ended", run.finished_at.unwrap_or(run.started_at)),
    };
    let when = format::when(at, view.now);
    let took = format::duration(run.took(view.now));
    let name = format!("{state}, {}, {}, {why}, {word} {when}, took {took}", run.pipeline_id, run.run_id);
    let corners = if is_last { Corners::Bottom } else { Corners::Square };
    let kind = RowKind { name: &name, is_selected, corners };
    let row_id = Id::unique(("ended run", run.run_id.as_str()));
    let (rect, mut response) = row_ui(ui, row_id, view.row(), &kind);
    let (first, second) = lever_widths(rect.width());
    let left = rect.right() - first - 6.0 - second - 2.0 - theme::LEVER;
    let levers = Rect::from_min_max(pos2(left, rect.top()), rect.max);
    if ui.is_rect_visible(rect) {
        let tokens = theme::tokens(ui);
        let column =
            |left: f32, width: f32| Rect::from_min_size(pos2(left, rect.top()), vec2(width, rect.height()));
        let is_long = rect.width() > LONG;
        let state_column = column(rect.left(), if is_long { 112.0 } else { 104.0 });
        let job = column(state_column.right() + theme::GAP, if is_long { 186.0 } else { 140.0 });
        let time = column(levers.left() - theme::GAP - 122.0, 122.0);
        let place_left = job.right() + theme::GAP;
        state_at(ui, state_column, Icon::of_run(run.state), &state, tokens.run_state(run.state));
        names_at(ui, job, run);
        let (upper, lower) = theme::two_lines(rect);
        let width = time.left() - theme::GAP - place_left;
        let at = pos2(place_left, rect.center().y);
        let shown = label_at(ui, at, Align2::LEFT_CENTER, why.clone(), (theme::body(), ink), width);
        if shown.width() > width - 2.0 {
            response = response.tip(&why);
        }
        numbers_at(ui, pos2(time.left(), upper), Align2::LEFT_CENTER, &when, (theme::body(), tokens.text));
        let took = format!("took {took}");
        numbers_at(ui, pos2(time.left(), lower), Align2::LEFT_CENTER, &took, (theme::small(), tokens.muted));
    }
    levers_ui(ui, levers, (first, second), (run, is_selected), out);
    response
}

/// Why it ended, in one sentence.
fn why_text(ui: &Ui, run: &RunSummary) -> (String, egui::Color32) {
    let tokens = theme::tokens(ui);
    let ink = match run.state {
        RunState::Failed | RunState::Interrupted => tokens.run_state(run.state),
        RunState::Queued
        | RunState::Running
        | RunState::Paused
        | RunState::Stopping
        | RunState::Stopped
        | RunState::ForceStopped
        | RunState::Completed => tokens.muted,
    };
    let text = match (&run.error, run.state) {
        (Some(error), _) => error.to_string(),
        (None, RunState::Stopped | RunState::ForceStopped) => match &run.current_step {
            Some(step) => format!("Stopped in {step} at {}", format::percent(run.progress)),
            None => "Stopped before its first step".to_owned(),
        },
        (None, _) => run.message.as_ref().map_or_else(String::new, |message| message.to_string()),
    };
    (text, ink)
}

fn levers_ui(
    ui: &mut Ui,
    rect: Rect,
    (first, second): (f32, f32),
    (run, is_selected): (&RunSummary, bool),
    out: &mut Commands,
) {
    let (run_id, state) = (&run.run_id, run.state);
    let height = theme::lever_in(rect);
    let top = rect.center().y - height / 2.0;
    let place = |left: f32, width: f32| Rect::from_min_size(pos2(left, top), vec2(width, height));
    if state.is_resumable() {
        let command = Command::Send(first_lever(run));
        if Lever::of(&command).ui_at(ui, place(rect.left(), first)).clicked() {
            out.push(command);
        }
    }
    let again = Command::Send(Action::Do(api::Command::start_like(&run.pipeline_id, run_id)));
    if Lever::of(&again).ui_at(ui, place(rect.left() + first + 6.0, second)).clicked() {
        out.push(again);
    }
    let more = place(rect.right() - theme::LEVER, theme::LEVER);
    let response = Lever::icon(Icon::More, format!("More for {run_id}")).ui_at(ui, more);
    menus::run_menu_ui(&response, run, is_selected, out);
}

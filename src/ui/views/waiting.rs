//! The row of a run that has not begun, or in which a step waits and none runs. It has one sentence about what the run
//! waits for, with the run that has it as a link.

use egui::{Align2, CursorIcon, Id, Rect, Role, Sense, Ui, pos2, vec2};

use super::super::command::Command;
use super::super::offers::second_lever;
use super::super::widgets::{
    AccessibleName, Corners, Icon, Lever, RowKind, label_at, numbers_at, row_ui, state_at,
};
use super::running::{names_at, pull_row};
use super::{Commands, View, menus};
use crate::admission::Wait;
use crate::api;
use crate::base::id::{RunId, StepId};
use crate::run::RunState;
use crate::ui::{format, theme};
use crate::window::{Action, RunEntry};

/// The width of the levers at the right of each row.
const LEVERS: f32 = ADMIT + 6.0 + SKIP + 2.0 + theme::LEVER;
const ADMIT: f32 = 128.0;
const SKIP: f32 = 76.0;
/// The smallest width in which a run's name is readable.
const MIN_LINK: f32 = 48.0;

/// What a run, or one of its steps, waits for, by the last update.
fn wait_of<'a>(view: View<'a>, entry: &'a RunEntry, step_id: Option<&StepId>) -> Option<&'a Wait> {
    let recorded = || match step_id {
        None => entry.run.waits_for.as_deref(),
        Some(step_id) => {
            let step = entry.steps().iter().find(|step| step.step_id == *step_id)?;
            step.waits_for.as_deref()
        }
    };
    view.store.wait(&entry.run.run_id, step_id).or_else(recorded)
}

/// The sentence of a wait at `pos`, with the run that has what is waited for as a link.
fn sentence_at(
    ui: &mut Ui,
    pos: egui::Pos2,
    (sentence, holder): (&str, Option<&RunId>),
    width: f32,
    out: &mut Commands,
) {
    let tokens = theme::tokens(ui);
    let muted = (theme::body(), tokens.muted);
    let parts = holder.and_then(|holder| Some((holder, sentence.split_once(holder.as_str())?)));
    let Some((holder, (before, after))) = parts else {
        label_at(ui, pos, Align2::LEFT_CENTER, sentence, muted, width);
        return;
    };
    let right = pos.x + width;
    let shown = label_at(ui, pos, Align2::LEFT_CENTER, before, muted.clone(), width);
    if shown.right() + MIN_LINK > right {
        // The sentence is cut already; the row's tooltip has all of it.
        return;
    }
    let at = pos2(shown.right(), pos.y);
    let link =
        label_at(ui, at, Align2::LEFT_CENTER, holder.as_str(), (theme::body(), tokens.accent), right - at.x);
    let response = ui
        .interact(link, ui.scope_id().with(("holder", pos.y as i32, holder.as_str())), Sense::click())
        .on_hover_cursor(CursorIcon::PointingHand);
    response.says(Role::Link, &format!("Show {holder}"));
    if response.clicked() {
        out.push(Command::Select(Some(holder.clone())));
    }
    label_at(ui, pos2(link.right(), pos.y), Align2::LEFT_CENTER, after, muted, right - link.right());
}

pub(crate) fn waiting_row_ui(
    ui: &mut Ui,
    view: View<'_>,
    entry: &RunEntry,
    corners: Corners,
    out: &mut Commands,
) {
    let run = &entry.run;
    let wait = wait_of(view, entry, entry.held_step());
    let sentence = match wait {
        Some(wait) => wait.sentence(view.now),
        None => run.error.as_deref().unwrap_or("Waiting for its turn").to_owned(),
    };
    let is_selected = view.store.selected().is_some_and(|selected| selected.run.run_id == run.run_id);
    view.beat.about(view.now - run.started_at);
    let waited = format!("for {}", format::about(view.now - run.started_at));
    let name = format!("waiting {waited}, {}, {}, {sentence}", run.pipeline_id, run.run_id);
    let kind = RowKind { name: &name, is_selected, corners };
    let (rect, response) = row_ui(ui, Id::unique(("living run", run.run_id.as_str())), view.row(), &kind);
    pull_row(&response, &run.run_id, out);
    let levers = Rect::from_min_max(pos2(rect.right() - LEVERS, rect.top()), rect.max);
    if ui.is_rect_visible(rect) {
        let tokens = theme::tokens(ui);
        let (upper, lower) = theme::two_lines(rect);
        let state = Rect::from_min_size(rect.min, vec2(112.0, rect.height()));
        state_at(ui, state, Icon::of_run(RunState::Queued), "waiting", tokens.queued);
        let job_width = if rect.width() < 820.0 { 150.0 } else { 186.0 };
        let job =
            Rect::from_min_size(pos2(state.right() + theme::GAP, rect.top()), vec2(job_width, rect.height()));
        names_at(ui, job, &entry.run);
        let left = job.right() + theme::GAP;
        let width = levers.left() - left - theme::GAP;
        sentence_at(ui, pos2(left, upper), (&sentence, wait.and_then(Wait::holder)), width, out);
        numbers_at(ui, pos2(left, lower), Align2::LEFT_CENTER, &waited, (theme::small(), tokens.muted));
        if response.hovered() {
            response.clone().tip(&sentence);
        }
    }
    let height = theme::lever_in(rect);
    let top = rect.center().y - height / 2.0;
    let mut left = levers.left();
    let admit = Action::Do(api::Command::admit(&run.run_id));
    for (command, width, gap) in [(admit, ADMIT, 6.0), (second_lever(run), SKIP, 2.0)] {
        let place = Rect::from_min_size(pos2(left, top), vec2(width, height));
        let command = Command::Send(command);
        let lever = if is_selected { Lever::of_selected(&command) } else { Lever::of(&command) };
        if lever.ui_at(ui, place).clicked() {
            out.push(command);
        }
        left += width + gap;
    }
    let place = Rect::from_min_size(pos2(left, top), vec2(theme::LEVER, height));
    let response = Lever::icon(Icon::More, format!("More for {}", run.run_id)).ui_at(ui, place);
    menus::run_menu_ui(&response, &entry.run, is_selected, out);
}

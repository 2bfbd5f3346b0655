//! The trend of one pipeline: how long its newest runs took, a bar each, with those marked that did not complete.

use chrono::TimeDelta;
use egui::{Align2, CornerRadius, CursorIcon, Rect, Role, Sense, Stroke, StrokeKind, Ui, pos2, vec2};

use super::super::command::Command;
use super::super::widgets::{AccessibleName, Card, Icon, Lever, label_at, numbers_at};
use super::run_grid::{Columns, grid_height, grid_ui};
use super::{Commands, View};
use crate::run::{RunState, RunSummary};
use crate::ui::{format, theme};

/// The height of the card's plot.
const PLOT: f32 = 92.0;
/// The height of the card.
pub(crate) const TREND: f32 = theme::CARD_HEAD + PLOT;
/// The room for the labels at the left.
const LABELS: f32 = 76.0;
/// The widest bar, with the space beside it.
const BAR: f32 = 34.0;

/// The card, at most `room` high where the steps are shown; `runs` are the newest first.
pub(crate) fn trend_ui(
    ui: &mut Ui,
    view: View<'_>,
    (runs, room): (&[RunSummary], f32),
    hides_grid: &mut bool,
    out: &mut Commands,
) {
    let Some(first) = runs.first() else { return };
    let grid = view.store.history().grid().filter(|grid| !grid.steps.is_empty());
    let has_room = room > TREND + grid_height(1);
    let tokens = theme::tokens(ui);
    let took: Vec<TimeDelta> = runs.iter().map(|run| run.took(view.now)).collect();
    let longest = took.iter().copied().max().unwrap_or_default();
    let median = median(runs, &took);
    Card::new(first.pipeline_id.as_str()).show(ui, |ui, rect| {
        let text = summary(runs, median, longest);
        let style = (theme::small(), tokens.muted);
        let mut right = rect.right();
        if grid.is_some() && has_room {
            let name = if *hides_grid { "Show the steps" } else { "Hide the steps" };
            let lever = Lever::icon(Icon::List, name).text(name).without_icon();
            if lever.ui_before(ui, &mut right, rect, 26.0).clicked() {
                *hides_grid = !*hides_grid;
            }
            right -= 6.0;
        }
        let place = label_at(
            ui,
            pos2(right, rect.center().y),
            Align2::RIGHT_CENTER,
            text.as_str(),
            style,
            right - rect.left() - 160.0,
        );
        ui.interact(place, ui.scope_id().with("trend"), Sense::hover()).says(Role::Label, &text);
        let (_, rect) = ui.allocate_space(vec2(ui.available_width(), PLOT));
        let plot = Rect::from_min_max(
            pos2(rect.left() + theme::GAP + LABELS, rect.top() + 18.0),
            pos2(rect.right() - theme::GAP, rect.bottom() - 10.0),
        );
        let height = |took: TimeDelta| {
            let share = took.num_milliseconds() as f32 / longest.num_milliseconds().max(1) as f32;
            (plot.height() * share).max(2.0)
        };
        let axis = (theme::small(), tokens.muted);
        let label_x = plot.left() - 10.0;
        let is_apart = median.is_none_or(|median| height(longest) - height(median) > 14.0);
        if is_apart {
            let text = format::duration(longest);
            numbers_at(ui, pos2(label_x, plot.top()), Align2::RIGHT_CENTER, &text, axis.clone());
        }
        ui.painter().hline(plot.x_range(), plot.bottom(), Stroke::new(1.0, tokens.line));
        let step = (plot.width() / runs.len() as f32).min(BAR);
        // The newest is at the right end.
        for (n, (run, took)) in runs.iter().zip(&took).enumerate() {
            let right = plot.right() - step * n as f32;
            let column = Rect::from_min_max(pos2(right - step, rect.top()), pos2(right, plot.bottom()));
            let bar = Rect::from_min_max(
                pos2(column.left() + 1.0, plot.bottom() - height(*took)),
                pos2(column.right() - 1.0, plot.bottom()),
            );
            bar_ui(ui, view, run, (column, bar), out);
        }
        if let Some(median) = median {
            let y = plot.bottom() - height(median);
            let dashes = egui::Shape::dashed_line(
                &[pos2(plot.left(), y), pos2(plot.right(), y)],
                Stroke::new(1.0, tokens.muted),
                4.0,
                4.0,
            );
            ui.painter().extend(dashes);
            let text = format!("usual {}", format::duration(median));
            numbers_at(ui, pos2(label_x, y), Align2::RIGHT_CENTER, &text, axis);
        }
        if let Some(grid) = grid.filter(|_| has_room && !*hides_grid) {
            let columns = Columns { right: plot.right(), left: plot.left(), step };
            grid_ui(ui, grid, (&columns, room - TREND), out);
        }
    });
}

/// One run; a click selects it.
fn bar_ui(ui: &Ui, view: View<'_>, run: &RunSummary, (column, bar): (Rect, Rect), out: &mut Commands) {
    let tokens = theme::tokens(ui);
    let id = ui.scope_id().with(("trend", run.run_id.as_str()));
    let response = ui.interact(column, id, Sense::click()).on_hover_cursor(CursorIcon::PointingHand);
    let when = format::when(run.started_at, view.now);
    let took = format::duration(run.took(view.now));
    let text = format!("{}, {}, started {when}, took {took}", run.state, run.run_id);
    let is_selected = view.store.selected().is_some_and(|entry| entry.run.run_id == run.run_id);
    response.says_selected(Role::Button, is_selected, &text);
    let color = tokens.run_state(run.state);
    let is_quiet = run.state == RunState::Completed && !response.hovered();
    let radius = CornerRadius { nw: 2, ne: 2, sw: 0, se: 0 };
    ui.painter().rect_filled(bar, radius, if is_quiet { tokens.tint(color, 0.55) } else { color });
    if run.state != RunState::Completed {
        Icon::of_run(run.state).paint(ui.painter(), pos2(bar.center().x, bar.top() - 8.0), 8.0, color);
    }
    if is_selected || response.has_focus() {
        ui.painter().rect_stroke(column, 4.0, Stroke::new(1.5, tokens.accent), StrokeKind::Inside);
    }
    if response.tip(&text).clicked() {
        out.push(Command::Select(Some(run.run_id.clone())));
    }
}

/// The median of the completed runs.
fn median(runs: &[RunSummary], took: &[TimeDelta]) -> Option<TimeDelta> {
    let completed = runs.iter().zip(took).filter(|(run, _)| run.state == RunState::Completed);
    let mut completed: Vec<TimeDelta> = completed.map(|(_, took)| *took).collect();
    completed.sort_unstable();
    completed.get(completed.len() / 2).copied()
}

/// The plot in one sentence.
fn summary(runs: &[RunSummary], median: Option<TimeDelta>, longest: TimeDelta) -> String {
    let n_of = |state| runs.iter().filter(|run| run.state == state).count();
    let (n_completed, n_failed) = (n_of(RunState::Completed), n_of(RunState::Failed));
    let usual = median.map_or_else(String::new, |median| format!("usually {}, ", format::duration(median)));
    format!(
        "last {}: {n_completed} completed, {n_failed} failed; {usual}longest {}",
        format::count(runs.len(), "run"),
        format::duration(longest)
    )
}

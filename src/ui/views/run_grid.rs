//! Below the trend: the memory of its runs, and the grid of their steps, on the same columns.

use egui::{
    Align2, CornerRadius, CursorIcon, Rect, Role, ScrollArea, Sense, Stroke, StrokeKind, Ui, pos2, vec2,
};

use super::super::command::Command;
use super::super::widgets::{AccessibleName, Icon, label_at, numbers_at, region, sparkline, stepped};
use super::Commands;
use crate::run::StepState;
use crate::ui::{format, theme};
use crate::window::{GridCell, RunGrid};

/// The height of the memory's curve, with the space above it.
const MEMORY: f32 = 40.0;
/// The height of a step's row.
const ROW: f32 = 19.0;
/// Below the rows.
const MARGIN: f32 = 8.0;

/// The height of the memory and of this many steps.
pub(super) const fn grid_height(n_steps: usize) -> f32 {
    MEMORY + MARGIN + n_steps as f32 * ROW
}

/// Where the columns of the trend are: the newest run is the last one.
pub(super) struct Columns {
    pub(super) left: f32,
    pub(super) right: f32,
    /// The width of one.
    pub(super) step: f32,
}

impl Columns {
    /// The column of the `n`-th newest run.
    fn of(&self, n: usize, y: egui::Rangef) -> Rect {
        let right = self.right - self.step * n as f32;
        Rect::from_x_y_ranges(right - self.step..=right, y)
    }

    /// Which run's column is at `x`.
    fn at(&self, x: f32) -> usize {
        ((self.right - x) / self.step).max(0.0) as usize
    }
}

/// Both, in at most `room`.
pub(super) fn grid_ui(ui: &mut Ui, grid: &RunGrid, (columns, room): (&Columns, f32), out: &mut Commands) {
    memory_ui(ui, grid, columns);
    let n_steps = grid.steps.len();
    let height = (n_steps as f32 * ROW).min((room - MEMORY - MARGIN).max(ROW));
    ScrollArea::vertical().id_salt("run grid").max_height(height).auto_shrink([false, true]).show_rows(
        ui,
        ROW,
        n_steps,
        |ui, range| {
            region(ui, Role::List, "Steps of the last runs");
            for at in range {
                row_ui(ui, grid, (columns, at), out);
            }
        },
    );
    ui.add_space(MARGIN);
}

/// The most memory of each run, as a curve.
fn memory_ui(ui: &mut Ui, grid: &RunGrid, columns: &Columns) {
    let tokens = theme::tokens(ui);
    let (_, rect) = ui.allocate_space(vec2(ui.available_width(), MEMORY));
    let plot =
        Rect::from_min_max(pos2(columns.left, rect.top() + 8.0), pos2(columns.right, rect.bottom() - 6.0));
    let peaks = || grid.columns.iter().enumerate().filter_map(|(n, column)| Some((n, column.peak_bytes?)));
    let Some(most) = peaks().map(|(_, peak)| peak).max() else {
        let style = (theme::small(), tokens.muted);
        let text = "the memory of these runs is not known";
        label_at(ui, plot.left_center(), Align2::LEFT_CENTER, text, style, plot.width());
        return;
    };
    let point = |(n, peak): (usize, u64)| {
        let share = peak as f32 / most.max(1) as f32;
        pos2(columns.of(n, plot.y_range()).center().x, plot.bottom() - share * plot.height())
    };
    let points: Vec<_> = peaks().map(point).collect();
    sparkline(ui, &points, plot.bottom(), tokens.queued, 1.5);
    let style = (theme::small(), tokens.muted);
    let text = format::bytes(most);
    numbers_at(ui, pos2(columns.left - 10.0, plot.top() + 4.0), Align2::RIGHT_CENTER, &text, style.clone());
    let at = pos2(columns.left - 10.0, plot.bottom() - 2.0);
    label_at(ui, at, Align2::RIGHT_CENTER, "memory", style, 70.0);
    let newest = peaks().next().map_or_else(String::new, |(_, peak)| format::bytes(peak));
    let said = format!("Peak memory of the runs: newest {newest}, most {text}");
    ui.interact(plot, ui.scope_id().with("memory"), Sense::hover()).says(Role::GraphicsObject, &said);
}

fn row_ui(ui: &mut Ui, grid: &RunGrid, (columns, at): (&Columns, usize), out: &mut Commands) {
    let tokens = theme::tokens(ui);
    let Some(step_id) = grid.steps.get(at) else { return };
    let (_, rect) = ui.allocate_space(vec2(ui.available_width(), ROW));
    let cells = || grid.columns.iter().map(|column| column.cells.get(at).copied().flatten());
    let n_of = |state| cells().flatten().filter(|cell| cell.state == state).count();
    let (n_completed, n_failed) = (n_of(StepState::Completed), n_of(StepState::Failed));
    let said = format!("{step_id} in the last runs: {n_completed} completed, {n_failed} failed");
    let style = (theme::small(), if n_failed > 0 { tokens.text } else { tokens.muted });
    let label = pos2(columns.left - 10.0, rect.center().y);
    label_at(ui, label, Align2::RIGHT_CENTER, step_id.as_str(), style, columns.left - rect.left() - 16.0);
    let place = Rect::from_x_y_ranges(
        columns.right - columns.step * grid.columns.len() as f32..=columns.right,
        rect.y_range(),
    );
    let response = ui.interact(place, ui.scope_id().with(("grid", at)), Sense::click());
    // The newest run stands first and at the right.
    let n_columns = grid.columns.len();
    let stepped_to = stepped(ui, &response, n_columns).map(|from_left| n_columns - 1 - from_left);
    for (n, cell) in cells().enumerate() {
        cell_ui(ui, cell, columns.of(n, rect.y_range()).shrink(1.0));
    }
    let n = stepped_to.or_else(|| response.hover_pos().map(|pointer| columns.at(pointer.x)));
    let Some((n, column)) = n.and_then(|n| Some((n, grid.columns.get(n)?))) else {
        response.says(Role::ListItem, &said);
        return;
    };
    let frame = columns.of(n, rect.y_range());
    ui.painter().rect_stroke(frame, 3.0, Stroke::new(1.0, tokens.accent), StrokeKind::Inside);
    let text = match column.cells.get(at).copied().flatten() {
        Some(GridCell { state, attempt, took }) => {
            let took = took.map_or_else(String::new, |took| format!(", took {}", format::duration(took)));
            let attempts = if attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
            format!("{step_id} of {}: {state}{attempts}{took}", column.run_id)
        }
        None => format!("{step_id} of {}: not begun", column.run_id),
    };
    response.says(Role::ListItem, &if stepped_to.is_some() { format!("{said}; {text}") } else { said });
    if response.on_hover_cursor(CursorIcon::PointingHand).tip(&text).clicked() {
        out.push(Command::Select(Some(column.run_id.clone())));
    }
}

/// Completed cells are quiet; a number is that of the attempt that completed.
fn cell_ui(ui: &Ui, cell: Option<GridCell>, rect: Rect) {
    let tokens = theme::tokens(ui);
    let Some(GridCell { state, attempt, .. }) = cell else {
        let style = (theme::small(), tokens.muted);
        label_at(ui, rect.center(), Align2::CENTER_CENTER, "–", style, rect.width());
        return;
    };
    let color = tokens.step_state(state);
    let is_quiet = state == StepState::Completed;
    let fill = if is_quiet { tokens.tint(color, 0.28) } else { color };
    ui.painter().rect_filled(rect, CornerRadius::same(2), fill);
    let ink = if is_quiet { color } else { tokens.panel };
    if is_quiet && attempt > 1 {
        let text = attempt.to_string();
        numbers_at(ui, rect.center(), Align2::CENTER_CENTER, &text, (theme::small(), ink));
    } else if rect.width() > 8.0 {
        Icon::of_step(state).paint(ui.painter(), rect.center(), 7.0, ink);
    }
}

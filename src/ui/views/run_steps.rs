//! The table of a run's steps.

use egui::{Align2, Id, Rect, Ui, pos2, vec2};

use super::super::command::Command;
use super::super::log_page::LogCommand;
use super::super::widgets::{Corners, Icon, RowKind, label_at, numbers_at, row_ui, state_at};
use super::Commands;
use super::detail::{exit_text, took_text};
use super::run_page::{RunPage, scrolled_card};
use crate::base::id::AttemptKey;
use crate::run::StepSummary;
use crate::ui::{format, theme};
use crate::window::StepsKnown;
use chrono::TimeDelta;

/// The height of a row of an earlier attempt.
const ATTEMPT: f32 = 24.0;
/// The height of a row.
const ROW: f32 = 40.0;
/// The figures at the right of a row, from the right: caption and width.
const FIGURES: [(&str, f32); 7] = [
    ("Written", 76.0),
    ("Peak", 76.0),
    ("CPU time", 76.0),
    ("Usually", 68.0),
    ("Took", 68.0),
    ("Exit", 68.0),
    ("Attempt", 60.0),
];

pub(crate) fn steps_ui(ui: &mut Ui, page: RunPage<'_>, out: &mut Commands) {
    let tokens = theme::tokens(ui);
    scrolled_card(ui, "Steps", |ui| {
        ui.spacing_mut().item_spacing.y = 0.0;
        let steps = page.entry.steps();
        if steps.is_empty() {
            let (_, rect) = ui.allocate_space(vec2(ui.available_width(), ROW));
            let text = no_steps(page);
            let at = pos2(rect.left() + theme::GAP, rect.center().y);
            label_at(ui, at, Align2::LEFT_CENTER, text, (theme::body(), tokens.muted), rect.width());
            return;
        }
        let (_, head) = ui.allocate_space(vec2(ui.available_width(), 24.0));
        let head = head.shrink2(vec2(theme::GAP, 0.0));
        let muted = (theme::small(), tokens.muted);
        let columns = columns(head);
        for (text, place) in [("State", columns.state), ("Step", columns.step)] {
            label_at(ui, place.left_center(), Align2::LEFT_CENTER, text, muted.clone(), place.width());
        }
        for (right, (caption, width)) in columns.figures.into_iter().zip(FIGURES) {
            let at = pos2(right, head.center().y);
            label_at(ui, at, Align2::RIGHT_CENTER, caption, muted.clone(), width);
        }
        let earlier = page.earlier();
        for step in steps {
            step_ui(ui, page, step, out);
            for attempt in earlier.iter().filter(|it| it.step_id == step.step_id) {
                attempt_ui(ui, page, attempt, out);
            }
        }
    });
}

/// Why there are no steps to show.
pub(crate) fn no_steps(page: RunPage<'_>) -> &'static str {
    match page.entry.steps_known() {
        StepsKnown::Whole => "The program that started this run drives it; it has no steps here",
        StepsKnown::Partly => "Reading its steps…",
    }
}

/// An earlier attempt, below its step; it opens its log.
fn attempt_ui(ui: &mut Ui, page: RunPage<'_>, attempt: &StepSummary, out: &mut Commands) {
    let tokens = theme::tokens(ui);
    let exit = match exit_text(attempt) {
        exit if exit.is_empty() => String::new(),
        exit => format!(", exit {exit}"),
    };
    let text = format!(
        "attempt {} {}{exit}, took {}",
        attempt.attempt,
        attempt.state,
        took_text(attempt, page.view)
    );
    let run_id = &page.entry.run.run_id;
    let id = Id::unique(("attempt of page", run_id.as_str(), attempt.step_id.as_str(), attempt.attempt));
    let name = format!("{}, {text}: open its log", attempt.step_id);
    let kind = RowKind { name: &name, is_selected: false, corners: Corners::Square };
    let (rect, response) = row_ui(ui, id, ATTEMPT, &kind);
    if response.clicked() {
        let (run_id, step_id) = (run_id.clone(), attempt.step_id.clone());
        let key = AttemptKey { run_id, step_id, attempt: attempt.attempt };
        out.push(Command::Log(LogCommand::Open(key.into())));
    }
    if ui.is_rect_visible(rect) {
        let left = columns(rect).step.left();
        let style = (theme::small(), tokens.step_state(attempt.state));
        label_at(ui, pos2(left, rect.center().y), Align2::LEFT_CENTER, text, style, rect.right() - left);
    }
}

struct Columns {
    state: Rect,
    step: Rect,
    /// The right ends of [`FIGURES`], as many as there is room for.
    figures: Vec<f32>,
}

fn columns(rect: Rect) -> Columns {
    let state = rect.with_max_x(rect.left() + 104.0);
    let mut right = rect.right();
    let mut figures = Vec::new();
    for (_, width) in FIGURES {
        figures.push(right);
        right -= width;
    }
    let step = Rect::from_min_max(pos2(state.right() + 8.0, rect.top()), pos2(right - 8.0, rect.bottom()));
    Columns { state, step, figures }
}

fn step_ui(ui: &mut Ui, page: RunPage<'_>, step: &StepSummary, out: &mut Commands) {
    let tokens = theme::tokens(ui);
    let cpu = step.cpu_seconds.map(|seconds| TimeDelta::milliseconds((seconds * 1000.0) as i64));
    let figures = [
        step.written_bytes.map(format::bytes).unwrap_or_default(),
        step.peak_rss_bytes.map(format::bytes).unwrap_or_default(),
        cpu.map(format::duration).unwrap_or_default(),
        page.usual(&step.step_id).map(format::duration).unwrap_or_default(),
        took_text(step, page.view),
        exit_text(step),
        if step.attempt > 0 { step.attempt.to_string() } else { String::new() },
    ];
    let message = step.error.as_ref().or(step.message.as_ref()).map_or("", |text| &**text);
    let told = FIGURES.iter().zip(&figures).rev().filter(|(_, value)| !value.is_empty());
    let told: Vec<_> = told.map(|((caption, _), value)| format!("{caption} {value}")).collect();
    let name = format!("{}, {}, {}, {message}", step.step_id, step.state, told.join(", "));
    let is_selected = page.step() == Some(&step.step_id);
    let kind = RowKind { name: &name, is_selected, corners: Corners::Square };
    let row_id = Id::unique(("step of page", page.entry.run.run_id.as_str(), step.step_id.as_str()));
    let (rect, response) = row_ui(ui, row_id, page.view.row().min(ROW), &kind);
    page.pull_step(&response, &step.step_id, out);
    if step.state.is_live() && page.entry.run.frozen_since.is_none() {
        page.view.beat.second();
    }
    if !ui.is_rect_visible(rect) {
        return;
    }
    let columns = columns(rect);
    state_at(
        ui,
        columns.state,
        Icon::of_step(step.state),
        step.state.as_str(),
        tokens.step_state(step.state),
    );
    let (upper, lower) =
        if message.is_empty() { (rect.center().y, rect.center().y) } else { theme::two_lines(rect) };
    let left = columns.step.left();
    let style = (theme::medium(), tokens.text);
    let width = columns.step.width();
    label_at(ui, pos2(left, upper), Align2::LEFT_CENTER, step.step_id.as_str(), style, width);
    let ink = if step.error.is_some() { tokens.step_state(step.state) } else { tokens.muted };
    label_at(ui, pos2(left, lower), Align2::LEFT_CENTER, message, (theme::small(), ink), width);
    for (right, value) in columns.figures.into_iter().zip(&figures) {
        let at = pos2(right, rect.center().y);
        numbers_at(ui, at, Align2::RIGHT_CENTER, value, (theme::body(), tokens.text));
    }
}

//! The selected run: its steps at the left, the log of one of them at the right.

use egui::{Align2, Id, Rect, ScrollArea, Ui, UiBuilder, pos2, vec2};

use super::super::command::Command;
use super::super::widgets::{
    AccessibleName, Card, Corners, Icon, Lever, RowKind, label_at, numbers_at, paragraph, progress_bar,
    row_ui, state_at, text_width,
};
use super::log_tail::log_tail_ui;
use super::{Commands, View};
use crate::api;
use crate::run::{Decision, StepState, StepSummary};
use crate::ui::{format, theme};
use crate::window::{Action, RunEntry, StepsKnown};

/// The most metrics after a step's message.
const MAX_METRICS: usize = 3;

/// How the card is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DetailLayout {
    /// The log at the right of the steps.
    Low,
    /// The log below the steps, in a card that is narrow and high.
    High,
}

/// The card, `height` high; nothing if no run is selected.
pub(crate) fn detail_ui(ui: &mut Ui, view: View<'_>, height: f32, layout: DetailLayout, out: &mut Commands) {
    let Some(entry) = view.store.selected() else { return };
    let title = entry.run.pipeline_id.as_str();
    Card::new(title).show(ui, |ui, rect| {
        let mut height = height - theme::CARD_HEAD;
        match layout {
            DetailLayout::Low => head_at(ui, rect, entry, out),
            DetailLayout::High => {
                close_at(ui, rect, out);
                let (_, rect) = ui.allocate_space(vec2(ui.available_width(), SECOND_LINE));
                facts_at(ui, rect.shrink2(vec2(theme::GAP, 0.0)), 0.0, entry);
                height -= SECOND_LINE;
            }
        }
        if !entry.decisions.is_empty() {
            decisions_ui(ui, view, entry);
            height -= DECISIONS;
        }
        let (_, rect) = ui.allocate_space(vec2(ui.available_width(), height));
        let line = egui::Stroke::new(1.0, theme::tokens(ui).line);
        let (steps, log) = match layout {
            DetailLayout::Low => {
                let middle = rect.left() + (rect.width() * 0.46).round();
                ui.painter().vline(middle, rect.y_range(), line);
                ui.painter().hline(middle..=rect.right(), rect.top(), line);
                rect.split_left_right_at_x(middle)
            }
            DetailLayout::High => {
                let needed = 28.0 + entry.steps().len().max(1) as f32 * STEP;
                let middle = rect.top() + needed.min((rect.height() * 0.5).round());
                ui.painter().hline(rect.x_range(), middle, line);
                rect.split_top_bottom_at_y(middle)
            }
        };
        let log = log.with_min_x(log.left() + 1.0);
        steps_ui(&mut ui.new_child(UiBuilder::new().max_rect(steps)), view, entry, out);
        log_tail_ui(&mut ui.new_child(UiBuilder::new().max_rect(log)), view, entry, out);
    });
}

/// The height of the second line of a narrow card.
const SECOND_LINE: f32 = 24.0;
/// The height of a step's row.
const STEP: f32 = 40.0;
/// The height of the line that says what recovery decided.
const DECISIONS: f32 = 28.0;

/// The decisions of recovery about the run: the last one in a line, all of them in the tooltip.
fn decisions_ui(ui: &mut Ui, view: View<'_>, entry: &RunEntry) {
    let Some(last) = entry.decisions.last() else { return };
    let tokens = theme::tokens(ui);
    let (_, rect) = ui.allocate_space(vec2(ui.available_width(), DECISIONS));
    ui.painter().hline(rect.x_range(), rect.top(), egui::Stroke::new(1.0, tokens.line));
    let inner = rect.shrink2(vec2(theme::GAP, 0.0));
    let x = Icon::Bolt.paint_before(ui.painter(), inner, 11.0, tokens.interrupted);
    let y = rect.center().y;
    let when = format::when(last.at, view.now);
    let muted = (theme::small(), tokens.muted);
    let at = numbers_at(ui, pos2(x, y), Align2::LEFT_CENTER, &when, muted.clone());
    let mut right = inner.right();
    let n_earlier = entry.decisions.len() - 1;
    if n_earlier > 0 {
        let text = format!("and {n_earlier} earlier");
        right = label_at(ui, pos2(right, y), Align2::RIGHT_CENTER, text, muted, 120.0).left() - 12.0;
    }
    let text = decision_text(last);
    let left = at.right() + 10.0;
    let style = (theme::small(), tokens.text);
    label_at(ui, pos2(left, y), Align2::LEFT_CENTER, text.as_str(), style, right - left);
    let response = ui.interact(rect, ui.scope_id().with("decisions"), egui::Sense::hover());
    response.says(egui::Role::Label, &format!("{when}: {text}"));
    response.on_hover_ui(|ui| {
        ui.set_max_width(620.0);
        for decision in entry.decisions.iter().rev().take(12) {
            let text = format!("{}   {}", format::when(decision.at, view.now), decision_text(decision));
            paragraph(ui, &text, (theme::body(), theme::tokens(ui).text));
        }
    });
}

pub(crate) fn decision_text(decision: &Decision) -> String {
    match &decision.step_id {
        Some(step_id) if !decision.text.starts_with(step_id.as_str()) => {
            format!("{step_id}: {}", decision.text)
        }
        Some(_) | None => decision.text.clone(),
    }
}

/// The lever that closes the card; returns where it begins.
fn close_at(ui: &mut Ui, rect: Rect, out: &mut Commands) -> f32 {
    let close = Command::Select(None);
    let place = Rect::from_center_size(pos2(rect.right() - 6.0, rect.center().y), vec2(26.0, 26.0));
    if Lever::of(&close).with_only(Icon::Close).ui_at(ui, place).clicked() {
        out.push(close);
    }
    place.left()
}

/// The head of a wide card: behind its title the facts, and the lever that closes it.
fn head_at(ui: &mut Ui, rect: Rect, entry: &RunEntry, out: &mut Commands) {
    let right = close_at(ui, rect, out) - 8.0;
    let title = text_width(ui, entry.run.pipeline_id.as_str(), theme::strong());
    facts_at(ui, rect.with_max_x(right), title + 12.0, entry);
}

/// The run's id from `left` on, its run type and environment at the right, and its warnings between them.
fn facts_at(ui: &mut Ui, rect: Rect, left: f32, entry: &RunEntry) {
    let tokens = theme::tokens(ui);
    let run = &entry.run;
    let mut facts = format!("{} · {} · {}", run.trigger, run.run_type, run.environment);
    if run.attempt > 1 {
        facts = format!("attempt {} · {facts}", run.attempt);
    }
    let style = (theme::small(), tokens.muted);
    let facts = label_at(ui, rect.right_center(), Align2::RIGHT_CENTER, facts, style, rect.width() * 0.4);
    let left = rect.left() + left;
    let style = (theme::mono(), tokens.muted);
    let has_warnings = !entry.warnings.is_empty();
    let width = facts.left() - left - if has_warnings { 120.0 } else { theme::GAP };
    let id =
        label_at(ui, pos2(left, rect.center().y), Align2::LEFT_CENTER, run.run_id.as_str(), style, width);
    if let Some(last) = entry.warnings.last() {
        let n_warnings = entry.warnings.len();
        let place =
            Rect::from_min_max(pos2(id.right() + 14.0, rect.top()), pos2(facts.left(), rect.bottom()));
        let text = format::count(n_warnings, "warning");
        state_at(ui, place, Icon::Warning, &text, tokens.paused);
        let response = ui.interact(place, ui.scope_id().with("warnings"), egui::Sense::hover());
        response.says(egui::Role::Label, &format!("{text}, the last: {last}"));
        response.on_hover_ui(|ui| {
            for warning in entry.warnings.iter().rev().take(10) {
                paragraph(ui, warning, (theme::body(), tokens.text));
            }
        });
    }
}

struct Columns {
    state: Rect,
    step: Rect,
    took: f32,
    /// None where the step's name needs the room.
    exit: Option<f32>,
    memory: Option<f32>,
    /// Where the figures begin that have room.
    figures: f32,
}

/// The width of a row from which on it has its exit, and its peak memory.
const WITH_EXIT: f32 = 350.0;
const WITH_MEMORY: f32 = 400.0;

fn columns(rect: Rect) -> Columns {
    let mut right = rect.right() - 26.0;
    let mut take = |width: f32, least: f32| {
        let at = right;
        (rect.width() >= least).then(|| {
            right -= width;
            at
        })
    };
    let memory = take(68.0, WITH_MEMORY);
    let exit = take(68.0, WITH_EXIT);
    let took = right;
    let state = Rect::from_min_max(rect.min, pos2(rect.left() + 92.0, rect.bottom()));
    let step = Rect::from_min_max(pos2(state.right() + 8.0, rect.top()), pos2(took - 62.0, rect.bottom()));
    Columns { state, step, took, exit, memory, figures: exit.unwrap_or(took) - 60.0 }
}

fn steps_ui(ui: &mut Ui, view: View<'_>, entry: &RunEntry, out: &mut Commands) {
    let tokens = theme::tokens(ui);
    ui.spacing_mut().item_spacing.y = 0.0;
    let (_, head) = ui.allocate_space(vec2(ui.available_width(), 24.0));
    ui.painter().hline(head.x_range(), head.top(), egui::Stroke::new(1.0, tokens.line));
    let column = columns(head.shrink2(vec2(theme::GAP, 0.0)));
    let style = (theme::small(), tokens.muted);
    let y = head.center().y;
    label_at(ui, pos2(column.state.left(), y), Align2::LEFT_CENTER, "State", style.clone(), 90.0);
    label_at(ui, pos2(column.step.left(), y), Align2::LEFT_CENTER, "Step", style.clone(), 90.0);
    let figures = [(Some(column.took), "Took"), (column.exit, "Exit"), (column.memory, "Peak")];
    for (right, text) in figures.into_iter().filter_map(|(right, text)| Some((right?, text))) {
        label_at(ui, pos2(right, y), Align2::RIGHT_CENTER, text, style.clone(), 60.0);
    }
    if entry.steps().is_empty() {
        let text = match entry.steps_known() {
            StepsKnown::Whole => "The program that started this run drives it; it has no steps here",
            StepsKnown::Partly => "Reading its steps…",
        };
        let at = pos2(head.left() + theme::GAP, head.bottom() + 18.0);
        label_at(ui, at, Align2::LEFT_CENTER, text, (theme::body(), tokens.muted), head.width() - 24.0);
        return;
    }
    ScrollArea::vertical()
        .id_salt(("steps", entry.run.run_id.as_str()))
        .auto_shrink([false, false])
        .show_rows(ui, STEP, entry.steps().len(), |ui, range| {
            for step in &entry.steps()[range] {
                step_row_ui(ui, view, entry, step, out);
            }
        });
}

fn step_row_ui(ui: &mut Ui, view: View<'_>, entry: &RunEntry, step: &StepSummary, out: &mut Commands) {
    let tokens = theme::tokens(ui);
    let is_followed = view.store.log().is_some_and(|log| log.key.step_id == step.step_id);
    let took = took_text(step, view);
    let exit = exit_text(step);
    let memory = step.peak_rss_bytes.map(format::bytes).unwrap_or_default();
    let message = step.error.as_ref().or(step.message.as_ref()).map(ToString::to_string);
    let measured = entry.metrics(&step.step_id).take(MAX_METRICS);
    let measured = measured.map(|(name, value)| format!("{name} {}", format::number(value)));
    let message = message.into_iter().chain(measured).collect::<Vec<_>>().join(" · ");
    let name = format!("{}, {}, {message}, {took}, {exit}, {memory}", step.step_id, step.state);
    let kind = RowKind { name: &name, is_selected: is_followed, corners: Corners::Square };
    let row_id = Id::unique(("step", entry.run.run_id.as_str(), step.step_id.as_str()));
    let (rect, response) = row_ui(ui, row_id, STEP, &kind);
    if response.clicked() {
        out.push(Command::ChooseStep(Some(step.step_id.clone())));
    }
    let column = columns(rect);
    let color = tokens.step_state(step.state);
    state_at(ui, column.state, Icon::of_step(step.state), step.state.as_str(), color);
    if step.started_at.is_some() && step.finished_at.is_none() && entry.run.frozen_since.is_none() {
        // Its elapsed time goes on.
        view.beat.second();
    }
    let has_second = !message.is_empty() || step.state.is_live();
    let upper = if has_second { rect.center().y - 7.0 } else { rect.center().y };
    let lower = rect.center().y + 9.0;
    let ink = if step.state == StepState::Pending { tokens.muted } else { tokens.text };
    let at = pos2(column.step.left(), upper);
    let shown = label_at(
        ui,
        at,
        Align2::LEFT_CENTER,
        step.step_id.as_str(),
        (theme::medium(), ink),
        column.step.width(),
    );
    if step.attempt > 1 {
        let text = format!("attempt {}", step.attempt);
        let at = pos2(shown.right() + 8.0, upper);
        let width = column.step.right() - shown.right() - 8.0;
        label_at(ui, at, Align2::LEFT_CENTER, text, (theme::small(), tokens.muted), width);
    }
    let ink = if step.error.is_some() { tokens.failed } else { tokens.muted };
    let at = pos2(column.step.left(), lower);
    let width = column.figures - column.step.left();
    if step.state.is_live() {
        let bar = Rect::from_min_size(pos2(at.x, lower - 2.0), vec2(56.0, 4.0));
        progress_bar(ui, bar, step.progress, color);
        let at = pos2(bar.right() + 8.0, lower);
        label_at(ui, at, Align2::LEFT_CENTER, message, (theme::small(), ink), width - 64.0);
    } else {
        let shown = label_at(ui, at, Align2::LEFT_CENTER, message.clone(), (theme::small(), ink), width);
        if shown.width() > width - 2.0 {
            response.clone().tip(&message);
        }
    }
    let figures = (theme::body(), tokens.text);
    numbers_at(ui, pos2(column.took, upper), Align2::RIGHT_CENTER, &took, figures.clone());
    let ink = if step.state == StepState::Failed { tokens.failed } else { tokens.muted };
    if let Some(right) = column.exit {
        numbers_at(ui, pos2(right, upper), Align2::RIGHT_CENTER, &exit, (theme::body(), ink));
    }
    if let Some(right) = column.memory {
        numbers_at(ui, pos2(right, upper), Align2::RIGHT_CENTER, &memory, figures);
    }
    if entry.run.state.is_ended() && step.attempt > 0 {
        let retry = api::Command::retry(&entry.run.run_id, Some(step.step_id.clone()));
        let retry = Command::Send(Action::Do(retry));
        let place = Rect::from_center_size(pos2(rect.right() - 4.0, rect.center().y), vec2(24.0, 24.0));
        let lever = Lever::icon(Icon::Again, format!("Retry from {}", step.step_id));
        if lever.ui_at(ui, place).tip(retry.label().tooltip.unwrap_or_default()).clicked() {
            out.push(retry);
        }
    }
}

/// How long its attempt has worked; the time of a frozen one stands still.
pub(crate) fn took_text(step: &StepSummary, view: View<'_>) -> String {
    // A running time changes once a second, not with every frame.
    let form = if step.finished_at.is_some() { format::duration } else { format::clock };
    step.took(view.now).map_or_else(String::new, form)
}

pub(crate) fn exit_text(step: &StepSummary) -> String {
    match (step.exit_code, step.signal) {
        (_, Some(signal)) => format!("signal {signal}"),
        (Some(code), None) => code.to_string(),
        (None, None) => String::new(),
    }
}

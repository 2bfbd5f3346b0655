//! The steps of a run over time: a lane for each step with all its attempts, and the times in which the run was frozen,
//! on one axis.

use chrono::{DateTime, Local, TimeDelta, TimeZone, Utc};
use egui::{Align2, Rangef, Rect, Role, ScrollArea, Sense, Stroke, StrokeKind, Ui, pos2, vec2};

use super::super::widgets::{AccessibleName, Card, label_at, region, text_width};
use super::Commands;
use super::axis::{GUTTER, tip_at};
use super::detail::{exit_text, took_text};
use super::lanes::{Bar, LANE, TimeScale};
use super::run_page::RunPage;
use super::run_steps::no_steps;
use crate::run::{StepState, StepSummary};
use crate::ui::{format, theme};

/// The height of the times below the lanes.
const TIMES: f32 = 22.0;
/// The room that the text of one time takes.
const TICK: f32 = 84.0;

/// A linear scale between two moments.
#[derive(Clone, Copy)]
struct Scale {
    from: DateTime<Utc>,
    until: DateTime<Utc>,
    x: Rangef,
}

impl TimeScale for Scale {
    fn from(self) -> DateTime<Utc> {
        self.from
    }

    fn x(self, at: DateTime<Utc>) -> f32 {
        let share = (at - self.from).as_seconds_f64() / self.seconds();
        self.x.min + self.x.span() * share.clamp(0.0, 1.0) as f32
    }
}

impl Scale {
    fn seconds(self) -> f64 {
        (self.until - self.from).as_seconds_f64().max(1e-3)
    }

    fn at(self, x: f32) -> DateTime<Utc> {
        let share = f64::from((x - self.x.min) / self.x.span().max(1.0));
        self.from + TimeDelta::milliseconds((share * self.seconds() * 1000.0) as i64)
    }
}

/// Distances between times on an axis, in seconds.
const STEPS: [i64; 20] = [
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800,
    604_800,
];

/// Round times of the wall clock in `zone` between two moments, at most `n_max`, each with its text.
fn ticks<Z: TimeZone>(
    from: DateTime<Utc>,
    until: DateTime<Utc>,
    n_max: usize,
    zone: &Z,
) -> Vec<(DateTime<Utc>, String)>
where
    Z::Offset: std::fmt::Display,
{
    let seconds = (until - from).num_seconds().max(0);
    let n_max = n_max.max(1) as i64;
    let last = STEPS[STEPS.len() - 1];
    let step =
        STEPS.into_iter().find(|step| seconds / step < n_max).unwrap_or(last * (seconds / last / n_max + 1));
    let form = match step {
        ..60 => "%H:%M:%S",
        60..86_400 => "%H:%M",
        _ => "%-d %b",
    };
    // The zone's clock at the beginning gives the phase; a clock change within the span moves what follows it.
    let local = from.with_timezone(zone).naive_local().and_utc().timestamp();
    let first = step - local.rem_euclid(step);
    let first = if first == step && from.timestamp_subsec_nanos() == 0 { 0 } else { first };
    let begin = DateTime::from_timestamp(from.timestamp(), 0).unwrap_or(from);
    let at = |n: i64| begin + TimeDelta::seconds(first + n * step);
    let shown = (0..n_max).map(at).take_while(|at| *at <= until);
    shown.map(|at| (at, at.with_timezone(zone).format(form).to_string())).collect()
}

/// The height of the card if nothing is to be scrolled.
pub(crate) fn gantt_height(page: RunPage<'_>) -> f32 {
    theme::CARD_HEAD + page.entry.steps().len().max(1) as f32 * LANE + TIMES + 2.0
}

/// The card, `height` high.
pub(crate) fn gantt_ui(ui: &mut Ui, page: RunPage<'_>, height: f32, out: &mut Commands) {
    let tokens = theme::tokens(ui);
    let run = &page.entry.run;
    let until = run.finished_at.unwrap_or(page.view.now).max(run.started_at + TimeDelta::seconds(1));
    if run.finished_at.is_none() {
        page.view.beat.second();
    }
    Card::new("Time").show(ui, |ui, head| {
        let text = format!(
            "{} to {}",
            format::when(run.started_at, page.view.now),
            run.finished_at.map_or_else(|| "now".to_owned(), |at| format::when(at, page.view.now))
        );
        let muted = (theme::small(), tokens.muted);
        label_at(ui, head.right_center(), Align2::RIGHT_CENTER, text, muted.clone(), head.width() * 0.7);
        let height = (height - theme::CARD_HEAD - 2.0).max(LANE + TIMES);
        let (_, rect) = ui.allocate_space(vec2(ui.available_width(), height));
        let inner = rect.shrink2(vec2(theme::GAP, 0.0));
        let steps = page.entry.steps();
        if steps.is_empty() {
            let at = pos2(inner.left(), rect.top() + 14.0);
            label_at(
                ui,
                at,
                Align2::LEFT_CENTER,
                no_steps(page),
                (theme::body(), tokens.muted),
                inner.width(),
            );
            return;
        }
        let x = Rangef::new(inner.left() + GUTTER, inner.right() - 8.0);
        let scale = Scale { from: run.started_at, until, x };
        let lanes = rect.with_max_y(rect.bottom() - TIMES);
        let n_ticks = (x.span() / TICK).floor().max(1.0) as usize;
        for (at, text) in ticks(scale.from, scale.until, n_ticks, &Local) {
            let x = scale.x(at);
            ui.painter().vline(x, lanes.y_range(), Stroke::new(1.0, tokens.line.gamma_multiply(0.6)));
            let style = (theme::small(), tokens.faint);
            let half = text_width(ui, &text, theme::small()) / 2.0;
            let at = pos2(x.clamp(scale.x.min, scale.x.max - half), rect.bottom() - TIMES / 2.0);
            label_at(ui, at, Align2::CENTER_CENTER, text, style, TICK);
        }
        let earlier = page.earlier();
        let mut child = ui.new_child(egui::UiBuilder::new().max_rect(lanes));
        child.spacing_mut().item_spacing.y = 0.0;
        ScrollArea::vertical().id_salt("lanes").auto_shrink([false, false]).show_rows(
            &mut child,
            LANE,
            steps.len(),
            |ui, range| {
                region(ui, Role::List, "Steps over time");
                for step in &steps[range] {
                    let attempts = earlier.iter().copied().filter(|it| it.step_id == step.step_id);
                    lane_ui(ui, page, scale, step, attempts.chain([step]).collect(), out);
                }
                frozen_at(ui, page, scale, lanes);
            },
        );
        let pointer = ui.ctx().pointer_hover_pos().filter(|pointer| {
            lanes.contains(*pointer) && scale.x.contains(pointer.x) && ui.rect_contains_pointer(lanes)
        });
        if let Some(pointer) = pointer {
            ui.painter().vline(pointer.x, lanes.y_range(), Stroke::new(1.0, tokens.muted));
            tip_at(ui, pointer, lanes, lines_at(page, &earlier, scale.at(pointer.x)));
        }
    });
}

/// What ran at that moment.
fn lines_at(page: RunPage<'_>, earlier: &[&StepSummary], at: DateTime<Utc>) -> Vec<String> {
    let ran = earlier.iter().copied().chain(page.entry.steps()).filter(|step| {
        step.started_at.is_some_and(|from| from <= at) && step.finished_at.is_none_or(|until| at <= until)
    });
    let mut names: Vec<_> = ran.map(attempt_text).collect();
    let n_more = names.len().saturating_sub(8);
    names.truncate(8);
    if n_more > 0 {
        names.push(format!("and {n_more} more"));
    }
    if names.is_empty() {
        names.push("no step ran".to_owned());
    }
    [at.with_timezone(&Local).format("%H:%M:%S").to_string()].into_iter().chain(names).collect()
}

fn attempt_text(step: &StepSummary) -> String {
    if step.attempt > 1 {
        format!("{}, attempt {}", step.step_id, step.attempt)
    } else {
        step.step_id.to_string()
    }
}

/// One step with its attempts, oldest first.
fn lane_ui(
    ui: &mut Ui,
    page: RunPage<'_>,
    scale: Scale,
    step: &StepSummary,
    attempts: Vec<&StepSummary>,
    out: &mut Commands,
) {
    let tokens = theme::tokens(ui);
    let (_, rect) = ui.allocate_space(vec2(ui.available_width(), LANE));
    let response = ui.interact(rect, ui.scope_id().with(("lane", step.step_id.as_str())), Sense::click());
    let is_selected = page.step() == Some(&step.step_id);
    let told: Vec<_> = attempts
        .iter()
        .filter(|attempt| attempt.started_at.is_some())
        .map(|attempt| {
            format!("attempt {} {} {}", attempt.attempt, attempt.state, took_text(attempt, page.view))
        })
        .collect();
    let told = if told.is_empty() { step.state.as_str().to_owned() } else { told.join(", ") };
    response.says_selected(Role::ListItem, is_selected, &format!("{} over time: {told}", step.step_id));
    page.pull_step(&response, &step.step_id, out);
    if is_selected || response.hovered() {
        let share = if is_selected { 1.0 } else { 0.5 };
        ui.painter().rect_filled(rect, 0.0, tokens.panel.lerp_to_gamma(tokens.raised, share));
    }
    let ink = if is_selected { tokens.text } else { tokens.muted };
    let at = pos2(rect.left() + theme::GAP, rect.center().y);
    let name = step.step_id.as_str();
    label_at(ui, at, Align2::LEFT_CENTER, name, (theme::small(), ink), GUTTER - 8.0);
    let painter = ui.painter_at(rect);
    let lane = rect.with_min_x(scale.x.min).with_max_x(scale.x.max);
    let mut free_from = f32::MIN;
    let mut last_end: Option<f32> = None;
    for attempt in attempts {
        let Some(from) = attempt.started_at else { continue };
        let is_last = attempt.attempt == step.attempt;
        let until = match attempt.finished_at {
            Some(until) => until,
            None if attempt.state.is_live() => scale.until,
            None => from + attempt.took(page.view.now).unwrap_or_default(),
        };
        let text = match attempt.state {
            StepState::Failed if !exit_text(attempt).is_empty() => format!("exit {}", exit_text(attempt)),
            StepState::Running if attempt.progress > 0.0 => format::percent(attempt.progress),
            StepState::Pending
            | StepState::Waiting
            | StepState::Running
            | StepState::Paused
            | StepState::Completed
            | StepState::Failed
            | StepState::Skipped
            | StepState::Stopped
            | StepState::Interrupted => took_text(attempt, page.view),
        };
        let text = if is_last && attempt.attempt > 1 {
            format!("attempt {} · {text}", attempt.attempt)
        } else {
            text
        };
        let is_frozen = attempt.state == StepState::Paused;
        let color = if is_frozen { tokens.running } else { tokens.step_state(attempt.state) };
        let bar = Bar { from, until, text: &text, color };
        let place = bar.place(scale, lane);
        if let Some(end) = last_end.filter(|end| *end < place.left()) {
            let y = place.center().y;
            let points = [pos2(end, y), pos2(place.left(), y)];
            let dashes = egui::Shape::dashed_line(&points, Stroke::new(1.0, tokens.muted), 3.0, 3.0);
            painter.extend(dashes);
        }
        free_from = bar.paint(ui, &painter, scale, place, free_from);
        last_end = Some(place.right());
    }
    if response.has_focus() {
        let ring = Stroke::new(2.0, tokens.accent);
        ui.painter().rect_stroke(rect.shrink(1.0), 4.0, ring, StrokeKind::Inside);
    }
}

/// The times in which the run was frozen, through all lanes.
fn frozen_at(ui: &Ui, page: RunPage<'_>, scale: Scale, lanes: Rect) {
    let color = theme::tokens(ui).paused;
    let current = page.entry.run.frozen_since.map(|since| (since, page.view.now));
    for (from, until) in page.entry.freezes.iter().copied().chain(current) {
        let x = scale.x(from)..=scale.x(until).max(scale.x(from) + 2.0);
        ui.painter().rect_filled(Rect::from_x_y_ranges(x, lanes.y_range()), 0.0, color.gamma_multiply(0.18));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::FixedOffset;

    fn shown(from: &str, seconds: i64, n_max: usize) -> Vec<String> {
        let from: DateTime<Utc> = from.parse().unwrap();
        let zone = FixedOffset::east_opt(5 * 3600 + 1800).unwrap();
        let ticks = ticks(from, from + TimeDelta::seconds(seconds), n_max, &zone);
        assert!(ticks.iter().all(|(at, _)| *at >= from && *at <= from + TimeDelta::seconds(seconds)));
        assert!(ticks.len() <= n_max);
        ticks.into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn times_are_round_in_the_zone_of_the_machine_and_have_room() {
        assert_eq!(shown("2026-11-23T14:00:00.5Z", 3, 6), ["19:30:01", "19:30:02", "19:30:03"]);
        assert_eq!(shown("2026-11-23T14:00:00Z", 10, 3), ["19:30:00", "19:30:05", "19:30:10"]);
        assert_eq!(shown("2026-11-23T14:00:07Z", 1600, 4), ["19:40", "19:50"]);
        assert_eq!(shown("2026-11-23T14:00:07Z", 86_400, 4), ["00:00", "12:00"]);
        assert_eq!(shown("2026-11-23T14:00:07Z", 3 * 86_400, 4), ["24 Nov", "25 Nov", "26 Nov"]);
        assert!(!shown("2026-11-23T14:00:07Z", 400 * 86_400, 5).is_empty());
        assert_eq!(shown("2026-11-23T14:00:07Z", 0, 1), ["19:30:07"]);
    }
}

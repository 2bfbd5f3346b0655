//! A run over time: what it used, a lane for each step with all its attempts, and the times in which the run was frozen,
//! on one axis.

use chrono::{DateTime, Local, SubsecRound, TimeDelta, Utc};
use egui::{Align2, Rangef, Rect, Role, ScrollArea, Sense, Stroke, StrokeKind, Ui, UiBuilder, pos2, vec2};

use super::super::command::Command;
use super::super::time_line::{AxisOf, TimeCommand};
use super::super::widgets::{AccessibleName, Card, label_at, region, text_width};
use super::Commands;
use super::axis::{Axis, Chart, CurveLook, GUTTER, Scale, TICK, curve, ticks};
use super::detail::{exit_text, took_text};
use super::lanes::{Bar, LANE};
use super::ran_then::{Then, then};
use super::run_page::RunPage;
use super::run_steps::no_steps;
use super::scrub::Scrub;
use crate::base::id::AttemptKey;
use crate::run::{StepState, StepSummary};
use crate::ui::{format, spoken, theme};
use crate::window::TimeRange;

/// The height of the times below the lanes.
const TIMES: f32 = 22.0;
/// The height of the curves above them.
const CURVES: f32 = 56.0;
/// The height of the card if nothing is to be scrolled.
pub(crate) fn gantt_height(page: RunPage<'_>) -> f32 {
    theme::CARD_HEAD + CURVES + page.entry.steps().len().max(1) as f32 * LANE + TIMES + 2.0
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
        let shown =
            label_at(ui, head.right_center(), Align2::RIGHT_CENTER, text, muted.clone(), head.width() * 0.6);
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
        let whole = TimeRange { from: run.started_at, until };
        let range = page.view.state.time.shown(AxisOf::Run).of(whole);
        // Lanes come first where there is little room.
        let curves = CURVES.min((rect.height() - TIMES - 3.0 * LANE).max(0.0));
        let place = Rect::from_min_max(
            pos2(inner.left(), rect.top()),
            pos2(inner.right() - 8.0, rect.top() + curves),
        );
        let used = Used::of(page);
        let axis = used.curves_ui(&mut ui.new_child(UiBuilder::new().max_rect(place)), page, range);
        let scale = axis.scale;
        let lanes = rect.with_max_y(rect.bottom() - TIMES).with_min_y(place.bottom());
        let mut scrub = Scrub::new(page.view, (AxisOf::Run, "Time of the run"), scale, whole);
        scrub.levers_at(ui, head, shown.left() - 14.0, out);
        scrub.strip(ui, axis.frame().union(lanes), out);
        let n_ticks = (scale.x.span() / TICK).floor().max(1.0) as usize;
        for (at, text) in ticks(range, n_ticks, &Local) {
            let x = scale.x(at);
            ui.painter().vline(x, lanes.y_range(), Stroke::new(1.0, tokens.line.gamma_multiply(0.6)));
            let style = (theme::small(), tokens.faint);
            let half = text_width(ui, &text, theme::small()) / 2.0;
            let at = pos2(x.clamp(scale.x.min, scale.x.max - half), rect.bottom() - TIMES / 2.0);
            label_at(ui, at, Align2::CENTER_CENTER, text, style, TICK);
        }
        let earlier = page.earlier();
        let mut child = ui.new_child(UiBuilder::new().max_rect(lanes));
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
        scrub.show_line(ui, |at| run_then(page, &used, at), out);
    });
}

/// What the run used at a moment, what ran then, and what of it belongs to the run.
fn run_then(page: RunPage<'_>, used: &Used, at: DateTime<Utc>) -> Then {
    let time = format::local(at, "%H:%M:%S");
    let heading = match used.at(at) {
        Some((cpu, memory)) => {
            format!("{time} · the run: CPU {}, memory {}", format::percent(cpu), format::bytes(memory as u64))
        }
        None => time,
    };
    let mut then = then(page.view, at, heading);
    let is_ours = |key: &AttemptKey| key.run_id == page.entry.run.run_id;
    if then.keys.iter().any(is_ours) {
        then.keys.retain(is_ours);
    }
    then
}

/// What the run used over its time: share of all CPUs, and memory.
struct Used {
    points: Vec<(DateTime<Utc>, f64, f64)>,
    gap: TimeDelta,
}

impl Used {
    fn of(page: RunPage<'_>) -> Self {
        let known = page.view.store.time().use_of_run(&page.entry.run.run_id);
        let step = match known {
            [first, .., last] => (last.at - first.at) / (known.len() as i32 - 1).max(1),
            [_] | [] => TimeDelta::zero(),
        };
        let last = known.last().map_or(DateTime::<Utc>::MIN_UTC, |last| last.at + step);
        let fresh = page.entry.usage().iter().filter(|usage| usage.at > last);
        let mut points: Vec<_> =
            known.iter().map(|it| (it.at, it.cpu_fraction, it.memory_bytes as f64)).collect();
        points.extend(fresh.map(|it| (it.at, it.cpu_fraction, it.memory_bytes as f64)));
        Self { points, gap: (step * 3).max(TimeDelta::seconds(15)) }
    }

    /// A curve in words.
    fn says(
        &self,
        name: &str,
        value: fn(&(DateTime<Utc>, f64, f64)) -> f64,
        write: impl Fn(f64) -> String,
        now: DateTime<Utc>,
    ) -> String {
        spoken::series(name, self.points.iter().map(|point| (point.0, value(point))), write, now)
    }

    fn at(&self, at: DateTime<Utc>) -> Option<(f64, f64)> {
        let end = at + TimeDelta::seconds(1);
        let last = self.points.partition_point(|(it, ..)| *it < end).checked_sub(1)?;
        let (known, cpu, memory) = self.points[last];
        (at - known <= self.gap).then_some((cpu, memory))
    }

    /// Both curves, each to the scale of its peak.
    fn curves_ui(&self, ui: &mut Ui, page: RunPage<'_>, range: TimeRange) -> Axis {
        let tokens = theme::tokens(ui);
        let rect = ui.max_rect();
        let peak = |of: fn(&(DateTime<Utc>, f64, f64)) -> f64| self.points.iter().map(of).fold(0.0, f64::max);
        let (cpu, memory) = (peak(|point| point.1), peak(|point| point.2));
        let chart = Chart {
            id: "use of the run",
            says: format!(
                "{}; {}",
                self.says("CPU", |point| point.1, format::percent, page.view.now),
                self.says("memory", |point| point.2, |bytes| format::bytes(bytes as u64), page.view.now)
            ),
            now: page.view.now,
            range,
            top: 1.06,
            below: 0.0,
            levels: vec![0.0],
            text: &|_| String::new(),
            has_times: false,
        };
        let axis = chart.show(ui, |plot| {
            let share = |value: f64, peak: f64| if peak > 0.0 { value / peak } else { 0.0 };
            let look = |color, is_filled| CurveLook { color, is_filled, gap: self.gap };
            let points = |of: fn(&(DateTime<Utc>, f64, f64)) -> f64, peak: f64| {
                self.points.iter().map(move |point| (point.0, share(of(point), peak), 0.0))
            };
            curve(plot, range, look(tokens.running, true), points(|point| point.1, cpu));
            curve(plot, range, look(tokens.queued, false), points(|point| point.2, memory));
        });
        if self.points.is_empty() {
            if rect.height() > LANE {
                let at = axis.frame().center();
                let text = "nothing was measured of it, or no longer kept";
                let style = (theme::small(), tokens.muted);
                label_at(ui, at, Align2::CENTER_CENTER, text, style, axis.frame().width());
            }
            return axis;
        }
        let legend = [
            (tokens.running, format!("CPU to {}", format::percent(cpu))),
            (tokens.queued, format!("Memory {}", format::bytes(memory as u64))),
        ];
        for (n, (color, text)) in legend.into_iter().enumerate() {
            let at = rect.min + vec2(0.0, 10.0 + n as f32 * 18.0);
            if at.y + 8.0 > rect.bottom() {
                break;
            }
            ui.painter().hline(at.x..=at.x + 10.0, at.y, Stroke::new(2.0, color));
            let style = (theme::small(), tokens.muted);
            label_at(ui, at + vec2(15.0, 0.0), Align2::LEFT_CENTER, text, style, GUTTER - 20.0);
        }
        axis
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
    let pointer = response.interact_pointer_pos().filter(|pointer| scale.x.contains(pointer.x));
    let clicked_at =
        pointer.filter(|_| response.clicked()).map(|pointer| scale.at(pointer.x).trunc_subsecs(0));
    let logged = clicked_at.and_then(|at| Some((attempt_near(&attempts, at)?, at)));
    match logged {
        Some((attempt, at)) => {
            let run_id = page.entry.run.run_id.clone();
            let key = AttemptKey { run_id, step_id: step.step_id.clone(), attempt };
            out.push(Command::ChooseStep(Some(step.step_id.clone())));
            out.push(Command::Time(TimeCommand::OpenLogs(vec![key], at)));
        }
        None => page.pull_step(&response, &step.step_id, out),
    }
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
            None if attempt.state.is_live() => page.view.now,
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
        if !scale.range.sees(from, until) {
            continue;
        }
        let bar = Bar { from, until, text: &text, color };
        let place = bar.place(scale, lane);
        if let Some(end) = last_end.filter(|end| *end < place.left()) {
            let y = place.center().y;
            let points = [pos2(end, y), pos2(place.left(), y)];
            let dashes = egui::Shape::dashed_line(&points, Stroke::new(1.0, tokens.muted), 3.0, 3.0);
            painter.extend(dashes);
        }
        free_from = bar.paint(ui, &painter, scale, (place, Rangef::new(free_from, f32::INFINITY)));
        last_end = Some(place.right());
    }
    if response.has_focus() {
        let ring = Stroke::new(2.0, tokens.accent);
        ui.painter().rect_stroke(rect.shrink(1.0), 4.0, ring, StrokeKind::Inside);
    }
}

/// The attempt that ran at `at`; the last one before, if none did.
fn attempt_near(attempts: &[&StepSummary], at: DateTime<Utc>) -> Option<u32> {
    let end = at + TimeDelta::seconds(1);
    let begun = attempts.iter().filter(|attempt| attempt.started_at.is_some_and(|from| from <= end));
    begun.map(|attempt| attempt.attempt).max()
}

/// The times in which the run was frozen, through all lanes.
fn frozen_at(ui: &Ui, page: RunPage<'_>, scale: Scale, lanes: Rect) {
    let color = theme::tokens(ui).paused;
    let current = page.entry.run.frozen_since.map(|since| (since, page.view.now));
    for (from, until) in page.entry.freezes.iter().copied().chain(current) {
        if !scale.range.sees(from, until) {
            continue;
        }
        let left = scale.x(from.max(scale.range.from));
        let x = left..=scale.x(until.min(scale.range.until)).max(left + 2.0);
        ui.painter().rect_filled(Rect::from_x_y_ranges(x, lanes.y_range()), 0.0, color.gamma_multiply(0.18));
    }
}

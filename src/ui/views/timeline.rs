//! The machine and the steps on one time axis: CPU and memory above, below them a lane a run, and one
//! vertical line through both where the pointer is.

use chrono::{DateTime, Local, TimeDelta, Timelike, Utc};
use egui::{Align2, Color32, CornerRadius, Pos2, Rect, Sense, Stroke, Ui, pos2, vec2};

use super::super::command::Command;
use super::super::widgets::{Card, label_at, numbers_at, sparkline};
use super::super::{format, theme};
use super::{Commands, View};
use crate::app::{MachineSample, RunEntry, SAMPLE_SPAN, StepsKnown};
use crate::run::{RunState, StepState};

const PLOT: f32 = 92.0;
const LANE: f32 = 20.0;
const MAX_LANES: usize = 4;
const AXIS: f32 = 20.0;
/// Left of the axis, where lanes are named.
const GUTTER: f32 = 124.0;
/// A longer silence between samples is a gap in the curve.
const GAP: TimeDelta = TimeDelta::seconds(15);

/// Where a moment lies.
#[derive(Clone, Copy)]
struct Axis {
    rect: Rect,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
}

impl Axis {
    fn x(self, at: DateTime<Utc>) -> f32 {
        let share = (at - self.from).as_seconds_f64() / (self.to - self.from).as_seconds_f64();
        self.rect.left() + self.rect.width() * share as f32
    }

    fn at(self, x: f32) -> DateTime<Utc> {
        let share = f64::from((x - self.rect.left()) / self.rect.width());
        self.from + TimeDelta::milliseconds((share * (self.to - self.from).num_milliseconds() as f64) as i64)
    }
}

pub(crate) fn timeline_ui(ui: &mut Ui, view: View<'_>, out: &mut Commands) {
    let is_empty = view.store.living().len() + view.store.recent().len() == 0;
    let n_lanes = match (view.store.selected(), is_empty) {
        (_, true) => 0,
        (Some(_), false) => 2,
        (None, false) => MAX_LANES,
    };
    let lanes_height = n_lanes as f32 * LANE;
    let height = PLOT + lanes_height + AXIS + 3.0 * 8.0;
    Card::frame(ui).show(ui, |ui| {
        let (_, card) = ui.allocate_space(vec2(ui.available_width(), height));
        let inner = card.shrink2(vec2(theme::GAP, 10.0));
        let rect = Rect::from_min_max(pos2(inner.left() + GUTTER, inner.top()), inner.max);
        let axis = Axis { rect, from: view.now - SAMPLE_SPAN, to: view.now };
        let plot = Rect::from_min_size(rect.min, vec2(rect.width(), PLOT));
        let lanes =
            Rect::from_min_size(plot.left_bottom() + vec2(0.0, 8.0), vec2(rect.width(), lanes_height));
        plot_at(ui, plot, axis, view);
        axis_at(ui, lanes.bottom() + 4.0, axis);
        let runs = shown_runs(view, axis);
        // The selected run has all lanes for itself, so that steps at once lie one above the other.
        let n_each = if view.store.selected().is_some() { n_lanes } else { 1 };
        for (n, entry) in runs.iter().enumerate() {
            let top = lanes.top() + (n * n_each) as f32 * LANE;
            let band = Rect::from_min_size(pos2(lanes.left(), top), vec2(rect.width(), n_each as f32 * LANE));
            band_ui(ui, band, axis, entry, view, out);
        }
        let whole = Rect::from_min_max(plot.min, lanes.max);
        cross_at(ui, whole, plot, axis, &runs, view);
    });
}

/// The runs that have a lane: the selected one alone, else those that live, then those whose end is on the axis.
fn shown_runs<'a>(view: View<'a>, axis: Axis) -> Vec<&'a RunEntry> {
    if let Some(selected) = view.store.selected() {
        return vec![selected];
    }
    let ended = view.store.recent().take_while(|entry| entry.ended_at() > axis.from);
    let mut runs: Vec<&RunEntry> = view.store.living().chain(ended).take(MAX_LANES).collect();
    runs.sort_by(|a, b| (a.run.started_at, &a.run.run_id).cmp(&(b.run.started_at, &b.run.run_id)));
    runs
}

fn plot_at(ui: &Ui, rect: Rect, axis: Axis, view: View<'_>) {
    let tokens = theme::tokens(ui);
    for (share, text) in [(0.0, "0 %"), (0.5, "50 %"), (1.0, "100 %")] {
        let y = (rect.bottom() - rect.height() * share).round();
        ui.painter().hline(rect.x_range(), y, Stroke::new(1.0, tokens.line));
        let at = pos2(rect.left() - 8.0, y.clamp(rect.top() + 5.0, rect.bottom() - 5.0));
        numbers_at(ui, at, Align2::RIGHT_CENTER, text, (theme::small(), tokens.faint));
    }
    let legend = pos2(rect.left() - GUTTER, rect.top());
    for (n, (text, color)) in [("CPU", tokens.running), ("Memory", tokens.queued)].into_iter().enumerate() {
        let y = legend.y + 7.0 + n as f32 * 18.0;
        ui.painter().hline(legend.x..=legend.x + 12.0, y, Stroke::new(2.0, color));
        label_at(
            ui,
            pos2(legend.x + 18.0, y),
            Align2::LEFT_CENTER,
            text,
            (theme::small(), tokens.muted),
            60.0,
        );
    }
    let y = |share: f64| rect.bottom() - rect.height() * share.clamp(0.0, 1.0) as f32;
    let memory =
        |sample: &MachineSample| sample.memory_used_bytes as f64 / sample.memory_total_bytes.max(1) as f64;
    let mut cpu_points: Vec<Pos2> = Vec::new();
    let mut memory_points: Vec<Pos2> = Vec::new();
    let mut last: Option<DateTime<Utc>> = None;
    let flush = |cpu: &mut Vec<Pos2>, memory: &mut Vec<Pos2>| {
        sparkline(ui, cpu, rect.bottom(), tokens.running, 1.5);
        if memory.len() > 1 {
            ui.painter().line(std::mem::take(memory), Stroke::new(1.5, tokens.queued));
        }
        memory.clear();
        cpu.clear();
    };
    for sample in view.store.machine().iter().filter(|sample| sample.at >= axis.from) {
        if last.is_some_and(|last| sample.at - last > GAP) {
            flush(&mut cpu_points, &mut memory_points);
        }
        cpu_points.push(pos2(axis.x(sample.at), y(sample.cpu_fraction)));
        memory_points.push(pos2(axis.x(sample.at), y(memory(sample))));
        last = Some(sample.at);
    }
    flush(&mut cpu_points, &mut memory_points);
}

fn axis_at(ui: &Ui, y: f32, axis: Axis) {
    let tokens = theme::tokens(ui);
    let second_of_minute = i64::from(axis.from.second());
    let mut tick = axis.from + TimeDelta::seconds(60 - second_of_minute);
    while tick < axis.to {
        let local = tick.with_timezone(&Local);
        let x = axis.x(tick);
        if local.minute().is_multiple_of(2) && x > axis.rect.left() + 16.0 && x < axis.rect.right() - 44.0 {
            let text = local.format("%H:%M").to_string();
            numbers_at(ui, pos2(x, y), Align2::CENTER_TOP, &text, (theme::small(), tokens.faint));
        }
        tick += TimeDelta::minutes(1);
    }
    let style = (theme::small(), tokens.faint);
    label_at(ui, pos2(axis.rect.right(), y), Align2::RIGHT_TOP, "now", style, 40.0);
}

/// From when to when, what is written on it, and the state of the step; none: the run is frozen.
type Span<'a> = (DateTime<Utc>, DateTime<Utc>, &'a str, Option<StepState>);

/// A run's spans.
fn spans(entry: &RunEntry, now: DateTime<Utc>) -> Vec<Span<'_>> {
    let mut spans: Vec<_> = entry
        .steps()
        .iter()
        .filter_map(|step| {
            let from = step.started_at?;
            Some((from, step.finished_at.unwrap_or(now), step.step_id.as_str(), Some(step.state)))
        })
        .collect();
    let is_driven = entry.steps().is_empty() && entry.steps_known() == StepsKnown::Whole;
    if is_driven && entry.run.state != RunState::Queued {
        let until = entry.run.finished_at.unwrap_or(now);
        spans.push((entry.run.started_at, until, "", Some(StepState::Running)));
    }
    spans.sort_by_key(|span| span.0);
    let current = entry.run.frozen_since.map(|since| (since, now));
    spans.extend(entry.freezes.iter().copied().chain(current).map(|(from, to)| (from, to, "frozen", None)));
    spans
}

/// A run's lanes, from one to as many as `band` has room for.
fn band_ui(ui: &mut Ui, band: Rect, axis: Axis, entry: &RunEntry, view: View<'_>, out: &mut Commands) {
    let tokens = theme::tokens(ui);
    let n_lanes = (band.height() / LANE).round() as usize;
    let name = Rect::from_min_size(pos2(band.left() - GUTTER, band.top()), vec2(GUTTER - 8.0, LANE));
    let style = (theme::small(), tokens.muted);
    let pipeline = entry.run.pipeline_id.as_str();
    label_at(ui, pos2(name.left(), name.center().y), Align2::LEFT_CENTER, pipeline, style, name.width());
    let painter = ui.painter_at(band);
    // Per lane: where its last span and its last label end.
    let mut ends = vec![(DateTime::<Utc>::MIN_UTC, f32::MIN); n_lanes.max(1)];
    for (from, to, text, state) in spans(entry, view.now) {
        if to < axis.from {
            continue;
        }
        let color = match state {
            None => tokens.paused,
            // That it stands still is said by the span of the freeze, which lies on top.
            Some(StepState::Paused) => tokens.running,
            Some(state) => tokens.step_state(state),
        };
        let lane = match state {
            // Frozen is the whole run.
            None => 0,
            Some(_) => ends.iter().position(|(end, _)| *end <= from).unwrap_or(ends.len() - 1),
        };
        ends[lane].0 = ends[lane].0.max(to);
        let top = band.top() + lane as f32 * LANE;
        let bottom = if state.is_none() { band.bottom() } else { top + LANE };
        let bar_y = top + 2.0..=bottom - 2.0;
        let left = axis.x(from.max(axis.from));
        let bar = Rect::from_x_y_ranges(left..=axis.x(to).max(left + 3.0), bar_y);
        let radius = CornerRadius::same(3);
        painter.rect_filled(bar, radius, tokens.tint(color, 0.3));
        if from >= axis.from {
            let edge = Rect::from_min_size(bar.min, vec2(3.0, bar.height()));
            painter.rect_filled(edge, CornerRadius::same(1), color);
        }
        let text_left = bar.left() + 8.0;
        let width = bar.width() - 12.0;
        if width > 14.0 && text_left > ends[lane].1 {
            let style = (theme::small(), tokens.text);
            let shown =
                label_at(ui, pos2(text_left, bar.center().y), Align2::LEFT_CENTER, text, style, width);
            ends[lane].1 = shown.right();
        }
    }
    let response = ui.interact(
        Rect::from_min_max(name.min, band.max),
        ui.scope_id().with(("lane", entry.run.run_id.as_str())),
        Sense::click(),
    );
    response.widget_info(|| {
        egui::WidgetInfo::labeled(egui::Role::Button, true, format!("Timeline of {}", entry.run.run_id))
    });
    if response.clicked() {
        out.push(Command::Select(Some(entry.run.run_id.clone())));
    }
}

/// The line through both, and what was then.
fn cross_at(ui: &Ui, whole: Rect, plot: Rect, axis: Axis, runs: &[&RunEntry], view: View<'_>) {
    let pointer =
        ui.ctx().pointer_hover_pos().filter(|pos| whole.contains(*pos) && ui.rect_contains_pointer(whole));
    let Some(pointer) = pointer else { return };
    let tokens = theme::tokens(ui);
    let at = axis.at(pointer.x);
    ui.painter().vline(pointer.x, whole.y_range(), Stroke::new(1.0, tokens.muted));
    let samples = view.store.machine();
    let n_before = samples.partition_point(|sample| sample.at <= at);
    let nearest = n_before.checked_sub(1).and_then(|n| samples.get(n)).filter(|sample| at - sample.at <= GAP);
    let time = at.with_timezone(&Local).format("%H:%M:%S");
    let first = match nearest {
        Some(sample) => format!(
            "{time} · CPU {} · memory {}",
            format::percent(sample.cpu_fraction),
            format::bytes(sample.memory_used_bytes)
        ),
        None => time.to_string(),
    };
    let running: Vec<String> = runs
        .iter()
        .flat_map(|entry| {
            let pipeline = &entry.run.pipeline_id;
            let mut then = spans(entry, view.now);
            then.retain(|(from, to, ..)| *from <= at && at <= *to);
            let is_frozen = then.iter().any(|(.., state)| state.is_none());
            then.into_iter().filter(move |(.., state)| state.is_none() || !is_frozen).map(
                move |(_, _, text, state)| match state {
                    Some(_) => format!("{pipeline}/{text}"),
                    None => format!("{pipeline} frozen"),
                },
            )
        })
        .take(4)
        .collect();
    let second = if running.is_empty() { "no step ran".to_owned() } else { running.join(", ") };
    let galley = |text: String, color: Color32| ui.painter().layout_no_wrap(text, theme::small(), color);
    let (first, second) = (galley(first, tokens.text), galley(second, tokens.muted));
    let size =
        vec2(first.size().x.max(second.size().x), first.size().y + second.size().y + 4.0) + vec2(20.0, 14.0);
    let left =
        if pointer.x + 10.0 + size.x < plot.right() { pointer.x + 10.0 } else { pointer.x - 10.0 - size.x };
    let rect = Rect::from_min_size(pos2(left, plot.top() + 6.0), size);
    let line = Stroke::new(1.0, tokens.line);
    ui.painter().rect(
        rect,
        CornerRadius::same(theme::LEVER_RADIUS),
        tokens.raised,
        line,
        egui::StrokeKind::Inside,
    );
    let second_at = rect.min + vec2(10.0, 11.0 + first.size().y);
    ui.painter().galley(rect.min + vec2(10.0, 7.0), first, tokens.text);
    ui.painter().galley(second_at, second, tokens.muted);
}

//! The machine and the steps on one time axis: CPU and memory above, below them a lane a run, and one
//! vertical line through both where the pointer is. `egui_plot` paints axes and curves and owns the
//! transform; the lanes are painted on it, below its zero line.

use chrono::{DateTime, Local, TimeDelta, Timelike, Utc};
use egui::{Align2, Color32, CornerRadius, Rect, Sense, Stroke, Ui, UiBuilder, pos2, vec2};
use egui_plot::{AxisHints, GridMark, Line, Plot, PlotPoint, PlotPoints, PlotTransform, PlotUi};

use super::super::command::Command;
use super::super::widgets::{Card, label_at};
use super::super::{format, theme};
use super::{Commands, View};
use crate::app::{MachineSample, RunEntry, SAMPLE_SPAN};
use crate::run::{RunState, StepState};

/// The least height of the curves.
const PLOT: f32 = 64.0;
const LANE: f32 = 20.0;
const MAX_LANES: usize = 4;
const AXIS: f32 = 20.0;
/// Between the curves and the lanes.
const CREASE: f32 = 8.0;
/// Left of the axis, where lanes are named.
const GUTTER: f32 = 124.0;
/// Above all that can be used, so that a curve at the top is not cut in half.
const TOP: f64 = 1.03;
/// A longer silence between samples is a gap in the curve.
const GAP: TimeDelta = TimeDelta::seconds(15);

/// Where a moment lies: the plot counts seconds from `now` on.
#[derive(Clone, Copy)]
struct Axis {
    transform: PlotTransform,
    now: DateTime<Utc>,
    span: TimeDelta,
}

impl Axis {
    fn from(self) -> DateTime<Utc> {
        self.now - self.span
    }

    fn x(self, at: DateTime<Utc>) -> f32 {
        self.transform.position_from_point_x((at - self.now).as_seconds_f64())
    }

    fn at(self, x: f32) -> DateTime<Utc> {
        let seconds = self.transform.value_from_position(pos2(x, 0.0)).x;
        self.now + TimeDelta::milliseconds((seconds * 1000.0) as i64)
    }
}

pub(crate) fn timeline_ui(ui: &mut Ui, view: View<'_>, out: &mut Commands) {
    let is_empty = view.store.living().len() + view.store.recent().len() == 0;
    let n_lanes = match (view.store.selected(), is_empty) {
        (_, true) => 0,
        (Some(_), false) => 2,
        (None, false) => MAX_LANES,
    };
    let below = if n_lanes == 0 { 0.0 } else { CREASE + n_lanes as f32 * LANE };
    let curves = (ui.ctx().content_rect().height() * 0.14).clamp(PLOT, 180.0).round();
    let height = curves + below + AXIS + 24.0;
    Card::frame(ui).show(ui, |ui| {
        let (_, card) = ui.allocate_space(vec2(ui.available_width(), height));
        let inner =
            Rect::from_min_max(card.min + vec2(theme::GAP, 10.0), card.max - vec2(theme::GAP + 8.0, 10.0));
        legend_at(ui, inner);
        let mut child = ui.new_child(UiBuilder::new().max_rect(inner));
        let span = span(view);
        let transform = plot_ui(&mut child, view, span, f64::from(below / curves));
        let axis = Axis { transform, now: view.now, span };
        let frame = *transform.frame();
        let top = transform.position_from_point_y(0.0) + CREASE;
        let runs = shown_runs(view, axis);
        // The selected run has all lanes for itself, so that steps at once lie one above the other.
        let n_each = if view.store.selected().is_some() { n_lanes } else { 1 };
        for (n, entry) in runs.iter().enumerate() {
            let top = top + (n * n_each) as f32 * LANE;
            let size = vec2(frame.width(), n_each as f32 * LANE);
            band_ui(ui, Rect::from_min_size(pos2(frame.left(), top), size), axis, entry, view, out);
        }
        cross_at(ui, axis, &runs, view);
    });
}

/// How far back the axis reaches: in a window that has just opened not so far that nothing could be told apart.
fn span(view: View<'_>) -> TimeDelta {
    let oldest = view.store.machine().front().map_or(TimeDelta::zero(), |sample| view.now - sample.at);
    let spans = [TimeDelta::minutes(2), TimeDelta::minutes(5)];
    spans.into_iter().find(|span| oldest <= *span).unwrap_or(SAMPLE_SPAN)
}

/// The runs that have a lane: the selected one alone, else those that live, then those whose end is on the axis.
fn shown_runs<'a>(view: View<'a>, axis: Axis) -> Vec<&'a RunEntry> {
    if let Some(selected) = view.store.selected() {
        return vec![selected];
    }
    let ended = view.store.recent().take_while(|entry| entry.ended_at() > axis.from());
    let mut runs: Vec<&RunEntry> = view.store.living().chain(ended).take(MAX_LANES).collect();
    runs.sort_by(|a, b| (a.run.started_at, &a.run.run_id).cmp(&(b.run.started_at, &b.run.run_id)));
    runs
}

fn legend_at(ui: &Ui, rect: Rect) {
    let tokens = theme::tokens(ui);
    for (n, (text, color)) in [("CPU", tokens.running), ("Memory", tokens.queued)].into_iter().enumerate() {
        let at = rect.min + vec2(0.0, 7.0 + n as f32 * 18.0);
        ui.painter().hline(at.x..=at.x + 12.0, at.y, Stroke::new(2.0, color));
        let style = (theme::small(), tokens.muted);
        label_at(ui, at + vec2(18.0, 0.0), Align2::LEFT_CENTER, text, style, 60.0);
    }
}

/// The curves and both axes in the whole of `ui`; below zero there is room for `below` (of the height from 0 to 1).
fn plot_ui(ui: &mut Ui, view: View<'_>, span: TimeDelta, below: f64) -> PlotTransform {
    let tokens = theme::tokens(ui);
    let now = view.now;
    let shares = |_| [0.0, 0.5, 1.0].map(|value| GridMark { value, step_size: 1.0 }).to_vec();
    let hints = |axis: AxisHints<'static>, thickness| {
        axis.tick_label_color(tokens.faint).tick_label_font(theme::small()).min_thickness(thickness)
    };
    let seconds = span.as_seconds_f64();
    let x_axis = hints(AxisHints::new_x(), AXIS).formatter(move |mark, _| match mark.value {
        0.0 => "now".to_owned(),
        // Rounded to the second: the tick itself may lie a moment before its minute.
        value => {
            let at = now + TimeDelta::milliseconds((value * 1000.0) as i64 + 500);
            at.with_timezone(&Local).format("%H:%M").to_string()
        }
    });
    let y_axis = hints(AxisHints::new_y(), GUTTER).formatter(|mark, _| format::percent(mark.value));
    Plot::new("machine")
        .sense(Sense::hover())
        .allow_drag(false)
        .allow_zoom(false)
        .allow_scroll(false)
        .allow_boxed_zoom(false)
        .allow_axis_zoom_drag(false)
        .allow_double_click_reset(false)
        .show_x(false)
        .show_y(false)
        .show_background(false)
        .show_grid([false, true])
        .grid_color(tokens.line)
        .x_grid_spacer(move |_| minutes(now, seconds))
        .y_grid_spacer(shares)
        .custom_x_axes(vec![x_axis])
        .custom_y_axes(vec![y_axis])
        .show(ui, |plot| {
            plot.set_plot_bounds_x(-seconds..=0.0);
            plot.set_plot_bounds_y(-below..=TOP);
            let cpu = |sample: &MachineSample| sample.cpu_fraction;
            curve(plot, view, tokens.running, |line| line.fill(0.0).fill_alpha(0.16), cpu);
            let memory = |sample: &MachineSample| {
                sample.memory_used_bytes as f64 / sample.memory_total_bytes.max(1) as f64
            };
            curve(plot, view, tokens.queued, |line| line, memory);
        })
        .transform
}

/// A tick at each minute of the wall clock, or each second one where many are shown, and one now.
fn minutes(now: DateTime<Utc>, seconds: f64) -> Vec<GridMark> {
    let n_minutes = if seconds > 300.0 { 2 } else { 1 };
    let step = f64::from(n_minutes * 60);
    let local = now.with_timezone(&Local);
    let into_step = f64::from(local.minute() % n_minutes * 60 + local.second());
    let newest = -into_step - f64::from(local.nanosecond()) / 1e9;
    let mark = |value| GridMark { value, step_size: step };
    let ticks = (0..).map(|n| newest - f64::from(n) * step).take_while(|value| *value > seconds * -0.98);
    // What is nearer than this would lie under the word "now".
    ticks.filter(|value| *value < seconds * -0.046).chain([0.0]).map(mark).collect()
}

/// A share of the machine over time, one line a stretch without a gap.
fn curve<'a>(
    plot: &mut PlotUi<'a>,
    view: View<'_>,
    color: Color32,
    look: impl Fn(Line<'a>) -> Line<'a>,
    share: impl Fn(&MachineSample) -> f64,
) {
    let mut stretch: Vec<PlotPoint> = Vec::new();
    let mut last: Option<DateTime<Utc>> = None;
    let from = view.now - SAMPLE_SPAN - GAP;
    let mut finish = |stretch: &mut Vec<PlotPoint>| {
        let line = Line::new("", PlotPoints::Owned(std::mem::take(stretch)));
        plot.line(look(line.color(color).width(1.5).allow_hover(false)));
    };
    for sample in view.store.machine().iter().filter(|sample| sample.at >= from) {
        if last.is_some_and(|last| sample.at - last > GAP) {
            finish(&mut stretch);
        }
        let x = (sample.at - view.now).as_seconds_f64();
        stretch.push(PlotPoint::new(x, share(sample).clamp(0.0, 1.0)));
        last = Some(sample.at);
    }
    finish(&mut stretch);
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
    // A program drives it, or it ended before this window looked: then it is one span.
    if spans.is_empty() && entry.run.state != RunState::Queued {
        let until = entry.run.finished_at.unwrap_or(now);
        spans.push((entry.run.started_at, until, "", Some(as_step(entry.run.state))));
    }
    spans.sort_by_key(|span| span.0);
    let current = entry.run.frozen_since.map(|since| (since, now));
    spans.extend(entry.freezes.iter().copied().chain(current).map(|(from, to)| (from, to, "frozen", None)));
    spans
}

/// The state of a step that looks as a run of this state does.
const fn as_step(state: RunState) -> StepState {
    match state {
        RunState::Queued => StepState::Waiting,
        RunState::Running | RunState::Paused | RunState::Stopping => StepState::Running,
        RunState::Stopped | RunState::ForceStopped => StepState::Stopped,
        RunState::Completed => StepState::Completed,
        RunState::Failed => StepState::Failed,
        RunState::Interrupted => StepState::Interrupted,
    }
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
        if to < axis.from() {
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
        let left = axis.x(from.max(axis.from()));
        let bar = Rect::from_x_y_ranges(left..=axis.x(to).max(left + 3.0), bar_y);
        let radius = CornerRadius::same(3);
        painter.rect_filled(bar, radius, tokens.tint(color, 0.3));
        if from >= axis.from() {
            let edge = Rect::from_min_size(bar.min, vec2(3.0, bar.height()));
            painter.rect_filled(edge, CornerRadius::same(1), color);
        }
        let text_left = bar.left() + 8.0;
        let width = bar.width() - 12.0;
        if width > 26.0 && text_left > ends[lane].1 {
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
fn cross_at(ui: &Ui, axis: Axis, runs: &[&RunEntry], view: View<'_>) {
    let whole = *axis.transform.frame();
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
                    Some(_) if text.is_empty() => pipeline.to_string(),
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
        if pointer.x + 10.0 + size.x < whole.right() { pointer.x + 10.0 } else { pointer.x - 10.0 - size.x };
    let rect = Rect::from_min_size(pos2(left, whole.top() + 6.0), size);
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

//! The time axis of all plots: curves above, bars below, limits as horizontal lines, alerts as marks. `egui_plot` paints axes and curves and owns the transform.

use chrono::{DateTime, Local, TimeDelta, TimeZone, Utc};
use egui::{
    Align2, Color32, CornerRadius, CursorIcon, EventFilter, Id, Key, Modifiers, Rangef, Rect, Role, Sense,
    Shape, Stroke, Ui, pos2, vec2,
};
use egui_plot::{
    AxisHints, FilledArea, GridMark, HLine, Line, LineStyle, Plot, PlotPoint, PlotPoints, PlotTransform,
    PlotUi,
};

use super::super::widgets::{AccessibleName, label_at, line_of, text_width};
use crate::resources::{Limit, Limits, Resource, Threshold};
use crate::ui::{format, theme};
use crate::window::{AlertMark, TimeRange};

/// The height below the curves for the times.
pub(super) const TIMES: f32 = 20.0;
/// The width left of the axis for the names of lanes.
pub(super) const GUTTER: f32 = 124.0;
/// The upper bound for shares, slightly above 1, so that a curve at the top is not cut in half.
pub(super) const TOP: f64 = 1.03;
/// Marks that are closer than this are shown as one.
const MARK: f32 = 9.0;

/// A linear scale of time.
#[derive(Clone, Copy)]
pub(super) struct Scale {
    pub(super) range: TimeRange,
    pub(super) x: Rangef,
}

impl Scale {
    pub(super) fn x(self, at: DateTime<Utc>) -> f32 {
        let share = (at - self.range.from).as_seconds_f64() / self.seconds();
        self.x.min + self.x.span() * share.clamp(-10.0, 10.0) as f32
    }

    pub(super) fn at(self, x: f32) -> DateTime<Utc> {
        let share = f64::from((x - self.x.min) / self.x.span().max(1.0));
        self.range.from + TimeDelta::milliseconds((share * self.seconds() * 1000.0) as i64)
    }

    fn seconds(self) -> f64 {
        self.range.length().as_seconds_f64().max(1e-3)
    }
}

/// Converts moments and values to positions: the plot counts seconds from the end of its range on.
#[derive(Clone, Copy)]
pub(super) struct Axis {
    transform: PlotTransform,
    pub(super) scale: Scale,
}

impl Axis {
    pub(super) fn x(self, at: DateTime<Utc>) -> f32 {
        self.scale.x(at)
    }

    pub(super) fn y(self, value: f64) -> f32 {
        self.transform.position_from_point_y(value)
    }

    pub(super) fn value(self, y: f32) -> f64 {
        self.transform.value_from_position(pos2(0.0, y)).y
    }

    pub(super) fn frame(self) -> Rect {
        *self.transform.frame()
    }
}

/// An empty plot over time.
pub(super) struct Chart<'a> {
    pub(super) id: &'static str,
    /// Its curves in words.
    pub(super) says: String,
    pub(super) now: DateTime<Utc>,
    /// What it shows.
    pub(super) range: TimeRange,
    /// The highest visible value, and how far the plot reaches below 0, in values.
    pub(super) top: f64,
    pub(super) below: f64,
    /// Values with a horizontal line, and how values are written.
    pub(super) levels: Vec<f64>,
    pub(super) text: &'a dyn Fn(f64) -> String,
    pub(super) has_times: bool,
}

impl Chart<'_> {
    /// Paints it in the whole of `ui`, with the curves that `add` adds.
    pub(super) fn show(self, ui: &mut Ui, add: impl FnOnce(&mut PlotUi<'_>)) -> Axis {
        let tokens = theme::tokens(ui);
        let range = self.range;
        let hints = |axis: AxisHints<'static>, thickness| {
            axis.tick_label_color(tokens.faint).tick_label_font(theme::small()).min_thickness(thickness)
        };
        let seconds = range.length().as_seconds_f64();
        let times = times(range, self.now, ui.available_width() - GUTTER);
        let marks =
            times.iter().map(|(value, _)| GridMark { value: *value, step_size: seconds }).collect::<Vec<_>>();
        let x_axis = hints(AxisHints::new_x(), TIMES).formatter(move |mark, _| {
            times
                .iter()
                .find(|(value, _)| *value == mark.value)
                .map_or_else(String::new, |(_, text)| text.clone())
        });
        let levels: Vec<_> = self.levels.iter().map(|value| (*value, (self.text)(*value))).collect();
        let levels_of_grid: Vec<_> =
            levels.iter().map(|(value, _)| GridMark { value: *value, step_size: 1e12 }).collect();
        let y_axis = hints(AxisHints::new_y(), GUTTER).formatter(move |mark, _| {
            levels
                .iter()
                .find(|(value, _)| *value == mark.value)
                .map_or_else(String::new, |(_, text)| text.clone())
        });
        let shown = Plot::new(self.id)
            .min_size(vec2(16.0, 8.0))
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
            .show_axes([self.has_times, true])
            .grid_color(tokens.line)
            .x_grid_spacer(move |_| marks.clone())
            .y_grid_spacer(move |_| levels_of_grid.clone())
            .custom_x_axes(if self.has_times { vec![x_axis] } else { Vec::new() })
            .custom_y_axes(vec![y_axis])
            .show(ui, |plot| {
                plot.set_plot_bounds_x(-seconds..=0.0);
                plot.set_plot_bounds_y(-self.below..=self.top);
                add(plot);
            });
        shown.response.says(Role::Image, &self.says);
        let x = shown.transform.frame().x_range();
        Axis { transform: shown.transform, scale: Scale { range, x } }
    }
}

/// The labels below an axis of that width: round times of the wall clock, each with its position in seconds from the end
/// on.
fn times(range: TimeRange, now: DateTime<Utc>, width: f32) -> Vec<(f64, String)> {
    let until = range.until;
    let is_now = (until - now).abs() < TimeDelta::seconds(1);
    let n_max = (width / TICK).floor().max(2.0);
    let ticks = ticks(range, n_max as usize, &Local);
    let seconds = range.length().as_seconds_f64();
    // A closer one would be hidden by the word "now", or cut off.
    let edge = seconds * f64::from(TICK / 2.0 / width.max(TICK));
    let ticks = ticks
        .into_iter()
        .map(|(at, text)| ((at - until).as_seconds_f64(), text))
        .filter(|(value, _)| (edge * 0.5 - seconds..-edge).contains(value));
    ticks.chain(is_now.then(|| (0.0, "now".to_owned()))).collect()
}

/// The room that the text of one time takes.
pub(super) const TICK: f32 = 84.0;

/// Distances between times on an axis, in seconds.
const STEPS: [i64; 20] = [
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800,
    432_000,
];

/// Round times of the wall clock in `zone` in a range, at most `n_max`, each with its text.
pub(super) fn ticks<Z: TimeZone>(range: TimeRange, n_max: usize, zone: &Z) -> Vec<(DateTime<Utc>, String)>
where
    Z::Offset: std::fmt::Display,
{
    let from = range.from;
    let seconds = range.length().num_seconds().max(0);
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
    let shown = (0..n_max).map(at).take_while(|at| *at <= range.until);
    shown.map(|at| (at, format::instant(&at.with_timezone(zone), form))).collect()
}

/// How a curve looks.
#[derive(Clone, Copy)]
pub(super) struct CurveLook {
    pub(super) color: Color32,
    /// Whether the area below it is tinted.
    pub(super) is_filled: bool,
    /// A longer time without points is a gap.
    pub(super) gap: TimeDelta,
}

/// A moment, the mean there, and the peak.
pub(super) type CurvePoint = (DateTime<Utc>, f64, f64);

/// A figure over time: one line for each stretch without a gap, and a band up to the peaks.
pub(super) fn curve(
    plot: &mut PlotUi<'_>,
    range: TimeRange,
    look: CurveLook,
    points: impl Iterator<Item = CurvePoint>,
) {
    let mut stretch: Vec<CurvePoint> = Vec::new();
    let (from, until) = (range.from - look.gap, range.until + look.gap);
    for point in points.filter(|(at, ..)| (from..=until).contains(at)) {
        if stretch.last().is_some_and(|last| point.0 - last.0 > look.gap) {
            stretch_at(plot, range, look, &std::mem::take(&mut stretch));
        }
        stretch.push(point);
    }
    stretch_at(plot, range, look, &stretch);
}

fn stretch_at(plot: &mut PlotUi<'_>, range: TimeRange, look: CurveLook, stretch: &[CurvePoint]) {
    let x = |at: DateTime<Utc>| (at - range.until).as_seconds_f64();
    if stretch.iter().any(|(_, mean, peak)| peak > mean) {
        let xs: Vec<f64> = stretch.iter().map(|(at, ..)| x(*at)).collect();
        let (means, peaks): (Vec<f64>, Vec<f64>) =
            stretch.iter().map(|(_, mean, peak)| (*mean, *peak)).unzip();
        let band = FilledArea::new("", &xs, &means, &peaks);
        plot.add(band.fill_color(look.color.gamma_multiply(0.28)).allow_hover(false));
    }
    let points = stretch.iter().map(|(at, mean, _)| PlotPoint::new(x(*at), *mean)).collect();
    let line = Line::new("", PlotPoints::Owned(points)).color(look.color).width(1.5).allow_hover(false);
    plot.line(if look.is_filled { line.fill(0.0).fill_alpha(0.16) } else { line });
}

/// A limit as a horizontal line.
pub(super) struct LimitLine {
    pub(super) value: f64,
    pub(super) text: String,
    /// What is limited there.
    pub(super) of: Vec<Resource>,
}

impl LimitLine {
    /// The limits of CPU and memory as shares; two at the same value become one line.
    pub(super) fn of_shares(limits: &Limits, memory_total_bytes: u64) -> Vec<Self> {
        let of =
            |resource, total: f64| limits.of(resource).map(|limit| (resource, share(limit, total), limit));
        let cpu = of(Resource::Cpu, 1.0);
        let memory = of(Resource::Memory, memory_total_bytes.max(1) as f64);
        if let (Some((_, cpu, limit)), Some((_, memory, _))) = (&cpu, &memory)
            && (cpu - memory).abs() < 0.005
        {
            let text = format!("CPU and memory limit {}", bound(limit));
            return vec![Self { value: *cpu, text, of: vec![Resource::Cpu, Resource::Memory] }];
        }
        let line = |(resource, value, limit): (Resource, f64, &Limit)| {
            let name = if resource == Resource::Cpu { "CPU" } else { "memory" };
            Self { value, text: format!("{name} limit {}", bound(limit)), of: vec![resource] }
        };
        [cpu, memory].into_iter().flatten().map(line).filter(|line| line.value <= TOP).collect()
    }

    pub(super) fn put(&self, plot: &mut PlotUi<'_>, color: Color32) {
        let line =
            HLine::new("", self.value).color(color).width(1.0).style(LineStyle::Dashed { length: 5.0 });
        plot.hline(line.allow_hover(false));
    }
}

/// Lines that can be moved, by the pointer or by the keys up and down. Returns what is moved, and to which value.
pub(super) fn drag_limits_ui(
    ui: &mut Ui,
    axis: Axis,
    lines: &[LimitLine],
    step: f64,
) -> Option<(Vec<Resource>, f64)> {
    let tokens = theme::tokens(ui);
    let mut moved = None;
    for line in lines {
        let y = axis.y(line.value);
        let place = Rect::from_x_y_ranges(axis.frame().x_range(), y - 4.0..=y + 4.0);
        let id = Id::unique(("limit line", line.of.first().map(|of| of.name())));
        let response = ui.interact(place, id, Sense::drag()).on_hover_cursor(CursorIcon::ResizeVertical);
        response.says(Role::Slider, &format!("Move the {}", line.text));
        if response.hovered() || response.dragged() || response.has_focus() {
            ui.painter().hline(place.x_range(), y, Stroke::new(2.0, tokens.failed));
        }
        if let Some(pointer) = response.interact_pointer_pos().filter(|_| response.dragged()) {
            moved = Some((line.of.clone(), axis.value(pointer.y)));
        } else if response.has_focus() {
            let filter = EventFilter { vertical_arrows: true, ..EventFilter::default() };
            ui.memory_mut(|memory| memory.set_focus_lock_filter(id, filter));
            let take = |key| ui.input_mut(|input| input.count_and_consume_key(Modifiers::NONE, key)) as f64;
            let by = take(Key::ArrowUp) - take(Key::ArrowDown);
            if by != 0.0 {
                moved = Some((line.of.clone(), line.value + by * step));
            }
        }
    }
    moved
}

fn share(limit: &Limit, total: f64) -> f64 {
    match limit.raise_at() {
        Threshold::Fraction(share) => share,
        Threshold::Bytes(bytes) => bytes as f64 / total,
    }
}

/// The value at which a limit is raised, as text.
pub(super) fn bound(limit: &Limit) -> String {
    match limit.raise_at() {
        Threshold::Fraction(share) => format!("{} %", (share * 1000.0).round() / 10.0),
        Threshold::Bytes(bytes) => format::bytes(bytes),
    }
}

/// The labels of the lines, at their right ends.
pub(super) fn limit_labels_at(ui: &Ui, axis: Axis, lines: &[LimitLine]) {
    let tokens = theme::tokens(ui);
    let frame = axis.frame();
    let mut placed: Vec<Rect> = Vec::new();
    for line in lines {
        let y = axis.y(line.value);
        let (y, align) = if y - 15.0 < frame.top() {
            (y + 1.0, Align2::RIGHT_TOP)
        } else {
            (y - 1.0, Align2::RIGHT_BOTTOM)
        };
        // A label that would cover another one is moved to its left.
        let is_near = |rect: &&Rect| (rect.center().y - y).abs() < 16.0;
        let right =
            placed.iter().filter(is_near).map(|rect| rect.left() - 14.0).fold(frame.right() - 4.0, f32::min);
        // Another line may run through it.
        let width = text_width(ui, &line.text, theme::small());
        let height = ui.fonts_mut(|fonts| fonts.row_height(&theme::small()));
        let behind = align.anchor_size(pos2(right, y), vec2(width, height)).expand2(vec2(3.0, 0.0));
        ui.painter().rect_filled(behind, CornerRadius::same(3), tokens.panel);
        let style = (theme::small(), tokens.failed);
        let rect = label_at(ui, pos2(right, y), align, line.text.as_str(), style, 240.0);
        let response = ui.interact(rect, ui.scope_id().with(("limit", line.text.as_str())), Sense::hover());
        response.says(Role::Label, &line.text);
        placed.push(rect);
    }
}

/// Marks on the line at `y` for limits that were raised (filled) and cleared (hollow), with a tooltip.
pub(super) fn marks_ui<'a>(ui: &mut Ui, axis: Axis, y: f32, marks: impl Iterator<Item = &'a AlertMark>) {
    let color = theme::tokens(ui).failed;
    let mut groups: Vec<(f32, Vec<&AlertMark>)> = Vec::new();
    for mark in marks.filter(|mark| axis.scale.range.contains(mark.at)) {
        let x = axis.x(mark.at);
        match groups.last_mut() {
            Some((first, group)) if x - *first < MARK => group.push(mark),
            _ => groups.push((x, vec![mark])),
        }
    }
    for (n, (x, group)) in groups.into_iter().enumerate() {
        let tip = pos2(x, y);
        let points = vec![tip, tip + vec2(-4.5, -8.0), tip + vec2(4.5, -8.0)];
        let is_raised = group.iter().any(|mark| !mark.is_cleared);
        let fill = if is_raised { color } else { theme::tokens(ui).panel };
        ui.painter().add(Shape::convex_polygon(points, fill, Stroke::new(1.25, color)));
        let lines = group.iter().map(|mark| {
            let time = format::local(mark.at, "%-d %b %H:%M:%S");
            format!("{time}  {}{}", if mark.is_cleared { "over: " } else { "" }, mark.text)
        });
        let n_left = group.len().saturating_sub(4);
        let mut text = lines.take(4).collect::<Vec<_>>().join("\n");
        if n_left > 0 {
            text += &format!("\nand {n_left} more");
        }
        let place = Rect::from_center_size(tip - vec2(0.0, 4.0), vec2(14.0, 14.0));
        let response = ui.interact(place, ui.scope_id().with(("alert", n)), Sense::hover());
        response.says(Role::Label, &format!("Alert {text}"));
        response.tip(&text);
    }
}

/// A box with lines of text beside the line at `x`; the first line is its heading, and `hint` says what can be done.
pub(super) fn tip_at(ui: &Ui, x: f32, whole: Rect, lines: &[String], hint: Option<&str>) {
    let tokens = theme::tokens(ui);
    let colored = lines.iter().enumerate().map(|(n, text)| {
        let color = if n == 0 { tokens.text } else { tokens.muted };
        (text.as_str(), color)
    });
    let galleys: Vec<_> = colored
        .chain(hint.map(|hint| (hint, tokens.accent)))
        .map(|(text, color)| (line_of(ui, text, (theme::small(), color)), color))
        .collect();
    let width = galleys.iter().map(|(galley, _)| galley.size().x).fold(0.0, f32::max);
    let height: f32 = galleys.iter().map(|(galley, _)| galley.size().y + 4.0).sum();
    let size = vec2(width + 20.0, height + 10.0);
    let right_of_it = x + 10.0;
    let left_of_it = x - 10.0 - size.x;
    // If neither side has room, it covers the line.
    let left = if right_of_it + size.x < whole.right() { right_of_it } else { left_of_it.max(whole.left()) };
    let rect = Rect::from_min_size(pos2(left, whole.top() + 6.0), size);
    let line = Stroke::new(1.0, tokens.line);
    ui.painter().rect(
        rect,
        CornerRadius::same(theme::LEVER_RADIUS),
        tokens.raised,
        line,
        egui::StrokeKind::Inside,
    );
    let mut at = rect.min + vec2(10.0, 7.0);
    for (galley, color) in galleys {
        let height = galley.size().y;
        ui.painter().galley(at, galley, color);
        at.y += height + 4.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::FixedOffset;

    fn shown(from: &str, seconds: i64, n_max: usize) -> Vec<String> {
        let from: DateTime<Utc> = from.parse().unwrap();
        let range = TimeRange { from, until: from + TimeDelta::seconds(seconds) };
        let zone = FixedOffset::east_opt(5 * 3600 + 1800).unwrap();
        let ticks = ticks(range, n_max, &zone);
        assert!(ticks.iter().all(|(at, _)| range.contains(*at)));
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

    #[test]
    fn an_axis_of_any_length_has_a_few_round_times_and_now_if_it_reaches_there() {
        let now: DateTime<Utc> = "2026-11-23T14:07:31Z".parse().unwrap();
        for length in [
            TimeDelta::seconds(10),
            TimeDelta::minutes(2),
            TimeDelta::minutes(10),
            TimeDelta::hours(1),
            TimeDelta::days(1),
            TimeDelta::days(30),
        ] {
            for width in [300.0, 700.0, 2000.0] {
                let range = TimeRange::before(now, length);
                let shown = times(range, now, width);
                let n_max = (width / TICK) as usize + 1;
                assert!((2..=n_max).contains(&shown.len()), "{length} {width}: {shown:?}");
                assert_eq!(shown.last().map(|(_, text)| text.as_str()), Some("now"));
                assert!(shown.iter().all(|(at, _)| *at <= 0.0 && *at > -length.as_seconds_f64()));
                let earlier = times(range.moved(-length, TimeRange::before(now, length * 4)), now, width);
                assert!(earlier.iter().all(|(_, text)| text != "now"), "{earlier:?}");
            }
        }
    }
}

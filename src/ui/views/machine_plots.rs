//! The plots of the machine's page, on one time axis: CPU and memory above the steps that ran, then disks and network,
//! then free disk space.

use chrono::SubsecRound;
use egui::{Align2, Color32, Rangef, Rect, Role, Sense, Stroke, Ui, UiBuilder, pos2, vec2};

use super::super::command::Command;
use super::super::limit_form::MachinePage;
use super::super::time_line::{AxisOf, TimeCommand};
use super::super::widgets::{AccessibleName, Card, label_at, segments_at, segments_width, text_width};
use super::axis::{
    Axis, Chart, CurveLook, CurvePoint, LimitLine, TIMES, TOP, bound, curve, drag_limits_ui, limit_labels_at,
    marks_ui,
};
use super::lanes::{Bar, LANE};
use super::plotted::{Plotted, memory_share};
use super::ran_then::then;
use super::scrub::Scrub;
use super::{Commands, View};
use crate::api::{MachinePoint, StepSpan};
use crate::resources::{Limits, Resource};
use crate::ui::{format, spoken, theme};
use crate::window::{HistorySpan, TimeRange};

const SHARES: f32 = 124.0;
const RATES: f32 = 64.0;
const FREE: f32 = 40.0;
/// The number of lanes of steps, in a window of usual height and in a high one.
const LANES: usize = 3;
const LANES_OF_HIGH: usize = 6;
const HIGH: f32 = 900.0;
/// The room of a card's title.
const TITLE: f32 = 130.0;
/// The gap between the curves and the lanes.
const CREASE: f32 = 8.0;
/// The smallest full scale of rates, in bytes a second.
const LEAST_RATE: f64 = 65_536.0;

/// Both cards, and the line in time through them.
pub(super) fn plots_ui(ui: &mut Ui, view: View<'_>, page: &mut MachinePage, out: &mut Commands) {
    let (span, limits) = (page.span, page.shown());
    let whole = TimeRange::before(view.now, span.length());
    let range = view.state.time.shown(AxisOf::Machine).of(whole);
    let plotted = Plotted::of(view, span, (range != whole).then_some(range));
    let (axis, mut scrub) = shares_ui(ui, view, (span, whole, range), (&plotted, &limits), out);
    let (rates, free) = traffic_ui(ui, view, range, (&plotted, &limits));
    for strip in [rates, free.frame()] {
        scrub.strip(ui, strip, out);
    }
    // Over the strips, which would take the drag.
    let shares = LimitLine::of_shares(&limits, plotted.memory_total());
    if let Some((of, share)) = drag_limits_ui(ui, axis, &shares, 0.01) {
        for resource in of {
            let total = if resource == Resource::Memory { plotted.memory_total() as f64 } else { 1.0 };
            page.move_limit(resource, share * total, total);
        }
    }
    if let Some((line, total)) = disk_line(view, &limits)
        && let Some((_, bytes)) = drag_limits_ui(ui, free, &[line], f64::from(1 << 30))
    {
        page.move_limit(Resource::Disk, bytes, total as f64);
    }
    marks_ui(ui, axis, axis.y(0.0) + 1.0, plotted.marks.iter());
    let then = |at| {
        let mut then = then(view, at, plotted.heading(at));
        then.lines.splice(1..1, plotted.traffic(at));
        then
    };
    scrub.show_line(ui, then, out);
}

/// The legend of the curves, at the right end of a card's head, as far as it leaves room for the title.
fn legend_at(ui: &Ui, rect: Rect, right: f32, entries: &[(&str, Color32)]) {
    let mut x = right;
    for (text, color) in entries.iter().rev() {
        if x - text_width(ui, text, theme::small()) - 18.0 < rect.left() + TITLE {
            return;
        }
        let style = (theme::small(), theme::tokens(ui).muted);
        let shown = label_at(ui, pos2(x, rect.center().y), Align2::RIGHT_CENTER, *text, style, 120.0);
        let line = shown.left() - 18.0;
        ui.painter().hline(line..=line + 12.0, rect.center().y, Stroke::new(2.0, *color));
        x = line - 14.0;
    }
}

/// A place for plots in a card, `height` high.
fn place(ui: &mut Ui, height: f32) -> Rect {
    let (_, rect) = ui.allocate_space(vec2(ui.available_width(), height));
    Rect::from_min_max(rect.min + vec2(theme::GAP, 0.0), rect.max - vec2(theme::GAP + 8.0, 4.0))
}

/// CPU, memory and the steps. Returns the axis, and the line that crosses it.
fn shares_ui<'v>(
    ui: &mut Ui,
    view: View<'v>,
    (span, whole, range): (HistorySpan, TimeRange, TimeRange),
    (plotted, limits): (&Plotted<'_>, &Limits),
    out: &mut Commands,
) -> (Axis, Scrub<'v>) {
    let tokens = theme::tokens(ui);
    Card::new("CPU and memory").show(ui, |ui, rect| {
        let head = rect;
        let n_lanes = if ui.ctx().content_rect().height() < HIGH { LANES } else { LANES_OF_HIGH };
        let below = CREASE + n_lanes as f32 * LANE;
        let rect = place(ui, SHARES + below + TIMES + 4.0);
        let limits = LimitLine::of_shares(limits, plotted.memory_total());
        let chart = Chart {
            id: "history of shares",
            says: format!(
                "{}; {}",
                plotted.says("CPU", |point| point.cpu_fraction, format::percent, view.now),
                plotted.says("memory", memory_share, format::percent, view.now)
            ),
            now: view.now,
            range,
            top: TOP,
            below: f64::from(below / SHARES),
            levels: vec![0.0, 0.5, 1.0],
            text: &format::percent,
            has_times: true,
        };
        let axis = chart.show(&mut ui.new_child(UiBuilder::new().max_rect(rect)), |plot| {
            let points = || plotted.points();
            let look = |color, is_filled| CurveLook { color, is_filled, gap: plotted.gap };
            let cpu = points().map(|point| (point.at, point.cpu_fraction.min(1.0), point.cpu_peak.min(1.0)));
            curve(plot, range, look(tokens.running, true), cpu);
            let memory = points().map(|point| {
                let share = |bytes: u64| bytes as f64 / point.memory_total_bytes.max(1) as f64;
                (point.at, share(point.memory_used_bytes), share(point.memory_peak_bytes))
            });
            curve(plot, range, look(tokens.queued, false), memory);
            limits.iter().for_each(|limit| limit.put(plot, tokens.failed));
        });
        let mut scrub = Scrub::new(view, (AxisOf::Machine, "Time of the machine"), axis.scale, whole);
        let spans = HistorySpan::ALL.map(|span| (span, span_text(span), span_name(span)));
        let right = head.right() - segments_width(ui, &spans) - 12.0;
        let left = scrub.levers_at(ui, head, right, out);
        out.extend(segments_at(ui, head, span, &spans).0.map(Command::ShowSpan));
        scrub.strip(ui, axis.frame(), out);
        legend_at(ui, head, left - 18.0, &[("CPU", tokens.running), ("Memory", tokens.queued)]);
        limit_labels_at(ui, axis, &limits);
        if plotted.is_empty() {
            let at = pos2(axis.frame().center().x, axis.y(0.5));
            let text = "What the machine does is plotted here as it is measured";
            let place = label_at(
                ui,
                at,
                Align2::CENTER_CENTER,
                text,
                (theme::body(), tokens.muted),
                axis.frame().width(),
            );
            let response = ui.interact(place, ui.scope_id().with("nothing yet"), Sense::hover());
            response.says(Role::Label, text);
        }
        bars_ui(ui, view, (axis, n_lanes), plotted, out);
        (axis, scrub)
    })
}

/// The steps below the curves. If there are too many for the lanes, those that used most are shown.
fn bars_ui(
    ui: &mut Ui,
    view: View<'_>,
    (axis, n_lanes): (Axis, usize),
    plotted: &Plotted<'_>,
    out: &mut Commands,
) {
    let tokens = theme::tokens(ui);
    let (frame, top) = (axis.frame(), axis.y(0.0) + CREASE);
    let memory = plotted.memory_total().max(1) as f64;
    let weight = |span: &StepSpan| {
        let share = 0.02 + span.cpu_peak + span.memory_peak_bytes as f64 / memory;
        (span.until - span.from).as_seconds_f64().max(1.0) * share
    };
    let is_shown = |span: &&StepSpan| axis.scale.range.sees(span.from, span.until);
    let mut spans: Vec<&StepSpan> = plotted.spans().iter().filter(is_shown).collect();
    spans.sort_by(|a, b| weight(b).total_cmp(&weight(a)));
    let mut lanes: Vec<Vec<Rect>> = vec![Vec::new(); n_lanes];
    let (mut n_shown, mut n_left) = (0, 0);
    for span in spans {
        let run = view.store.run(&span.key.run_id).map(|entry| &entry.run);
        let of = run.map_or_else(|| span.key.run_id.to_string(), |run| run.pipeline_id.to_string());
        let color = run.map_or(tokens.stopped, |run| tokens.run_state(run.state));
        let text = format!("{of}/{} · {}", span.key.step_id, format::bytes(span.memory_peak_bytes));
        let bar = Bar { from: span.from, until: span.until, text: &text, color };
        let free = lanes.iter_mut().enumerate().find_map(|(n, taken)| {
            let lane =
                Rect::from_min_size(pos2(frame.left(), top + n as f32 * LANE), vec2(frame.width(), LANE));
            let place = bar.place(axis.scale, lane);
            let is_free = !taken.iter().any(|other| other.x_range().intersects(place.x_range().expand(1.0)));
            is_free.then(|| {
                taken.push(place);
                place
            })
        });
        let Some(place) = free else {
            n_left += 1;
            continue;
        };
        bar.paint(ui, &ui.painter_at(frame), axis.scale, (place, Rangef::EVERYTHING));
        let key = &span.key;
        let id = ui.scope_id().with(("bar", key.run_id.as_str(), key.step_id.as_str(), key.attempt));
        let response = ui.interact(place.intersect(frame), id, Sense::click());
        let name = format!("{text}, CPU {} at most", format::percent(span.cpu_peak));
        response.says(Role::Button, &name);
        if response.clicked() {
            // By a key, the log is opened where the step began.
            let pointer = response.interact_pointer_pos();
            let at = pointer.map_or(span.from, |pointer| axis.scale.at(pointer.x)).trunc_subsecs(0);
            out.push(Command::Time(TimeCommand::OpenLogs(vec![key.clone()], at)));
        }
        n_shown += 1;
    }
    let style = (theme::small(), tokens.faint);
    let left = frame.left() - super::axis::GUTTER;
    let text = if n_shown == 0 { "no step ran" } else { "steps" };
    label_at(
        ui,
        pos2(left, top + LANE / 2.0),
        Align2::LEFT_CENTER,
        text,
        (theme::small(), tokens.muted),
        110.0,
    );
    if n_left > 0 {
        let at = pos2(left, top + LANE * 1.5);
        label_at(ui, at, Align2::LEFT_CENTER, format!("{n_left} lighter not shown"), style, 116.0);
    }
}

/// A curve of rates: its name, its colour, and its figure.
type Rate = (&'static str, Color32, fn(&MachinePoint) -> u64);

/// Disks and network, and free space. Returns the place of the one plot, and the axis of the other.
fn traffic_ui(
    ui: &mut Ui,
    view: View<'_>,
    range: TimeRange,
    (plotted, limits): (&Plotted<'_>, &Limits),
) -> (Rect, Axis) {
    let tokens = theme::tokens(ui);
    let rates: [Rate; 4] = [
        ("Disk read", tokens.running, |point| point.disk_read_rate),
        ("Disk write", tokens.queued, |point| point.disk_write_rate),
        ("Received", tokens.completed, |point| point.network_receive_rate),
        ("Sent", tokens.interrupted, |point| point.network_send_rate),
    ];
    Card::new("Disk and network").show(ui, |ui, rect| {
        legend_at(ui, rect, rect.right(), &rates.map(|(text, color, _)| (text, color)));
        let most = rates.iter().flat_map(|(_, _, rate)| plotted.points().map(rate)).max().unwrap_or_default();
        let top = full_scale((most as f64).max(LEAST_RATE));
        let text = |rate: f64| {
            if rate == 0.0 { String::new() } else { format!("{}/s", format::bytes(rate as u64)) }
        };
        let chart = Chart {
            id: "history of rates",
            says: rates
                .map(|(name, _, value)| {
                    plotted.says(name, |point| value(point) as f64, spoken::rate, view.now)
                })
                .join("; "),
            now: view.now,
            range,
            top: top * TOP,
            below: 0.0,
            levels: vec![0.0, top / 2.0, top],
            text: &text,
            has_times: false,
        };
        let rect = place(ui, RATES + 10.0);
        let axis = chart.show(&mut ui.new_child(UiBuilder::new().max_rect(rect)), |plot| {
            for (_, color, rate) in rates {
                let look = CurveLook { color, is_filled: false, gap: plotted.gap };
                curve(plot, range, look, plotted.points().map(|point| flat(point, rate(point))));
            }
        });
        (axis.frame(), free_ui(ui, view, range, (plotted, limits)))
    })
}

/// Free space on the data directory's disk, with the limit if that is near.
fn free_ui(
    ui: &mut Ui,
    view: View<'_>,
    range: TimeRange,
    (plotted, limits): (&Plotted<'_>, &Limits),
) -> Axis {
    let tokens = theme::tokens(ui);
    let most = plotted.points().map(|point| point.disk_free_bytes).max().unwrap_or_default().max(1 << 20);
    let top = most as f64 * 1.15;
    let text = |bytes: f64| {
        if bytes == 0.0 { String::new() } else { format!("{} free", format::bytes(bytes as u64)) }
    };
    let line = disk_line(view, limits).map(|(line, _)| line).filter(|line| line.value <= top);
    let chart = Chart {
        id: "history of free space",
        says: plotted.says(
            "Free space",
            |point| point.disk_free_bytes as f64,
            |free| format::bytes(free as u64),
            view.now,
        ),
        now: view.now,
        range,
        top,
        below: 0.0,
        levels: vec![0.0, most as f64],
        text: &text,
        has_times: true,
    };
    let rect = place(ui, FREE + TIMES + 4.0);
    let axis = chart.show(&mut ui.new_child(UiBuilder::new().max_rect(rect)), |plot| {
        let look = CurveLook { color: tokens.accent, is_filled: true, gap: plotted.gap };
        curve(plot, range, look, plotted.points().map(|point| flat(point, point.disk_free_bytes)));
        line.iter().for_each(|line| line.put(plot, tokens.failed));
    });
    limit_labels_at(ui, axis, line.as_slice());
    axis
}

/// The limit of free space, and the size of the disk; none without a limit.
fn disk_line(view: View<'_>, limits: &Limits) -> Option<(LimitLine, u64)> {
    let limit = limits.of(Resource::Disk)?;
    let total = view.store.machine().back()?.volumes.first()?.total_bytes;
    let value = limit.raise_at().of(total as f64);
    let text = format!("disk limit {} free", bound(limit));
    Some((LimitLine { value, text, of: vec![Resource::Disk] }, total))
}

fn flat(point: &MachinePoint, value: u64) -> CurvePoint {
    (point.at, value as f64, 0.0)
}

/// A round figure that is at least `most`: 1, 2 or 5, with units of 1024.
fn full_scale(most: f64) -> f64 {
    let mut unit = 1.0;
    while most > unit * 1000.0 {
        unit *= 1024.0;
    }
    let steps = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0];
    steps.into_iter().map(|step| step * unit).find(|scale| *scale >= most).unwrap_or(most)
}

const fn span_text(span: HistorySpan) -> &'static str {
    match span {
        HistorySpan::Hour => "Hour",
        HistorySpan::Day => "Day",
        HistorySpan::Month => "Month",
    }
}

const fn span_name(span: HistorySpan) -> &'static str {
    match span {
        HistorySpan::Hour => "Show the last hour",
        HistorySpan::Day => "Show the last day",
        HistorySpan::Month => "Show the last month",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_of_rates_is_round_and_holds_the_highest() {
        for (most, text) in [
            (65_536.0, "100 KiB"),
            (1_000_000.0, "1000 KiB"),
            (1_100_000.0, "2.0 MiB"),
            (300e6, "500 MiB"),
            (3e12, "5.0 TiB"),
        ] {
            let scale = full_scale(most);
            assert!(scale >= most);
            let shown = if text == "1000 KiB" { "1000 KiB".to_owned() } else { format::bytes(scale as u64) };
            assert_eq!(shown, text);
        }
    }
}

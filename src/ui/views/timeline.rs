//! The machine and the steps on one time axis: CPU and memory with their limits above, a lane for each run below, and a
//! vertical line through both at the pointer.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use egui::{Align2, Rangef, Rect, Sense, Stroke, Ui, UiBuilder, pos2, vec2};

use super::super::command::Command;
use super::super::time_line::{AxisOf, TimeCommand};
use super::super::widgets::{AccessibleName, Card, label_at};
use super::axis::{Axis, Chart, CurveLook, GUTTER, LimitLine, TIMES, TOP, curve, limit_labels_at, marks_ui};
use super::lanes::{Bar, LANE};
use super::plotted::{Plotted, memory_share};
use super::ran_then::{attempts_at, spans, then};
use super::scrub::Scrub;
use super::{Commands, View};
use crate::run::StepState;
use crate::ui::{format, theme};
use crate::window::{HistorySpan, RunEntry, TimeRange};

/// The smallest height of the curves.
const PLOT: f32 = 64.0;
const MAX_LANES: usize = 4;
/// The gap between the curves and the lanes.
const CREASE: f32 = 8.0;
/// The width of the levers that zoom.
const LEVERS: f32 = 84.0;

pub(crate) fn timeline_ui(ui: &mut Ui, view: View<'_>, out: &mut Commands) {
    let is_empty = view.store.living().len() + view.store.recent().len() == 0;
    let n_lanes = match (view.store.selected(), is_empty) {
        (_, true) => 0,
        (Some(_), false) => 2,
        (None, false) => MAX_LANES,
    };
    let below = if n_lanes == 0 { 0.0 } else { CREASE + n_lanes as f32 * LANE };
    let curves = (ui.ctx().content_rect().height() * 0.14).clamp(PLOT, 180.0).round();
    let height = curves + below + TIMES + 24.0;
    Card::frame(ui).show(ui, |ui| {
        let (_, card) = ui.allocate_space(vec2(ui.available_width(), height));
        let inner =
            Rect::from_min_max(card.min + vec2(theme::GAP, 10.0), card.max - vec2(theme::GAP + 8.0, 10.0));
        legend_at(ui, inner);
        let plotted = Plotted::of(view, HistorySpan::Hour, None);
        let whole = whole(view, &plotted);
        let mut child = ui.new_child(UiBuilder::new().max_rect(inner));
        let limits = LimitLine::of_shares(view.store.watched().limits(), plotted.memory_total());
        let axis = plot_ui(&mut child, view, (&plotted, whole), &limits, f64::from(below / curves));
        let frame = axis.frame();
        let mut scrub =
            Scrub::new(view, (AxisOf::Now, "Time of the machine and the runs"), axis.scale, whole);
        let levers = Rect::from_min_size(inner.min + vec2(0.0, 36.0), vec2(LEVERS, 20.0));
        scrub.levers_at(ui, levers, levers.right(), out);
        scrub.strip(ui, frame, out);
        limit_labels_at(ui, axis, &limits);
        let top = axis.y(0.0) + CREASE;
        let runs = shown_runs(view, axis);
        // The selected run has all lanes, so that simultaneous steps are one above the other.
        let n_each = if view.store.selected().is_some() { n_lanes } else { 1 };
        for (n, entry) in runs.iter().enumerate() {
            let top = top + (n * n_each) as f32 * LANE;
            let size = vec2(frame.width(), n_each as f32 * LANE);
            band_ui(ui, Rect::from_min_size(pos2(frame.left(), top), size), axis, entry, view, out);
        }
        marks_ui(ui, axis, axis.y(0.0) + 1.0, plotted.marks.iter());
        scrub.show_line(ui, |at| then(view, at, plotted.heading(at)), out);
    });
}

/// The time that can be shown: an hour, or less if nothing older is known, so that details can be seen.
fn whole(view: View<'_>, plotted: &Plotted<'_>) -> TimeRange {
    let oldest = plotted.points().next().map_or(TimeDelta::zero(), |point| view.now - point.at);
    let spans = [2, 5, 10, 30].map(TimeDelta::minutes);
    let span = spans.into_iter().find(|span| oldest <= *span).unwrap_or(HistorySpan::Hour.length());
    TimeRange::before(view.now, span)
}

/// The runs with a lane: only the selected one, else the living ones and then those whose end is on the axis.
fn shown_runs<'a>(view: View<'a>, axis: Axis) -> Vec<&'a RunEntry> {
    if let Some(selected) = view.store.selected() {
        return vec![selected];
    }
    let range = axis.scale.range;
    let ended = view.store.recent().take_while(|entry| entry.ended_at() > range.from);
    let ended = ended.filter(|entry| entry.run.started_at < range.until);
    let begun = view.store.living().filter(|entry| !spans(entry, view.now).is_empty());
    let mut runs: Vec<&RunEntry> = begun.chain(ended).take(MAX_LANES).collect();
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

/// The curves and both axes in the whole of `ui`. Below zero there is room of size `below`, relative to the height from
/// 0 to 1.
fn plot_ui(
    ui: &mut Ui,
    view: View<'_>,
    (plotted, whole): (&Plotted<'_>, TimeRange),
    limits: &[LimitLine],
    below: f64,
) -> Axis {
    let tokens = theme::tokens(ui);
    let range = view.state.time.shown(AxisOf::Now).of(whole);
    let chart = Chart {
        id: "machine",
        says: format!(
            "{}; {}",
            plotted.says("CPU", |point| point.cpu_fraction, format::percent, view.now),
            plotted.says("memory", memory_share, format::percent, view.now)
        ),
        now: view.now,
        range,
        top: TOP,
        below,
        levels: vec![0.0, 0.5, 1.0],
        text: &format::percent,
        has_times: true,
    };
    chart.show(ui, |plot| {
        let flat = |at, share: f64| (at, share.clamp(0.0, 1.0), 0.0);
        let cpu = CurveLook { color: tokens.running, is_filled: true, gap: plotted.gap };
        curve(plot, range, cpu, plotted.points().map(|point| flat(point.at, point.cpu_fraction)));
        let memory = CurveLook { color: tokens.queued, is_filled: false, gap: plotted.gap };
        curve(plot, range, memory, plotted.points().map(|point| flat(point.at, memory_share(point))));
        for limit in limits {
            limit.put(plot, tokens.failed);
        }
    })
}

/// A run's lanes, as many as `band` has room for.
fn band_ui(ui: &mut Ui, band: Rect, axis: Axis, entry: &RunEntry, view: View<'_>, out: &mut Commands) {
    let tokens = theme::tokens(ui);
    let n_lanes = (band.height() / LANE).round() as usize;
    let name = Rect::from_min_size(pos2(band.left() - GUTTER, band.top()), vec2(GUTTER - 8.0, LANE));
    let style = (theme::small(), tokens.muted);
    let pipeline = entry.run.pipeline_id.as_str();
    label_at(ui, pos2(name.left(), name.center().y), Align2::LEFT_CENTER, pipeline, style, name.width());
    let painter = ui.painter_at(band);
    // When the last span of each lane ends.
    let mut ends = vec![DateTime::<Utc>::MIN_UTC; n_lanes.max(1)];
    let mut bars = Vec::new();
    for (from, until, text, state) in spans(entry, view.now) {
        if !axis.scale.range.sees(from, until) {
            continue;
        }
        let color = match state {
            None => tokens.paused,
            // The span of the freeze, which is painted on top, shows that it is frozen.
            Some(StepState::Paused) => tokens.running,
            Some(state) => tokens.step_state(state),
        };
        let lane = match state {
            // A freeze concerns the whole run.
            None => 0,
            Some(_) => ends.iter().position(|end| *end <= from).unwrap_or(ends.len() - 1),
        };
        ends[lane] = ends[lane].max(until);
        let top = band.top() + lane as f32 * LANE;
        let bottom = if state.is_none() { band.bottom() } else { top + LANE };
        let bar = Bar { from, until, text, color };
        let place = bar.place(axis.scale, Rect::from_x_y_ranges(band.x_range(), top..=bottom));
        bars.push((lane, bar, place));
    }
    let mut free_from = vec![f32::MIN; n_lanes.max(1)];
    for (at, (lane, bar, place)) in bars.iter().enumerate() {
        // What is painted later over a lane must not hide a part of a name.
        let next = bars[at + 1..].iter().filter(|(_, _, other)| other.intersects(*place));
        let until = next.map(|(_, _, other)| other.left()).fold(f32::INFINITY, f32::min);
        let free = Rangef::new(free_from[*lane], until);
        free_from[*lane] = bar.paint(ui, &painter, axis.scale, (*place, free));
    }
    let response = ui.interact(
        Rect::from_min_max(name.min, band.max),
        ui.scope_id().with(("lane", entry.run.run_id.as_str())),
        Sense::click(),
    );
    response.says(egui::Role::Button, &format!("Timeline of {}", entry.run.run_id));
    if response.clicked() {
        let pointer = response.interact_pointer_pos().filter(|pointer| pointer.x >= band.left());
        let at = pointer.map(|pointer| axis.scale.at(pointer.x).trunc_subsecs(0));
        let logs = at.map(|at| (attempts_at(entry, at), at)).filter(|(keys, _)| !keys.is_empty());
        out.push(match logs {
            Some((keys, at)) => Command::Time(TimeCommand::OpenLogs(keys, at)),
            // The name, or a time in which nothing of it ran.
            None => Command::Select(Some(entry.run.run_id.clone())),
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::super::beat::Beat;
    use super::super::super::tests::{Scene, id, now, run, scene, snapshot, step};
    use super::*;
    use crate::run::{Event, EventKind, RunState, RunSummary, StepSummary};
    use crate::window::AppUpdate;

    fn ago(seconds: i64) -> DateTime<Utc> {
        now() - TimeDelta::seconds(seconds)
    }

    /// What the line says of the steps at that time.
    fn steps_at(scene: &Scene, at: DateTime<Utc>) -> String {
        let window = scene.harness.state().as_ref().unwrap();
        let beat = Beat::of(now());
        let view = View { store: &window.store, state: &window.state, now: beat.now(), beat: &beat };
        then(view, at, String::new()).lines[1..].join(", ")
    }

    fn select(scene: &mut Scene, run_id: Option<&str>) {
        scene.harness.state_mut().as_mut().unwrap().store.select_run(run_id.map(id));
        scene.harness.run();
    }

    #[test]
    fn the_line_names_what_ran_of_all_runs_whatever_is_selected() {
        let living = [run("alfabeta", RunState::Running), run("train", RunState::Running)];
        let ended = RunSummary { finished_at: Some(ago(600)), ..run("books", RunState::Failed) };
        let mut scene = scene([snapshot(&living), AppUpdate::RecentRuns(vec![ended])]);
        for selected in [None, Some("books-1"), Some("train-1")] {
            select(&mut scene, selected);
            let at_once = "alfabeta/list, alfabeta/fetch, train/list, train/fetch";
            assert_eq!(steps_at(&scene, ago(30)), at_once, "{selected:?}");
            assert_eq!(steps_at(&scene, ago(700)), "books", "{selected:?}");
            assert_eq!(steps_at(&scene, ago(300)), "no step ran", "{selected:?}");
        }
    }

    #[test]
    fn of_more_steps_than_have_room_the_others_are_counted() {
        let runs: Vec<_> = (0..5).map(|n| run(&format!("job{n}"), RunState::Running)).collect();
        let scene = scene([snapshot(&runs)]);
        assert_eq!(steps_at(&scene, ago(30)), "job0/list, job0/fetch, job1/list, job1/fetch, and 6 more");
    }

    #[test]
    fn an_earlier_attempt_ran_too_and_where_it_is_not_known_nothing_is_said_to_have_been_idle() {
        let again = |attempt, from| StepSummary {
            attempt,
            started_at: Some(from),
            ..step("fetch", StepState::Running)
        };
        let update_of = |step| {
            let kind = EventKind::StepStarted { step };
            AppUpdate::Event(Arc::new(Event { seq: 20, at: now(), run_id: Some(id("alfabeta-1")), kind }))
        };
        let mut watched = scene([snapshot(&[run("alfabeta", RunState::Running)])]);
        watched.tell(update_of(again(2, ago(10))));
        assert_eq!(steps_at(&watched, ago(30)), "alfabeta/list, alfabeta/fetch");

        // The window opened during the second attempt.
        let snapshot = AppUpdate::Snapshot {
            runs: vec![(run("alfabeta", RunState::Running), vec![again(2, ago(10))])],
            orders: Default::default(),
            seq: 10,
        };
        let opened = scene([snapshot]);
        assert_eq!(steps_at(&opened, ago(5)), "alfabeta/fetch");
        assert_eq!(steps_at(&opened, ago(30)), "the steps of that time are not kept here");
        assert_eq!(steps_at(&opened, ago(5000)), "no step ran");
    }
}

//! The next 24 hours on a time axis: each fire as a bar as wide as its pipeline's runs usually take.

use chrono::{DateTime, TimeDelta, Timelike, Utc};
use egui::{Align2, CornerRadius, CursorIcon, Pos2, Rect, Role, Sense, Stroke, StrokeKind, Ui, pos2, vec2};

use super::super::command::Command;
use super::super::widgets::{AccessibleName, Card, label_at, stepped, text_width};
use super::job_row::wall_text;
use super::{Commands, View};
use crate::ui::{format, theme};
use crate::window::{Day, DayFire};

/// The height of the plot below the card's head.
const PLOT: f32 = 78.0;
/// The height of the card.
pub(crate) const DAY: f32 = theme::CARD_HEAD + PLOT;
/// How many rows bars with a name have.
const LANES: usize = 2;
const LANE: f32 = 20.0;
/// The least width of a bar.
const LEAST: f32 = 4.0;
/// A job with more fires than this on a day has bars without its name.
const MANY: usize = 6;

/// Where a fire is painted.
struct Bar<'a> {
    fire: &'a DayFire,
    rect: Rect,
    has_name: bool,
}

pub(crate) fn day_ahead_ui(ui: &mut Ui, view: View<'_>, out: &mut Commands) {
    let tokens = theme::tokens(ui);
    Card::new("The next 24 hours").show(ui, |ui, head| {
        let muted = (theme::small(), tokens.muted);
        let right = pos2(head.right(), head.center().y);
        let day = view.store.agenda().day();
        let is_cut = day.is_some_and(|day| day.is_cut);
        let text = if is_cut { "only the first fires are shown" } else { "usual duration as width" };
        label_at(ui, right, Align2::RIGHT_CENTER, text, muted.clone(), head.width() / 2.0);
        let (_, rect) = ui.allocate_space(vec2(ui.available_width(), PLOT));
        let plot = rect.shrink2(vec2(theme::GAP + 4.0, 0.0));
        let Some(day) = day else {
            label_at(ui, plot.left_center(), Align2::LEFT_CENTER, "Reading the fires…", muted, plot.width());
            return;
        };
        // The axis begins now, so that it moves with the clock.
        let scale = Scale { from: view.now, plot };
        axis_ui(ui, day, &scale);
        let bars = bars_of(ui, day, &scale);
        if bars.is_empty() {
            let at = plot.center() - vec2(0.0, 10.0);
            label_at(ui, at, Align2::CENTER_CENTER, "No job is due in this time", muted, plot.width());
        }
        bars.iter().for_each(|bar| bar_ui(ui, bar));
        if let Some(next) = bars.first() {
            view.beat.holds_for((next.fire.at - view.now).to_std().unwrap_or_default());
        }
        answer_ui(ui, view, (day, plot), &bars, out);
    });
}

struct Scale {
    from: DateTime<Utc>,
    plot: Rect,
}

impl Scale {
    fn x(&self, at: DateTime<Utc>) -> f32 {
        self.plot.left() + self.width(at - self.from)
    }

    fn width(&self, span: TimeDelta) -> f32 {
        (span.as_seconds_f64() / 86_400.0) as f32 * self.plot.width()
    }
}

/// A line at every second hour of the machine's zone.
fn axis_ui(ui: &Ui, day: &Day, scale: &Scale) {
    let tokens = theme::tokens(ui);
    let local = scale.from.with_timezone(&day.local);
    let into_hour = TimeDelta::seconds(i64::from(local.minute() * 60 + local.second()));
    let bottom = scale.plot.bottom() - 18.0;
    let every = if scale.plot.width() < 600.0 { 4 } else { 2 };
    for hours in 1..=24 {
        let at = scale.from - into_hour + TimeDelta::hours(hours);
        let wall = at.with_timezone(&day.local);
        let x = scale.x(at);
        if !wall.hour().is_multiple_of(every) || x > scale.plot.right() {
            continue;
        }
        ui.painter().vline(x, scale.plot.top()..=bottom, Stroke::new(1.0, tokens.line));
        let style = (theme::small(), tokens.muted);
        label_at(ui, pos2(x, bottom + 9.0), Align2::CENTER_CENTER, format::instant(&wall, "%H"), style, 48.0);
    }
}

fn bars_of<'a>(ui: &Ui, day: &'a Day, scale: &Scale) -> Vec<Bar<'a>> {
    let mut ends = [f32::MIN; LANES];
    let mut bars = Vec::with_capacity(day.fires.len());
    for fire in day.fires.iter().filter(|fire| fire.at >= scale.from) {
        let x = scale.x(fire.at);
        if x > scale.plot.right() {
            break;
        }
        let width = scale.width(fire.took.unwrap_or_default()).clamp(LEAST, scale.plot.right() - x + LEAST);
        let is_many = day.fires.iter().filter(|it| it.name == fire.name).nth(MANY).is_some();
        let label = text_width(ui, &fire.name, theme::small()) + 12.0;
        let fits = |end: &f32| *end <= x && x + label <= scale.plot.right();
        let lane = ends.iter().position(fits).filter(|_| !is_many);
        let row = lane.unwrap_or(LANES);
        if let Some(lane) = lane {
            ends[lane] = x + width.max(label) + 4.0;
        }
        let height = if lane.is_some() { LANE - 3.0 } else { 14.0 };
        let top = scale.plot.top() + row as f32 * LANE;
        let rect = Rect::from_min_size(pos2(x, top), vec2(width, height));
        bars.push(Bar { fire, rect, has_name: lane.is_some() });
    }
    bars
}

fn bar_ui(ui: &Ui, bar: &Bar<'_>) {
    let tokens = theme::tokens(ui);
    let fill =
        if bar.has_name { tokens.tint(tokens.running, 0.34) } else { tokens.tint(tokens.running, 0.8) };
    ui.painter().rect_filled(bar.rect, CornerRadius::same(3), fill);
    if bar.has_name {
        let edge = Rect::from_min_size(bar.rect.min, vec2(2.0, bar.rect.height()));
        ui.painter().rect_filled(edge, CornerRadius::ZERO, tokens.running);
        let at = pos2(bar.rect.left() + 6.0, bar.rect.center().y);
        let style = (theme::small(), tokens.text);
        label_at(ui, at, Align2::LEFT_CENTER, &*bar.fire.name, style, 240.0);
    }
}

/// The plot in a sentence; under the pointer, the fire there, which a click selects.
fn answer_ui(ui: &Ui, view: View<'_>, (day, plot): (&Day, Rect), bars: &[Bar<'_>], out: &mut Commands) {
    let response = ui.interact(plot, ui.scope_id().with("day ahead"), Sense::click());
    let text = match bars.first() {
        Some(Bar { fire, .. }) => {
            let mut names: Vec<_> = bars.iter().map(|bar| &bar.fire.name).collect();
            names.sort_unstable();
            names.dedup();
            let (fires, jobs) = (format::count(bars.len(), "fire"), format::count(names.len(), "job"));
            let next = wall_text(fire.at, day.local, view.now);
            format!("The next 24 hours: {fires} of {jobs}; next {} at {next}", fire.name)
        }
        None => "The next 24 hours: no fires".to_owned(),
    };
    let stepped_to = stepped(ui, &response, bars.len()).and_then(|at| bars.get(at));
    let pointed_at = || response.hover_pos().and_then(|hovered| nearest(bars, hovered));
    let Some(bar) = stepped_to.or_else(pointed_at) else {
        response.says(Role::GraphicsObject, &text);
        return;
    };
    let fire = bar.fire;
    let took = fire.took.map_or_else(String::new, |took| format!(", usually {}", format::duration(took)));
    let of_fire = format!("{} at {}{took}", fire.name, wall_text(fire.at, day.local, view.now));
    if stepped_to.is_some() {
        let ring = Stroke::new(1.5, theme::tokens(ui).accent);
        ui.painter().rect_stroke(bar.rect.expand(2.0), 4.0, ring, StrokeKind::Outside);
        response.says(Role::GraphicsObject, &format!("{text}; {of_fire}"));
    } else {
        response.says(Role::GraphicsObject, &text);
    }
    let response = response.on_hover_cursor(CursorIcon::PointingHand).tip(&of_fire);
    if response.clicked()
        && let Some(job_id) = &fire.job_id
    {
        out.push(Command::SelectJob(Some(job_id.clone())));
    }
}

/// The bar at `pos`, or close beside it.
fn nearest<'a, 'b>(bars: &'a [Bar<'b>], pos: Pos2) -> Option<&'a Bar<'b>> {
    let distance = |bar: &&Bar<'_>| bar.rect.distance_to_pos(pos);
    bars.iter().filter(|bar| distance(bar) < 5.0).min_by(|a, b| distance(a).total_cmp(&distance(b)))
}

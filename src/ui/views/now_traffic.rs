//! What the machine's disks and network have moved in the last minutes: two small plots beside those of CPU and memory.

use egui::{Align2, Color32, Pos2, Rect, Role, Sense, Ui, pos2, vec2};

use super::super::widgets::{AccessibleName, Card, label_at, numbers_at, sparkline};
use super::View;
use crate::resources::MachineSample;
use crate::ui::{format, theme};
use crate::window::SAMPLE_SPAN;

/// The smallest full scale, in bytes a second.
const LEAST: f64 = 65_536.0;
/// The height of the line above a plot.
const HEAD: f32 = 18.0;

/// One of the two curves of a plot: its name, its colour, its figure.
type Curve = (&'static str, Color32, fn(&MachineSample) -> f64);

/// The card, `height` high.
pub(super) fn traffic_ui(ui: &mut Ui, view: View<'_>, height: f32) {
    let tokens = theme::tokens(ui);
    let disk: [Curve; 2] = [
        ("read", tokens.running, |sample| sample.disk_read_rate),
        ("write", tokens.queued, |sample| sample.disk_write_rate),
    ];
    let network: [Curve; 2] = [
        ("in", tokens.completed, |sample| sample.network_receive_rate),
        ("out", tokens.interrupted, |sample| sample.network_send_rate),
    ];
    Card::frame(ui).show(ui, |ui| {
        let (_, rect) = ui.allocate_space(vec2(ui.available_width(), height - 2.0));
        let inner = rect.shrink2(vec2(theme::GAP, 10.0));
        let half = (inner.height() - theme::GAP) / 2.0;
        let upper = Rect::from_min_size(inner.min, vec2(inner.width(), half));
        plot_at(ui, view, upper, "Disk", disk);
        plot_at(ui, view, upper.translate(vec2(0.0, half + theme::GAP)), "Network", network);
    });
}

/// One plot: its curves share a scale, which is that of the highest value.
fn plot_at(ui: &mut Ui, view: View<'_>, rect: Rect, name: &str, curves: [Curve; 2]) {
    let tokens = theme::tokens(ui);
    let samples = view.store.machine();
    let peak = curves
        .iter()
        .flat_map(|(_, _, rate)| samples.iter().map(rate))
        .fold(0.0, |peak: f64, rate| if rate.is_finite() { peak.max(rate) } else { peak });
    let y = rect.top() + HEAD / 2.0;
    label_at(
        ui,
        pos2(rect.left(), y),
        Align2::LEFT_CENTER,
        name,
        (theme::small(), tokens.muted),
        rect.width() / 2.0,
    );
    let per_second = |rate: f64| format!("{}/s", format::bytes(rate as u64));
    let peak_text = format!("peak {}", per_second(peak));
    numbers_at(ui, pos2(rect.right(), y), Align2::RIGHT_CENTER, &peak_text, (theme::small(), tokens.faint));
    let foot = rect.bottom() - HEAD / 2.0;
    let plot = Rect::from_min_max(
        pos2(rect.left(), rect.top() + HEAD + 2.0),
        pos2(rect.right(), rect.bottom() - HEAD - 2.0),
    );
    ui.painter().hline(plot.x_range(), plot.bottom(), egui::Stroke::new(1.0, tokens.line));
    let seconds = SAMPLE_SPAN.as_seconds_f64();
    let mut spoken = Vec::new();
    let mut left = rect.left();
    for (what, color, rate) in curves {
        // One point for each point of the screen that has any, the highest.
        let mut points: Vec<Pos2> = Vec::new();
        for sample in samples.iter().filter(|sample| view.now - sample.at <= SAMPLE_SPAN) {
            let age = (view.now - sample.at).as_seconds_f64().max(0.0);
            let share = (rate(sample) / peak.max(LEAST)).clamp(0.0, 1.0);
            let x = plot.right() - plot.width() * (age / seconds) as f32;
            let y = plot.bottom() - plot.height() * share as f32;
            match points.last_mut().filter(|last| x - last.x < 1.0) {
                Some(last) => last.y = last.y.min(y),
                None => points.push(pos2(x, y)),
            }
        }
        sparkline(ui, &points, plot.bottom(), color, 1.25);
        let now = per_second(samples.back().map_or(0.0, rate));
        let width = rect.width() / 2.0 - 4.0;
        ui.painter().hline(left..=left + 8.0, foot, egui::Stroke::new(2.0, color));
        let style = (theme::small(), tokens.text);
        label_at(
            ui,
            pos2(left + 12.0, foot),
            Align2::LEFT_CENTER,
            format!("{now} {what}"),
            style,
            width - 12.0,
        );
        spoken.push(format!("{what} {now}"));
        left = rect.left() + rect.width() / 2.0;
    }
    let response = ui.interact(rect, ui.scope_id().with(("traffic", name)), Sense::hover());
    let text = format!("{name} over the last 10 minutes: {} now, {peak_text}", spoken.join(", "));
    response.says(Role::Image, &text);
    response.tip(&text);
}

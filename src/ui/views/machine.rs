//! The page of the machine: its last hour, day or month, its present figures, and its limits.

use egui::{Align2, Color32, CornerRadius, Rect, Role, ScrollArea, Sense, Stroke, Ui, UiBuilder, pos2, vec2};

use super::super::limit_form::MachinePage;
use super::super::widgets::{AccessibleName, Card, label_at, numbers_at};
use super::limits_card::limits_card_ui;
use super::machine_plots::plots_ui;
use super::{Commands, View};
use crate::resources::MachineSample;
use crate::ui::{format, theme};

/// The width of the card of figures next to the limits.
const FIGURES: f32 = 310.0;
/// On a narrower page the two cards are one below the other.
const WIDE: f32 = 900.0;
const CORES: f32 = 44.0;
const FIGURE: f32 = 26.0;

pub(crate) fn machine_ui(ui: &mut Ui, view: View<'_>, page: &mut MachinePage, out: &mut Commands) {
    ScrollArea::vertical().id_salt("machine").auto_shrink([false, false]).show(ui, |ui| {
        ui.spacing_mut().item_spacing.y = theme::GAP;
        plots_ui(ui, view, page, out);
        let width = ui.available_width();
        if width < WIDE {
            figures_card_ui(ui, view);
            limits_card_ui(ui, view, page, out);
            return;
        }
        let top = ui.cursor().min;
        let mut column = |left: f32, width: f32, add: &mut dyn FnMut(&mut Ui)| {
            let rect = Rect::from_min_size(top + vec2(left, 0.0), vec2(width, 1.0));
            let mut ui = ui.new_child(UiBuilder::new().max_rect(rect));
            add(&mut ui);
            ui.min_rect().bottom()
        };
        let figures = column(0.0, FIGURES, &mut |ui| figures_card_ui(ui, view));
        let left = FIGURES + theme::GAP;
        let limits = column(left, width - left, &mut |ui| limits_card_ui(ui, view, page, out));
        ui.allocate_space(vec2(width, figures.max(limits) - top.y + 2.0));
    });
}

/// The machine's present figures.
fn figures_card_ui(ui: &mut Ui, view: View<'_>) {
    let tokens = theme::tokens(ui);
    Card::new("Right now").show(ui, |ui, _| {
        let line = Stroke::new(1.0, tokens.line);
        ui.painter().hline(ui.max_rect().x_range(), ui.cursor().top(), line);
        let Some(sample) = view.store.machine().back() else {
            let (_, rect) = ui.allocate_space(vec2(ui.available_width(), FIGURE * 2.0));
            let style = (theme::body(), tokens.muted);
            label_at(
                ui,
                rect.center(),
                Align2::CENTER_CENTER,
                "Nothing is measured yet",
                style,
                rect.width(),
            );
            return;
        };
        cores_ui(ui, sample);
        for (what, figure) in figures(sample) {
            let (_, rect) = ui.allocate_space(vec2(ui.available_width(), FIGURE));
            let rect = rect.shrink2(vec2(theme::GAP, 0.0));
            let y = rect.center().y;
            label_at(
                ui,
                pos2(rect.left(), y),
                Align2::LEFT_CENTER,
                what,
                (theme::body(), tokens.muted),
                110.0,
            );
            numbers_at(
                ui,
                pos2(rect.right(), y),
                Align2::RIGHT_CENTER,
                &figure,
                (theme::body(), tokens.text),
            );
            let response = ui.interact(rect, ui.scope_id().with(("figure", what)), Sense::hover());
            response.says(Role::Label, &format!("{what}: {figure}"));
        }
        ui.add_space(6.0);
    });
}

/// A bar for each CPU.
fn cores_ui(ui: &mut Ui, sample: &MachineSample) {
    let tokens = theme::tokens(ui);
    let (_, rect) = ui.allocate_space(vec2(ui.available_width(), CORES + 34.0));
    let inner = Rect::from_min_max(rect.min + vec2(theme::GAP, 28.0), rect.max - vec2(theme::GAP, 6.0));
    let n = sample.cores.len();
    let title = format!("{}, {} in all", format::count(n, "core"), format::percent(sample.cpu_fraction));
    let at = pos2(inner.left(), rect.top() + 15.0);
    label_at(ui, at, Align2::LEFT_CENTER, title, (theme::small(), tokens.muted), inner.width());
    let wide = (inner.width() / n.max(1) as f32).min(28.0);
    for (at, share) in sample.cores.iter().enumerate() {
        let left = inner.left() + at as f32 * wide;
        let whole =
            Rect::from_min_max(pos2(left, inner.top()), pos2(left + (wide * 0.78).max(1.0), inner.bottom()));
        let radius = CornerRadius::same(2);
        ui.painter().rect_filled(whole, radius, tokens.line);
        let height = whole.height() * share.clamp(0.0, 1.0);
        let ink: Color32 = if *share > 0.95 { tokens.interrupted } else { tokens.running };
        if height >= 1.0 {
            let full = Rect::from_min_max(pos2(whole.left(), whole.bottom() - height), whole.max);
            ui.painter().rect_filled(full, radius, ink);
        }
    }
    let shares: Vec<String> = sample.cores.iter().map(|share| format::percent(f64::from(*share))).collect();
    let name = format!("CPU by core: {}", shares.join(", "));
    let response = ui.interact(rect, ui.scope_id().with("cores"), Sense::hover());
    response.says(Role::Label, &name);
    response.tip(&name);
}

/// The figures that this machine has.
fn figures(sample: &MachineSample) -> Vec<(&'static str, String)> {
    let memory = format!(
        "{} of {}",
        format::bytes(sample.memory_used_bytes),
        format::bytes(sample.memory_total_bytes)
    );
    let [one, five, fifteen] = sample.load_average;
    let mut figures = vec![
        ("Memory", memory),
        ("Load, 1, 5, 15 min", [one, five, fifteen].map(format::hundredths).join("  ")),
    ];
    if sample.swap_total_bytes > 0 {
        let (used, total) = (format::bytes(sample.swap_used_bytes), format::bytes(sample.swap_total_bytes));
        figures.push(("Swap", format!("{used} of {total}")));
    }
    for volume in sample.volumes.iter().take(3) {
        let (free, total) = (format::bytes(volume.free_bytes), format::bytes(volume.total_bytes));
        figures.push(("Disk", format!("{free} free of {total}")));
        if sample.volumes.iter().all(|other| other.total_bytes == volume.total_bytes) {
            // Several folders of the same file system.
            break;
        }
    }
    if let Some(celsius) = sample.temperature_celsius {
        figures.push(("Temperature", format!("{celsius:.0} °C")));
    }
    if let Some(power) = sample.power {
        let from = if power.on_battery { "in use" } else { "on mains" };
        figures.push(("Battery", format!("{}, {from}", format::percent(power.battery_fraction))));
    }
    figures
}

//! Banners for urgent matters: what recovery did, what the machine is short of, what could not be done.

use egui::{Align2, Color32, CornerRadius, Rect, Ui, pos2, vec2};

use super::super::command::{Command, Page};
use super::super::offers::order_levers;
use super::super::widgets::{AccessibleName, Icon, Lever, label_at};
use super::away::away_banner_ui;
use super::{Commands, View};
use crate::base::time::local_clock;
use crate::run::RunState;
use crate::ui::{format, theme};

pub(crate) fn banners_ui(ui: &mut Ui, view: View<'_>, out: &mut Commands) {
    for (index, failure) in view.store.failures().iter().enumerate().rev().take(3) {
        let banner = Banner {
            icon: Icon::Cross,
            color: theme::tokens(ui).failed,
            title: format!("Could not {}", failure.about),
            text: failure.text.clone(),
        };
        let banner = if failure.about == "warning" {
            Banner { icon: Icon::Warning, title: "Warning".to_owned(), ..banner }
        } else {
            banner
        };
        banner.show(ui, &[(Command::DismissFailure(index), "Dismiss".to_owned())], out);
    }
    for alert in view.store.alerts().iter().rev().take(3) {
        let banner = Banner {
            icon: Icon::Warning,
            color: theme::tokens(ui).failed,
            title: if alert.about.is_empty() { "Machine".to_owned() } else { alert.about.clone() },
            text: alert.text.clone(),
        };
        banner.show(ui, &[], out);
    }
    orders_ui(ui, view, out);
    if view.state.page == Page::Now {
        away_banner_ui(ui, view, out);
    }
}

/// The orders in force that concern all runs.
fn orders_ui(ui: &mut Ui, view: View<'_>, out: &mut Commands) {
    let tokens = theme::tokens(ui);
    let orders = view.store.orders();
    let n_in = |state| view.store.living().filter(|entry| entry.run.state == state).count();
    let (n_frozen, n_waiting) = (n_in(RunState::Paused), n_in(RunState::Queued));
    let figures = format!("{} frozen, {n_waiting} waiting", format::count(n_frozen, "run"));
    let [quiet, drain] = order_levers(view.store);
    if let Some(order) = orders.quiet {
        let until = match order.until {
            Some(until) => format!("until {}", local_clock(until, view.now)),
            None => "until you end it".to_owned(),
        };
        let banner = Banner {
            icon: Icon::Snow,
            color: tokens.paused,
            title: "Quiet".to_owned(),
            text: format!("{until}: {figures}"),
        };
        let text = quiet.label().text.to_owned();
        banner.show(ui, &[(quiet, text)], out);
    }
    if orders.draining_since.is_some() {
        let banner = Banner {
            icon: Icon::Clock,
            color: tokens.queued,
            title: "Draining".to_owned(),
            text: format!(
                "Nothing new starts; {} to end{}, {n_waiting} waiting",
                format::count(n_in(RunState::Running) + n_in(RunState::Stopping) + n_frozen, "run"),
                if n_frozen == 0 { String::new() } else { format!(", {n_frozen} of them frozen") }
            ),
        };
        let text = drain.label().text.to_owned();
        banner.show(ui, &[(drain, text)], out);
    }
}

pub(super) struct Banner {
    pub(super) icon: Icon,
    pub(super) color: Color32,
    pub(super) title: String,
    pub(super) text: String,
}

impl Banner {
    pub(super) fn show(self, ui: &mut Ui, levers: &[(Command, String)], out: &mut Commands) {
        let tokens = theme::tokens(ui);
        let (_, rect) = ui.allocate_space(vec2(ui.available_width(), 46.0));
        let radius = CornerRadius::same(theme::CARD_RADIUS);
        let line = egui::Stroke::new(1.0, tokens.line);
        // The colour shows as a rounded edge, because the background begins three points further right.
        let edge = Rect::from_min_size(rect.min, vec2(24.0, rect.height()));
        ui.painter().rect_filled(edge, radius, self.color);
        let face = Rect::from_min_max(rect.min + vec2(3.0, 0.0), rect.max);
        ui.painter().rect(face, radius, tokens.panel, line, egui::StrokeKind::Inside);
        let response = ui.interact(rect, ui.scope_id().with((&self.title, &self.text)), egui::Sense::hover());
        response.says(egui::Role::Alert, &format!("{}: {}", self.title, self.text));
        let mut right = rect.right() - theme::GAP;
        for (command, text) in levers {
            let lever = Lever::of(ui, command).text(text.clone()).named(text.clone());
            if lever.ui_before(ui, &mut right, rect, theme::LEVER).clicked() {
                out.push(command.clone());
            }
        }
        let inner = Rect::from_min_max(pos2(rect.left() + 16.0, rect.top()), rect.max);
        let x = self.icon.paint_before(ui.painter(), inner, 12.0, self.color);
        let y = rect.center().y;
        let style = (theme::strong(), self.color);
        let title = label_at(ui, pos2(x, y), Align2::LEFT_CENTER, self.title, style, right - x);
        let left = title.right() + 14.0;
        let style = (theme::body(), tokens.muted);
        let width = right - left - 8.0;
        let shown = label_at(ui, pos2(left, y), Align2::LEFT_CENTER, self.text.clone(), style, width);
        if shown.width() > width - 4.0 {
            response.tip(&self.text);
        }
    }
}

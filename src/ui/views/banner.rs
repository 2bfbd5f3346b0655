//! The strip below the header of every page, always in the same place: at its left what matters now (what the machine is
//! short of, the orders in force, what recovery did), at its right the levers that act on all runs.

use egui::{Align2, Color32, CornerRadius, Rect, Role, Sense, Ui, pos2, vec2};

use super::super::command::{Command, Page};
use super::super::offers::{all_levers, order_levers};
use super::super::widgets::{AccessibleName, Icon, Lever, Tone, label_at, levers_before, levers_width};
use super::away::summary_text;
use super::{Commands, View};
use crate::api;
use crate::run::RunState;
use crate::ui::room::Room;
use crate::ui::{format, theme};
use crate::window::{Action, AwayMark};

/// The most notices at once.
const MAX_NOTICES: usize = 3;
const HEIGHT: f32 = 34.0;
/// The room that the text of a notice has at least; levers that would take it are left out, the last one first.
const MIN_TEXT: f32 = 190.0;
/// In a narrower strip the levers of all runs are icons.
const WIDE: f32 = 1000.0;

pub(crate) fn strip_ui(ui: &mut Ui, view: View<'_>, out: &mut Commands) {
    let (_, rect) = ui.allocate_space(vec2(ui.available_width(), HEIGHT));
    let levers = placed_levers(ui, view, rect);
    let left = levers.first().map_or(rect.right(), |(place, ..)| place.left() - 6.0);
    let free = Rect::from_min_max(rect.min, pos2(left - theme::GAP, rect.bottom()));
    let notices = notices(ui, view);
    if notices.is_empty() {
        counts_at(ui, view, free);
    }
    let n_shown = notices.len().min(MAX_NOTICES);
    let n_left = notices.len() - n_shown;
    let width = (free.width() + 8.0) / n_shown.max(1) as f32;
    for (n, mut notice) in notices.into_iter().take(MAX_NOTICES).enumerate() {
        if n + 1 == n_shown && n_left > 0 {
            notice.text = format!("{} (and {n_left} more)", notice.text);
        }
        let place = Rect::from_min_size(
            pos2(free.left() + n as f32 * width, free.top()),
            vec2(width - 8.0, free.height()),
        );
        notice.show_at(ui, place, out);
    }
    for (place, lever, command) in levers {
        if lever.ui_at(ui, place).clicked() {
            out.push(command);
        }
    }
}

/// The levers that act on all runs, from the left, each in a place of its own whatever it says.
fn placed_levers(ui: &Ui, view: View<'_>, rect: Rect) -> Vec<(Rect, Lever, Command)> {
    let tokens = theme::tokens(ui);
    let is_wide = rect.width() >= WIDE;
    let is_roomy = Room::of(ui.ctx()).is_wide();
    let mut right = rect.right();
    let mut placed = Vec::new();
    let mut put = |lever: Lever, width: f32, command: Command| {
        let place =
            Rect::from_center_size(pos2(right - width / 2.0, rect.center().y), vec2(width, theme::LEVER));
        right = place.left() - 6.0;
        placed.push((place, lever, command));
    };
    for (command, is_active) in all_levers(view.store).into_iter().rev() {
        let lever = Lever::of(&command).enabled_if(is_active);
        let lever = if is_wide { lever } else { lever.text("") };
        let width = lever.width(ui);
        put(lever, width, command);
    }
    let orders = view.store.orders();
    let [quiet, drain] = order_levers(view.store);
    let of_orders = [
        (drain, orders.draining_since.is_some(), api::EndDrain {}.into(), tokens.queued),
        (quiet, orders.quiet.is_some(), api::EndQuiet {}.into(), tokens.paused),
    ];
    for (command, is_in_force, end, color) in of_orders {
        let lever = Lever::of(&command);
        let lever = if is_roomy { lever.without_icon() } else { lever.text("") };
        let lever = if is_in_force { lever.tone(Tone::Marked(color)) } else { lever };
        let widest = Lever::of(&Command::Send(Action::Do(end))).without_icon().width(ui);
        put(lever, if is_roomy { widest } else { theme::LEVER }, command);
    }
    placed.reverse();
    placed
}

/// How many runs there are, where nothing else is to be said.
fn counts_at(ui: &mut Ui, view: View<'_>, rect: Rect) {
    let n_waiting = view.store.living().filter(|entry| entry.is_waiting()).count();
    let n_frozen = view.store.living().filter(|entry| entry.run.state == RunState::Paused).count();
    let n_running = view.store.living().len() - n_waiting - n_frozen;
    let counts = [(n_running, "running"), (n_frozen, "frozen"), (n_waiting, "waiting")];
    let counts: Vec<_> = counts
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, word)| format!("{} {word}", format::whole(*n)))
        .collect();
    let text = if counts.is_empty() { "Nothing runs".to_owned() } else { counts.join(" · ") };
    let style = (theme::body(), theme::tokens(ui).muted);
    let place = label_at(ui, rect.left_center(), Align2::LEFT_CENTER, text.as_str(), style, rect.width());
    ui.interact(place, ui.scope_id().with("counts"), Sense::hover()).says(Role::Label, &text);
}

/// What matters now, the most urgent first.
fn notices(ui: &Ui, view: View<'_>) -> Vec<Notice> {
    let tokens = theme::tokens(ui);
    let alerts = view.store.alerts().iter().rev().map(|alert| Notice {
        icon: Icon::Warning,
        color: tokens.failed,
        title: if alert.about.is_empty() { "Machine".to_owned() } else { alert.about.clone() },
        text: alert.text.clone(),
        levers: Vec::new(),
    });
    alerts.chain(orders(ui, view)).chain(away(ui, view)).collect()
}

/// The orders in force that concern all runs.
fn orders(ui: &Ui, view: View<'_>) -> Vec<Notice> {
    let tokens = theme::tokens(ui);
    let orders = view.store.orders();
    let n_in = |state| view.store.living().filter(|entry| entry.run.state == state).count();
    let (n_frozen, n_waiting) = (n_in(RunState::Paused), n_in(RunState::Queued));
    let figures = format!("{} frozen, {n_waiting} waiting", format::count(n_frozen, "run"));
    let quiet = orders.quiet.map(|order| {
        let until = match order.until {
            Some(until) => format!("until {}", format::to_come(until, view.now)),
            None => "until you end it".to_owned(),
        };
        Notice {
            icon: Icon::Snow,
            color: tokens.paused,
            title: "Quiet".to_owned(),
            text: format!("{until}: {figures}"),
            levers: Vec::new(),
        }
    });
    let draining = orders.draining_since.map(|_| Notice {
        icon: Icon::Clock,
        color: tokens.queued,
        title: "Draining".to_owned(),
        text: format!(
            "Nothing new starts; {} to end{}, {n_waiting} waiting",
            format::count(n_in(RunState::Running) + n_in(RunState::Stopping) + n_frozen, "run"),
            if n_frozen == 0 { String::new() } else { format!(", {n_frozen} of them frozen") }
        ),
        levers: Vec::new(),
    });
    quiet.into_iter().chain(draining).collect()
}

/// What happened while the operator was away.
fn away(ui: &Ui, view: View<'_>) -> Option<Notice> {
    let page = view.store.away()?;
    let text = summary_text(page, view);
    if text.is_empty() {
        return None;
    }
    let title = Page::Away.label().text.to_owned();
    let levers = vec![
        (Command::Show(Page::Away), "Review".to_owned()),
        (Command::MarkAway(AwayMark::All(page.until)), "Dismiss".to_owned()),
    ];
    Some(Notice { icon: Icon::Bolt, color: theme::tokens(ui).interrupted, title, text, levers })
}

struct Notice {
    icon: Icon,
    color: Color32,
    title: String,
    text: String,
    /// At its right, from the left.
    levers: Vec<(Command, String)>,
}

impl Notice {
    fn show_at(self, ui: &mut Ui, rect: Rect, out: &mut Commands) {
        let tokens = theme::tokens(ui);
        let radius = CornerRadius::same(theme::LEVER_RADIUS);
        let line = egui::Stroke::new(1.0, tokens.line);
        // The colour shows as a rounded edge, because the background begins three points further right.
        let edge = Rect::from_min_size(rect.min, vec2(24.0, rect.height()));
        ui.painter().rect_filled(edge, radius, self.color);
        let face = Rect::from_min_max(rect.min + vec2(3.0, 0.0), rect.max);
        ui.painter().rect(face, radius, tokens.panel, line, egui::StrokeKind::Inside);
        let response = ui.interact(rect, ui.scope_id().with((&self.title, &self.text)), Sense::hover());
        response.says(Role::Alert, &format!("{}: {}", self.title, self.text));
        let mut right = rect.right() - 4.0;
        let lever = |(command, text): (Command, String)| {
            (Lever::of(&command).text(text.clone()).named(text), command)
        };
        let mut levers: Vec<_> = self.levers.into_iter().map(lever).collect();
        while levers_width(ui, &levers) > (rect.width() - MIN_TEXT).max(0.0) {
            levers.pop();
        }
        out.extend(levers_before(ui, &mut right, (rect, theme::LEVER - 4.0), levers));
        let inner = Rect::from_min_max(pos2(rect.left() + 14.0, rect.top()), rect.max);
        let x = self.icon.paint_before(ui.painter(), inner, 12.0, self.color);
        let y = rect.center().y;
        let style = (theme::strong(), self.color);
        let title = label_at(ui, pos2(x, y), Align2::LEFT_CENTER, self.title, style, right - x);
        let left = title.right() + 10.0;
        let style = (theme::body(), tokens.muted);
        let width = right - left - 8.0;
        let shown = label_at(ui, pos2(left, y), Align2::LEFT_CENTER, self.text.clone(), style, width);
        if shown.width() > width - 4.0 {
            response.tip(&self.text);
        }
    }
}

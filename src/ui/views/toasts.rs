//! Messages over every page: what could not be done, until it is dismissed, and what was done, for a moment.

use egui::{Align2, Area, Color32, Id, Order, Role, TextWrapMode, Ui, vec2};

use super::super::command::Command;
use super::super::widgets::{AccessibleName, Card, Icon, Lever, paragraph};
use super::{Commands, View};
use crate::ui::room::{Room, fitted};
use crate::ui::theme;

/// The width of a message's text.
const TEXT: f32 = 420.0;
/// The most failures at once; the others are shown as these are dismissed.
const MAX_FAILURES: usize = 3;

/// At the lower left: no row has a lever there.
pub(crate) fn toasts_ui(ui: &Ui, view: View<'_>, out: &mut Commands) {
    let (failures, done) = (view.store.failures(), view.state.toasts.all());
    if failures.is_empty() && done.is_empty() {
        return;
    }
    if let Some(holds) = view.state.toasts.holds_for(view.now) {
        view.beat.holds_for(holds);
    }
    let tokens = theme::tokens(ui);
    let room = Room::of(ui.ctx());
    let area = Area::new(Id::unique("toasts"))
        .order(Order::Foreground)
        .anchor(Align2::LEFT_BOTTOM, vec2(room.rail() + f32::from(room.margin()), -16.0));
    area.show(ui.ctx(), |ui| {
        ui.spacing_mut().item_spacing.y = 8.0;
        let n_hidden = failures.len().saturating_sub(MAX_FAILURES);
        for (index, failure) in failures.iter().enumerate().skip(n_hidden) {
            let (icon, title) = if failure.about == "warning" {
                (Icon::Warning, "Warning".to_owned())
            } else {
                (Icon::Cross, format!("Could not {}", failure.about))
            };
            let more =
                if index == n_hidden && n_hidden > 0 { format!(" ({n_hidden} more)") } else { String::new() };
            let text = format!("{title}: {}{more}", failure.text);
            let message = Message { icon, color: tokens.failed, role: Role::Alert, text };
            if message.show(ui, ("failure", index), Some(&Command::DismissFailure(index))) {
                out.push(Command::DismissFailure(index));
            }
        }
        for (index, toast) in done.iter().enumerate() {
            let (icon, color) = (Icon::Check, tokens.completed);
            let message = Message { icon, color, role: Role::Status, text: toast.text() };
            let undo = Command::Undo(index);
            if message.show(ui, ("done", index), toast.has_undo().then_some(&undo)) {
                out.push(undo);
            }
        }
    });
}

struct Message {
    icon: Icon,
    color: Color32,
    role: Role,
    text: String,
}

impl Message {
    /// Shows it; whether its lever was pulled.
    fn show(self, ui: &mut Ui, salt: (&str, usize), command: Option<&Command>) -> bool {
        let frame = Card::frame(ui).inner_margin(8).shadow(ui.visuals().popup_shadow);
        ui.push_id(salt, |ui| {
            let shown = frame.show(ui, |ui| {
                ui.horizontal(|ui| {
                    let (_, place) = ui.allocate_space(vec2(22.0, theme::LEVER));
                    self.icon.paint(ui.painter(), place.center(), 12.0, self.color);
                    ui.scope(|ui| {
                        // Beside one another, texts are not wrapped by themselves.
                        ui.style_mut().wrap_mode = Some(TextWrapMode::Wrap);
                        ui.set_max_width(fitted(ui.ctx(), TEXT + 130.0) - 130.0);
                        let shown = paragraph(ui, &self.text, (theme::body(), theme::tokens(ui).text));
                        shown.says(self.role, &self.text);
                    });
                    command.is_some_and(|command| Lever::of(command).ui(ui).clicked())
                })
                .inner
            });
            shown.inner
        })
        .inner
    }
}

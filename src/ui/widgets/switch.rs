//! A switch: on or off, changed by a click or Space.

use egui::{
    Color32, CornerRadius, CursorIcon, Rect, Response, Role, Sense, Stroke, StrokeKind, Ui, pos2, vec2,
};

use super::AccessibleName;
use crate::ui::theme;

pub(crate) const SWITCH: egui::Vec2 = vec2(32.0, 18.0);

/// Puts it at the centre of `rect`. `name` is for screen readers.
pub(crate) fn switch_at(ui: &mut Ui, rect: Rect, is_on: bool, name: &str) -> Response {
    let tokens = theme::tokens(ui);
    let rect = Rect::from_center_size(rect.center(), SWITCH);
    let response = ui.interact(rect, ui.scope_id().with(("switch", name)), Sense::click());
    response.says_selected(Role::Switch, is_on, name);
    if ui.is_rect_visible(rect) {
        let radius = CornerRadius::same(9);
        let (fill, line, knob) = if is_on {
            (tokens.accent, Color32::TRANSPARENT, tokens.panel)
        } else {
            (tokens.bg, tokens.line, tokens.muted)
        };
        let fill = if response.hovered() { fill.lerp_to_gamma(tokens.text, 0.1) } else { fill };
        ui.painter().rect(rect, radius, fill, Stroke::new(1.0, line), StrokeKind::Inside);
        let x = if is_on { rect.right() - 9.0 } else { rect.left() + 9.0 };
        ui.painter().circle_filled(pos2(x, rect.center().y), 6.0, knob);
    }
    response.on_hover_cursor(CursorIcon::PointingHand)
}

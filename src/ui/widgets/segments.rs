//! A choice among a few options, side by side.

use egui::{Align2, CornerRadius, CursorIcon, Rect, Role, Sense, Stroke, StrokeKind, Ui, pos2, vec2};

use super::{AccessibleName, label_at, text_width};
use crate::ui::theme;

/// The least size of one option.
const SEGMENT: egui::Vec2 = vec2(64.0, 26.0);
/// On both sides of the widest text.
const MARGIN: f32 = 10.0;

/// The width of these options: all are as wide as the widest text needs.
pub(crate) fn segments_width<T>(ui: &Ui, all: &[(T, &str, &str)]) -> f32 {
    let widths = all.iter().map(|(_, text, _)| text_width(ui, text, theme::medium()) + 2.0 * MARGIN);
    widths.fold(SEGMENT.x, f32::max) * all.len() as f32
}

/// Puts the options `all`, each with its text and its name for screen readers, at the right end of `rect`. Returns the
/// option that was just chosen, and the left end.
pub(crate) fn segments_at<T: Copy + PartialEq>(
    ui: &mut Ui,
    rect: Rect,
    chosen: T,
    all: &[(T, &str, &str)],
) -> (Option<T>, f32) {
    let tokens = theme::tokens(ui);
    let size = vec2(segments_width(ui, all), SEGMENT.y);
    let one_size = vec2(size.x / all.len() as f32, SEGMENT.y);
    let whole = Rect::from_min_size(pos2(rect.right() - size.x, rect.center().y - size.y / 2.0), size);
    let radius = CornerRadius::same(theme::LEVER_RADIUS);
    ui.painter().rect(whole, radius, tokens.bg, Stroke::new(1.0, tokens.line), StrokeKind::Inside);
    let mut pulled = None;
    for (n, (one, text, name)) in all.iter().enumerate() {
        let place = Rect::from_min_size(whole.min + vec2(one_size.x * n as f32, 0.0), one_size);
        let is_chosen = *one == chosen;
        let response = ui
            .interact(place, ui.scope_id().with(("segment", *name)), Sense::click())
            .on_hover_cursor(CursorIcon::PointingHand);
        response.says_selected(Role::RadioButton, is_chosen, name);
        if is_chosen {
            ui.painter().rect(
                place.shrink(2.0),
                6.0,
                tokens.raised,
                Stroke::new(1.0, tokens.line),
                StrokeKind::Inside,
            );
        }
        let is_lit = is_chosen || response.hovered();
        let style = (theme::medium(), if is_lit { tokens.text } else { tokens.muted });
        label_at(ui, place.center(), Align2::CENTER_CENTER, *text, style, place.width());
        if response.clicked() {
            pulled = Some(*one);
        }
    }
    (pulled, whole.left())
}

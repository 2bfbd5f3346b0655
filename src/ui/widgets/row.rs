//! Cards and their rows.

use egui::{Align2, CornerRadius, Frame, Rect, Response, Role, Sense, Stroke, Ui, pos2, vec2};

use super::super::format::whole;
use super::{AccessibleName, label_at, region};
use crate::ui::theme;

/// A card with a head.
pub(crate) struct Card<'a> {
    title: &'a str,
    count: Option<String>,
}

impl<'a> Card<'a> {
    pub(crate) fn new(title: &'a str) -> Self {
        Self { title, count: None }
    }

    /// Shows a count after the title.
    pub(crate) fn count(self, count: usize) -> Self {
        Self { count: Some(whole(count)), ..self }
    }

    /// The card's frame without a head.
    pub(crate) fn frame(ui: &Ui) -> Frame {
        let tokens = theme::tokens(ui);
        Frame::NONE
            .fill(tokens.panel)
            .stroke(Stroke::new(1.0, tokens.line))
            .corner_radius(CornerRadius::same(theme::CARD_RADIUS))
    }

    /// Shows the head, and below it what `rows` adds. `rows` gets the head's place too, for what stands at its right.
    pub(crate) fn show<R>(self, ui: &mut Ui, rows: impl FnOnce(&mut Ui, Rect) -> R) -> R {
        let tokens = theme::tokens(ui);
        Self::frame(ui)
            .show(ui, |ui| {
                region(ui, Role::Group, self.title);
                ui.spacing_mut().item_spacing.y = 0.0;
                let width = ui.available_width();
                let (_, rect) = ui.allocate_space(vec2(width, theme::CARD_HEAD));
                let pos = pos2(rect.left() + theme::GAP, rect.center().y);
                let title =
                    label_at(ui, pos, Align2::LEFT_CENTER, self.title, (theme::strong(), tokens.text), width);
                let heading = ui.interact(title, ui.scope_id().with(self.title), Sense::hover());
                let count = self.count.iter().map(|count| format!(" {count}"));
                heading
                    .says(Role::Heading, &count.fold(self.title.to_owned(), |title, count| title + &count));
                if let Some(count) = self.count {
                    let pos = pos2(title.right() + 10.0, rect.center().y);
                    let style = (theme::body(), tokens.muted);
                    label_at(ui, pos, Align2::LEFT_CENTER, count, style, 80.0);
                }
                rows(ui, rect.shrink2(vec2(theme::GAP, 0.0)))
            })
            .inner
    }
}

/// Which corners of a row are rounded like its card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Corners {
    /// None.
    Square,
    /// The lower ones.
    Bottom,
}

/// The properties of a row.
pub(crate) struct RowKind<'a> {
    /// Its name for screen readers: all its contents in one sentence.
    pub(crate) name: &'a str,
    /// Whether it is selected.
    pub(crate) is_selected: bool,
    pub(crate) corners: Corners,
}

/// A row that can be selected: a background and a line above it. Its contents are painted on top.
pub(crate) fn row_ui(ui: &mut Ui, id: egui::Id, height: f32, kind: &RowKind<'_>) -> (Rect, Response) {
    let tokens = theme::tokens(ui);
    let (_, rect) = ui.allocate_space(vec2(ui.available_width(), height));
    let response = ui.interact(rect, id, Sense::click());
    response.says_selected(Role::ListItem, kind.is_selected, kind.name);
    // What holds a row is a list, whatever painted it.
    ui.ctx().accesskit_node_builder(ui.unique_id(), |node| node.set_role(Role::List));
    if ui.is_rect_visible(rect) {
        let radius = match kind.corners {
            Corners::Square => CornerRadius::ZERO,
            Corners::Bottom => CornerRadius { nw: 0, ne: 0, sw: theme::CARD_RADIUS, se: theme::CARD_RADIUS },
        };
        if kind.is_selected {
            ui.painter().rect_filled(rect, radius, tokens.raised);
        } else if response.hovered() {
            ui.painter().rect_filled(rect, radius, tokens.panel.lerp_to_gamma(tokens.raised, 0.5));
        }
        ui.painter().hline(rect.x_range(), rect.top(), Stroke::new(1.0, tokens.line));
    }
    (rect.shrink2(vec2(theme::GAP, 0.0)), response)
}

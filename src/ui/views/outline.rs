//! The outline of the open page, as a tree over it that is walked by keys.

use egui::{
    Align2, CornerRadius, Id, Key, Modal, Modifiers, Role, ScrollArea, Sense, Stroke, Ui, pos2, vec2,
};

use super::super::command::Command;
use super::super::outline::{OutlineState, Row, Step};
use super::super::widgets::{AccessibleName, Card, label_at, region};
use super::outline_tree::outline;
use super::{Commands, View};
use crate::ui::room::fitted;
use crate::ui::theme;

const WIDTH: f32 = 680.0;
const ROW: f32 = 28.0;
const HEIGHT: f32 = 420.0;
const INDENT: f32 = 18.0;

pub(crate) fn outline_ui(ui: &mut Ui, view: View<'_>, state: &mut OutlineState, out: &mut Commands) {
    let nodes = outline(view);
    let keys = [
        (Key::ArrowUp, Step::Up),
        (Key::ArrowDown, Step::Down),
        (Key::Home, Step::First),
        (Key::End, Step::Last),
        (Key::ArrowRight, Step::In),
        (Key::ArrowLeft, Step::Out),
    ];
    if state.at.is_empty() {
        state.at = vec![0];
    }
    for (key, step) in keys {
        if ui.input_mut(|input| input.consume_key(Modifiers::NONE, key)) {
            state.walk(step, &nodes);
        }
    }
    let enter = ui.input_mut(|input| input.consume_key(Modifiers::NONE, Key::Enter));
    let rows = state.rows(&nodes);
    let opened = rows.iter().find(|row| enter && row.path == state.at);
    let mut opened = opened.and_then(|row| row.node.open.clone());
    let mut toggled = None;
    let tokens = theme::tokens(ui);
    let frame = Card::frame(ui).inner_margin(12).shadow(ui.visuals().window_shadow);
    let name = format!("Outline of {}", view.state.page.label().text);
    let area = Modal::default_area(Id::unique("outline")).accessible_name(&*name);
    let modal = Modal::new(Id::unique("outline")).area(area).frame(frame).backdrop_color(tokens.backdrop);
    let modal = modal.show(ui.ctx(), |ui| {
        let width = fitted(ui.ctx(), WIDTH);
        ui.set_width(width);
        ui.spacing_mut().item_spacing.y = 0.0;
        let (_, head) = ui.allocate_space(vec2(width, 28.0));
        let style = (theme::strong(), tokens.text);
        label_at(ui, head.left_center(), Align2::LEFT_CENTER, &*name, style, width / 2.0);
        let hint = "arrows walk, Enter opens, Esc closes";
        let style = (theme::small(), tokens.muted);
        label_at(ui, head.right_center(), Align2::RIGHT_CENTER, hint, style, width / 2.0);
        ScrollArea::vertical()
            .max_height(HEIGHT.min(ui.ctx().content_rect().height() - 80.0))
            .auto_shrink([false, true])
            .show(ui, |ui| {
                region(ui, Role::Tree, &name);
                for row in &rows {
                    let (is_toggled, is_opened) = row_ui(ui, row, row.path == state.at);
                    if is_toggled {
                        toggled = Some(row.path.clone());
                    }
                    if is_opened {
                        opened = row.node.open.clone();
                    }
                }
            });
    });
    if let Some(path) = toggled {
        state.toggle(&path);
    }
    if let Some(command) = opened {
        out.extend([Command::CloseOverlay, command]);
    } else if modal.should_close() {
        out.push(Command::CloseOverlay);
    }
}

/// An entry; returns whether it was clicked, and whether it was opened by a double click.
fn row_ui(ui: &mut Ui, row: &Row<'_>, is_chosen: bool) -> (bool, bool) {
    let tokens = theme::tokens(ui);
    let (_, rect) = ui.allocate_space(vec2(ui.available_width(), ROW));
    let response = ui.interact(rect, Id::unique(("outline", &row.path)), Sense::click());
    response.says_selected(Role::TreeItem, is_chosen, &row.node.text);
    response.ctx.accesskit_node_builder(response.id, |node| {
        node.set_level(row.path.len());
        if let Some(is_expanded) = row.is_expanded {
            node.set_expanded(is_expanded);
        }
    });
    if is_chosen {
        if !response.has_focus() {
            response.request_focus();
        }
        if !ui.clip_rect().contains_rect(rect) {
            response.scroll_to_me(None);
        }
        ui.painter().rect_filled(rect, CornerRadius::same(6), tokens.raised);
    }
    if ui.is_rect_visible(rect) {
        let left = rect.left() + 8.0 + INDENT * (row.path.len() - 1) as f32;
        let y = rect.center().y;
        if let Some(is_expanded) = row.is_expanded {
            let points = if is_expanded {
                vec![pos2(left, y - 2.0), pos2(left + 8.0, y - 2.0), pos2(left + 4.0, y + 4.0)]
            } else {
                vec![pos2(left + 1.0, y - 4.0), pos2(left + 7.0, y), pos2(left + 1.0, y + 4.0)]
            };
            ui.painter().add(egui::Shape::convex_polygon(points, tokens.muted, Stroke::NONE));
        }
        let at = pos2(left + 16.0, y);
        let width = rect.right() - at.x - 6.0;
        let ink = if is_chosen { tokens.text } else { tokens.muted };
        let shown = label_at(ui, at, Align2::LEFT_CENTER, &*row.node.text, (theme::body(), ink), width);
        if shown.width() > width - 4.0 {
            response.clone().tip(&row.node.text);
        }
    }
    (response.clicked() && !response.double_clicked(), response.double_clicked())
}

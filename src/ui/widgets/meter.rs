//! Small charts: a progress bar and a curve.

use egui::{Color32, CornerRadius, Mesh, Pos2, Rect, Role, Sense, Shape, Stroke, Ui, pos2};

use super::AccessibleName;
use crate::ui::theme;

/// A bar that is `fraction` full.
pub(crate) fn progress_bar(ui: &Ui, rect: Rect, fraction: f64, color: Color32) {
    let id = ui.scope_id().with(("progress", rect.left() as i32, rect.top() as i32));
    let response = ui.interact(rect, id, Sense::hover());
    response.says(Role::ProgressIndicator, "Progress");
    response.ctx.accesskit_node_builder(response.id, |node| {
        node.set_numeric_value((fraction.clamp(0.0, 1.0) * 100.0).floor());
        node.set_min_numeric_value(0.0);
        node.set_max_numeric_value(100.0);
    });
    let tokens = theme::tokens(ui);
    let radius = CornerRadius::same((rect.height() / 2.0) as u8);
    ui.painter().rect_filled(rect, radius, tokens.line);
    let width = rect.width() * fraction.clamp(0.0, 1.0) as f32;
    if width >= 1.0 {
        let filled = Rect::from_min_size(rect.min, egui::vec2(width.max(rect.height()), rect.height()));
        ui.painter().rect_filled(filled, radius, color);
    }
}

/// A curve through `points`, with the area down to `floor` tinted.
pub(crate) fn sparkline(ui: &Ui, points: &[Pos2], floor: f32, color: Color32, width: f32) {
    if points.len() < 2 {
        return;
    }
    let tint = color.gamma_multiply(0.16);
    let mut mesh = Mesh::default();
    for (n, point) in points.iter().enumerate() {
        mesh.colored_vertex(*point, tint);
        mesh.colored_vertex(pos2(point.x, floor), tint);
        if n > 0 {
            let at = n as u32 * 2;
            mesh.add_triangle(at - 2, at - 1, at);
            mesh.add_triangle(at - 1, at, at + 1);
        }
    }
    ui.painter().add(Shape::mesh(mesh));
    ui.painter().add(Shape::line(points.to_vec(), Stroke::new(width, color)));
}

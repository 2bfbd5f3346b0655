//! Bars below a plot: each shows when something ran, with its name if there is room.

use chrono::{DateTime, Utc};
use egui::{Align2, Color32, CornerRadius, Painter, Rangef, Rect, Ui, pos2, vec2};

use super::super::widgets::label_at;
use super::axis::Scale;
use crate::ui::theme;

/// The height of a bar, including the gap to the next.
pub(super) const LANE: f32 = 20.0;

pub(super) struct Bar<'a> {
    pub(super) from: DateTime<Utc>,
    pub(super) until: DateTime<Utc>,
    pub(super) text: &'a str,
    pub(super) color: Color32,
}

impl Bar<'_> {
    /// Where it lies in a lane.
    pub(super) fn place(&self, axis: Scale, lane: Rect) -> Rect {
        let left = axis.x(self.from.max(axis.range.from));
        let right = axis.x(self.until.min(axis.range.until)).max(left + 3.0);
        Rect::from_x_y_ranges(left..=right, lane.top() + 2.0..=lane.bottom() - 2.0)
    }

    /// Paints it at `place`, with its name within `free`, where no other bar and no other name is; without it if that is
    /// too little. Returns where the next name may begin.
    pub(super) fn paint(
        &self,
        ui: &Ui,
        painter: &Painter,
        axis: Scale,
        (place, free): (Rect, Rangef),
    ) -> f32 {
        let tokens = theme::tokens(ui);
        painter.rect_filled(place, CornerRadius::same(3), tokens.tint(self.color, 0.3));
        if self.from >= axis.range.from {
            let edge = Rect::from_min_size(place.min, vec2(3.0, place.height()));
            painter.rect_filled(edge, CornerRadius::same(1), self.color);
        }
        let left = place.left() + 8.0;
        let width = place.right().min(free.max) - left - 4.0;
        if width <= 26.0 || left <= free.min {
            return free.min;
        }
        let style = (theme::small(), tokens.text);
        label_at(ui, pos2(left, place.center().y), Align2::LEFT_CENTER, self.text, style, width).right()
    }
}

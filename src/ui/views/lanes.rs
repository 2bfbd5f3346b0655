//! Bars below a plot: each shows when something ran, with its name if there is room.

use chrono::{DateTime, Utc};
use egui::{Align2, Color32, CornerRadius, Painter, Rect, Ui, pos2, vec2};

use super::super::widgets::label_at;
use super::axis::Axis;
use crate::ui::theme;

/// The height of a bar, including the gap to the next.
pub(super) const LANE: f32 = 20.0;

/// Converts moments to positions.
pub(super) trait TimeScale: Copy {
    /// The first moment that is shown.
    fn from(self) -> DateTime<Utc>;
    fn x(self, at: DateTime<Utc>) -> f32;
}

impl TimeScale for Axis {
    fn from(self) -> DateTime<Utc> {
        self.from()
    }

    fn x(self, at: DateTime<Utc>) -> f32 {
        self.x(at)
    }
}

pub(super) struct Bar<'a> {
    pub(super) from: DateTime<Utc>,
    pub(super) until: DateTime<Utc>,
    pub(super) text: &'a str,
    pub(super) color: Color32,
}

impl Bar<'_> {
    /// Where it lies in a lane.
    pub(super) fn place(&self, axis: impl TimeScale, lane: Rect) -> Rect {
        let left = axis.x(self.from.max(axis.from()));
        let right = axis.x(self.until).max(left + 3.0);
        Rect::from_x_y_ranges(left..=right, lane.top() + 2.0..=lane.bottom() - 2.0)
    }

    /// Paints it at `place`. A name that would begin left of `free_from` is left out. Returns where the next name may
    /// begin.
    pub(super) fn paint(
        &self,
        ui: &Ui,
        painter: &Painter,
        axis: impl TimeScale,
        place: Rect,
        free_from: f32,
    ) -> f32 {
        let tokens = theme::tokens(ui);
        painter.rect_filled(place, CornerRadius::same(3), tokens.tint(self.color, 0.3));
        if self.from >= axis.from() {
            let edge = Rect::from_min_size(place.min, vec2(3.0, place.height()));
            painter.rect_filled(edge, CornerRadius::same(1), self.color);
        }
        let (left, width) = (place.left() + 8.0, place.width() - 12.0);
        if width <= 26.0 || left <= free_from {
            return free_from;
        }
        let style = (theme::small(), tokens.text);
        label_at(ui, pos2(left, place.center().y), Align2::LEFT_CENTER, self.text, style, width).right()
    }
}

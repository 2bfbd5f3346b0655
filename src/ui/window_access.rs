//! What the window does for those who do not see it: it announces ends of runs.

use std::time::Duration;

use egui::{Rect, Role, Sense, Ui, Vec2};

use super::beat::Beat;
use super::widgets::AccessibleName;
use super::window::LeverframeWindow;

impl LeverframeWindow {
    /// Announces the ends of runs through a node that a screen reader follows. Nothing of it is seen.
    pub(super) fn announce(&mut self, ui: &Ui, beat: &Beat) {
        let now = beat.now();
        self.state.announcer.hear(self.store.recent().map(|entry| &entry.run), now);
        let (text, left) = self.state.announcer.text(now);
        let place = Rect::from_min_size(ui.max_rect().min, Vec2::splat(1.0));
        ui.interact(place, egui::Id::unique("announcement"), Sense::hover()).says(Role::Status, text);
        if let Some(left) = left {
            beat.holds_for(left.to_std().unwrap_or(Duration::from_secs(1)));
        }
    }
}

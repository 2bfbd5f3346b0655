//! Whether the operator is at the window, and so what happened while the operator was away.

use chrono::{DateTime, Utc};
use egui::Context;

use super::window::LeverframeWindow;
use crate::window::AwayMark;

impl LeverframeWindow {
    /// Notices that the operator leaves or comes back, by the focus of the window. Without news of the focus the operator
    /// counts as being there.
    pub(super) fn follow_presence(&mut self, ctx: &Context, at: DateTime<Utc>) {
        let was_there = self.state.is_there;
        self.state.is_there = ctx.input(|input| input.viewport().focused).unwrap_or(true);
        if was_there || self.state.is_there {
            self.state.there_until = at;
        }
        match (was_there, self.state.is_there) {
            (true, false) => self.leave_desk(),
            (false, true) => self.store.come_back(at),
            (true, true) | (false, false) => {}
        }
    }

    /// The operator leaves: ended runs that need nothing were seen.
    pub(super) fn leave_desk(&mut self) {
        self.store.mark_away(AwayMark::Seen(self.state.there_until));
    }
}

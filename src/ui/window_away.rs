//! Whether the operator is at the window, and so what happened while the operator was away.

use chrono::{DateTime, Utc};
use egui::Context;

use super::window::LeverframeWindow;
use crate::window::AwayMark;

impl LeverframeWindow {
    /// Notices that the operator leaves or comes back, by the focus of the window.
    pub(super) fn follow_presence(&mut self, ctx: &Context, at: DateTime<Utc>) {
        let is_there = ctx.input(|input| input.viewport().focused);
        let was_there = std::mem::replace(&mut self.state.is_there, is_there);
        if is_there != Some(false) {
            self.state.there_until = at;
        }
        match (was_there, is_there) {
            (Some(true), Some(false)) => self.leave_desk(),
            (Some(false), Some(true)) => self.store.come_back(at),
            (Some(_) | None, Some(_) | None) => {}
        }
    }

    /// The operator leaves: ended runs that need nothing were seen.
    pub(super) fn leave_desk(&mut self) {
        self.store.mark_away(AwayMark::Seen(self.state.there_until));
    }
}

//! The window's own state about settings: the look that is chosen, and the form that is saved.

use egui::Context;

use super::format::{self, Manner};
use super::theme;
use super::window::LeverframeWindow;
use crate::window::{Density, Formats};

impl LeverframeWindow {
    /// Sets the scale of everything.
    pub(super) fn set_scale(&self, ctx: &Context, percent: u16) {
        ctx.set_zoom_factor(f32::from(percent) / 100.0);
    }

    /// Saves the scale once it has changed, here or by the keys of every egui window.
    pub(super) fn keep_scale(&mut self, ctx: &Context) {
        if theme::scale_of(ctx) != self.state.look.scale {
            self.keep_look(ctx);
        }
    }

    /// Sets how times and numbers are written.
    pub(super) fn set_formats(&mut self, ctx: &Context, formats: Formats) {
        self.state.formats = formats;
        self.follow_formats();
        self.keep_look(ctx);
    }

    /// Sets how high the rows of lists are.
    pub(super) fn set_density(&mut self, ctx: &Context, density: Density) {
        self.state.density = density;
        self.keep_look(ctx);
    }

    /// Writes times and numbers as it was chosen.
    pub(super) fn follow_formats(&self) {
        format::follow(match self.state.formats {
            Formats::System => self.state.of_system,
            Formats::Neutral => Manner::NEUTRAL,
        });
    }

    /// Saves the form of the settings.
    pub(super) fn save_settings(&mut self) {
        let Some(action) = self.state.settings.request() else { return };
        if !self.state.settings.is_saving {
            self.state.settings.is_saving = true;
            self.send(action);
        }
    }

    /// Takes over the outcome of the form.
    pub(super) fn take_settings(&mut self) {
        if let Some(refused) = self.store.take_saved_settings() {
            let is_saved = refused.is_empty();
            self.state.settings.take_saved(refused);
            if is_saved {
                self.store.load_settings();
            }
        }
    }
}

//! The look of the window as a whole: theme and title bar, and what is saved for the next start.

use egui::{Context, SystemTheme, ThemePreference, Ui, ViewportCommand};

use super::window::LeverframeWindow;
use crate::window::{Action, ThemeChoice, WindowLook};

impl LeverframeWindow {
    /// Gives the title bar the theme of the page. If the theme follows the system, the title bar follows it by itself.
    pub(super) fn sync_title_bar(&mut self, ui: &Ui) {
        let follows = self.state.theme == ThemePreference::System && ui.ctx().system_theme().is_some();
        let theme = match (follows, ui.visuals().dark_mode) {
            (true, _) => SystemTheme::SystemDefault,
            (false, true) => SystemTheme::Dark,
            (false, false) => SystemTheme::Light,
        };
        if self.state.title_bar.replace(theme) != Some(theme) {
            ui.ctx().send_viewport_cmd(ViewportCommand::SetTheme(theme));
        }
    }

    /// Saves the look of the window for the next start.
    pub(super) fn keep_look(&mut self, ctx: &Context) {
        let zoom = ctx.zoom_factor();
        let (size, is_maximized) = ctx.input(|input| {
            let viewport = input.viewport();
            let fills = viewport.maximized.unwrap_or(false) || viewport.fullscreen.unwrap_or(false);
            (viewport.inner_rect.map(|rect| rect.size() * zoom), fills)
        });
        let theme = match self.state.theme {
            ThemePreference::System => ThemeChoice::System,
            ThemePreference::Dark => ThemeChoice::Dark,
            ThemePreference::Light => ThemeChoice::Light,
        };
        let mut look = WindowLook {
            theme,
            is_maximized,
            order: self.state.now.order,
            groups: self.state.now.groups,
            ..self.state.look
        };
        if let Some(size) = size
            && !is_maximized
        {
            (look.width, look.height) = (size.x.round(), size.y.round());
        }
        if look != self.state.look {
            self.state.look = look;
            // Fails when the integration has ended; then the look is not saved.
            let _ = self.port.send(Action::KeepLook(look));
        }
    }
}

pub(super) const fn theme_of(choice: ThemeChoice) -> ThemePreference {
    match choice {
        ThemeChoice::System => ThemePreference::System,
        ThemeChoice::Dark => ThemePreference::Dark,
        ThemeChoice::Light => ThemePreference::Light,
    }
}

//! The look of the window as a whole: theme and title bar, and what is saved for the next start.

use chrono::{DateTime, Utc};
use egui::{Context, SystemTheme, ThemePreference, Ui, ViewportCommand};

use super::command::Page;
use super::history_filter::HistoryTime;
use super::theme::scale_of;
use super::window::LeverframeWindow;
use crate::window::{Action, HistoryOrder, LastView, ThemeChoice, WindowLook};

/// The title of the window.
pub(super) const TITLE: &str = "Leverframe";

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

    /// Says in the title that the engine is in another process, if it is.
    pub(super) fn name_window(&mut self, ui: &Ui) {
        let title = if self.store.attached().is_some() { "Leverframe (attached)" } else { TITLE };
        // egui gives the window as a whole no name for screen readers.
        ui.ctx().accesskit_node_builder(egui::accesskit_root_id(), |node| node.set_label(title));
        if std::mem::replace(&mut self.state.title, title) != title {
            ui.ctx().send_viewport_cmd(ViewportCommand::Title(title.to_owned()));
        }
    }

    /// Saves the look of the window for the next start.
    pub(super) fn keep_look(&mut self, ctx: &Context) {
        let zoom = ctx.zoom_factor();
        let (size, position, is_maximized) = ctx.input(|input| {
            let viewport = input.viewport();
            let fills = viewport.maximized.unwrap_or(false) || viewport.fullscreen.unwrap_or(false);
            let position = viewport.outer_rect.map(|rect| rect.min * zoom);
            (viewport.inner_rect.map(|rect| rect.size() * zoom), position, fills)
        });
        let theme = match self.state.theme {
            ThemePreference::System => ThemeChoice::System,
            ThemePreference::Dark => ThemeChoice::Dark,
            ThemePreference::Light => ThemeChoice::Light,
        };
        let mut look = WindowLook {
            theme,
            is_maximized,
            scale: scale_of(ctx),
            formats: self.state.formats,
            density: self.state.density,
            last: self.last_view(),
            ..self.state.look.clone()
        };
        if !is_maximized {
            if let Some(size) = size {
                (look.width, look.height) = (size.x.round(), size.y.round());
            }
            look.position = position.map(|at| [at.x.round(), at.y.round()]).or(look.position);
        }
        if look != self.state.look {
            self.state.look = look.clone();
            // Fails when the integration has ended; then the look is not saved.
            let _ = self.port.send(Action::KeepLook(look));
        }
    }
}

impl LeverframeWindow {
    /// Where the operator is now.
    fn last_view(&self) -> LastView {
        let history = &self.state.history;
        LastView {
            page: if self.state.page == Page::Now { String::new() } else { name_of(self.state.page) },
            run: self.store.selected().map(|entry| entry.run.run_id.clone()),
            order: self.state.now.order,
            groups: self.state.now.groups,
            history_pipeline: history.pipeline.clone(),
            history_state: history.state,
            history_text: history.text.clone(),
            history_days: history.time().days(),
            longest_first: history.order == HistoryOrder::Longest,
        }
    }

    /// Goes to where the operator was when the window was closed.
    pub(super) fn go_back_to(&mut self, last: &LastView, now: DateTime<Utc>) {
        let pages = Page::ALL.into_iter().chain([Page::Run]);
        let page = pages.into_iter().find(|page| name_of(*page) == last.page);
        self.state.now.order = last.order;
        self.state.now.groups = last.groups;
        let history = &mut self.state.history;
        history.pipeline.clone_from(&last.history_pipeline);
        history.state = last.history_state;
        history.text.clone_from(&last.history_text);
        history.set_time(HistoryTime::of_days(last.history_days), now);
        history.order = if last.longest_first { HistoryOrder::Longest } else { HistoryOrder::Newest };
        if last.run.is_some() || page != Some(Page::Run) {
            self.state.page = page.unwrap_or_default();
        }
        if last.run.is_some() {
            self.store.select_run(last.run.clone());
        }
    }
}

/// A page's name in the file.
fn name_of(page: Page) -> String {
    page.label().text.to_lowercase()
}

pub(super) const fn theme_of(choice: ThemeChoice) -> ThemePreference {
    match choice {
        ThemeChoice::System => ThemePreference::System,
        ThemeChoice::Dark => ThemePreference::Dark,
        ThemeChoice::Light => ThemePreference::Light,
    }
}

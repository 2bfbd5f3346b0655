//! The window's own state about the open log: what its commands change, and what its answers bring.

use chrono::{DateTime, Local, Utc};
use egui::Context;

use super::log_page::{LogCommand, LogPage};
use super::window::LeverframeWindow;
use crate::window::LogQuestion;

impl LeverframeWindow {
    pub(super) fn run_log(&mut self, command: LogCommand) {
        let page = &mut self.state.log;
        match command {
            LogCommand::Open(of) => {
                let (wraps, query) = (page.wraps, std::mem::take(&mut page.query));
                *page = LogPage { wraps, query, ..LogPage::default() };
                self.store.open_log(Some(of));
            }
            LogCommand::OpenAt(of, at) => {
                self.run_log(LogCommand::Open(of));
                self.go_to_time(at);
            }
            LogCommand::GoToTime => {
                let begun_at = self.store.log_view().and_then(|view| view.extent()?.begun_at);
                if let Some(at) = begun_at.and_then(|begun_at| page.moment(begun_at, &Local)) {
                    self.go_to_time(at);
                }
            }
            LogCommand::Filter => {
                let is_filtered = self.store.log_view().is_some_and(|view| view.is_filtered());
                (page.top, page.selected, page.follows) = (0.0, None, false);
                self.store.filter_log(!is_filtered);
            }
            LogCommand::Close => self.store.open_log(None),
            LogCommand::Find => page.is_find_wanted = true,
            LogCommand::Previous => {
                let hit = self.store.log_view().and_then(|view| view.hit());
                let from = hit.map_or(page.visible.end, |hit| hit.line);
                self.store.ask_log(LogQuestion::Previous(Some(from)));
            }
            LogCommand::Next => {
                let hit = self.store.log_view().and_then(|view| view.hit());
                let from = hit.map(|hit| hit.line).or(page.visible.start.checked_sub(1));
                self.store.ask_log(LogQuestion::Next(from));
            }
            LogCommand::Follow => page.follows = !page.follows,
            LogCommand::Wrap => page.wraps = !page.wraps,
            LogCommand::Copy => {
                if let Some(lines) = page.selection() {
                    self.store.ask_log(LogQuestion::Copy(lines));
                }
            }
        }
    }

    /// Goes to where the open log stood at a moment.
    fn go_to_time(&mut self, at: DateTime<Utc>) {
        self.state.log.follows = false;
        self.store.filter_log(false);
        self.store.ask_log(LogQuestion::AtTime(at));
    }

    /// Says what is visible and searched now.
    pub(super) fn want_log(&mut self) {
        self.store.want_log_rows(self.state.log.visible.clone());
        self.store.search_log(&self.state.log.query);
    }

    /// The log has answered.
    pub(super) fn take_log_news(&mut self, ctx: &Context) {
        if let Some(hit) = self.store.take_log_hit() {
            let is_filtered = self.store.log_view().is_some_and(|view| view.is_filtered());
            self.state.log.show_line(if is_filtered { hit.ordinal } else { hit.line });
        }
        if let Some(line) = self.store.take_reached_line() {
            self.state.log.show_line(line);
        }
        if let Some(text) = self.store.take_log_text() {
            ctx.copy_text(text);
        }
    }
}

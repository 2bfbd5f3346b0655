//! The window's own state about time: where the line stands, what of the time is shown, and what has to be known of it.

use chrono::{DateTime, TimeDelta, Utc};

use super::command::Page;
use super::log_page::LogCommand;
use super::time_line::{AxisOf, Shown, TimeCommand};
use super::window::LeverframeWindow;
use crate::window::{HistorySpan, LogOf, TimeRange};

impl LeverframeWindow {
    pub(super) fn run_time(&mut self, command: TimeCommand) {
        match command {
            TimeCommand::Line(at) => self.state.time.at = at,
            TimeCommand::Show(of, shown) => self.state.time.show(of, shown),
            TimeCommand::OpenLogs(keys, at) => {
                let of = match keys.as_slice() {
                    [] => return,
                    [key] => LogOf::Attempt(key.clone()),
                    keys => LogOf::Merged(keys.into()),
                };
                self.run_log(LogCommand::OpenAt(of, at));
            }
        }
    }

    /// Says what of the time is visible now.
    pub(super) fn want_time(&mut self, now: DateTime<Utc>) {
        let page = self.state.page;
        let is_open = self.store.log_view().is_none();
        let span = match page {
            Page::Machine => Some((self.state.machine.span, self.state.machine.span.holds_for())),
            // The window itself keeps the newest samples.
            Page::Now => Some((HistorySpan::Hour, TimeDelta::minutes(5))),
            Page::History | Page::Pipelines | Page::Schedule | Page::Run | Page::Away | Page::Settings => {
                None
            }
        };
        self.store.want_history(span.filter(|_| is_open), now);
        let shown = match self.state.time.shown(AxisOf::Machine) {
            Shown::All => None,
            part @ (Shown::Newest(_) | Shown::Between(_)) => {
                let span = self.state.machine.span;
                let range = part.of(TimeRange::before(now, span.length()));
                (span != HistorySpan::Hour && range.length() * 2 < span.length()).then_some(range)
            }
        };
        self.store.want_range(shown.filter(|_| page == Page::Machine && is_open));
        let has_axis = matches!(page, Page::Now | Page::Machine | Page::Run) && is_open;
        self.store.want_moment(self.state.time.at.filter(|_| has_axis));
        let opened = self.store.selected().filter(|_| page == Page::Run && is_open);
        let opened = opened.map(|entry| entry.run.run_id.clone());
        self.store.want_use_of_run(opened.as_ref(), now);
    }
}

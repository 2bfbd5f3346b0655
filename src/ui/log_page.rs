//! The open log: which part of it is visible, what is searched and selected, and what can be done there.

use std::ops::Range;

use chrono::{DateTime, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Utc};

use crate::window::LogOf;

/// Something to do about a whole log.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum LogCommand {
    /// Open a log.
    Open(LogOf),
    /// Open it where it stood at that second.
    OpenAt(LogOf, DateTime<Utc>),
    Close,
    /// Type what to search for.
    Find,
    /// Go to the line before that matches.
    Previous,
    /// Go to the next line that matches.
    Next,
    /// Show only lines that match, or all.
    Filter,
    /// Go to the time that is typed.
    GoToTime,
    /// Stay at the end, or no longer.
    Follow,
    /// Wrap long lines, or no longer.
    Wrap,
    /// Copy the selected lines.
    Copy,
}

impl LogCommand {
    pub(super) fn subject(&self) -> Option<String> {
        match self {
            Self::Open(of) | Self::OpenAt(of, _) => of.attempt().map(|key| format!("of {}", key.step_id)),
            Self::Close
            | Self::Find
            | Self::Previous
            | Self::Next
            | Self::Filter
            | Self::GoToTime
            | Self::Follow
            | Self::Wrap
            | Self::Copy => None,
        }
    }
}

/// What of the open log is visible.
#[derive(Debug)]
pub(super) struct LogPage {
    /// The line at the top, with the part of it that is scrolled away.
    pub(super) top: f64,
    /// How far long lines are scrolled to the left, in points.
    pub(super) left: f32,
    /// Whether it stays at the end.
    pub(super) follows: bool,
    pub(super) wraps: bool,
    /// What is searched for.
    pub(super) query: String,
    /// The field for it gets the focus.
    pub(super) is_find_wanted: bool,
    /// The lines that are at least partly visible.
    pub(super) visible: Range<u64>,
    /// Where a selection of lines began, and its other end.
    pub(super) selected: Option<(u64, u64)>,
    /// The time to go to, as it is typed.
    pub(super) time: String,
}

impl Default for LogPage {
    fn default() -> Self {
        Self {
            top: 0.0,
            left: 0.0,
            follows: true,
            wraps: false,
            query: String::new(),
            is_find_wanted: false,
            visible: 0..0,
            selected: None,
            time: String::new(),
        }
    }
}

impl LogPage {
    /// Scrolls by this many lines, and stops following when that is upwards.
    pub(super) fn scroll(&mut self, n_lines: f64, max_top: f64) {
        if n_lines == 0.0 {
            return;
        }
        self.top = (self.top + n_lines).clamp(0.0, max_top);
        self.follows = n_lines > 0.0 && self.top >= max_top;
    }

    /// Brings a line to a good place, if it is not visible.
    pub(super) fn show_line(&mut self, line: u64) {
        // Of a log that was just opened, nothing was shown so far.
        let n_visible = (self.visible.end - self.visible.start).max(30);
        let inner = self.visible.start + 1..self.visible.end.saturating_sub(2);
        if self.follows || !inner.contains(&line) {
            self.top = line.saturating_sub(n_visible / 3) as f64;
        }
        self.follows = false;
    }

    /// The moment that is typed: a time of day, with or without a date. Without one, the first such time since the log
    /// began.
    pub(super) fn moment<Z: TimeZone>(&self, begun_at: DateTime<Utc>, zone: &Z) -> Option<DateTime<Utc>> {
        let text = self.time.trim();
        let of = |at: NaiveDateTime| Some(at.and_local_timezone(zone.clone()).earliest()?.to_utc());
        let forms = ["%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M"];
        if let Some(at) = forms.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok()) {
            return of(at);
        }
        let forms = ["%H:%M:%S", "%H:%M", "%I:%M:%S %p", "%I:%M %p"];
        let time = forms.iter().find_map(|form| NaiveTime::parse_from_str(text, form).ok())?;
        let day = begun_at.with_timezone(zone).date_naive();
        let first = of(day.and_time(time)).filter(|at| *at + TimeDelta::minutes(1) > begun_at);
        first.or_else(|| of(day.succ_opt()?.and_time(time)))
    }

    /// The selected lines.
    pub(super) fn selection(&self) -> Option<Range<u64>> {
        self.selected.map(|(from, to)| from.min(to)..from.max(to) + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scrolling_up_ends_following_and_reaching_the_end_begins_it_again() {
        let mut page = LogPage { top: 90.0, ..LogPage::default() };
        page.scroll(-3.5, 90.0);
        assert_eq!((page.top, page.follows), (86.5, false));
        page.scroll(2.0, 90.0);
        assert!(!page.follows);
        page.scroll(50.0, 90.0);
        assert_eq!((page.top, page.follows), (90.0, true));
        page.scroll(-500.0, 90.0);
        assert_eq!(page.top, 0.0);
    }

    #[test]
    fn a_time_of_day_is_the_first_one_since_the_log_began() {
        let begun_at: DateTime<Utc> = "2026-11-23T22:30:00Z".parse().unwrap();
        let zone = chrono::FixedOffset::east_opt(3600).unwrap();
        for (typed, moment) in [
            ("23:45", Some("2026-11-23T22:45:00Z")),
            ("23:30:30", Some("2026-11-23T22:30:30Z")),
            (" 02:00 ", Some("2026-11-24T01:00:00Z")),
            ("11:45:10 PM", Some("2026-11-23T22:45:10Z")),
            ("2026-11-25 06:00", Some("2026-11-25T05:00:00Z")),
            ("noon", None),
            ("25:00", None),
            ("", None),
        ] {
            let page = LogPage { time: typed.to_owned(), ..LogPage::default() };
            let moment = moment.map(|text| text.parse::<DateTime<Utc>>().unwrap());
            assert_eq!(page.moment(begun_at, &zone), moment, "{typed}");
        }
    }

    #[test]
    fn a_line_that_is_visible_moves_nothing() {
        let mut page = LogPage { top: 100.0, visible: 100..130, follows: false, ..LogPage::default() };
        page.show_line(120);
        assert_eq!(page.top, 100.0);
        page.show_line(500);
        assert_eq!(page.top, 490.0);
        let mut opened = LogPage::default();
        opened.show_line(500);
        assert_eq!(opened.top, 490.0, "its surroundings are shown too");
    }
}

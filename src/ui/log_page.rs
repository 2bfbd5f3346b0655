//! The open log: which part of it is visible, what is searched and selected, and what can be done there.

use std::ops::Range;

use chrono::{DateTime, Utc};

use crate::base::id::AttemptKey;

/// Something to do about a whole log.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum LogCommand {
    /// Open the log of an attempt.
    Open(AttemptKey),
    /// Open it where it stood at that second.
    OpenAt(AttemptKey, DateTime<Utc>),
    Close,
    /// Type what to search for.
    Find,
    /// Go to the line before that matches.
    Previous,
    /// Go to the next line that matches.
    Next,
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
            Self::Open(key) | Self::OpenAt(key, _) => Some(format!("of {}", key.step_id)),
            Self::Close
            | Self::Find
            | Self::Previous
            | Self::Next
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
        let n_visible = self.visible.end - self.visible.start;
        let inner = self.visible.start + 1..self.visible.end.saturating_sub(2);
        if self.follows || !inner.contains(&line) {
            self.top = line.saturating_sub(n_visible / 3) as f64;
        }
        self.follows = false;
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
    fn a_line_that_is_visible_moves_nothing() {
        let mut page = LogPage { top: 100.0, visible: 100..130, follows: false, ..LogPage::default() };
        page.show_line(120);
        assert_eq!(page.top, 100.0);
        page.show_line(500);
        assert_eq!(page.top, 490.0);
    }
}

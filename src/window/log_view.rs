//! The model of an open log: how long it is, the rows around what is visible, and where a searched text was found. It
//! says which rows are to be read; whatever the size of the log, it holds at most [`MAX_ROWS`] of them.

use std::ops::Range;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::base::id::AttemptKey;
pub use crate::logs::{Ink, LogHit, LogRow, Look, StyledText};

/// The most rows that are kept.
const MAX_ROWS: u64 = 1024;

/// Which log is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogOf {
    /// That of an attempt.
    Attempt(AttemptKey),
    /// Those of all these attempts, merged by time.
    Merged(Arc<[AttemptKey]>),
}

impl LogOf {
    /// The attempt, if it is one.
    pub fn attempt(&self) -> Option<&AttemptKey> {
        match self {
            Self::Attempt(key) => Some(key),
            Self::Merged(_) => None,
        }
    }
}

impl From<AttemptKey> for LogOf {
    fn from(key: AttemptKey) -> Self {
        Self::Attempt(key)
    }
}

/// What is asked of an open log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogQuestion {
    /// Count and show from now on only the lines that match, or all. The answers to what was asked before may still come.
    Filter(bool),
    /// These lines, counted from 0; answered by [`LogAnswer::Rows`].
    Rows(Range<u64>),
    /// Search for this text from now on; nothing if it is empty. Answered by [`LogAnswer::Found`] again and again.
    Search(String),
    /// The next line that matches after this one, or after none; answered by [`LogAnswer::Hit`].
    Next(Option<u64>),
    /// The one before this line.
    Previous(Option<u64>),
    /// The line that it had reached in the second that begins then; answered by [`LogAnswer::Reached`].
    AtTime(DateTime<Utc>),
    /// The text of these lines; answered by [`LogAnswer::Copied`].
    Copy(Range<u64>),
}

/// What comes from an open log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogAnswer {
    /// How long it is, again whenever that changes.
    Extent(LogExtent),
    Rows(LogRows),
    Found(LogFound),
    /// The line that was stepped to; none when nothing matches.
    Hit(Option<LogHit>),
    /// The line that it had reached at a moment that was asked for.
    Reached(u64),
    /// The text of lines that were asked for.
    Copied(String),
    /// It can't be read, and why.
    Failed(String),
}

/// How long a log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogExtent {
    /// Whether its file is there.
    pub exists: bool,
    /// Whether the file was removed since the log was opened. It is read as before, until the log is closed.
    pub is_removed: bool,
    /// Its lines: estimated as long as not all of it is indexed.
    pub n_lines: u64,
    /// Its bytes.
    pub log_len: u64,
    /// Bytes whose lines are counted.
    pub n_indexed: u64,
    /// When it began, if that is known.
    pub begun_at: Option<DateTime<Utc>>,
}

impl LogExtent {
    /// Whether all lines are counted.
    pub fn is_exact(&self) -> bool {
        self.n_indexed >= self.log_len
    }
}

/// Lines of a log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogRows {
    /// The number of the first one.
    pub first: u64,
    pub rows: Vec<LogRow>,
    /// The lines' own numbers, if only those that match are shown.
    pub numbers: Option<Vec<u64>>,
    /// The log when they were read.
    pub extent: LogExtent,
    /// Whether their numbers are counted, not estimated.
    pub is_exact: bool,
}

/// How far a search is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFound {
    pub text: String,
    /// Lines that match so far.
    pub n_hits: u64,
    /// For equal parts of the log whether a line in it matches.
    pub places: Vec<bool>,
    /// Whether the whole log was searched.
    pub is_whole: bool,
}

/// An open log.
#[derive(Debug)]
pub struct LogView {
    pub of: LogOf,
    is_filtered: bool,
    /// How many lines matched when the rows were asked for.
    n_asked: u64,
    extent: Option<LogExtent>,
    rows: LogRows,
    wanted: Range<u64>,
    is_asked: bool,
    found: Option<LogFound>,
    searched: String,
    hit: Option<LogHit>,
    new_hit: Option<LogHit>,
    reached: Option<u64>,
    new_reached: Option<u64>,
    copied: Option<String>,
    trouble: Option<String>,
}

impl LogView {
    pub(super) fn new(of: LogOf) -> Self {
        Self {
            of,
            is_filtered: false,
            n_asked: 0,
            extent: None,
            rows: LogRows::default(),
            wanted: 0..0,
            is_asked: false,
            found: None,
            searched: String::new(),
            hit: None,
            new_hit: None,
            reached: None,
            new_reached: None,
            copied: None,
            trouble: None,
        }
    }

    /// None until it is known.
    pub fn extent(&self) -> Option<&LogExtent> {
        self.extent.as_ref()
    }

    /// How many lines are shown, as far as known: all, or those that match.
    pub fn n_lines(&self) -> u64 {
        if self.is_filtered { self.n_hits() } else { self.extent.map_or(0, |extent| extent.n_lines) }
    }

    fn n_hits(&self) -> u64 {
        self.found.as_ref().map_or(0, |found| found.n_hits)
    }

    /// Whether only lines that match are shown.
    pub fn is_filtered(&self) -> bool {
        self.is_filtered
    }

    /// The number in the log of a shown line, from 0; none if it was not read.
    pub fn number(&self, line: u64) -> Option<u64> {
        match &self.rows.numbers {
            None if self.is_filtered => None,
            None => Some(line),
            Some(numbers) => numbers.get(usize::try_from(line.checked_sub(self.rows.first)?).ok()?).copied(),
        }
    }

    /// A line, if it was read.
    pub fn row(&self, line: u64) -> Option<&LogRow> {
        if self.rows.numbers.is_some() != self.is_filtered {
            return None;
        }
        self.rows.rows.get(usize::try_from(line.checked_sub(self.rows.first)?).ok()?)
    }

    /// How far the search is; none without one.
    pub fn found(&self) -> Option<&LogFound> {
        self.found.as_ref()
    }

    /// The line that was stepped to last.
    pub fn hit(&self) -> Option<LogHit> {
        self.hit
    }

    /// Why it can't be read.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// The text that is searched for; empty without a search.
    pub fn searched(&self) -> &str {
        &self.searched
    }

    /// These lines are visible. Returns what has to be asked.
    pub(super) fn want(&mut self, visible: Range<u64>) -> Option<LogQuestion> {
        self.wanted = visible;
        self.missing()
    }

    fn missing(&mut self) -> Option<LogQuestion> {
        let extent = self.extent?;
        let wanted = self.wanted.start..self.wanted.end.min(self.n_lines());
        if self.is_asked || wanted.is_empty() {
            return None;
        }
        let known = self.rows.first..self.rows.first + self.rows.rows.len() as u64;
        let is_of_kind = self.rows.numbers.is_some() == self.is_filtered;
        let covers = is_of_kind && known.start <= wanted.start && wanted.end <= known.end;
        // The last line may have gone on since, and estimated numbers may be counted now.
        let has_grown = !self.is_filtered
            && wanted.end >= self.rows.extent.n_lines
            && extent.log_len != self.rows.extent.log_len;
        let is_counted = extent.is_exact() && !self.rows.is_exact;
        if covers && !has_grown && !is_counted {
            return None;
        }
        (self.is_asked, self.n_asked) = (true, self.n_hits());
        let length = (wanted.end - wanted.start).min(MAX_ROWS / 3);
        Some(LogQuestion::Rows(wanted.start.saturating_sub(length)..wanted.start + 2 * length))
    }

    /// Searches for a text. Returns what has to be asked.
    pub(super) fn search(&mut self, text: &str) -> Option<LogQuestion> {
        if self.searched == text {
            return None;
        }
        text.clone_into(&mut self.searched);
        (self.found, self.hit) = (None, None);
        if self.is_filtered {
            self.rows = LogRows::default();
        }
        Some(LogQuestion::Search(text.to_owned()))
    }

    /// Shows only lines that match, or all. Returns what has to be asked.
    pub(super) fn filter(&mut self, is_filtered: bool) -> Option<LogQuestion> {
        if self.is_filtered == is_filtered {
            return None;
        }
        self.is_filtered = is_filtered;
        Some(LogQuestion::Filter(is_filtered))
    }

    pub(super) fn apply(&mut self, answer: LogAnswer) -> Option<LogQuestion> {
        match answer {
            LogAnswer::Extent(extent) => self.extent = Some(extent),
            LogAnswer::Rows(rows) => {
                self.is_asked = false;
                self.rows = rows;
                // Fewer than were asked for, because more is searched only now: they are asked for with the next hits.
                if self.is_filtered && self.rows.rows.is_empty() && self.n_asked == self.n_hits() {
                    return None;
                }
            }
            LogAnswer::Found(found) => {
                if found.text == self.searched {
                    self.found = Some(found);
                }
            }
            LogAnswer::Hit(hit) => (self.hit, self.new_hit) = (hit, hit),
            LogAnswer::Reached(line) => (self.reached, self.new_reached) = (Some(line), Some(line)),
            LogAnswer::Copied(text) => self.copied = Some(text),
            LogAnswer::Failed(reason) => {
                self.is_asked = false;
                self.trouble = Some(reason);
                return None;
            }
        }
        self.missing()
    }

    /// The line that was stepped to, once.
    pub(super) fn take_hit(&mut self) -> Option<LogHit> {
        self.new_hit.take()
    }

    /// The line that it had reached at the moment that was asked for last.
    pub fn reached(&self) -> Option<u64> {
        self.reached
    }

    /// The same, once.
    pub(super) fn take_reached(&mut self) -> Option<u64> {
        self.new_reached.take()
    }

    /// The text to be copied, once.
    pub(super) fn take_copied(&mut self) -> Option<String> {
        self.copied.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::{RunId, StepId};

    fn view() -> LogView {
        let (run_id, step_id) = (RunId::new("a-1").unwrap(), StepId::new("fetch").unwrap());
        LogView::new(AttemptKey { run_id, step_id, attempt: 1 }.into())
    }

    fn extent(n_lines: u64, log_len: u64, n_indexed: u64) -> LogExtent {
        LogExtent { exists: true, is_removed: false, n_lines, log_len, n_indexed, begun_at: None }
    }

    fn rows(lines: Range<u64>, extent: LogExtent) -> LogAnswer {
        let row = |line: u64| LogRow::Text {
            text: StyledText { text: line.to_string(), parts: Vec::new() },
            n_cut: 0,
        };
        LogAnswer::Rows(LogRows {
            first: lines.start,
            rows: lines.map(row).collect(),
            numbers: None,
            extent,
            is_exact: extent.is_exact(),
        })
    }

    #[test]
    fn rows_are_asked_for_once_with_those_around_and_not_again_while_they_are_there() {
        let mut view = view();
        let whole = extent(10_000, 1 << 20, 1 << 20);
        assert_eq!(view.want(5000..5040), None, "nothing is known of it");
        assert_eq!(view.apply(LogAnswer::Extent(whole)), Some(LogQuestion::Rows(4960..5080)));
        assert_eq!(view.want(7000..7040), None, "an answer is due");
        let next = view.apply(rows(4960..5080, whole));
        assert_eq!(next, Some(LogQuestion::Rows(6960..7080)), "what was wanted meanwhile");
        assert_eq!(view.apply(rows(6960..7080, whole)), None);
        assert_eq!(view.want(7035..7075), None);
        assert!(view.row(7035).is_some() && view.row(7080).is_none() && view.row(0).is_none());
        assert_eq!(view.want(7045..7085), Some(LogQuestion::Rows(7005..7125)));
    }

    #[test]
    fn the_end_of_a_log_is_read_again_when_it_grows_and_the_rest_is_not() {
        let mut view = view();
        let before = extent(100, 1000, 1000);
        view.apply(LogAnswer::Extent(before));
        view.want(60..100);
        view.apply(rows(20..100, before));
        assert!(view.apply(LogAnswer::Extent(extent(100, 1010, 1010))).is_some(), "its last line went on");
        view.apply(rows(20..100, extent(100, 1010, 1010)));
        assert_eq!(view.want(20..60), None);
        assert_eq!(view.apply(LogAnswer::Extent(extent(200, 2000, 2000))), None);
    }

    #[test]
    fn estimated_rows_are_read_again_when_all_lines_are_counted() {
        let mut view = view();
        let early = extent(1000, 1000, 10);
        view.apply(LogAnswer::Extent(early));
        view.want(960..1000);
        view.apply(rows(920..1000, early));
        let asked = view.apply(LogAnswer::Extent(extent(1000, 1000, 1000)));
        assert_eq!(asked, Some(LogQuestion::Rows(920..1040)));
    }

    #[test]
    fn with_a_filter_the_lines_that_match_are_counted_and_keep_their_numbers() {
        let mut view = view();
        let whole = extent(1000, 1 << 20, 1 << 20);
        view.apply(LogAnswer::Extent(whole));
        view.want(0..40);
        view.apply(rows(0..80, whole));
        view.search("b");
        assert_eq!(view.filter(true), Some(LogQuestion::Filter(true)));
        assert_eq!((view.n_lines(), view.row(0)), (0, None), "all rows are no rows that match");
        let found = LogFound { text: "b".into(), n_hits: 3, places: vec![], is_whole: true };
        assert_eq!(view.apply(LogAnswer::Found(found)), Some(LogQuestion::Rows(0..6)));
        let LogAnswer::Rows(answer) = rows(0..3, whole) else { panic!() };
        let answer = LogAnswer::Rows(LogRows { numbers: Some(vec![7, 30, 900]), ..answer });
        assert_eq!(view.apply(answer), None);
        assert_eq!((view.number(1), view.number(3)), (Some(30), None));
        assert!(view.row(2).is_some());
        assert_eq!(view.filter(false), Some(LogQuestion::Filter(false)));
        assert!(view.row(2).is_none() && view.want(0..40).is_some());
    }

    #[test]
    fn what_was_found_for_an_earlier_text_is_ignored() {
        let found = |text: &str| {
            LogAnswer::Found(LogFound { text: text.into(), n_hits: 3, places: vec![], is_whole: true })
        };
        let mut view = view();
        assert_eq!(view.search("b"), Some(LogQuestion::Search("b".into())));
        view.apply(found("a"));
        assert_eq!(view.found(), None);
        view.apply(found("b"));
        assert_eq!(view.found().map(|found| found.n_hits), Some(3));
        assert_eq!(view.search("b"), None);
    }
}

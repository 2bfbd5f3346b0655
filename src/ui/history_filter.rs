//! What is chosen on the page of ended runs: the filter, the order, the marked runs, and which rows are visible.

use std::collections::BTreeSet;
use std::ops::Range;

use chrono::{DateTime, TimeDelta, Utc};

use crate::base::id::{PipelineId, RunId};
use crate::run::RunState;
use crate::window::{HistoryFilter, HistoryList, HistoryModel, HistoryOrder};

/// How far back the list goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum HistoryTime {
    #[default]
    Any,
    Day,
    Week,
    Month,
}

impl HistoryTime {
    pub(super) const ALL: [Self; 4] = [Self::Any, Self::Day, Self::Week, Self::Month];

    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Day => "last 24 hours",
            Self::Week => "last 7 days",
            Self::Month => "last 30 days",
        }
    }

    /// How many days it is; none means all.
    pub(super) const fn days(self) -> Option<u32> {
        match self {
            Self::Any => None,
            Self::Day => Some(1),
            Self::Week => Some(7),
            Self::Month => Some(30),
        }
    }

    /// The one of that many days; all if there is none.
    pub(super) fn of_days(days: Option<u32>) -> Self {
        Self::ALL.into_iter().find(|time| time.days() == days).unwrap_or_default()
    }

    fn since(self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        Some(now - TimeDelta::days(i64::from(self.days()?)))
    }
}

/// The page of ended runs.
#[derive(Debug, Default)]
pub(super) struct HistoryState {
    /// As it is typed.
    pub(super) text: String,
    pub(super) pipeline: Option<PipelineId>,
    pub(super) state: Option<RunState>,
    time: HistoryTime,
    /// The start of the time, as of when it was chosen: a list that moves with the clock would be another every second.
    since: Option<DateTime<Utc>>,
    pub(super) order: HistoryOrder,
    /// The first visible row.
    first: usize,
    n_visible: usize,
    /// What the wheel has turned beyond whole rows.
    turned: f32,
    /// Whether the steps of the trend's runs are hidden.
    pub(super) hides_grid: bool,
    /// The runs that are marked, to be acted on together.
    pub(super) marked: BTreeSet<RunId>,
    /// The row that was marked last: a range begins here.
    anchor: usize,
}

impl HistoryState {
    pub(super) fn time(&self) -> HistoryTime {
        self.time
    }

    pub(super) fn set_time(&mut self, time: HistoryTime, now: DateTime<Utc>) {
        if time != self.time {
            (self.time, self.since) = (time, time.since(now));
        }
    }

    /// Whether some runs are left out.
    pub(super) fn is_filtered(&self) -> bool {
        self.list().filter != HistoryFilter::default()
    }

    /// Lists all runs again; the order stays.
    pub(super) fn clear_filter(&mut self) {
        let Self { text, pipeline, state, time, since, .. } = self;
        text.clear();
        (*pipeline, *state, *time, *since) = (None, None, HistoryTime::Any, None);
    }

    /// What is listed.
    pub(super) fn list(&self) -> HistoryList {
        let filter = HistoryFilter {
            pipeline: self.pipeline.clone(),
            state: self.state,
            since: self.since,
            text: self.text.trim().to_owned(),
        };
        HistoryList { filter, order: self.order }
    }

    /// Fits the visible rows into a list of `n_rows` of which `n_visible` have room. A list of which no row is known is
    /// being read, perhaps again: then the rows that were visible before are wanted.
    pub(super) fn fit(&mut self, n_rows: usize, n_visible: usize) {
        self.n_visible = n_visible.max(1);
        if n_rows > 0 {
            self.first = self.first.min(n_rows.saturating_sub(self.n_visible));
        }
    }

    /// Shows the first rows.
    pub(super) fn go_to_top(&mut self) {
        (self.first, self.turned) = (0, 0.0);
    }

    /// The visible rows.
    pub(super) fn rows(&self) -> Range<usize> {
        self.first..self.first + self.n_visible.max(1)
    }

    /// Moves down by that many rows, or up if it is negative; a part of a row waits for the rest of it.
    pub(super) fn turn(&mut self, n_rows: f32) {
        self.turned += n_rows;
        let whole = self.turned.trunc();
        self.turned -= whole;
        self.first = self.first.saturating_add_signed(whole as isize);
    }

    /// Moves so that this row is the first.
    pub(super) fn go_to(&mut self, row: usize) {
        self.first = row;
    }

    /// Moves as little as needed to make this row visible.
    pub(super) fn reveal(&mut self, row: usize) {
        let lowest = (row + 1).saturating_sub(self.n_visible.max(1));
        self.first = self.first.clamp(lowest, row);
    }

    /// Marks a row's run, or no longer.
    pub(super) fn toggle(&mut self, row: usize, run_id: &RunId) {
        self.anchor = row;
        if !self.marked.remove(run_id) {
            self.marked.insert(run_id.clone());
        }
    }

    /// Marks the rows from the one marked last to this one, as far as they are known.
    pub(super) fn mark_to(&mut self, row: usize, history: &HistoryModel) {
        let rows = self.anchor.min(row)..=self.anchor.max(row);
        self.marked.extend(rows.filter_map(|row| history.row(row)).map(|run| run.run_id.clone()));
    }

    /// The two marked runs in the order of their ids, which begin alike and end with their time unless they were chosen;
    /// none if there are not exactly two.
    pub(super) fn marked_pair(&self) -> Option<(&RunId, &RunId)> {
        let mut marked = self.marked.iter();
        let pair = marked.next().zip(marked.next());
        pair.filter(|_| marked.next().is_none())
    }

    /// A row was selected by the keyboard: a range begins here, and what is marked stays so.
    pub(super) fn move_to(&mut self, row: usize) {
        self.anchor = row;
    }

    /// A row was selected without the others: a range begins here.
    pub(super) fn begin_at(&mut self, row: usize) {
        self.anchor = row;
        self.marked.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_visible_rows_stay_in_the_list_and_move_by_whole_rows() {
        let mut page = HistoryState::default();
        page.fit(1_000_000, 10);
        assert_eq!(page.rows(), 0..10);
        page.turn(0.6);
        assert_eq!(page.rows(), 0..10);
        page.turn(0.6);
        assert_eq!(page.rows(), 1..11, "two parts are more than a whole");
        page.turn(-5.0);
        assert_eq!(page.rows(), 0..10);
        page.go_to(2_000_000);
        page.fit(1_000_000, 10);
        assert_eq!(page.rows(), 999_990..1_000_000);
        page.reveal(999_990);
        assert_eq!(page.rows().start, 999_990, "what is visible moves nothing");
        page.reveal(7);
        assert_eq!(page.rows(), 7..17);
        page.reveal(17);
        assert_eq!(page.rows(), 8..18);
        page.fit(3, 10);
        assert_eq!(page.rows().start, 0);
    }

    #[test]
    fn a_time_is_counted_from_when_it_was_chosen() {
        let now = Utc::now();
        let mut page = HistoryState::default();
        assert!(!page.is_filtered());
        page.set_time(HistoryTime::Week, now);
        page.set_time(HistoryTime::Week, now + TimeDelta::hours(1));
        assert_eq!(page.list().filter.since, Some(now - TimeDelta::days(7)));
        page.text = "  exit 12 ".to_owned();
        assert_eq!(page.list().filter.text, "exit 12");
        page.clear_filter();
        assert!(!page.is_filtered() && page.list() == HistoryList::default());
    }
}

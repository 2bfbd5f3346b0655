//! The list of ended runs in the read model: the rows around the visible ones. It stands still while runs end: those
//! are counted, and are listed when the operator asks for them.

use std::collections::HashSet;
use std::ops::Range;

use super::jobs::ROW_MARGIN;
use crate::base::id::{PipelineId, RunId};
use crate::run::RunSummary;
use crate::window::history_page::{HistoryList, HistoryPage, HistoryQuestion};
use crate::window::port::Action;
use crate::window::run_grid::RunGrid;

/// How many runs that have ended since are counted one by one.
const MAX_NEW: usize = 1000;

/// The list of ended runs, as far as it is visible.
#[derive(Debug, Default)]
pub struct HistoryModel {
    list: HistoryList,
    serial: u64,
    page: Option<HistoryPage>,
    /// The visible rows; none when the list is not open.
    wanted: Option<Range<usize>>,
    asked: Option<(u64, Range<usize>)>,
    /// The question whose lookup failed: it is not asked again and again, but when something changes.
    failed: Option<(u64, Range<usize>)>,
    /// Runs that have ended since the list was read and belong to it.
    new: HashSet<RunId>,
}

impl HistoryModel {
    /// What is listed.
    pub fn list(&self) -> &HistoryList {
        &self.list
    }

    /// The visible rows that were set last; none when the list is not open.
    pub fn wanted(&self) -> Option<&Range<usize>> {
        self.wanted.as_ref()
    }

    /// Whether no row of the present list has arrived yet.
    pub fn is_loading(&self) -> bool {
        self.page.as_ref().is_none_or(|page| page.serial != self.serial)
    }

    /// How many runs are listed, as far as known; those of the list before until this one has arrived.
    pub fn n_known(&self) -> usize {
        self.page.as_ref().map_or(0, |page| page.n_known)
    }

    /// Whether [`Self::n_known`] is the number of all.
    pub fn is_whole(&self) -> bool {
        !self.is_loading() && self.page.as_ref().is_some_and(|page| page.is_whole)
    }

    /// The pipelines that have runs, by name.
    pub fn pipelines(&self) -> &[PipelineId] {
        self.page.as_ref().map_or(&[], |page| &page.pipelines)
    }

    /// The newest runs of the filter's pipeline, the latest start first; empty without one.
    pub fn trend(&self) -> &[RunSummary] {
        self.page.as_ref().map_or(&[], |page| &page.trend)
    }

    /// The steps of the runs of [`Self::trend`].
    pub fn grid(&self) -> Option<&RunGrid> {
        self.page.as_ref().map(|page| &*page.grid)
    }

    /// The run in this row, if known.
    pub fn row(&self, index: usize) -> Option<&RunSummary> {
        let page = self.page.as_ref()?;
        page.runs.get(index.checked_sub(page.offset)?)
    }

    /// The row of a run, if known.
    pub fn index_of(&self, run_id: &RunId) -> Option<usize> {
        let page = self.page.as_ref()?;
        Some(page.offset + page.runs.iter().position(|run| run.run_id == *run_id)?)
    }

    /// How many runs have ended since the list was read and belong to it.
    pub fn n_new(&self) -> usize {
        self.new.len()
    }

    /// Sets the visible rows; none when the list is not open. A list that is opened again is read again.
    pub(crate) fn want(&mut self, rows: Option<Range<usize>>) -> Option<Action> {
        let was_open = self.wanted.is_some();
        self.wanted = rows;
        if self.wanted.is_none() {
            (self.asked, self.failed) = (None, None);
            return was_open.then_some(Action::LoadRuns(None));
        }
        if !was_open {
            self.begin();
        }
        self.ask()
    }

    /// Sets what is listed.
    pub(crate) fn set_list(&mut self, list: HistoryList) -> Option<Action> {
        if self.list == list {
            return None;
        }
        self.list = list;
        self.refresh()
    }

    /// Reads the list again, with what has ended meanwhile.
    pub(crate) fn refresh(&mut self) -> Option<Action> {
        self.begin();
        self.ask()
    }

    pub(crate) fn put_page(&mut self, page: HistoryPage) -> Option<Action> {
        if page.serial != self.serial {
            return None;
        }
        self.page = Some(page);
        self.ask()
    }

    /// A run has ended.
    pub(crate) fn put_ended(&mut self, run: &RunSummary) {
        self.failed = None;
        if self.wanted.is_some() && self.new.len() < MAX_NEW && self.list.filter.matches(run) {
            self.new.insert(run.run_id.clone());
        }
    }

    /// A run has changed: its row shows its present values.
    pub(crate) fn put_run(&mut self, run: &RunSummary) {
        let rows = self.page.iter_mut().flat_map(|page| &mut page.runs);
        for row in rows.filter(|row| row.run_id == run.run_id) {
            *row = run.clone();
        }
    }

    /// A lookup failed; the next change asks again.
    pub(crate) fn forget_questions(&mut self) {
        if let Some(asked) = self.asked.take() {
            self.failed = Some(asked);
        }
    }

    fn begin(&mut self) {
        self.serial += 1;
        self.new.clear();
    }

    /// Asks for the visible rows that are not known and not asked for. The newest question replaces those before.
    fn ask(&mut self) -> Option<Action> {
        let wanted = self.wanted.clone()?;
        let covers = |question: &Option<(u64, Range<usize>)>| {
            question.as_ref().is_some_and(|(serial, rows)| {
                *serial == self.serial && rows.start <= wanted.start && wanted.end <= rows.end
            })
        };
        if covers(&self.asked) || covers(&self.failed) {
            return None;
        }
        let rows = wanted.start.saturating_sub(ROW_MARGIN)..wanted.end + ROW_MARGIN;
        self.asked = Some((self.serial, rows.clone()));
        let (list, serial) = (self.list.clone(), self.serial);
        Some(Action::LoadRuns(Some(Box::new(HistoryQuestion { list, serial, rows }))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::HistoryOrder;
    use std::sync::Arc;

    fn asked(action: Option<Action>) -> Option<(u64, Range<usize>)> {
        let Action::LoadRuns(question) = action? else { return None };
        question.map(|question| (question.serial, question.rows))
    }

    fn page(serial: u64, offset: usize) -> HistoryPage {
        HistoryPage {
            serial,
            offset,
            runs: Vec::new(),
            n_known: 1000,
            is_whole: true,
            pipelines: Vec::new(),
            trend: Vec::new(),
            grid: Arc::default(),
        }
    }

    #[test]
    fn only_rows_around_the_visible_ones_are_asked_for_and_once() {
        let mut history = HistoryModel::default();
        assert_eq!(asked(history.want(Some(0..10))), Some((1, 0..50)));
        assert_eq!(history.want(Some(5..15)), None, "these are on their way");
        assert_eq!(asked(history.want(Some(500..510))), Some((1, 460..550)), "the newest question counts");
        assert_eq!(history.put_page(page(1, 460)), None);
        assert!(history.is_whole() && !history.is_loading());
    }

    #[test]
    fn what_failed_is_not_asked_again_and_again_but_after_a_change() {
        let mut history = HistoryModel::default();
        history.want(Some(0..10));
        history.forget_questions();
        assert_eq!(history.want(Some(0..10)), None);
        assert_eq!(asked(history.want(Some(500..510))), Some((1, 460..550)), "other rows");
        history.forget_questions();
        assert_eq!(asked(history.refresh()), Some((2, 460..550)), "the operator reads it again");
        history.forget_questions();
        history.want(None);
        assert!(asked(history.want(Some(500..510))).is_some(), "it was left and opened again");
    }

    #[test]
    fn another_list_has_another_number_and_the_answer_to_the_one_before_is_ignored() {
        let mut history = HistoryModel::default();
        history.want(Some(0..10));
        history.put_page(page(1, 0));
        let longest = HistoryList { order: HistoryOrder::Longest, ..HistoryList::default() };
        assert_eq!(asked(history.set_list(longest.clone())), Some((2, 0..50)));
        assert_eq!(history.set_list(longest), None, "it is the same list");
        history.put_page(page(1, 0));
        assert!(history.is_loading() && !history.is_whole());
        history.put_page(page(2, 0));
        assert!(history.is_whole());
        assert_eq!(history.want(None), Some(Action::LoadRuns(None)));
        assert_eq!(history.want(None), None);
        assert_eq!(asked(history.want(Some(0..10))), Some((3, 0..50)));
    }
}

//! The list of ended runs as the window shows it: a question for the visible rows, and [`HistoryReader`], which answers
//! it from the database, part after part: the first rows are there at once, and other lookups are answered between them.

use std::ops::Range;
use std::sync::Arc;

use super::run_grid::{RunGrid, read_grid};
use crate::api::Error;
use crate::backend::Backend;
use crate::base::id::PipelineId;
use crate::engine::{EngineError, now};
use crate::run::RunSummary;
use crate::store::{CheckpointManager, HistoryMark, HistoryPart, HistoryPlace, StoreError};
pub use crate::store::{HistoryFilter, HistoryList, HistoryOrder};

/// How many runs the first part looks through at least.
const FIRST_PART: usize = 500;
/// How many runs a part looks through at most.
const PART: usize = 20_000;
/// How many runs the trend of a pipeline shows.
pub const MAX_TREND: usize = 30;

/// A question for rows of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryQuestion {
    pub list: HistoryList,
    /// The list's number. A new number is a new list, which contains what has ended until now.
    pub serial: u64,
    /// Which rows, counted from 0.
    pub rows: Range<usize>,
}

/// Rows of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryPage {
    /// Of which list.
    pub serial: u64,
    /// The index of the first row.
    pub offset: usize,
    /// The rows; fewer than were asked for at the end of the list, and while it is searched.
    pub runs: Vec<RunSummary>,
    /// How many runs of the list are known.
    pub n_known: usize,
    /// Whether these are all.
    pub is_whole: bool,
    /// The pipelines that have runs, by name.
    pub pipelines: Vec<PipelineId>,
    /// The newest runs of the filter's pipeline, whatever else the filter says; at most 30.
    pub trend: Vec<RunSummary>,
    /// The steps of the runs of `trend`.
    pub grid: Arc<RunGrid>,
}

/// Answers the newest question, in steps.
#[derive(Default)]
pub(crate) struct HistoryReader {
    question: Option<HistoryQuestion>,
    /// The question's rows were sent.
    is_answered: bool,
    list: Option<OpenList>,
}

struct OpenList {
    serial: u64,
    store: CheckpointManager,
    mark: HistoryMark,
    pipelines: Vec<PipelineId>,
    trend: Vec<RunSummary>,
    grid: Arc<RunGrid>,
    /// The rows of the runs that were found.
    found: Vec<i64>,
    /// How many were found when a page was sent last.
    n_told: usize,
    next: Next,
}

/// What is read next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    /// The `n` runs after a place, or the first ones.
    Part {
        after: Option<HistoryPlace>,
        n: usize,
    },
    Nothing,
}

impl HistoryReader {
    /// Takes a question in the place of the one before. None: the list is no longer shown.
    pub(crate) fn ask(&mut self, question: Option<HistoryQuestion>) {
        self.is_answered = false;
        if self.list.as_ref().map(|list| list.serial) != question.as_ref().map(|question| question.serial) {
            self.list = None;
        }
        self.question = question;
    }

    /// Whether [`Self::go_on`] has something to do.
    pub(crate) fn has_work(&self) -> bool {
        let is_whole = self.list.as_ref().is_some_and(|list| list.next == Next::Nothing);
        self.question.is_some() && !(self.is_answered && is_whole)
    }

    /// Does one step: what takes some ten milliseconds at most with a million runs.
    pub(crate) fn go_on(&mut self, backend: &Backend) -> Result<Option<HistoryPage>, Error> {
        let page = self.step(backend);
        if page.is_err() {
            // Not again by itself: the next question may be answered.
            self.ask(None);
        }
        page
    }

    fn step(&mut self, backend: &Backend) -> Result<Option<HistoryPage>, Error> {
        if let (Some(question), None) = (&self.question, &self.list) {
            let store = backend.records()?.store().clone();
            self.list = Some(OpenList::open(store, question).map_err(EngineError::from)?);
        }
        Ok(self.read().map_err(EngineError::from)?)
    }

    fn read(&mut self) -> Result<Option<HistoryPage>, StoreError> {
        let (Some(question), Some(list)) = (&self.question, &mut self.list) else { return Ok(None) };
        let end = question.rows.end;
        let mut is_news = !self.is_answered && end <= list.found.len();
        if let (Next::Part { after, n }, false) = (list.next, is_news) {
            let n_before = list.found.len();
            list.read_part(&question.list, after, n.max(end.min(PART)))?;
            let n_found = list.found.len();
            let shows_more = n_before < end && n_before < n_found;
            // The count on its way: not after each part, whose rows are read with it.
            is_news = list.next == Next::Nothing || shows_more || n_found >= 2 * list.n_told.max(end);
        }
        if self.is_answered && !is_news {
            return Ok(None);
        }
        let page = list.page(question)?;
        list.n_told = page.n_known;
        self.is_answered = true;
        Ok(Some(page))
    }
}

impl OpenList {
    fn open(store: CheckpointManager, question: &HistoryQuestion) -> Result<Self, StoreError> {
        let mark = store.history_mark()?;
        let trend = match &question.list.filter.pipeline {
            Some(pipeline) => {
                let filter = HistoryFilter { pipeline: Some(pipeline.clone()), ..HistoryFilter::default() };
                let newest = HistoryList { filter, ..HistoryList::default() };
                store.runs_in_rows(&store.history_part(&newest, &mark, None, MAX_TREND)?.rows)?
            }
            None => Vec::new(),
        };
        let grid = Arc::new(read_grid(&store, &trend, now().wall)?);
        Ok(Self {
            serial: question.serial,
            mark,
            trend,
            grid,
            pipelines: store.pipelines_with_runs()?,
            found: Vec::new(),
            n_told: 0,
            next: Next::Part { after: None, n: FIRST_PART },
            store,
        })
    }

    fn read_part(
        &mut self,
        list: &HistoryList,
        after: Option<HistoryPlace>,
        n: usize,
    ) -> Result<(), StoreError> {
        let HistoryPart { rows, last } = self.store.history_part(list, &self.mark, after, n)?;
        self.found.extend(rows);
        self.next = match last {
            Some(_) => Next::Part { after: last, n: (4 * n).min(PART) },
            None => Next::Nothing,
        };
        Ok(())
    }

    /// The rows that are asked for, as far as they are known.
    fn page(&self, question: &HistoryQuestion) -> Result<HistoryPage, StoreError> {
        let Range { start, end } = question.rows;
        let n_known = self.found.len();
        let rows = &self.found[start.min(n_known)..end.min(n_known)];
        Ok(HistoryPage {
            serial: self.serial,
            offset: start,
            runs: self.store.runs_in_rows(rows)?,
            n_known,
            is_whole: self.next == Next::Nothing,
            pipelines: self.pipelines.clone(),
            trend: self.trend.clone(),
            grid: self.grid.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::RunId;
    use crate::run::RunState;
    use crate::store::ExecutionRecord;
    use chrono::{DateTime, TimeDelta};

    /// A store of `n` runs, each started a second after and working a second less than the one before.
    fn store(n: i64) -> CheckpointManager {
        let store = CheckpointManager::in_memory().unwrap();
        let writes: Vec<_> = (0..n)
            .map(|i| {
                let started_at = DateTime::from_timestamp(1_795_399_200 + i, 0).unwrap();
                crate::store::RunWrite::Execution(Box::new(ExecutionRecord {
                    run_id: RunId::new(format!("r{i}")).unwrap(),
                    pipeline_id: PipelineId::new("nightly").unwrap(),
                    source: "nightly".to_owned(),
                    state: if i % 10 == 0 { RunState::Failed } else { RunState::Completed },
                    started_at,
                    finished_at: Some(started_at + TimeDelta::seconds(n - i)),
                    progress: 1.0,
                    current_step: None,
                    error: (i == 3).then(|| "no such file".to_owned()),
                    metadata: None,
                }))
            })
            .collect();
        store.commit(&writes).unwrap();
        store
    }

    /// The pages that answer a question, one after another.
    fn pages(store: &CheckpointManager, list: HistoryList, rows: Range<usize>) -> Vec<HistoryPage> {
        let question = HistoryQuestion { list, serial: 1, rows };
        let list = OpenList::open(store.clone(), &question).unwrap();
        let mut reader = HistoryReader { list: Some(list), ..HistoryReader::default() };
        reader.ask(Some(question));
        let mut pages = Vec::new();
        while reader.has_work() {
            pages.extend(reader.read().unwrap());
        }
        pages
    }

    fn first(page: &HistoryPage) -> &str {
        page.runs[0].run_id.as_str()
    }

    #[test]
    fn rows_come_before_the_count() {
        let store = store(45_000);
        for (order, told) in [(HistoryOrder::Newest, "r44999"), (HistoryOrder::Longest, "r0")] {
            let list = HistoryList { order, ..HistoryList::default() };
            let pages = pages(&store, list, 0..10);
            assert_eq!((first(&pages[0]), pages[0].n_known, pages[0].is_whole), (told, FIRST_PART, false));
            let last = pages.last().unwrap();
            assert_eq!((first(last), last.n_known, last.is_whole), (told, 45_000, true));
            assert!(pages.is_sorted_by_key(|page| page.n_known) && pages.len() < 10, "{}", pages.len());
        }
    }

    #[test]
    fn rows_far_down_are_there_once_they_are_found() {
        let list = HistoryList { order: HistoryOrder::Longest, ..HistoryList::default() };
        let pages = pages(&store(45_000), list, 40_000..40_003);
        let last = pages.last().unwrap();
        let names: Vec<_> = last.runs.iter().map(|run| run.run_id.as_str()).collect();
        assert_eq!((names, last.is_whole), (vec!["r40000", "r40001", "r40002"], true));
    }

    #[test]
    fn what_a_search_has_found_is_shown_before_it_is_over() {
        let store = store(45_000);
        let found = |text: &str, rows| {
            let filter = HistoryFilter { text: text.to_owned(), ..HistoryFilter::default() };
            pages(&store, HistoryList { filter, ..HistoryList::default() }, rows)
        };
        let many = found("r4", 0..2000);
        assert!(many.len() > 1 && !many[0].is_whole, "{} pages", many.len());
        assert_eq!(first(&many[0]), "r44999");
        let last = many.last().unwrap();
        assert_eq!((last.n_known, last.is_whole, last.runs.len()), (5000 + 1111, true, 2000));
        let one = found("no such", 0..50);
        assert_eq!(one.last().map(|page| (page.n_known, first(page))), Some((1, "r3")));
    }
}

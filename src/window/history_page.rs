//! The list of ended runs as the window shows it: a question for the visible rows, and [`HistoryReader`], which answers
//! it from the database. A list that has no index is searched in parts, and other lookups are answered between them.

use std::ops::Range;
use std::sync::Arc;

use super::run_grid::{RunGrid, read_grid};
use crate::api::Error;
use crate::backend::Backend;
use crate::base::id::PipelineId;
use crate::engine::{EngineError, now};
use crate::run::RunSummary;
pub use crate::store::HistoryFilter;
use crate::store::{CheckpointManager, HistoryKey, HistoryMark, StoreError};

/// How many runs the trend of a pipeline shows.
pub const MAX_TREND: usize = 30;

/// The order of the list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HistoryOrder {
    /// The latest start first.
    #[default]
    Newest,
    /// The longest run first.
    Longest,
}

/// Which runs, in which order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistoryList {
    pub filter: HistoryFilter,
    pub order: HistoryOrder,
}

impl HistoryList {
    /// Whether any row is found by its number in an index.
    fn is_indexed(&self) -> bool {
        self.filter.text.is_empty() && self.order == HistoryOrder::Newest
    }
}

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
    rows: Rows,
}

enum Rows {
    /// In the database, by number.
    Indexed {
        total: Option<usize>,
    },
    Searched {
        found: Vec<HistoryKey>,
        next: Next,
    },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Newest,
    From(i64),
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
        let is_known = |list: &OpenList| match &list.rows {
            Rows::Indexed { total } => total.is_some(),
            Rows::Searched { next, .. } => *next == Next::Nothing,
        };
        self.question.is_some() && !(self.is_answered && self.list.as_ref().is_some_and(is_known))
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
        let HistoryQuestion { list: HistoryList { filter, order }, rows, .. } = question;
        match &mut list.rows {
            Rows::Indexed { total: total @ None } if self.is_answered => {
                *total = Some(list.store.count_history(filter, &list.mark)?);
            }
            Rows::Indexed { .. } => {}
            Rows::Searched { next: Next::Nothing, .. } if self.is_answered => return Ok(None),
            Rows::Searched { next: Next::Nothing, .. } => {}
            Rows::Searched { found, next } => {
                let n_before = found.len();
                let from = if let Next::From(from) = next { Some(*from) } else { None };
                let part = list.store.history_part(filter, &list.mark, from)?;
                *next = part.next.map_or(Next::Nothing, Next::From);
                found.extend(part.found);
                let is_over = *next == Next::Nothing;
                if *order == HistoryOrder::Longest {
                    if !is_over {
                        return Ok(None);
                    }
                    // Stable: of equally long ones the newest is first.
                    found.sort_by_key(|key| std::cmp::Reverse(key.took_ms));
                }
                let is_news = is_over || n_before < rows.end && n_before < found.len();
                if self.is_answered && !is_news {
                    return Ok(None);
                }
            }
        }
        let page = list.page(question)?;
        self.is_answered = true;
        Ok(Some(page))
    }
}

impl OpenList {
    fn open(store: CheckpointManager, question: &HistoryQuestion) -> Result<Self, StoreError> {
        let rows = match question.list.is_indexed() {
            true => Rows::Indexed { total: None },
            false => Rows::Searched { found: Vec::new(), next: Next::Newest },
        };
        let mark = store.history_mark()?;
        let trend = match &question.list.filter.pipeline {
            Some(pipeline) => {
                let all = HistoryFilter { pipeline: Some(pipeline.clone()), ..HistoryFilter::default() };
                store.runs_in_rows(&store.history_rows(&all, &mark, 0, MAX_TREND)?)?
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
            rows,
            store,
        })
    }

    /// The rows that are asked for, as far as they are known.
    fn page(&self, question: &HistoryQuestion) -> Result<HistoryPage, StoreError> {
        let Range { start, end } = question.rows;
        let (rows, n_known, is_whole) = match &self.rows {
            Rows::Indexed { total } => {
                let limit = end.saturating_sub(start);
                let rows = self.store.history_rows(&question.list.filter, &self.mark, start, limit)?;
                let n_known = total.unwrap_or(start + rows.len());
                (rows, n_known, total.is_some())
            }
            Rows::Searched { found, next } => {
                let shown = &found[start.min(found.len())..end.min(found.len())];
                (shown.iter().map(|key| key.row).collect(), found.len(), *next == Next::Nothing)
            }
        };
        Ok(HistoryPage {
            serial: self.serial,
            offset: start,
            runs: self.store.runs_in_rows(&rows)?,
            n_known,
            is_whole,
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
        let pages = pages(&store(1000), HistoryList::default(), 500..510);
        let told: Vec<_> = pages.iter().map(|page| (first(page), page.n_known, page.is_whole)).collect();
        assert_eq!(told, [("r499", 510, false), ("r499", 1000, true)]);
    }

    #[test]
    fn the_longest_come_first_once_all_are_known() {
        let list = HistoryList { order: HistoryOrder::Longest, ..HistoryList::default() };
        let pages = pages(&store(1000), list, 2..5);
        let told: Vec<_> = pages.iter().map(|page| (first(page), page.n_known, page.is_whole)).collect();
        assert_eq!(told, [("r2", 1000, true)]);
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

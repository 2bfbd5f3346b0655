//! The rows of the first page: their order, their groups, and which of them keep their place because the pointer is over
//! them.

use std::cmp::{Ordering, Reverse};
use std::collections::HashSet;

use chrono::{DateTime, Utc};
use egui::Rect;

use crate::base::id::{PipelineId, RunId};
use crate::window::{AppStore, Left, NowGroups, NowOrder, RunEntry, left_of};

/// The most ended runs that are listed; History has all.
const MAX_ENDED: usize = 30;

/// A part of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Running,
    Waiting,
    /// Runs that have ended.
    Recent,
}

/// One row of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NowRow {
    /// The head of a section.
    Section(Section),
    /// The head of a group, with the number of its runs.
    Group(String, usize),
    Run(Section, RunId),
}

/// The page of living runs.
#[derive(Debug)]
pub(super) struct NowPage {
    pub(super) order: NowOrder,
    pub(super) groups: NowGroups,
    rows: Vec<NowRow>,
    /// Living runs that are not among the rows, because these keep their places.
    n_new: usize,
    /// The next frame orders the rows anew, wherever the pointer is.
    lets_go: bool,
    /// The operator has started something: the next new rows are shown at once.
    awaits_new: bool,
    /// The rows were ordered when the living runs were known. Before that none keeps its place.
    is_settled: bool,
    /// Where the rows were painted last.
    pub(super) place: Rect,
    /// How far they are scrolled.
    pub(super) offset: f32,
    /// How high the visible part was.
    pub(super) height: f32,
    /// The selected run whose row was made visible.
    pub(super) revealed: Option<RunId>,
    /// The pipelines of the runs whose rows were painted.
    pub(super) seen: Vec<PipelineId>,
}

impl Default for NowPage {
    fn default() -> Self {
        Self {
            order: NowOrder::default(),
            groups: NowGroups::default(),
            rows: Vec::new(),
            n_new: 0,
            lets_go: false,
            awaits_new: false,
            is_settled: false,
            place: Rect::NOTHING,
            offset: 0.0,
            height: 0.0,
            revealed: None,
            seen: Vec::new(),
        }
    }
}

impl NowPage {
    pub(super) fn rows(&self) -> &[NowRow] {
        &self.rows
    }

    pub(super) fn n_new(&self) -> usize {
        self.n_new
    }

    /// The runs in the order of their rows.
    pub(super) fn run_ids(&self) -> impl Iterator<Item = &RunId> {
        self.rows.iter().filter_map(|row| match row {
            NowRow::Run(_, run_id) => Some(run_id),
            NowRow::Section(..) | NowRow::Group(..) => None,
        })
    }

    /// Orders the rows anew in the next frame, even under the pointer.
    pub(super) fn let_go(&mut self) {
        self.lets_go = true;
    }

    /// The operator has started something, which shows as soon as it is there, even under the pointer.
    pub(super) fn await_new(&mut self) {
        self.awaits_new = true;
    }

    /// The pipelines about which more must be known: those of visible rows, or of all if the order depends on it.
    pub(super) fn wanted_estimates(&self, store: &AppStore) -> Vec<PipelineId> {
        if self.order == NowOrder::Left || self.groups == NowGroups::Group {
            store.living().map(|entry| entry.run.pipeline_id.clone()).collect()
        } else {
            self.seen.clone()
        }
    }

    /// Puts the rows in order. While `is_pointed_at`, each keeps its place, even that of a run that ends; new ones are
    /// only counted.
    pub(super) fn arrange(&mut self, store: &AppStore, is_pointed_at: bool, now: DateTime<Utc>) {
        let lets_go = std::mem::take(&mut self.lets_go);
        if is_pointed_at && !lets_go && self.is_settled && !self.rows.is_empty() {
            self.rows.retain(|row| match row {
                NowRow::Run(_, run_id) => store.run(run_id).is_some(),
                NowRow::Section(..) | NowRow::Group(..) => true,
            });
            let held: HashSet<RunId> = self.run_ids().cloned().collect();
            self.n_new = store.living().filter(|entry| !held.contains(&entry.run.run_id)).count();
            if self.n_new == 0 || !self.awaits_new {
                if !self.rows.iter().any(|row| matches!(row, NowRow::Section(Section::Recent))) {
                    // Below all others it moves none.
                    push_recent(&mut self.rows, store, &held);
                }
                return;
            }
        }
        (self.n_new, self.awaits_new, self.is_settled) = (0, false, store.is_loaded());
        let mut rows = std::mem::take(&mut self.rows);
        rows.clear();
        let (waiting, running): (Vec<&RunEntry>, Vec<&RunEntry>) =
            store.living().partition(|entry| entry.is_waiting());
        for (section, mut runs) in [(Section::Running, running), (Section::Waiting, waiting)] {
            if runs.is_empty() {
                continue;
            }
            self.sort(store, &mut runs, now);
            rows.push(NowRow::Section(section));
            if self.groups == NowGroups::None {
                rows.extend(runs.iter().map(|entry| NowRow::Run(section, entry.run.run_id.clone())));
                continue;
            }
            for group in runs.chunk_by(|a, b| self.group_of(store, a) == self.group_of(store, b)) {
                let name = self.group_of(store, group[0]).unwrap_or("no group").to_owned();
                rows.push(NowRow::Group(name, group.len()));
                rows.extend(group.iter().map(|entry| NowRow::Run(section, entry.run.run_id.clone())));
            }
        }
        push_recent(&mut rows, store, &HashSet::new());
        self.rows = rows;
    }

    /// Sorts runs, of one group after the other. Equal ones stay in the order of their start. What changes all the time
    /// is compared roughly, so that rows seldom change places.
    fn sort(&self, store: &AppStore, runs: &mut [&RunEntry], now: DateTime<Utc>) {
        let last_usage = |entry: &RunEntry| entry.usage().back().map(|it| (it.cpu_fraction, it.memory_bytes));
        match self.order {
            NowOrder::Started => {}
            NowOrder::Name => runs.sort_by(|a, b| a.run.pipeline_id.cmp(&b.run.pipeline_id)),
            NowOrder::Progress => runs.sort_by_key(|entry| Reverse((entry.run.progress * 100.0) as i64)),
            NowOrder::Left => runs.sort_by_cached_key(|entry| {
                match left_of(entry, store.estimate(&entry.run.pipeline_id), now) {
                    Some(Left::Over(_)) => (0, 0),
                    Some(Left::About(left)) if left.num_minutes() > 0 => (1, left.num_minutes()),
                    Some(Left::About(left)) => (0, left.num_seconds() / 10 + 1),
                    None => (2, 0),
                }
            }),
            NowOrder::Cpu => runs.sort_by_key(|entry| {
                Reverse(last_usage(entry).map_or(-1, |(cpu, _)| (cpu * 20.0).round() as i64))
            }),
            NowOrder::Memory => runs.sort_by_key(|entry| {
                Reverse(
                    last_usage(entry).map_or(-1, |(_, bytes)| (bytes >> 24).try_into().unwrap_or(i64::MAX)),
                )
            }),
        }
        if self.groups != NowGroups::None {
            // Those without a group are last.
            runs.sort_by(|a, b| match (self.group_of(store, a), self.group_of(store, b)) {
                (Some(a), Some(b)) => a.cmp(b),
                (None, None) => Ordering::Equal,
                (a, b) => b.is_some().cmp(&a.is_some()),
            });
        }
    }

    fn group_of<'a>(&self, store: &'a AppStore, entry: &'a RunEntry) -> Option<&'a str> {
        match self.groups {
            NowGroups::None => None,
            NowGroups::Pipeline => Some(entry.run.pipeline_id.as_str()),
            NowGroups::Group => store.estimate(&entry.run.pipeline_id)?.group.as_deref(),
        }
    }
}

/// Adds the runs that have ended, without those that have a row already.
fn push_recent(rows: &mut Vec<NowRow>, store: &AppStore, held: &HashSet<RunId>) {
    let ended = store.recent().map(|entry| &entry.run.run_id).filter(|run_id| !held.contains(*run_id));
    let mut ended = ended.take(MAX_ENDED).peekable();
    if ended.peek().is_some() {
        rows.push(NowRow::Section(Section::Recent));
        rows.extend(ended.map(|run_id| NowRow::Run(Section::Recent, run_id.clone())));
    }
}

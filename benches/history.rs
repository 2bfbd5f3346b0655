//! How long the window waits for rows of a history of 1,000,000 runs, from the question to the answer, and what a frame of
//! that page costs: its own CPU time, without the driver.
//!
//! `cargo bench --bench history` prints a table. `LEVERFRAME_HISTORY=DIR` keeps the data directory there and uses it
//! again.
#![expect(clippy::expect_used, reason = "a benchmark that fails panics")]

#[expect(dead_code, reason = "a benchmark uses what it needs of it")]
mod support;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::path::Path;

use chrono::{DateTime, TimeDelta, Utc};
use egui::{Key, Modifiers};
use leverframe::run::RunState;
use leverframe::store::{CheckpointManager, ExecutionRecord, RunWrite};
use leverframe::window::{
    Action, AppUpdate, HistoryFilter, HistoryList, HistoryOrder, HistoryPage, HistoryQuestion,
};
use leverframe::{PipelineId, RunId};
use support::desk::Desk;
use support::window::scrolling_frames;
use support::{Goal, Table, bench, ms, no_child, seconds};

const N_RUNS: usize = 1_000_000;
const N_PIPELINES: usize = 40;
const N_ROUNDS: usize = 3;
const ROWS: f64 = 0.050;
const FRAME: f64 = 0.003;

/// Everything is kept.
const SETTINGS: &str = "[retention]\nruns = \"3650d\"\nruns_per_pipeline = 2000000\n";

fn main() {
    bench("history: 1,000,000 runs of 40 pipelines", measure, no_child);
}

fn measure(table: &mut Table) {
    let scratch = tempfile::tempdir().expect("a directory");
    let kept = std::env::var_os("LEVERFRAME_HISTORY");
    let dir = kept.as_deref().map_or(scratch.path(), Path::new);
    fill(dir);
    let mut lists = Lists { desk: Desk::open(dir), serial: 0, is_whole: false };
    lists.measure(table);
    lists.desk.close();
    table.frames("a frame while it scrolls", &scroll(dir), Goal::AtMost(FRAME));
}

/// Records the runs: few pipelines have most of them, most complete, and each pipeline has its own length.
fn fill(dir: &Path) {
    if dir.join("checkpoints.db").exists() {
        return;
    }
    std::fs::create_dir_all(dir.join("pipelines")).expect("a folder");
    std::fs::write(dir.join("settings.toml"), SETTINGS).expect("the settings");
    let store = CheckpointManager::open(dir.join("checkpoints.db")).expect("a store");
    let begun_at: DateTime<Utc> = "2025-11-01T00:00:00Z".parse().expect("an instant");
    for first in (0..N_RUNS).step_by(5000) {
        let runs = (first..first + 5000).map(|n| RunWrite::Execution(Box::new(ended(n, begun_at))));
        store.commit(&runs.collect::<Vec<_>>()).expect("filled");
    }
}

fn ended(n: usize, begun_at: DateTime<Utc>) -> ExecutionRecord {
    // Any fixed sequence without a visible order.
    let dice = |salt: usize, sides: usize| {
        let mut hasher = DefaultHasher::new();
        (n, salt).hash(&mut hasher);
        (hasher.finish() % sides as u64) as usize
    };
    let pipeline = dice(1, N_PIPELINES).min(dice(2, N_PIPELINES)).min(dice(3, N_PIPELINES));
    let state = match dice(4, 1000) {
        0 => RunState::ForceStopped,
        1..10 => RunState::Interrupted,
        10..20 => RunState::Stopped,
        20..100 => RunState::Failed,
        _ => RunState::Completed,
    };
    let started_at = begun_at + TimeDelta::seconds(30 * n as i64);
    let took = TimeDelta::milliseconds((dice(5, 60_000) + 20_000 * pipeline) as i64);
    let source = pipeline_id(pipeline).to_string();
    ExecutionRecord {
        run_id: RunId::new(format!("{source}-{}", started_at.format("%Y%m%d%H%M%S"))).expect("an id"),
        pipeline_id: pipeline_id(pipeline),
        source,
        state,
        started_at,
        finished_at: Some(started_at + took),
        progress: 1.0,
        current_step: Some("load".to_owned()),
        error: (state == RunState::Failed).then(|| format!("step load failed: exit {}", dice(6, 99))),
        metadata: None,
    }
}

fn pipeline_id(n: usize) -> PipelineId {
    PipelineId::new(format!("pipeline{n:02}")).expect("an id")
}

/// The lists of an engine that has the runs.
struct Lists {
    desk: Desk,
    serial: u64,
    /// Whether the last page said that its list is known whole.
    is_whole: bool,
}

impl Lists {
    fn measure(&mut self, table: &mut Table) {
        let all = HistoryFilter::default;
        let longest = |filter| HistoryList { filter, order: HistoryOrder::Longest };
        let newest = |filter| HistoryList { filter, order: HistoryOrder::Newest };
        let (busy, rare) = (Some(pipeline_id(0)), Some(pipeline_id(N_PIPELINES - 1)));
        let (failed, forced) = (Some(RunState::Failed), Some(RunState::ForceStopped));
        let since = "2026-10-01T00:00:00Z".parse().ok();
        let lists = [
            ("all", newest(all())),
            ("all, the longest first", longest(all())),
            ("a busy pipeline", newest(HistoryFilter { pipeline: busy.clone(), ..all() })),
            (
                "a rare pipeline, the longest first",
                longest(HistoryFilter { pipeline: rare.clone(), ..all() }),
            ),
            ("a rare state", newest(HistoryFilter { state: forced, ..all() })),
            (
                "a rare state of a busy pipeline",
                newest(HistoryFilter { pipeline: busy.clone(), state: forced, ..all() }),
            ),
            (
                "what failed in a rare pipeline",
                newest(HistoryFilter { pipeline: rare, state: failed, ..all() }),
            ),
            (
                "what failed in a busy pipeline, the longest first",
                longest(HistoryFilter { pipeline: busy, state: failed, ..all() }),
            ),
            ("since October, the longest first", longest(HistoryFilter { since, ..all() })),
            ("a text that many have", newest(HistoryFilter { text: "exit 12".into(), ..all() })),
        ];
        for (what, list) in lists {
            let (mut first, mut whole, mut deep) = (Vec::new(), Vec::new(), Vec::new());
            for _ in 0..N_ROUNDS {
                self.begin();
                first.push(self.rows(&list, 0..90));
                whole.push(self.until_whole());
                deep.push(self.rows(&list, 600_000..600_090));
            }
            table.value(&format!("{what}: first rows"), &first, ms, Goal::AtMost(ROWS));
            table.value(&format!("{what}: until all are counted, from there"), &whole, ms, Goal::None);
            table.value(&format!("{what}: the page at 600,000"), &deep, ms, Goal::AtMost(ROWS));
        }
        let nowhere = newest(HistoryFilter { text: "no such text".into(), ..all() });
        let whole: Vec<f64> = (0..3)
            .map(|_| {
                self.begin();
                self.ask(&nowhere, 0..90);
                self.until_whole()
            })
            .collect();
        table.value("a text that none has: until all are looked through", &whole, ms, Goal::None);
    }

    /// From now on another list is asked for.
    fn begin(&mut self) {
        self.serial += 1;
        self.is_whole = false;
    }

    fn ask(&self, list: &HistoryList, rows: Range<usize>) {
        let question = HistoryQuestion { list: list.clone(), serial: self.serial, rows };
        self.desk.act(Action::LoadRuns(Some(Box::new(question))));
    }

    /// Seconds from a question to its answer.
    fn rows(&mut self, list: &HistoryList, rows: Range<usize>) -> f64 {
        let start = rows.start;
        seconds(|| {
            self.ask(list, rows);
            self.wait(|page| page.offset == start);
        })
    }

    /// Seconds until the list is known whole.
    fn until_whole(&mut self) -> f64 {
        seconds(|| {
            while !self.is_whole {
                self.wait(|_| true);
            }
        })
    }

    /// Waits for a page of the present list.
    fn wait(&mut self, is_it: impl Fn(&HistoryPage) -> bool) {
        let serial = self.serial;
        self.is_whole = self.desk.wait(|update| {
            if let AppUpdate::Runs(page) = update
                && page.serial == serial
                && is_it(&page)
            {
                return Some(page.is_whole);
            }
            None
        });
    }
}

/// The CPU time of frames of the list, with the engine behind it, while the wheel turns; in seconds.
fn scroll(dir: &Path) -> Vec<f64> {
    scrolling_frames(dir, &[(Modifiers::COMMAND, Key::Num2)], "pipeline")
}

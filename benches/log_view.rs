//! How long the window waits for a log of 10,000,000 lines, what it holds of it, and what a frame costs while it scrolls.
//!
//! `cargo bench --bench log_view` prints a table.
#![expect(clippy::expect_used, reason = "a benchmark that fails panics")]

#[expect(dead_code, reason = "a benchmark uses what it needs of it")]
mod support;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use chrono::Utc;
use egui::{Key, Modifiers};
use leverframe::base::id::{AttemptKey, RunId};
use leverframe::engine::ShutdownKind;
use leverframe::run::log_path;
use leverframe::window::{Action, AppUpdate, LogAnswer, LogOf, LogQuestion};
use support::desk::Desk;
use support::process::memory;
use support::runs::{engine, run_to_the_end, step_id, trues};
use support::window::scrolling_frames;
use support::{Goal, Table, bench, mib, ms, no_child, seconds};

const N_LINES: u64 = 10_000_000;
/// Lines of this many bytes are 1 GiB.
const LINE: usize = 107;
const N_ROUNDS: usize = 5;
const N_PAGES: u64 = 200;
const FRAME: f64 = 0.003;

fn main() {
    bench("log: 10,000,000 lines, 1 GiB", measure, no_child);
}

fn measure(table: &mut Table) {
    let dir = tempfile::tempdir().expect("a directory");
    let run_id = run_one_step(dir.path());
    let key = AttemptKey { run_id, step_id: step_id("step-0"), attempt: 1 };
    write_log(&dir.path().join(log_path(&key.run_id, &key.step_id, key.attempt)));
    let log = Log { desk: Desk::open(dir.path()) };
    let (mut first, mut search, mut whole) = (Vec::new(), Vec::new(), Vec::new());
    let mut pages = Vec::new();
    for _ in 0..N_ROUNDS {
        let of = LogOf::from(key.clone());
        first.push(seconds(|| {
            log.desk.act(Action::OpenLog(Some(of.clone())));
            let extent =
                log.wait(|answer| if let LogAnswer::Extent(extent) = answer { Some(extent) } else { None });
            log.rows(extent.n_lines.saturating_sub(60)..extent.n_lines);
        }));
        whole.push(seconds(|| log.until_indexed()));
        pages.extend((0..N_PAGES).map(|n| {
            let line = n * (N_LINES / N_PAGES);
            seconds(|| log.rows(line..line + 60))
        }));
        search.push(seconds(|| log.search("page 9999999 ")));
    }
    pages.sort_unstable_by(f64::total_cmp);
    table.value("first screen, its end", &first, ms, Goal::AtMost(0.1));
    table.value("until all lines are counted, from there", &whole, ms, Goal::None);
    table.value("a screen anywhere, 99 %, at most", &[pages[pages.len() * 99 / 100]], ms, Goal::None);
    table.value("a text at its end is found, and all is searched", &search, ms, Goal::AtMost(1.0));
    table.value(
        "memory of the engine and the log",
        &[memory(std::process::id(), "VmRSS")],
        mib,
        Goal::AtMost(200.0 * 1_048_576.0),
    );
    log.desk.close();
    table.frames("a frame while it scrolls", &scroll(dir.path()), Goal::AtMost(FRAME));
}

/// A run of one step that has ended.
fn run_one_step(dir: &Path) -> RunId {
    let engine = engine(dir);
    let run_id = run_to_the_end(&engine, &engine.subscribe(), &trues(1, "", ""));
    engine.shutdown(ShutdownKind::LeaveSteps).expect("it ends");
    run_id
}

/// The CPU time of frames of the open log, with the engine behind it, while the wheel turns; in seconds.
fn scroll(dir: &Path) -> Vec<f64> {
    // The history, its first run, that run's page, the log of its step, its beginning.
    let keys = [
        (Modifiers::COMMAND, Key::Num2),
        (Modifiers::NONE, Key::ArrowDown),
        (Modifiers::NONE, Key::Enter),
        (Modifiers::NONE, Key::ArrowDown),
        (Modifiers::NONE, Key::Enter),
        (Modifiers::COMMAND, Key::Home),
    ];
    scrolling_frames(dir, &keys, "of the list of prices was read")
}

fn write_log(path: &Path) {
    let mut log = BufWriter::with_capacity(1 << 20, File::create(path).expect("a file"));
    for n in 0..N_LINES {
        let text = format!("{} page {n} of the list of prices was read", Utc::now().format("%H:%M:%S%.3f"));
        writeln!(log, "{text:.<width$}", width = LINE - 1).expect("room");
    }
}

/// The window's end of an engine whose log is open.
struct Log {
    desk: Desk,
}

impl Log {
    /// Reads these lines.
    fn rows(&self, lines: std::ops::Range<u64>) {
        let n_lines = (lines.end - lines.start) as usize;
        self.desk.act(Action::AskLog(LogQuestion::Rows(lines)));
        let n_read =
            self.wait(|answer| if let LogAnswer::Rows(rows) = answer { Some(rows.rows.len()) } else { None });
        assert_eq!(n_read, n_lines, "all are read");
    }

    fn until_indexed(&self) {
        self.wait(|answer| {
            if let LogAnswer::Extent(extent) = answer { extent.is_exact().then_some(()) } else { None }
        });
    }

    /// Searches the whole log.
    fn search(&self, text: &str) {
        self.desk.act(Action::AskLog(LogQuestion::Search(text.to_owned())));
        let n_hits = self.wait(|answer| {
            if let LogAnswer::Found(found) = answer { found.is_whole.then_some(found.n_hits) } else { None }
        });
        assert_eq!(n_hits, 1);
    }

    /// Waits for an answer of the open log.
    fn wait<T>(&self, is_it: impl Fn(LogAnswer) -> Option<T>) -> T {
        self.desk.wait(|update| if let AppUpdate::Log { answer, .. } = update { is_it(answer) } else { None })
    }
}

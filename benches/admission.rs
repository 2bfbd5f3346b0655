//! What a line of waiting runs costs those that run: runs of one trivial step at one place, one after another, with a
//! thousand others behind them, beside none.
//!
//! `cargo bench --no-default-features --bench admission` prints a table.
#![expect(clippy::expect_used, reason = "a benchmark that fails panics")]

#[expect(dead_code, reason = "a benchmark uses what it needs of it")]
mod support;

use std::path::Path;
use std::time::Duration;

use leverframe::CoreExecutionEngine;
use leverframe::admission::AdmissionPolicy;
use leverframe::engine::{EngineOptions, HostStart, Subscription};
use leverframe::run::Plan;
use support::runs::{run_id, trues};
use support::{Goal, bench, ms, no_child, seconds};

const N_WAITING: usize = 1000;
/// How many go before them, for each round.
const N_AHEAD: usize = 40;
const N_ROUNDS: usize = 9;
/// How the names of those begin that wait.
const BEHIND: &str = "behind";

fn main() {
    bench("admission: runs of one step /bin/true at one place, one after another", measure, no_child);
}

fn measure(table: &mut support::Table) {
    let dir = tempfile::tempdir().expect("a directory");
    let long = Line::new(&dir.path().join("long"), N_WAITING);
    let empty = Line::new(&dir.path().join("empty"), 0);
    let rounds: Vec<(f64, f64)> =
        (0..N_ROUNDS).map(|round| (long.a_run(round), empty.a_run(round))).collect();
    table.ratio("a run before 1,000 that wait, beside before none", &rounds, ms, Goal::AtMost(2.0));
}

/// An engine of one place, which is drained but while it is measured.
struct Line {
    engine: CoreExecutionEngine,
    events: Subscription,
}

impl Line {
    fn new(data_dir: &Path, n_waiting: usize) -> Self {
        let admission = AdmissionPolicy {
            max_concurrent_runs: Some(1),
            // Nobody rises above those that are to go first.
            ageing: Duration::from_secs(86_400),
            ..AdmissionPolicy::default()
        };
        let options = EngineOptions { host_start: HostStart::AtOnce, admission, ..EngineOptions::default() };
        let engine = CoreExecutionEngine::open(data_dir, options).expect("the engine opens");
        let line = Self { events: engine.subscribe(), engine };
        line.engine.begin_drain().expect("it drains");
        line.start(BEHIND, n_waiting, 0);
        line
    }

    fn start(&self, round: &str, n: usize, priority: u8) {
        let pipeline = trues(1, "", "");
        for i in 0..n {
            let request = Plan::new(pipeline.clone(), Default::default());
            let run_id = Some(run_id(format!("{round}-{i}")));
            let request = Plan { run_id, priority: Some(priority), ..request };
            self.engine.start_pipeline(request).expect("it stands in line");
        }
    }

    /// How long a run takes from the end of the one before it to its own, in seconds.
    fn a_run(&self, round: usize) -> f64 {
        self.start(&format!("ahead-{round}"), N_AHEAD, 9);
        self.engine.end_drain().expect("they start");
        self.hear_ends(1);
        let took = seconds(|| self.hear_ends(N_AHEAD - 1));
        self.engine.begin_drain().expect("it drains");
        took / (N_AHEAD - 1) as f64
    }

    fn hear_ends(&self, n: usize) {
        let mut n_left = n;
        while n_left > 0 {
            let event = self.events.recv().expect("the engine lives");
            let ended = event.kind.run().filter(|run| run.state.is_ended());
            // Of those behind, some begin before it drains again.
            n_left -= usize::from(ended.is_some_and(|run| !run.run_id.as_str().starts_with(BEHIND)));
        }
    }
}

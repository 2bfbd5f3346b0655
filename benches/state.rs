//! What it costs to ask for a run's state with 10,000 runs known: living ones, which the engine answers from its
//! snapshot, and ended ones, which are read from disk; alone, and while other threads commit without a break.
//!
//! `cargo bench --no-default-features --bench state` prints a table.
#![expect(clippy::expect_used, reason = "a benchmark that fails panics")]

#[expect(dead_code, reason = "a benchmark uses what it needs of it")]
mod support;

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};

use leverframe::CoreExecutionEngine;
use leverframe::base::id::RunId;
use serde_json::json;
use support::runs::{driven, engine_without_steps, fill, old_run, run_id, step_id};
use support::{Goal, bench, no_child, seconds, us};

const N_RUNS: usize = 10_000;
const N_ASKED: usize = 20_000;
const N_ROUNDS: usize = 5;
const GOAL: f64 = 5e-6;

fn main() {
    bench("state: get_execution_state with 10,000 living and 10,000 ended runs", measure, no_child);
}

fn living_run(i: usize) -> RunId {
    run_id(format!("living-{i:06}"))
}

fn measure(table: &mut support::Table) {
    let dir = tempfile::tempdir().expect("a directory");
    let engine = engine_without_steps(dir.path());
    fill(engine.store(), N_RUNS);
    std::thread::scope(|scope| {
        for first in 0..16 {
            let engine = &engine;
            scope.spawn(move || {
                for i in (first..N_RUNS).step_by(16) {
                    engine.start_execution(driven(living_run(i))).expect("it starts");
                }
            });
        }
    });
    assert_eq!(engine.snapshot().runs.len(), N_RUNS);
    ask_all(table, &engine, "");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (run, step) = (living_run(1), step_id("fetch"));
            while !stop.load(Ordering::Relaxed) {
                engine.checkpoint(&run, &step, &json!(1)).expect("saved");
            }
        });
        ask_all(table, &engine, ", while another thread commits");
        stop.store(true, Ordering::Relaxed);
    });
}

fn ask_all(table: &mut support::Table, engine: &CoreExecutionEngine, when: &str) {
    for (what, name) in [("living", living_run as fn(usize) -> RunId), ("ended", old_run)] {
        let mut medians = Vec::new();
        let mut longest = Vec::new();
        for _ in 0..N_ROUNDS {
            let mut took = ask(engine, name);
            took.sort_unstable_by(f64::total_cmp);
            medians.push(took[took.len() / 2]);
            longest.push(took[took.len() * 99 / 100]);
        }
        table.value(&format!("{what}{when}, median"), &medians, us, Goal::AtMost(GOAL));
        table.value(&format!("{what}{when}, 99th of 100"), &longest, us, Goal::None);
    }
}

fn ask(engine: &CoreExecutionEngine, name: fn(usize) -> RunId) -> Vec<f64> {
    (0..N_ASKED)
        .map(|i| {
            let id = name(i * 7919 % N_RUNS);
            seconds(|| {
                black_box(engine.get_execution_state(&id).expect("read")).expect("there");
            })
        })
        .collect()
}

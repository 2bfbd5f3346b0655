//! What a checkpoint costs, as a ratio to the least that the machine allows: one fsynced SQLite commit of
//! one row over a connection of our own, measured in the same run, in turns with ours. Through the store, and through
//! the engine's `checkpoint()`.
//!
//! `cargo bench --no-default-features --bench checkpoint` prints a table.
#![expect(clippy::expect_used, reason = "a benchmark that fails panics")]

#[expect(dead_code, reason = "a benchmark uses what it needs of it")]
mod support;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use leverframe::CoreExecutionEngine;
use leverframe::base::id::{RunId, StepId};
use leverframe::store::CheckpointManager;
use serde_json::json;
use support::limits::RawCommit;
use support::runs::{driven, engine_without_steps, fill, old_run, run_id, step_id};
use support::{Goal, Table, bench, median, ms, no_child, per_second, seconds, us};

const N_CALLERS: usize = 16;
const N_ROWS: usize = 100_000;
const N_SINGLE: usize = 300;
const WINDOW: Duration = Duration::from_millis(400);
const N_ROUNDS: usize = 7;

fn main() {
    bench("checkpoint: beside one fsynced commit; many callers beside one", measure, no_child);
}

/// Something that saves checkpoints: which, and how, by a number that tells the calls apart.
type Save<'a> = (&'a str, &'a (dyn Fn(usize) + Sync));

fn measure(table: &mut Table) {
    let dir = tempfile::tempdir().expect("a directory");
    let engine = engine_without_steps(&dir.path().join("data"));
    let raw = RawCommit::open(dir.path());
    let runs: Vec<RunId> = (0..64).map(|i| run_id(format!("driven-{i}"))).collect();
    for run in &runs {
        engine.start_execution(driven(run.clone())).expect("it starts");
    }
    for (when, n_rows) in [("empty", 64), ("100,000 rows there", N_ROWS)] {
        fill(engine.store(), n_rows);
        let by_store = by_store(engine.store(), n_rows);
        let by_engine = by_engine(&engine, &runs, step_id("fetch"));
        let both: [Save<'_>; 2] = [("store", &by_store), ("engine", &by_engine)];
        one_caller(table, &raw, when, &both);
        many_callers(table, when, &both);
    }
    drop(engine);
    reading(table, &dir.path().join("data"));
}

fn by_store(store: &CheckpointManager, n_rows: usize) -> impl Fn(usize) + Sync {
    move |i| {
        let data = json!({ "page": i });
        store.save_checkpoint(old_run(i * 7919 % n_rows), "fetch", &data).expect("saved");
    }
}

fn by_engine(engine: &CoreExecutionEngine, runs: &[RunId], step: StepId) -> impl Fn(usize) + Sync {
    move |i| engine.checkpoint(&runs[i % runs.len()], &step, &json!({ "page": i })).expect("saved")
}

/// The median of the calls, beside the median of the commits between them.
fn one_caller(table: &mut Table, raw: &RawCommit, when: &str, saves: &[Save<'_>]) {
    let mut rounds = vec![Vec::new(); saves.len()];
    for _ in 0..N_ROUNDS {
        let mut took = vec![Vec::new(); saves.len()];
        let mut limit = Vec::new();
        for i in 0..N_SINGLE {
            for ((_, save), took) in saves.iter().zip(&mut took) {
                took.push(seconds(|| save(i)));
            }
            limit.push(raw.commit(i));
        }
        for (rounds, took) in rounds.iter_mut().zip(took) {
            rounds.push((median(&took), median(&limit)));
        }
    }
    for ((who, _), rounds) in saves.iter().zip(rounds) {
        table.ratio(&format!("{who}, {when}, one caller"), &rounds, us, Goal::AtMost(1.2));
    }
}

fn many_callers(table: &mut Table, when: &str, saves: &[Save<'_>]) {
    for (who, save) in saves {
        let rounds: Vec<(f64, f64)> =
            (0..N_ROUNDS).map(|_| (calls_a_second(save, N_CALLERS), calls_a_second(save, 1))).collect();
        let what = format!("{who}, {when}, {N_CALLERS} callers beside one");
        table.ratio(&what, &rounds, per_second, Goal::AtLeast(8.0));
    }
}

fn calls_a_second(save: &(dyn Fn(usize) + Sync), n_callers: usize) -> f64 {
    let n_done = AtomicU64::new(0);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for caller in 0..n_callers {
            let n_done = &n_done;
            scope.spawn(move || {
                let mut i = caller;
                while begun.elapsed() < WINDOW {
                    save(i);
                    i += n_callers;
                    n_done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    n_done.into_inner() as f64 / begun.elapsed().as_secs_f64()
}

/// What the store reads at a start of the engine, which depends on the runs that live alone.
fn reading(table: &mut Table, data_dir: &Path) {
    let took: Vec<f64> = (0..30)
        .map(|_| {
            seconds(|| {
                let store = CheckpointManager::open(data_dir.join("checkpoints.db")).expect("a store");
                assert!(store.load_living().expect("read").len() <= 64);
            })
        })
        .collect();
    table.value("open the store and read the living", &took, ms, Goal::AtMost(0.03));
}

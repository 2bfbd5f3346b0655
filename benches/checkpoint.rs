//! What a checkpoint costs, as a ratio to the least that the machine allows: one fsynced SQLite commit of
//! one row over a connection of our own, measured in the same run, in turns with ours.
//!
//! `cargo bench --no-default-features --bench checkpoint` prints a table. Set `TMPDIR` to measure another
//! disk.
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use leverframe::id::{PipelineId, RunId};
use leverframe::run::RunState;
use leverframe::store::{CheckpointManager, ExecutionRecord, Write};
use rusqlite::Connection;
use serde_json::json;

const N_CALLERS: usize = 16;
const N_ROWS: usize = 100_000;
const N_SINGLE: usize = 1500;
const WINDOW: Duration = Duration::from_millis(200);
const N_WINDOWS: usize = 15;

fn main() {
    // `cargo test --benches` and `cargo bench -- --list` only want to know that it starts.
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let store = CheckpointManager::open(dir.path().join("checkpoints.db")).expect("a store");
    let raw = RawCommit::open(&dir.path().join("raw.db"));
    println!("{:52} {:>10} {:>10} {:>7}", "", "ours", "limit", "ratio");
    let reading = [("empty", 0), ("100,000 rows there", N_ROWS)];
    for (name, n_rows) in reading {
        if n_rows > 0 {
            fill(&store, n_rows);
        }
        one_caller(&store, &raw, name, n_rows.max(64));
        many_callers(&store, name, n_rows.max(64));
    }
    get_state(&store);
    get_state_while_committing(&store);
    drop(store);
    start(dir.path());
}

/// The machine's own limit: one row, one transaction, one fsync, everything prepared.
struct RawCommit(Connection);

impl RawCommit {
    fn open(path: &Path) -> Self {
        let conn = Connection::open(path).expect("a database");
        conn.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             CREATE TABLE row (id INTEGER PRIMARY KEY, data TEXT NOT NULL)",
        )
        .expect("a table");
        Self(conn)
    }

    fn commit(&self, id: usize) {
        let run = |sql| self.0.prepare_cached(sql).expect("a statement");
        run("BEGIN IMMEDIATE").execute([]).expect("begin");
        // Another text each time: SQLite passes over a row that is written as it was, and then syncs nothing.
        run("INSERT INTO row VALUES (?1, ?2) ON CONFLICT DO UPDATE SET data = excluded.data")
            .execute((id as i64 % 64, format!("{{\"page\":{id}}}")))
            .expect("a row");
        run("COMMIT").execute([]).expect("commit");
    }
}

fn run_name(i: usize) -> String {
    format!("run-{i:06}")
}

/// Ended runs with a checkpoint each.
fn fill(store: &CheckpointManager, n: usize) {
    let started_at = "2026-11-23T02:00:00Z".parse().expect("an instant");
    for first in (0..n).step_by(5000) {
        let mut writes = Vec::new();
        for i in first..first + 5000 {
            let run_id = RunId::new(run_name(i)).expect("an id");
            writes.push(Write::Checkpoint {
                run_id: run_id.clone(),
                step_id: "fetch".to_owned(),
                data: json!({ "page": i }).to_string(),
                at: started_at,
            });
            writes.push(Write::Execution(Box::new(ExecutionRecord {
                run_id,
                pipeline_id: PipelineId::new("nightly").expect("an id"),
                source: "alfabeta".to_owned(),
                state: RunState::Completed,
                started_at: started_at + chrono::TimeDelta::seconds(i as i64),
                finished_at: Some(started_at + chrono::TimeDelta::seconds(i as i64 + 60)),
                progress: 1.0,
                current_step: Some("load".to_owned()),
                error: None,
                metadata: None,
            })));
        }
        store.commit(&writes).expect("filled");
    }
}

fn one_caller(store: &CheckpointManager, raw: &RawCommit, name: &str, n_rows: usize) {
    let (mut ours, mut limit) = (Vec::new(), Vec::new());
    for i in 0..N_SINGLE {
        let run = run_name(i * 7919 % n_rows);
        let data = json!({ "page": i });
        let begun = Instant::now();
        store.save_checkpoint(&run, "fetch", &data).expect("saved");
        ours.push(begun.elapsed());
        let begun = Instant::now();
        raw.commit(i);
        limit.push(begun.elapsed());
    }
    row(&format!("checkpoint, one caller, {name} (at most 1.2)"), median(ours), median(limit));
}

fn many_callers(store: &CheckpointManager, name: &str, n_rows: usize) {
    let (mut alone, mut together, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..N_WINDOWS {
        let one = commits_a_second(store, 1, n_rows);
        let many = commits_a_second(store, N_CALLERS, n_rows);
        // Each pair by itself: the speed of a disk may change tenfold between one second and the next.
        ratios.push(many / one);
        alone.push(one);
        together.push(many);
    }
    println!(
        "{:52} {:>8.0}/s {:>8.0}/s {:>6.2}x",
        format!("checkpoint, {N_CALLERS} callers, {name} (at least 8)"),
        middle(together),
        middle(alone),
        middle(ratios)
    );
}

fn commits_a_second(store: &CheckpointManager, n_callers: usize, n_rows: usize) -> f64 {
    let stop = AtomicBool::new(false);
    let n_done = AtomicU64::new(0);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for caller in 0..n_callers {
            let (stop, n_done) = (&stop, &n_done);
            scope.spawn(move || {
                let mut i = caller * 1009;
                while !stop.load(Ordering::Relaxed) {
                    i += 7919;
                    store
                        .save_checkpoint(run_name(i % n_rows), "fetch", &json!({ "page": i }))
                        .expect("saved");
                    n_done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        std::thread::sleep(WINDOW);
        stop.store(true, Ordering::Relaxed);
    });
    n_done.into_inner() as f64 / begun.elapsed().as_secs_f64()
}

fn get_state(store: &CheckpointManager) {
    let mut took = Vec::new();
    for i in 0..20_000 {
        let id = RunId::new(run_name(i * 7919 % N_ROWS)).expect("an id");
        let begun = Instant::now();
        std::hint::black_box(store.load_summary(&id).expect("read")).expect("there");
        took.push(begun.elapsed());
    }
    row("state of an ended run, read from disk (at most 10 µs)", median(took), Duration::from_micros(10));
}

/// Never behind a commit: the same while another thread commits without a break.
fn get_state_while_committing(store: &CheckpointManager) {
    let stop = Arc::new(AtomicBool::new(false));
    let committing = std::thread::spawn({
        let (store, stop) = (store.clone(), stop.clone());
        move || {
            while !stop.load(Ordering::Relaxed) {
                store.save_checkpoint("busy", "fetch", &json!(1)).expect("saved");
            }
        }
    });
    let mut took = Vec::new();
    for i in 0..5000 {
        let id = RunId::new(run_name(i * 7919 % N_ROWS)).expect("an id");
        let begun = Instant::now();
        std::hint::black_box(store.load_summary(&id).expect("read")).expect("there");
        took.push(begun.elapsed());
    }
    stop.store(true, Ordering::Relaxed);
    committing.join().expect("joined");
    row("the same while another thread commits", median(took), Duration::from_micros(10));
}

fn start(dir: &Path) {
    let mut took = Vec::new();
    for _ in 0..30 {
        let begun = Instant::now();
        let store = CheckpointManager::open(dir.join("checkpoints.db")).expect("a store");
        assert!(store.load_living().expect("read").is_empty());
        took.push(begun.elapsed());
    }
    row("open + living runs, 100,000 ended (at most 30 ms)", median(took), Duration::from_millis(30));
}

fn row(name: &str, ours: Duration, limit: Duration) {
    let us = |d: Duration| d.as_secs_f64() * 1e6;
    println!("{name:52} {:>7.1} µs {:>7.1} µs {:>6.2}x", us(ours), us(limit), us(ours) / us(limit));
}

fn median(mut all: Vec<Duration>) -> Duration {
    all.sort_unstable();
    all[all.len() / 2]
}

fn middle(mut all: Vec<f64>) -> f64 {
    all.sort_unstable_by(f64::total_cmp);
    all[all.len() / 2]
}

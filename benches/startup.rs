//! How long the engine takes to open with 100,000 finished runs in the database, and what that does to its memory
//! compared with none.
//!
//! `cargo bench --no-default-features --bench startup` prints a table.
#![expect(clippy::expect_used, reason = "a benchmark that fails panics")]

#[expect(dead_code, reason = "a benchmark uses what it needs of it")]
mod support;

use std::path::Path;

use leverframe::store::CheckpointManager;
use support::process::{Part, memory, say};
use support::runs::{engine, fill};
use support::{Goal, bench, mib, ms, seconds};

const N_RUNS: usize = 100_000;
const N_ROUNDS: usize = 15;

fn main() {
    bench("startup: opening the engine, its supervisor started with it", measure, |_, dir| open(dir));
}

fn measure(table: &mut support::Table) {
    let dir = tempfile::tempdir().expect("a directory");
    let (full, empty) = (dir.path().join("full"), dir.path().join("empty"));
    std::fs::create_dir(&full).expect("a folder");
    fill(&CheckpointManager::open(full.join("checkpoints.db")).expect("a store"), N_RUNS);
    let (mut took, mut memory) = (Vec::new(), Vec::new());
    for _ in 0..N_ROUNDS {
        let with = Part::start("open", &full).numbers();
        let without = Part::start("open", &empty).numbers();
        took.push((with[0], without[0]));
        memory.push((with[1], without[1]));
    }
    let with: Vec<f64> = took.iter().map(|(with, _)| *with).collect();
    table.value("with 100,000 finished runs", &with, ms, Goal::AtMost(0.1));
    table.ratio("beside an empty database", &took, ms, Goal::None);
    table.ratio("memory, beside an empty database", &memory, mib, Goal::AtMost(1.1));
}

/// The engine, in a process of its own.
fn open(data_dir: &Path) {
    let mut opened = None;
    let took = seconds(|| opened = Some(engine(data_dir)));
    say(&[took, memory(std::process::id(), "VmRSS")]);
    drop(opened);
}

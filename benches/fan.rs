//! How many of 500 independent steps `/bin/true` run a second at width 2, everything durable: beside two threads
//! that spawn and wait and record nothing.
//!
//! `cargo bench --no-default-features --bench fan` prints a table.
#![expect(clippy::expect_used, reason = "a benchmark that fails panics")]

#[expect(dead_code, reason = "a benchmark uses what it needs of it")]
mod support;

use support::limits::spawns_a_second_of_two;
use support::process::CpuMeter;
use support::runs::{engine, run_to_the_end, trues};
use support::{Goal, bench, no_child, per_second};

const N_STEPS: usize = 500;
const N_ROUNDS: usize = 9;

fn main() {
    bench("fan: 500 independent steps /bin/true, two at a time", measure, no_child);
}

fn measure(table: &mut support::Table) {
    let dir = tempfile::tempdir().expect("a directory");
    let engine = engine(&dir.path().join("data"));
    let events = engine.subscribe();
    let mut meter = CpuMeter::new(engine.data_dir().path());
    let pipeline = trues(N_STEPS, "max_parallel = 2", "needs = []");
    run_to_the_end(&engine, &events, &trues(20, "max_parallel = 2", "needs = []"));
    let rounds: Vec<(f64, f64)> = (0..N_ROUNDS)
        .map(|_| {
            let took = meter.seconds(|| run_to_the_end(&engine, &events, &pipeline));
            (N_STEPS as f64 / took, spawns_a_second_of_two(N_STEPS))
        })
        .collect();
    table.ratio("steps a second", &rounds, per_second, Goal::AtLeast(0.45));
    meter.tell(table, N_STEPS * N_ROUNDS);
}

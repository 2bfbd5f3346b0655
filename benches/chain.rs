//! What a step costs in a chain of 200 steps `/bin/true`, everything durable: beside one spawn-and-wait, the
//! creation of its log file and one fsynced commit, for the end of a step and the start of the next fit in one.
//!
//! `cargo bench --no-default-features --bench chain` prints a table.
#![expect(clippy::expect_used, reason = "a benchmark that fails panics")]

#[expect(dead_code, reason = "a benchmark uses what it needs of it")]
mod support;

use support::limits::{FileMaker, RawCommit, spawn_and_wait};
use support::process::CpuMeter;
use support::runs::{engine, run_to_the_end, trues};
use support::{Goal, bench, median, ms, no_child};

const N_STEPS: usize = 200;
const N_ROUNDS: usize = 7;

fn main() {
    bench("chain: 200 steps /bin/true, one after another", measure, no_child);
}

fn measure(table: &mut support::Table) {
    let dir = tempfile::tempdir().expect("a directory");
    let engine = engine(&dir.path().join("data"));
    let events = engine.subscribe();
    let (raw, mut files) = (RawCommit::open(dir.path()), FileMaker::new(dir.path()));
    let mut meter = CpuMeter::new(engine.data_dir().path());
    let pipeline = trues(N_STEPS, "", "");
    run_to_the_end(&engine, &events, &trues(20, "", ""));
    let (mut rounds, mut parts) = (Vec::new(), Vec::new());
    for _ in 0..N_ROUNDS {
        let took = meter.seconds(|| run_to_the_end(&engine, &events, &pipeline)) / N_STEPS as f64;
        let part: Vec<[f64; 3]> =
            (0..N_STEPS).map(|i| [spawn_and_wait(), files.create(), raw.commit(i)]).collect();
        // The mean, as with the steps: a slow commit now and then is in both.
        let mean = |which: usize| part.iter().map(|p| p[which]).sum::<f64>() / part.len() as f64;
        let limit = [mean(0), mean(1), mean(2)];
        rounds.push((took, limit.iter().sum()));
        parts.push(limit);
    }
    table.ratio("per step", &rounds, ms, Goal::AtMost(1.4));
    for (which, what) in ["limit: spawn and wait", "limit: create a file", "limit: commit"].iter().enumerate()
    {
        let values: Vec<f64> = parts.iter().map(|part| part[which]).collect();
        table.value(what, &[median(&values)], ms, Goal::None);
    }
    meter.tell(table, N_STEPS * N_ROUNDS);
}

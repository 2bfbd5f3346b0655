//! What a step costs and what the engine holds as pipelines grow: 100, 500, 1,000 and 10,000 steps `/bin/true`, one after
//! another and two at a time, everything durable, each in an engine of its own.
//!
//! `cargo bench --no-default-features --bench scale` prints a table. `LEVERFRAME_BENCH_LONG=1` adds 100,000 steps two at a
//! time, which takes some minutes.
#![expect(clippy::expect_used, reason = "a benchmark that fails panics")]

#[expect(dead_code, reason = "a benchmark uses what it needs of it")]
mod support;

use std::path::Path;

use support::process::{CpuMeter, Part, memory, say, wait_for_the_end};
use support::runs::{engine, run_to_the_end, trues};
use support::{Goal, Table, bench, median, mib, ms, us};

const SIZES: [usize; 4] = [100, 500, 1_000, 10_000];
const LONG: usize = 100_000;
/// Against this size, growing pipelines are measured.
const USUAL: usize = 500;

fn main() {
    bench("scale: a step /bin/true of growing pipelines", measure, one_size);
}

fn measure(table: &mut Table) {
    let is_long = std::env::var_os("LEVERFRAME_BENCH_LONG").is_some();
    for shape in ["chain", "fan"] {
        let long = (is_long && shape == "fan").then_some(LONG);
        let sizes: Vec<usize> = SIZES.into_iter().chain(long).collect();
        for n in sizes {
            let n_rounds = (30_000 / n).clamp(1, 5);
            // Between two of the usual size, so that both meet the same machine.
            let round = |_| {
                let (before, ours, after) = (run(shape, USUAL), run(shape, n), run(shape, USUAL));
                let mean = |figure: fn(&Figures) -> f64| (figure(&before) + figure(&after)) / 2.0;
                (ours, mean(|f| f.per_step), mean(|f| f.engine))
            };
            let rounds: Vec<(Figures, f64, f64)> = (0..n_rounds).map(round).collect();
            let pairs: Vec<(f64, f64)> =
                rounds.iter().map(|(ours, usual, _)| (ours.per_step, *usual)).collect();
            let cpu: Vec<(f64, f64)> = rounds.iter().map(|(ours, _, usual)| (ours.engine, *usual)).collect();
            let (grown, held) = match (shape, n) {
                ("fan", 10_000) => (Goal::AtMost(1.1), Goal::AtMost(40.0 * 1_048_576.0)),
                ("fan", LONG) => (Goal::AtMost(1.3), Goal::AtMost(200.0 * 1_048_576.0)),
                (_, 10_000) => (Goal::None, Goal::AtMost(40.0 * 1_048_576.0)),
                (_, _) => (Goal::None, Goal::None),
            };
            table.ratio(&format!("{shape} of {n}: a step, beside one of {USUAL}"), &pairs, ms, grown);
            let of = |figure: fn(&Figures) -> f64| -> Vec<f64> {
                rounds.iter().map(|(ours, ..)| figure(ours)).collect()
            };
            table.ratio(&format!("{shape} of {n}: CPU of the engine a step, likewise"), &cpu, us, grown);
            table.value(
                &format!("{shape} of {n}: CPU of the supervisor a step"),
                &of(|f| f.supervisor),
                us,
                Goal::None,
            );
            let peak = median(&of(|f| f.peak));
            table.value(&format!("{shape} of {n}: memory of the engine, at most"), &[peak], mib, held);
        }
    }
}

/// What one run has cost: seconds a step, seconds of CPU a step, bytes.
struct Figures {
    per_step: f64,
    engine: f64,
    supervisor: f64,
    peak: f64,
}

/// Runs a pipeline in an engine of its own.
fn run(shape: &str, n: usize) -> Figures {
    let dir = tempfile::tempdir().expect("a directory");
    let mut part = Part::start(&format!("{shape}-{n}"), dir.path());
    let [per_step, engine, supervisor, peak] = part.numbers()[..] else { panic!("four numbers") };
    Figures { per_step, engine, supervisor, peak }
}

/// The engine of one run, in a process of its own.
fn one_size(what: &str, dir: &Path) {
    let (shape, n) = what.split_once('-').expect("a shape and a size");
    let n: usize = n.parse().expect("a number");
    let (settings, needs) = if shape == "fan" { ("max_parallel = 2", "needs = []") } else { ("", "") };
    let engine = engine(&dir.join("data"));
    let events = engine.subscribe();
    run_to_the_end(&engine, &events, &trues(20, settings, needs));
    let mut meter = CpuMeter::new(engine.data_dir().path());
    let pipeline = trues(n, settings, needs);
    let took = meter.seconds(|| run_to_the_end(&engine, &events, &pipeline));
    let n = n as f64;
    let [of_engine, of_supervisor, of_spawner] = meter.used();
    let peak = memory(std::process::id(), "VmHWM");
    say(&[took / n, of_engine / n, (of_supervisor + of_spawner) / n, peak]);
    wait_for_the_end();
}

//! What `leverframe run` of one trivial step costs, the whole process, warm, beside what it can't do without: the start of
//! the program (`--version`), four commits, and a spawn.
//!
//! `cargo bench --no-default-features --bench run_cli` prints a table.
#![expect(clippy::expect_used, reason = "a benchmark that fails panics")]

#[expect(dead_code, reason = "a benchmark uses what it needs of it")]
mod support;

use std::path::Path;
use std::process::{Command, Stdio};

use support::limits::{RawCommit, spawn_and_wait};
use support::{Goal, bench, ms, no_child, seconds};

const N_RUNS: usize = 41;
const GOAL: f64 = 10e-3;

fn main() {
    bench("run_cli: `leverframe run` of one step /bin/true, the whole process", measure, no_child);
}

fn measure(table: &mut support::Table) {
    let dir = tempfile::tempdir().expect("a directory");
    let raw = RawCommit::open(dir.path());
    let pipeline = dir.path().join("trivial.toml");
    std::fs::write(&pipeline, "[[step]]\nid = \"one\"\nrun = [\"/bin/true\"]\n").expect("written");
    let data_dir = dir.path().join("data");
    let first = run(&pipeline, &data_dir);
    if !first || !data_dir.join("checkpoints.db").exists() {
        return table.missing("run", "not measured: this program has no verb `run` (yet)");
    }
    let (mut took, mut versions, mut commits, mut spawns) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..N_RUNS {
        took.push(seconds(|| assert!(run(&pipeline, &data_dir), "the run completes")));
        versions.push(seconds(|| assert!(succeeds(program().arg("--version")), "it says its version")));
        commits.push((0..4).map(|i| raw.commit(i)).sum::<f64>());
        spawns.push(spawn_and_wait());
    }
    let limits = versions
        .iter()
        .zip(&commits)
        .zip(&spawns)
        .map(|((version, commits), spawn)| version + commits + spawn);
    let rounds: Vec<(f64, f64)> = took.iter().copied().zip(limits).collect();
    table.value("wall time", &took, ms, Goal::AtMost(GOAL));
    table.ratio("beside its limit, the sum of:", &rounds, ms, Goal::None);
    table.value("  the program alone (--version)", &versions, ms, Goal::None);
    table.value("  four commits", &commits, ms, Goal::None);
    table.value("  a spawn", &spawns, ms, Goal::None);
}

/// Whether the run completed.
fn run(pipeline: &Path, data_dir: &Path) -> bool {
    succeeds(program().arg("run").arg(pipeline).arg("--data-dir").arg(data_dir))
}

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_leverframe"))
}

fn succeeds(command: &mut Command) -> bool {
    let silent = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    silent.status().expect("it starts").success()
}

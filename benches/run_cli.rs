//! What `leverframe run` of one trivial step costs, the whole process, warm, beside 15 ms and four commits.
//!
//! `cargo bench --no-default-features --bench run_cli` prints a table.
#![expect(clippy::expect_used, reason = "a benchmark that fails panics")]

#[expect(dead_code, reason = "a benchmark uses what it needs of it")]
mod support;

use std::path::Path;
use std::process::{Command, Stdio};

use support::limits::RawCommit;
use support::{Goal, bench, median, ms, no_child, seconds};

const N_RUNS: usize = 41;

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
    let (mut took, mut allowed) = (Vec::new(), Vec::new());
    for _ in 0..N_RUNS {
        took.push(seconds(|| assert!(run(&pipeline, &data_dir), "the run completes")));
        allowed.push(15e-3 + (0..4).map(|i| raw.commit(i)).sum::<f64>());
    }
    table.value("wall time", &took, ms, Goal::AtMost(median(&allowed)));
}

/// Whether the run completed.
fn run(pipeline: &Path, data_dir: &Path) -> bool {
    let status = Command::new(env!("CARGO_BIN_EXE_leverframe"))
        .arg("run")
        .arg(pipeline)
        .arg("--data-dir")
        .arg(data_dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.expect("it starts").success()
}

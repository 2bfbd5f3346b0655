//! How fast a step may write: 1 GiB to its stdout, beside `cat big | cat > file`, and what that does to the memory of
//! engine and supervisor. The same with a limit that drops most of it.
//!
//! `cargo bench --no-default-features --bench flood` prints a table. The machine's write-back of what was written
//! before disturbs it: each round syncs first.
#![expect(clippy::expect_used, reason = "a benchmark that fails panics")]

#[expect(dead_code, reason = "a benchmark uses what it needs of it")]
mod support;

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use leverframe::CoreExecutionEngine;
use leverframe::engine::Subscription;
use support::process::{Part, memory, say, supervisor_pid, wait_for_the_end};
use support::runs::{definition, engine, run_to_the_end};
use support::{Goal, bench, mib, seconds};

const SIZE: usize = 1 << 30;
const N_ROUNDS: usize = 5;

fn main() {
    bench("flood: a step that writes 1 GiB to stdout", measure, |_, dir| flood(dir));
}

fn measure(table: &mut support::Table) {
    let dir = tempfile::tempdir().expect("a directory");
    let big = dir.path().join("big");
    let mut file = File::create(&big).expect("a file");
    let line = "a line of a log that is neither long nor short, as most of them are .\n".repeat(1024);
    while file.metadata().expect("its size").len() < SIZE as u64 {
        file.write_all(line.as_bytes()).expect("written");
    }
    let mut part = Part::start("flood", dir.path());
    let before = part.numbers();
    let supervisor = before[1] as u32;
    let base = (memory(part.pid(), "VmRSS"), memory(supervisor, "VmRSS"));
    let (mut whole, mut limited) = (Vec::new(), Vec::new());
    for _ in 0..N_ROUNDS {
        let limit = pipe_to_file(dir.path(), &big);
        let took = part.numbers();
        whole.push((SIZE as f64 / took[0], limit));
        limited.push((SIZE as f64 / took[1], limit));
    }
    let speed = |n: f64| format!("{}/s", mib(n));
    table.ratio("all of it kept", &whole, speed, Goal::AtLeast(0.9));
    table.ratio("log_limit = 64 MiB", &limited, speed, Goal::AtLeast(0.9));
    let growth = (memory(part.pid(), "VmHWM") - base.0, memory(supervisor, "VmHWM") - base.1);
    table.value("memory, growth of the engine's process", &[growth.0], mib, Goal::AtMost(4e6));
    table.value("memory, growth of the supervisor", &[growth.1], mib, Goal::AtMost(4e6));
}

/// Bytes a second of `cat big | cat > file`.
fn pipe_to_file(dir: &Path, big: &Path) -> f64 {
    let copy = dir.join("copy");
    let took = settled(|| {
        let mut from = Command::new("cat").arg(big).stdout(Stdio::piped()).spawn().expect("cat starts");
        let pipe = from.stdout.take().expect("a pipe");
        let file = File::create(&copy).expect("a file");
        let status = Command::new("cat").stdin(pipe).stdout(file).status().expect("cat runs");
        assert!(status.success() && from.wait().expect("it ends").success());
    });
    std::fs::remove_file(copy).expect("removed");
    SIZE as f64 / took
}

/// Begins with nothing left to be written back.
fn settled<T>(work: impl FnOnce() -> T) -> f64 {
    rustix::fs::sync();
    seconds(work)
}

/// The engine, in a process of its own.
fn flood(dir: &Path) {
    let data_dir = dir.join("data");
    let engine = engine(&data_dir);
    let events = engine.subscribe();
    run_to_the_end(&engine, &events, &definition("[[step]]\nid = \"warm\"\nrun = [\"/bin/true\"]\n"));
    say(&[0.0, f64::from(supervisor_pid(&data_dir))]);
    for _ in 0..N_ROUNDS {
        let whole = cat(dir, &engine, &events, "2GiB");
        say(&[whole, cat(dir, &engine, &events, "64MiB")]);
    }
    wait_for_the_end();
}

fn cat(dir: &Path, engine: &CoreExecutionEngine, events: &Subscription, log_limit: &str) -> f64 {
    let big = dir.join("big");
    let text = format!(
        "[[step]]\nid = \"cat\"\nrun = [\"cat\", {:?}]\nlog_limit = \"{log_limit}\"\n",
        big.display().to_string()
    );
    let pipeline = definition(&format!("id = \"flood\"\n{text}"));
    let took = settled(|| run_to_the_end(engine, events, &pipeline));
    for logs in std::fs::read_dir(engine.data_dir().path().join("logs")).expect("a folder") {
        std::fs::remove_dir_all(logs.expect("an entry").path()).expect("removed");
    }
    took
}

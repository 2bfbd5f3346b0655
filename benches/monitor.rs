//! What the monitor costs: a snapshot of the machine alone and with a hundred processes in trees, and its share of a CPU
//! at once a second.
//!
//! `cargo bench --no-default-features --bench monitor` prints a table.
#![expect(clippy::expect_used, reason = "a benchmark that fails panics")]

#[expect(dead_code, reason = "a benchmark uses what it needs of it")]
mod support;

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use leverframe::id::{AttemptKey, RunId, StepId};
use leverframe::monitor::{MAX_INTERVAL, MIN_INTERVAL, MonitorOptions, ResourceMonitor};
use support::process::{Part, cpu_seconds, memory, say};
use support::{Goal, Table, bench, let_pass, mib, ms};

const N_TREES: usize = 20;
const N_PROCESSES: usize = 5;
const TIME: Duration = Duration::from_secs(20);
/// Snapshots over which the cost of one is taken.
const N_SNAPSHOTS: usize = 20;

fn main() {
    bench("monitor: 20 trees of 5 processes", measure, watch);
}

fn measure(table: &mut Table) {
    let dir = tempfile::tempdir().expect("a directory");
    let alone = Part::start("alone", dir.path()).numbers();
    let mut part = Part::start("trees", dir.path());
    let trees = part.numbers();
    table.value("CPU of a snapshot, machine alone", &alone[..1], ms, Goal::AtMost(0.002));
    table.value("CPU of a snapshot, 100 processes", &trees[..1], ms, Goal::AtMost(0.005));
    let percent = |n: f64| format!("{:.3} %", n * 100.0);
    table.value("CPU at once a second, machine alone", &alone[1..2], percent, Goal::None);
    table.value("CPU at once a second, 100 processes", &trees[1..2], percent, Goal::AtMost(0.005));
    table.value("processes measured", &trees[2..3], |n| format!("{n:.0}"), Goal::AtLeast(100.0));
    let n_in_all = std::fs::read_dir("/proc").expect("processes").flatten().filter(is_process).count();
    table.value("processes on the machine", &[n_in_all as f64], |n| format!("{n:.0}"), Goal::None);
    table.value("memory of the measuring process", &[memory(part.pid(), "VmRSS")], mib, Goal::None);
}

fn is_process(entry: &std::fs::DirEntry) -> bool {
    entry.file_name().to_str().is_some_and(|name| name.parse::<u32>().is_ok())
}

/// The monitor, in a process of its own, whose CPU time is all its own.
fn watch(what: &str, dir: &Path) {
    let monitor = ResourceMonitor::new(MonitorOptions { interval: MIN_INTERVAL, ..MonitorOptions::new(dir) })
        .expect("this machine can be measured");
    let n_trees = if what == "trees" { N_TREES } else { 0 };
    let mut trees: Vec<Child> = (0..n_trees).map(|n| plant(&monitor, n)).collect();
    // Until every shell has started its children.
    let_pass(Duration::from_secs(1));
    let samples = monitor.stream();
    monitor.start().expect("it starts");
    for _ in 0..3 {
        samples.recv().expect("a sample");
    }
    let me = std::process::id();
    let before = cpu_seconds(me);
    let mut n_processes = 0;
    for _ in 0..N_SNAPSHOTS {
        let sample = samples.recv().expect("a sample");
        n_processes = sample.steps.iter().map(|step| step.n_processes).sum();
    }
    let of_one = (cpu_seconds(me) - before) / N_SNAPSHOTS as f64;
    monitor.handle().set_interval(Duration::from_secs(1)).expect("an interval");
    let before = cpu_seconds(me);
    let_pass(TIME);
    let share = (cpu_seconds(me) - before) / TIME.as_secs_f64();
    monitor.handle().set_interval(MAX_INTERVAL).expect("an interval");
    for tree in &mut trees {
        // The shell waits for that, and ends its children.
        drop(tree.stdin.take());
        tree.wait().expect("it ends");
    }
    say(&[of_one, share, f64::from(n_processes)]);
}

/// A shell with four children, all of which end when the pipe to it is closed.
fn plant(monitor: &ResourceMonitor, n: usize) -> Child {
    let token = format!("bench-{n}");
    let script =
        format!("for i in $(seq {}); do sleep 600 & p=\"$p $!\"; done; cat; kill $p", N_PROCESSES - 2);
    let shell = Command::new("sh")
        .args(["-c", &script])
        .env("LEVERFRAME_TOKEN", &token)
        .stdin(Stdio::piped())
        .process_group(0)
        .spawn()
        .expect("a shell");
    let key = AttemptKey {
        run_id: RunId::new("bench").expect("an id"),
        step_id: StepId::new(token.as_str()).expect("an id"),
        attempt: 1,
    };
    monitor.handle().track(key, shell.id(), &token);
    shell
}

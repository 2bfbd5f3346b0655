//! What engine and supervisor cost while one run waits on a long step and nobody looks: CPU over ten seconds, memory.
//!
//! `cargo bench --no-default-features --bench idle` prints a table.
#![expect(clippy::expect_used, reason = "a benchmark that fails panics")]

#[expect(dead_code, reason = "a benchmark uses what it needs of it")]
mod support;

use std::path::Path;
use std::time::Duration;

use leverframe::engine::ShutdownKind;
use leverframe::run::{EventKind, Plan, StopKind};
use support::process::{Part, cpu_seconds, memory, say, supervisor_pid, wait_for_the_end};
use support::runs::{definition, engine};
use support::{Goal, bench, let_pass, mib};

const TIME: Duration = Duration::from_secs(10);

fn main() {
    bench("idle: one run waits on a long step, for ten seconds", measure, |_, dir| wait(dir));
}

fn measure(table: &mut support::Table) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut part = Part::start("idle", dir.path());
    let pids = [part.pid(), part.numbers()[0] as u32];
    // What the start leaves to be done a moment later is not idling.
    let_pass(Duration::from_secs(2));
    let before = pids.map(cpu_seconds);
    let_pass(TIME);
    let used: Vec<f64> = pids.iter().zip(before).map(|(pid, before)| cpu_seconds(*pid) - before).collect();
    let percent = |n: f64| format!("{:.4} %", n * 100.0);
    let share = |used: f64| used / TIME.as_secs_f64();
    table.value("CPU, both", &[share(used.iter().sum())], percent, Goal::AtMost(0.001));
    table.value("CPU, engine", &[share(used[0])], percent, Goal::None);
    table.value("CPU, supervisor", &[share(used[1])], percent, Goal::None);
    let resident = pids.map(|pid| memory(pid, "VmRSS"));
    table.value("memory, both", &[resident.iter().sum()], mib, Goal::AtMost(30e6));
    table.value("memory, engine", &[resident[0]], mib, Goal::None);
    table.value("memory, supervisor", &[resident[1]], mib, Goal::None);
}

/// The engine, in a process of its own.
fn wait(data_dir: &Path) {
    let engine = engine(data_dir);
    let events = engine.subscribe();
    let pipeline = definition("id = \"idle\"\n[[step]]\nid = \"long\"\nrun = [\"sleep\", \"600\"]\n");
    let run_id = engine.start_pipeline(Plan::new(pipeline, Default::default())).expect("it starts");
    while !events.recv().is_some_and(|event| matches!(event.kind, EventKind::StepStarted { .. })) {}
    say(&[f64::from(supervisor_pid(data_dir))]);
    wait_for_the_end();
    engine.stop_execution(&run_id, StopKind::Force).expect("it stops");
    while !events.recv().is_some_and(|event| matches!(event.kind, EventKind::ExecutionForceStopped { .. })) {}
    engine.shutdown(ShutdownKind::LeaveSteps).expect("it ends");
}

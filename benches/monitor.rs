//! What the monitor costs: a snapshot of the machine alone and with a hundred processes in trees, and its share of a CPU
//! at once a second on a machine of 400 processes. And how long a sample takes from the kernel to the window's model.
//!
//! `cargo bench --no-default-features --bench monitor` prints a table.
#![expect(clippy::expect_used, reason = "a benchmark that fails panics")]

#[expect(dead_code, reason = "a benchmark uses what it needs of it")]
mod support;

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use leverframe::base::id::{AttemptKey, RunId, StepId};
use leverframe::engine::{EngineOptions, EventBus, ShutdownKind};
use leverframe::monitor::{MAX_INTERVAL, MIN_INTERVAL, MonitorOptions, ResourceMonitor};
use leverframe::settings::Settings;
use leverframe::window::{AppStore, AppUpdate, ExecutionIntegration, window_port};
use support::process::{Part, cpu_seconds, memory, say, wait_for_the_end};
use support::{Goal, Table, bench, let_pass, mib, ms};

const N_TREES: usize = 20;
const N_PROCESSES: usize = 5;
const TIME: Duration = Duration::from_secs(20);
/// On the machine while the share of a CPU is taken, those of the trees among them.
const N_IN_ALL: usize = 400;
/// More than are needed, for others of the machine may end meanwhile.
const N_SPARE: usize = 100;
/// Samples that are followed to the window's model.
const N_FOLLOWED: usize = 40;
/// Snapshots over which the cost of one is taken.
const N_SNAPSHOTS: usize = 20;

fn main() {
    bench("monitor: 20 trees of 5 processes", measure, watch);
}

fn measure(table: &mut Table) {
    let dir = tempfile::tempdir().expect("a directory");
    let alone = Part::start("alone", dir.path()).numbers();
    let mut sleepers = Sleepers::up_to(N_IN_ALL + N_SPARE - N_TREES * N_PROCESSES);
    let mut part = Part::start("trees", dir.path());
    let trees = part.numbers();
    table.value("CPU of a snapshot, machine alone", &alone[..1], ms, Goal::AtMost(0.002));
    table.value("CPU of a snapshot, 100 processes", &trees[..1], ms, Goal::AtMost(0.005));
    let percent = |n: f64| format!("{:.3} %", n * 100.0);
    table.value("CPU at once a second, machine alone", &alone[1..2], percent, Goal::None);
    table.value("CPU at once a second, 100 processes", &trees[1..2], percent, Goal::AtMost(0.005));
    table.value("processes measured", &trees[2..3], |n| format!("{n:.0}"), Goal::AtLeast(100.0));
    let n_in_all = n_processes();
    table.value(
        "processes on the machine",
        &[n_in_all as f64],
        |n| format!("{n:.0}"),
        Goal::AtLeast(N_IN_ALL as f64),
    );
    table.value("memory of the measuring process", &[memory(part.pid(), "VmRSS")], mib, Goal::None);
    drop(part);
    let mut seconds = from_kernel_to_model();
    sleepers.end();
    seconds.sort_by(f64::total_cmp);
    let most = seconds.last().copied().expect("some samples");
    table.value("a sample from kernel to window model, 20 trees", &seconds, ms, Goal::AtMost(0.020));
    table.value("the slowest of them", &[most], ms, Goal::AtMost(0.020));
}

/// How long samples take from the instant at which they are taken, before anything of them is read, until they are in
/// the read model of a window: through the monitor, the integration and the window's port, with 20 living trees.
fn from_kernel_to_model() -> Vec<f64> {
    let dir = tempfile::tempdir().expect("a directory");
    let data_dir = dir.path().join("data");
    std::fs::create_dir_all(data_dir.join("pipelines")).expect("a folder");
    let step = |n: usize| {
        let children = "for i in 1 2 3; do sleep 600 & done; wait";
        format!("[[step]]\nid = \"s{n}\"\nneeds = []\nrun = \"{children}\"\n")
    };
    let steps: String = (0..N_TREES).map(step).collect();
    let text = format!("id = \"trees\"\nmax_parallel = {N_TREES}\n{steps}");
    std::fs::write(data_dir.join("pipelines/trees.toml"), text).expect("a file");
    let (window, world) = window_port();
    // Capacity 1: a wake that waits is as good as two. It closes with the window.
    let (wake, woken) = crossbeam_channel::bounded(1);
    window.wake_by(move |_| {
        let _ = wake.try_send(());
    });
    let mut integration = ExecutionIntegration::for_window(world, EventBus::new());
    let settings = Settings { monitor_interval: MIN_INTERVAL, ..Settings::default() };
    integration.start_with(&data_dir, settings, EngineOptions::default()).expect("it starts");
    let run = integration.start_job("trees", None).expect("it starts");
    let mut store = AppStore::default();
    let mut seconds = Vec::new();
    let (mut n_living, mut is_settled) = (0, false);
    while seconds.len() < N_FOLLOWED {
        woken.recv().expect("an update");
        while let Some(update) = window.try_recv() {
            let at = if let AppUpdate::Machine(sample) = &update { Some(sample.at) } else { None };
            store.apply(update);
            if let Some(at) = at {
                let took = leverframe::engine::now().wall - at;
                if is_settled {
                    seconds.push(took.as_seconds_f64());
                }
                is_settled = n_living == N_TREES;
            }
        }
        let steps = store.run(&run).map(|entry| entry.steps()).unwrap_or_default();
        n_living = steps.iter().filter(|step| step.state.is_live()).count();
    }
    integration.stop_job(&run, leverframe::run::StopKind::Force).expect("it lives");
    drop(window);
    integration.shutdown(ShutdownKind::StopRuns);
    seconds
}

/// Processes that do nothing, for a machine that has many.
struct Sleepers(Vec<Child>);

impl Sleepers {
    /// As many as are missing to `n` in all.
    fn up_to(n: usize) -> Self {
        let missing = n.saturating_sub(n_processes());
        let sleeper = |_| Command::new("sleep").arg("600").spawn().expect("a sleeper");
        Self((0..missing).map(sleeper).collect())
    }

    fn end(&mut self) {
        for sleeper in &mut self.0 {
            sleeper.kill().expect("it lives");
            sleeper.wait().expect("it ends");
        }
    }
}

fn n_processes() -> usize {
    std::fs::read_dir("/proc").expect("processes").flatten().filter(is_process).count()
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
    wait_for_the_end();
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

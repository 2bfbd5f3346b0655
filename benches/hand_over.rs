//! What it takes to ask a living engine one thing, and to pass its seat on while fifty steps run, whole processes.
//!
//! `cargo bench --bench hand_over` prints a table. A verb is measured beside the start of a program that does nothing.
#![expect(clippy::expect_used, reason = "a benchmark that fails panics")]

#[expect(dead_code, reason = "a benchmark uses what it needs of it")]
mod support;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use leverframe::api::ProcessKind;
use leverframe::control::ControlClient;
use leverframe::control::wire::EventFilter;
use support::{Goal, bench, ms, no_child, seconds};

const N_RUNS: usize = 20;
const N_STEPS: usize = 50;
const N_ROUNDS: usize = 11;
const N_VERBS: usize = 41;

fn main() {
    bench("hand_over: a verb, and the engine's seat from one process to the next", measure, no_child);
}

fn measure(table: &mut support::Table) {
    verbs(table);
    hand_overs(table);
}

/// `leverframe runs` with 20 runs, with an engine beside it and without.
fn verbs(table: &mut support::Table) {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    let pipeline = dir.path().join("trivial.toml");
    std::fs::write(&pipeline, "[[step]]\nid = \"one\"\nrun = [\"/bin/true\"]\n").expect("written");
    for _ in 0..N_RUNS {
        let mut run = program(&data);
        run.arg("run").arg(&pipeline).stdout(Stdio::null()).stderr(Stdio::null());
        assert!(run.status().expect("it starts").success());
    }
    let once =
        || seconds(|| assert!(program(&data).args(["runs"]).output().expect("it starts").status.success()));
    let mut measured = |what: &str| {
        let took: Vec<_> = (0..N_VERBS).map(|_| once()).collect();
        table.value(what, &took, ms, Goal::AtMost(12e-3));
    };
    measured("runs, 20 of them, no engine");
    let mut serving = serve(&data);
    measured("runs, beside a living engine");
    end(&data, &mut serving);
    let version: Vec<_> = (0..N_VERBS)
        .map(|_| {
            seconds(|| assert!(program(&data).arg("--version").output().expect("it starts").status.success()))
        })
        .collect();
    table.value("the program alone (--version)", &version, ms, Goal::None);
}

/// A run in the foreground hands fifty running steps over to `serve`.
fn hand_overs(table: &mut support::Table) {
    let (mut gaps, mut wholes) = (Vec::new(), Vec::new());
    for _ in 0..N_ROUNDS {
        let dir = tempfile::tempdir().expect("a directory");
        let data = dir.path().join("data");
        let step = |i| format!("[[step]]\nid = \"s{i}\"\nneeds = []\nrun = [\"sleep\", \"600\"]\n");
        let text: String =
            std::iter::once(format!("max_parallel = {N_STEPS}\n")).chain((0..N_STEPS).map(step)).collect();
        let pipeline = dir.path().join("wide.toml");
        std::fs::write(&pipeline, text).expect("written");
        let mut run = program(&data);
        run.arg("run")
            .arg(&pipeline)
            .args(["--run-id", "r", "--json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut run = run.spawn().expect("it starts");
        let lines = BufReader::new(run.stdout.take().expect("piped")).lines();
        let started =
            lines.map_while(Result::ok).filter(|line| line.contains("\"step_started\"")).take(N_STEPS);
        assert_eq!(started.count(), N_STEPS);
        let (gap, whole, mut serving) = hand_over(&data);
        gaps.push(gap);
        wholes.push(whole);
        let client = ControlClient::connect(&data, "bench 1").expect("no trouble").expect("it lives");
        let stop = serde_json::json!({"method": "run.stop", "params": {"run_id": "r", "force": true}});
        client.call::<serde_json::Value>(&stop).expect("it stops");
        run.wait().expect("it ends");
        end(&data, &mut serving);
    }
    table.value("engine gone to engine there, 50 running steps", &gaps, ms, Goal::AtMost(150e-3));
    table.value("from the start of `serve` to its first line", &wholes, ms, Goal::None);
}

/// Seconds from the old engine's last word to the new one's first answer, and from the start of the successor to its
/// first line.
fn hand_over(data: &Path) -> (f64, f64, Child) {
    let follower = ControlClient::connect(data, "bench 1").expect("no trouble").expect("it lives");
    let events = follower.subscribe(EventFilter::default()).expect("it is heard");
    let watching = std::thread::Builder::new().name("watcher".into()).spawn({
        let data = data.to_owned();
        move || {
            // Whatever comes: the end of it is the old engine's.
            while events.recv().is_some() {}
            let gone = Instant::now();
            let client = ControlClient::connect(&data, "bench 1").expect("no trouble").expect("it lives");
            assert_eq!(client.welcome().engine.face, ProcessKind::Serve);
            gone.elapsed().as_secs_f64()
        }
    });
    let before = Instant::now();
    let serving = serve(data);
    let whole = before.elapsed().as_secs_f64();
    (watching.expect("a thread").join().expect("no panic"), whole, serving)
}

fn serve(data: &Path) -> Child {
    let mut command = program(data);
    let mut child =
        command.arg("serve").stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("it says that it serves");
    assert!(line.starts_with("serving"), "{line}");
    child
}

fn end(data: &Path, serving: &mut Child) {
    let client = ControlClient::connect(data, "bench 1").expect("no trouble").expect("it lives");
    let end = serde_json::json!({"method": "engine.shutdown", "params": {"kind": "leave_steps"}});
    client.call::<serde_json::Value>(&end).expect("it ends");
    serving.wait().expect("it has ended");
}

fn program(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leverframe"));
    command.arg("--data-dir").arg(data).stdin(Stdio::null());
    command
}

//! What a step costs through the supervisor, beside the machine's own limit measured in the same run.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement that can't be taken fails, and prints what it found"
)]

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use leverframe::base::id::{AttemptKey, RunId, StepId};
use leverframe::supervisor::{HostEvent, HostRequest, Launcher, StartSpec, StepHost, SupervisorHost};

const N_STEPS: u32 = 50;
const N_STEP_ROUNDS: u32 = 40;
const N_ROUNDS: u32 = 5;
const FLOOD: u64 = 1 << 30;

fn main() {
    leverframe::supervisor_entry();
    let dir = tempfile::Builder::new().tempdir_in(".").unwrap();
    let data_dir = dir.path().join("data");
    // Unbounded: one event a request at most.
    let (sender, events) = crossbeam_channel::unbounded();
    let begin = Instant::now();
    let launched = Launcher::new(&data_dir).launch().unwrap();
    let launched_after = begin.elapsed();
    let mut host = launched.hello(1, move |event| drop(sender.send(event))).unwrap();
    println!("launch {launched_after:?}, heard after {:?}", begin.elapsed());
    fs::create_dir_all(data_dir.join("logs")).unwrap();
    let (mut bare, mut supervised) = (Vec::new(), Vec::new());
    for round in 0..N_STEP_ROUNDS {
        bare.push(bare_steps(&data_dir, round));
        supervised.push(supervised_steps(&mut host, &events, &data_dir, round));
    }
    for (name, place) in [("least", 0), ("quartile", N_STEP_ROUNDS / 4), ("median", N_STEP_ROUNDS / 2)] {
        let [bare, supervised] = [&mut bare, &mut supervised].map(|times| {
            times.sort();
            times[place as usize]
        });
        println!(
            "a step, {name}: bare {bare:?}, supervised {supervised:?}, ratio {:.2}, more {:?}",
            supervised.as_secs_f64() / bare.as_secs_f64(),
            supervised.saturating_sub(bare)
        );
    }
    println!("supervisor: {}", memory(host.supervisor_pid()));
    let big = data_dir.join("big");
    assert!(
        Command::new("head")
            .args(["-c", &FLOOD.to_string(), "/dev/urandom"])
            .stdout(File::create(&big).unwrap())
            .status()
            .unwrap()
            .success()
    );
    for round in 0..N_ROUNDS {
        let bare = bare_flood(&big, &data_dir.join("copy"));
        let supervised = supervised_flood(&mut host, &events, &data_dir, &big, round, 4 << 30);
        println!(
            "1 GiB: cat | cat {bare:?}, supervised {supervised:?}, speed ratio {:.2}",
            bare.as_secs_f64() / supervised.as_secs_f64()
        );
    }
    let limited = supervised_flood(&mut host, &events, &data_dir, &big, N_ROUNDS, 64 << 20);
    println!("1 GiB into a limit of 64 MiB: {limited:?}");
    println!("supervisor: {}", memory(host.supervisor_pid()));
}

/// One spawn and wait, with the creation of a log file.
fn bare_steps(data_dir: &Path, round: u32) -> Duration {
    let begin = Instant::now();
    for n in 0..N_STEPS {
        let log = File::create(data_dir.join(format!("logs/bare-{round}-{n}"))).unwrap();
        let status = Command::new("/bin/true").stdin(Stdio::null()).stdout(log).env_clear().status();
        assert!(status.unwrap().success());
    }
    begin.elapsed() / N_STEPS
}

fn spec(data_dir: &Path, step: &str, argv: &[&str]) -> StartSpec {
    let key =
        AttemptKey { run_id: RunId::new("run").unwrap(), step_id: StepId::new(step).unwrap(), attempt: 1 };
    StartSpec {
        token: format!("token-{step}"),
        argv: argv.iter().map(Into::into).collect(),
        env: std::env::vars_os().collect(),
        working_dir: fs::canonicalize(data_dir).unwrap(),
        log_path: fs::canonicalize(data_dir).unwrap().join(format!("logs/{step}.log")),
        log_limit: 4 << 30,
        keep_background: false,
        may_be_alive: false,
        key,
    }
}

fn run(host: &mut SupervisorHost, events: &Receiver<HostEvent>, spec: StartSpec) {
    host.send(HostRequest::Start(Box::new(spec)));
    loop {
        if let HostEvent::Exited { key, .. } = events.recv().unwrap() {
            return host.send(HostRequest::Acknowledge(key));
        }
    }
}

fn supervised_steps(
    host: &mut SupervisorHost,
    events: &Receiver<HostEvent>,
    data_dir: &Path,
    round: u32,
) -> Duration {
    let specs: Vec<_> =
        (0..N_STEPS).map(|n| spec(data_dir, &format!("s-{round}-{n}"), &["/bin/true"])).collect();
    let begin = Instant::now();
    for spec in specs {
        run(host, events, spec);
    }
    begin.elapsed() / N_STEPS
}

fn bare_flood(big: &Path, copy: &Path) -> Duration {
    let begin = Instant::now();
    let script = format!("cat {} | cat > {}", big.display(), copy.display());
    assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
    let elapsed = begin.elapsed();
    fs::remove_file(copy).unwrap();
    elapsed
}

fn supervised_flood(
    host: &mut SupervisorHost,
    events: &Receiver<HostEvent>,
    data_dir: &Path,
    big: &Path,
    round: u32,
    log_limit: u64,
) -> Duration {
    let big = fs::canonicalize(big).unwrap();
    let spec =
        StartSpec { log_limit, ..spec(data_dir, &format!("flood-{round}"), &["cat", big.to_str().unwrap()]) };
    let log = spec.log_path.clone();
    let begin = Instant::now();
    run(host, events, spec);
    let elapsed = begin.elapsed();
    assert_eq!(fs::metadata(&log).unwrap().len(), FLOOD);
    fs::remove_file(log).unwrap();
    elapsed
}

fn memory(pid: u32) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let lines = status
        .lines()
        .filter(|line| line.starts_with("VmHWM") || line.starts_with("VmRSS") || line.starts_with("RssAnon"));
    lines
        .map(|line| line.split_ascii_whitespace().collect::<Vec<_>>().join(" "))
        .collect::<Vec<_>>()
        .join(", ")
}

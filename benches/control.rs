//! The control socket: how long a request takes to its answer, beside a bare exchange of the same bytes between two
//! threads; and how many events a second one reader hears, beside bare writes of the same bytes.
//!
//! `cargo bench --no-default-features --bench control` prints a table.
#![expect(clippy::expect_used, reason = "a benchmark that fails panics")]

#[expect(dead_code, reason = "a benchmark uses what it needs of it")]
mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use leverframe::api::{GetStatus, ProcessKind};
use leverframe::control::ControlClient;
use leverframe::control::server::{ControlOptions, ControlServer};
use leverframe::control::wire::{EventFilter, PROTOCOL};
use leverframe::daemon::{CommandHandler, Owner};
use leverframe::engine::{EngineOptions, EventBus};
use leverframe::settings::Settings;
use leverframe::{CoreExecutionEngine, DesktopScheduler};
use support::runs::{driven, run_id};
use support::{Goal, bench, median, no_child, per_second, us};

const N_REQUESTS: usize = 2000;
const N_ROUNDS: usize = 7;
/// Runs that say how far they are, in turns.
const N_RUNS: usize = 64;
/// Fewer than the journal holds.
const N_EVENTS: usize = 60_000;

fn main() {
    bench("control: the socket", measure, no_child);
}

fn measure(table: &mut support::Table) {
    let dir = tempfile::tempdir().expect("a directory");
    let bus = EventBus::new();
    let events = bus.subscribe();
    let options = EngineOptions { bus, ..EngineOptions::default() };
    let engine = CoreExecutionEngine::open(dir.path(), options).expect("the engine opens");
    let owner = Owner::without_window(ProcessKind::Library, || {});
    let jobs = DesktopScheduler::open(&engine).expect("a scheduler");
    let desk = CommandHandler::new(engine.clone(), jobs, Settings::default().into(), owner);
    let options = ControlOptions {
        handler: Arc::new(desk.clone()),
        engine: desk.engine().clone(),
        events,
        listener: None,
        last_seq: None,
        on_hand_over: None,
    };
    let server = ControlServer::start(options).expect("it serves");

    let rounds: Vec<(f64, f64)> =
        (0..N_ROUNDS).map(|_| (median(&by_client(dir.path())), median(&ping_pong()))).collect();
    let ours: Vec<f64> = rounds.iter().map(|(ours, _)| *ours).collect();
    table.value("request to answer, by the client", &ours, us, Goal::AtMost(100e-6));
    table.ratio("beside a bare exchange", &rounds, us, Goal::None);
    let by_line: Vec<f64> = (0..N_ROUNDS).map(|_| median(&by_line(dir.path()))).collect();
    table.value("request to answer, by hand", &by_line, us, Goal::AtMost(100e-6));

    let since = engine.snapshot().seq;
    fill(&engine, dir.path());
    let rounds: Vec<(f64, f64)> = (0..N_ROUNDS)
        .map(|_| {
            let (seconds, n_bytes) = hear_by_hand(dir.path(), since);
            (seconds, bare_writes(n_bytes))
        })
        .collect();
    let rates: Vec<f64> = rounds.iter().map(|(seconds, _)| N_EVENTS as f64 / seconds).collect();
    table.value("events a second, one reader", &rates, per_second, Goal::AtLeast(200_000.0));
    table.ratio("beside bare writes of their bytes", &rounds, support::ms, Goal::None);
    let rates: Vec<f64> =
        (0..N_ROUNDS).map(|_| N_EVENTS as f64 / hear_by_client(dir.path(), since)).collect();
    table.value("events a second, by the client", &rates, per_second, Goal::AtLeast(200_000.0));
    engine.shutdown(leverframe::engine::ShutdownKind::LeaveSteps).expect("it ends");
    server.close("the benchmark is over");
}

fn client(data_dir: &Path) -> ControlClient {
    ControlClient::connect(data_dir, "bench 1").expect("it connects").expect("somebody listens")
}

fn by_client(data_dir: &Path) -> Vec<f64> {
    let client = client(data_dir);
    let ask = |_| {
        let asked = Instant::now();
        client.ask(&GetStatus {}).expect("an answer");
        asked.elapsed().as_secs_f64()
    };
    (0..N_REQUESTS).map(ask).collect()
}

/// A connection that has said hello, for reading and writing.
fn greeted(data_dir: &Path) -> (BufReader<UnixStream>, UnixStream) {
    let stream = UnixStream::connect(data_dir.join("control.sock")).expect("it connects");
    let mut lines = BufReader::with_capacity(64 << 10, stream.try_clone().expect("a copy"));
    let mut writer = stream;
    let hello = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"hello","params":{{"protocol":{PROTOCOL},"client":"bench 1"}}}}"#
    );
    writeln!(writer, "{hello}").expect("it is taken");
    lines.read_line(&mut String::new()).expect("an answer");
    (lines, writer)
}

const REQUEST: &[u8] = b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"engine.status\"}\n";

fn by_line(data_dir: &Path) -> Vec<f64> {
    let (mut lines, mut writer) = greeted(data_dir);
    let mut line = String::new();
    let ask = |_| {
        let asked = Instant::now();
        writer.write_all(REQUEST).expect("it is taken");
        line.clear();
        lines.read_line(&mut line).expect("an answer");
        asked.elapsed().as_secs_f64()
    };
    (0..N_REQUESTS).map(ask).collect()
}

/// As many bytes there and back again, and nothing in between.
fn ping_pong() -> Vec<f64> {
    let (mut ours, mut theirs) = UnixStream::pair().expect("a pair");
    let other = std::thread::spawn(move || {
        let (mut question, answer) = ([0; REQUEST.len()], [b'x'; 250]);
        while theirs.read_exact(&mut question).is_ok() {
            theirs.write_all(&answer).expect("it is taken");
        }
    });
    let mut answer = [0; 250];
    let mut ask = |_| {
        let asked = Instant::now();
        ours.write_all(REQUEST).expect("it is taken");
        ours.read_exact(&mut answer).expect("an answer");
        asked.elapsed().as_secs_f64()
    };
    let took = (0..N_REQUESTS).map(&mut ask).collect();
    drop(ours);
    other.join().expect("it ends");
    took
}

/// Has the engine tell as many events as are heard below. Each of a round is awaited, so that none replaces
/// another before it stands in the journal.
fn fill(engine: &CoreExecutionEngine, data_dir: &Path) {
    let client = client(data_dir);
    let types = Some(vec!["execution_progress".to_owned()]);
    let events = client.subscribe(EventFilter { types, ..EventFilter::default() }).expect("it subscribes");
    let start = |n| engine.start_execution(driven(run_id(format!("run-{n}")))).expect("it starts");
    let runs: Vec<_> = (0..N_RUNS).map(start).collect();
    for round in 1..=N_EVENTS / N_RUNS + 1 {
        for run in &runs {
            run.update_progress(round as f64 / N_EVENTS as f64, Some("page 12 of 480")).expect("said");
        }
        for _ in &runs {
            events.recv().expect("the engine lives");
        }
    }
}

/// How long a reader takes that cuts lines and does nothing with them, and how many bytes it has read.
fn hear_by_hand(data_dir: &Path, since: u64) -> (f64, usize) {
    let (mut lines, mut writer) = greeted(data_dir);
    let begun = Instant::now();
    let request =
        format!(r#"{{"jsonrpc":"2.0","id":2,"method":"events.subscribe","params":{{"since":{since}}}}}"#);
    writeln!(writer, "{request}").expect("it is taken");
    let (mut line, mut n_bytes) = (Vec::new(), 0);
    for _ in 0..=N_EVENTS {
        line.clear();
        n_bytes += lines.read_until(b'\n', &mut line).expect("a line");
    }
    (begun.elapsed().as_secs_f64(), n_bytes)
}

fn hear_by_client(data_dir: &Path, since: u64) -> f64 {
    let client = client(data_dir);
    let begun = Instant::now();
    let filter = EventFilter { since: Some(since), ..EventFilter::default() };
    let events = client.subscribe(filter).expect("it subscribes");
    let n = events.take(N_EVENTS).count();
    assert_eq!(n, N_EVENTS, "all are heard");
    begun.elapsed().as_secs_f64()
}

/// As many bytes from one thread to another, 64 KiB at a time.
fn bare_writes(n_bytes: usize) -> f64 {
    let (mut ours, mut theirs) = UnixStream::pair().expect("a pair");
    let begun = Instant::now();
    let writer = std::thread::spawn(move || {
        let block = vec![b'x'; 64 << 10];
        let mut left = n_bytes;
        while left > 0 {
            let n = left.min(block.len());
            theirs.write_all(&block[..n]).expect("it is taken");
            left -= n;
        }
    });
    let mut buffer = vec![0; 64 << 10];
    while ours.read(&mut buffer).expect("it reads") > 0 {}
    writer.join().expect("it ends");
    begun.elapsed().as_secs_f64()
}

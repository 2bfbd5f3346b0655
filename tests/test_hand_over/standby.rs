//! A directory that is served stays served: whoever takes the engine over from `serve` may end, or die at any moment, and
//! `serve` goes on with it.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use leverframe::api::ProcessKind;
use leverframe::daemon::{Mode, ServeFor, Service, ServiceOptions, succeed};
use leverframe::engine::ShutdownKind;
use leverframe::settings::Settings;
use leverframe::store::DataDir;
use rustix::process::Signal;
use serde_json::Value;

use super::{client, ended, rounds, serve, state};
use crate::support::process::{kill, let_pass, look_until};
use crate::support::{options, run_id, wait_for};
use crate::test_command_line::{Home, Running};

/// How often engines are killed while the seat changes hands; the long form is 200.
const DEATHS: usize = 9;

/// A pipeline that a job of its own runs each second.
const EACH_SECOND: &str =
    "id = \"tick\"\n[[step]]\nid = \"a\"\nrun = \"true\"\n[[schedule]]\nid = \"tick\"\nevery = \"1s\"\n";

fn home_with_a_job() -> Home {
    let home = Home::new();
    home.pipeline("tick.toml", EACH_SECOND);
    home
}

/// How often the job has fired; never as long as no server has read its file.
fn n_fires(home: &Home) -> i64 {
    let jobs = home.json(&["schedule", "list"]);
    jobs.as_array().expect("jobs").iter().map(|job| job["run_count"].as_i64().expect("a number")).sum()
}

/// Waits until the job fires again.
fn fires(home: &Home) {
    let before = n_fires(home);
    look_until("the next fire", || (n_fires(home) > before).then_some(()));
}

fn pid_of(running: &Running) -> u32 {
    running.pid().as_raw_nonzero().get().cast_unsigned()
}

/// Asks for the engine as `face` and dies without hearing the answer.
fn ask_and_die(home: &Home, face: &str, version: &str) {
    let mut stream = UnixStream::connect(home.data().join("control.sock")).expect("it listens");
    let mut lines = BufReader::new(stream.try_clone().expect("a copy"));
    let hello = r#"{"jsonrpc":"2.0","id":1,"method":"hello","params":{"protocol":1,"client":"t"}}"#;
    writeln!(stream, "{hello}").expect("it hears");
    lines.read_line(&mut String::new()).expect("it answers");
    let params = format!(r#"{{"face":"{face}","version":"{version}"}}"#);
    writeln!(stream, r#"{{"jsonrpc":"2.0","id":2,"method":"engine.hand_over","params":{params}}}"#)
        .expect("sent");
}

/// A window's engine, in this process.
fn window(home: &Home) -> Service {
    let dir = DataDir::open(home.data()).expect("it opens");
    let seat = succeed(&dir, ProcessKind::Window).expect("it is handed over");
    let engine = options();
    let (face, parts, raise) = (ProcessKind::Window, Mode::All, None);
    Service::open(seat, Settings::default(), ServiceOptions { face, parts, engine, raise }).expect("it opens")
}

#[test]
fn a_successor_that_asks_and_dies_takes_nothing_with_it() {
    let home = home_with_a_job();
    let mut serving = serve(&home);
    for (face, version) in [("window", "0.2.0"), ("serve", "99.0.0"), ("window", "99.0.0")] {
        ask_and_die(&home, face, version);
        fires(&home);
    }
    // One that dies with the seat in its hands.
    let dir = DataDir::open(home.data()).expect("it opens");
    drop(succeed(&dir, ProcessKind::Window).expect("it is handed over"));
    serving.hear("the engine is back");
    fires(&home);
    assert_eq!(client(&home).welcome().engine.pid, pid_of(&serving));
    ended(serving);
}

#[test]
fn serve_stands_by_while_a_window_is_the_engine_and_gets_its_place_back() {
    let home = home_with_a_job();
    let mut serving = serve(&home);
    let service = window(&home);
    serving.hear("standing by");
    fires(&home);
    // Another one is refused as ever.
    home.say(&["serve"]).check(4, &["the window"]);
    // It closes, and nothing in between is free.
    service.leave_behind(ShutdownKind::LeaveSteps, ServeFor::Good).expect("it is taken over");
    serving.hear("the engine is back");
    fires(&home);
    // As often as one likes.
    let service = window(&home);
    serving.hear("standing by");
    drop(service);
    serving.hear("the engine is back");
    fires(&home);
    ended(serving);
}

#[test]
fn serve_that_is_to_wait_does_so_where_a_window_or_a_server_is_and_serves_when_that_has_ended() {
    let home = home_with_a_job();
    for is_window in [true, false] {
        let (service, serving, refusal) = match is_window {
            true => (Some(window(&home)), None, "the window (process"),
            false => (None, Some(serve(&home)), "`leverframe serve` runs already"),
        };
        home.say(&["serve"]).check(4, &[refusal]);
        // Ctrl-C ends the waiting, and nothing else.
        let mut waiting = home.start(&["serve", "--wait"]);
        waiting.hear("standing by");
        waiting.signal(Signal::INT);
        waiting.end().check(0, &["the engine goes on where it is"]);
        fires(&home);
        let mut waiting = home.start(&["serve", "--wait"]);
        waiting.hear("standing by");
        assert_ne!(client(&home).welcome().engine.pid, pid_of(&waiting));
        drop(service);
        serving.into_iter().for_each(ended);
        waiting.hear("serving");
        assert_eq!(client(&home).welcome().engine.pid, pid_of(&waiting));
        fires(&home);
        ended(waiting);
    }
}

#[test]
fn jobs_go_on_also_when_the_window_stops_or_freezes_what_runs() {
    for (kind, expected) in [(ShutdownKind::StopRuns, "stopped"), (ShutdownKind::FreezeRuns, "paused")] {
        let home = home_with_a_job();
        home.pipeline("long.toml", "id = \"long\"\n[[step]]\nid = \"a\"\nrun = \"sleep 600\"\n");
        let mut serving = serve(&home);
        let service = window(&home);
        serving.hear("standing by");
        let bus = service.engine().bus().subscribe();
        let start: Value = client(&home)
            .call(&serde_json::json!({"method": "run.start", "params": {"pipeline": "long", "run_id": "r"}}))
            .expect("it starts");
        assert_eq!(start["run_id"], "r");
        wait_for(&bus, "the step's start", |event| {
            event.kind.name() == "step_started" && event.run_id == Some(run_id("r"))
        });
        service.leave_behind(kind, ServeFor::Good).expect("it is taken over");
        serving.hear("the engine is back");
        assert_eq!(state(&home, "r"), expected);
        fires(&home);
        if expected == "paused" {
            home.say(&["stop", "r", "--force"]).check(0, &[]);
        }
        ended(serving);
    }
}

#[test]
fn serve_ends_while_it_stands_by_when_it_is_told_so() {
    let home = home_with_a_job();
    let mut serving = serve(&home);
    let service = window(&home);
    serving.hear("standing by");
    serving.signal(Signal::TERM);
    serving.end().check(0, &["the engine goes on where it is"]);
    fires(&home);
    drop(service);
}

/// Kills who gives the engine away, who takes it, or both, at any moment; the jobs go on, and each instant is in the
/// ledger once.
#[test]
fn whoever_is_killed_while_the_engine_changes_hands_the_ledger_stays_whole() {
    let home = home_with_a_job();
    home.pipeline("short.toml", "id = \"short\"\n[[step]]\nid = \"a\"\nrun = \"sleep 0.3\"\n");
    for round in 0..rounds("LEVERFRAME_CAMPAIGN_DEATHS", DEATHS) {
        let run_id = format!("r{round}");
        let mut giver = home.start(&["run", "short", "--run-id", &run_id]);
        giver.hear("started");
        let taker = home.start(&["serve"]);
        // A different moment in each round, over what a hand-over takes.
        let_pass(Duration::from_millis((round as u64 * 37) % 150));
        let dying: &[&Running] = match round % 3 {
            0 => &[&giver],
            1 => &[&taker],
            _ => &[&giver, &taker],
        };
        dying.iter().for_each(|it| kill(pid_of(it)));
        let serving = if round % 3 == 0 { taker } else { serve(&home) };
        fires(&home);
        look_until("the end of the run", || (state(&home, &run_id) == "completed").then_some(()));
        giver.end();
        assert_eq!(home.json(&["show", &run_id])["steps"][0]["attempt"], 1, "round {round}: it ran once");
        ended(serving);
    }
    let fires = home.json(&["schedule", "fires", "tick"]);
    let mut due: Vec<&str> = fires
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| row["due_at"].as_str().expect("an instant"))
        .collect();
    let n_rows = due.len();
    due.sort_unstable();
    due.dedup();
    assert_eq!(due.len(), n_rows, "no instant stands there twice");
    home.say(&["doctor"]).check(0, &[]);
}

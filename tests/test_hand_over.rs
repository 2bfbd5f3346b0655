//! One engine, many clients: whoever comes second becomes a client of the first, and the engine's lease passes from one
//! process to the next without a step, an event or a moment being lost. Through the real program.

mod ending;
mod standby;
mod stopped;
mod upgrade;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use leverframe::api::{EndQuiet, GetStatus, ProcessKind};
use leverframe::control::wire::EventFilter;
use leverframe::control::{Connection, ControlClient};
use leverframe::daemon::{Joined, join};
use leverframe::store::DataDir;
use rustix::process::Signal;
use serde_json::Value;

use crate::support::DEADLINE;
use crate::support::process::{is_gone, look_until, processes_of, state_of};
use crate::test_command_line::{Home, Running, TWO_STEPS, waiting};

/// How often two programs start at the same instant; the long form is 200.
const ROUNDS: usize = 25;

/// A pipeline of `n` short steps, each of which writes down that it ran.
fn short_steps(n: usize, ran: &Path) -> String {
    let step =
        |i| format!("[[step]]\nid = \"s{i}\"\nrun = \"echo s{i} >> '{}'; sleep 0.05\"\n", ran.display());
    std::iter::once("id = \"short\"\n".to_owned()).chain((0..n).map(step)).collect()
}

/// How many rounds a campaign takes: as the variable says, else `default`.
fn rounds(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().map_or(default, |n| n.parse().expect("a number of rounds"))
}

fn pid_in(line: &str) -> u32 {
    let digits = line.rsplit_once("process ").or(line.rsplit_once("pid ")).expect("it names a process").1;
    digits.trim_end_matches([')', ' ']).parse().expect("a number")
}

fn serve(home: &Home) -> Running {
    let mut serving = home.start(&["serve"]);
    serving.hear("serving");
    serving
}

fn state(home: &Home, id: &str) -> String {
    home.json(&["show", id])["state"].as_str().expect("a state").to_owned()
}

pub(crate) fn client(home: &Home) -> ControlClient {
    ControlClient::connect(&home.data(), "test 1").expect("it answers").expect("an engine lives")
}

fn ended(running: Running) {
    running.signal(Signal::TERM);
    running.end().check(0, &[]);
}

#[test]
fn a_run_goes_through_the_engine_that_lives() {
    let home = Home::new();
    home.pipeline("two.toml", TWO_STEPS);
    let serving = serve(&home);
    let said = home.say(&["run", "two", "--run-id", "r", "--param", "n=7"]);
    said.check(0, &["through the engine that is running (serve", "run r completed"]);
    let log = std::fs::read_to_string(home.data().join("logs/r/first.1.log")).expect("a log");
    assert_eq!(log, "n is 7\n");
    // What is wrong is told with the number that it has without an engine.
    home.say(&["run", "two", "--run-id", "r"]).check(2, &["there is a run r already"]);
    home.say(&["run", "none"]).check(3, &["none"]);
    home.say(&["run", "two", "--param", "colour=blue"]).check(2, &["colour"]);
    home.say(&["resume", "nobody"]).check(3, &["there is no run nobody"]);
    // The same again.
    home.say(&["run", "--like", "r", "--run-id", "again"]).check(0, &["run again completed"]);
    assert_eq!(home.json(&["show", "again"])["params"]["n"], "7");
    ended(serving);
    assert_eq!(state(&home, "again"), "completed");
}

#[test]
fn a_file_is_found_from_where_the_caller_is() {
    let home = Home::new();
    home.file("here/two.toml", TWO_STEPS);
    let serving = serve(&home);
    let mut command = home.command(["run", "two.toml", "--run-id", "r"]);
    let here = home.data().parent().expect("a folder").join("here");
    Running::listen({
        command.current_dir(here);
        command
    })
    .end()
    .check(0, &["run r completed"]);
    ended(serving);
}

#[test]
fn levers_work_from_another_process() {
    let home = Home::new();
    home.pipeline("waiting.toml", &waiting(home.data().parent().expect("a folder"), ""));
    let serving = serve(&home);
    let mut run = home.start(&["run", "waiting", "--run-id", "r"]);
    let pid = pid_in(&run.hear("step wait 10 %: pid"));
    home.say(&["pause", "r"]).check(0, &["run r paused"]);
    assert_eq!(state_of(pid), Some('T'));
    run.hear("run r paused");
    home.say(&["pause", "r"]).check(2, &["paused"]);
    let mut resume = home.start(&["resume", "r"]);
    resume.hear("goes on");
    run.hear("goes on");
    look_until("the thaw", || (state_of(pid) != Some('T')).then_some(()));
    home.say(&["stop", "r"]).check(0, &["run r stopped"]);
    run.end().check(130, &["run r stopped"]);
    resume.end().check(130, &["run r stopped"]);
    home.say(&["stop", "r"]).check(2, &["stopped"]);
    home.file("go", "");
    home.say(&["resume", "r"]).check(0, &["run r completed"]);
    home.say(&["retry", "r", "--from", "wait"]).check(0, &["run r completed"]);
    assert_eq!(home.json(&["show", "r"])["steps"][0]["attempt"], 3);
    ended(serving);
}

#[test]
fn levers_work_where_no_engine_lives() {
    let home = Home::new();
    home.pipeline("waiting.toml", &waiting(home.data().parent().expect("a folder"), ""));
    let mut run = home.start(&["run", "waiting", "--run-id", "r"]);
    let pid = pid_in(&run.hear("step wait 10 %: pid"));
    run.signal(Signal::KILL);
    run.end();
    home.say(&["pause", "r"]).check(0, &["run r paused"]);
    assert_eq!(state_of(pid), Some('T'));
    assert_eq!(state(&home, "r"), "paused");
    home.say(&["stop", "r", "--force"]).check(0, &["force-stopped"]);
    look_until("the end of the step", || is_gone(pid).then_some(()));
    home.say(&["stop", "r"]).check(2, &["force_stopped"]);
    home.say(&["stop", "nobody"]).check(3, &["there is no run nobody"]);
}

#[test]
fn an_engine_that_is_killed_is_replaced_by_whoever_follows_a_run() {
    let home = Home::new();
    home.pipeline("waiting.toml", &waiting(home.data().parent().expect("a folder"), ""));
    let serving = serve(&home);
    let mut run = home.start(&["run", "waiting", "--run-id", "r"]);
    let pid = pid_in(&run.hear("step wait 10 %: pid"));
    serving.signal(Signal::KILL);
    serving.end();
    run.hear("this process takes over the run");
    home.file("go", "");
    run.end().check(0, &["run r completed"]);
    assert_eq!(home.json(&["show", "r"])["steps"][0]["attempt"], 1);
    assert!(is_gone(pid));
}

#[test]
fn what_others_started_goes_on_when_the_first_run_has_ended() {
    let home = Home::new();
    let folder = home.data().parent().expect("a folder").to_owned();
    home.pipeline("waiting.toml", &waiting(&folder, ""));
    let two_steps = waiting(&folder, "").replace("\"waiting\"", "\"other\"").replace("\"go\"", "\"go2\"");
    let other = two_steps
        .replace(&folder.join("go").display().to_string(), &folder.join("go2").display().to_string());
    home.pipeline("other.toml", &format!("{other}\n[[step]]\nid = \"then\"\nrun = \"echo then\"\n"));
    let mut first = home.start(&["run", "waiting", "--run-id", "first"]);
    first.hear("step wait 10 %: pid");
    // A second one, whose starter looks away.
    let mut second = home.start(&["run", "other", "--run-id", "second"]);
    let engine = pid_in(&second.hear("through the engine that is running (run"));
    assert_eq!(engine, first.pid().as_raw_nonzero().get().cast_unsigned());
    second.hear("step wait 10 %: pid");
    second.signal(Signal::TERM);
    second.end().check(128 + 15, &["goes on"]);
    home.file("go", "");
    first.end().check(0, &["run first completed", "go on in the background"]);
    // Its steps to come are started, though nobody looks on.
    home.file("go2", "");
    look_until("the end of the second run", || (state(&home, "second") == "completed").then_some(()));
    look_until("the end of all processes", || processes_of(&home.data()).is_empty().then_some(()));
    look_until("the end of the engine", || {
        ControlClient::connect(&home.data(), "test 1").expect("no trouble").is_none().then_some(())
    });
}

#[test]
fn of_two_that_start_at_once_one_is_the_engine_and_the_other_its_client() {
    for round in 0..rounds("LEVERFRAME_CAMPAIGN_ROUNDS", ROUNDS) {
        let home = Home::new();
        home.pipeline("two.toml", TWO_STEPS);
        let both = ["a", "b"].map(|id| home.start(&["run", "two", "--run-id", id]));
        for (run, id) in both.into_iter().zip(["a", "b"]) {
            let said = run.end();
            assert_eq!(said.code, 0, "round {round}: {said:?}");
            said.check(0, &[&format!("run {id} completed")]);
        }
        for id in ["a", "b"] {
            let document = home.json(&["show", id]);
            for step in document["steps"].as_array().expect("steps") {
                assert_eq!(
                    (&step["attempt"], &step["state"]),
                    (&1.into(), &"completed".into()),
                    "round {round}"
                );
            }
        }
    }
}

#[test]
fn serve_takes_over_from_a_foreground_run_which_follows_it() {
    let home = Home::new();
    let folder = home.data().parent().expect("a folder").to_owned();
    let ran = folder.join("ran");
    home.pipeline("short.toml", &short_steps(40, &ran));
    let mut run = home.start(&["run", "short", "--run-id", "r"]);
    run.hear("step s3 completed");
    let serving = serve(&home);
    run.hear("the engine is now another one (serve");
    let said = run.end();
    said.check(0, &["step s39 completed", "run r completed"]);
    // Of every step it was told once.
    for i in 0..40 {
        assert_eq!(said.out.matches(&format!("step s{i} completed")).count(), 1, "s{i}: {}", said.out);
    }
    let expected: String = (0..40).map(|i| format!("s{i}\n")).collect();
    assert_eq!(std::fs::read_to_string(&ran).expect("they ran"), expected);
    home.say(&["serve"]).check(4, &["serve` runs already"]);
    ended(serving);
}

#[test]
fn a_newer_program_gets_the_seat_and_nobody_slips_in_between() {
    let home = Home::new();
    let mut serving = serve(&home);
    let dir = DataDir::open(home.data()).expect("it opens");
    let newer = serde_json::json!({
        "method": "engine.hand_over", "params": {"face": "serve", "version": "99.0.0"},
    });
    let asker = client(&home);
    let watcher = client(&home);
    let events = watcher.subscribe(EventFilter::default()).expect("it listens");
    let handed: leverframe::control::HandedOver<Value> =
        asker.call_with_descriptors(&newer).expect("it leaves");
    assert_eq!(handed.descriptors.len(), 2);
    serving.hear("handed over to serve");
    // The one who held it has ended its engine, and still it is not free.
    dir.lock().expect_err("the lock was passed on");
    assert!(events.recv_timeout(DEADLINE).is_none(), "nothing happens");
    let notice = watcher.closing().expect("it said why");
    assert!(notice.reason.contains("handed over"), "{notice:?}");
    assert_eq!(handed.answer["seq"], notice.seq);
    // Only when the new holder lets go; it has never served, so that the old one does again.
    drop(handed);
    serving.hear("the engine is back");
    assert!(matches!(join(&dir).expect("it answers"), Joined::Client(_)));
    ended(serving);
}

#[test]
fn a_connection_asks_the_next_engine_and_follows_its_events_without_a_gap() {
    let home = Home::new();
    let ran = home.data().parent().expect("a folder").join("ran");
    home.pipeline("short.toml", &short_steps(40, &ran));
    let mut run = home.start(&["run", "short", "--run-id", "r"]);
    run.hear("step s3 completed");
    let connection = Arc::new(Connection::open(&home.data()).expect("it answers").expect("an engine lives"));
    let first = connection.ask(&GetStatus {}).expect("it answers");
    let filter = EventFilter {
        since: Some(first.seq),
        types: Some(vec!["step_finished".to_owned()]),
        ..EventFilter::default()
    };
    let mut events = connection.follow(filter, Arc::new(|| {})).expect("it listens");
    // A command and a question at any moment of the hand-over: one of the two engines answers.
    let asking = std::thread::spawn(move || {
        loop {
            connection.ask(&EndQuiet {}).expect("it is done");
            if connection.ask(&GetStatus {}).expect("it answers").engine.face == ProcessKind::Serve {
                return;
            }
        }
    });
    let serving = serve(&home);
    asking.join().expect("no panic");
    // What the next engine has told meanwhile is not lost either.
    run.hear("the engine is now another one (serve");
    run.hear("step s30 completed");
    let mut heard = Vec::new();
    while heard.last().is_none_or(|step| step != "s39") {
        let event = events.recv().expect("an engine lives");
        heard.push(event.kind.step().expect("of a step").step_id.to_string());
    }
    let all: Vec<_> = (0..40).map(|i| format!("s{i}")).collect();
    // From those of the first engine on: there is no gap where the next one took over.
    assert!(all.ends_with(&heard) && heard.len() > 30, "{heard:?}");
    run.end().check(0, &["run r completed"]);
    ended(serving);
}

#[test]
fn whoever_may_not_take_over_is_told_why() {
    let home = Home::new();
    let serving = serve(&home);
    let asker = client(&home);
    for (face, version) in [("serve", "0.0.1"), ("run", "99.0.0"), ("library", "99.0.0")] {
        let request = serde_json::json!({
            "method": "engine.hand_over", "params": {"face": face, "version": version},
        });
        let refused = asker.call::<Value>(&request).expect_err("it stays");
        assert!(!refused.to_string().is_empty());
    }
    // It goes on as if nothing had been.
    home.pipeline("two.toml", TWO_STEPS);
    home.say(&["run", "two", "--run-id", "r"]).check(0, &["run r completed"]);
    ended(serving);
}

#[test]
fn a_server_in_the_background_says_when_it_serves_and_leaves_its_log() {
    let home = Home::new();
    home.pipeline("waiting.toml", &waiting(home.data().parent().expect("a folder"), ""));
    let said = home.json(&["serve", "--detach"]);
    let pid = u32::try_from(said["pid"].as_u64().expect("a process")).expect("a pid");
    home.say(&["serve", "--detach"]).check(4, &["it does not serve", "runs already"]);
    let mut run = home.start(&["run", "waiting", "--run-id", "r"]);
    let step = pid_in(&run.hear("step wait 10 %: pid"));
    run.signal(Signal::HUP);
    run.end().check(128 + 1, &["goes on"]);
    // Told to end it leaves the step alone.
    crate::support::process::signal(pid, Signal::TERM);
    look_until("the end of the server", || is_gone(pid).then_some(()));
    assert!(!is_gone(step));
    let log = std::fs::read_to_string(home.data().join("serve.log")).expect("a log");
    assert!(log.contains("run r started"), "{log}");
    // The next one takes it back, and stops it when it is told so.
    let serving = {
        let mut serving = home.start(&["serve", "--stop-runs"]);
        serving.hear("serving");
        serving
    };
    ended(serving);
    assert_eq!(state(&home, "r"), "stopped");
    look_until("the end of the step", || is_gone(step).then_some(()));
}

#[test]
fn fifty_running_steps_are_handed_over_unnoticed() {
    let home = Home::new();
    let folder = home.data().parent().expect("a folder").to_owned();
    let go = folder.join("go");
    let step = |i: usize| {
        format!(
            "[[step]]\nid = \"s{i}\"\nneeds = []\nrun = \"until [ -e '{}' ]; do sleep 0.2; done\"\n",
            go.display()
        )
    };
    let text: String =
        std::iter::once("id = \"wide\"\nmax_parallel = 50\n".to_owned()).chain((0..50).map(step)).collect();
    home.pipeline("wide.toml", &text);
    let mut run = home.start(&["run", "wide", "--run-id", "r"]);
    for _ in 0..50 {
        run.hear("started (attempt 1");
    }
    let before = Instant::now();
    let serving = serve(&home);
    let took = before.elapsed();
    run.hear("the engine is now another one");
    let watcher = client(&home);
    let snapshot: Value =
        watcher.call(&serde_json::json!({"method": "engine.snapshot", "params": {}})).expect("it answers");
    let steps = snapshot["runs"][0]["steps"].as_array().expect("steps");
    assert_eq!(steps.iter().filter(|step| step["state"] == "running" && step["attempt"] == 1).count(), 50);
    home.file("go", "");
    run.end().check(0, &["run r completed"]);
    println!("fifty running steps: from the start of `serve` to its first line {took:?}");
    ended(serving);
}

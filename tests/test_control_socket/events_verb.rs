//! `leverframe events`: the verb hears what any client hears.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use leverframe::control::wire::EventFilter;
use leverframe::run::RunSummary;
use serde_json::Value;

use super::hall::Hall;
use crate::support::PROGRAM;

fn verb(hall: &Hall, args: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.arg("--data-dir").arg(&hall.bench.data_dir).arg("events").args(args);
    command
}

#[test]
fn what_was_told_is_printed_and_what_comes_is_followed_to_the_end() {
    let hall = Hall::open();
    hall.write_pipeline("p", "true");
    let client = hall.client();
    let events = client.subscribe(EventFilter::default()).expect("it subscribes");
    let start = || -> RunSummary {
        let run = client.call(&leverframe::api::Command::start("p"));
        let run: RunSummary = run.expect("it starts");
        hall.hear(&events, "execution_completed");
        run
    };
    let (first, second) = (start(), start());

    let output = verb(&hall, &["--json", "--run", second.run_id.as_str()]).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Vec<Value> = String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).expect("an event a line"))
        .collect();
    assert_eq!(told.first().expect("events")["event"], "execution_started");
    assert_eq!(told.last().expect("events")["event"], "execution_completed");
    assert!(told.iter().all(|event| event["run_id"] == second.run_id.as_str()));

    let output = verb(&hall, &[]).output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains(&format!("{}: run {} started", first.run_id, first.run_id)), "{text}");

    let since = told.last().expect("events")["seq"].to_string();
    let mut follow = verb(&hall, &["--follow", "--json", "--since", &since]);
    let mut child = follow.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let third = start();
    let line = lines.next().expect("an event").expect("a line");
    let event: Value = serde_json::from_str(&line).expect("an event a line");
    assert_eq!(event["run_id"], third.run_id.as_str());
    drop((events, client));
    let _bench = hall.close("the test is over");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("the test is over"));
}

#[test]
fn without_an_engine_the_verb_says_so() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut command = Command::new(PROGRAM);
    let output = command.arg("--data-dir").arg(dir.path()).arg("events").output().expect("it runs");
    assert_eq!(output.status.code(), Some(6), "{}", String::from_utf8_lossy(&output.stderr));
}

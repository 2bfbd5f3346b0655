//! Data directories of the first two releases, brought forward by this one.

use std::fs;
use std::path::Path;

use rusqlite::Connection;
use serde_json::Value;

use super::super::support::process::look_until;
use crate::test_command_line::Home;

/// Makes the data directory that a release left when it was killed with everything that it ran.
fn left_by(release: &str) -> Home {
    let home = Home::new();
    let dir = home.data();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(release), &dir);
    for file in ["checkpoints.sql", "scheduler.sql", "samples.sql"].map(|name| dir.join(name)) {
        if let Ok(text) = fs::read_to_string(&file) {
            let db = Connection::open(file.with_extension("db")).expect("a database");
            db.execute_batch(&text.replace("@DIR@", &dir.display().to_string())).expect("it is read back");
            fs::remove_file(file).expect("it is a copy");
        }
    }
    home
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder").map(|entry| entry.expect("an entry")) {
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() { copy(&from, &to) } else { assert!(fs::copy(from, to).is_ok()) }
    }
}

#[test]
fn what_the_first_release_wrote_is_read_and_goes_on() {
    let home = left_by("first_release");
    let states: Vec<_> = home
        .json(&["runs"])
        .as_array()
        .expect("runs")
        .iter()
        .map(|run| {
            (
                run["run_id"].as_str().expect("an id").to_owned(),
                run["state"].as_str().expect("a state").to_owned(),
            )
        })
        .collect();
    let expected = [("cut-off", "running"), ("all-done", "completed"), ("failed-at-load", "failed")];
    assert_eq!(states, expected.map(|(id, state)| (id.to_owned(), state.to_owned())));
    assert_eq!(home.json(&["checkpoints", "all-done"])[0]["data"]["page"], 3);
    home.say(&["logs", "all-done"]).check(0, &["fetching", "loaded", "tidied"]);

    // The engine takes the lost run up again, from its second step.
    home.file("data/pipelines/go", "");
    let mut serving = home.start(&["serve"]);
    serving.hear("serving");
    let cut_off = look_until("the lost run running again", || {
        let run = home.json(&["show", "cut-off"]);
        (run["state"] == "running" && run["steps"][1]["state"] == "running").then_some(run)
    });
    assert_eq!((&cut_off["steps"][0]["attempt"], &cut_off["steps"][1]["attempt"]), (&1.into(), &2.into()));
    home.say(&["stop", "cut-off", "--force"]).check(0, &["force-stopped"]);
    // And what had failed is resumed where it failed.
    home.say(&["resume", "failed-at-load"])
        .check(0, &["step load completed", "run failed-at-load completed"]);
    serving.signal(rustix::process::Signal::TERM);
    serving.end().check(0, &[]);
}

#[test]
fn a_directory_of_a_newer_release_is_refused_and_not_touched() {
    let home = left_by("first_release");
    let path = home.data().join("checkpoints.db");
    Connection::open(&path).expect("a database").pragma_update(None, "user_version", 99).expect("it is ours");
    let before = fs::read(&path).expect("it is there");
    for args in [&["serve"][..], &["run", "nightly"], &["runs"]] {
        home.say(args).check(5, &["newer"]);
    }
    assert_eq!(fs::read(&path).expect("it is there"), before);
}

/// The runs of the second release that did not end by themselves, with their states.
fn unfinished(home: &Home) -> Vec<(String, String)> {
    let text = |run: &Value, name: &str| run[name].as_str().expect("a text").to_owned();
    let runs = home.json(&["runs", "--pipeline", "long"]);
    let runs = runs.as_array().expect("runs").iter();
    runs.map(|run| (text(run, "run_id"), text(run, "state"))).collect()
}

#[test]
fn what_the_second_release_wrote_is_read_and_goes_on() {
    let home = left_by("second_release");
    let states = [("waiting", "queued"), ("ending", "running"), ("frozen", "paused"), ("cut-off", "running")];
    assert_eq!(unfinished(&home), states.map(|(id, state)| (id.to_owned(), state.to_owned())));
    assert_eq!(home.json(&["checkpoints", "all-done"])[0]["data"]["page"], 3);
    home.say(&["logs", "all-done"]).check(0, &["fetching", "loaded", "tidied"]);
    home.say(&["why", "waiting"]).check(0, &["queued, and no engine is running"]);
    home.say(&["schedule", "list"]).check(0, &["by-hand", "from-file", "off", "often", "then"]);
    home.say(&["schedule", "fires", "often"]).check(0, &["quick-20261126185927"]);
    home.say(&["stats", "quick"]).check(0, &["only"]);

    let mut serving = home.start(&["serve"]);
    serving.hear("serving");
    let is_second_again = |run_id: &str| {
        let run = home.json(&["show", run_id]);
        run["state"] == "running" && run["steps"][1]["state"] == "running" && run["steps"][1]["attempt"] == 2
    };
    look_until("both lost runs running again", || {
        (is_second_again("cut-off") && is_second_again("ending")).then_some(())
    });
    // What was paused stays so, and its place stays taken, until the operator says otherwise.
    let held = home.json(&["show", "frozen"]);
    assert_eq!((&held["state"], &held["steps"][1]["pid"]), (&"paused".into(), &Value::Null));
    assert_eq!(home.json(&["show", "waiting"])["state"], "queued");
    for run_id in ["cut-off", "ending"] {
        home.say(&["stop", run_id, "--force"]).check(0, &["force-stopped"]);
    }
    look_until("the run that waited for a place", || {
        let run = home.json(&["show", "waiting"]);
        (run["state"] == "running" && run["steps"][1]["state"] == "running").then_some(())
    });
    let resumed = home.start(&["resume", "frozen"]);
    look_until("the run that was frozen", || is_second_again("frozen").then_some(()));
    for run_id in ["waiting", "frozen"] {
        home.say(&["stop", run_id, "--force"]).check(0, &["force-stopped"]);
    }
    resumed.end().check(130, &[]);

    // The jobs go on: one by hand, and the other after it.
    let n_runs = |job: &str| home.json(&["schedule", "show", job])["run_count"].as_u64().expect("a count");
    let (n_by_hand, n_then) = (n_runs("by-hand"), n_runs("then"));
    home.say(&["schedule", "run-now", "by-hand"]).check(0, &["completed"]);
    look_until("the run after it", || {
        (n_runs("by-hand") > n_by_hand && n_runs("then") > n_then).then_some(())
    });
    serving.signal(rustix::process::Signal::TERM);
    serving.end().check(0, &[]);
    home.say(&["doctor"]).check(0, &[]);
}

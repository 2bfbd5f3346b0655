//! A data directory of the first release, brought forward by this one.

use std::fs;
use std::path::Path;

use rusqlite::Connection;

use super::super::support::process::look_until;
use crate::test_command_line::Home;

/// Makes the data directory that version 0.1.0 left when it was killed.
fn first_release() -> Home {
    let home = Home::new();
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/first_release");
    copy(&fixture, &home.data());
    let sql = home.data().join("checkpoints.sql");
    let text =
        fs::read_to_string(&sql).expect("the fixture").replace("@DIR@", &home.data().display().to_string());
    fs::remove_file(sql).expect("it is a copy");
    let db = Connection::open(home.data().join("checkpoints.db")).expect("a database");
    db.execute_batch(&text).expect("it is read back");
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
    let home = first_release();
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
    let home = first_release();
    let path = home.data().join("checkpoints.db");
    Connection::open(&path).expect("a database").pragma_update(None, "user_version", 99).expect("it is ours");
    let before = fs::read(&path).expect("it is there");
    for args in [&["serve"][..], &["run", "nightly"], &["runs"]] {
        home.say(args).check(5, &["newer"]);
    }
    assert_eq!(fs::read(&path).expect("it is there"), before);
}

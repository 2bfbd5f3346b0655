//! `why`, `admit`, `quiet` and `drain`, through the real program: with an engine that lives and without one.

use serde_json::Value;

use super::measuring::{ended, folder, serve};
use super::{Home, TWO_STEPS};
use crate::support::process::{look_until, wait_frozen};

/// A pipeline that lasts until a file is there, and says when its step lives.
fn patient(home: &Home, head: &str) -> String {
    let here = folder(home);
    format!(
        "{head}\n[[step]]\nid = \"wait\"\nrun = '''\necho $$ >> {0}/pids\nuntil [ -e {0}/go ]; do sleep 0.05; done\n'''\n",
        here.display()
    )
}

fn shown(home: &Home, run: &str) -> Option<Value> {
    serde_json::from_str(&home.say(&["show", run, "--json"]).out).ok()
}

fn wait_for_state(home: &Home, run: &str, state: &str) {
    look_until(&format!("{run} {state}"), || (shown(home, run)?["state"] == state).then_some(()));
}

fn pid(home: &Home) -> u32 {
    look_until("a pid", || {
        std::fs::read_to_string(folder(home).join("pids")).ok()?.lines().next()?.parse().ok()
    })
}

fn go(home: &Home) {
    std::fs::write(folder(home).join("go"), "").expect("a file");
}

#[test]
fn one_sentence_says_for_what_a_run_waits_and_what_to_do_and_admit_does_it() {
    let home = Home::new();
    home.file("data/settings.toml", "[groups]\nscrapers = 1\n");
    home.pipeline("first.toml", &patient(&home, "group = \"scrapers\""));
    home.pipeline("second.toml", &patient(&home, "group = \"scrapers\"\npriority = 3"));
    let serving = serve(&home);
    let first = home.start(&["run", "first", "--run-id", "f"]);
    wait_for_state(&home, "f", "running");
    let mut second = home.start(&["run", "second", "--run-id", "s"]);
    let sentence = "Waiting for a place in group scrapers: 1 of 1 taken; run f has one";
    second.hear(sentence);
    home.say(&["why", "s"]).check(0, &["queued", sentence, "`leverframe admit s` to start it anyway"]);
    let why = home.json(&["why", "s"]);
    assert_eq!(why["answers"][0]["text"], sentence);
    assert_eq!((&why["answers"][0]["holder"], &why["priority"]), (&"f".into(), &3.into()));
    // Whoever is frozen can be let go on: that is the thing to do then.
    home.say(&["pause", "f"]).check(0, &[]);
    let frozen = home.say(&["why", "s"]);
    frozen.check(0, &["run f has one (frozen ", "`leverframe resume f` to resume the frozen run, so that"]);
    home.say(&["why", "f"]).check(0, &["the operator has paused it", "`leverframe resume f`"]);
    home.say(&["admit", "s"]).check(0, &["run s is running"]);
    home.say(&["admit", "s"]).check(2, &["neither it nor one of its steps waits to be admitted"]);
    home.say(&["admit", "f"]).check(2, &["is paused"]);
    home.say(&["admit", "x"]).check(3, &["there is no run x"]);
    home.say(&["why", "x"]).check(3, &["there is no run x"]);
    home.say(&["resume", "f", "--help"]).check(0, &[]);
    go(&home);
    let resumed = home.start(&["resume", "f"]);
    for running in [first, second, resumed] {
        running.end().check(0, &["completed"]);
    }
    home.say(&["why", "s"]).check(0, &["It completed"]);
    ended(serving);
    home.say(&["admit", "s"]).check(6, &["no engine is running"]);
}

#[test]
fn quiet_freezes_what_runs_and_holds_what_comes_until_it_is_ended() {
    let home = Home::new();
    home.pipeline("patient.toml", &patient(&home, ""));
    home.pipeline("two.toml", TWO_STEPS);
    let serving = serve(&home);
    let running = home.start(&["run", "patient", "--run-id", "r"]);
    let pid = pid(&home);
    home.say(&["quiet", "--for", "2h"]).check(0, &["quiet until "]);
    wait_frozen(&[pid]);
    home.say(&["why", "r"]).check(0, &["Frozen", "it is quiet", "`leverframe quiet --off`"]);
    let mut held = home.start(&["run", "two", "--run-id", "t"]);
    held.hear("Waiting for the end of quiet at ");
    home.say(&["quiet", "--status"]).check(0, &["quiet until "]);
    assert!(home.json(&["quiet", "--status"])["quiet"]["until"].is_string());
    // Paused by hand, it stays frozen when the quiet is over.
    home.say(&["pause", "r"]).check(0, &[]);
    home.say(&["quiet", "--off"]).check(0, &["neither quiet nor draining"]);
    held.hear("run t completed");
    assert_eq!(home.json(&["show", "r"])["state"], "paused");
    let resumed = home.start(&["resume", "r"]);
    go(&home);
    running.end().check(0, &["run r completed"]);
    resumed.end().check(0, &["run r completed"]);
    held.end().check(0, &[]);
    ended(serving);
    for (args, texts) in [
        (&["quiet", "--for", "soon"][..], &["\"soon\" is not a duration"][..]),
        (&["quiet", "--until", "soon"], &["\"soon\" is not a time; write 15:00"]),
        (&["quiet", "--until", "2020-01-01T00:00:00Z"], &["the end of the quiet time is in the past"]),
        (&["quiet", "--off", "--for", "1h"], &["cannot be used with"]),
    ] {
        home.say(args).check(2, texts);
    }
}

#[test]
fn without_an_engine_quiet_freezes_what_the_supervisor_runs_and_the_next_engine_keeps_it() {
    let home = Home::new();
    home.pipeline("patient.toml", &patient(&home, ""));
    let running = home.start(&["run", "patient", "--run-id", "r"]);
    let pid = pid(&home);
    running.signal(rustix::process::Signal::TERM);
    running.end().check(143, &[]);
    home.say(&["quiet"]).check(0, &["quiet until further notice"]);
    wait_frozen(&[pid]);
    assert_eq!(home.json(&["show", "r"])["state"], "paused");
    let serving = serve(&home);
    assert_eq!(home.json(&["show", "r"])["state"], "paused");
    home.say(&["quiet", "--off"]).check(0, &[]);
    wait_for_state(&home, "r", "running");
    go(&home);
    wait_for_state(&home, "r", "completed");
    ended(serving);
    // With nothing that could be frozen it is recorded, and no more.
    home.say(&["quiet", "--until", "23:59"]).check(0, &["quiet until "]);
    assert!(home.json(&["quiet", "--status"])["quiet"].is_object());
    home.say(&["quiet", "--off"]).check(0, &[]);
}

#[test]
fn a_drain_waits_for_what_runs_and_outlives_the_engine() {
    let home = Home::new();
    home.pipeline("patient.toml", &patient(&home, ""));
    home.pipeline("two.toml", TWO_STEPS);
    let serving = serve(&home);
    let running = home.start(&["run", "patient", "--run-id", "r"]);
    pid(&home);
    let mut draining = home.start(&["drain", "--wait"]);
    draining.hear_all(&["draining: no run starts", "1 run is to end"]);
    let mut held = home.start(&["run", "two", "--run-id", "t"]);
    held.hear("Waiting: the engine drains and starts nothing new");
    go(&home);
    running.end().check(0, &["run r completed"]);
    draining.end().check(0, &[]);
    assert_eq!(home.json(&["show", "t"])["state"], "queued");
    ended(serving);
    held.signal(rustix::process::Signal::TERM);
    held.end();
    let serving = serve(&home);
    home.say(&["why", "t"]).check(0, &["drains", "`leverframe drain --off`"]);
    home.say(&["drain", "--off"]).check(0, &["neither quiet nor draining"]);
    wait_for_state(&home, "t", "completed");
    ended(serving);
}

#[test]
fn without_an_engine_a_drain_starts_nothing_of_what_one_has_left() {
    let home = Home::new();
    home.file("data/settings.toml", "[admission]\nmax_concurrent_runs = 1\n");
    home.pipeline("patient.toml", &patient(&home, ""));
    home.pipeline("two.toml", TWO_STEPS);
    let serving = serve(&home);
    let running = home.start(&["run", "patient", "--run-id", "r"]);
    pid(&home);
    let mut held = home.start(&["run", "two", "--run-id", "t"]);
    held.hear("Waiting for a place: 1 of 1 taken");
    for watching in [running, held] {
        watching.signal(rustix::process::Signal::TERM);
        watching.end();
    }
    serving.signal(rustix::process::Signal::KILL);
    serving.end();
    // There would be a place now.
    home.file("data/settings.toml", "");
    home.say(&["drain"]).check(0, &["draining: no run starts"]);
    assert_eq!(home.json(&["show", "t"])["state"], "queued");
    go(&home);
    home.say(&["drain", "--wait"]).check(0, &[]);
    assert_eq!(home.json(&["show", "r"])["state"], "completed");
    assert_eq!(home.json(&["show", "t"])["state"], "queued");
    // The engine that the order has left behind is there as long as it has something to do.
    home.say(&["drain", "--off"]).check(0, &[]);
    wait_for_state(&home, "t", "completed");
}

#[test]
fn why_tells_what_each_step_waits_for_why_a_run_failed_and_what_took_longer() {
    let home = Home::new();
    let head = "max_parallel = 1";
    let text = format!(
        "{}[[step]]\nid = \"after\"\nrun = \"true\"\n[[step]]\nid = \"beside\"\nneeds = []\nrun = \"true\"\n",
        patient(&home, head)
    );
    home.pipeline("patient.toml", &text);
    home.pipeline("fails.toml", "[[step]]\nid = \"bad\"\nrun = \"exit 3\"\n");
    let slow = "[[step]]\nid = \"work\"\nrun = \"sleep ${SLOW:-0}\"\n";
    home.pipeline("slow.toml", slow);
    let running = home.start(&["run", "patient", "--run-id", "r"]);
    pid(&home);
    home.say(&["why", "r"]).check(
        0,
        &[
            "It runs: step wait for ",
            "after: Waiting for step wait, which runs",
            "beside: Waiting for a slot of its run: 1 of 1 taken; step wait has one",
            "raise `max_parallel`",
        ],
    );
    go(&home);
    running.end().check(0, &[]);
    home.say(&["run", "fails", "--run-id", "f"]).check(1, &[]);
    let texts =
        ["It failed: step bad exited with code 3", "`leverframe resume f`", "bad: It exited with code 3"];
    home.say(&["why", "f"]).check(0, &texts);
    for n in 0..3 {
        home.say(&["run", "slow", "--run-id", &format!("quick-{n}")]).check(0, &[]);
    }
    let output = home.command(["run", "slow", "--run-id", "slow"]).env("SLOW", "2.6").output();
    super::said(output.expect("it runs")).check(0, &[]);
    home.say(&["why", "slow"]).check(0, &["slower: step work took ", "(median of 3)"]);
    assert_eq!(home.json(&["why", "quick-2"])["slower"], serde_json::json!([]));
}

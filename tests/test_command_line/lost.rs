//! A run whose engine, supervisor and steps were all killed, as the next one at a terminal finds it.

use std::path::Path;

use rustix::process::Signal;

use super::{Home, waiting};
use crate::support::process::{is_gone, look_until, processes_of, signal, state_of};

/// How often everything is killed; a longer campaign says so in `LEVERFRAME_CAMPAIGN_LOSSES`.
fn n_rounds() -> usize {
    let rounds = std::env::var("LEVERFRAME_CAMPAIGN_LOSSES").ok();
    rounds.map_or(2, |rounds| rounds.parse().expect("a number"))
}

/// Kills every process of the directory in one go, as a loss of power does, and waits until none is left.
fn kill_everything(data: &Path, but: &[u32]) -> Vec<u32> {
    let pids: Vec<u32> = processes_of(data).into_iter().filter(|pid| !but.contains(pid)).collect();
    pids.iter().for_each(|pid| signal(*pid, Signal::STOP));
    pids.iter().for_each(|pid| signal(*pid, Signal::KILL));
    for pid in &pids {
        look_until("the end of everything", || is_gone(*pid).then_some(()));
    }
    pids
}

/// A run of a step that waits, of which nothing is left.
fn lost_run(home: &Home, keys: &str) -> Vec<u32> {
    let script = "echo begun >> \"$HERE/begun\"\nuntil [";
    let text = waiting(&home.folder(), keys).replace("until [", script);
    let text = format!("env = {{ HERE = \"{}\" }}\n{text}", home.folder().display());
    let pipeline = home.file("waiting.toml", &text);
    let mut running = home.start(&["run", &pipeline, "--run-id", "r"]);
    running.hear("step wait 10 %: pid");
    look_until("the step at work", || (n_begun(home) == 1).then_some(()));
    let killed = kill_everything(&home.data(), &[]);
    running.end();
    killed
}

fn n_begun(home: &Home) -> usize {
    std::fs::read_to_string(home.folder().join("begun")).map_or(0, |text| text.lines().count())
}

fn decisions(home: &Home) -> Vec<String> {
    let shown = home.json(&["show", "r"]);
    let decisions = shown["decisions"].as_array().expect("a list").iter();
    decisions.map(|it| it["text"].as_str().expect("a text").to_owned()).collect()
}

#[test]
fn what_was_killed_with_everything_runs_again_when_it_is_resumed_and_nobody_calls_it_alive() {
    for round in 0..n_rounds() {
        let home = Home::new();
        let killed = lost_run(&home, "");
        if round % 2 == 0 {
            // Once nothing is left of them; else perhaps while process 1 has not reaped them yet.
            for pid in killed {
                look_until("the last of it", || state_of(pid).is_none().then_some(()));
            }
        }
        home.file("go", "");
        let said = home.say(&["resume", "r"]);
        said.check(0, &["recovery: wait (attempt 1)", "run r completed"]);
        assert!(!said.err.contains("is alive as process"), "{said:?}");
        assert_eq!(n_begun(&home), 2);
        assert_eq!(home.json(&["show", "r"])["steps"][0]["attempt"], 2);
        let decisions = decisions(&home);
        assert!(!decisions.is_empty(), "it stays in `show`");
        assert!(!decisions.iter().any(|text| text.contains("is alive as process")), "{decisions:?}");
    }
}

/// The rule is the step's, whoever drives the run: here a terminal that followed another engine, and takes over.
#[test]
fn a_run_that_a_terminal_follows_is_run_again_after_a_loss() {
    let home = Home::new();
    let text = waiting(&home.folder(), "");
    home.pipeline("waiting.toml", &text);
    let mut serving = home.start(&["serve"]);
    serving.hear("serv");
    let mut terminal = home.start(&["run", "waiting", "--run-id", "r"]);
    terminal.hear("step wait 10 %: pid");
    // It neither sees nor takes over anything before all is lost.
    terminal.signal(Signal::STOP);
    let pid = terminal.pid().as_raw_nonzero().get().cast_unsigned();
    let killed = kill_everything(&home.data(), &[pid]);
    for pid in
        killed.into_iter().filter(|killed| *killed != serving.pid().as_raw_nonzero().get().cast_unsigned())
    {
        look_until("the last of it", || state_of(pid).is_none().then_some(()));
    }
    serving.end();
    home.file("go", "");
    terminal.signal(Signal::CONT);
    terminal.end().check(0, &["runs again from its last checkpoint", "run r completed"]);
    assert_eq!(home.json(&["show", "r"])["steps"][0]["attempt"], 2);
}

#[test]
fn what_is_stopped_after_a_loss_is_not_begun_again_first() {
    let home = Home::new();
    lost_run(&home, "");
    home.say(&["stop", "r"]).check(0, &["recovery: wait (attempt 1)", "run r stopped"]);
    assert_eq!(n_begun(&home), 1, "it is not started only to be ended");
    assert_eq!(home.json(&["show", "r"])["state"], "stopped");
    home.file("go", "");
    home.say(&["resume", "r"]).check(0, &["run r completed"]);
}

#[test]
fn what_is_paused_after_a_loss_begins_when_it_is_resumed() {
    let home = Home::new();
    lost_run(&home, "");
    home.say(&["pause", "r"]).check(0, &["recovery: wait (attempt 1)"]);
    assert_eq!((n_begun(&home), &home.json(&["show", "r"])["state"]), (1, &"paused".into()));
    home.file("go", "");
    home.say(&["resume", "r"]).check(0, &["run r completed"]);
    assert_eq!(n_begun(&home), 2);
}

/// The news of a start and the first report come by different ways.
#[test]
fn a_step_that_reports_at_once_is_told_as_started_first() {
    let home = Home::new();
    // By the shell alone: a program for it would take longer than the news of its start.
    let report = r#"printf '{"progress": 0.5}\n' >> "$LEVERFRAME_REPORT"; sleep 0.2"#;
    let pipeline = home.file(
        "one.toml",
        &format!("[[step]]\nid = \"a\"\nrun = \"\"\"\n{}\"\"\"\n", report.replace('\\', "\\\\")),
    );
    for _ in 0..15 {
        let said = home.say(&["run", &pipeline, "--json"]);
        assert_eq!(said.code, 0, "{said:?}");
        let events =
            said.out.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
        let names: Vec<String> =
            events.filter_map(|event| event["event"].as_str().map(str::to_owned)).collect();
        let first = |name: &str| names.iter().position(|it| it == name).expect("it is told");
        assert!(first("step_started") < first("step_progress"), "{names:?}");
        assert!(first("execution_running") < first("execution_progress"), "{names:?}");
    }
}

#[test]
fn a_run_that_failed_halfway_says_how_far_it_came() {
    let home = Home::new();
    let step = |id: &str, run: &str| format!("[[step]]\nid = \"{id}\"\nrun = \"{run}\"\n");
    let text = [("one", "true"), ("two", "false"), ("three", "true"), ("four", "true")];
    let text: String = text.iter().map(|(id, run)| step(id, run)).collect();
    let pipeline = home.file("four.toml", &text);
    home.say(&["run", &pipeline, "--run-id", "r"]).check(1, &[]);
    assert_eq!(home.json(&["runs"])[0]["progress"], 0.25);
    home.say(&["show", "r"]).check(0, &["failed, 25 %"]);
}

/// The run ended while no engine lived: what a stop finds has ended already, and lived when it was looked up.
#[test]
fn a_stop_of_a_run_that_has_just_ended_says_how() {
    let home = Home::new();
    let pipeline = home.file("waiting.toml", &waiting(&home.folder(), ""));
    let mut running = home.start(&["run", &pipeline, "--run-id", "r"]);
    let line = running.hear("step wait 10 %: pid");
    let step: u32 = line.rsplit(' ').next().and_then(|pid| pid.parse().ok()).expect("a number");
    running.signal(Signal::KILL);
    running.end();
    home.file("go", "");
    // It is reaped once the supervisor knows how it ended.
    look_until("the step's end", || state_of(step).is_none().then_some(()));
    home.say(&["stop", "r"]).check(0, &["run r completed"]);
    home.say(&["stop", "r"]).check(2, &["run r is completed"]);
}

/// The engine that was asked has gone, and another one has seen the end: it is found on disk.
#[test]
fn a_stop_whose_end_was_seen_by_another_engine_ends_as_one_that_was_followed() {
    let home = Home::new();
    let text = waiting(&home.folder(), "").replace("until [", "trap '' TERM\nuntil [");
    let pipeline = home.file("waiting.toml", &text);
    let mut running = home.start(&["run", &pipeline, "--run-id", "r"]);
    running.hear("step wait 10 %: pid");
    let mut stopping = home.start(&["stop", "r"]);
    stopping.hear("stopping");
    stopping.signal(Signal::STOP);
    let pid = stopping.pid().as_raw_nonzero().get().cast_unsigned();
    look_until("it to stand still", || (state_of(pid) == Some('T')).then_some(()));
    running.signal(Signal::KILL);
    running.end();
    home.file("go", "");
    let mut serving = home.start(&["serve"]);
    serving.hear("run r stopped");
    serving.signal(Signal::TERM);
    serving.end();
    stopping.signal(Signal::CONT);
    stopping.end().check(0, &["run r stopped"]);
}

//! Runs that keep the machine awake: the real program on a real bus, and what logind is asked for and given back.

use std::fs;

use rustix::process::Signal;

use crate::support::logind::Logind;
use crate::support::process::{are_frozen, look_until};
use crate::test_command_line::{Home, Running};

/// A data directory with a pipeline that keeps the machine awake and one that does not, and a bus.
struct Night {
    logind: Logind,
    home: Home,
}

impl Night {
    fn new() -> Option<Self> {
        let night = Self { logind: Logind::start()?, home: Home::new() };
        write_pipelines(&night.home);
        Some(night)
    }

    fn start(&self, args: &[&str]) -> Running {
        let mut command = self.home.command(args);
        command.env("DBUS_SYSTEM_BUS_ADDRESS", self.logind.address());
        Running::listen(command)
    }

    fn serve(&self) -> Running {
        let mut serving = self.start(&["serve"]);
        serving.hear("serving");
        serving
    }

    /// Starts a run with a running server, and waits until its step is at work.
    fn run(&self, pipeline: &str, id: &str) -> Running {
        let mut run = self.start(&["run", pipeline, "--run-id", id]);
        run.hear("at work");
        run
    }
}

/// Their steps wait until there is a file of their run's name.
fn write_pipelines(home: &Home) {
    for (id, head) in [("night", "inhibit_sleep = true"), ("day", "")] {
        let step = "[[step]]\nid = \"wait\"\nrun = '''\n\"$LEVERFRAME_BIN\" report --message 'at work'\n\
            until [ -e \"$GO/go-$LEVERFRAME_RUN_ID\" ]; do sleep 0.05; done\n'''\n";
        let env = format!("env = {{ GO = \"{}\" }}", home.folder().display());
        home.pipeline(&format!("{id}.toml"), &format!("{head}\n{env}\n{step}"));
    }
}

fn let_go(home: &Home, run: &str) {
    fs::write(home.folder().join(format!("go-{run}")), "").expect("a file");
}

#[test]
fn the_machine_is_kept_awake_while_a_run_that_wants_it_runs_and_sleeps_when_all_are_paused_or_ended() {
    let Some(night) = Night::new() else { return };
    let (logind, home) = (&night.logind, &night.home);
    let serving = night.serve();
    let day = night.run("day", "day");
    assert!(logind.inhibitors().is_empty(), "nobody wants it");
    let first = night.run("night", "a");
    logind.wait_for(Some("run a runs"));
    let second = night.run("night", "b");
    assert_eq!(logind.inhibitors().len(), 1, "one is enough for all");
    home.say(&["pause", "a"]).check(0, &[]);
    logind.wait_for(Some("run b runs"));
    home.say(&["pause", "b"]).check(0, &[]);
    logind.wait_for(None);
    let resumed = night.start(&["resume", "a"]);
    logind.wait_for(Some("run a runs"));
    let_go(home, "a");
    first.end().check(0, &["run a completed"]);
    resumed.end().check(0, &[]);
    logind.wait_for(None);
    home.say(&["stop", "b"]).check(0, &[]);
    second.end().check(130, &[]);
    let_go(home, "day");
    day.end().check(0, &[]);
    serving.signal(Signal::TERM);
    let said = serving.end();
    assert!(!said.out.contains("awake"), "{said:?}");
    assert!(logind.inhibitors().is_empty());
}

#[test]
fn an_engine_that_is_killed_lets_the_machine_sleep_and_the_next_one_keeps_it_awake_again() {
    let Some(night) = Night::new() else { return };
    let serving = night.serve();
    let run = night.run("night", "a");
    night.logind.wait_for(Some("run a runs"));
    // It goes on with the run itself, else.
    run.signal(Signal::TERM);
    run.end();
    serving.signal(Signal::KILL);
    serving.end();
    night.logind.wait_for(None);
    let serving = night.serve();
    night.logind.wait_for(Some("run a runs"));
    let_go(&night.home, "a");
    night.logind.wait_for(None);
    serving.signal(Signal::TERM);
    serving.end().check(0, &[]);
}

#[test]
fn a_verb_in_the_foreground_keeps_the_machine_awake_and_not_while_ctrl_z_has_frozen_its_run() {
    let Some(night) = Night::new() else { return };
    let mut run = night.run("night", "a");
    night.logind.wait_for(Some("run a runs"));
    run.signal(Signal::TSTP);
    run.hear("the run is frozen");
    let pid = run.pid().as_raw_nonzero().get().cast_unsigned();
    look_until("the program stops", || are_frozen(&[pid]).then_some(()));
    night.logind.wait_for(None);
    run.signal(Signal::CONT);
    night.logind.wait_for(Some("run a runs"));
    let_go(&night.home, "a");
    run.end().check(0, &["run a completed"]);
    assert!(night.logind.inhibitors().is_empty());
}

#[test]
fn without_logind_it_is_said_once_and_everything_goes_on() {
    let home = Home::new();
    write_pipelines(&home);
    let start = |args: &[&str]| {
        let mut command = home.command(args);
        command.env("DBUS_SYSTEM_BUS_ADDRESS", format!("unix:path={}/no-bus", home.folder().display()));
        Running::listen(command)
    };
    let mut serving = start(&["serve"]);
    serving.hear("serving");
    let complaint = "the machine can't be kept awake for runs that ask for it: ";
    for id in ["a", "b"] {
        let mut run = start(&["run", "night", "--run-id", id]);
        run.hear("at work");
        if id == "a" {
            serving.hear(complaint);
        }
        let_go(&home, id);
        run.end().check(0, &["completed"]);
    }
    serving.signal(Signal::TERM);
    let said = serving.end();
    let n_said = said.out.matches(complaint).count();
    assert_eq!((said.code, n_said), (0, 1), "{said:?}");
    start(&["doctor"]).end().check(0, &["runs can't keep the machine awake: ", "systemd-logind"]);
}

#[test]
fn the_doctor_tries_whether_runs_can_keep_the_machine_awake_and_holds_nothing() {
    let Some(night) = Night::new() else { return };
    night.start(&["doctor"]).end().check(0, &["runs can keep the machine awake"]);
    assert!(night.logind.inhibitors().is_empty());
}

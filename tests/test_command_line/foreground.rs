//! Keys and signals while a run is in the foreground, and those who look on from elsewhere.

use std::process::{Command, Stdio};

use rustix::process::{Signal, WaitOptions, waitpid};

use super::{Home, Running, TWO_STEPS, said, waiting};

fn pid_in(line: &str) -> u32 {
    let (_, pid) = line.rsplit_once("pid ").expect("it names a pid");
    pid.trim_end_matches(')').trim().parse().expect("a number")
}

/// The state letter of a process; none when it is gone.
fn kernel_state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

fn go(home: &Home) {
    home.file("go", "");
}

#[test]
fn ctrl_c_stops_in_good_order_and_what_is_finally_runs() {
    let home = Home::new();
    let text = waiting(home.dir.path(), "");
    let pipeline = home.file(
        "waiting.toml",
        &format!("{text}\n[[step]]\nid = \"tidy\"\nfinally = true\nrun = \"echo tidied\"\n"),
    );
    let mut running = home.start(&["run", &pipeline, "--run-id", "r"]);
    running.hear("step wait 10 %: pid");
    running.signal(Signal::INT);
    running.hear("Ctrl-C again");
    running.end().check(130, &["step wait stopped", "step tidy completed", "run r stopped"]);
    assert_eq!(home.json(&["show", "r"])["state"], "stopped");
}

#[test]
fn a_second_ctrl_c_ends_a_step_that_does_not_listen() {
    let home = Home::new();
    let text = waiting(home.dir.path(), "").replace("run = '''\n", "run = '''\ntrap '' TERM\n");
    let pipeline = home.file("waiting.toml", &text);
    let mut running = home.start(&["run", &pipeline, "--run-id", "r"]);
    let pid = pid_in(&running.hear("step wait 10 %: pid"));
    running.signal(Signal::INT);
    running.hear("run r is stopping");
    running.signal(Signal::INT);
    running.hear("by force");
    running.end().check(130, &["run r force-stopped"]);
    assert_eq!(kernel_state(pid), None);
    assert_eq!(home.json(&["show", "r"])["state"], "force_stopped");
}

#[test]
fn ctrl_z_freezes_the_run_and_fg_lets_it_go_on() {
    let home = Home::new();
    let pipeline = home.file("waiting.toml", &waiting(home.dir.path(), ""));
    let mut running = home.start(&["run", &pipeline, "--run-id", "r"]);
    let pid = pid_in(&running.hear("step wait 10 %: pid"));
    running.signal(Signal::TSTP);
    running.hear("the run is frozen");
    let (_, status) = waitpid(Some(running.pid()), WaitOptions::UNTRACED).expect("a child").expect("news");
    assert!(status.stopped(), "{status:?}");
    assert_eq!(kernel_state(pid), Some('T'));
    let shown = home.json(&["show", "r"]);
    assert_eq!((&shown["state"], &shown["live"]), (&"paused".into(), &true.into()));
    running.signal(Signal::CONT);
    running.hear("goes on (it was paused)");
    go(&home);
    running.end().check(0, &["run r completed"]);
    assert!(home.json(&["show", "r"])["frozen_seconds"].as_f64().is_some_and(|seconds| seconds > 0.0));
}

#[test]
fn a_program_that_is_told_to_end_leaves_its_step_and_resume_takes_it_back() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129)] {
        let home = Home::new();
        let pipeline = home.file("waiting.toml", &waiting(home.dir.path(), ""));
        let mut running = home.start(&["run", &pipeline, "--run-id", "r"]);
        let pid = pid_in(&running.hear("step wait 10 %: pid"));
        running.signal(signal);
        running.end().check(code, &["go on to their end", "leverframe resume r"]);
        assert!(kernel_state(pid).is_some(), "the step lives");
        let run = &home.json(&["runs"])[0];
        assert_eq!((&run["state"], &run["live"]), (&"running".into(), &false.into()));

        let mut running = home.start(&["resume", "r"]);
        running.hear("is alive as process");
        running.hear("taken back");
        go(&home);
        running.end().check(0, &["step wait completed", "run r completed"]);
        assert_eq!(home.say(&["logs", "r"]).out, "gone on\n");
        assert_eq!(home.json(&["show", "r"])["steps"][0]["attempt"], 1);
    }
}

#[test]
fn a_program_that_was_started_to_ignore_a_hangup_ignores_it() {
    let home = Home::new();
    let pipeline = home.file("waiting.toml", &waiting(home.dir.path(), ""));
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$0\" \"$@\"", crate::support::PROGRAM]);
    command.args(["run", &pipeline, "--run-id", "r", "--data-dir"]).arg(home.data());
    let mut running = Running::listen(command);
    running.hear("step wait 10 %: pid");
    running.signal(Signal::HUP);
    go(&home);
    running.end().check(0, &["run r completed"]);
}

#[test]
fn other_living_runs_are_left_alone_and_named() {
    let home = Home::new();
    let pipeline = home.file("waiting.toml", &waiting(home.dir.path(), ""));
    let mut running = home.start(&["run", &pipeline, "--run-id", "r"]);
    let pid = pid_in(&running.hear("step wait 10 %: pid"));
    running.signal(Signal::TERM);
    running.end().check(143, &[]);
    let two = home.file("two.toml", TWO_STEPS);
    home.say(&["run", &two]).check(0, &["1 other living run is not touched (r)"]);
    assert!(kernel_state(pid).is_some(), "the step lives");
    go(&home);
    home.say(&["resume", "r"]).check(0, &["run r completed"]);
}

#[test]
fn a_missing_secret_holds_the_run_and_resume_goes_on_once_it_is_there() {
    let home = Home::new();
    let pipeline = home.file(
        "secret.toml",
        "[params.token]\nsecret = { env = \"SHOP_TOKEN\" }\n[[step]]\nid = \"a\"\nrun = 'echo \"${#LEVERFRAME_PARAM_TOKEN}\"'\n",
    );
    home.say(&["run", &pipeline, "--run-id", "r"])
        .check(1, &["run r is held", "SHOP_TOKEN", "leverframe resume r"]);
    assert_eq!(home.json(&["runs"])[0]["state"], "paused");
    let mut command = home.command(["resume", "r"]);
    super::said(command.env("SHOP_TOKEN", "12345").output().expect("it runs")).check(0, &["run r completed"]);
    assert_eq!(home.say(&["logs", "r"]).out, "5\n");
}

#[test]
fn logs_are_followed_to_the_end_of_the_run_from_another_terminal() {
    let home = Home::new();
    let text = waiting(home.dir.path(), "").replace("until [", "echo begun\nuntil [");
    let pipeline =
        home.file("waiting.toml", &format!("{text}\n[[step]]\nid = \"after\"\nrun = \"echo after\"\n"));
    let mut running = home.start(&["run", &pipeline, "--run-id", "r"]);
    running.hear("step wait 10 %: pid");
    let mut follower = home.start(&["logs", "r", "--follow"]);
    let mut of_one = home.start(&["logs", "r", "--follow", "--step", "after", "--json"]);
    follower.hear("begun");
    go(&home);
    of_one.hear("\"text\":\"after\\n\"");
    follower.end().check(0, &["gone on", "==> after (attempt 1) <==", "run r is completed"]);
    of_one.end().check(0, &[]);
    running.end().check(0, &[]);
}

#[test]
fn following_ends_when_nothing_of_the_run_lives_any_more() {
    let home = Home::new();
    let pipeline = home.file("waiting.toml", &waiting(home.dir.path(), ""));
    let mut running = home.start(&["run", &pipeline, "--run-id", "r"]);
    let pid = pid_in(&running.hear("step wait 10 %: pid"));
    let mut follower = home.start(&["logs", "r", "-f"]);
    running.signal(Signal::KILL);
    running.end();
    assert!(kernel_state(pid).is_some(), "the step lives without its engine");
    go(&home);
    follower.hear("gone on");
    follower.end().check(0, &["leverframe resume r"]);
    home.say(&["resume", "r"])
        .check(0, &["ended with code 0 while no engine was running", "run r completed"]);
}

#[test]
fn a_reader_that_goes_away_does_not_end_the_run() {
    let home = Home::new();
    let pipeline = home.file("two.toml", TWO_STEPS);
    let mut command = home.command(["run", &pipeline, "--run-id", "r"]);
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().expect("it starts");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    assert_eq!(home.json(&["show", "r"])["state"], "completed");
    let running = Running::listen(home.command(["runs"]));
    running.end().check(0, &["r "]);
}

#[test]
fn a_program_whose_parent_ignores_the_ends_of_children_still_sees_how_its_steps_end() {
    let home = Home::new();
    let pipeline = home.file("p.toml", "[[step]]\nid = \"a\"\nrun = \"true\"\n");
    let plain = home.command(["run", &pipeline, "--run-id", "r"]);
    let mut ignoring = Command::new("env");
    ignoring.arg("--ignore-signal=CHLD").arg(plain.get_program()).args(plain.get_args());
    ignoring.current_dir(home.folder()).stdin(Stdio::null()).env_clear();
    ignoring.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    ignoring.envs(std::env::vars_os().filter(|(name, _)| name == "PATH"));
    said(ignoring.output().expect("the program runs")).check(0, &["step a completed"]);
    assert_eq!(home.json(&["show", "r"])["steps"][0]["exit_code"], 0);
}

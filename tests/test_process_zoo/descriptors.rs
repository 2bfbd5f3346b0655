//! Many steps and few descriptors: every lever works whatever `ulimit -n` says, no more steps start than can be watched
//! over, and what waits for that says so.

use std::process::Command;

use serde_json::Value;

use crate::support::PROGRAM;
use crate::support::process::{has_ended, look_until, processes_of, states_of_threads};
use crate::test_command_line::{Home, Running};

/// A pipeline of `n` steps side by side, each of which notes its soft limit and lasts.
fn many(home: &Home, n: usize) -> String {
    let step = |i: usize| {
        format!(
            "[[step]]\nid = \"s{i}\"\nneeds = []\nrun = 'ulimit -Sn >> \"{}/limits\"; exec sleep 600'\n",
            home.folder().display()
        )
    };
    let steps: String = (0..n).map(step).collect();
    format!("id = \"many\"\nmax_parallel = {n}\non_failure = \"continue\"\n{steps}")
}

/// A server with these limits of open files.
fn serve(home: &Home, limits: &str) -> Running {
    let plain = home.command(["serve"]);
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("ulimit {limits} && exec \"$0\" serve")).arg(PROGRAM);
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut server = Running::listen(command);
    server.hear("serving");
    server
}

/// The processes of its steps that live.
fn steps(home: &Home) -> Vec<u32> {
    let is_sleep = |pid: &u32| {
        std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(b"sleep\0"))
    };
    processes_of(&home.data()).into_iter().filter(is_sleep).collect()
}

fn wait_for_steps(home: &Home, n: usize) -> Vec<u32> {
    look_until(&format!("{n} steps"), || Some(steps(home)).filter(|pids| pids.len() >= n))
}

fn levers_work(home: &Home, run: &str, pids: &[u32], last: &[&str]) {
    home.say(&["pause", run]).check(0, &[]);
    let running: Vec<_> = pids.iter().filter(|pid| states_of_threads(**pid) != ['T']).collect();
    assert_eq!(running, [&0; 0], "are frozen when it is told");
    let resumed = home.start(&["resume", run]);
    look_until("all to go on", || pids.iter().all(|pid| states_of_threads(*pid) == ['S']).then_some(()));
    home.say(&[&["stop"][..], last, &[run]].concat()).check(0, &[]);
    look_until("the end of all", || pids.iter().all(|pid| has_ended(*pid)).then_some(()));
    resumed.end();
    assert!(steps(home).is_empty());
}

#[test]
fn three_hundred_steps_run_side_by_side_under_a_soft_limit_of_1024() {
    let home = Home::new();
    home.pipeline("many.toml", &many(&home, 300));
    let server = serve(&home, "-Sn 1024");
    let run = home.start(&["run", "many", "--run-id", "r"]);
    let pids = wait_for_steps(&home, 300);
    let limits = std::fs::read_to_string(home.folder().join("limits")).expect("steps wrote it");
    assert!(limits.lines().all(|limit| limit == "1024"), "steps get the limit that the shell gave");
    levers_work(&home, "r", &pids, &[]);
    run.end().check(130, &[]);
    server.signal(rustix::process::Signal::TERM);
    server.end().check(0, &[]);
}

#[test]
fn under_a_hard_limit_no_more_steps_start_than_can_be_watched_over_and_every_lever_works() {
    let home = Home::new();
    home.pipeline("many.toml", &many(&home, 60));
    let server = serve(&home, "-n 160");
    let run = home.start(&["run", "many", "--run-id", "r"]);
    // How many run at once, as a step that waits says; none while there is none.
    let n_at_once = || -> Option<usize> {
        let why: Value = serde_json::from_str(&home.say(&["why", "r", "--json"]).out).ok()?;
        let says =
            |answer: &Value, text: &str| answer["text"].as_str().is_some_and(|said| said.contains(text));
        let answer =
            why["answers"].as_array()?.iter().find(|answer| says(answer, "Waiting for open files: "))?;
        assert!(
            answer["remedy"]["text"].as_str().is_some_and(|text| text.contains("ulimit -Hn")),
            "{answer}"
        );
        answer["text"].as_str()?.split("open files: ").nth(1)?.split(' ').next()?.parse().ok()
    };
    let pids = look_until("as many steps as can be", || {
        let n = n_at_once()?;
        Some(steps(&home)).filter(|pids| pids.len() == n)
    });
    assert!((10..60).contains(&pids.len()), "{}", pids.len());
    // One that ends lets another one start.
    crate::support::process::kill(pids[0]);
    let pids = look_until("another in its place", || {
        Some(steps(&home)).filter(|now| now.len() == pids.len() && !now.contains(&pids[0]))
    });
    levers_work(&home, "r", &pids, &["--force"]);
    run.end().check(130, &[]);
    server.signal(rustix::process::Signal::TERM);
    server.end().check(0, &[]);
}

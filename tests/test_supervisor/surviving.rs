//! Survival: of the engine's death, and of the supervisor's.

use std::fs;
use std::io::Write;
use std::os::unix::net::UnixStream;

use leverframe::supervisor::{ExitCause, HostEvent, HostRequest, KnownStatus, StartSpec};
use rustix::process::Signal;

use super::bench::{Bench, code, frame, is_gone, key, signal, state, wait_until};

/// Says when it begins, waits for a word, says when it ends.
const PATIENT: &str = "echo $$ >> pids; echo begin; until [ -e go ]; do sleep 0.01; done; echo end; exit 7";

fn go(bench: &Bench) {
    fs::write(bench.data_dir.join("go"), "").unwrap();
}

/// A step that an earlier supervisor may have started.
fn unsure(bench: &Bench, step: &str, script: &str) -> StartSpec {
    StartSpec { may_be_alive: true, ..bench.spec(step, script) }
}

/// The next supervisor knows of no step.
fn lose_journal(bench: &mut Bench) {
    bench.kill_supervisor();
    fs::write(bench.data_dir.join("supervisor.journal"), b"torn").unwrap();
    bench.reconnect();
    assert!(bench.engine().inventory.is_empty());
}

#[test]
fn a_step_does_not_notice_the_death_of_its_engine() {
    let mut bench = Bench::new();
    let pid = bench.sh("a", PATIENT);
    bench.reconnect();
    assert!(matches!(bench.engine().inventory[0].status, KnownStatus::Running { pid: p, .. } if p == pid));
    go(&bench);
    assert_eq!(bench.exit("a").cause, code(7));
    assert_eq!(bench.log(&key("a", 1)), "begin\nend\n");
}

#[test]
fn a_step_that_ends_while_no_engine_lives_has_its_true_end_told_to_the_next() {
    let mut bench = Bench::new();
    let pid = bench.sh("a", PATIENT);
    bench.engine = None;
    go(&bench);
    wait_until("its end", || is_gone(pid).then_some(()));
    bench.reconnect();
    let exit = match &bench.engine().inventory[0].status {
        KnownStatus::Exited(exit) => exit.clone(),
        KnownStatus::Running { .. } => bench.exit("a"),
        KnownStatus::StartFailed(reason) => panic!("{reason}"),
    };
    assert_eq!(exit.cause, code(7));
}

#[test]
fn a_supervisor_sleeps_after_an_engine_that_died_before_it_was_answered() {
    let mut bench = Bench::new();
    let supervisor = bench.supervisor();
    let pid = bench.sh("a", "exec sleep 1000");
    bench.engine = None;
    // It reads the end of the step, the hello and its sender's death in one go: a hello is answered only when such an end
    // is settled, in case a shutdown follows.
    signal(supervisor, Signal::STOP);
    signal(pid, Signal::TERM);
    wait_until("the end of the step", || is_gone(pid).then_some(()));
    bench.epoch += 1;
    let hello = format!(r#"{{"hello":{{"protocol":1,"epoch":{},"pid":1,"version":"test"}}}}"#, bench.epoch);
    let mut stream = UnixStream::connect(bench.data_dir.join("supervisor.sock")).unwrap();
    stream.write_all(&frame(hello.as_bytes())).unwrap();
    drop(stream);
    signal(supervisor, Signal::CONT);
    // The first looks take longer than a hello may wait.
    let (mut n_looks, mut n_asleep) = (0, 0);
    wait_until("all looks", || {
        n_looks += 1;
        n_asleep += usize::from(n_looks > 1000 && state(supervisor) == Some('S'));
        (n_looks == 1200).then_some(())
    });
    assert!(n_asleep > 100, "asleep at {n_asleep} of the last 200 looks");
    bench.reconnect();
    assert_eq!((bench.supervisor(), bench.engine().inventory.len()), (supervisor, 1));
}

#[test]
fn a_supervisor_that_keeps_an_end_for_an_engine_ends_when_its_directory_is_removed() {
    let mut bench = Bench::new();
    let supervisor = bench.supervisor();
    bench.sh("a", "exit 7");
    bench.exit("a");
    bench.engine = None;
    // Its end is not acknowledged, so that the supervisor waits for an engine.
    bench.reconnect();
    assert_eq!((bench.supervisor(), bench.engine().inventory.len()), (supervisor, 1));
    bench.engine = None;
    fs::remove_dir_all(&bench.data_dir).unwrap();
    wait_until("the end of the supervisor", || is_gone(supervisor).then_some(()));
}

#[test]
fn a_survivor_of_its_supervisor_is_taken_over_with_pid_log_and_true_exit() {
    let mut bench = Bench::new();
    let pid = bench.sh("a", PATIENT);
    bench.pids_in("pids", 1);
    bench.kill_supervisor();
    bench.reconnect();
    assert!(matches!(bench.engine().inventory[0].status, KnownStatus::Running { pid: p, .. } if p == pid));
    go(&bench);
    let exit = bench.exit("a");
    assert_eq!(exit.cause, code(7));
    assert!(exit.usage.is_some_and(|usage| usage.cpu_seconds > 0.0), "{exit:?}");
    assert_eq!(bench.log(&key("a", 1)), "begin\nend\n");
}

/// The process that makes the steps of a supervisor, once it has its name.
fn spawner_of(supervisor: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{supervisor}/task/{supervisor}/children")).ok()?;
    let is_spawner = |pid: &u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline"));
        line.is_ok_and(|line| line.starts_with(b"leverframe-spawner\0"))
    };
    children.split_whitespace().filter_map(|pid| pid.parse().ok()).find(is_spawner)
}

#[test]
fn the_death_of_a_spawner_costs_no_start_and_none_outlives_its_supervisor() {
    let mut bench = Bench::new();
    let supervisor = bench.supervisor();
    let spawner = || wait_until("a spawner", || spawner_of(supervisor));
    let first = spawner();
    signal(first, Signal::TERM);
    assert_eq!(bench.run("a", "exit 7").cause, code(7));
    assert_eq!(spawner(), first);
    signal(first, Signal::KILL);
    for step in ["b", "c"] {
        assert_eq!(bench.run(step, "exit 7").cause, code(7));
    }
    let second = spawner();
    assert_ne!(second, first);
    let pid = bench.sh("d", PATIENT);
    bench.kill_supervisor();
    wait_until("the end of the spawner", || is_gone(second).then_some(()));
    bench.reconnect();
    assert!(matches!(bench.engine().inventory[0].status, KnownStatus::Running { pid: p, .. } if p == pid));
    go(&bench);
    assert_eq!(bench.exit("d").cause, code(7));
    let supervisor = bench.supervisor();
    assert_ne!(wait_until("the next spawner", || spawner_of(supervisor)), second);
}

#[test]
fn output_written_while_no_supervisor_lives_waits_and_is_not_lost() {
    let mut bench = Bench::new();
    let script =
        "echo $$ >> pids; until [ -e go ]; do sleep 0.01; done; seq 1 200000; echo $$ >> pids; sleep 0.1";
    let pid = bench.sh("a", script);
    bench.pids_in("pids", 1);
    bench.kill_supervisor();
    go(&bench);
    // It fills the pipe and then waits, instead of being killed by SIGPIPE.
    wait_until("a full pipe", || {
        let child = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
        let child = child.split_whitespace().next()?;
        let wchan = fs::read_to_string(format!("/proc/{child}/wchan")).ok()?;
        (wchan.contains("pipe_write") || wchan == "0").then_some(())
    });
    bench.reconnect();
    bench.exit("a");
    let expected: String = (1..=200_000).map(|i| format!("{i}\n")).collect();
    assert!(bench.log(&key("a", 1)) == expected);
}

#[test]
fn a_frozen_step_stays_frozen_through_the_death_of_engine_and_supervisor() {
    let mut bench = Bench::new();
    bench.sh("a", &format!("sh -c 'echo $$ >> pids; until [ -e go ]; do :; done' & {PATIENT}"));
    let pids = bench.pids_in("pids", 2);
    bench.freeze("a");
    bench.kill_supervisor();
    assert!(pids.iter().all(|pid| state(*pid) == Some('T')));
    bench.reconnect();
    assert!(pids.iter().all(|pid| state(*pid) == Some('T')));
    assert!(matches!(bench.engine().inventory[0].status, KnownStatus::Running { frozen: true, .. }));
    go(&bench);
    bench.thaw("a");
    assert_eq!(bench.exit("a").cause, code(7));
    assert!(pids.iter().all(|pid| is_gone(*pid)));
}

#[test]
fn a_taken_over_tree_is_ended_with_the_orphans_that_it_lost() {
    let mut bench = Bench::new();
    bench.sh("a", &format!("(setsid sh -c 'echo $$ >> pids; sleep 1000' &); sh -c '(sleep 1000 & echo $! >> pids)'; {PATIENT}"));
    let pids = bench.pids_in("pids", 3);
    bench.kill_supervisor();
    bench.reconnect();
    assert!(bench.freeze("a").is_empty());
    assert!(pids.iter().all(|pid| state(*pid) == Some('T')));
    bench.send(HostRequest::Kill(key("a", 1)));
    bench.exit("a");
    assert!(pids.iter().all(|pid| is_gone(*pid)));
}

#[test]
fn where_only_the_main_process_is_gone_what_is_left_is_ended_before_the_end_is_told() {
    let mut bench = Bench::new();
    let main = bench.sh("a", &format!("sh -c 'echo $$ >> pids; exec sleep 1000' & {PATIENT}"));
    let pids = bench.pids_in("pids", 2);
    bench.kill_supervisor();
    super::bench::signal(main, rustix::process::Signal::KILL);
    super::bench::wait_gone(&[main]);
    bench.reconnect();
    let exit = match &bench.engine().inventory[0].status {
        KnownStatus::Running { .. } => bench.exit("a"),
        KnownStatus::Exited(exit) => exit.clone(),
        KnownStatus::StartFailed(reason) => panic!("{reason}"),
    };
    assert_eq!(exit.cause, ExitCause::Signal(libc::SIGKILL));
    assert!(pids.iter().all(|pid| is_gone(*pid)));
}

#[test]
fn a_survivor_is_found_by_its_token_where_the_journal_is_lost() {
    let mut bench = Bench::new();
    let spec = unsure(&bench, "a", PATIENT);
    let pid = bench.start(spec.clone());
    bench.pids_in("pids", 1);
    lose_journal(&mut bench);
    let found = bench.start(spec);
    assert_eq!(found, pid);
    go(&bench);
    bench.exit("a");
    assert_eq!(bench.log(&key("a", 1)), "begin\nend\n");
    assert_eq!(fs::read_to_string(bench.data_dir.join("pids")).unwrap().lines().count(), 1, "it ran once");
}

#[test]
fn where_no_survivor_is_found_the_step_is_started() {
    let mut bench = Bench::new();
    let spec = unsure(&bench, "a", "exit 3");
    bench.start(spec);
    assert_eq!(bench.exit("a").cause, code(3));
}

#[test]
fn of_many_starts_that_come_together_each_survivor_is_taken_over_and_each_other_step_is_started() {
    let mut bench = Bench::new();
    let specs: Vec<StartSpec> =
        (0..20).map(|i| unsure(&bench, &format!("s{i}"), "echo $$ >> pids; exec sleep 1000")).collect();
    let survivors: Vec<u32> = specs.iter().step_by(2).map(|spec| bench.start(spec.clone())).collect();
    bench.pids_in("pids", 10);
    lose_journal(&mut bench);
    for spec in &specs {
        bench.send(HostRequest::Start(Box::new(spec.clone())));
    }
    let mut found: Vec<u32> = specs.iter().map(|spec| bench.started(&spec.key)).collect();
    assert!(found.iter().step_by(2).eq(&survivors), "{found:?}, not {survivors:?}");
    let mut began = bench.pids_in("pids", 20);
    found.sort_unstable();
    began.sort_unstable();
    assert_eq!(began, found, "each began once");
}

#[test]
fn what_has_ended_of_a_survivor_since_the_look_that_serves_all_starts_is_noticed() {
    let mut bench = Bench::new();
    let halved = "sleep 1000 & echo $! >> left; echo $$ >> pids; until [ -e go ]; do sleep 0.01; done";
    let halved = unsure(&bench, "halved", halved);
    let ended = unsure(&bench, "ended", "echo $$ >> pids; exec sleep 1000");
    let pids = [bench.start(halved.clone()), bench.start(ended.clone())];
    let left = bench.pids_in("left", 1);
    bench.pids_in("pids", 2);
    lose_journal(&mut bench);
    let first = unsure(&bench, "first", "exec sleep 1000");
    bench.start(first);
    go(&bench);
    signal(pids[1], Signal::KILL);
    super::bench::wait_gone(&pids);
    // Its main process is gone, and what that one has left is ended. It does not run again.
    bench.send(HostRequest::Start(Box::new(halved)));
    bench.exit("halved");
    assert!(is_gone(left[0]));
    // Nothing of this one is left.
    let again = bench.start(ended);
    assert_eq!(bench.pids_in("pids", 3)[2], again);
}

#[test]
fn an_end_that_was_not_acknowledged_outlives_the_supervisor() {
    let mut bench = Bench::new();
    bench.sh("a", "exit 5");
    let exit = bench.exit("a");
    bench.kill_supervisor();
    bench.reconnect();
    assert_eq!(bench.engine().inventory[0].status, KnownStatus::Exited(exit));
    bench.send(HostRequest::Acknowledge(key("a", 1)));
    bench.sync();
    bench.kill_supervisor();
    bench.reconnect();
    assert!(bench.engine().inventory.is_empty());
}

#[test]
fn supervisors_may_die_again_and_again() {
    let mut bench = Bench::new();
    let pid = bench.sh("a", PATIENT);
    for _ in 0..5 {
        bench.kill_supervisor();
        bench.reconnect();
        assert!(
            matches!(bench.engine().inventory[0].status, KnownStatus::Running { pid: p, .. } if p == pid)
        );
    }
    go(&bench);
    assert_eq!(bench.exit("a").cause, code(7));
    assert_eq!(bench.log(&key("a", 1)), "begin\nend\n");
    assert!(!bench.engine().events.try_iter().any(|event| matches!(event, HostEvent::Gone { .. })));
}

#[test]
fn what_died_with_its_supervisor_is_never_said_to_live() {
    let mut bench = Bench::new();
    let pid = bench.sh("a", PATIENT);
    let supervisor = bench.supervisor();
    // Neither sees the end of the other.
    for signal_sent in [rustix::process::Signal::STOP, rustix::process::Signal::KILL] {
        super::bench::signal(supervisor, signal_sent);
        super::bench::signal(pid, signal_sent);
    }
    super::bench::wait_gone(&[supervisor, pid]);
    bench.reconnect();
    let status =
        bench.engine().inventory.iter().find(|known| known.key == key("a", 1)).map(|it| it.status.clone());
    match status {
        Some(KnownStatus::Running { pid: told, .. }) => {
            assert_eq!(told, 0, "its process is gone: only its end is to be settled");
            assert_ne!(bench.exit("a").cause, code(0));
        }
        Some(KnownStatus::Exited(exit)) => assert_ne!(exit.cause, code(0)),
        other => panic!("it was started: {other:?}"),
    }
}

#[test]
fn a_supervisor_whose_directory_was_moved_leaves_the_one_in_its_place_alone() {
    let mut bench = Bench::new();
    bench.sh("a", PATIENT);
    let supervisor = bench.supervisor();
    let moved = bench.data_dir.with_file_name("moved");
    fs::rename(&bench.data_dir, &moved).unwrap();
    fs::create_dir(&bench.data_dir).unwrap();
    let journal = bench.data_dir.join("supervisor.journal");
    fs::write(&journal, "another's").unwrap();
    fs::write(moved.join("go"), "").unwrap();
    assert_eq!(bench.exit("a").cause, code(7));
    bench.send(HostRequest::Acknowledge(key("a", 1)));
    bench.sync();
    bench.engine = None;
    super::bench::wait_gone(&[supervisor]);
    assert_eq!(fs::read_to_string(&journal).unwrap(), "another's");
    assert!(!moved.join("supervisor.journal").exists(), "its own it has taken along");
}

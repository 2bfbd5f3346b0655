//! The supervisor's parent: it sees how a step ends while no supervisor lives, holds what that wrote, and starts the next.

use std::fs;

use leverframe::supervisor::{ExitCause, HostRequest, KnownStatus, StepExit, probe};
use rustix::process::Signal;

use super::bench::{Bench, code, is_gone, key, signal, state, wait_gone, wait_until};
use crate::support::process::parent_of_supervisor;

/// Waits for a word, then writes as much as a pipe takes, and ends.
const WRITER: &str = "echo $$ >> pids; until [ -e go ]; do sleep 0.01; done; seq 1 10000; exit 7";

fn go(bench: &Bench) {
    fs::write(bench.data_dir.join("go"), "").unwrap();
}

fn parent(bench: &mut Bench) -> u32 {
    let supervisor = bench.supervisor();
    parent_of_supervisor(supervisor).expect("a parent")
}

/// The end of step `a`, told or found.
fn end_of_a(bench: &mut Bench) -> StepExit {
    match bench.engine().inventory.first().map(|known| known.status.clone()) {
        Some(KnownStatus::Exited(exit)) => exit,
        Some(KnownStatus::Running { .. }) => bench.exit("a"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_step_that_ends_while_no_supervisor_lives_keeps_its_exit_code_and_its_log() {
    let mut bench = Bench::new();
    let pid = bench.sh("a", WRITER);
    bench.pids_in("pids", 1);
    let parent = parent(&mut bench);
    // Stopped, it starts no other supervisor until the step has ended.
    signal(parent, Signal::STOP);
    wait_until("its stop", || (state(parent) == Some('T')).then_some(()));
    signal(bench.supervisor(), Signal::KILL);
    go(&bench);
    wait_until("the step's end", || is_gone(pid).then_some(()));
    signal(parent, Signal::CONT);
    bench.engine = None;
    bench.reconnect();
    let exit = end_of_a(&mut bench);
    assert_eq!(exit.cause, code(7));
    assert!(exit.usage.is_some_and(|usage| usage.cpu_seconds > 0.0), "{exit:?}");
    let expected: String = (1..=10_000).map(|i| format!("{i}\n")).collect();
    assert!(bench.log(&key("a", 1)) == expected, "what it wrote meanwhile is in its log");
}

#[test]
fn how_a_signal_ended_a_step_that_nobody_supervised_is_known_too() {
    let mut bench = Bench::new();
    let pid = bench.sh("a", "echo $$ >> pids; exec sleep 1000");
    bench.pids_in("pids", 1);
    let parent = parent(&mut bench);
    signal(parent, Signal::STOP);
    signal(bench.supervisor(), Signal::KILL);
    signal(pid, Signal::INT);
    wait_until("the step's end", || is_gone(pid).then_some(()));
    signal(parent, Signal::CONT);
    bench.engine = None;
    bench.reconnect();
    assert_eq!(end_of_a(&mut bench).cause, ExitCause::Signal(libc::SIGINT));
}

#[test]
fn of_many_steps_that_end_around_the_deaths_of_their_supervisors_none_is_lost() {
    let mut bench = Bench::new();
    let n = 40;
    for i in 0..n {
        bench.sh(&format!("s{i}"), &format!("sleep 0.{:02}; exit {}", (i * 7) % 100, 100 + i));
    }
    // Each is followed by the next at once: no engine is needed.
    bench.engine = None;
    let mut last = None;
    for _ in 0..8 {
        let next =
            wait_until("another supervisor", || probe(&bench.data_dir).filter(|it| Some(it.pid) != last));
        signal(next.pid, Signal::KILL);
        wait_gone(&[next.pid]);
        last = Some(next.pid);
    }
    bench.reconnect();
    for i in 0..n {
        let wanted = key(&format!("s{i}"), 1);
        let known = bench.engine().inventory.iter().find(|known| known.key == wanted).cloned();
        let exit = match known.map(|known| known.status) {
            Some(KnownStatus::Exited(exit)) => exit,
            Some(KnownStatus::Running { .. }) => bench.engine().exit(&wanted),
            other => panic!("s{i}: {other:?}"),
        };
        assert_eq!(exit.cause, code(100 + i), "s{i}");
    }
}

#[test]
fn the_next_supervisor_comes_without_an_engine_and_goes_with_the_last_step() {
    let mut bench = Bench::new();
    let parent = parent(&mut bench);
    bench.sh("a", WRITER);
    bench.pids_in("pids", 1);
    let first = bench.supervisor();
    bench.engine = None;
    signal(first, Signal::KILL);
    let next = wait_until("the next supervisor", || probe(&bench.data_dir).filter(|info| info.pid != first));
    assert_eq!(next.n_steps, 1);
    assert_eq!(parent_of_supervisor(next.pid), Some(parent));
    go(&bench);
    wait_gone(&[next.pid, parent]);
    bench.reconnect();
    assert_eq!(end_of_a(&mut bench).cause, code(7), "the journal keeps it");
}

#[test]
fn the_death_of_the_parent_costs_nothing() {
    let mut bench = Bench::new();
    let parent = parent(&mut bench);
    bench.sh("a", WRITER);
    bench.pids_in("pids", 1);
    signal(parent, Signal::KILL);
    wait_gone(&[parent]);
    go(&bench);
    assert_eq!(bench.exit("a").cause, code(7));
    bench.send(HostRequest::Acknowledge(key("a", 1)));
    bench.sync();
    let supervisor = bench.supervisor();
    bench.engine = None;
    wait_gone(&[supervisor]);
    bench.reconnect();
    assert_eq!(bench.run("b", "exit 3").cause, code(3), "the next supervisor has a parent again");
    assert!(parent_of_supervisor(bench.supervisor()).is_some());
}

#[test]
fn a_parent_that_is_told_to_end_waits_on() {
    let mut bench = Bench::new();
    let parent = parent(&mut bench);
    bench.sh("a", WRITER);
    bench.pids_in("pids", 1);
    for ending in [Signal::TERM, Signal::HUP, Signal::INT, Signal::USR1] {
        signal(parent, ending);
    }
    bench.kill_supervisor();
    bench.reconnect();
    assert_eq!(parent_of_supervisor(bench.supervisor()), Some(parent));
    go(&bench);
    assert_eq!(bench.exit("a").cause, code(7));
}

#[test]
fn an_end_in_good_order_leaves_neither_of_them() {
    let mut bench = Bench::new();
    let pair = [parent(&mut bench), bench.supervisor()];
    bench.run("a", "true");
    bench.sync();
    bench.engine = None;
    wait_gone(&pair);
    assert!(!bench.data_dir.join("supervisor.sock").exists());
    assert!(!bench.data_dir.join("supervisor.journal").exists());
}

/// Goes on writing when its step has ended, once it is told to.
const KEPT: &str = "(echo here; echo $$ > pids; until [ -e go ]; do sleep 0.01; done; yes | head -c 300000; echo $$ >> pids) & exit 3";

#[test]
fn what_is_kept_goes_on_writing_when_its_supervisor_was_killed() {
    for kills_parent in [false, true] {
        let mut bench = Bench::new();
        let mut spec = bench.spec("a", KEPT);
        spec.keep_background = true;
        bench.start(spec);
        assert_eq!(bench.exit("a").cause, code(3));
        bench.send(HostRequest::Acknowledge(key("a", 1)));
        bench.sync();
        bench.pids_in("pids", 1);
        if kills_parent {
            signal(parent(&mut bench), Signal::KILL);
        }
        bench.kill_supervisor();
        if kills_parent {
            bench.reconnect();
            assert!(bench.engine().inventory.is_empty(), "its end was acknowledged");
        }
        bench.engine = None;
        go(&bench);
        bench.pids_in("pids", 2);
        wait_until("the supervisor's end", || probe(&bench.data_dir).is_none().then_some(()));
        assert_eq!(bench.log(&key("a", 1)).len(), 300_005, "kills_parent: {kills_parent}");
    }
}

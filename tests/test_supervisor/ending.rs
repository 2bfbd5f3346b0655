//! Ends: stop, kill, and what a main process leaves behind.

use std::time::Duration;

use leverframe::supervisor::{ExitCause, HostRequest, KnownStatus, probe};

use super::bench::{Bench, code, is_gone, key, wait_gone, wait_until};

/// Starts a child that leaves the session, closes its outputs and drops its environment, and a child of that.
const DAEMON: &str = "setsid env -i sh -c 'trap \"\" TERM; echo $$ >> pids; sh -c \"trap : TERM; echo \\$\\$ >> pids; while :; do sleep 60; done\"; sleep 1000' </dev/null >/dev/null 2>&1 &";

#[test]
fn a_step_that_ends_at_term_is_stopped_by_it() {
    let mut bench = Bench::new();
    bench.sh("a", "trap 'echo bye; exit 9' TERM; echo ready; while :; do sleep 0.05; done");
    let log = bench.log_path(&key("a", 1));
    wait_until("ready", || (std::fs::read(&log).ok()? == b"ready\n").then_some(()));
    bench.stop("a", Duration::from_secs(60));
    assert_eq!(bench.exit("a").cause, code(9));
    assert!(bench.log(&key("a", 1)).ends_with("bye\n"));
}

#[test]
fn a_step_that_ignores_term_is_killed_after_its_grace_with_its_whole_tree() {
    let mut bench = Bench::new();
    let main = bench.sh("a", &format!("trap '' TERM; {DAEMON} while :; do sleep 1; done"));
    let pids = bench.pids_in("pids", 2);
    bench.stop("a", Duration::from_millis(300));
    assert_eq!(bench.exit("a").cause, ExitCause::Signal(libc::SIGKILL));
    assert!(is_gone(main) && pids.iter().all(|pid| is_gone(*pid)), "nobody is left when the end is told");
}

#[test]
fn grace_and_kill_need_no_engine_and_no_supervisor_that_was_asked() {
    for kill_supervisor in [false, true] {
        let mut bench = Bench::new();
        let main = bench.sh("a", &format!("trap '' TERM; {DAEMON} while :; do sleep 1; done"));
        let pids = bench.pids_in("pids", 2);
        bench.stop("a", Duration::from_millis(700));
        if kill_supervisor {
            bench.sync();
            bench.kill_supervisor();
            bench.reconnect();
        }
        bench.engine = None;
        wait_gone(&[main]);
        wait_gone(&pids);
        bench.reconnect();
        if bench.engine().inventory.iter().any(|known| matches!(known.status, KnownStatus::Running { .. })) {
            bench.exit("a");
        } else {
            let KnownStatus::Exited(exit) = &bench.engine().inventory[0].status else { panic!() };
            assert_eq!(exit.cause, ExitCause::Signal(libc::SIGKILL));
        }
    }
}

#[test]
fn kill_ends_the_whole_tree_at_once_frozen_or_not() {
    for frozen in [false, true] {
        let mut bench = Bench::new();
        let main = bench.sh("a", &format!("{DAEMON} while :; do sleep 1; done"));
        let pids = bench.pids_in("pids", 2);
        if frozen {
            assert!(bench.freeze("a").is_empty());
        }
        bench.send(HostRequest::Kill(key("a", 1)));
        assert_eq!(bench.exit("a").cause, ExitCause::Signal(libc::SIGKILL));
        assert!(is_gone(main) && pids.iter().all(|pid| is_gone(*pid)));
    }
}

#[test]
fn a_frozen_step_can_be_stopped() {
    let mut bench = Bench::new();
    bench.sh("a", "trap 'exit 9' TERM; echo ready >> pids; while :; do sleep 0.05; done");
    wait_until("ready", || bench.data_dir.join("pids").exists().then_some(()));
    bench.freeze("a");
    bench.stop("a", Duration::from_secs(60));
    assert_eq!(bench.exit("a").cause, code(9));
}

#[test]
fn what_a_main_process_leaves_behind_is_ended_before_its_end_is_told() {
    let mut bench = Bench::new();
    bench.sh("a", &format!("{DAEMON} (sleep 1000 &) ; until [ $(wc -l < pids) = 2 ]; do :; done; exit 5"));
    let pids = bench.pids_in("pids", 2);
    assert_eq!(bench.exit("a").cause, code(5), "the main process's own end counts");
    assert!(pids.iter().all(|pid| is_gone(*pid)));
}

#[test]
fn the_leftovers_of_one_of_several_steps_are_told_apart() {
    let mut bench = Bench::new();
    let other = bench.sh("b", "sleep 1000");
    bench.sh("c", "(sleep 1000 & echo $! >> kept); sleep 1000");
    let kept = bench.pids_in("kept", 1);
    bench.sh(
        "a",
        "setsid sh -c 'echo $$ >> pids; sleep 1000' & (sleep 1000 &); until [ -s pids ]; do :; done",
    );
    let pids = bench.pids_in("pids", 1);
    assert_eq!(bench.exit("a").cause, code(0));
    assert!(pids.iter().all(|pid| is_gone(*pid)));
    assert!(!is_gone(other) && !is_gone(kept[0]));
}

#[test]
fn background_that_is_kept_is_left_alone_and_its_output_is_still_taken() {
    let mut bench = Bench::new();
    let mut spec = bench.spec("a", "(echo here; echo $$ > pids; until [ -e go ]; do sleep 0.01; done; yes | head -c 300000; echo $$ >> pids) & exit 3");
    spec.keep_background = true;
    bench.start(spec);
    assert_eq!(bench.exit("a").cause, code(3));
    bench.send(HostRequest::Acknowledge(key("a", 1)));
    bench.sync();
    bench.engine = None;
    assert!(probe(&bench.data_dir).is_some(), "somebody must read what it writes");
    std::fs::write(bench.data_dir.join("go"), "").unwrap();
    bench.pids_in("pids", 2);
    wait_until("the supervisor's end", || probe(&bench.data_dir).is_none().then_some(()));
    assert_eq!(bench.log(&key("a", 1)).len(), 300_005);
}

#[test]
fn background_that_is_kept_is_not_taken_for_another_steps() {
    let mut bench = Bench::new();
    bench.sh("b", "until [ -e go ]; do sleep 0.01; done; (sleep 1000 &) ; (sleep 1000 & echo $! >> own)");
    let mut spec = bench.spec(
        "a",
        "setsid sh -c 'echo $$ >> pids; exec sleep 1000' >/dev/null 2>&1 & until [ -s pids ]; do :; done",
    );
    spec.keep_background = true;
    bench.start(spec);
    let kept = bench.pids_in("pids", 1);
    assert_eq!(bench.exit("a").cause, code(0));
    std::fs::write(bench.data_dir.join("go"), "").unwrap();
    assert_eq!(bench.exit("b").cause, code(0));
    let own = bench.pids_in("own", 1);
    assert!(is_gone(own[0]) && !is_gone(kept[0]));
}

#[test]
fn a_tree_that_forks_as_fast_as_it_can_is_killed_to_the_last() {
    let mut bench = Bench::new();
    let main = bench.sh("a", "for i in 1 2 3 4; do (while :; do (sleep 0.01 &); done) & done; wait");
    bench.send(HostRequest::Kill(key("a", 1)));
    assert_eq!(bench.exit("a").cause, ExitCause::Signal(libc::SIGKILL));
    assert!(is_gone(main));
    assert_eq!(bench.run("b", "exit 3").cause, code(3));
}

#[test]
fn an_acknowledgement_may_come_twice() {
    let mut bench = Bench::new();
    bench.run("a", "true");
    bench.send(HostRequest::Acknowledge(key("a", 1)));
    bench.send(HostRequest::Acknowledge(key("never", 1)));
    assert_eq!(bench.run("b", "exit 2").cause, code(2));
    bench.sync();
    bench.reconnect();
    assert!(bench.engine().inventory.is_empty());
}

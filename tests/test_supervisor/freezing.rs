//! Freezing and thawing whole trees.

use std::time::Duration;

use super::bench::{Bench, code, key, signal, state, wait_until};
use rustix::process::Signal;

/// A shell, a child, and a grandchild that left the session with an empty environment, all counting.
const COUNTERS: &str = "echo $$ >> pids
sh -c 'echo $$ >> pids; setsid env -i sh -c \"echo \\$\\$ >> pids; until [ -e go ]; do :; done\" & until [ -e go ]; do :; done; wait' &
until [ -e go ]; do :; done; wait; exit 6";

fn cpu_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn every_process_of_a_tree_is_frozen_also_one_that_left_its_session_and_cleared_its_environment() {
    let mut bench = Bench::new();
    bench.sh("a", COUNTERS);
    let pids = bench.pids_in("pids", 3);
    assert_eq!(bench.freeze("a"), Vec::<String>::new());
    assert!(pids.iter().all(|pid| state(*pid) == Some('T')));
    let before: Vec<u64> = pids.iter().map(|pid| cpu_ticks(*pid)).collect();
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(pids.iter().map(|pid| cpu_ticks(*pid)).collect::<Vec<_>>(), before);
    std::fs::write(bench.data_dir.join("go"), "").unwrap();
    bench.thaw("a");
    assert_eq!(bench.exit("a").cause, code(6));
}

#[test]
fn what_somebody_else_had_stopped_stays_stopped_after_a_thaw() {
    let mut bench = Bench::new();
    bench.sh("a", COUNTERS);
    let pids = bench.pids_in("pids", 3);
    signal(pids[2], Signal::STOP);
    wait_until("stopped", || (state(pids[2]) == Some('T')).then_some(()));
    bench.freeze("a");
    bench.thaw("a");
    wait_until("running", || (state(pids[0]) == Some('R')).then_some(()));
    assert_eq!(state(pids[2]), Some('T'));
}

#[test]
fn a_tree_that_keeps_forking_is_frozen_for_good() {
    let mut bench = Bench::new();
    let main = bench.sh("a", "echo $$ >> pids; while :; do /bin/true; (:) & done");
    bench.pids_in("pids", 1);
    for _ in 0..10 {
        assert_eq!(bench.freeze("a"), Vec::<String>::new());
        assert_eq!(state(main), Some('T'));
        bench.thaw("a");
    }
}

#[test]
fn a_freeze_is_idempotent_and_one_of_an_unknown_step_is_answered() {
    let mut bench = Bench::new();
    let main = bench.sh("a", "sleep 1000");
    bench.freeze("a");
    bench.freeze("a");
    bench.thaw("a");
    bench.thaw("a");
    wait_until("running", || (state(main) == Some('S')).then_some(()));
    assert!(bench.freeze("unknown").is_empty());
    bench.thaw("unknown");
}

#[test]
fn a_step_killed_from_outside_while_frozen_has_ended() {
    let mut bench = Bench::new();
    let main = bench.sh("a", "sleep 1000 & wait");
    bench.freeze("a");
    signal(main, Signal::KILL);
    assert_eq!(bench.exit("a").cause, leverframe::supervisor::ExitCause::Signal(libc::SIGKILL));
    assert!(bench.engine().events.is_empty());
    let _ = key("a", 1);
}

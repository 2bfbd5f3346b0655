//! Without descriptors nobody can be looked at, nothing be opened and nothing be noted: what was asked meanwhile is done
//! when it can be, and no end is lost.

use std::fs;
use std::time::Duration;

use leverframe::supervisor::{HostEvent, HostRequest, KnownStatus, StartSpec};
use rustix::process::Signal;

use super::bench::{Bench, code, is_gone, key, signal, state, wait_gone, wait_until};
use super::starting::failure;
use crate::support::process::{Starved, let_pass, parent_of_supervisor};

/// A step that lives with nobody who knows of it: its supervisor and that one's parent were killed, and their journal is
/// lost.
fn survivor() -> (Bench, StartSpec, u32) {
    let mut bench = Bench::new();
    let spec = StartSpec { may_be_alive: true, ..bench.spec("a", "echo $$ >> pids; exec sleep 1000") };
    let pid = bench.start(spec.clone());
    bench.pids_in("pids", 1);
    let supervisor = bench.supervisor();
    let parent = parent_of_supervisor(supervisor).expect("a parent");
    for killed in [parent, supervisor] {
        signal(killed, Signal::KILL);
        wait_gone(&[killed]);
    }
    fs::remove_file(bench.data_dir.join("supervisor.journal")).unwrap();
    bench.reconnect();
    assert!(bench.engine().inventory.is_empty());
    (bench, spec, pid)
}

/// Asks for a start and then for `levers`, while the supervisor can look at nothing.
fn ask_unseen(bench: &mut Bench, spec: StartSpec, levers: &[HostRequest]) {
    let starved = Starved::new(bench.supervisor());
    bench.send(HostRequest::Start(Box::new(spec)));
    for lever in levers {
        bench.send(lever.clone());
    }
    bench.sync();
    drop(starved);
}

#[test]
fn what_is_asked_of_a_start_that_waits_for_a_look_is_done_to_the_survivor_that_is_found() {
    let (mut bench, spec, pid) = survivor();
    ask_unseen(&mut bench, spec, &[HostRequest::Freeze(key("a", 1))]);
    let unfrozen = bench.engine().wait_for(|event| match event {
        HostEvent::Frozen { key: frozen, unfrozen } if *frozen == key("a", 1) => Some(unfrozen.clone()),
        _ => None,
    });
    assert_eq!((unfrozen.len(), state(pid)), (0, Some('T')));

    let (mut bench, spec, pid) = survivor();
    let stop = HostRequest::Stop { key: key("a", 1), signal: libc::SIGTERM, grace: Duration::from_secs(60) };
    ask_unseen(&mut bench, spec, &[stop]);
    bench.exit("a");
    assert!(is_gone(pid));
}

#[test]
fn a_start_that_waits_for_a_look_and_is_to_end_meanwhile_is_not_made() {
    for lever in [
        HostRequest::Stop { key: key("a", 1), signal: libc::SIGTERM, grace: Duration::from_secs(60) },
        HostRequest::Kill(key("a", 1)),
    ] {
        let mut bench = Bench::new();
        let spec = StartSpec { may_be_alive: true, ..bench.spec("a", "echo $$ >> pids; exec sleep 1000") };
        ask_unseen(&mut bench, spec, &[lever]);
        assert!(failure(&mut bench, "a").contains("before it could be started"));
        assert!(!bench.data_dir.join("pids").exists());
    }
}

#[test]
fn an_end_that_can_not_be_noted_is_noted_when_it_can_be_and_none_who_fails_meanwhile_loses_anything() {
    let mut bench = Bench::new();
    let script = "echo $$ >> pids; until [ -e go ]; do sleep 0.01; done; seq 1 10000; exit 7";
    let pid = bench.sh("a", script);
    bench.pids_in("pids", 1);
    let parent = parent_of_supervisor(bench.supervisor()).expect("a parent");
    // Each supervisor that it starts from here on has as few, and can't begin.
    let starved = Starved::new(parent);
    bench.kill_supervisor();
    fs::write(bench.data_dir.join("go"), "").unwrap();
    wait_until("the step's end", || is_gone(pid).then_some(()));
    let_pass(Duration::from_millis(100));
    assert_eq!(state(pid), Some('Z'), "not reaped before it is noted");
    drop(starved);
    bench.engine = None;
    bench.reconnect();
    let exit = match bench.engine().inventory.first().map(|known| known.status.clone()) {
        Some(KnownStatus::Exited(exit)) => exit,
        Some(KnownStatus::Running { .. }) => bench.exit("a"),
        other => panic!("{other:?}"),
    };
    assert_eq!((exit.cause, exit.interrupted), (code(7), false));
    let expected: String = (1..=10_000).map(|i| format!("{i}\n")).collect();
    assert!(bench.log(&key("a", 1)) == expected, "what it wrote meanwhile is in its log");
}

//! Fences: between engines, between supervisors, and against what is no message.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Barrier};

use leverframe::supervisor::{ConnectError, HostEvent, HostRequest, KnownStatus, StepHost, probe};
use rustix::process::Signal;

use super::bench::{Bench, code, connect, frame, key, launcher, signal, state, wait_until};

#[test]
fn a_start_still_unread_when_its_engine_died_is_thrown_away_by_the_next_hello() {
    let mut bench = Bench::new();
    let supervisor = bench.supervisor();
    let spec = bench.spec("a", "echo ran >> ran");
    signal(supervisor, Signal::STOP);
    wait_until("its stop", || (state(supervisor) == Some('T')).then_some(()));
    bench.send(HostRequest::Start(Box::new(spec)));
    bench.engine = None;
    let data_dir = bench.data_dir.clone();
    let launched = launcher(&data_dir).launch().unwrap();
    let (said, hello_said) = crossbeam_channel::bounded(1);
    let next = std::thread::spawn(move || {
        // Unbounded: an inventory and no more.
        let (sender, events) = crossbeam_channel::unbounded();
        said.send(()).unwrap();
        let host = launched.hello(2, move |event| drop(sender.send(event))).unwrap();
        (host, events)
    });
    hello_said.recv().unwrap();
    // The hello is a write to a socket: it is there before the supervisor goes on, or the start is seen in the inventory.
    std::thread::sleep(std::time::Duration::from_millis(50));
    signal(supervisor, Signal::CONT);
    let (host, events) = next.join().unwrap();
    let is_inventory = |event| if let HostEvent::Inventory(known) = event { Some(known) } else { None };
    let inventory = events.iter().find_map(is_inventory).unwrap();
    assert!(inventory.is_empty());
    drop(host);
    wait_until("the supervisor's end", || probe(&data_dir).is_none().then_some(()));
    assert!(!data_dir.join("ran").exists());
}

#[test]
fn an_earlier_engine_is_refused_and_a_later_one_replaces_who_is_there() {
    let mut bench = Bench::new();
    bench.reconnect();
    bench.reconnect();
    let refused = connect(&bench.data_dir, 2).err().unwrap();
    assert!(matches!(refused, ConnectError::Superseded { epoch: 2, highest_epoch: 3 }), "{refused}");
    let later = connect(&bench.data_dir, 4).unwrap();
    bench.engine().wait_for(|event| matches!(event, HostEvent::Gone { .. }).then_some(()));
    let spec = bench.spec("a", "true");
    bench.send(HostRequest::Start(Box::new(spec)));
    drop(later);
    bench.epoch = 4;
    bench.reconnect();
    assert!(bench.engine().inventory.is_empty(), "nobody heard the earlier one");
}

#[test]
fn the_highest_epoch_outlives_the_supervisor() {
    let mut bench = Bench::new();
    bench.reconnect();
    bench.sh("a", "sleep 1000");
    bench.kill_supervisor();
    let refused = connect(&bench.data_dir, 1).err().unwrap();
    assert!(matches!(refused, ConnectError::Superseded { highest_epoch: 2, .. }));
    bench.reconnect();
}

#[test]
fn of_supervisors_that_start_at_the_same_instant_one_lives() {
    for _ in 0..10 {
        let dir = tempfile::tempdir().unwrap();
        let n = 4;
        let barrier = Arc::new(Barrier::new(n));
        let engines: Vec<_> = (0..n as u64)
            .map(|epoch| {
                let (barrier, data_dir) = (Arc::clone(&barrier), dir.path().to_owned());
                std::thread::spawn(move || {
                    barrier.wait();
                    connect(&data_dir, epoch)
                })
            })
            .collect();
        let engines: Vec<_> = engines.into_iter().map(|engine| engine.join().unwrap()).collect();
        let heard: Vec<_> = engines
            .iter()
            .filter_map(|engine| match engine {
                Ok(engine) => Some(engine.host.supervisor_pid()),
                Err(ConnectError::Superseded { .. }) => None,
                Err(other) => panic!("{other}"),
            })
            .collect();
        let living = probe(dir.path()).unwrap().pid;
        assert!(heard.iter().all(|pid| *pid == living), "{heard:?} {living}");
        drop(engines);
        wait_until("its end", || probe(dir.path()).is_none().then_some(()));
    }
}

#[test]
fn an_engine_that_connects_while_the_supervisor_ends_is_heard_all_the_same() {
    let mut bench = Bench::new();
    let mut supervisors = std::collections::HashSet::new();
    for round in 0..100 {
        // Nothing is left: the supervisor begins to end as this connection closes.
        bench.reconnect();
        supervisors.insert(bench.supervisor());
        if round % 10 == 0 {
            assert_eq!(bench.run(&format!("s{round}"), "exit 1").cause, code(1));
        }
    }
    assert!(!supervisors.is_empty());
}

#[test]
fn two_engines_that_start_the_same_step_start_it_once() {
    let mut bench = Bench::new();
    let spec = bench.spec("a", "echo once >> ran; sleep 1000");
    bench.send(HostRequest::Start(Box::new(spec.clone())));
    let mut later = connect(&bench.data_dir, 2).unwrap();
    later.host.send(HostRequest::Start(Box::new(spec.clone())));
    later.wait_for(|event| matches!(event, HostEvent::Started { .. }).then_some(()));
    wait_until("its work", || {
        bench.data_dir.join("ran").metadata().is_ok_and(|ran| ran.len() > 0).then_some(())
    });
    later.host.send(HostRequest::Kill(key("a", 1)));
    later.exit(&key("a", 1));
    assert_eq!(std::fs::read_to_string(bench.data_dir.join("ran")).unwrap(), "once\n");
}

#[test]
fn garbage_closes_its_own_connection_and_no_other() {
    let mut bench = Bench::new();
    bench.sh("a", "until [ -e go ]; do sleep 0.01; done");
    for garbage in [b"GET / HTTP/1.1\r\n\r\n".to_vec(), frame(b"\xff\xff"), frame(b"[1, 2"), vec![0xff; 64]] {
        let mut stream = UnixStream::connect(bench.data_dir.join("supervisor.sock")).unwrap();
        stream.write_all(&garbage).unwrap();
        let mut answer = Vec::new();
        // Closed with our bytes unread, it may also be reset.
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty());
    }
    let mut stream = UnixStream::connect(bench.data_dir.join("supervisor.sock")).unwrap();
    for (request, expected) in [
        (&br#"{"teleport": {"to": 1}}"#[..], "teleport"),
        (br#"{"kill": {"run_id": "run", "step_id": "a", "attempt": 1}}"#, "hello"),
        (br#"{"probe": {"of_a_later_version": true}}"#, "n_steps"),
    ] {
        stream.write_all(&frame(request)).unwrap();
        let mut answer = [0; 4096];
        let n = stream.read(&mut answer).unwrap();
        assert!(String::from_utf8_lossy(&answer[..n]).contains(expected), "{expected}");
    }
    std::fs::write(bench.data_dir.join("go"), "").unwrap();
    assert_eq!(bench.exit("a").cause, code(0));
}

#[test]
fn a_stale_socket_is_replaced() {
    let mut bench = Bench::new();
    bench.sh("a", "sleep 1000");
    bench.kill_supervisor();
    assert!(bench.data_dir.join("supervisor.sock").exists());
    bench.reconnect();
    assert!(matches!(bench.engine().inventory[0].status, KnownStatus::Running { .. }));
}

#[test]
fn a_program_that_forgot_the_entry_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let error = leverframe::supervisor::SupervisorHost::connect(dir.path(), 1, |_| {}).err().unwrap();
    assert!(matches!(error, ConnectError::NoEntry));
    assert!(error.to_string().contains("supervisor_entry"));
}

#[test]
fn a_data_directory_that_cannot_be_used_is_a_clear_error() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "").unwrap();
    let error = connect(&dir.path().join("file/data"), 1).err().unwrap();
    assert!(matches!(error, ConnectError::DataDir { .. }), "{error}");
}

#[test]
fn a_thousand_requests_at_once_are_all_heard() {
    let mut bench = Bench::new();
    let supervisor = bench.supervisor();
    signal(supervisor, Signal::STOP);
    let mut spec = bench.spec("a", "true");
    spec.env.push(("BIG".into(), "x".repeat(50_000).into()));
    let n = 1000;
    for i in 0..n {
        spec.key = key(&format!("s{i}"), 1);
        spec.argv[0] = "no-such-program".into();
        bench.send(HostRequest::Start(Box::new(spec.clone())));
    }
    signal(supervisor, Signal::CONT);
    for i in 0..n {
        bench.engine().wait_for(|event| {
            matches!(event, HostEvent::StartFailed { key: k, .. } if *k == key(&format!("s{i}"), 1))
                .then_some(())
        });
    }
}

//! An engine's place is handed over: the socket goes on listening, and what a client follows goes on where it stood.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;

use crossbeam_channel::bounded;
use leverframe::api::ProcessKind;
use leverframe::control::HandedOver;
use leverframe::control::server::HandOver;
use leverframe::control::wire::{EventFilter, SessionRequest, Successor};
use leverframe::engine::ShutdownKind;
use serde_json::{Value, json};

use super::hall::{Hall, Served};
use crate::support::bench::Bench;

#[test]
fn a_socket_that_is_handed_over_loses_neither_a_client_nor_an_event() {
    // Capacity 1: there is one who asks.
    let (tell, asked) = bounded::<HandOver>(1);
    let hall = Hall::with(
        Bench::new(),
        Served {
            on_hand_over: Some(Box::new(move |hand_over| tell.send(hand_over).expect("it is waited for"))),
            ..Served::default()
        },
    );
    hall.write_pipeline("p", "true");
    let follower = hall.client();
    let events = follower.subscribe(EventFilter::default()).expect("it subscribes");
    let successor = hall.client();
    let asking = std::thread::spawn(move || {
        successor
            .call_with_descriptors::<Value>(&SessionRequest::HandOver(successor_of_tests()))
            .expect("it is handed over")
    });
    let hand_over = asked.recv().expect("somebody asks");
    assert_eq!(hand_over.peer_pid(), Some(std::process::id()));
    let note = hall.bench.here.join("note");
    std::fs::write(&note, "held").expect("a file");
    let lock = File::open(&note).expect("a file");
    hall.engine.shutdown(ShutdownKind::LeaveSteps).expect("it ends");
    let listener = hand_over.listener().try_clone_to_owned().expect("a copy");
    hand_over.hand(&json!({"epoch": 1}), &[lock.as_fd(), listener.as_fd()]).expect("it is taken");
    drop(listener);
    let HandedOver { answer, descriptors } = asking.join().expect("no panic");
    assert_eq!((answer["epoch"].as_u64(), descriptors.len()), (Some(1), 2));
    let bench = hall.leave("the engine is handed over");

    assert_eq!(events.count(), 0, "nothing was told");
    let notice = follower.closing().expect("a notice");
    let mut descriptors = descriptors.into_iter();
    let (Some(lock), Some(listener)) = (descriptors.next(), descriptors.next()) else { panic!("two") };
    let mut text = String::new();
    File::from(lock).read_to_string(&mut text).expect("it can be read");
    assert_eq!(text, "held");

    let hall = Hall::with(
        bench,
        Served {
            listener: Some(UnixListener::from(listener)),
            last_seq: Some(notice.seq),
            ..Served::default()
        },
    );
    let client = hall.client();
    // What the new engine has told so far is told from where the old one ended, and nothing is lost.
    let filter = EventFilter { since: Some(notice.seq), ..EventFilter::default() };
    let events = client.subscribe(filter).expect("it subscribes");
    let start = leverframe::api::Command::start("p");
    let _: Value = client.call(&start).expect("it starts");
    let first = events.recv().expect("an event").event().expect("it is understood");
    assert_eq!(first.kind.name(), "execution_started");
    assert!(first.seq > notice.seq);
    hall.hear(&events, "execution_completed");
    // Of an engine before that, this one knows nothing.
    let filter = EventFilter { since: Some(notice.seq - 1), ..EventFilter::default() };
    let events = client.subscribe(filter).expect("it subscribes");
    assert_eq!(events.recv().expect("an event").event().expect("it is understood").kind.name(), "resync");
}

#[test]
fn an_engine_that_hands_nothing_over_says_so() {
    let hall = Hall::open();
    let error =
        hall.client().call::<Value>(&SessionRequest::HandOver(successor_of_tests())).expect_err("it can't");
    assert_eq!(error.to_string(), "this engine can't be handed over; end it first");
}

fn successor_of_tests() -> Successor {
    Successor { face: ProcessKind::Serve, version: "0.0.0".to_owned(), waits: false }
}

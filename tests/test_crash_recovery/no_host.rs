//! A step host that goes, and that can't be had again: whoever asks for something is answered all the same.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use leverframe::engine::{EngineOptions, HostChoice, HostSink, Scope};
use leverframe::run::{RunState, StopKind};
use leverframe::supervisor::{HostEvent, HostRequest, StepHost};

use crate::support::bench::{Bench, living};
use crate::support::process::let_pass;
use crate::support::{DEADLINE, options, run_id, start, wait_for_named};

/// A host that knows nothing and does nothing.
struct Deaf;

impl StepHost for Deaf {
    fn send(&mut self, _: HostRequest) {}
}

/// What a deaf host would say, if somebody made it speak.
type Mouth = Arc<Mutex<Option<Arc<HostSink>>>>;

/// A deaf host at first; the next one can't be had, which is said when `refuse` says so.
fn goes(mouth: &Mouth, refuse: Receiver<()>) -> HostChoice {
    let mouth = mouth.clone();
    HostChoice::Custom(Arc::new(move |_, sink| {
        let mut mouth = mouth.lock().expect("no test panics here");
        if mouth.is_some() {
            drop(mouth);
            refuse.recv_timeout(DEADLINE).expect("the test says when");
            return Err(anyhow::anyhow!("there is none"));
        }
        sink(HostEvent::Inventory(Vec::new()));
        *mouth = Some(Arc::new(sink));
        Ok(Box::new(Deaf))
    }))
}

#[test]
fn who_asks_for_a_run_that_is_to_be_taken_back_is_answered_though_no_host_can_be_had() {
    let bench = Bench::new();
    let silent = HostChoice::Custom(Arc::new(|_, sink: HostSink| {
        sink(HostEvent::Inventory(Vec::new()));
        Ok(Box::new(Deaf) as Box<dyn StepHost>)
    }));
    let (first, _events) = bench.open_with(EngineOptions { host: silent, ..options() });
    start(&first, "r1", &bench.pipeline("", &[("a", "", "")]));
    drop(first);

    let (mouth, (refuse, refused)) = (Mouth::default(), bounded(4));
    let host = goes(&mouth, refused);
    let (engine, events) = bench.open_with(EngineOptions { host, scope: Scope::Nothing, ..options() });
    start(&engine, "r2", &bench.pipeline("", &[("b", "", "")]));
    let sink = mouth.lock().expect("no test panics here").clone().expect("it was made");
    sink(HostEvent::Gone { reason: "as the test wants it".into() });
    wait_for_named(&events, "warning_raised");
    let asking = engine.clone();
    let (answer, answered) = bounded(1);
    let thread = std::thread::spawn(move || {
        let outcome = asking.stop_execution(&run_id("r1"), StopKind::Graceful);
        answer.send(outcome).expect("the test listens");
    });
    // Most likely it has been asked by then, and waits for what the next host knows.
    let_pass(Duration::from_millis(100));
    for _ in 0..4 {
        // As often as one is looked for.
        let _ = refuse.try_send(());
    }
    answered.recv_timeout(DEADLINE).expect("an answer").expect("it is recorded");
    thread.join().expect("it has answered");
    assert_eq!(living(&engine, &run_id("r1")).state(), RunState::Stopping);
}

/// A run of a step that an earlier engine left, on a host that hears nothing.
fn left_behind(bench: &Bench) {
    let (first, _events) = bench.open_with(EngineOptions { host: always(&bounded(1).0), ..options() });
    start(&first, "r1", &bench.pipeline("", &[("a", "", "")]));
}

/// A deaf host at any time; where somebody listens, the sink of each is told.
fn always(made: &Sender<Arc<HostSink>>) -> HostChoice {
    let made = made.clone();
    HostChoice::Custom(Arc::new(move |_, sink: HostSink| {
        sink(HostEvent::Inventory(Vec::new()));
        // Full, or nobody listens any more: nobody wants it.
        let _ = made.try_send(Arc::new(sink));
        Ok(Box::new(Deaf) as Box<dyn StepHost>)
    }))
}

#[test]
fn a_host_that_can_not_be_had_when_a_run_is_taken_back_is_looked_for_again() {
    let bench = Bench::new();
    left_behind(&bench);
    let (made, makes) = bounded(8);
    let good = always(&made);
    let n_asked = AtomicU32::new(0);
    let host = HostChoice::Custom(Arc::new(move |epoch, sink| {
        match (n_asked.fetch_add(1, Ordering::Relaxed), &good) {
            (1, _) => Err(anyhow::anyhow!("there is none now")),
            (_, HostChoice::Custom(make)) => make(epoch, sink),
            _ => Err(anyhow::anyhow!("it is made here")),
        }
    }));
    let (engine, _events) = bench.open_with(EngineOptions { host, scope: Scope::Nothing, ..options() });
    start(&engine, "r2", &bench.pipeline("", &[("b", "", "")]));
    makes.recv_timeout(DEADLINE).expect("the first host");
    let refused = engine.stop_execution(&run_id("r1"), StopKind::Graceful).expect_err("it is refused");
    assert!(refused.to_string().contains("there is none now"), "{refused}");
    makes.recv_timeout(DEADLINE).expect("another host, for the run that lives here");
    engine.stop_execution(&run_id("r1"), StopKind::Graceful).expect("it is recorded");
    makes.recv_timeout(DEADLINE).expect("what that one knows of the run that is taken back");
    assert_eq!(living(&engine, &run_id("r1")).state(), RunState::Stopping);
}

#[test]
fn a_run_is_not_taken_back_from_a_host_that_does_not_answer_until_it_does() {
    let bench = Bench::new();
    left_behind(&bench);
    let (made, makes) = bounded(8);
    let host = always(&made);
    let (engine, events) = bench.open_with(EngineOptions { host, scope: Scope::Nothing, ..options() });
    start(&engine, "r2", &bench.pipeline("", &[("b", "", "")]));
    let sink = makes.recv_timeout(DEADLINE).expect("the host");
    sink(HostEvent::Silent { pid: 7, is_stopped: false });
    wait_for_named(&events, "resource_alert");
    engine.stop_execution(&run_id("r1"), StopKind::Graceful).expect_err("nobody would do it");
    assert!(makes.is_empty(), "the connection was kept");
    sink(HostEvent::Answers { pid: 7 });
    engine.stop_execution(&run_id("r1"), StopKind::Graceful).expect("it is recorded");
    makes.recv_timeout(DEADLINE).expect("what the host knows of the run that is taken back");
}

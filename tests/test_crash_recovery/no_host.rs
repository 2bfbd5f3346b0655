//! A step host that goes, and that can't be had again: whoever asks for something is answered all the same.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};
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
    assert_eq!(living(&engine, &run_id("r1")).state, RunState::Stopping);
}

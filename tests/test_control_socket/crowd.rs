//! Ten clients at once, each starting, pausing, stopping and following runs. `LEVERFRAME_CAMPAIGN_SECONDS` makes it
//! longer than the few seconds of the usual form.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use leverframe::api::{Command, EngineStatus, Query, StartRun};
use leverframe::base::id::RunId;
use leverframe::control::wire::EventFilter;
use leverframe::control::{ControlClient, ControlError, Events};
use leverframe::run::{Event, EventKind, RunState, RunSummary, StopKind};

use super::hall::{Hall, span};

const N_CLIENTS: u64 = 10;

#[test]
fn ten_clients_hear_the_same_in_the_same_order_and_know_what_the_engine_knows() {
    let hall = Hall::open();
    hall.write_pipeline("long", "sleep 60");
    hall.write_pipeline("short", "true");
    let since = hall.engine.snapshot().epoch() << 32;
    let is_over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..N_CLIENTS).map(|_| Arc::new(hall.client())).collect();
    let followers: Vec<_> = clients
        .iter()
        .map(|client| {
            let filter = EventFilter { since: Some(since), ..EventFilter::default() };
            let events = client.subscribe(filter).expect("it subscribes");
            let (is_over, client) = (is_over.clone(), client.clone());
            std::thread::spawn(move || follow(&client, &events, &is_over))
        })
        .collect();
    let until = Instant::now() + span();
    let players: Vec<_> = clients
        .iter()
        .zip(1..)
        .map(|(client, seed)| {
            let client = client.clone();
            std::thread::spawn(move || play(&client, seed, until))
        })
        .collect();
    let n_done: usize = players.into_iter().map(|player| player.join().expect("no panic")).sum();
    is_over.store(true, Ordering::SeqCst);
    // The last thing that is told: every follower ends with it.
    let last = clients[0].call::<RunSummary>(&start("short", "last")).expect("it starts").run_id;
    let heard: Vec<Vec<Event>> =
        followers.into_iter().map(|follower| follower.join().expect("no panic")).collect();

    let seqs = |events: &[Event]| events.iter().map(|event| event.seq).collect::<Vec<_>>();
    let first = seqs(&heard[0]);
    assert!(first.is_sorted_by(|a, b| a < b), "the order of events");
    for (n, events) in heard.iter().enumerate() {
        assert_eq!(seqs(events), first, "client {n} heard something else");
    }
    let known = states(&heard[0]);
    assert!(known.contains_key(&last) && known.len() > 10, "{} runs", known.len());
    for (run_id, (state, attempt)) in &known {
        let truth = hall.engine.get_execution_state(run_id).expect("it can be read").expect("it is there");
        assert_eq!((*state, *attempt), (truth.state, truth.attempt), "run {run_id}");
    }
    assert!(n_done > 50, "only {n_done} commands were carried out");
}

/// Hears everything until the last run has ended, when it is known to be the last.
fn follow(client: &ControlClient, events: &Events, is_over: &AtomicBool) -> Vec<Event> {
    let mut heard = Vec::new();
    loop {
        let event = events.recv().unwrap_or_else(|| panic!("the connection ended: {:?}", client.closing()));
        let event = event.event().expect("it is understood");
        assert!(!matches!(event.kind, EventKind::Resync), "something was lost");
        let is_last = event.run_id.as_ref().is_some_and(|id| id.as_str() == "last")
            && event.kind.run().is_some_and(|run| run.state.is_ended());
        heard.push(event);
        if is_last {
            assert!(is_over.load(Ordering::SeqCst));
            return heard;
        }
    }
}

/// Starts runs one after another, does this and that to them, ends them and hears their ends; how many commands were
/// carried out.
fn play(client: &ControlClient, seed: u64, until: Instant) -> usize {
    let mut dice = Dice(seed);
    let (mut n_done, mut n_runs) = (0, 0);
    while Instant::now() < until {
        n_runs += 1;
        let pipeline = if dice.roll(4) == 0 { "short" } else { "long" };
        let name = format!("{pipeline}-{seed}-{n_runs}");
        let runs = Some(vec![RunId::new(&name).expect("an id")]);
        let events = client.subscribe(EventFilter { runs, ..EventFilter::default() }).expect("it subscribes");
        let run: RunSummary = client.call(&start(pipeline, &name)).expect("it starts");
        for _ in 0..dice.roll(4) {
            let command = match dice.roll(4) {
                0 | 1 => Command::pause(&run.run_id),
                2 => Command::resume(&run.run_id),
                _ => Command::retry(&run.run_id, None),
            };
            n_done += usize::from(carried_out(client.call(&command)).is_some());
        }
        let kind = if dice.roll(2) == 0 { StopKind::Force } else { StopKind::Graceful };
        // A stop that is refused finds the run ended.
        if let Some(run) = carried_out(client.call(&Command::stop(&run.run_id, kind))) {
            n_done += 1;
            let is_its_end = |event: &Event| {
                event.run_id.as_ref() == Some(&run.run_id)
                    && event.kind.run().is_some_and(|now| now.attempt == run.attempt && now.state.is_ended())
            };
            events.map(|event| event.event().expect("it is understood")).find(is_its_end).expect("its end");
        }
        let _: EngineStatus = client.call(&Query::Status {}).expect("it is told");
    }
    n_done
}

fn start(pipeline: &str, name: &str) -> Command {
    let run_id = Some(RunId::new(name).expect("an id"));
    Command::Start(StartRun { pipeline: Some(pipeline.to_owned()), run_id, ..StartRun::default() })
}

/// The run after a command; none when its state did not accept it.
fn carried_out(outcome: Result<RunSummary, ControlError>) -> Option<RunSummary> {
    match outcome {
        Ok(run) => Some(run),
        Err(ControlError::Refused(error)) if error.code == 2 => None,
        Err(error) => panic!("{error}"),
    }
}

fn states(events: &[Event]) -> BTreeMap<RunId, (RunState, u32)> {
    let runs = events.iter().filter_map(|event| event.kind.run());
    runs.map(|run| (run.run_id.clone(), (run.state, run.attempt))).collect()
}

/// As random as it needs to be, and the same every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

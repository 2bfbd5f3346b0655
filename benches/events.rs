//! How long an event takes from `update_progress` to a subscriber that waits for it, beside the two hand-overs
//! between threads that it needs: to the engine's, and from there to the subscriber's.
//!
//! `cargo bench --no-default-features --bench events` prints a table.
#![expect(clippy::expect_used, reason = "a benchmark that fails panics")]

#[expect(dead_code, reason = "a benchmark uses what it needs of it")]
mod support;

use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};
use leverframe::CoreExecutionEngine;
use leverframe::run::EventKind;
use support::runs::{driven, engine_without_steps, run_id};
use support::{Goal, bench, median, no_child, us};

const N_EVENTS: usize = 2000;
const N_ROUNDS: usize = 7;

fn main() {
    bench("events: from update_progress to a subscriber's recv", measure, no_child);
}

fn measure(table: &mut support::Table) {
    let dir = tempfile::tempdir().expect("a directory");
    let engine = engine_without_steps(dir.path());
    let rounds: Vec<(f64, f64)> = (0..N_ROUNDS)
        .map(|round| (median(&through_the_engine(&engine, round)), median(&hand_overs())))
        .collect();
    let ours: Vec<f64> = rounds.iter().map(|(ours, _)| *ours).collect();
    table.value("median", &ours, us, Goal::AtMost(50e-6));
    table.ratio("beside two hand-overs", &rounds, us, Goal::None);
}

fn through_the_engine(engine: &CoreExecutionEngine, round: usize) -> Vec<f64> {
    let id = run_id(format!("run-{round}"));
    let context = engine.start_execution(driven(id.clone())).expect("it starts");
    let events = engine.subscribe();
    let (arrived, arrivals) = bounded(1);
    let subscriber = std::thread::spawn(move || {
        while let Some(event) = events.recv() {
            let at = Instant::now();
            let is_progress = matches!(event.kind, EventKind::ExecutionProgress { .. });
            let is_last = matches!(event.kind, EventKind::ExecutionCompleted { .. });
            if is_last || (is_progress && arrived.send(at).is_err()) {
                return;
            }
        }
    });
    let took = (1..=N_EVENTS)
        .map(|i| {
            let said = Instant::now();
            context.update_progress(i as f64 / N_EVENTS as f64, None).expect("said");
            let at: Instant = arrivals.recv().expect("it arrives");
            at.duration_since(said).as_secs_f64()
        })
        .collect();
    context.complete(true, None).expect("it completes");
    subscriber.join().expect("it ends");
    took
}

/// An instant handed from thread to thread to thread.
fn hand_overs() -> Vec<f64> {
    let (first, in_the_middle) = bounded(1);
    let (second, at_the_end) = bounded(1);
    let pass_on = |from: Receiver<Instant>, to: Sender<Instant>| {
        move || {
            for said in from {
                to.send(said).expect("it listens");
            }
        }
    };
    let (answer, answers) = bounded(1);
    let middle = std::thread::spawn(pass_on(in_the_middle, second));
    let end = std::thread::spawn(move || {
        for said in at_the_end {
            answer.send((said, Instant::now())).expect("it listens");
        }
    });
    let took = (0..N_EVENTS)
        .map(|_| {
            first.send(Instant::now()).expect("it listens");
            let (said, at): (Instant, Instant) = answers.recv().expect("it arrives");
            at.duration_since(said).as_secs_f64()
        })
        .collect();
    drop(first);
    middle.join().expect("it ends");
    end.join().expect("it ends");
    took
}

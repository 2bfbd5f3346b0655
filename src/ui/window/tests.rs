//! A window that is minimised for a day while its runs report all the time. eframe then calls its logic once a second
//! and paints nothing.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use egui_kittest::kittest::Queryable;

use crate::base::id::RunId;
use crate::resources::MachineSample;
use crate::run::{Event, EventKind, RunState, RunSummary, StepState};
use crate::ui::tests::{Scene, now, run, scene, snapshot, step};
use crate::window::{AppUpdate, EventBus, RunUsage, Subscription};

/// Runs at a time, each of which reports so often in a second.
const N_RUNS: usize = 40;
const N_REPORTS: usize = 25;
/// So often one of them ends and another one begins.
const SECONDS_OF_A_TURN: u64 = 10;
/// After this time everything that is kept for a while is full.
const SECONDS_BEFORE: u64 = 660;
/// `LEVERFRAME_CAMPAIGN_MINIMISED_SECONDS` makes it a whole day.
const SECONDS: u64 = 900;

fn job(n: usize, turn: usize, state: RunState) -> RunSummary {
    let run_id = RunId::new(format!("job{n:02}-{turn:04}")).unwrap();
    RunSummary { run_id, message: None, progress: 0.0, ..run(&format!("job{n:02}"), state) }
}

/// The world behind the window: its events go to the bus, which keeps the newest, and from there to the window's port.
struct World {
    bus: EventBus,
    events: Subscription,
    seq: u64,
    /// How many runs of each job came before.
    turns: [usize; N_RUNS],
    /// The newest progress of each job's run.
    pages: [u64; N_RUNS],
}

impl World {
    fn new() -> Self {
        let bus = EventBus::new();
        let events = bus.subscribe();
        Self { bus, events, seq: 10, turns: [0; N_RUNS], pages: [0; N_RUNS] }
    }

    fn publish(&mut self, at: DateTime<Utc>, run_id: RunId, kind: EventKind) {
        self.seq += 1;
        self.bus.publish(&[Arc::new(Event { seq: self.seq, at, run_id: Some(run_id), kind })]);
    }

    /// A run ends, and the next one of its job begins.
    fn turn(&mut self, n: usize, at: DateTime<Utc>) {
        let ended = job(n, self.turns[n], RunState::Completed);
        self.publish(at, ended.run_id.clone(), EventKind::ExecutionCompleted { run: Arc::new(ended) });
        self.turns[n] += 1;
        let run = job(n, self.turns[n], RunState::Running);
        let steps = vec![step("list", StepState::Completed), step("fetch", StepState::Running)];
        self.publish(at, run.run_id.clone(), EventKind::ExecutionStarted { run: Arc::new(run), steps });
    }

    /// A thousand reports.
    fn report(&mut self, at: DateTime<Utc>) {
        for _ in 0..N_REPORTS {
            for n in 0..N_RUNS {
                self.pages[n] += 1;
                let kind = EventKind::ExecutionProgress {
                    progress: 0.45,
                    current_step: Some("fetch".into()),
                    message: Some(format!("page {}", self.pages[n]).into()),
                };
                self.publish(at, job(n, self.turns[n], RunState::Running).run_id, kind);
            }
        }
    }

    /// Sends what waits on the bus, and the samples of the second.
    fn hand_over(&self, scene: &Scene, at: DateTime<Utc>) {
        let updates = &scene.world.updates;
        assert!(self.events.n_waiting() <= N_RUNS + 2, "the bus keeps the newest");
        std::iter::from_fn(|| self.events.try_recv())
            .for_each(|event| updates.send(AppUpdate::Event(event)).unwrap());
        let usage = |(n, turn): (usize, &usize)| RunUsage {
            run_id: job(n, *turn, RunState::Running).run_id,
            at,
            cpu_fraction: 0.25,
            memory_bytes: 1 << 28,
        };
        updates.send(AppUpdate::Usage(self.turns.iter().enumerate().map(usage).collect())).unwrap();
        updates.send(AppUpdate::Machine(MachineSample { at, ..MachineSample::default() })).unwrap();
    }
}

/// How much the window and its read model hold: the length of everything in it, written out.
fn held(scene: &Scene) -> usize {
    format!("{:?}", scene.harness.state()).len()
}

#[test]
fn a_window_that_was_minimised_holds_no_more_and_its_first_frame_shows_how_everything_is() {
    let seconds = std::env::var("LEVERFRAME_CAMPAIGN_MINIMISED_SECONDS");
    let seconds = seconds.map_or(SECONDS, |text| text.parse().unwrap());
    assert!(seconds > SECONDS_BEFORE);
    let runs: Vec<_> = (0..N_RUNS).map(|n| job(n, 0, RunState::Running)).collect();
    let ended = (0..crate::window::MAX_RECENT).map(|n| run(&format!("old{n}"), RunState::Completed));
    let mut scene = scene([snapshot(&runs), AppUpdate::RecentRuns(ended.collect())]);
    let ctx = scene.harness.ctx.clone();
    // However slow this machine is, a frame is to take in what waits.
    scene.harness.state_mut().as_mut().unwrap().drain_budget = Duration::MAX;
    let mut world = World::new();
    let mut held_before = 0;
    for second in 0..seconds {
        let at = now() - TimeDelta::seconds((seconds - second) as i64);
        if second % SECONDS_OF_A_TURN == 0 {
            world.turn((second / SECONDS_OF_A_TURN) as usize % N_RUNS, at);
        }
        world.report(at);
        world.hand_over(&scene, at);
        if second == SECONDS_BEFORE {
            held_before = held(&scene);
        }
        // The last second's updates wait until the window is shown.
        if second + 1 < seconds {
            scene.harness.state_mut().as_mut().unwrap().process_updates(&ctx);
        }
        scene.sent();
    }
    let held_now = held(&scene);
    assert!(held_now < held_before + held_before / 50, "{held_before} became {held_now}");

    scene.harness.step();
    let window = scene.harness.state().as_ref().unwrap();
    assert!(!window.port.has_updates());
    let shown = |n: usize| format!("job{n:02}-{:04}, fetch · page {}, 45 %", world.turns[n], world.pages[n]);
    let n_rows = (0..N_RUNS).filter(|n| scene.shows(&shown(*n))).count();
    assert!(n_rows >= 8);
    assert_eq!(n_rows, scene.harness.query_all_by_label_contains("Pause job").count());
    let known: Vec<_> =
        window.store().living().map(|entry| (&entry.run.run_id, &entry.run.message)).collect();
    for n in 0..N_RUNS {
        let run_id = job(n, world.turns[n], RunState::Running).run_id;
        let message = Some(format!("page {}", world.pages[n]).into());
        assert!(known.contains(&(&run_id, &message)), "{run_id}");
    }
    assert_eq!(known.len(), N_RUNS);
}

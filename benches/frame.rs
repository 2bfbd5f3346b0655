//! What a frame of the window costs: its own CPU time, from the updates of a second to the triangles, without the driver.
//! The first page with 200 living runs whose clocks, progress, curves and figures all move; and its first frame after
//! nothing was taken in until the window's channel was full.
//!
//! `cargo bench --bench frame` prints a table.
#![expect(clippy::expect_used, reason = "a benchmark that fails panics")]

#[expect(dead_code, reason = "a benchmark uses what it needs of it")]
mod support;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use leverframe::admission::Orders;
use leverframe::resources::MachineSample;
use leverframe::run::{Event, EventKind, RunState, RunSummary, StepState, StepSummary, Trigger};
use leverframe::window::{AppUpdate, RunUsage, WorldPort, window_port};
use leverframe::{PipelineId, RunId, StepId};
use support::window::Stage;
use support::{Goal, bench, ms, no_child};

const N_RUNS: usize = 200;
/// Seconds before the first frame that counts: the curves are full.
const N_BEFORE: usize = 600;
const N_FRAMES: usize = 400;
/// Seconds whose updates fill the channel of 1024.
const N_MISSED: usize = 5;

fn main() {
    bench("frame: Now with 200 living runs, a frame a second", measure, no_child);
}

fn measure(table: &mut support::Table) {
    let mut desk = Desk::set();
    for _ in 0..N_BEFORE {
        desk.tell();
        desk.stage.process_updates();
    }
    for _ in 0..20 {
        desk.frame();
    }
    let costs: Vec<f64> = (0..N_FRAMES).map(|_| desk.frame()).collect();
    let returns: Vec<f64> = (0..20).map(|_| desk.frame_after(N_MISSED)).collect();
    table.frames("Now", &costs, Goal::AtMost(0.003));
    table.value("the first one with a full channel", &returns, ms, Goal::AtMost(0.05));
}

struct Desk {
    stage: Stage,
    world: WorldPort,
    at: DateTime<Utc>,
    seq: u64,
}

impl Desk {
    fn set() -> Self {
        let (port, world) = window_port();
        let at: DateTime<Utc> = "2026-11-23T14:00:00Z".parse().expect("an instant");
        let runs = (0..N_RUNS).map(|n| (run(n, at), steps(at))).collect();
        world.updates.send(AppUpdate::Snapshot { runs, orders: Orders::default(), seq: 1 }).expect("room");
        Self { stage: Stage::new(port), world, at, seq: 1 }
    }

    /// What a second brings: progress of every run, what they use, and the machine.
    fn tell(&mut self) {
        self.at += TimeDelta::seconds(1);
        let wave = |n: usize| 0.5 + 0.5 * ((self.at.timestamp() as f64 + n as f64) / 7.0).sin();
        for n in 0..N_RUNS {
            self.seq += 1;
            let kind = EventKind::ExecutionProgress {
                progress: (self.seq / N_RUNS as u64) as f64 / 2000.0,
                current_step: Some("fetch".into()),
                message: Some(format!("page {} of 480", self.seq).into()),
            };
            let event = Event { seq: self.seq, at: self.at, run_id: Some(id(n)), kind };
            self.world.updates.send(AppUpdate::Event(Arc::new(event))).expect("room");
        }
        let usage = (0..N_RUNS).map(|n| RunUsage {
            run_id: id(n),
            at: self.at,
            cpu_fraction: wave(n) / 20.0,
            memory_bytes: (wave(n) * 4e8) as u64,
        });
        self.world.updates.send(AppUpdate::Usage(usage.collect())).expect("room");
        self.world.updates.send(AppUpdate::Machine(machine(self.at, wave(0)))).expect("room");
    }

    /// The CPU time of a frame, in seconds.
    fn frame(&mut self) -> f64 {
        self.frame_after(1)
    }

    /// The same of the first frame after so many seconds.
    fn frame_after(&mut self, n_seconds: usize) -> f64 {
        (0..n_seconds).for_each(|_| self.tell());
        let took = self.stage.frame(Vec::new(), self.at);
        // What the window asks for must not fill its channel.
        self.world.actions.try_iter().for_each(drop);
        took
    }
}

fn id(n: usize) -> RunId {
    RunId::new(format!("job{n}-20261123140000")).expect("an id")
}

fn run(n: usize, at: DateTime<Utc>) -> RunSummary {
    RunSummary {
        run_id: id(n),
        pipeline_id: PipelineId::new(format!("job{n}")).expect("an id"),
        source: "job".into(),
        run_type: "FULL_REFRESH".into(),
        environment: "dev".into(),
        trigger: Trigger::Manual,
        state: RunState::Running,
        live: true,
        progress: 0.1,
        current_step: Some("fetch".into()),
        message: None,
        started_at: at - TimeDelta::seconds(n as i64),
        finished_at: None,
        frozen_seconds: 0.0,
        worked_seconds: None,
        works_since: None,
        frozen_since: None,
        error: None,
        attempt: 1,
        waits_for: None,
    }
}

fn steps(at: DateTime<Utc>) -> Vec<StepSummary> {
    let step = |name: &str, state: StepState| StepSummary {
        step_id: StepId::new(name).expect("an id"),
        state,
        attempt: 1,
        exit_code: None,
        signal: None,
        started_at: Some(at),
        finished_at: (state == StepState::Completed).then_some(at),
        peak_rss_bytes: None,
        peak_rss_source: None,
        cpu_seconds: None,
        written_bytes: None,
        worked_seconds: None,
        works_since: None,
        log: None,
        progress: 0.0,
        message: None,
        pid: None,
        error: None,
        waits_for: None,
    };
    vec![step("list", StepState::Completed), step("fetch", StepState::Running)]
}

fn machine(at: DateTime<Utc>, share: f64) -> MachineSample {
    MachineSample {
        at,
        cpu_fraction: share,
        cores: vec![share as f32; 2].into(),
        memory_used_bytes: (share * 2e10) as u64,
        memory_available_bytes: 1 << 30,
        memory_total_bytes: 24 << 30,
        swap_used_bytes: 0,
        swap_total_bytes: 0,
        disk_free_bytes: 41 << 30,
        volumes: Vec::new().into(),
        disk_read_rate: share * 1e8,
        disk_write_rate: share * 3e7,
        network_receive_rate: share * 1e6,
        network_send_rate: share * 1e5,
        load_average: [share; 3],
        temperature_celsius: None,
        power: None,
    }
}

//! The real window over hand-made runs, for looking at it: `cargo test --test window_preview -- SCENE`,
//! where SCENE is `busy` (default), `empty`, `ended` or `quiet`. Levers work on the made-up runs. No
//! part of the product and no test by itself: a plain `cargo test` leaves it out.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use crossbeam_channel::RecvTimeoutError;
use leverframe::app::{
    Action, AppUpdate, LogTail, MachineSample, PipelineEntry, RunUsage, WorldPort, window_port,
};
use leverframe::id::{PipelineId, RunId, StepId};
use leverframe::run::{Decision, Event, EventKind, RunState, RunSummary, StepState, StepSummary, Trigger};

fn main() -> anyhow::Result<()> {
    let scene = std::env::args().nth(1).unwrap_or_else(|| "busy".to_owned());
    let (window, world) = window_port();
    let stage = std::thread::Builder::new().name("stage".to_owned()).spawn(move || play(&scene, &world))?;
    leverframe::ui::run(window)?;
    stage.join().map_err(|_| anyhow::anyhow!("the stage panicked"))?
}

struct Stage<'a> {
    world: &'a WorldPort,
    runs: Vec<(RunSummary, Vec<StepSummary>)>,
    seq: u64,
}

fn play(scene: &str, world: &WorldPort) -> anyhow::Result<()> {
    let now = Utc::now();
    let send = |update| world.updates.send(update);
    send(AppUpdate::Pipelines(pipelines()))?;
    let is_busy = matches!(scene, "busy" | "away");
    for n in (0..if scene == "quiet" { 0 } else { 600 }).rev() {
        send(AppUpdate::Machine(sample(now - TimeDelta::seconds(n), n as f64)))?;
    }
    let mut stage = Stage { world, runs: Vec::new(), seq: 1000 };
    if is_busy {
        stage.runs = busy(now);
    }
    send(AppUpdate::Snapshot { runs: stage.runs.clone(), seq: stage.seq })?;
    if scene != "empty" {
        send(AppUpdate::RecentRuns(ended(now)))?;
    }
    if is_busy {
        stage.tell(None, EventKind::RecoveryDecided { decisions: decisions(now) })?;
        for n in (0..60).rev() {
            send(AppUpdate::Usage(usage(&stage.runs, now - TimeDelta::seconds(n), n as f64)))?;
        }
    }
    let mut beat = 0.0;
    loop {
        match world.actions.recv_timeout(Duration::from_secs(1)) {
            Ok(Action::Quit(_)) => {
                let _ = send(AppUpdate::ReadyToClose);
                return Ok(());
            }
            Ok(action) => stage.answer(action)?,
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
            Err(RecvTimeoutError::Timeout) => {
                beat += 1.0;
                if scene != "quiet" && send(AppUpdate::Machine(sample(Utc::now(), -beat))).is_err() {
                    return Ok(());
                }
                if !stage.runs.is_empty() {
                    let _ = send(AppUpdate::Usage(usage(&stage.runs, Utc::now(), -beat)));
                }
            }
        }
    }
}

impl Stage<'_> {
    fn tell(&mut self, run_id: Option<RunId>, kind: EventKind) -> anyhow::Result<()> {
        self.seq += 1;
        let event = Event { seq: self.seq, at: Utc::now(), run_id, kind };
        Ok(self.world.updates.send(AppUpdate::Event(Arc::new(event)))?)
    }

    fn change(
        &mut self,
        run_id: &RunId,
        change: impl Fn(&mut RunSummary) -> EventKind,
    ) -> anyhow::Result<()> {
        let Some((run, _)) = self.runs.iter_mut().find(|(run, _)| run.run_id == *run_id) else {
            let action = format!("change {run_id}");
            let message = "no such run lives here; it is part of the scenery".to_owned();
            return Ok(self.world.updates.send(AppUpdate::Failure { action, message })?);
        };
        let kind = change(run);
        self.tell(Some(run_id.clone()), kind)
    }

    fn answer(&mut self, action: Action) -> anyhow::Result<()> {
        match action {
            Action::Pause(run_id) => self.change(&run_id, |run| {
                run.state = RunState::Paused;
                run.frozen_since = Some(Utc::now());
                EventKind::ExecutionPaused { run: Arc::new(run.clone()), unfrozen: vec![] }
            }),
            Action::Resume(run_id) => self.change(&run_id, |run| {
                if let Some(since) = run.frozen_since.take() {
                    run.frozen_seconds += (Utc::now() - since).as_seconds_f64();
                }
                run.state = RunState::Running;
                EventKind::ExecutionResumed { run: Arc::new(run.clone()), from: RunState::Paused }
            }),
            Action::Stop(run_id) => self.change(&run_id, |run| {
                run.state = RunState::Stopping;
                EventKind::ExecutionStopping { run: Arc::new(run.clone()) }
            }),
            Action::ForceStop(run_id) => self.change(&run_id, |run| {
                run.state = RunState::ForceStopped;
                run.finished_at = Some(Utc::now());
                EventKind::ExecutionForceStopped { run: Arc::new(run.clone()) }
            }),
            Action::SelectStep { run_id, step_id, attempt } => {
                let tail = Arc::new(log());
                Ok(self.world.updates.send(AppUpdate::LogTail { run_id, step_id, attempt, tail })?)
            }
            Action::LoadRun(run_id) | Action::SelectRun(Some(run_id)) => {
                let now = Utc::now();
                let Some(run) = ended(now).into_iter().find(|run| run.run_id == run_id) else {
                    return Ok(());
                };
                let steps = ended_steps(&run);
                let detail = AppUpdate::RunDetail { run, steps, decisions: vec![], seq: 0 };
                Ok(self.world.updates.send(detail)?)
            }
            Action::StartJob { pipeline } => {
                let mut run = run(pipeline.as_str(), "1", RunState::Running, Utc::now(), 0.0);
                run.run_id = RunId::new(format!("{pipeline}-{}", Utc::now().format("%Y%m%d%H%M%S")))?;
                let steps = ["fetch", "parse", "validate", "load", "report"]
                    .map(|id| step(id, StepState::Pending, None, None))
                    .to_vec();
                self.runs.push((run.clone(), steps.clone()));
                let kind = EventKind::ExecutionStarted { run: Arc::new(run.clone()), steps };
                self.tell(Some(run.run_id), kind)
            }
            Action::StartLike(_)
            | Action::Retry { .. }
            | Action::OpenFolder(_)
            | Action::Refresh
            | Action::SelectRun(None)
            | Action::Quit(_) => Ok(()),
        }
    }
}

fn id(text: &str) -> RunId {
    RunId::new(text).expect("a well-formed id")
}

fn run(pipeline: &str, stamp: &str, state: RunState, started_at: DateTime<Utc>, progress: f64) -> RunSummary {
    RunSummary {
        run_id: id(&format!("{pipeline}-{stamp}")),
        pipeline_id: PipelineId::new(pipeline).expect("a well-formed id"),
        source: pipeline.into(),
        run_type: "FULL_REFRESH".into(),
        environment: "dev".into(),
        trigger: Trigger::Manual,
        state,
        live: !state.is_ended(),
        progress,
        current_step: None,
        message: None,
        started_at,
        finished_at: None,
        frozen_seconds: 0.0,
        frozen_since: None,
        error: None,
        attempt: 1,
    }
}

fn step(
    step_id: &str,
    state: StepState,
    started_at: Option<DateTime<Utc>>,
    finished_at: Option<DateTime<Utc>>,
) -> StepSummary {
    StepSummary {
        step_id: StepId::new(step_id).expect("a well-formed id"),
        state,
        attempt: u32::from(started_at.is_some()),
        exit_code: (state == StepState::Completed).then_some(0),
        signal: None,
        started_at,
        finished_at,
        peak_rss_bytes: finished_at.map(|_| 118 << 20),
        peak_rss_source: None,
        cpu_seconds: None,
        log: None,
        progress: if state == StepState::Running { 0.45 } else { 0.0 },
        message: None,
        pid: None,
        error: None,
    }
}

fn busy(now: DateTime<Utc>) -> Vec<(RunSummary, Vec<StepSummary>)> {
    use StepState::{Completed, Paused, Pending, Running};
    let ago = |seconds| now - TimeDelta::seconds(seconds);
    let make = |pipeline, stamp, state, started, progress, step: &str, message: &str| {
        let mut run = run(pipeline, stamp, state, started, progress);
        run.current_step = Some(step.into());
        run.message = Some(message.into());
        run
    };
    let alfabeta =
        make("alfabeta", "20261123140200", RunState::Running, ago(761), 0.45, "fetch", "page 214 of 480");
    let books = make("books", "20261123141000", RunState::Running, ago(252), 0.71, "parse", "12,400 rows");
    let mut ranker =
        make("train-ranker", "20261123120000", RunState::Paused, ago(6489), 0.52, "fit", "epoch 31 of 60");
    ranker.frozen_since = Some(ago(260));
    let backup =
        make("nightly-backup", "20261123140900", RunState::Stopping, ago(595), 0.28, "copy", "88 of 310 GiB");
    let mut reindex = run("reindex-catalogue", "20261123141500", RunState::Queued, ago(20), 0.0);
    reindex.error = Some("Waiting for a slot: 4 of 4 runs are alive".into());
    let mut fetch = step("fetch", Running, Some(ago(440)), None);
    fetch.message = Some("page 214 of 480".into());
    fetch.attempt = 2;
    vec![
        (
            alfabeta,
            vec![
                step("list", Completed, Some(ago(755)), Some(ago(445))),
                fetch,
                step("parse", Pending, None, None),
                step("validate", Pending, None, None),
                step("load", Pending, None, None),
                step("report", Pending, None, None),
            ],
        ),
        (
            books,
            vec![
                step("fetch", Completed, Some(ago(250)), Some(ago(160))),
                step("parse", Running, Some(ago(158)), None),
            ],
        ),
        (ranker, vec![step("fit", Paused, Some(ago(6480)), None)]),
        (backup, vec![step("copy", Running, Some(ago(190)), None)]),
        (reindex, vec![step("index", Pending, None, None)]),
    ]
}

fn ended(now: DateTime<Utc>) -> Vec<RunSummary> {
    let make = |pipeline, stamp: &str, state, minutes, took, progress, error: Option<&str>| {
        let mut run = run(pipeline, stamp, state, now - TimeDelta::minutes(minutes), progress);
        run.finished_at = Some(run.started_at + TimeDelta::seconds(took));
        run.error = error.map(Into::into);
        run.current_step = Some("load".into());
        run
    };
    let mut runs = vec![
        make("price-list", "20261123133000", RunState::Completed, 30, 63, 1.0, None),
        make(
            "books",
            "20261123130000",
            RunState::Failed,
            55,
            252,
            0.71,
            Some(
                "Step parse failed: it exited with 12 after 4 attempts; its last line was “KeyError: 'isbn'”",
            ),
        ),
        make("price-list", "20261123121500", RunState::Stopped, 105, 31, 0.42, None),
        make(
            "train-ranker",
            "20261122120000",
            RunState::Interrupted,
            1500,
            7300,
            0.3,
            Some(
                "The machine went down while step fit ran; it is to be asked about (on_interrupt = \"ask\")",
            ),
        ),
        make("nightly-backup", "20261122020000", RunState::ForceStopped, 2160, 4000, 0.9, None),
    ];
    for n in 0..120 {
        let stamp = format!("202611{:02}0200{:02}", 1 + n % 20, n % 60);
        runs.push(make("alfabeta", &stamp, RunState::Completed, 3000 + 60 * n, 760 + n, 1.0, None));
    }
    runs
}

fn ended_steps(run: &RunSummary) -> Vec<StepSummary> {
    let mut steps = vec![
        step(
            "fetch",
            StepState::Completed,
            Some(run.started_at),
            Some(run.started_at + TimeDelta::seconds(31)),
        ),
        step("parse", StepState::Completed, Some(run.started_at + TimeDelta::seconds(31)), run.finished_at),
        step("load", StepState::Skipped, None, None),
    ];
    if run.state == RunState::Failed {
        steps[1].state = StepState::Failed;
        steps[1].exit_code = Some(12);
        steps[1].attempt = 4;
        steps[1].error = Some("exited with 12".into());
    }
    steps
}

fn decisions(now: DateTime<Utc>) -> Vec<Decision> {
    let decide = |run: &str, step: &str, text: &str| Decision {
        at: now - TimeDelta::minutes(3),
        run_id: id(run),
        step_id: StepId::new(step).ok(),
        text: text.to_owned(),
    };
    vec![
        decide(
            "alfabeta-20261123140200",
            "fetch",
            "Its process 4711 went on without the app and was taken back",
        ),
        decide(
            "books-20261123141000",
            "fetch",
            "It ended with exit code 0 while the app was gone; that is recorded",
        ),
        decide("train-ranker-20261123120000", "fit", "It is still frozen and stays so until it is resumed"),
    ]
}

fn pipelines() -> Vec<PipelineEntry> {
    let entry = |id: &str, description: &str, n_steps, error: Option<&str>| PipelineEntry {
        id: PipelineId::new(id).expect("a well-formed id"),
        source: id.to_owned(),
        description: (!description.is_empty()).then(|| description.to_owned()),
        path: Some(format!("/home/ada/.local/share/leverframe/pipelines/{id}.toml").into()),
        n_steps,
        error: error.map(str::to_owned),
    };
    vec![
        entry(
            "price-list",
            "Nightly price list: fetches, parses, validates and loads bundled pages",
            5,
            None,
        ),
        entry("alfabeta", "Scrapes the medicine catalogue", 6, None),
        entry("books", "", 2, None),
        entry(
            "broken",
            "",
            0,
            Some("broken.toml:7:1: unknown key `retires` in step `fetch`; did you mean `retries`?"),
        ),
    ]
}

fn wave(n: f64, period: f64) -> f64 {
    (n / period * std::f64::consts::TAU).sin()
}

fn sample(at: DateTime<Utc>, n: f64) -> MachineSample {
    let cpu = 0.35 + 0.15 * wave(n, 200.0) + 0.06 * wave(n, 17.0) + 0.04 * wave(n, 5.3);
    MachineSample {
        at,
        cpu_fraction: cpu.clamp(0.0, 1.0),
        memory_used_bytes: ((17.1 + 1.2 * wave(n, 900.0)) * f64::from(1 << 30)) as u64,
        memory_total_bytes: 24 << 30,
        disk_free_bytes: 41 << 30,
    }
}

fn usage(runs: &[(RunSummary, Vec<StepSummary>)], at: DateTime<Utc>, n: f64) -> Vec<RunUsage> {
    let of = |(at_index, (run, _)): (usize, &(RunSummary, Vec<StepSummary>))| {
        let is_frozen = run.state == RunState::Paused;
        let level = 0.2 + 0.1 * at_index as f64;
        RunUsage {
            run_id: run.run_id.clone(),
            at,
            cpu_fraction: if is_frozen { 0.0 } else { level + 0.08 * wave(n, 7.0 + at_index as f64) },
            memory_bytes: ((0.4 + at_index as f64 * 1.3) * (1u64 << 30) as f64) as u64,
        }
    };
    runs.iter().enumerate().filter(|(_, (run, _))| run.state != RunState::Queued).map(of).collect()
}

fn log() -> LogTail {
    let lines = (0..400).map(|n| match n % 9 {
        0 => format!("\u{1b}[33mWARN\u{1b}[0m  page {n}: price missing, kept the last one known"),
        4 => {
            format!("[14:{:02}:{:02}] GET /catalogue/page-{n}.html → 200, 18.4 KiB in 212 ms", n / 60, n % 60)
        }
        _ => format!("page {n} of 480: 24 rows"),
    });
    LogTail { lines: lines.collect(), dropped_bytes: 0, total_bytes: 1_284_000, truncated_front: true }
}

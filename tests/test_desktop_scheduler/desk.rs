//! A scheduler's core with a world around it: runs start and end as a test plays them, without a clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, TimeDelta, Utc};
use leverframe::base::id::{JobId, PipelineId, RunId};
use leverframe::base::time::{Now, format_instant, parse_instant};
use leverframe::run::{Body, Definition, EventKind, Phase, Run, RunLedger, RunState};
use leverframe::schedule::ScheduleConfig;
use leverframe::scheduler::{
    Act, FireView, HistoryView, JobSpec, JobStart, JobView, SchedulerCore, SchedulerError, StartOutcome,
    Target,
};
use leverframe::store::{CheckpointManager, FireFilter, JobStore, RunWrite};

use crate::support::definition;
use crate::support::world::driven_in;

/// The core and its world.
pub(crate) struct Desk {
    pub(crate) core: SchedulerCore,
    pub(crate) jobs: JobStore,
    pub(crate) runs: CheckpointManager,
    pub(crate) now: Now,
    /// What was asked to be started and not yet looked at by the test.
    started: Vec<JobStart>,
    pub(crate) living: Vec<Arc<Run>>,
    pub(crate) stopped: Vec<RunId>,
    pub(crate) told: Vec<EventKind>,
    /// Why nothing can be started, where a test wants that.
    pub(crate) refusal: Option<String>,
    pub(crate) outcome: StartOutcome,
    /// How many names are found taken.
    pub(crate) names_taken: usize,
    /// Nothing that is decided from now on reaches the world: the scheduler has died.
    pub(crate) is_dead: bool,
    pub(crate) has_pipeline: Arc<AtomicBool>,
}

pub(crate) const PIPELINE: &str = "id = \"shop\"\nsource = \"shop\"\n[params.page]\ntype = \"int\"\ndefault = 1\n[[step]]\nid = \"a\"\nrun = \"true\"\n";

impl Desk {
    /// At two in the morning, on a machine in UTC.
    pub(crate) fn new() -> Self {
        let jobs = JobStore::in_memory().expect("a store");
        let runs = CheckpointManager::in_memory().expect("a store");
        Self::over(jobs, runs)
    }

    pub(crate) fn over(jobs: JobStore, runs: CheckpointManager) -> Self {
        let has_pipeline = Arc::new(AtomicBool::new(true));
        let core = core(&jobs, &runs, &has_pipeline, "UTC");
        Self {
            core,
            jobs,
            runs,
            now: Now { wall: instant("2026-11-23T02:00:00Z"), awake_ms: 1_000_000 },
            started: Vec::new(),
            living: Vec::new(),
            stopped: Vec::new(),
            told: Vec::new(),
            refusal: None,
            outcome: StartOutcome::Started,
            names_taken: 0,
            is_dead: false,
            has_pipeline,
        }
    }

    pub(crate) fn try_add(&mut self, spec: JobSpec) -> Result<(), SchedulerError> {
        let acts = self.core.schedule_job(spec, self.now)?;
        self.carry_out(acts);
        Ok(())
    }

    pub(crate) fn add(&mut self, spec: JobSpec) {
        self.try_add(spec).expect("the job is added");
    }

    /// Lets time pass, and has the scheduler look.
    pub(crate) fn pass(&mut self, time: TimeDelta) {
        self.now.wall += time;
        self.now.awake_ms += time.num_milliseconds().clamp(0, 60_000) as u64;
        self.look();
    }

    /// Lets time pass that the wall clock does not know of: it was set back by as much.
    pub(crate) fn pass_awake_only(&mut self, ms: u64) {
        self.now.awake_ms += ms;
        self.look();
    }

    pub(crate) fn go_to(&mut self, at: &str) {
        let at = instant(at);
        let time = at - self.now.wall;
        self.now.wall = at;
        self.now.awake_ms += time.num_milliseconds().clamp(0, 60_000) as u64;
        self.look();
    }

    pub(crate) fn look(&mut self) {
        for _ in 0..100_000 {
            let acts = self.core.look(self.now).expect("it is recorded");
            self.carry_out(acts);
            let wake = self.core.wake().expect("it can be read");
            let is_due = wake.wall.is_some_and(|at| at <= self.now.wall)
                || wake.awake_ms.is_some_and(|ms| ms <= self.now.awake_ms);
            if !is_due || self.is_dead {
                return;
            }
        }
        panic!("it looks again and again");
    }

    pub(crate) fn wake_at(&self) -> String {
        self.core.wake().expect("it can be read").wall.map(format_instant).unwrap_or_default()
    }

    pub(crate) fn carry_out(&mut self, acts: Vec<Act>) {
        if self.is_dead {
            return;
        }
        for act in acts {
            match act {
                Act::Start(start) => self.start(*start),
                Act::Stop(run_id) => self.stopped.push(run_id),
                Act::Tell(_, event) => self.told.push(*event),
            }
        }
    }

    fn start(&mut self, start: JobStart) {
        self.started.push(start.clone());
        let outcome = match &self.refusal {
            Some(reason) => StartOutcome::Refused(reason.clone()),
            None if self.names_taken > 0 => {
                self.names_taken -= 1;
                StartOutcome::NameTaken
            }
            None => self.outcome.clone(),
        };
        if outcome == StartOutcome::Started {
            self.record(&start);
        }
        let acts = self.core.started(start, outcome, self.now).expect("it is booked");
        self.carry_out(acts);
    }

    /// The engine's part: the run is on disk.
    pub(crate) fn record(&mut self, start: &JobStart) {
        let ledger = RunLedger { fired_by: Some(Arc::new(start.fired_by.clone())), ..RunLedger::default() };
        let run = Arc::new(Run {
            id: start.run_id.clone(),
            pipeline_id: start.pipeline_id.clone(),
            source: start.source.as_str().into(),
            trigger: start.trigger,
            body: Body::Driven,
            started_at: self.now.wall,
            ledger,
            ..driven_in(RunState::Running)
        });
        self.runs.commit(&[RunWrite::Run(run.clone())]).expect("it is recorded");
        self.living.push(run);
    }

    /// All runs that live end so.
    pub(crate) fn end_all(&mut self, state: RunState) {
        for run in std::mem::take(&mut self.living) {
            let ended = Run { phase: Phase::of(state, Some(self.now.wall)), ..(*run).clone() };
            self.runs.commit(&[RunWrite::Run(Arc::new(ended.clone()))]).expect("it is recorded");
            if !self.is_dead {
                let acts = self.core.ended(&ended.summary(), self.now).expect("it is booked");
                self.carry_out(acts);
            }
        }
        self.look();
    }

    /// What was started since the last look.
    pub(crate) fn started(&mut self) -> Vec<JobStart> {
        std::mem::take(&mut self.started)
    }

    pub(crate) fn started_names(&mut self) -> Vec<String> {
        self.started().into_iter().map(|start| start.job_id.to_string()).collect()
    }

    /// Another scheduler, on the same databases.
    pub(crate) fn start_again(&mut self) {
        self.start_again_in("UTC");
    }

    /// The same, on a machine that is in this zone by now.
    pub(crate) fn start_again_in(&mut self, zone: &str) {
        self.core = core(&self.jobs, &self.runs, &self.has_pipeline, zone);
        self.is_dead = false;
        let acts = self.core.recover(self.now).expect("it recovers");
        self.carry_out(acts);
        self.look();
    }

    pub(crate) fn job(&self, name: &str) -> JobView {
        self.core.get_job(&id(name)).expect("the job is there")
    }

    pub(crate) fn history(&self, name: &str) -> Vec<HistoryView> {
        self.core.get_job_history(&id(name), 1000).expect("the job is there")
    }

    pub(crate) fn rows(&self, name: &str) -> Vec<FireView> {
        self.core.fires(&id(name), &FireFilter::default(), self.now).expect("the job is there")
    }

    /// The ledger in short: time, outcome, number of instants.
    pub(crate) fn ledger(&self, name: &str) -> Vec<String> {
        let short =
            |row: &FireView| format!("{} {} {}", row.due_at.format("%H:%M:%S"), row.outcome, row.n_instants);
        self.rows(name).iter().map(short).collect()
    }
}

fn core(
    jobs: &JobStore,
    runs: &CheckpointManager,
    has_pipeline: &Arc<AtomicBool>,
    zone: &str,
) -> SchedulerCore {
    let has_pipeline = has_pipeline.clone();
    let shop: Arc<Definition> = definition(PIPELINE);
    let resolve = Arc::new(move |wanted: &PipelineId| match wanted.as_str() {
        "shop" if has_pipeline.load(Ordering::Relaxed) => Ok(Target::Pipeline(shop.clone())),
        "function" => Ok(Target::Function),
        other => Err(format!("there is no pipeline {other:?}")),
    });
    SchedulerCore::new(jobs.clone(), runs.clone(), resolve, zone)
}

/// That these rows hold every instant of a schedule of that step once: as many, without a gap, without an overlap.
pub(crate) fn whole(rows: &[FireView], step: TimeDelta, n_instants: u64) {
    let mut n = 0;
    let mut next: Option<DateTime<Utc>> = None;
    for row in rows {
        let (due, through) = (row.due_at, row.through_at);
        assert!(next.is_none_or(|next| next == due), "{row:?} does not follow: {next:?}");
        assert_eq!(
            (through - due).num_seconds() as u64 / step.num_seconds() as u64 + 1,
            row.n_instants,
            "{row:?}"
        );
        n += row.n_instants;
        next = Some(through + step);
    }
    assert_eq!(n, n_instants);
}

pub(crate) fn instant(text: &str) -> DateTime<Utc> {
    parse_instant(text).expect("an instant")
}

pub(crate) fn id(name: &str) -> JobId {
    JobId::new(name).expect("a name")
}

/// A job of the pipeline `shop`.
pub(crate) fn spec(name: &str, config: &str, kind: &str) -> JobSpec {
    let schedule = ScheduleConfig::from_parts(kind, config).expect("a schedule");
    JobSpec::new(id(name), "shop", schedule).expect("a name")
}

impl Desk {
    /// Warnings that were told.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let text = |event: &EventKind| {
            if let EventKind::WarningRaised { text } = event { Some(text.clone()) } else { None }
        };
        self.told.iter().filter_map(text).collect()
    }

    /// The run of this name as it is now, by whoever wrote it.
    pub(crate) fn rewrite(&mut self, run_id: &str, change: impl FnOnce(&mut Run)) {
        let at = self.living.iter().position(|run| run.id.as_str() == run_id);
        let at = at.unwrap_or_else(|| panic!("{run_id} was started"));
        let mut run = (*self.living[at]).clone();
        change(&mut run);
        let run = Arc::new(run);
        self.runs.commit(&[RunWrite::Run(run.clone())]).expect("it is recorded");
        self.living[at] = run;
    }
}

pub(crate) fn every(name: &str, seconds: u32) -> JobSpec {
    spec(name, &format!("{{\"seconds\": {seconds}}}"), "interval")
}

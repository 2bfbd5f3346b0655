//! A run with simulated processes: a test makes them start, end and vanish, without a clock.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, LazyLock};

use chrono::{DateTime, TimeDelta, Utc};
use leverframe::admission::Admission;
use leverframe::base::id::PipelineId;
use leverframe::base::time::Now;
use leverframe::run::{
    Body, Context, Effect, EventKind, Exit, Input, Outbox, Phase, Record, Run, RunLedger, RunState, Starts,
    StepNews, Steps, Trigger, decide,
};

use super::{definition, run_id};

/// A run with simulated processes.
pub(crate) struct World {
    pub(crate) run: Run,
    pub(crate) now: Now,
    pub(crate) starts: Starts,
    pub(crate) acted: Vec<Effect>,
    pub(crate) recorded: Vec<Record>,
    /// The events.
    pub(crate) told: Vec<EventKind>,
    /// Attempts that were started and have not ended: the simulated processes.
    pub(crate) alive: HashSet<(usize, u32)>,
    pub(crate) started: HashSet<(usize, u32)>,
}

impl World {
    pub(crate) fn new(text: &str) -> Self {
        let body = Body::Pipeline(definition(text));
        let run = Run { steps: Steps::fresh(&body), body, ..driven_in(RunState::Queued) };
        let mut world = Self {
            run,
            now: at(0),
            starts: Starts::Allowed,
            acted: vec![],
            recorded: vec![],
            told: vec![],
            alive: HashSet::new(),
            started: HashSet::new(),
        };
        world.hear(Input::Begin);
        world.started(0);
        world
    }

    pub(crate) fn pass(&mut self, ms: u64) {
        self.now.awake_ms += ms;
        self.now.wall += TimeDelta::milliseconds(ms as i64);
    }

    pub(crate) fn live(&self) -> Option<usize> {
        self.run.steps.iter().position(|step| step.state().is_live())
    }

    pub(crate) fn started(&mut self, index: usize) {
        self.step(index, StepNews::Started { pid: 1000 + self.run.steps[index].attempt, at: self.now.wall });
    }

    /// Its process is gone, without any report.
    pub(crate) fn vanish(&mut self, index: usize) {
        self.alive.remove(&(index, self.run.steps[index].attempt));
    }

    pub(crate) fn exit(&mut self, index: usize, code: i32) {
        self.alive.remove(&(index, self.run.steps[index].attempt));
        self.step(index, StepNews::Exited(exit(self.now, code)));
    }

    pub(crate) fn step(&mut self, index: usize, news: StepNews) {
        let attempt = self.run.steps[index].attempt;
        self.hear(Input::Step { index, attempt, news });
    }

    /// Decides as the engine does, and keeps track of the processes that would live.
    pub(crate) fn hear(&mut self, input: Input) {
        let before = self.run.clone();
        let mut out = Outbox::default();
        let cx = Context { starts: self.starts, ..context(self.now) };
        if decide(&mut self.run, input.clone(), cx, &mut out).is_err() {
            self.run = before;
            return;
        }
        for effect in &out.early {
            let Effect::Start { index, .. } = effect else {
                panic!("only starts may go ahead of the commit: {effect:?}")
            };
            assert!(before.steps[*index].phase.is_prepared(), "its start was not on disk");
        }
        for effect in out.early.into_iter().chain(out.effects) {
            if let Effect::Start { index, may_be_alive } = effect {
                let tree = (index, self.run.steps[index].attempt);
                let is_new = self.started.insert(tree);
                assert!(is_new || may_be_alive, "a second tree of {tree:?} after {input:?}");
                if is_new {
                    assert!(
                        !self.alive.iter().any(|(other, _)| *other == index),
                        "two trees of step {index}"
                    );
                    self.alive.insert(tree);
                }
                let is_finally = self.run.definition().is_some_and(|d| d.pipeline.steps[index].finally);
                assert!(
                    self.run.state() == RunState::Running
                        || (is_finally && self.run.state() == RunState::Stopping),
                    "started while {}",
                    self.run.state()
                );
                let may_start = match self.starts {
                    Starts::Allowed => true,
                    Starts::CleanUpOnly => is_finally,
                    Starts::Held => false,
                };
                assert!(may_start, "started while {:?}", self.starts);
            }
            self.acted.push(effect);
        }
        self.recorded.extend(out.records);
        self.told.extend(out.events);
    }
}

pub(crate) fn exit(now: Now, code: i32) -> Exit {
    Exit {
        code: Some(code),
        signal: None,
        ended_at: now.wall,
        cost: None,
        memory: None,
        interrupted: false,
        log_dropped_bytes: 0,
    }
}

pub(crate) fn at(ms: u64) -> Now {
    let start: DateTime<Utc> = "2026-11-23T02:00:00Z".parse().expect("an instant");
    Now { wall: start + TimeDelta::milliseconds(ms as i64), awake_ms: 1_000_000 + ms }
}

/// An admission that allows everything.
static NOTHING_HELD: LazyLock<Admission> = LazyLock::new(Admission::default);

pub(crate) fn context(now: Now) -> Context<'static> {
    Context {
        held_for: None,
        admission: &NOTHING_HELD,
        now,
        n_cpus: 2,
        starts: Starts::Allowed,
        salt: "salt",
        boot_id: "boot",
    }
}

pub(crate) fn driven_in(state: RunState) -> Run {
    let now = at(0).wall;
    Run {
        id: run_id("r"),
        pipeline_id: PipelineId::new("p").expect("an id"),
        source: "s".into(),
        run_type: "FULL_REFRESH".into(),
        environment: "dev".into(),
        trigger: Trigger::Manual,
        body: Body::Driven,
        params: Arc::new(BTreeMap::new()),
        phase: Phase::of(state, Some(now)),
        attempt: 1,
        started_at: now,
        progress: 0.0,
        current_step: None,
        message: None,
        error: None,
        metadata: None,
        steps: Steps::default(),
        ledger: RunLedger::default(),
    }
}

//! The window's read model follows the engine: whatever random operators and steps do, and however late and coalesced
//! the events come, it equals the engine's own state as soon as it has taken everything in.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, SubsecRound, Utc};
use leverframe::backend::RunDetail;
use leverframe::base::id::{AttemptKey, RunId};
use leverframe::base::time::Now;
use leverframe::engine::{EngineOptions, HostChoice, HostSink, StartRequest, Subscription};
use leverframe::records::Records;
use leverframe::run::{Event, Run, RunState, RunSummary, StepRun, StepSummary, StopKind};
use leverframe::store::RunFilter;
use leverframe::supervisor::{ExitCause, HostEvent, HostRequest, StepExit, StepHost};
use leverframe::window::{Action, AppUpdate, StepsKnown};
use leverframe::{AppStore, CoreExecutionEngine};
use parking_lot::Mutex;
use proptest::prelude::*;

use crate::support::{DEADLINE, run_id, start};

const PIPELINE: &str = r#"
    id = "tangled"
    max_parallel = 2
    on_failure = "continue"
    [[step]]
    id = "a"
    run = ["x"]
    retries = { max = 1, delay = "1ms" }
    [[step]]
    id = "b"
    needs = []
    run = ["x"]
    [[step]]
    id = "c"
    needs = ["a", "b"]
    run = ["x"]
    [[step]]
    id = "d"
    needs = ["b"]
    when = "on_failure"
    run = ["x"]
    [[step]]
    id = "e"
    finally = true
    run = ["x"]
"#;

/// What the operator, the steps and the window do, at random. Numbers choose among what there is.
#[derive(Debug, Clone)]
enum Move {
    Start,
    Drive,
    Report(usize, f64),
    Complete(usize, bool),
    Pause(usize),
    Resume(usize),
    Stop(usize, bool),
    Retry(usize),
    Exit(usize, i32),
    Drain(bool),
    /// The window takes so many events in.
    Apply(usize),
    /// It begins anew, as after lost events.
    Refresh,
    /// It reads the runs that have ended.
    ReadEnded,
    Select(usize),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let n = 0..8_usize;
    let one = prop_oneof![
        3 => Just(Move::Start),
        1 => Just(Move::Drive),
        3 => (n.clone(), 0.0..1.0).prop_map(|(n, share)| Move::Report(n, share)),
        1 => (n.clone(), any::<bool>()).prop_map(|(n, is_well)| Move::Complete(n, is_well)),
        2 => n.clone().prop_map(Move::Pause),
        3 => n.clone().prop_map(Move::Resume),
        1 => (n.clone(), any::<bool>()).prop_map(|(n, by_force)| Move::Stop(n, by_force)),
        1 => n.clone().prop_map(Move::Retry),
        9 => (n.clone(), prop_oneof![4 => Just(0), 1 => Just(1)]).prop_map(|(n, code)| Move::Exit(n, code)),
        1 => any::<bool>().prop_map(Move::Drain),
        6 => (0..12_usize).prop_map(Move::Apply),
        1 => Just(Move::Refresh),
        1 => Just(Move::ReadEnded),
        2 => n.prop_map(Move::Select),
    ];
    prop::collection::vec(one, 1..60)
}

/// The attempts whose processes live, and the way to the engine.
#[derive(Default)]
struct Processes {
    living: Vec<AttemptKey>,
    sink: Option<Arc<HostSink>>,
}

impl Processes {
    fn say(&self, event: HostEvent) {
        if let Some(sink) = &self.sink {
            sink(event);
        }
    }

    fn end(&mut self, key: &AttemptKey, cause: ExitCause) {
        let n_before = self.living.len();
        self.living.retain(|living| living != key);
        if self.living.len() < n_before {
            let exit = StepExit {
                cause,
                ended_at: Utc::now(),
                usage: None,
                interrupted: false,
                log_dropped_bytes: 0,
            };
            self.say(HostEvent::Exited { key: key.clone(), exit });
        }
    }
}

/// A host without processes: they live until they are told to end.
struct Host(Arc<Mutex<Processes>>);

impl StepHost for Host {
    fn send(&mut self, request: HostRequest) {
        let mut processes = self.0.lock();
        match request {
            HostRequest::Start(spec) => {
                let key = spec.key;
                processes.living.push(key.clone());
                processes.say(HostEvent::Started { key, pid: 4_000_000, at: Utc::now() });
            }
            HostRequest::Freeze(key) => processes.say(HostEvent::Frozen { key, unfrozen: Vec::new() }),
            HostRequest::Thaw(key) => processes.say(HostEvent::Thawed { key }),
            HostRequest::Stop { key, signal, .. } => processes.end(&key, ExitCause::Signal(signal)),
            HostRequest::Kill(key) => processes.end(&key, ExitCause::Signal(9)),
            HostRequest::Acknowledge(_) => {}
        }
    }
}

struct Stage {
    engine: CoreExecutionEngine,
    records: Records,
    processes: Arc<Mutex<Processes>>,
    events: Subscription,
    store: AppStore,
    runs: Vec<RunId>,
    /// Up to which event the window knows everything.
    seen: u64,
    _data_dir: tempfile::TempDir,
}

impl Stage {
    fn set() -> Self {
        let data_dir = tempfile::tempdir().expect("a directory");
        let processes = Arc::<Mutex<Processes>>::default();
        let of_host = processes.clone();
        let host = HostChoice::Custom(Arc::new(move |_epoch, sink: HostSink| {
            sink(HostEvent::Inventory(Vec::new()));
            of_host.lock().sink = Some(Arc::new(sink));
            Ok(Box::new(Host(of_host.clone())))
        }));
        let options = EngineOptions { host, ..EngineOptions::default() };
        let engine = CoreExecutionEngine::open(data_dir.path(), options).expect("it opens");
        let (events, records) = (engine.subscribe(), Records::beside(&engine));
        let mut stage = Self {
            engine,
            records,
            processes,
            events,
            store: AppStore::default(),
            runs: Vec::new(),
            seen: 0,
            _data_dir: data_dir,
        };
        stage.refresh();
        stage
    }

    fn play(&mut self, one: &Move) {
        let run = |n: &usize| self.runs.get(n % self.runs.len().max(1)).cloned();
        let new = run_id(&format!("run-{:03}", self.runs.len()));
        // What can't be done is refused, and changes nothing.
        match one {
            Move::Start => self.runs.push(start(&self.engine, new.as_str(), PIPELINE)),
            Move::Drive => {
                let request = StartRequest::new(new.clone(), "driven", "driven").expect("ids");
                self.runs.push(new);
                drop(self.engine.start_execution(request));
            }
            Move::Report(n, share) => drop(run(n).map(|run| self.engine.update_progress(&run, *share, None))),
            Move::Complete(n, is_well) => {
                drop(run(n).map(|run| self.engine.complete_execution(&run, *is_well, Some("it failed"))));
            }
            Move::Pause(n) => drop(run(n).map(|run| self.engine.pause_execution(&run))),
            Move::Resume(n) => drop(run(n).map(|run| self.engine.resume_execution(&run))),
            Move::Stop(n, by_force) => {
                let kind = if *by_force { StopKind::Force } else { StopKind::Graceful };
                drop(run(n).map(|run| self.engine.stop_execution(&run, kind)));
            }
            Move::Retry(n) => drop(run(n).map(|run| self.engine.retry_execution(&run, None))),
            Move::Exit(n, code) => {
                let mut processes = self.processes.lock();
                let key = processes.living.get(n % processes.living.len().max(1)).cloned();
                if let Some(key) = key {
                    processes.end(&key, ExitCause::Code(*code));
                }
            }
            Move::Drain(is_on) => {
                let ordered = if *is_on { self.engine.begin_drain() } else { self.engine.end_drain() };
                ordered.expect("it is recorded");
            }
            Move::Apply(n) => (0..*n).for_each(|_| self.take_event()),
            Move::Refresh => self.refresh(),
            Move::ReadEnded => self.read_ended(),
            Move::Select(n) => {
                let run = run(n);
                self.store.select_run(run);
            }
        }
        self.answer();
    }

    fn take_event(&mut self) {
        if let Some(event) = self.events.try_recv() {
            self.take(event);
        }
    }

    fn take(&mut self, event: Arc<Event>) {
        self.seen = self.seen.max(event.seq);
        self.store.apply(AppUpdate::Event(event));
    }

    fn refresh(&mut self) {
        let snapshot = self.engine.snapshot();
        let runs = snapshot.runs.values().map(|run| (run.summary(), run.step_summaries())).collect();
        let (orders, seq) = (snapshot.orders, snapshot.seq);
        self.seen = self.seen.max(seq);
        self.store.apply(AppUpdate::Snapshot { runs, orders, seq });
        self.read_ended();
    }

    fn ended(&self) -> Vec<RunSummary> {
        let states = RunState::ALL.iter().copied().filter(|state| state.is_ended()).collect();
        let filter = RunFilter { states, ..RunFilter::default() };
        self.records.runs(&filter, now()).expect("they can be read")
    }

    fn read_ended(&mut self) {
        self.store.apply(AppUpdate::RecentRuns(self.ended()));
    }

    /// Answers what the store asks about runs, as the window's lookups do.
    fn answer(&mut self) {
        for request in self.store.take_requests() {
            #[expect(clippy::wildcard_enum_match_arm, reason = "the others are not about the state of runs")]
            match request {
                Action::LoadRun(run_id) | Action::SelectRun(Some(run_id)) => {
                    let detail = self.detail(&run_id);
                    self.store.apply(AppUpdate::RunDetail(detail));
                }
                Action::Refresh => self.refresh(),
                _ => {}
            }
        }
    }

    fn detail(&self, run_id: &RunId) -> RunDetail {
        let snapshot = self.engine.snapshot();
        let (run, steps, seq) = match snapshot.runs.get(run_id) {
            Some(run) => (run.summary(), run.step_summaries(), snapshot.seq),
            None => {
                let record = self.records.run(run_id, now()).expect("readable").expect("it was started");
                (record.run, record.steps, 0)
            }
        };
        RunDetail { run, steps, decisions: Vec::new(), seq }
    }

    /// Takes in all events up to a snapshot that is still the newest, and compares with it.
    fn compare(&mut self) -> Result<(), TestCaseError> {
        let until = Instant::now() + DEADLINE;
        let snapshot = loop {
            let snapshot = self.engine.snapshot();
            // A pause is told once everything is seen frozen, and a start once the process is seen.
            let is_settled = |run: &Run| {
                let is_started = |step: &StepRun| !step.state().is_live() || step.pid.is_some();
                (run.state() != RunState::Paused || run.phase.frozen_since().is_some())
                    && run.steps.iter().all(|step| is_started(step))
            };
            if let Some(event) = self.events.try_recv() {
                self.take(event);
            } else if self.seen < snapshot.seq || !snapshot.runs.values().all(|run| is_settled(run)) {
                let left = until.saturating_duration_since(Instant::now());
                let event = self.events.recv_timeout(left);
                let event = event.unwrap_or_else(|| panic!("no event for a change: {snapshot:#?}"));
                self.take(event);
            } else if Arc::ptr_eq(&snapshot, &self.engine.snapshot()) {
                break snapshot;
            }
            self.answer();
        };
        let expected =
            snapshot.runs.values().map(|run| (told(&run.summary()), steps_told(&run.step_summaries())));
        let shown = || self.store.living().map(|entry| (told(&entry.run), steps_told(entry.steps())));
        prop_assert!(shown().is_sorted_by_key(|(run, _)| run.started_at), "the oldest first");
        let (shown, expected) =
            (by_id(shown(), |(run, _)| &run.run_id), by_id(expected, |(run, _)| &run.run_id));
        for ((run, steps), expected) in shown.iter().zip(&expected) {
            prop_assert_eq!(run, &expected.0);
            for (step, expected) in steps.iter().zip(&expected.1) {
                prop_assert_eq!(step, expected, "of {}", run.run_id);
            }
            prop_assert_eq!(steps.len(), expected.1.len(), "of {}", run.run_id);
        }
        prop_assert_eq!(shown.len(), expected.len());
        prop_assert_eq!(self.store.orders(), snapshot.orders);
        // An end that a snapshot covers is told by no event, but by the next look at the disk. What has ended since the
        // snapshot is on the disk, too.
        let ended: Vec<_> =
            self.ended().into_iter().filter(|run| !snapshot.runs.contains_key(&run.run_id)).collect();
        self.store.apply(AppUpdate::RecentRuns(ended.clone()));
        let shown = || self.store.recent().map(|entry| told(&entry.run));
        prop_assert!(shown().rev().is_sorted_by_key(|run| run.finished_at), "the latest end first");
        let shown = by_id(shown(), |run| &run.run_id);
        let expected = by_id(ended.iter().map(told), |run| &run.run_id);
        shown.iter().zip(&expected).try_for_each(|(run, expected)| {
            prop_assert_eq!(run, expected);
            Ok(())
        })?;
        prop_assert_eq!(shown.len(), expected.len());
        for entry in self.store.recent().filter(|entry| entry.steps_known() == StepsKnown::Whole) {
            let detail = self.detail(&entry.run.run_id);
            prop_assert_eq!(steps_told(entry.steps()), steps_told(&detail.steps));
        }
        Ok(())
    }

    fn end_all(&mut self) {
        self.engine.end_drain().expect("it is recorded");
        for run in self.runs.clone() {
            drop(self.engine.stop_execution(&run, StopKind::Force));
        }
    }
}

fn by_id<T>(runs: impl Iterator<Item = T>, id: fn(&T) -> &RunId) -> Vec<T> {
    let mut runs: Vec<T> = runs.collect();
    runs.sort_by(|a, b| id(a).cmp(id(b)));
    runs
}

/// A run without what may be told in two ways. Databases hold milliseconds. The time that counts is the sum of what has
/// passed and what passes, and an event does not say when it is summed up. Where a run of a pipeline is, its steps say.
fn told(run: &RunSummary) -> RunSummary {
    RunSummary {
        started_at: run.started_at.trunc_subsecs(3),
        finished_at: run.finished_at.map(|at| at.trunc_subsecs(3)),
        frozen_since: run.frozen_since.map(|at| at.trunc_subsecs(3)),
        current_step: run.current_step.clone().filter(|_| run.pipeline_id.as_str() == "driven"),
        worked_seconds: None,
        works_since: run.works_since.map(|_| DateTime::UNIX_EPOCH),
        ..run.clone()
    }
}

/// The same of its steps, whose logs are told with and without their data directory.
fn steps_told(steps: &[StepSummary]) -> Vec<StepSummary> {
    let told = |step: &StepSummary| StepSummary {
        started_at: step.started_at.map(|at| at.trunc_subsecs(3)),
        finished_at: step.finished_at.map(|at| at.trunc_subsecs(3)),
        worked_seconds: None,
        works_since: step.works_since.map(|_| DateTime::UNIX_EPOCH),
        log: step.log.as_ref().and_then(|log| Some(Path::new(&**log).file_name()?.to_str()?.into())),
        ..step.clone()
    };
    steps.iter().map(told).collect()
}

fn now() -> Now {
    Now { wall: Utc::now(), awake_ms: 0 }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_read_model_equals_the_engine_whatever_runs_do_and_however_late_events_come(moves in moves()) {
        let mut stage = Stage::set();
        for one in &moves {
            stage.play(one);
        }
        stage.compare()?;
        stage.end_all();
        stage.compare()?;
    }
}

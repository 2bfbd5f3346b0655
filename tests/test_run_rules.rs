//! The rules of a run: the table of all states × all inputs, and what holds over any sequence of inputs.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use leverframe::id::PipelineId;
use leverframe::run::{
    AutoResume, Body, Command, Context, Effect, Exit, Found, Input, Launch, Outbox, Record, Run, RunLedger,
    RunState, Starts, StepNews, StepRun, StepState, StopKind, Trigger, decide, next_deadline, transition,
};
use leverframe::time::Now;
use proptest::prelude::*;

use crate::support::{definition, run_id, step_id};

/// Every state × every command, as the contract's section 4 says it.
#[test]
fn the_table_of_transitions_is_the_contract() {
    use Command as C;
    use RunState as S;
    let row = |state: S| -> [Option<S>; 8] {
        match state {
            //            pause            resume            retry             stop               force                    complete            fail             report
            S::Queued => {
                [None, None, None, Some(S::Stopping), Some(S::ForceStopped), None, None, Some(S::Queued)]
            }
            S::Running => [
                Some(S::Paused),
                None,
                None,
                Some(S::Stopping),
                Some(S::ForceStopped),
                Some(S::Completed),
                Some(S::Failed),
                Some(S::Running),
            ],
            S::Paused => [
                None,
                Some(S::Running),
                None,
                Some(S::Stopping),
                Some(S::ForceStopped),
                None,
                None,
                Some(S::Paused),
            ],
            S::Stopping => [
                None,
                None,
                None,
                None,
                Some(S::ForceStopped),
                Some(S::Stopped),
                Some(S::Stopped),
                Some(S::Stopping),
            ],
            S::Stopped | S::ForceStopped | S::Failed | S::Interrupted => {
                [None, Some(S::Running), Some(S::Running), None, None, None, None, None]
            }
            S::Completed => [None, None, Some(S::Running), None, None, None, None, None],
        }
    };
    let columns = [C::Pause, C::Resume, C::Retry, C::Stop, C::ForceStop, C::Complete, C::Fail, C::Report];
    assert_eq!(columns.len(), Command::ALL.len());
    for &state in RunState::ALL {
        for (command, expected) in columns.into_iter().zip(row(state)) {
            assert_eq!(transition(state, command), expected, "{state} × {command:?}");
        }
    }
}

/// Every state × every command, decided on a driven run: what the table says is what happens, and a
/// refusal names both states and leaves the run as it was.
#[test]
fn deciding_follows_the_table_for_every_state_and_input() {
    for &state in RunState::ALL {
        for &command in Command::ALL {
            let input = match command {
                Command::Pause => Input::Pause,
                Command::Resume => Input::Resume,
                Command::Retry => Input::Retry(None),
                Command::Stop => Input::Stop(StopKind::Graceful),
                Command::ForceStop => Input::Stop(StopKind::Force),
                Command::Complete => Input::Complete { error: None },
                Command::Fail => Input::Complete { error: Some("broken".into()) },
                Command::Report => Input::Progress { progress: 0.5, current_step: None },
            };
            let mut run = driven_in(state);
            let outcome = decide(&mut run, input, context(at(0)), &mut Outbox::default());
            match transition(state, command) {
                Some(to) => {
                    outcome.unwrap_or_else(|e| panic!("{state} × {command:?}: {e}"));
                    assert_eq!(run.state, to, "{state} × {command:?}");
                }
                None => {
                    let error = outcome.expect_err("the table refuses it").to_string();
                    assert!(error.contains(state.as_str()), "{error}");
                    assert!(error.contains(command.aim(state).as_str()), "{error}");
                    assert_eq!(run.state, state);
                }
            }
        }
    }
}

#[test]
fn a_failed_step_is_tried_again_with_growing_delays_and_then_fails_the_run() {
    let mut world = World::new(
        r#"
        [[step]]
        id = "a"
        run = ["false"]
        retries = { max = 2, delay = "10s", factor = 3.0 }
        "#,
    );
    let mut delays = Vec::new();
    for _ in 0..3 {
        world.exit(0, 1);
        if let Some(at) = world.run.steps[0].ledger.retry_at {
            delays.push((at - world.now.wall).num_milliseconds());
            world.now.wall = at;
            world.hear(Input::Tick);
        }
    }
    assert_eq!(delays.len(), 2);
    assert!((10_000..=11_000).contains(&delays[0]) && (30_000..=33_000).contains(&delays[1]), "{delays:?}");
    assert_eq!(world.run.state, RunState::Failed);
    assert_eq!(world.run.steps[0].attempt, 3);
    assert_eq!(world.run.error.as_deref(), Some("step a exited with code 1"));
}

#[test]
fn a_timeout_counts_awake_time_less_frozen_time() {
    let mut world = World::new("[[step]]\nid = \"a\"\nrun = [\"sleep\", \"9\"]\ntimeout = \"10s\"");
    world.pass(6_000);
    world.hear(Input::Pause);
    world.pass(3_600_000);
    world.hear(Input::Tick);
    world.hear(Input::Resume);
    world.pass(3_000);
    world.hear(Input::Tick);
    assert_eq!(world.run.steps[0].ledger.ending, None, "9 of 10 seconds");
    assert_eq!(next_deadline(&world.run, world.now).awake_ms, Some(world.now.awake_ms + 1_000));
    world.pass(1_000);
    world.hear(Input::Tick);
    assert!(world.acted.contains(&Effect::Stop(0)));
    world.exit(0, 143);
    assert_eq!(world.run.steps[0].error.as_deref(), Some("timed out after 10s"));
}

#[test]
fn finally_steps_run_after_a_failure_after_a_stop_and_after_the_runs_timeout_but_not_after_force() {
    let text = r#"
        timeout = "1m"
        [[step]]
        id = "work"
        run = ["true"]
        [[step]]
        id = "clean"
        finally = true
        run = ["true"]
    "#;
    let ends = |how: &dyn Fn(&mut World)| {
        let mut world = World::new(text);
        how(&mut world);
        if world.run.steps[1].state.is_live() {
            world.exit(1, 0);
        }
        (world.run.state, world.run.steps[1].state)
    };
    assert_eq!(ends(&|w| w.exit(0, 0)), (RunState::Completed, StepState::Completed));
    assert_eq!(ends(&|w| w.exit(0, 1)), (RunState::Failed, StepState::Completed));
    let stop = |w: &mut World| {
        w.hear(Input::Stop(StopKind::Graceful));
        w.exit(0, 143);
    };
    assert_eq!(ends(&stop), (RunState::Stopped, StepState::Completed));
    let time_out = |w: &mut World| {
        w.pass(60_000);
        w.hear(Input::Tick);
        w.exit(0, 143);
    };
    assert_eq!(ends(&time_out), (RunState::Failed, StepState::Completed));
    let force = |w: &mut World| {
        w.hear(Input::Stop(StopKind::Force));
        w.exit(0, 137);
    };
    assert_eq!(ends(&force), (RunState::ForceStopped, StepState::Skipped));
}

#[test]
fn on_failure_decides_whether_other_branches_go_on_and_when_decides_for_each_step() {
    let text = |on_failure: &str| {
        format!(
            r#"
            on_failure = "{on_failure}"
            max_parallel = 1
            [[step]]
            id = "bad"
            run = ["false"]
            [[step]]
            id = "other"
            needs = []
            run = ["true"]
            [[step]]
            id = "after_bad"
            needs = ["bad"]
            run = ["true"]
            [[step]]
            id = "alarm"
            needs = ["bad"]
            when = "on_failure"
            run = ["true"]
            [[step]]
            id = "tidy"
            needs = ["after_bad"]
            when = "always"
            run = ["true"]
            "#
        )
    };
    let states = |on_failure: &str| {
        let mut world = World::new(&text(on_failure));
        world.exit(0, 1);
        while let Some(index) = world.live() {
            world.exit(index, 0);
        }
        assert_eq!(world.run.state, RunState::Failed);
        world.run.steps.iter().map(|step| step.state.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(states("stop"), ["failed", "skipped", "skipped", "completed", "completed"]);
    assert_eq!(states("continue"), ["failed", "completed", "skipped", "completed", "completed"]);
}

#[test]
fn a_step_that_may_fail_fails_neither_the_run_nor_what_needs_it() {
    let mut world = World::new(
        "[[step]]\nid = \"a\"\nmay_fail = true\nrun = [\"false\"]\n[[step]]\nid = \"b\"\nrun = [\"true\"]",
    );
    world.exit(0, 1);
    world.exit(1, 0);
    assert_eq!(world.run.state, RunState::Completed);
    assert_eq!(world.run.steps[0].state, StepState::Failed);
}

#[test]
fn retry_from_a_step_runs_it_and_what_needs_it_and_archives_their_checkpoints() {
    let mut world = World::new(
        "[[step]]\nid = \"a\"\nrun = [\"x\"]\n[[step]]\nid = \"b\"\nrun = [\"x\"]\n[[step]]\nid = \"c\"\nrun = [\"x\"]",
    );
    (0..3).for_each(|index| world.exit(index, 0));
    assert_eq!(world.run.state, RunState::Completed);
    world.hear(Input::Retry(Some(step_id("b"))));
    assert_eq!(world.run.state, RunState::Running);
    let attempts: Vec<_> = world.run.steps.iter().map(|step| (step.state.as_str(), step.attempt)).collect();
    assert_eq!(attempts, [("completed", 1), ("running", 2), ("pending", 2)]);
    let archived: Vec<_> = world
        .recorded
        .iter()
        .filter_map(|record| match record {
            Record::ArchiveCheckpoint { step_id, attempt } => Some((step_id.to_string(), *attempt)),
            Record::EndedAttempt(_) | Record::Checkpoint { .. } | Record::Decision(_) => None,
        })
        .collect();
    assert_eq!(archived, [("b".to_owned(), 1), ("c".to_owned(), 1)]);
    let refused = decide(
        &mut world.run.clone(),
        Input::Retry(Some(step_id("zz"))),
        context(world.now),
        &mut Outbox::default(),
    );
    assert!(refused.is_err(), "it runs");
}

#[test]
fn a_lost_step_runs_again_at_most_three_times_in_a_row_and_then_asks() {
    let mut world = World::new("[[step]]\nid = \"a\"\nrun = [\"x\"]");
    for attempt in 1..=3 {
        world.vanish(0);
        world.hear(Input::Recover(vec![Found::Nothing]));
        assert_eq!(world.run.steps[0].attempt, attempt + 1, "{:?}", world.run.steps[0]);
        world.started(0);
    }
    world.vanish(0);
    world.hear(Input::Recover(vec![Found::Nothing]));
    assert_eq!(world.run.state, RunState::Interrupted);
    assert_eq!(world.run.steps[0].state, StepState::Interrupted);
    world.hear(Input::Resume);
    assert_eq!(world.run.state, RunState::Running, "the operator may always resume");
}

#[test]
fn on_interrupt_says_what_happens_to_a_lost_step() {
    let outcome = |policy: &str| {
        let text = format!(
            "[[step]]\nid = \"a\"\non_interrupt = \"{policy}\"\nrun = [\"x\"]\n[[step]]\nid = \"b\"\nrun = [\"x\"]"
        );
        let mut world = World::new(&text);
        world.vanish(0);
        world.hear(Input::Recover(vec![Found::Nothing, Found::NotAsked]));
        (world.run.state, world.run.steps[0].state, world.run.steps[1].state)
    };
    assert_eq!(outcome("rerun"), (RunState::Running, StepState::Running, StepState::Pending));
    assert_eq!(outcome("skip"), (RunState::Running, StepState::Skipped, StepState::Running));
    assert_eq!(outcome("ask"), (RunState::Interrupted, StepState::Interrupted, StepState::Skipped));
}

#[test]
fn a_paused_run_whose_steps_were_lost_stays_paused() {
    let mut world = World::new("[[step]]\nid = \"a\"\nrun = [\"x\"]");
    world.hear(Input::Pause);
    world.step(0, StepNews::Frozen { unfrozen: vec![] });
    world.vanish(0);
    world.hear(Input::Recover(vec![Found::Nothing]));
    assert_eq!(world.run.state, RunState::Paused);
    world.hear(Input::Resume);
    assert_eq!((world.run.state, world.run.steps[0].attempt), (RunState::Running, 2));
}

#[test]
fn a_late_message_of_an_earlier_attempt_changes_nothing_and_is_acknowledged() {
    let mut world = World::new("[[step]]\nid = \"a\"\nrun = [\"x\"]\nretries = { max = 1, delay = \"1s\" }");
    world.exit(0, 1);
    world.now.wall += TimeDelta::seconds(2);
    world.hear(Input::Tick);
    let before = world.run.clone();
    world.acted.clear();
    let news = StepNews::Exited(exit(world.now, 0));
    world.hear(Input::Step { index: 0, attempt: 1, news });
    assert_eq!(world.run.steps, before.steps);
    assert_eq!(world.acted, [Effect::Acknowledge { index: 0, attempt: 1 }]);
}

/// What the operator and the world may do, at random.
#[derive(Debug, Clone)]
enum Move {
    Pause,
    Resume,
    Stop(bool),
    Retry(usize),
    Start(usize),
    StartFails(usize),
    Freeze(usize),
    Exit(usize, i32),
    Lose(usize),
    Pass(u64),
    Starts(bool),
    Recover,
    Room(bool),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let step = 0..6_usize;
    let one = prop_oneof![
        2 => Just(Move::Pause),
        3 => Just(Move::Resume),
        1 => any::<bool>().prop_map(Move::Stop),
        1 => step.clone().prop_map(Move::Retry),
        6 => step.clone().prop_map(Move::Start),
        1 => step.clone().prop_map(Move::StartFails),
        2 => step.clone().prop_map(Move::Freeze),
        8 => (step.clone(), prop_oneof![3 => Just(0), 1 => Just(1)]).prop_map(|(s, c)| Move::Exit(s, c)),
        1 => step.prop_map(Move::Lose),
        3 => (0..20_000_u64).prop_map(Move::Pass),
        1 => any::<bool>().prop_map(Move::Starts),
        1 => Just(Move::Recover),
        1 => any::<bool>().prop_map(Move::Room),
    ];
    prop::collection::vec(one, 1..120)
}

const TANGLED: &str = r#"
    max_parallel = 2
    on_failure = "continue"
    timeout = "5m"
    [[step]]
    id = "a"
    run = ["x"]
    retries = { max = 1, delay = "1s" }
    [[step]]
    id = "b"
    needs = []
    run = ["x"]
    timeout = "8s"
    [[step]]
    id = "c"
    needs = ["a", "b"]
    run = ["x"]
    [[step]]
    id = "d"
    needs = ["b"]
    when = "on_failure"
    run = ["x"]
    on_interrupt = "skip"
    [[step]]
    id = "e"
    needs = ["c", "d"]
    when = "always"
    may_fail = true
    run = ["x"]
    [[step]]
    id = "f"
    finally = true
    run = ["x"]
"#;

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_inputs_breaks_the_invariants(moves in moves()) {
        let mut world = World::new(TANGLED);
        for one in moves {
            world.play(one);
            world.check();
        }
        world.play_to_the_end();
        world.check();
        prop_assert!(
            world.run.state.is_ended(),
            "nothing is left to happen, and it is {}: {:#?}", world.run.state, world.run.steps
        );
    }
}

/// A run with the world around it, as a test plays it.
struct World {
    run: Run,
    now: Now,
    starts: Starts,
    acted: Vec<Effect>,
    recorded: Vec<Record>,
    /// Attempts that were started and have not ended: processes, as it were.
    alive: HashSet<(usize, u32)>,
    started: HashSet<(usize, u32)>,
}

impl World {
    fn new(text: &str) -> Self {
        let definition = definition(text);
        let steps =
            definition.pipeline.steps.iter().map(|step| Arc::new(StepRun::new(step.id.clone()))).collect();
        let run = Run { body: Body::Pipeline(definition), steps, ..driven_in(RunState::Queued) };
        let mut world = Self {
            run,
            now: at(0),
            starts: Starts::Allowed,
            acted: vec![],
            recorded: vec![],
            alive: HashSet::new(),
            started: HashSet::new(),
        };
        world.hear(Input::Begin);
        world.started(0);
        world
    }

    fn pass(&mut self, ms: u64) {
        self.now.awake_ms += ms;
        self.now.wall += TimeDelta::milliseconds(ms as i64);
    }

    fn live(&self) -> Option<usize> {
        self.run.steps.iter().position(|step| step.state.is_live())
    }

    fn started(&mut self, index: usize) {
        self.step(index, StepNews::Started { pid: 1000 + self.run.steps[index].attempt, at: self.now.wall });
    }

    /// Its process is gone, and nobody has said so.
    fn vanish(&mut self, index: usize) {
        self.alive.remove(&(index, self.run.steps[index].attempt));
    }

    fn exit(&mut self, index: usize, code: i32) {
        self.alive.remove(&(index, self.run.steps[index].attempt));
        self.step(index, StepNews::Exited(exit(self.now, code)));
    }

    fn step(&mut self, index: usize, news: StepNews) {
        let attempt = self.run.steps[index].attempt;
        self.hear(Input::Step { index, attempt, news });
    }

    /// Decides as the engine does, and keeps count of what would live.
    fn hear(&mut self, input: Input) {
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
            assert_eq!(before.steps[*index].ledger.launch, Launch::Prepared, "its start was not on disk");
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
                    self.run.state == RunState::Running
                        || (is_finally && self.run.state == RunState::Stopping)
                        || may_be_alive,
                    "started while {}",
                    self.run.state
                );
                assert_eq!(self.starts, Starts::Allowed);
            }
            self.acted.push(effect);
        }
        self.recorded.extend(out.records);
    }

    fn play(&mut self, one: Move) {
        let n = self.run.steps.len();
        let alive = |world: &Self, i: usize| world.alive.contains(&(i % n, world.run.steps[i % n].attempt));
        match one {
            Move::Pause => self.hear(Input::Pause),
            Move::Resume => self.hear(Input::Resume),
            Move::Stop(force) => {
                self.hear(Input::Stop(if force { StopKind::Force } else { StopKind::Graceful }))
            }
            Move::Retry(i) => self.hear(Input::Retry(Some(self.run.steps[i % n].id.clone()))),
            Move::Start(i) if alive(self, i) => self.started(i % n),
            Move::StartFails(i) if alive(self, i) && self.run.steps[i % n].pid.is_none() => {
                self.alive.remove(&(i % n, self.run.steps[i % n].attempt));
                self.step(i % n, StepNews::StartFailed("no such program".into()));
            }
            Move::Freeze(i) if alive(self, i) => self.step(i % n, StepNews::Frozen { unfrozen: vec![] }),
            Move::Exit(i, code) if alive(self, i) => self.exit(i % n, code),
            Move::Lose(i) if alive(self, i) => {
                self.alive.remove(&(i % n, self.run.steps[i % n].attempt));
                self.step(i % n, StepNews::Exited(Exit { code: None, ..exit(self.now, 0) }));
            }
            Move::Pass(ms) => {
                self.pass(ms);
                self.hear(Input::Tick);
            }
            Move::Starts(allowed) => {
                self.starts = if allowed { Starts::Allowed } else { Starts::Held };
                self.hear(Input::StartsChanged);
            }
            Move::Recover if self.starts == Starts::Allowed => {
                let found = (0..n).map(|i| self.found(i)).collect();
                self.hear(Input::Recover(found));
            }
            Move::Room(is_there) => self.hear(if is_there { Input::DiskRoom } else { Input::DiskFull }),
            Move::Start(_)
            | Move::StartFails(_)
            | Move::Freeze(_)
            | Move::Exit(..)
            | Move::Lose(_)
            | Move::Recover => {}
        }
    }

    fn found(&self, index: usize) -> Found {
        let step = &self.run.steps[index];
        if self.alive.contains(&(index, step.attempt)) {
            Found::Running { pid: 1, started_at: self.now.wall, frozen: step.state == StepState::Paused }
        } else if step.state.is_live() {
            Found::Nothing
        } else {
            Found::NotAsked
        }
    }

    /// Nobody interferes any more: everything that lives ends well, everything that is due comes due.
    fn play_to_the_end(&mut self) {
        self.starts = Starts::Allowed;
        self.hear(Input::DiskRoom);
        self.hear(Input::StartsChanged);
        for _ in 0..100 {
            if self.run.state == RunState::Paused {
                self.hear(Input::Resume);
            }
            while let Some(&(index, attempt)) = self.alive.iter().next() {
                self.alive.remove(&(index, attempt));
                self.hear(Input::Step { index, attempt, news: StepNews::Exited(exit(self.now, 0)) });
            }
            if self.run.state.is_ended() {
                return;
            }
            self.pass(60_000);
            self.hear(Input::Tick);
        }
    }

    /// What holds after every input.
    fn check(&self) {
        let run = &self.run;
        assert!((0.0..=1.0).contains(&run.progress), "{}", run.progress);
        let n_live = run.steps[..5].iter().filter(|step| step.state.is_live()).count();
        assert!(n_live <= 2, "wider than max_parallel: {n_live}");
        for (index, attempt) in &self.alive {
            let step = &run.steps[*index];
            assert!(step.attempt >= *attempt);
            let is_held = step.attempt == *attempt && step.state.is_live();
            assert!(is_held, "a process lives and {} is {} (attempt {})", step.id, step.state, step.attempt);
        }
        if run.state.is_ended() {
            assert!(run.finished_at.is_some());
            assert!(run.steps.iter().all(|step| step.state.is_ended()), "{:#?}", run.steps);
            assert!(run.ledger.frozen_since.is_none());
        } else {
            assert!(run.finished_at.is_none());
        }
        if run.state == RunState::Completed {
            assert_eq!(run.progress, 1.0);
        }
    }
}

fn exit(now: Now, code: i32) -> Exit {
    Exit {
        code: Some(code),
        signal: None,
        ended_at: now.wall,
        usage: None,
        interrupted: false,
        log_dropped_bytes: 0,
    }
}

fn at(ms: u64) -> Now {
    let start: DateTime<Utc> = "2026-11-23T02:00:00Z".parse().expect("an instant");
    Now { wall: start + TimeDelta::milliseconds(ms as i64), awake_ms: 1_000_000 + ms }
}

fn context(now: Now) -> Context<'static> {
    Context {
        now,
        n_cpus: 2,
        starts: Starts::Allowed,
        auto_resume: AutoResume::Yes,
        salt: "salt",
        boot_id: "boot",
    }
}

fn driven_in(state: RunState) -> Run {
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
        state,
        attempt: 1,
        started_at: now,
        finished_at: state.is_ended().then_some(now),
        progress: 0.0,
        current_step: None,
        message: None,
        error: None,
        metadata: None,
        steps: vec![],
        ledger: RunLedger::default(),
    }
}

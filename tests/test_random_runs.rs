//! What holds over any sequence of inputs: whatever the operator and the world do, the invariants of a run stand,
//! and once nobody interferes any more, every run ends.

use std::sync::Arc;

use leverframe::run::{Exit, Found, Input, RunState, Starts, StepNews, StepRun, StepState, StopKind};
use proptest::prelude::*;

use crate::support::world::{World, exit};

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
    Starts(Starts),
    Recover,
    Room(bool),
    Limit(bool),
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
        1 => prop_oneof![Just(Starts::Allowed), Just(Starts::CleanUpOnly), Just(Starts::Held)].prop_map(Move::Starts),
        1 => Just(Move::Recover),
        1 => any::<bool>().prop_map(Move::Room),
        1 => any::<bool>().prop_map(Move::Limit),
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
            world.run.state().is_ended(),
            "nothing is left to happen, and it is {}: {:#?}", world.run.state(), world.run.steps
        );
    }
}

impl World {
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
            Move::Starts(starts) => {
                self.starts = starts;
                self.hear(Input::StartsChanged);
            }
            Move::Recover if self.starts == Starts::Allowed => {
                let found = (0..n).map(|i| self.found(i)).collect();
                self.hear(Input::Recover(found));
            }
            Move::Room(is_there) => self.hear(if is_there { Input::DiskRoom } else { Input::DiskFull }),
            Move::Limit(true) => self.hear(Input::LimitExceeded { reason: "short".into() }),
            Move::Limit(false) => self.hear(Input::LimitCleared),
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
            Found::Running { pid: 1, started_at: self.now.wall, frozen: step.state() == StepState::Paused }
        } else if step.state().is_live() {
            Found::Nothing
        } else {
            Found::NotAsked
        }
    }

    /// Nobody interferes any more: everything that lives ends well, everything that is due comes due.
    fn play_to_the_end(&mut self) {
        self.starts = Starts::Allowed;
        self.hear(Input::DiskRoom);
        self.hear(Input::LimitCleared);
        self.hear(Input::StartsChanged);
        for _ in 0..100 {
            if self.run.state() == RunState::Paused {
                self.hear(Input::Resume);
            }
            while let Some(&(index, attempt)) = self.alive.iter().next() {
                self.alive.remove(&(index, attempt));
                self.hear(Input::Step { index, attempt, news: StepNews::Exited(exit(self.now, 0)) });
            }
            if self.run.state().is_ended() {
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
        let n_live = run.steps.iter().take(5).filter(|step| step.state().is_live()).count();
        assert!(n_live <= 2, "wider than max_parallel: {n_live}");
        for state in StepState::ALL {
            let is_such = |step: &&Arc<StepRun>| step.state() == *state;
            let n_such = run.steps.iter().filter(is_such).count();
            assert_eq!(run.steps.count(|other| other == *state), n_such, "{state}");
        }
        for (index, attempt) in &self.alive {
            let step = &run.steps[*index];
            assert!(step.attempt >= *attempt);
            let is_held = step.attempt == *attempt && step.state().is_live();
            assert!(
                is_held,
                "a process lives and {} is {} (attempt {})",
                step.id,
                step.state(),
                step.attempt
            );
        }
        if run.state().is_ended() {
            assert!(run.phase.finished_at().is_some());
            assert!(run.steps.iter().all(|step| step.state().is_ended()), "{:#?}", run.steps);
            assert!(run.phase.frozen_since().is_none());
        } else {
            assert!(run.phase.finished_at().is_none());
        }
        if run.state() == RunState::Completed {
            assert_eq!(run.progress, 1.0);
        }
    }
}

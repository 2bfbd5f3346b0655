//! What recovery makes of each finding in each state of a run, and what counts as one loss.
use leverframe::run::{Effect, Exit, Found, Input, RunState, Starts, StepNews, StepState, StopKind};

use crate::support::world::{World, exit};

/// How a run stands when everything is lost.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Stand {
    Running,
    Paused,
    Stopping,
    ForceStopping,
    TimingOut,
    RunTimedOut,
    StartsHeld,
}

const STANDS: [Stand; 7] = [
    Stand::Running,
    Stand::Paused,
    Stand::Stopping,
    Stand::ForceStopping,
    Stand::TimingOut,
    Stand::RunTimedOut,
    Stand::StartsHeld,
];

/// What was heard of the step's start before.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Start {
    Confirmed,
    Recorded,
}

/// A run of one step and what cleans up after it, so far.
fn world(stand: Stand, start: Start) -> World {
    let mut world = World::new(
        r#"
        timeout = "1h"
        [[step]]
        id = "a"
        timeout = "10s"
        run = ["x"]
        [[step]]
        id = "clean"
        finally = true
        run = ["x"]
        "#,
    );
    if start == Start::Recorded {
        let mut step = world.run.steps.change(0);
        (step.pid, step.ledger.told_started) = (None, false);
        drop(step);
        world.vanish(0);
    }
    match stand {
        Stand::Running => {}
        Stand::Paused => world.hear(Input::Pause),
        Stand::Stopping => world.hear(Input::Stop(StopKind::Graceful)),
        Stand::ForceStopping => world.hear(Input::Stop(StopKind::Force)),
        Stand::TimingOut => {
            world.pass(10_000);
            world.hear(Input::Tick);
        }
        Stand::RunTimedOut => {
            world.run.steps.change(0).ledger.clock = Default::default();
            world.pass(3_600_000);
            world.hear(Input::Tick);
        }
        Stand::StartsHeld => world.starts = Starts::Held,
    }
    world.acted.clear();
    world
}

fn unseen(world: &World) -> Exit {
    Exit { code: None, ..exit(world.now, 0) }
}

fn running(world: &World, frozen: bool) -> Found {
    Found::Running { pid: 4711, started_at: world.now.wall, frozen }
}

/// What was asked of the first step's tree, a word each.
fn asked(world: &World) -> Vec<&'static str> {
    let word = |effect: &Effect| match effect {
        Effect::Start { index: 0, may_be_alive: true } => Some("start, unless it lives"),
        Effect::Start { index: 0, may_be_alive: false } => Some("start"),
        Effect::Freeze(0) => Some("freeze"),
        Effect::Thaw(0) => Some("thaw"),
        Effect::Stop(0) => Some("stop"),
        Effect::Kill(0) => Some("kill"),
        Effect::Acknowledge { index: 0, .. } => Some("forget"),
        Effect::Start { .. }
        | Effect::Freeze(_)
        | Effect::Thaw(_)
        | Effect::Stop(_)
        | Effect::Kill(_)
        | Effect::Acknowledge { .. }
        | Effect::PauseSignal(_)
        | Effect::StopSignal(_) => None,
    };
    world.acted.iter().filter_map(word).collect()
}

/// All states × all findings × whether the start was confirmed: what becomes of the step, which attempt stands there
/// then, and what is asked of its tree. `World` itself holds that nothing starts in a run that is paused, stopping or
/// held, and that no two trees of a step live.
#[test]
fn each_finding_in_each_state_leads_where_the_run_was_going() {
    use Stand as S;
    use StepState as T;
    let check = |stand, start, found: &dyn Fn(&World) -> Found, expected: (T, u32, &[&str])| {
        let mut world = world(stand, start);
        let found = found(&world);
        if !matches!(found, Found::Running { .. } | Found::Ending) {
            world.vanish(0);
        }
        world.hear(Input::Recover(vec![found.clone(), Found::NotAsked]));
        let step = &world.run.steps[0];
        let what = format!("{stand:?}, {start:?}, {found:?}");
        assert_eq!((step.state(), step.attempt, &asked(&world)[..]), expected, "{what}");
        let is_paused = world.run.state() == RunState::Paused;
        assert_eq!(is_paused, stand == S::Paused, "{what}: {}", world.run.state());
    };
    for stand in STANDS {
        // Recorded and not made: it starts if the run is one whose steps start; else it waits, or has ended.
        check(
            stand,
            Start::Recorded,
            &|_| Found::Nothing,
            match stand {
                S::Running => (T::Running, 1, &["start, unless it lives"]),
                S::Paused | S::StartsHeld => (T::Waiting, 1, &[]),
                S::Stopping | S::ForceStopping | S::RunTimedOut => (T::Stopped, 1, &[]),
                S::TimingOut => (T::Failed, 1, &[]),
            },
        );
        // Gone, and nobody saw how: `rerun`, except for what was being ended.
        let lost: (T, u32, &[&str]) = match stand {
            S::Running => (T::Running, 2, &["start"]),
            S::Paused | S::StartsHeld => (T::Pending, 2, &[]),
            S::Stopping | S::ForceStopping | S::RunTimedOut => (T::Stopped, 1, &[]),
            S::TimingOut => (T::Failed, 1, &[]),
        };
        check(stand, Start::Confirmed, &|_| Found::Nothing, lost);
        for start in [Start::Confirmed, Start::Recorded] {
            let order: &[&str] = match stand {
                S::Running | S::StartsHeld => &[],
                S::Paused => &["freeze"],
                S::ForceStopping => &["kill"],
                S::Stopping | S::TimingOut | S::RunTimedOut => &["stop"],
            };
            check(stand, start, &|world| running(world, false), (T::Running, 1, order));
            let (state, order): (T, &[&str]) = match stand {
                S::Running | S::StartsHeld => (T::Running, &["thaw"]),
                S::Paused => (T::Paused, &[]),
                S::ForceStopping => (T::Running, &["kill"]),
                S::Stopping | S::TimingOut | S::RunTimedOut => (T::Running, &["stop"]),
            };
            check(stand, start, &|world| running(world, true), (state, 1, order));
            let order: &[&str] = match stand {
                S::Running | S::StartsHeld | S::Paused => &[],
                S::ForceStopping => &["kill"],
                S::Stopping | S::TimingOut | S::RunTimedOut => &["stop"],
            };
            check(stand, start, &|_| Found::Ending, (T::Running, 1, order));
            let ended = match stand {
                S::Running | S::Paused | S::StartsHeld => T::Completed,
                S::Stopping | S::ForceStopping | S::RunTimedOut => T::Stopped,
                S::TimingOut => T::Failed,
            };
            check(stand, start, &|world| Found::Exited(exit(world.now, 0)), (ended, 1, &["forget"]));
            let asked: &[&str] = if stand == S::Running { &["forget", "start"] } else { &["forget"] };
            let orders: Vec<&str> = asked.to_vec();
            check(stand, start, &|world| Found::Exited(unseen(world)), (lost.0, lost.1, &orders));
            let failed = |_: &World| Found::StartFailed("no such program".into());
            check(stand, start, &failed, (T::Failed, 1, &["forget"]));
        }
    }
}

/// A start that recovery did not make, because the run was paused, is made when the run goes on, as the same attempt.
#[test]
fn a_start_that_recovery_held_back_is_made_when_the_run_goes_on() {
    let mut world = world(Stand::Paused, Start::Recorded);
    world.hear(Input::Recover(vec![Found::Nothing, Found::NotAsked]));
    assert!(world.run.phase.frozen_since().is_some(), "nothing of it moves: it is frozen");
    world.hear(Input::Resume);
    assert_eq!(asked(&world), ["start, unless it lives"]);
    world.started(0);
    world.exit(0, 0);
    world.exit(1, 0);
    assert_eq!(world.run.state(), RunState::Completed);
}

/// A cleaning step whose start was recorded and not made is made, in a run that is stopping too.
#[test]
fn a_cleaning_step_that_was_recorded_and_not_made_is_made() {
    let mut world = world(Stand::Stopping, Start::Confirmed);
    world.exit(0, 143);
    assert!(world.run.steps[1].state().is_live());
    world.vanish(1);
    world.hear(Input::Recover(vec![Found::NotAsked, Found::Nothing]));
    assert_eq!(world.run.steps[1].state(), StepState::Running);
    world.started(1);
    world.exit(1, 0);
    assert_eq!((world.run.state(), world.run.steps[1].attempt), (RunState::Stopped, 1));
}

/// A cleaning step that was being prepared (a secret was fetched) when its run was paused starts when that goes on.
#[test]
fn a_cleaning_step_that_was_not_sent_starts_when_the_run_goes_on() {
    let mut world = world(Stand::Running, Start::Confirmed);
    world.exit(0, 0);
    world.hear(Input::Pause);
    world.vanish(1);
    world.started.remove(&(1, 1));
    world.step(1, StepNews::NotSent);
    assert_eq!(world.run.state(), RunState::Paused);
    world.acted.clear();
    world.hear(Input::Resume);
    assert!(world.acted.contains(&Effect::Start { index: 1, may_be_alive: false }), "{:?}", world.acted);
}

fn side_by_side(n: usize) -> World {
    let mut text = format!("max_parallel = {n}\n");
    for index in 0..n {
        text += &format!("[[step]]\nid = \"s{index}\"\nneeds = []\nrun = [\"x\"]\n");
    }
    let mut world = World::new(&text);
    (1..n).for_each(|index| world.started(index));
    world
}

#[test]
fn however_many_steps_one_crash_takes_it_is_one_crash() {
    let mut world = side_by_side(6);
    for crash in 1..=3 {
        (0..6).for_each(|index| world.vanish(index));
        world.hear(Input::Recover(vec![Found::Nothing; 6]));
        assert_eq!(world.run.state(), RunState::Running, "crash {crash}");
        assert_eq!(world.run.ledger.resumes_in_row, crash);
        (0..6).for_each(|index| world.started(index));
    }
    (0..6).for_each(|index| world.vanish(index));
    world.hear(Input::Recover(vec![Found::Nothing; 6]));
    assert_eq!(world.run.state(), RunState::Interrupted, "four times in a row without anything done");
}

/// The ends that nobody saw come one by one where one supervisor's death left the steps alive.
#[test]
fn steps_that_are_lost_one_after_another_from_one_death_are_one_crash() {
    let mut world = side_by_side(6);
    let found = (0..6).map(|index| Found::Running {
        pid: 1000 + world.run.steps[index].attempt,
        started_at: world.now.wall,
        frozen: false,
    });
    let found = found.collect();
    world.hear(Input::Recover(found));
    for index in 0..6 {
        let exit = unseen(&world);
        world.vanish(index);
        world.step(index, StepNews::Exited(exit));
        world.started(index);
    }
    assert_eq!((world.run.state(), world.run.ledger.resumes_in_row), (RunState::Running, 1));
    // One that has begun since is lost by another death.
    let exit = unseen(&world);
    world.vanish(3);
    world.step(3, StepNews::Exited(exit));
    assert_eq!(world.run.ledger.resumes_in_row, 2);
}

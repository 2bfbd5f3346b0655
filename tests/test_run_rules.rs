//! The rules of a run: the table of all states × all inputs, and what each kind of step, failure and loss leads to.

#[path = "test_run_rules/losses.rs"]
mod losses;
#[path = "test_run_rules/told.rs"]
mod told;

use chrono::TimeDelta;
use leverframe::run::{
    Command, Effect, Found, Freeze, Hold, Holds, Input, Outbox, Phase, Record, RunState, StepNews, StepState,
    StopKind, decide, next_deadline, transition,
};

use crate::support::step_id;
use crate::support::world::{World, at, context, driven_in, exit};

/// Every state × every command, as the contract's section 4 says it.
#[test]
fn the_table_of_transitions_is_the_contract() {
    use Command as C;
    use RunState as S;
    let row = |state: S| -> [Option<S>; 9] {
        match state {
            //            pause            resume            retry             stop               force                    complete            fail             report            admit
            S::Queued => [
                None,
                None,
                None,
                Some(S::Stopping),
                Some(S::ForceStopped),
                None,
                None,
                Some(S::Queued),
                Some(S::Running),
            ],
            S::Running => [
                Some(S::Paused),
                None,
                None,
                Some(S::Stopping),
                Some(S::ForceStopped),
                Some(S::Completed),
                Some(S::Failed),
                Some(S::Running),
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
                None,
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
                None,
            ],
            S::Stopped | S::ForceStopped | S::Failed | S::Interrupted => {
                [None, Some(S::Running), Some(S::Running), None, None, None, None, None, None]
            }
            S::Completed => [None, None, Some(S::Running), None, None, None, None, None, None],
        }
    };
    let columns =
        [C::Pause, C::Resume, C::Retry, C::Stop, C::ForceStop, C::Complete, C::Fail, C::Report, C::Admit];
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
                Command::Admit => Input::Admit,
            };
            let mut run = driven_in(state);
            let outcome = decide(&mut run, input, context(at(0)), &mut Outbox::default());
            if command == Command::Admit && transition(state, command).is_some() {
                // What a program drives never waits to be admitted; what steps make of it stands in `test_admission`.
                let error = outcome.expect_err("there is nothing to admit").to_string();
                assert!(error.contains("waits to be admitted"), "{error}");
                continue;
            }
            match transition(state, command) {
                Some(to) => {
                    outcome.unwrap_or_else(|e| panic!("{state} × {command:?}: {e}"));
                    assert_eq!(run.state(), to, "{state} × {command:?}");
                }
                None => {
                    let error = outcome.expect_err("the table refuses it").to_string();
                    assert!(error.contains(state.as_str()), "{error}");
                    assert!(error.contains(command.aim(state).as_str()), "{error}");
                    assert_eq!(run.state(), state);
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
        if let Some(at) = world.run.steps[0].phase.retry_at() {
            delays.push((at - world.now.wall).num_milliseconds());
            world.now.wall = at;
            world.hear(Input::Tick);
        }
    }
    assert_eq!(delays.len(), 2);
    assert!((10_000..=11_000).contains(&delays[0]) && (30_000..=33_000).contains(&delays[1]), "{delays:?}");
    assert_eq!(world.run.state(), RunState::Failed);
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
    assert_eq!(world.run.steps[0].phase.ending(), None, "9 of 10 seconds");
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
        if world.run.steps[1].state().is_live() {
            world.exit(1, 0);
        }
        (world.run.state(), world.run.steps[1].state())
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
        assert_eq!(world.run.state(), RunState::Failed);
        world.run.steps.iter().map(|step| step.state().as_str()).collect::<Vec<_>>()
    };
    assert_eq!(states("stop"), ["failed", "skipped", "skipped", "completed", "completed"]);
    assert_eq!(states("continue"), ["failed", "completed", "skipped", "completed", "completed"]);
}

#[test]
fn what_stood_above_before_a_resume_counts_no_more_when_it_runs_again() {
    let mut world = World::new(
        "[[step]]\nid = \"c\"\nneeds = [\"b\"]\nwhen = \"on_failure\"\nrun = [\"true\"]\n\
         [[step]]\nid = \"a\"\nneeds = []\nmay_fail = true\nrun = [\"true\"]\n\
         [[step]]\nid = \"b\"\nneeds = [\"a\"]\nrun = [\"true\"]",
    );
    world.exit(1, 1);
    world.started(2);
    world.exit(2, 0);
    assert_eq!(world.run.steps.state(0), StepState::Running, "a step above it has failed");
    world.started(0);
    world.exit(0, 1);
    assert_eq!(world.run.state(), RunState::Failed);
    world.hear(Input::Resume);
    assert_eq!(world.run.steps.state(1), StepState::Running, "it had failed");
    assert_eq!(world.run.steps.state(0), StepState::Skipped, "nothing above it has failed now");
}

#[test]
fn a_step_that_may_fail_fails_neither_the_run_nor_what_needs_it() {
    let mut world = World::new(
        "[[step]]\nid = \"a\"\nmay_fail = true\nrun = [\"false\"]\n[[step]]\nid = \"b\"\nrun = [\"true\"]",
    );
    world.exit(0, 1);
    world.exit(1, 0);
    assert_eq!(world.run.state(), RunState::Completed);
    assert_eq!(world.run.steps[0].state(), StepState::Failed);
}

#[test]
fn retry_from_a_step_runs_it_and_what_needs_it_and_archives_their_checkpoints() {
    let mut world = World::new(
        "[[step]]\nid = \"a\"\nrun = [\"x\"]\n[[step]]\nid = \"b\"\nrun = [\"x\"]\n[[step]]\nid = \"c\"\nrun = [\"x\"]",
    );
    (0..3).for_each(|index| world.exit(index, 0));
    assert_eq!(world.run.state(), RunState::Completed);
    world.hear(Input::Retry(Some(step_id("b"))));
    assert_eq!(world.run.state(), RunState::Running);
    let attempts: Vec<_> = world.run.steps.iter().map(|step| (step.state().as_str(), step.attempt)).collect();
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
    assert_eq!(world.run.state(), RunState::Interrupted);
    assert_eq!(world.run.steps[0].state(), StepState::Interrupted);
    world.hear(Input::Resume);
    assert_eq!(world.run.state(), RunState::Running, "the operator may always resume");
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
        (world.run.state(), world.run.steps[0].state(), world.run.steps[1].state())
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
    assert_eq!(world.run.state(), RunState::Paused);
    world.hear(Input::Resume);
    assert_eq!((world.run.state(), world.run.steps[0].attempt), (RunState::Running, 2));
}

#[test]
fn a_held_run_that_is_paused_stays_frozen_when_the_reasons_are_gone() {
    let mut world = World::new("[[step]]\nid = \"a\"\nrun = [\"x\"]");
    world.hear(Input::DiskFull);
    world.hear(Input::Quiet(Some(world.now.wall)));
    world.step(0, StepNews::Frozen { unfrozen: vec![] });
    assert!(world.run.error.is_some(), "it says why it is held");
    world.hear(Input::Pause);
    assert_eq!(world.run.error, None);
    world.hear(Input::DiskRoom);
    world.hear(Input::Quiet(None));
    assert_eq!(world.run.state(), RunState::Paused);
    world.hear(Input::Resume);
    assert_eq!(world.run.state(), RunState::Running);
    // Without its secret it can't go on, whoever paused it: that stays said.
    let freeze = Freeze { holds: Holds::only(Hold::Secret, "secret key is missing"), ..Freeze::default() };
    world.run.phase = Phase::Paused { verdict: None, freeze };
    world.hear(Input::Pause);
    assert!(world.run.phase.is_held_for(Hold::Secret) && world.run.error.is_some());
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

//! What a run says of itself: how much of it is done, what comes first, and who is told of an end.

use leverframe::base::id::AttemptKey;
use leverframe::run::{
    EventKind, Input, Record, ReportBatch, RunState, StepNews, StepState, StepSummary, StopKind,
};

use crate::support::run_id;
use crate::support::world::{World, at, exit};

const FOUR: &str = "[[step]]\nid = \"one\"\nrun = [\"x\"]\n[[step]]\nid = \"two\"\nrun = [\"x\"]\n\
                    [[step]]\nid = \"three\"\nrun = [\"x\"]\n[[step]]\nid = \"four\"\nrun = [\"x\"]";

fn report(world: &World, index: usize, progress: f64) -> StepNews {
    let step = &world.run.steps[index];
    let key = AttemptKey { run_id: run_id("r"), step_id: step.id.clone(), attempt: step.attempt };
    let offset = step.ledger.report_offset;
    let mut batch = ReportBatch::new(key, offset);
    (batch.progress, batch.new_offset) = (Some(progress), offset + 10);
    StepNews::Reported(Box::new(batch))
}

#[test]
fn the_progress_of_a_run_that_ended_badly_is_the_share_that_was_done() {
    let mut failed = World::new(FOUR);
    failed.exit(0, 0);
    failed.exit(1, 1);
    assert_eq!((failed.run.state(), failed.run.progress), (RunState::Failed, 0.25));

    let mut stopped = World::new(FOUR);
    let news = report(&stopped, 0, 0.84);
    stopped.step(0, news);
    stopped.hear(Input::Stop(StopKind::Graceful));
    stopped.exit(0, 143);
    assert_eq!((stopped.run.state(), stopped.run.progress), (RunState::Stopped, 0.21));

    let mut completed = World::new(FOUR);
    (0..4).for_each(|index| completed.exit(index, 0));
    assert_eq!((completed.run.state(), completed.run.progress), (RunState::Completed, 1.0));
}

#[test]
fn what_runs_after_a_failure_alone_is_no_work_of_a_run_that_goes_well() {
    let mut world = World::new(
        "[[step]]\nid = \"a\"\nrun = [\"x\"]\n[[step]]\nid = \"b\"\nrun = [\"x\"]\n\
         [[step]]\nid = \"tell\"\nwhen = \"on_failure\"\nrun = [\"x\"]",
    );
    world.exit(0, 0);
    assert_eq!(world.run.progress, 0.5);
}

#[test]
fn a_start_is_told_before_what_its_step_reports() {
    let mut world = World::new(FOUR);
    world.exit(0, 0);
    world.told.clear();
    // As after a restart: its end is known, and what it had reported, and its start was never told.
    let news = report(&world, 1, 0.5);
    world.step(1, news);
    world.started(1);
    world.exit(1, 1);
    let names: Vec<_> = world.told.iter().map(EventKind::name).collect();
    assert_eq!(
        names,
        [
            "step_started",
            "step_progress",
            "execution_progress",
            "step_changed",
            "step_finished",
            "step_finished",
            "step_finished",
            "execution_failed"
        ]
    );
}

#[test]
fn who_was_told_of_the_first_failure_is_told_of_the_second() {
    let text = r#"
        [[step]]
        id = "mount"
        run = ["x"]
        [[step]]
        id = "work"
        run = ["x"]
        [[step]]
        id = "tell"
        when = "on_failure"
        run = ["x"]
        [[step]]
        id = "mail"
        when = "always"
        run = ["x"]
        [[step]]
        id = "umount"
        finally = true
        run = ["x"]
        "#;
    let mut world = World::new(text);
    let play = |world: &mut World, works: bool| {
        let mut ran = Vec::new();
        while let Some(index) = world.live() {
            ran.push(world.run.steps[index].id.to_string());
            let code = i32::from(index == 1 && !works);
            world.exit(index, code);
        }
        ran
    };
    assert_eq!(play(&mut world, false), ["mount", "work", "tell", "mail", "umount"]);
    world.hear(Input::Resume);
    assert_eq!(play(&mut world, false), ["work", "tell", "mail", "umount"]);
    world.hear(Input::Resume);
    assert_eq!(play(&mut world, true), ["work", "mail", "umount"], "there is nothing to tell");
    assert_eq!((world.run.state(), world.run.steps[2].state()), (RunState::Completed, StepState::Skipped));
}

/// The attempt that was recorded last as one that another follows.
fn recorded_attempt(world: &World) -> StepSummary {
    let attempt = |record: &Record| match record {
        Record::EndedAttempt(step) => Some(step.summary(&world.run.id)),
        Record::Checkpoint { .. } | Record::ArchiveCheckpoint { .. } | Record::Decision(_) => None,
    };
    world.recorded.iter().rev().find_map(attempt).expect("an attempt is recorded")
}

/// The end of a step that was told last.
fn finished_step(world: &World) -> StepSummary {
    let finished = |event: &EventKind| matches!(event, EventKind::StepFinished { .. });
    let last = world.told.iter().rev().find(|event| finished(event)).expect("an end is told");
    last.step().expect("of a step").clone()
}

#[test]
fn what_a_run_took_is_time_at_work() {
    let seconds = |world: &World| {
        let run = world.run.summary().took(world.now.wall).as_seconds_f64();
        let step = world.run.steps[0].summary(&world.run.id).took(world.now.wall);
        (run, step.map(|took| took.as_seconds_f64()))
    };
    let mut world = World::new(
        "[[step]]\nid = \"a\"\nrun = [\"x\"]\nretries = { max = 1, delay = \"60s\", factor = 1.0 }",
    );
    world.pass(5_000);
    world.hear(Input::Pause);
    world.pass(1_000);
    world.step(0, StepNews::Frozen { unfrozen: vec![] });
    world.pass(80_000);
    assert_eq!(seconds(&world), (6.0, Some(6.0)), "frozen time does not count");
    world.hear(Input::Resume);
    world.pass(4_000);
    assert_eq!(seconds(&world), (10.0, Some(10.0)));
    world.exit(0, 1);
    let (of_record, of_event) = (recorded_attempt(&world), finished_step(&world));
    assert_eq!((of_record.worked_seconds, of_record.works_since), (Some(10.0), None));
    assert_eq!((of_event.worked_seconds, of_event.works_since), (Some(10.0), None));
    world.pass(70_000);
    assert_eq!(seconds(&world).0, 10.0, "nothing ran between the attempts");
    world.hear(Input::Tick);
    world.started(0);
    world.pass(2_000);
    world.exit(0, 1);
    assert_eq!((world.run.state(), seconds(&world)), (RunState::Failed, (12.0, Some(2.0))));
    world.pass(3_600_000);
    world.hear(Input::Resume);
    world.started(0);
    world.pass(3_000);
    world.exit(0, 0);
    assert_eq!(seconds(&world), (15.0, Some(3.0)), "nor until it was taken up again");
    let last = world.told.iter().rev().find_map(|event| event.run().cloned()).expect("its end is told");
    assert_eq!((last.worked_seconds, last.works_since), (Some(15.0), None));
}

#[test]
fn a_start_and_an_end_that_are_told_late_count_from_when_they_were() {
    let mut world = World::new(
        "[[step]]\nid = \"a\"\nrun = [\"x\"]\n[[step]]\nid = \"b\"\nrun = [\"x\"]\n\
         [[step]]\nid = \"c\"\nneeds = [\"a\"]\nrun = [\"x\"]",
    );
    world.pass(1_000);
    world.exit(0, 0);
    let after = |ms| world.now.wall + chrono::TimeDelta::milliseconds(ms);
    let (began, other_began, ended) = (after(100), after(200), after(400));
    world.pass(500);
    world.step(1, StepNews::Started { pid: 7, at: began });
    world.step(2, StepNews::Started { pid: 8, at: other_began });
    let exit = leverframe::run::Exit { ended_at: ended, ..crate::support::world::exit(world.now, 0) };
    world.step(1, StepNews::Exited(exit.clone()));
    world.step(2, StepNews::Exited(exit));
    let worked = |index: usize| world.run.steps[index].summary(&world.run.id).worked_seconds;
    assert_eq!([worked(1), worked(2)], [Some(0.3), Some(0.2)]);
    assert_eq!(world.run.summary().worked_seconds, Some(1.3));
}

#[test]
fn work_begins_when_the_step_has_started_however_late_that_is_heard() {
    let took = |world: &World, index: usize| {
        let step = world.run.steps[index].summary(&world.run.id).took(world.now.wall).expect("it has begun");
        (world.run.summary().took(world.now.wall).num_milliseconds(), step.num_milliseconds())
    };
    let started = |world: &mut World, ms: u64| {
        world.step(1, StepNews::Started { pid: 7, at: at(ms).wall });
    };
    let exited = |world: &mut World, index: usize, ms: u64| {
        world.step(index, StepNews::Exited(exit(at(ms), 0)));
    };

    let mut world = World::new("[[step]]\nid = \"a\"\nrun = [\"x\"]\n[[step]]\nid = \"b\"\nrun = [\"x\"]");
    world.pass(1_000);
    exited(&mut world, 0, 1_000);
    world.pass(500);
    started(&mut world, 1_100);
    exited(&mut world, 1, 1_103);
    assert_eq!(took(&world, 1), (1_003, 3), "it started and ended between two looks");

    let at_once = "[[step]]\nid = \"a\"\nrun = [\"x\"]\n[[step]]\nid = \"b\"\nneeds = []\nrun = [\"x\"]";
    let mut world = World::new(at_once);
    world.pass(1_500);
    exited(&mut world, 0, 1_000);
    world.pass(500);
    started(&mut world, 200);
    world.pass(1_000);
    exited(&mut world, 1, 3_000);
    assert_eq!(took(&world, 1), (3_000, 2_800), "the time of both counts once");

    let mut world = World::new(at_once);
    world.pass(1_000);
    world.hear(Input::Pause);
    (0..2).for_each(|index| world.step(index, StepNews::Frozen { unfrozen: vec![] }));
    started(&mut world, 200);
    world.pass(4_000);
    world.hear(Input::Resume);
    world.pass(1_000);
    exited(&mut world, 0, 6_000);
    exited(&mut world, 1, 6_000);
    assert_eq!(took(&world, 1), (2_000, 1_000), "frozen time does not count");
}

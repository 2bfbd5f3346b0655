//! The scheduler dies between any two of its steps: no fire is lost, and none comes twice.

use chrono::TimeDelta;
use leverframe::run::{Phase, RunState};
use leverframe::schedule::{Misfire, MisfirePolicy};
use leverframe::scheduler::{Act, CATCH_UP_GAP_MS, JobStart};

use super::desk::{Desk, every, whole};

/// What the core wants started, without doing it.
fn wanted(acts: Vec<Act>) -> Vec<JobStart> {
    let start = |act| match act {
        Act::Start(start) => Some(*start),
        Act::Stop(_) | Act::Tell(..) => None,
    };
    acts.into_iter().filter_map(start).collect()
}

#[test]
fn one_that_was_claimed_and_not_started_is_started_by_the_next() {
    let mut desk = Desk::new();
    desk.add(every("job", 3600));
    desk.is_dead = true;
    desk.pass(TimeDelta::hours(1));
    assert_eq!(desk.ledger("job"), ["03:00:00 claimed 1"]);
    desk.pass(TimeDelta::seconds(3));
    desk.start_again();
    let started = desk.started();
    assert_eq!(started.len(), 1);
    assert_eq!(started[0].run_id.as_str(), "shop-20261123030000");
    assert_eq!(desk.ledger("job"), ["03:00:00 ran 1"]);
    desk.start_again();
    assert!(desk.started().is_empty());
}

#[test]
fn one_that_was_started_and_not_booked_is_booked_by_the_next() {
    for state in [RunState::Running, RunState::Completed, RunState::Failed] {
        let mut desk = Desk::new();
        desk.add(every("job", 3600));
        desk.now.wall += TimeDelta::hours(1);
        let starts = wanted(desk.core.look(desk.now).expect("it is recorded"));
        desk.record(&starts[0]);
        desk.is_dead = true;
        if state.is_ended() {
            desk.end_all(state);
        }
        desk.start_again();
        assert!(desk.started().is_empty(), "{state}: its run is there");
        assert_eq!(desk.ledger("job"), ["03:00:00 ran 1"]);
        assert_eq!(desk.job("job").run_count, 1);
        let history = desk.history("job");
        assert_eq!(history.len(), 1);
        assert_eq!(history[0].status.as_deref(), Some(state.as_str()));
        desk.pass(TimeDelta::hours(1));
        let n_started = desk.started().len();
        assert_eq!(n_started, usize::from(state.is_ended()), "{state}: it is known whether it lives");
    }
}

#[test]
fn an_end_that_was_not_booked_is_booked_by_the_next_and_what_waits_for_it_goes_on() {
    let mut desk = Desk::new();
    let mut job = every("job", 3600);
    job.overlap = leverframe::schedule::Overlap::Queue;
    desk.add(job);
    desk.add(super::desk::spec("after", r#"{"jobs": ["job"]}"#, "after"));
    desk.pass(TimeDelta::hours(1));
    desk.pass(TimeDelta::hours(1));
    desk.started();
    desk.is_dead = true;
    desk.end_all(RunState::Completed);
    assert_eq!(desk.history("job")[0].finished_at, None);
    desk.start_again();
    let mut names = desk.started_names();
    names.sort();
    assert_eq!(names, ["after", "job"]);
    assert_eq!(desk.history("job")[1].status.as_deref(), Some("completed"));
    assert_eq!(desk.ledger("job"), ["03:00:00 ran 1", "04:00:00 ran 1"]);
}

#[test]
fn a_name_that_a_run_by_hand_has_got_between_claim_and_start_is_not_taken_for_ours() {
    let mut desk = Desk::new();
    desk.add(every("job", 3600));
    desk.now.wall += TimeDelta::hours(1);
    let mut starts = wanted(desk.core.look(desk.now).expect("it is recorded"));
    starts[0].fired_by.due_at = None;
    desk.record(&starts[0]);
    desk.living.clear();
    desk.start_again();
    let started = desk.started();
    assert_eq!(started.len(), 1);
    assert_eq!(started[0].run_id.as_str(), "shop-20261123030000-2");
    assert_eq!(desk.rows("job")[0].run_id.as_deref(), Some("shop-20261123030000-2"));
}

#[test]
fn a_run_by_hand_that_never_was_holds_nothing_up() {
    let mut desk = Desk::new();
    desk.add(every("job", 3600));
    desk.core.run_job_now(&super::desk::id("job"), desk.now).expect("it may run");
    desk.start_again();
    assert_eq!(desk.history("job")[0].status.as_deref(), Some("interrupted"));
    desk.pass(TimeDelta::hours(1));
    assert_eq!(desk.started().len(), 1);
}

#[test]
fn a_crash_after_each_step_of_a_busy_day_leaves_every_instant_in_one_row_and_one_run_a_row() {
    // The scheduler dies after so many steps, wherever that is, again and again.
    for steps_of_life in 1..12 {
        let mut desk = Desk::new();
        desk.add(every("a", 60));
        desk.add(every("b", 90));
        let mut n_steps = 0;
        for minute in 0..30 {
            desk.now.wall += TimeDelta::seconds(60);
            desk.now.awake_ms += 60_000;
            let mut waiting = vec![desk.core.look(desk.now).expect("it is recorded")];
            while let Some(acts) = waiting.pop() {
                for start in wanted(acts) {
                    n_steps += 1;
                    let dies = n_steps % steps_of_life == 0;
                    if dies && minute % 2 == 0 {
                        // Before the run was recorded.
                        waiting.clear();
                        desk.start_again();
                        break;
                    }
                    desk.record(&start);
                    if dies {
                        // Before it was booked.
                        waiting.clear();
                        desk.start_again();
                        break;
                    }
                    let outcome = leverframe::scheduler::StartOutcome::Started;
                    waiting.push(desk.core.started(start, outcome, desk.now).expect("it is booked"));
                }
            }
            desk.end_all(RunState::Completed);
        }
        for _ in 0..10 {
            desk.pass_awake_only(CATCH_UP_GAP_MS);
            desk.end_all(RunState::Completed);
        }
        for (name, step) in [("a", 60), ("b", 90)] {
            let rows = desk.rows(name);
            whole(&rows, TimeDelta::seconds(step), (30 * 60 / step) as u64);
            let mut runs: Vec<_> = rows.iter().filter_map(|row| row.run_id.clone()).collect();
            let n_ran = rows.iter().filter(|row| row.outcome == "ran").count();
            runs.sort();
            runs.dedup();
            assert_eq!(runs.len(), n_ran, "{steps_of_life}: {rows:#?}");
            assert!(rows.iter().all(|row| row.outcome != "claimed"), "{rows:#?}");
            for run_id in runs {
                let run_id = leverframe::base::id::RunId::new(run_id).expect("a name");
                assert!(desk.runs.load_summary(&run_id).expect("runs").is_some(), "{run_id}");
            }
        }
        let filter = leverframe::store::RunFilter::default();
        let n_runs = desk.runs.list_runs(&filter).expect("runs").len();
        let n_rows: usize = ["a", "b"]
            .iter()
            .map(|name| desk.rows(name).iter().filter(|row| row.outcome == "ran").count())
            .sum();
        assert_eq!(n_runs, n_rows, "{steps_of_life}: no run without a row");
    }
}

#[test]
fn a_claim_that_a_start_finds_is_settled_by_the_policy_when_it_is_too_old() {
    for (misfire, expected) in [(Misfire::Skip, "03:00:00 skipped 1"), (Misfire::RunOnce, "03:00:00 ran 1")] {
        let mut desk = Desk::new();
        let mut job = every("job", 86_400);
        job.schedule = super::desk::spec("x", r#"{"hour": 3}"#, "daily").schedule;
        job.misfire = MisfirePolicy { policy: misfire, ..MisfirePolicy::default() };
        desk.add(job);
        desk.is_dead = true;
        desk.pass(TimeDelta::hours(1));
        assert_eq!(desk.ledger("job"), ["03:00:00 claimed 1"], "nothing came of it");
        desk.now.wall += TimeDelta::hours(5);
        desk.start_again();
        desk.pass_awake_only(6_000);
        assert_eq!(desk.ledger("job"), [expected]);
    }
}

#[test]
fn a_run_that_was_taken_up_where_no_scheduler_was_is_booked_and_under_way() {
    let mut desk = Desk::new();
    desk.add(every("job", 3600));
    desk.add(super::desk::spec("after", r#"{"jobs": ["job"]}"#, "after"));
    desk.pass(TimeDelta::hours(1));
    let run_id = desk.started()[0].run_id.to_string();
    let run = desk.living[0].clone();
    desk.end_all(RunState::Failed);
    assert_eq!(desk.history("job")[0].status.as_deref(), Some("failed"));
    // `resume` without a scheduler, which has gone meanwhile.
    desk.living.push(run);
    desk.rewrite(&run_id, |run| (run.phase, run.attempt) = (Phase::of(RunState::Running, None), 2));
    desk.start_again();
    assert_eq!(desk.job("job").running.len(), 1);
    desk.pass(TimeDelta::hours(1));
    assert!(desk.started().is_empty());
    assert_eq!(desk.ledger("job"), ["03:00:00 ran 1", "04:00:00 skipped 1"], "one runs already");
    // It completes, again without a scheduler.
    let at = desk.now.wall;
    desk.rewrite(&run_id, |run| run.phase = Phase::of(RunState::Completed, Some(at)));
    desk.living.clear();
    desk.start_again();
    assert_eq!(desk.history("job")[0].status.as_deref(), Some("completed"));
    assert_eq!(desk.started_names(), ["after"]);
    desk.end_all(RunState::Completed);
    desk.start_again();
    assert!(desk.started().is_empty(), "it is booked once");
}

#[test]
fn a_run_that_failed_again_where_no_scheduler_was_is_booked_again() {
    let mut desk = Desk::new();
    desk.add(every("job", 86_400));
    desk.add(super::desk::spec("on-failure", r#"{"jobs": ["job"], "on": "failed"}"#, "after"));
    desk.pass(TimeDelta::days(1));
    let run_id = desk.started()[0].run_id.to_string();
    let run = desk.living[0].clone();
    desk.end_all(RunState::Failed);
    assert_eq!(desk.started_names(), ["on-failure"]);
    desk.end_all(RunState::Completed);
    desk.now.wall += TimeDelta::minutes(5);
    let at = desk.now.wall;
    desk.living.push(run);
    desk.rewrite(&run_id, |run| {
        (run.phase, run.attempt) = (Phase::of(RunState::Failed, Some(at)), 2);
    });
    desk.living.clear();
    desk.start_again();
    assert_eq!(desk.started_names(), ["on-failure"], "who was told of the first is told of the second");
}

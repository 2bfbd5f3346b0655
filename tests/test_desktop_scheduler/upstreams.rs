//! Jobs that come after others.

use chrono::TimeDelta;
use leverframe::run::{RunState, Trigger};
use leverframe::scheduler::{JobPatch, SchedulerError};

use super::desk::{Desk, every, id, spec};

#[test]
fn a_job_after_another_fires_when_that_has_ended_so() {
    for (on, ends) in [
        ("completed", vec![RunState::Completed]),
        ("failed", vec![RunState::Failed]),
        ("finished", vec![RunState::Completed, RunState::Failed, RunState::Stopped, RunState::ForceStopped]),
    ] {
        for state in [
            RunState::Completed,
            RunState::Failed,
            RunState::Stopped,
            RunState::ForceStopped,
            RunState::Interrupted,
        ] {
            let mut desk = Desk::new();
            desk.add(every("first", 3600));
            desk.add(spec("second", &format!(r#"{{"jobs": ["first"], "on": "{on}"}}"#), "after"));
            desk.pass(TimeDelta::hours(1));
            assert_eq!(desk.started_names(), ["first"]);
            desk.pass(TimeDelta::milliseconds(1234));
            desk.end_all(state);
            let started = desk.started();
            assert_eq!(started.len(), usize::from(ends.contains(&state)), "{on} × {state}");
            if let Some(start) = started.first() {
                assert_eq!(start.trigger, Trigger::After);
                assert_eq!(start.fired_by.due_at.as_deref(), Some("2026-11-23T03:00:01.234+00:00"));
                assert_eq!(desk.ledger("second"), ["03:00:01 ran 1"]);
            }
        }
    }
}

#[test]
fn a_job_after_several_waits_for_all_of_them_each_time() {
    let mut desk = Desk::new();
    desk.add(every("a", 3600));
    desk.add(every("b", 7200));
    desk.add(spec("both", r#"{"jobs": ["a", "b"]}"#, "after"));
    desk.pass(TimeDelta::hours(1));
    desk.end_all(RunState::Completed);
    assert_eq!(desk.started_names(), ["a"]);
    desk.pass(TimeDelta::hours(1));
    // What has failed since does not count any more.
    let a = desk.living.iter().position(|run| run.id.as_str() == "shop-20261123040000").expect("a");
    let b = desk.living.remove(1 - a);
    desk.end_all(RunState::Failed);
    desk.living.push(b);
    desk.end_all(RunState::Completed);
    assert_eq!(desk.started_names(), ["a", "b"]);
    desk.pass(TimeDelta::hours(1));
    desk.end_all(RunState::Completed);
    assert_eq!(desk.started_names(), ["a", "both"]);
    desk.pass(TimeDelta::hours(1));
    desk.end_all(RunState::Completed);
    assert_eq!(desk.started_names(), ["a", "b", "both"]);
}

#[test]
fn a_cycle_and_an_unknown_job_are_refused_and_change_nothing() {
    let mut desk = Desk::new();
    desk.add(every("a", 3600));
    desk.add(spec("b", r#"{"jobs": ["a"]}"#, "after"));
    desk.add(spec("c", r#"{"jobs": ["b"]}"#, "after"));
    let schedule = spec("a", r#"{"jobs": ["c"]}"#, "after").schedule;
    let patch = JobPatch::new(id("a")).with_schedule(&schedule);
    let refused = desk.core.set_job(patch, desk.now).expect_err("a cycle");
    assert!(refused.to_string().contains("a → c → b → a"), "{refused}");
    let alone = desk.try_add(spec("d", r#"{"jobs": ["d"]}"#, "after")).expect_err("a cycle");
    assert!(alone.to_string().contains("d → d"), "{alone}");
    let unknown = desk.try_add(spec("d", r#"{"jobs": ["bb"]}"#, "after")).expect_err("no such job");
    assert!(matches!(unknown, SchedulerError::NoUpstream { .. }));
    assert_eq!(desk.core.list_jobs().expect("jobs").len(), 3);
    assert_eq!(desk.job("a").schedule_type, "interval");
    let kept = desk.core.unschedule_job(&id("a")).expect_err("b comes after it");
    assert!(kept.to_string().contains("b comes after it"), "{kept}");
}

#[test]
fn a_run_that_is_taken_up_and_completes_counts() {
    let mut desk = Desk::new();
    desk.add(every("first", 3600));
    desk.add(spec("second", r#"{"jobs": ["first"]}"#, "after"));
    desk.pass(TimeDelta::hours(1));
    let run = desk.living[0].clone();
    desk.end_all(RunState::Failed);
    desk.started();
    desk.core.reopened(&run.summary(), desk.now).expect("it is booked");
    assert_eq!(desk.history("first")[0].finished_at, None);
    desk.living.push(run);
    desk.end_all(RunState::Completed);
    assert_eq!(desk.started_names(), ["second"]);
}

//! What is asked of jobs: it does all of what it says or nothing, and says what is right.

use chrono::TimeDelta;
use leverframe::base::id::PipelineId;
use leverframe::run::{RunState, Trigger};
use leverframe::schedule::Overlap;
use leverframe::scheduler::{JobPatch, SchedulerError, StartOutcome};

use super::desk::{Desk, every, id, instant, spec};

#[test]
fn what_is_wrong_is_refused_and_changes_nothing() {
    let mut desk = Desk::new();
    desk.add(every("job", 60));
    let twice = desk.try_add(every("job", 60)).expect_err("it is there");
    assert!(matches!(twice, SchedulerError::Exists { .. }));
    let mut elsewhere = every("other", 60);
    elsewhere.pipeline_id = PipelineId::new("shopp").expect("a name");
    let refused = desk.try_add(elsewhere).expect_err("no such pipeline").to_string();
    assert!(refused.contains("there is no pipeline \"shopp\""), "{refused}");
    let mut param = every("other", 60);
    param.params.insert("page".into(), "many".into());
    let refused = desk.try_add(param).expect_err("no number").to_string();
    assert!(refused.contains("page"), "{refused}");
    let refused = desk.core.get_job(&id("jo")).expect_err("no such job").to_string();
    assert_eq!(refused, "there is no job jo; did you mean \"job\"?");
    assert_eq!(desk.core.list_jobs().expect("jobs").len(), 1);
}

#[test]
fn changing_a_job_changes_only_what_is_given_and_creates_no_past_fires() {
    let mut desk = Desk::new();
    let mut job = spec("job", r#"{"hour": 1, "minute": 0}"#, "daily");
    job.params.insert("page".into(), "3".into());
    desk.add(job);
    let patch = JobPatch { overlap: Some(Overlap::Allow), ..JobPatch::new(id("job")) };
    desk.core.set_job(patch, desk.now).expect("it is set");
    let view = desk.job("job");
    assert_eq!((view.overlap, view.params["page"].as_str()), (Overlap::Allow, "3"));
    assert_eq!(view.next_run, Some(instant("2026-11-24T01:00:00.000Z")));
    desk.pass(TimeDelta::hours(20));
    // 22:00: half past nine has passed today.
    let schedule = spec("x", r#"{"hour": 21, "minute": 30}"#, "daily").schedule;
    let patch = JobPatch::new(id("job")).with_schedule(&schedule);
    desk.core.set_job(patch, desk.now).expect("it is set");
    desk.look();
    assert!(desk.started().is_empty());
    assert!(desk.rows("job").is_empty());
    assert_eq!(desk.job("job").next_run, Some(instant("2026-11-24T21:30:00.000Z")));
    let patch = JobPatch { params: [("page".to_owned(), None)].into(), ..JobPatch::new(id("job")) };
    desk.core.set_job(patch, desk.now).expect("it is set");
    assert!(desk.job("job").params.is_empty());
    assert_eq!(desk.job("job").words, "every day at 21:30, UTC");
}

#[test]
fn what_was_missed_by_the_old_timing_keeps_its_place_when_that_changes() {
    let mut desk = Desk::new();
    desk.add(every("job", 3600));
    // No look at the clock in between: the program was not there.
    desk.now.wall += TimeDelta::minutes(150);
    let schedule = spec("x", r#"{"minutes": 7}"#, "interval").schedule;
    let patch = JobPatch::new(id("job")).with_schedule(&schedule);
    let acts = desk.core.set_job(patch, desk.now).expect("it is set");
    desk.carry_out(acts);
    desk.look();
    assert_eq!(desk.started().len(), 1);
    assert_eq!(desk.ledger("job"), ["03:00:00 coalesced 1", "04:00:00 ran 1"]);
    assert_eq!(desk.job("job").next_run, Some(instant("2026-11-23T04:34:00.000Z")));
}

#[test]
fn a_run_by_hand_claims_no_instant_and_is_in_the_history() {
    let mut desk = Desk::new();
    desk.add(every("job", 3600));
    desk.core.disable_job(&id("job")).expect("it is there");
    let start = desk.core.run_job_now(&id("job"), desk.now).expect("it may run");
    assert_eq!((start.trigger, start.fired_by.due_at.as_deref()), (Trigger::Manual, None));
    desk.record(&start);
    let acts = desk.core.started(start, StartOutcome::Started, desk.now).expect("it is booked");
    desk.carry_out(acts);
    assert!(desk.rows("job").is_empty());
    assert_eq!(desk.job("job").running.len(), 1);
    desk.end_all(RunState::Completed);
    let view = desk.job("job");
    assert_eq!((view.run_count, view.running.len()), (1, 0));
    assert_eq!(view.next_run, Some(instant("2026-11-23T03:00:00.000Z")));
    assert_eq!(desk.history("job")[0].status.as_deref(), Some("completed"));
}

#[test]
fn a_run_by_hand_is_under_way_for_the_overlap_policy() {
    let mut desk = Desk::new();
    desk.add(every("job", 3600));
    let start = desk.core.run_job_now(&id("job"), desk.now).expect("it may run");
    desk.record(&start);
    desk.core.started(start, StartOutcome::Started, desk.now).expect("it is booked");
    desk.pass(TimeDelta::hours(1));
    assert_eq!(desk.ledger("job"), ["03:00:00 skipped 1"]);
}

#[test]
fn a_renamed_job_takes_everything_with_it() {
    let mut desk = Desk::new();
    desk.add(every("old", 3600));
    desk.add(spec("after", r#"{"jobs": ["old"]}"#, "after"));
    desk.pass(TimeDelta::hours(1));
    desk.started();
    desk.core.rename_job(&id("old"), &id("new")).expect("it is renamed");
    desk.end_all(RunState::Completed);
    assert_eq!(desk.started_names(), ["after"]);
    assert_eq!(desk.ledger("new"), ["03:00:00 ran 1"]);
    assert_eq!(desk.history("new").len(), 1);
    assert_eq!(desk.job("after").words, "after new completes");
    assert!(matches!(desk.core.get_job(&id("old")), Err(SchedulerError::NotFound { .. })));
    desk.pass(TimeDelta::hours(1));
    assert_eq!(desk.started_names(), ["new"]);
    let taken = desk.core.rename_job(&id("new"), &id("after")).expect_err("it is there");
    assert!(matches!(taken, SchedulerError::Exists { .. }));
}

#[test]
fn a_removed_job_fires_no_more_and_its_past_stays() {
    let mut desk = Desk::new();
    desk.add(every("job", 3600));
    desk.pass(TimeDelta::hours(1));
    desk.end_all(RunState::Completed);
    desk.started();
    desk.core.unschedule_job(&id("job")).expect("it is removed");
    desk.pass(TimeDelta::hours(1));
    assert!(desk.started().is_empty());
    assert_eq!(desk.ledger("job"), ["03:00:00 ran 1"]);
    assert_eq!(desk.history("job").len(), 1);
    assert!(matches!(desk.core.unschedule_job(&id("job")), Err(SchedulerError::NotFound { .. })));
}

#[test]
fn fires_and_history_age_but_for_what_is_not_settled() {
    let mut desk = Desk::new();
    let mut job = every("job", 3600);
    job.overlap = Overlap::Queue;
    desk.add(job);
    desk.pass(TimeDelta::hours(1));
    desk.pass(TimeDelta::hours(1));
    assert_eq!(desk.ledger("job"), ["03:00:00 ran 1", "04:00:00 queued 1"]);
    let before = (desk.now.wall + TimeDelta::days(400)).timestamp_millis();
    assert_eq!(desk.jobs.prune(before).expect("it is pruned"), 1, "the run lives, the other waits");
    assert_eq!(desk.ledger("job"), ["04:00:00 queued 1"]);
    assert!(desk.jobs.unbooked_run_ids().expect("names").contains("shop-20261123030000"));
    desk.end_all(RunState::Completed);
    desk.end_all(RunState::Completed);
    assert!(desk.jobs.unbooked_run_ids().expect("names").is_empty());
    assert_eq!(desk.jobs.prune(before).expect("it is pruned"), 3);
    assert!(desk.rows("job").is_empty());
}

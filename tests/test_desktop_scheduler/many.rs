//! A hundred thousand jobs: nothing that is done for one of them grows with the others.

use chrono::TimeDelta;
use leverframe::scheduler::JobPatch;
use leverframe::store::{CheckpointManager, JobStore};
use rusqlite::Connection;

use super::desk::{Desk, every, id, instant};

#[test]
fn one_of_a_hundred_thousand_jobs_is_added_fired_and_changed() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("scheduler.db");
    drop(JobStore::open(&path).expect("it opens"));
    // As many a script would write, all due on another day.
    Connection::open(&path)
        .expect("it opens")
        .execute_batch(
            r#"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)
               INSERT INTO scheduled_jobs (job_id, pipeline_id, source, schedule_type, schedule_config, next_run, created_at)
               SELECT 'job-' || i, 'shop', 'shop', 'daily', '{"hour": 1, "minute": ' || (i % 60) || '}',
                 '2026-11-24T01:' || printf('%02d', i % 60) || ':00Z', '2026-11-01T00:00:00Z' FROM n"#,
        )
        .expect("it is written");
    let runs = CheckpointManager::in_memory().expect("a store");
    let mut desk = Desk::over(JobStore::open(&path).expect("it opens"), runs);
    desk.start_again();
    assert_eq!(desk.wake_at(), "2026-11-24T01:00:00.000Z");
    assert_eq!(desk.jobs.count_jobs().expect("jobs"), 100_000);
    desk.add(every("mine", 60));
    desk.pass(TimeDelta::minutes(1));
    assert_eq!(desk.started_names(), ["mine"]);
    let schedule = every("mine", 3600).schedule;
    let patch = JobPatch::new(id("mine")).with_schedule(&schedule);
    desk.core.set_job(patch, desk.now).expect("it is set");
    assert_eq!(desk.job("mine").next_run, Some(instant("2026-11-23T03:00:00.000Z")));
    // All of one minute are due at once: as many as share a commit are taken in at a time.
    desk.go_to("2026-11-24T01:00:00.000Z");
    assert_eq!(desk.started_names().iter().filter(|name| *name != "mine").count(), 1_666);
}

#[test]
fn the_earliest_of_many_is_found_by_an_index() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("scheduler.db");
    drop(JobStore::open(&path).expect("it opens"));
    let conn = Connection::open(&path).expect("it opens");
    let plan: String = conn
        .query_row(
            "EXPLAIN QUERY PLAN SELECT next_run_ms FROM scheduled_jobs
             WHERE enabled = 1 AND next_run_ms < 9 ORDER BY next_run_ms LIMIT 1",
            [],
            |row| row.get(3),
        )
        .expect("a plan");
    assert!(plan.contains("SEARCH") && plan.contains("scheduled_jobs_by_next_run"), "{plan}");
}

#[test]
fn what_the_scheduler_gets_to_late_because_so_much_is_due_was_not_missed() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("scheduler.db");
    drop(JobStore::open(&path).expect("it opens"));
    Connection::open(&path)
        .expect("it opens")
        .execute_batch(
            r#"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500)
               INSERT INTO scheduled_jobs (job_id, pipeline_id, source, schedule_type, schedule_config, next_run, created_at)
               SELECT 'job-' || i, 'shop', 'shop', 'once', '{"at": "2026-11-23T03:00:00Z"}', '2026-11-23T03:00:00Z',
                 '2026-11-01T00:00:00Z' FROM n"#,
        )
        .expect("it is written");
    let runs = CheckpointManager::in_memory().expect("a store");
    let mut desk = Desk::over(JobStore::open(&path).expect("it opens"), runs);
    desk.start_again();
    // The engine was there all the time.
    for _ in 0..60 {
        desk.pass(TimeDelta::minutes(1));
    }
    let mut names = std::collections::BTreeSet::new();
    // Each look takes a minute: what is left is half an hour late, and by far later than what is on time by itself.
    for _ in 0..30 {
        let acts = desk.core.look(desk.now).expect("it is recorded");
        desk.carry_out(acts);
        desk.now.wall += TimeDelta::minutes(1);
        desk.now.awake_ms += 60_000;
        names.extend(desk.started().into_iter().map(|start| start.run_id.to_string()));
    }
    assert_eq!(names.len(), 1_500, "each has a name of its own");
    assert!(names.contains("shop-20261123030000-1500"), "and they are counted up");
    desk.started();
}

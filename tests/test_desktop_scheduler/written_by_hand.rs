//! A `scheduler.db` that a script has written: only the fixed tables and columns.

use std::path::Path;

use chrono::TimeDelta;
use leverframe::run::RunState;
use leverframe::store::{CheckpointManager, JobStore, StoreError};
use rusqlite::Connection;

use super::desk::{Desk, instant};

const FIXED: &str = "
CREATE TABLE scheduled_jobs (job_id TEXT PRIMARY KEY, pipeline_id TEXT NOT NULL, source TEXT NOT NULL,
  schedule_type TEXT NOT NULL, schedule_config TEXT NOT NULL, next_run TEXT NOT NULL, enabled INTEGER DEFAULT 1,
  last_run TEXT, run_count INTEGER DEFAULT 0, created_at TEXT NOT NULL);
CREATE TABLE job_history (id INTEGER PRIMARY KEY AUTOINCREMENT, job_id TEXT NOT NULL, run_id TEXT NOT NULL,
  started_at TEXT NOT NULL, finished_at TEXT, status TEXT, error TEXT);";

fn write(path: &Path, sql: &str) {
    Connection::open(path).expect("a database").execute_batch(sql).expect("it is written");
}

fn job(name: &str, kind: &str, config: &str, next_run: &str) -> String {
    format!(
        "INSERT INTO scheduled_jobs (job_id, pipeline_id, source, schedule_type, schedule_config, next_run, created_at)
         VALUES ('{name}', 'shop', 'shop', '{kind}', '{config}', '{next_run}', '2026-11-01T00:00:00Z');"
    )
}

fn open(path: &Path) -> Desk {
    let jobs = JobStore::open(path).expect("it opens");
    let mut desk = Desk::over(jobs, CheckpointManager::in_memory().expect("a store"));
    desk.start_again();
    desk
}

#[test]
fn a_file_with_the_fixed_columns_alone_is_brought_forward_and_its_jobs_fire() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("scheduler.db");
    let sql = [
        FIXED.to_owned(),
        job("once", "once", r#"{"run_at": "2026-11-23T03:00:00Z"}"#, "2026-11-23T04:00:00+01:00"),
        job("interval", "interval", r#"{"hours": 6}"#, "2026-11-23 02:30:00.0001"),
        job("daily", "daily", r#"{"hour": 5, "minute": 15}"#, "2026-11-23T05:15:00.000Z"),
        job("weekly", "weekly", r#"{"day_of_week": 0, "hour": 6, "minute": 0}"#, "2026-11-23T06:00:00Z"),
        job("cron", "cron", r#"{"expression": "0 7 * * *"}"#, "nonsense"),
        job("off-grid", "daily", r#"{"hour": 5, "minute": 15}"#, "2026-11-23T02:45:00Z"),
        job("bad", "cron", r#"{"expression": "61 * * * *"}"#, "2026-11-23T02:10:00Z"),
        job("worse", "sometimes", "{", "2026-11-23T02:10:00Z"),
        job("manual", "manual", "{}", "9999-12-31T23:59:59.000Z"),
        job("after", "after", r#"{"jobs": ["once"]}"#, "9999-12-31T23:59:59.000Z"),
        "INSERT INTO job_history (job_id, run_id, started_at, finished_at, status)
           VALUES ('once', 'r-1', '2026-11-01T00:00:00Z', '2026-11-01T00:00:01Z', 'completed');"
            .to_owned(),
    ];
    write(&path, &sql.concat());
    let mut desk = open(&path);
    assert!(dir.path().join("scheduler.db.v0.bak").exists(), "a copy was made before");
    assert!(desk.started().is_empty());
    let names: Vec<_> = desk.core.list_jobs().expect("jobs").into_iter().map(|job| job.job_id).collect();
    assert_eq!(names.len(), 10);
    for (name, word) in [("bad", "61"), ("worse", "sometimes")] {
        let view = desk.job(name);
        assert!(view.problem.as_deref().is_some_and(|problem| problem.contains(word)), "{view:?}");
        assert!(view.enabled, "it is not disabled in silence");
    }
    assert_eq!(desk.history("once").len(), 1);
    let mut started = Vec::new();
    for _ in 0..8 * 60 {
        desk.pass(TimeDelta::minutes(1));
        for start in desk.started() {
            started.push(format!("{} {}", start.job_id, &start.fired_by.due_at.expect("due")[11..23]));
        }
        desk.end_all(RunState::Completed);
        for start in desk.started() {
            started.push(start.job_id.to_string());
        }
    }
    let expected = [
        "interval 02:30:00.001",
        "off-grid 02:45:00.000",
        "once 03:00:00.000",
        "after",
        "daily 05:15:00.000",
        "off-grid 05:15:00.000",
        "weekly 06:00:00.000",
        "cron 07:00:00.000",
        "interval 08:30:00.001",
    ];
    assert_eq!(started, expected);
    assert!(!desk.job("once").enabled);
}

#[test]
fn what_a_script_changes_while_the_scheduler_runs_is_read_at_its_next_look() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("scheduler.db");
    write(&path, &format!("{FIXED}{}", job("job", "daily", r#"{"hour": 5}"#, "2026-11-23T05:00:00Z")));
    let mut desk = open(&path);
    write(&path, "UPDATE scheduled_jobs SET next_run = '2026-11-23T02:30:00Z'");
    write(&path, &job("new", "interval", r#"{"minutes": 10}"#, "2026-11-23T02:10:00Z"));
    desk.look();
    desk.pass(TimeDelta::minutes(10));
    assert_eq!(desk.started_names(), ["new"]);
    desk.end_all(RunState::Completed);
    desk.pass(TimeDelta::minutes(20));
    let mut names = desk.started_names();
    names.sort();
    assert_eq!(names, ["job", "new"]);
    write(&path, r#"UPDATE scheduled_jobs SET schedule_config = '{"hour": 4}' WHERE job_id = 'job'"#);
    desk.end_all(RunState::Completed);
    assert_eq!(desk.job("job").next_run, Some(instant("2026-11-23T04:00:00.000Z")));
    write(&path, "UPDATE scheduled_jobs SET enabled = 0 WHERE job_id = 'job'");
    desk.go_to("2026-11-23T04:00:00Z");
    assert!(!desk.started_names().contains(&"job".to_owned()));
}

#[test]
fn a_script_reads_what_it_knows() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("scheduler.db");
    let mut desk = open(&path);
    desk.add(super::desk::every("job", 3600));
    desk.add(super::desk::spec("manual", "{}", "manual"));
    desk.pass(TimeDelta::hours(1));
    desk.end_all(RunState::Failed);
    let conn = Connection::open(&path).expect("it opens");
    let one = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, String>(0)).expect("a row");
    assert_eq!(
        one("SELECT next_run || ' ' || last_run || ' ' || run_count || ' ' || enabled FROM scheduled_jobs
             WHERE job_id = 'job'"),
        "2026-11-23T04:00:00.000Z 2026-11-23T03:00:00.000Z 1 1"
    );
    assert_eq!(
        one("SELECT next_run FROM scheduled_jobs WHERE job_id = 'manual'"),
        "9999-12-31T23:59:59.000Z"
    );
    assert_eq!(
        one("SELECT status || ' ' || run_id FROM job_history WHERE finished_at IS NOT NULL"),
        "failed shop-20261123030000"
    );
    assert_eq!(
        one(
            "SELECT due_at || ' ' || through_at || ' ' || n_instants || ' ' || outcome || ' ' || run_id FROM fires"
        ),
        "2026-11-23T03:00:00.000Z 2026-11-23T03:00:00.000Z 1 ran shop-20261123030000"
    );
}

#[test]
fn a_newer_file_is_refused_and_one_of_something_else_too() {
    let dir = tempfile::tempdir().expect("a directory");
    let newer = dir.path().join("newer.db");
    write(&newer, "PRAGMA user_version = 99; CREATE TABLE x (a)");
    assert!(matches!(JobStore::open(&newer), Err(StoreError::Newer { found: 99, .. })));
    let other = dir.path().join("other.db");
    write(&other, "CREATE TABLE fires (a)");
    assert!(matches!(JobStore::open(&other), Err(StoreError::Foreign { .. })));
}

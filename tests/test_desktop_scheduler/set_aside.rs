//! What stands in the ledger is accounted for, whoever sets a job back; and what is wrong with one job, whatever a
//! script has written, holds up no other.

use std::path::Path;

use chrono::TimeDelta;
use leverframe::run::RunState;
use leverframe::schedule::Misfire;
use leverframe::scheduler::JobPatch;
use leverframe::store::{CheckpointManager, JobStore, StoreError};
use rusqlite::Connection;

use super::desk::{Desk, every, id, instant, spec};

pub(super) fn write(path: &Path, sql: &str) {
    Connection::open(path).expect("a database").execute_batch(sql).expect("it is written");
}

/// A desk over a file that a script can write to.
pub(super) fn on_disk() -> (tempfile::TempDir, std::path::PathBuf, Desk) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("scheduler.db");
    let jobs = JobStore::open(&path).expect("it opens");
    let mut desk = Desk::over(jobs, CheckpointManager::in_memory().expect("a store"));
    desk.start_again();
    (dir, path, desk)
}

fn hour_by_hour(desk: &mut Desk, n: usize) -> Vec<String> {
    let mut started = Vec::new();
    for _ in 0..n {
        desk.pass(TimeDelta::hours(1));
        started.extend(desk.started_names());
        desk.end_all(RunState::Completed);
    }
    started
}

#[test]
fn an_instant_that_has_fired_is_passed_over_when_a_script_asks_for_it_again() {
    let (_dir, path, mut desk) = on_disk();
    desk.add(every("other", 3600));
    desk.add(every("x", 3600));
    assert_eq!(hour_by_hour(&mut desk, 2), ["other", "x", "other", "x"]);
    write(&path, "UPDATE scheduled_jobs SET next_run = '2026-11-23T03:00:00.000Z' WHERE job_id = 'x'");
    desk.look();
    assert!(desk.started().is_empty(), "both of these have fired");
    assert_eq!(desk.job("x").next_run, Some(instant("2026-11-23T05:00:00.000Z")));
    assert_eq!(hour_by_hour(&mut desk, 2), ["other", "x", "other", "x"]);
    assert_eq!(desk.ledger("x"), ["03:00:00 ran 1", "04:00:00 ran 1", "05:00:00 ran 1", "06:00:00 ran 1"]);
    // What its schedule does not know may run, once.
    write(&path, "UPDATE scheduled_jobs SET next_run = '2026-11-23T05:30:00.000Z' WHERE job_id = 'x'");
    desk.look();
    assert_eq!(desk.started_names(), ["x"]);
    assert_eq!(desk.rows("x").len(), 5);
}

#[test]
fn what_a_range_of_the_ledger_holds_is_accounted_for_and_what_lies_before_it_is_not() {
    let (_dir, path, mut desk) = on_disk();
    desk.add(every("x", 3600));
    desk.now.wall += TimeDelta::minutes(4 * 60 + 30);
    desk.start_again();
    desk.end_all(RunState::Completed);
    assert_eq!(desk.ledger("x"), ["03:00:00 coalesced 3", "06:00:00 ran 1"]);
    write(
        &path,
        "UPDATE scheduled_jobs SET next_run = '2026-11-23T00:00:00Z', schedule_config = '{\"hours\":1,\"anchor\":\"2026-11-20T00:00:00Z\"}'",
    );
    desk.started();
    desk.look();
    desk.pass_awake_only(6_000);
    // 00:00, 01:00 and 02:00 are new; the newest of them runs.
    assert_eq!(desk.started_names(), ["x"]);
    assert_eq!(
        desk.ledger("x"),
        ["00:00:00 coalesced 2", "02:00:00 ran 1", "03:00:00 coalesced 3", "06:00:00 ran 1"]
    );
}

/// Two days too late by the clock, then right.
fn with_a_clock_that_was_ahead(desk: &mut Desk) {
    let right = desk.now.wall;
    desk.now.wall += TimeDelta::days(2);
    desk.start_again();
    desk.end_all(RunState::Completed);
    desk.started();
    desk.now.wall = right + TimeDelta::minutes(10);
    desk.start_again();
    assert!(desk.started().is_empty(), "nothing fires again");
}

#[test]
fn after_a_clock_that_was_ahead_a_changed_timing_fires_by_the_right_one() {
    let (_dir, _path, mut desk) = on_disk();
    desk.add(every("other", 86_400 * 7));
    desk.add(every("x", 3600));
    with_a_clock_that_was_ahead(&mut desk);
    let schedule = spec("x", r#"{"expression": "0 * * * *"}"#, "cron").schedule;
    let patch = JobPatch::new(id("x")).with_schedule(&schedule);
    let acts = desk.core.set_job(patch, desk.now).expect("it is set");
    desk.carry_out(acts);
    assert_eq!(desk.job("x").next_run, Some(instant("2026-11-23T03:00:00.000Z")));
    assert_eq!(hour_by_hour(&mut desk, 60).iter().filter(|name| *name == "x").count(), 59, "one has run");
    assert_eq!(desk.job("x").problem, None);
}

#[test]
fn after_a_clock_that_was_ahead_a_job_that_is_added_again_fires() {
    let (_dir, _path, mut desk) = on_disk();
    desk.add(every("x", 3600));
    with_a_clock_that_was_ahead(&mut desk);
    desk.core.unschedule_job(&id("x")).expect("it goes");
    desk.add(spec("x", r#"{"expression": "0 * * * *"}"#, "cron"));
    desk.add(every("other", 3600));
    let started = hour_by_hour(&mut desk, 60);
    assert_eq!(started.iter().filter(|name| *name == "other").count(), 60);
    assert_eq!(started.iter().filter(|name| *name == "x").count(), 59, "one has run");
}

#[test]
fn a_job_of_which_something_cannot_be_written_is_set_aside_alone_and_said() {
    let (_dir, path, mut desk) = on_disk();
    desk.add(every("before", 3600));
    desk.add(every("job", 3600));
    desk.add(every("other", 3600));
    write(
        &path,
        "CREATE TRIGGER no BEFORE INSERT ON fires WHEN NEW.job_id = 'job' BEGIN SELECT RAISE(ABORT, 'not that'); END",
    );
    assert_eq!(hour_by_hour(&mut desk, 2), ["before", "other", "before", "other"]);
    let problem = desk.job("job").problem.expect("it is set aside");
    assert!(problem.contains("not that"), "{problem}");
    let warnings = desk.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("job job is set aside"), "{warnings:?}");
    // Mended, and set anew.
    write(&path, "DROP TRIGGER no");
    let schedule = spec("x", r#"{"hours": 1}"#, "interval").schedule;
    let patch = JobPatch::new(id("job")).with_schedule(&schedule);
    desk.core.set_job(patch, desk.now).expect("it is set");
    assert_eq!(hour_by_hour(&mut desk, 1), ["before", "job", "other"]);
}

/// How often the job `good` runs while there is time to catch up.
fn n_good_runs(desk: &mut Desk) -> usize {
    let mut good = 0;
    for _ in 0..12 {
        desk.pass_awake_only(6_000);
        good += desk.started_names().iter().filter(|name| *name == "good").count();
        desk.end_all(RunState::Completed);
    }
    good
}

#[test]
fn what_a_job_that_was_set_aside_has_to_catch_up_holds_up_no_other() {
    let (_dir, path, mut desk) = on_disk();
    for name in ["a-bad", "good"] {
        let mut job = every(name, 3600);
        job.misfire.policy = Misfire::RunAll;
        desk.add(job);
    }
    desk.now.wall += TimeDelta::minutes(4 * 60 + 30);
    write(
        &path,
        "CREATE TRIGGER no BEFORE UPDATE ON fires WHEN NEW.job_id = 'a-bad' BEGIN SELECT RAISE(ABORT, 'not that'); END",
    );
    desk.start_again();
    let good = n_good_runs(&mut desk);
    assert_eq!(good, 4, "{:?}", desk.ledger("good"));
}

#[test]
fn a_job_that_cannot_even_be_set_aside_holds_the_others_up_for_seconds_alone() {
    let (_dir, path, mut desk) = on_disk();
    desk.add(every("job", 60));
    desk.add(every("other", 60));
    write(
        &path,
        "CREATE TRIGGER no BEFORE UPDATE ON scheduled_jobs WHEN NEW.job_id = 'job' BEGIN SELECT RAISE(ABORT, 'not that'); END",
    );
    let mut n = 0;
    for _ in 0..20 {
        desk.pass(TimeDelta::seconds(30));
        n += desk.started_names().iter().filter(|name| *name == "other").count();
        desk.end_all(RunState::Completed);
    }
    assert!(n >= 9, "{n} of ten fires");
}

#[test]
fn rows_of_scripts_that_come_after_themselves_are_refused_and_said() {
    let (_dir, path, mut desk) = on_disk();
    let row = |name: &str, after: &str| {
        format!(
            "INSERT INTO scheduled_jobs (job_id, pipeline_id, source, schedule_type, schedule_config, next_run, created_at)
             VALUES ('{name}', 'shop', 'shop', 'after', '{{\"jobs\": [\"{after}\"], \"on\": \"finished\"}}', '', '2026-11-01T00:00:00Z');"
        )
    };
    write(&path, &[row("a", "c"), row("b", "a"), row("c", "b"), row("d", "c"), row("self", "self")].concat());
    desk.add(every("other", 3600));
    desk.look();
    let problem = |name: &str| desk.job(name).problem.unwrap_or_default();
    assert!(problem("c").contains("would come after itself: c"), "{}", problem("c"));
    assert!(problem("self").contains("would come after itself"), "{}", problem("self"));
    assert_eq!((problem("a"), problem("b"), problem("d")), Default::default());
    // By hand it runs, and a cycle would go round for ever.
    let start = desk.core.run_job_now(&id("a"), desk.now).expect("it runs by hand");
    desk.record(&start);
    let acts = desk.core.started(start, leverframe::scheduler::StartOutcome::Started, desk.now);
    let acts = acts.expect("it is booked");
    desk.carry_out(acts);
    for _ in 0..10 {
        desk.end_all(RunState::Completed);
    }
    let mut started = desk.started_names();
    started.sort();
    assert_eq!(started, ["b"]);
    assert_eq!(hour_by_hour(&mut desk, 1), ["other"]);
}

#[test]
fn a_cycle_that_an_earlier_version_has_let_in_is_broken_at_the_start() {
    let (_dir, path, mut desk) = on_disk();
    desk.add(every("first", 3600));
    desk.add(spec("a", r#"{"jobs": ["first"]}"#, "after"));
    desk.add(spec("b", r#"{"jobs": ["a"]}"#, "after"));
    desk.add(spec("c", r#"{"jobs": ["b"]}"#, "after"));
    write(&path, "INSERT INTO job_upstreams (upstream, job_id) VALUES ('b', 'a')");
    desk.start_again();
    assert!(desk.job("a").problem.is_some_and(|problem| problem.contains("a → b → a")));
    assert_eq!(desk.job("b").problem, None);
    desk.pass(TimeDelta::hours(1));
    for _ in 0..10 {
        desk.end_all(RunState::Completed);
    }
    assert_eq!(desk.started_names(), ["first"]);
}

#[test]
fn a_job_is_not_renamed_into_a_cycle() {
    let (_dir, path, mut desk) = on_disk();
    desk.add(every("first", 3600));
    desk.add(spec("a", r#"{"jobs": ["first"]}"#, "after"));
    write(&path, r#"UPDATE scheduled_jobs SET schedule_config = '{"jobs": ["ghost"]}' WHERE job_id = 'a'"#);
    desk.look();
    desk.add(spec("b", r#"{"jobs": ["a"]}"#, "after"));
    let refused = desk.core.rename_job(&id("b"), &id("ghost")).expect_err("it would come after itself");
    assert!(refused.to_string().contains("would come after itself"), "{refused}");
}

#[test]
fn a_job_that_cannot_be_reckoned_anew_is_set_aside_alone() {
    let (_dir, path, mut desk) = on_disk();
    for name in ["a", "job", "other"] {
        let mut job = spec(name, r#"{"hour": 12, "minute": 0}"#, "daily");
        job.zone = Some(leverframe::schedule::Zone::Local);
        desk.add(job);
    }
    write(
        &path,
        "CREATE TRIGGER no BEFORE UPDATE OF reckoned_zone ON scheduled_jobs WHEN NEW.job_id = 'job'
         BEGIN SELECT RAISE(ABORT, 'not that'); END",
    );
    desk.start_again_in("Asia/Tokyo");
    let problem = desk.job("job").problem.unwrap_or_default();
    assert!(problem.contains("not that"), "{problem}");
    for name in ["a", "other"] {
        assert_eq!(desk.job(name).next_run, Some(instant("2026-11-23T03:00:00.000Z")), "{name}");
    }
}

#[test]
fn where_the_disk_fails_after_a_part_was_recorded_that_part_is_started() {
    let (_dir, path, mut desk) = on_disk();
    for name in ["a", "b", "c"] {
        desk.add(every(name, 3600));
    }
    // What `b` writes is refused, and what `c` writes finds the disk full: that number was the last one.
    write(
        &path,
        "CREATE TABLE numbers (n INTEGER PRIMARY KEY AUTOINCREMENT);
         INSERT INTO numbers VALUES (9223372036854775807);
         CREATE TRIGGER refused BEFORE INSERT ON fires WHEN NEW.job_id = 'b'
           BEGIN SELECT RAISE(ABORT, 'not this one'); END;
         CREATE TRIGGER full BEFORE INSERT ON fires WHEN NEW.job_id = 'c'
           BEGIN INSERT INTO numbers VALUES (NULL); END;",
    );
    desk.now.wall += TimeDelta::hours(1);
    let acts = desk.core.look(desk.now).expect("a part is recorded");
    desk.carry_out(acts);
    assert_eq!(desk.started_names(), ["a"]);
    assert_eq!(desk.ledger("a"), ["03:00:00 ran 1"]);
    assert!(matches!(desk.core.take_trouble(), Some(StoreError::DiskFull { .. })));
    assert!(desk.job("b").problem.is_some());
    write(&path, "DROP TRIGGER full");
    desk.look();
    assert_eq!(desk.started_names(), ["c"], "and the rest when the disk takes it");
}

/// How often the job `good`, which has four instants to catch up, runs beside this row.
#[track_caller]
fn beside(sql: &str) -> (usize, Vec<String>) {
    let (_dir, path, mut desk) = on_disk();
    let mut job = every("good", 3600);
    job.misfire.policy = Misfire::RunAll;
    desk.add(job);
    desk.now.wall += TimeDelta::minutes(4 * 60 + 30);
    write(&path, sql);
    desk.start_again();
    let good = n_good_runs(&mut desk);
    (good, desk.warnings())
}

const OLD_FIRE: &str = "INSERT INTO fires (job_id, due_at, through_at, due_ms, through_ms, outcome)
    SELECT name, '2026-11-22T00:00:00Z', '2026-11-22T00:00:00Z', 1795305600000, 1795305600000, 'claimed' FROM";

#[test]
fn rows_of_scripts_that_name_no_job_are_said_and_hold_up_no_other() {
    for name in ["x'62ff61'", "CAST(x'62ff61' AS TEXT)"] {
        let (good, warnings) = beside(&format!("{OLD_FIRE} (SELECT {name} AS name)"));
        assert_eq!(good, 4, "{name}");
        assert!(
            warnings.iter().any(|text| text.contains("fires, rowid 1 (its job's name is not text)")),
            "{warnings:?}"
        );
    }
    let history =
        "INSERT INTO job_history (job_id, run_id, started_at) VALUES ('a b', 'r', '2026-11-22T00:00:00Z')";
    let (good, warnings) = beside(history);
    assert_eq!(good, 4);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("job_history, job \"a b\", run \"r\""), "{warnings:?}");
}

#[test]
fn a_fire_that_names_no_job_and_cannot_be_written_holds_up_no_other() {
    let refuse = "CREATE TRIGGER no BEFORE UPDATE ON fires WHEN NEW.job_id = 'a b' BEGIN SELECT RAISE(ABORT, 'not that'); END";
    let (good, warnings) = beside(&format!("{OLD_FIRE} (SELECT 'a b' AS name); {refuse}"));
    assert_eq!(good, 4);
    assert!(warnings.iter().any(|text| text.contains("job a b is set aside")), "{warnings:?}");
}

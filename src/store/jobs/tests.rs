//! The job store against real SQLite files.

use chrono::DateTime;
use rusqlite::Connection;

use super::*;
use crate::base::id::JobId;
use crate::store::Durability;

fn job(name: &str, next_run_ms: i64) -> StoredJob {
    let (next_run, next_run_ms) = write::next_run(next_run_ms);
    StoredJob {
        job_id: name.to_owned(),
        pipeline_id: "p".to_owned(),
        source: "p".to_owned(),
        schedule_type: "manual".to_owned(),
        schedule_config: "{}".to_owned(),
        next_run,
        next_run_ms: Some(next_run_ms),
        enabled: true,
        created_at: "2026-11-23T02:00:00.000Z".to_owned(),
        ..StoredJob::default()
    }
}

fn fire(name: &str, due_ms: i64, outcome: &str) -> StoredFire {
    StoredFire {
        job_id: name.to_owned(),
        due_ms,
        through_ms: due_ms,
        n_instants: 1,
        outcome: outcome.to_owned(),
        reason: None,
        run_id: Some(format!("{name}-{due_ms}")),
        previous_ms: None,
        kind: FireKind::Due,
    }
}

fn add(job: StoredJob) -> JobWrite {
    JobWrite::AddJob(Box::new(job))
}

#[test]
fn a_commit_is_there_whole_or_not_at_all() {
    let store = JobStore::in_memory().unwrap();
    store.commit(&[add(job("a", 10))], Durability::Synced).unwrap();
    let twice = [JobWrite::AddFire(fire("a", 5, "ran")), add(job("a", 20))];
    assert!(store.commit(&twice, Durability::Synced).is_err());
    assert!(store.fires("a", &FireFilter::default()).unwrap().is_empty());
    assert_eq!(store.load_job("a").unwrap().unwrap().next_run_ms, Some(10));
    let instant_twice = [JobWrite::AddFire(fire("a", 5, "ran")), JobWrite::AddFire(fire("a", 5, "skipped"))];
    assert!(store.commit(&instant_twice, Durability::Lazy).is_err(), "an instant lies in one row");
}

#[test]
fn the_due_come_in_order_and_what_is_disabled_or_never_does_not() {
    let store = JobStore::in_memory().unwrap();
    let off = StoredJob { enabled: false, ..job("off", 1) };
    let writes = [add(job("b", 20)), add(job("a", 10)), add(job("never", NEVER_MS)), add(off)];
    store.commit(&writes, Durability::Synced).unwrap();
    assert_eq!(store.earliest_due_ms().unwrap(), Some(10));
    let due =
        |now| -> Vec<String> { store.due_jobs(now, 9).unwrap().into_iter().map(|job| job.job_id).collect() };
    assert_eq!(due(9), [""; 0]);
    assert_eq!(due(10), ["a"]);
    assert_eq!(due(i64::MAX), ["a", "b"]);
    let never = JobWrite::NextRun { job_id: "a".into(), at_ms: NEVER_MS, zone: None };
    store.commit(&[never], Durability::Lazy).unwrap();
    assert_eq!(store.earliest_due_ms().unwrap(), Some(20));
    assert_eq!(store.load_job("a").unwrap().unwrap().next_run, NEVER);
}

#[test]
fn both_kinds_of_commit_are_seen_by_other_handles_and_the_connection_stays_synced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("scheduler.db");
    let store = JobStore::open(&path).unwrap();
    store.commit(&[add(job("a", 10))], Durability::Lazy).unwrap();
    let reader = JobStore::open_read_only(&path).unwrap();
    assert_eq!(reader.count_jobs().unwrap(), 1);
    store.commit(&[add(job("b", 10))], Durability::Synced).unwrap();
    assert_eq!(reader.count_jobs().unwrap(), 2);
    let level: i64 = store
        .database
        .with_writer(|conn| conn.query_row("PRAGMA synchronous", [], |row| row.get(0)).unwrap());
    assert_eq!(level, 2, "FULL");
    assert!(matches!(reader.commit(&[add(job("c", 1))], Durability::Lazy), Err(StoreError::ReadOnly { .. })));
}

#[test]
fn reading_where_nothing_is_makes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = JobStore::open_read_only(dir.path().join("scheduler.db")).unwrap();
    assert!(store.list_jobs().unwrap().is_empty());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_script_that_changes_a_schedule_has_it_read_anew_and_our_own_changes_do_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("scheduler.db");
    let store = JobStore::open(&path).unwrap();
    store.commit(&[add(job("a", 10))], Durability::Synced).unwrap();
    let unread = || store.unread_jobs(i64::MIN, 9).unwrap().len();
    // The same instant, another schedule.
    let other = StoredJob { schedule_config: "{\"a\":1}".to_owned(), ..job("a", 10) };
    store.commit(&[JobWrite::ChangeJob(Box::new(other.clone()))], Durability::Synced).unwrap();
    assert_eq!(unread(), 0);
    assert_eq!(store.load_job("a").unwrap(), Some(StoredJob { rowid: 1, ..other }));
    let by_hand = |sql: &str| Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    by_hand("UPDATE scheduled_jobs SET run_count = 5, enabled = 0");
    assert_eq!(unread(), 0, "nothing to be read");
    by_hand("UPDATE scheduled_jobs SET schedule_config = '{}'");
    assert_eq!(unread(), 1);
    assert_eq!(store.load_job("a").unwrap().unwrap().next_run, "", "it follows from the schedule");
}

#[test]
fn names_that_are_reserved_are_known_by_their_base() {
    let store = JobStore::in_memory().unwrap();
    let named = |due, run_id: &str| {
        JobWrite::AddFire(StoredFire { run_id: Some(run_id.to_owned()), ..fire("a", due, "claimed") })
    };
    store
        .commit(&[named(1, "s-2026"), named(2, "s-2026-2"), named(3, "s-20261")], Durability::Synced)
        .unwrap();
    let mut names: Vec<_> = store.reserved_run_ids("s-2026").unwrap().into_iter().collect();
    names.sort();
    assert_eq!(names, ["s-2026", "s-2026-2"]);
    assert_eq!(store.unbooked_run_ids().unwrap().len(), 3);
}

#[test]
fn missed_fires_of_all_jobs_are_found_by_their_last_instant() {
    let store = JobStore::in_memory().unwrap();
    let long = StoredFire { through_ms: 60, ..fire("a", 10, "expired") };
    let fires = [
        long,
        fire("a", 70, "ran"),
        fire("b", 30, "skipped"),
        fire("b", 40, "failed_to_start"),
        fire("b", 50, "disabled"),
        fire("b", 100, "skipped"),
        fire("b", 5, "skipped"),
    ];
    store.commit(&fires.map(JobWrite::AddFire), Durability::Synced).unwrap();
    let at = |ms| chrono::DateTime::from_timestamp_millis(ms).unwrap();
    let found = |limit| -> Vec<(String, i64)> {
        let found = store.missed_fires((at(30), at(100)), limit).unwrap();
        found.into_iter().map(|fire| (fire.job_id, fire.due_ms)).collect()
    };
    let expected = [("a", 10), ("b", 40), ("b", 30)].map(|(job, due)| (job.to_owned(), due));
    assert_eq!(found(10), expected);
    assert_eq!(found(2), expected[..2]);
}

#[test]
fn the_ledger_of_all_jobs_is_filtered_by_what_became_of_each_instant() {
    let store = JobStore::in_memory().unwrap();
    let writes = [
        fire("a", 1_000, "ran"),
        fire("b", 2_000, "ran"),
        fire("a", 3_000, "skipped"),
        fire("a", 4_000, "failed_to_start"),
        fire("b", 5_000, "claimed"),
    ];
    let writes = writes.map(JobWrite::AddFire);
    store.commit(&writes, Durability::Synced).unwrap();
    store
        .database
        .transaction(|tx| {
            tx.execute_batch(
                "INSERT INTO job_history (job_id, run_id, started_at, status) VALUES
                   ('a', 'a-1000', '2026-01-01T00:00:00Z', 'completed'),
                   ('b', 'b-2000', '2026-01-01T00:00:00Z', 'failed');",
            )
        })
        .unwrap();
    let found = |filter: &LedgerFilter| {
        let rows = store.ledger(filter, 0, 10).unwrap();
        assert_eq!(store.count_ledger(filter).unwrap(), rows.len());
        rows.iter().map(|row| row.due_ms / 1_000).collect::<Vec<_>>()
    };
    let all = LedgerFilter::default();
    assert_eq!(found(&all), [5, 4, 3, 2, 1], "the newest first");
    assert_eq!(store.ledger(&all, 1, 2).unwrap()[0].due_ms, 4_000);
    let of = |kind| LedgerFilter { kind, ..LedgerFilter::default() };
    for (kind, shown) in [
        (LedgerKind::Completed, vec![1]),
        (LedgerKind::Failed, vec![4, 2]),
        (LedgerKind::NotRun, vec![3]),
        (LedgerKind::Open, vec![5]),
    ] {
        assert_eq!(found(&of(kind)), shown, "{kind:?}");
    }
    let job_id = JobId::new("a").ok();
    assert_eq!(found(&LedgerFilter { job_id: job_id.clone(), ..of(LedgerKind::Failed) }), [4]);
    let at = |ms| DateTime::from_timestamp_millis(ms);
    let span = LedgerFilter { since: at(2_000), until: at(4_000), job_id, ..LedgerFilter::default() };
    assert_eq!(found(&span), [3]);
}

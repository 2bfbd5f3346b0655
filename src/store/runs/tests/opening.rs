//! What is opened, what is brought forward, and what is refused untouched.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::json;

use super::*;
use crate::store::{RunFilter, RunWrite, StoreError};

/// The fixed tables as a user's script would write them.
fn fill_by_hand(path: &Path) {
    let conn = Connection::open(path).unwrap();
    conn.execute_batch(
        "CREATE TABLE checkpoints (run_id TEXT NOT NULL, step_id TEXT NOT NULL, checkpoint_data TEXT NOT NULL,
           created_at TEXT NOT NULL, PRIMARY KEY (run_id, step_id));
         CREATE TABLE execution_state (run_id TEXT PRIMARY KEY, pipeline_id TEXT NOT NULL,
           source TEXT NOT NULL, state TEXT NOT NULL, started_at TEXT NOT NULL, finished_at TEXT,
           progress REAL, current_step TEXT, error TEXT, metadata TEXT);
         INSERT INTO execution_state VALUES
           ('a', 'nightly', 'alfabeta', 'running', '2026-11-23T02:00:00.000Z', NULL, 0.4, 'fetch', NULL,
            '{\"k\": 1}'),
           ('b', 'nightly', 'alfabeta', 'completed', '2026-11-23T02:00:00+02:00', '2026-11-23T03:00:00+02:00',
            1, NULL, NULL, 'no json'),
           ('c', 'nightly', 'alfabeta', 'failed', '2026-11-22 23:00:00', NULL, NULL, NULL, 'boom', NULL),
           ('d', 'nightly', 'alfabeta', 'HALTED', 'yesterday', NULL, NULL, NULL, NULL, NULL),
           ('not an id', 'nightly', 'alfabeta', 'running', '2026-11-23T02:00:00Z', NULL, 0, NULL, NULL, NULL);
         INSERT INTO checkpoints VALUES
           ('a', 'fetch', '{\"page\": 12}', '2026-11-23T02:10:00Z'),
           ('a', 'any text at all', 'page 3', '2026-11-23T02:05:00');",
    )
    .unwrap();
}

#[test]
fn a_database_with_the_fixed_tables_alone_is_brought_forward_and_used() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("checkpoints.db");
    fill_by_hand(&path);
    let store = CheckpointManager::open(&path).unwrap();

    let living = store.load_living().unwrap();
    assert_eq!(living.len(), 1, "the row with a malformed name is passed over");
    assert_eq!(living[0].summary.run_id.as_str(), "a");
    assert_eq!(living[0].summary.run_type.as_ref(), "FULL_REFRESH");
    assert_eq!(living[0].body, crate::store::StoredBody::Unknown);
    let b = store.load_execution_state("b").unwrap().unwrap();
    assert_eq!(b.started_at, crate::base::time::parse_instant("2026-11-23T00:00:00Z").unwrap());
    assert_eq!(b.metadata, Some(json!("no json")));
    let c = store.load_execution_state("c").unwrap().unwrap();
    assert_eq!(c.started_at, crate::base::time::parse_instant("2026-11-22 23:00:00").unwrap());
    let d = store.load_execution_state("d").unwrap().unwrap();
    assert_eq!(d.state, RunState::Interrupted);
    assert!(d.error.unwrap().contains("HALTED"));

    assert_eq!(store.load_checkpoint("a", "fetch").unwrap(), Some(json!({"page": 12})));
    assert_eq!(store.load_checkpoint("a", "any text at all").unwrap(), Some(json!("page 3")));
    store.save_checkpoint("a", "fetch", &json!({"page": 13})).unwrap();
    assert_eq!(store.load_checkpoint("a", "fetch").unwrap(), Some(json!({"page": 13})));

    let names = |filter: &RunFilter| -> Vec<String> {
        store.list_runs(filter).unwrap().iter().map(|run| run.run_id.to_string()).collect()
    };
    let since = Some(crate::base::time::parse_instant("2026-11-23T01:00:00Z").unwrap());
    assert_eq!(names(&RunFilter { since, ..Default::default() }), ["d", "a"], "what is no instant is new");
    let problems = store.integrity_check().unwrap();
    assert_eq!(problems.len(), 2, "{problems:?}");

    let copy = Connection::open(dir.path().join("checkpoints.db.v0.bak")).unwrap();
    let n: i64 = copy.query_row("SELECT count(*) FROM execution_state", [], |row| row.get(0)).unwrap();
    assert_eq!(n, 5, "a copy was made before");
    let mode = |name: &str| std::fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("checkpoints.db.v0.bak"), 0o600);
}

#[test]
fn rows_that_a_script_adds_later_are_read_and_ordered_at_the_next_opening() {
    let f = Fixture::new();
    Connection::open(f.path())
        .unwrap()
        .execute_batch(
            "INSERT INTO execution_state (run_id, pipeline_id, source, state, started_at)
               VALUES ('later', 'p', 's', 'queued', '2026-11-23T02:00:00+01:00');
             INSERT INTO checkpoints (run_id, step_id, checkpoint_data, created_at)
               VALUES ('later', 'x', '1', '2026-11-23T02:00:00Z')",
        )
        .unwrap();
    assert_eq!(f.store.load_living().unwrap().len(), 1, "seen at once");
    let again = CheckpointManager::open(f.path()).unwrap();
    let until = Some(crate::base::time::parse_instant("2026-11-23T01:00:01Z").unwrap());
    assert_eq!(again.list_runs(&RunFilter { until, ..Default::default() }).unwrap().len(), 1);
    assert_eq!(again.list_checkpoints("later").unwrap().len(), 1);
    assert!(!f.dir.path().join("checkpoints.db.v1.bak").exists(), "nothing was migrated");
}

#[test]
fn reading_an_older_database_changes_nothing_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("checkpoints.db");
    fill_by_hand(&path);
    let before = std::fs::read(&path).unwrap();
    let store = CheckpointManager::open_read_only(&path).unwrap();
    assert_eq!(store.load_living().unwrap().len(), 1);
    assert_eq!(store.list_checkpoints("a").unwrap().len(), 2);
    assert!(matches!(store.save_checkpoint("a", "x", &json!(1)), Err(StoreError::ReadOnly { .. })));
    drop(store);
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no file was added");
}

#[test]
fn where_no_file_is_a_reader_finds_no_runs_and_creates_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = CheckpointManager::open_read_only(dir.path().join("checkpoints.db")).unwrap();
    assert!(store.list_runs(&RunFilter::default()).unwrap().is_empty());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_reader_sees_what_another_handle_commits() {
    let f = Fixture::new();
    let reader = CheckpointManager::open_read_only(f.path()).unwrap();
    f.store.save_checkpoint("a", "x", &json!(1)).unwrap();
    assert_eq!(reader.load_checkpoint("a", "x").unwrap(), Some(json!(1)));
}

#[test]
fn a_newer_database_is_refused_untouched() {
    let f = Fixture::new();
    let path = f.path();
    f.store.save_checkpoint("a", "x", &json!(1)).unwrap();
    drop(f.store);
    let conn = Connection::open(&path).unwrap();
    conn.pragma_update(None, "user_version", 99).unwrap();
    // The writer was of a newer version and has died. Only that version may write its WAL back.
    let (db, wal) = (path.clone(), path.with_file_name("checkpoints.db-wal"));
    let left_behind = f.dir.path().join("left");
    std::fs::create_dir(&left_behind).unwrap();
    std::fs::copy(&db, left_behind.join("checkpoints.db")).unwrap();
    std::fs::copy(&wal, left_behind.join("checkpoints.db-wal")).unwrap();
    drop(conn);
    for dir in [f.dir.path(), &left_behind] {
        let path = dir.join("checkpoints.db");
        let bytes = || (std::fs::read(&path).unwrap(), std::fs::read(dir.join("checkpoints.db-wal")).ok());
        let (before, wal_before) = bytes();
        for refused in [CheckpointManager::open(&path), CheckpointManager::open_read_only(&path)] {
            match refused {
                Err(error @ StoreError::Newer { found: 99, known: 2, .. }) => {
                    assert!(error.to_string().contains("newer"));
                }
                other => panic!("{other:?}"),
            }
        }
        let (after, wal_after) = bytes();
        assert_eq!(before, after);
        if wal_before.is_some_and(|wal| !wal.is_empty()) {
            assert!(wal_after.is_some_and(|wal| !wal.is_empty()), "the WAL is still there");
        }
    }
}

#[test]
fn garbage_and_a_torn_database_are_refused_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let whole = {
        let f = Fixture::new();
        let path = f.path();
        f.store.save_checkpoint("a", "x", &json!("x".repeat(20_000))).unwrap();
        drop(f.store);
        std::fs::read(path).unwrap()
    };
    let texts: [&[u8]; 3] = [b"this is no database\n", &[0xA5; 8192], &whole[..whole.len() / 2]];
    for (i, content) in texts.iter().enumerate() {
        let path = dir.path().join(format!("{i}.db"));
        std::fs::write(&path, content).unwrap();
        for refused in [CheckpointManager::open(&path), CheckpointManager::open_read_only(&path)] {
            match refused {
                Err(error @ StoreError::Corrupt { .. }) => {
                    let text = error.to_string();
                    assert!(text.contains(&path.display().to_string()) && text.contains(".bak"), "{text}");
                }
                other => panic!("{i}: {other:?}"),
            }
        }
        assert_eq!(&std::fs::read(&path).unwrap(), content, "{i}");
    }
}

#[test]
fn a_database_of_something_else_is_refused_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("checkpoints.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE checkpoints (id INTEGER)").unwrap();
    let before = std::fs::read(&path).unwrap();
    assert!(matches!(CheckpointManager::open(&path), Err(StoreError::Foreign { .. })));
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let error = CheckpointManager::open("/no/such/dir/checkpoints.db").unwrap_err();
    assert!(matches!(error, StoreError::Unopenable { .. }), "{error:?}");
    assert!(error.to_string().contains("/no/such/dir/checkpoints.db"));
}

#[test]
fn the_file_is_private_durable_and_in_wal_mode() {
    let f = Fixture::new();
    let mode = std::fs::metadata(f.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    f.store.with_writer(|conn| {
        let pragma = |name: &str| -> String {
            conn.query_row(&format!("SELECT CAST({name} AS TEXT) FROM pragma_{name}"), [], |row| row.get(0))
                .unwrap()
        };
        assert_eq!((pragma("journal_mode").as_str(), pragma("synchronous").as_str()), ("wal", "2"));
    });
}

#[test]
fn each_start_of_an_engine_has_a_larger_epoch() {
    let f = Fixture::new();
    assert_eq!(f.store.begin_epoch(0).unwrap(), 1);
    assert_eq!(f.store.begin_epoch(0).unwrap(), 2);
    let again = CheckpointManager::open(f.path()).unwrap();
    assert_eq!(again.begin_epoch(0).unwrap(), 3);
}

#[test]
fn a_short_run_puts_a_long_wal_away_and_leaves_a_short_one() {
    let f = Fixture::new();
    f.store.save_checkpoint("a", "fetch", &json!("short")).unwrap();
    let short = f.store.wal().len();
    assert!(short > 0);
    f.store.put_away_long_wal().unwrap();
    assert_eq!(f.store.wal().len(), short);
    let long = json!("x".repeat(600 << 10));
    f.store.save_checkpoint("a", "fetch", &long).unwrap();
    f.store.put_away_long_wal().unwrap();
    assert_eq!(f.store.wal().len(), 0);
    assert_eq!(f.store.load_checkpoint("a", "fetch").unwrap(), Some(long));
}

#[test]
fn the_connection_that_looked_at_the_file_first_sees_what_is_written_later() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("checkpoints.db");
    fill_by_hand(&path);
    // Of an older version, and of the newest.
    for page in [13, 14] {
        let store = CheckpointManager::open(&path).unwrap();
        assert_eq!(store.database().n_idle_readers(), 1);
        store.save_checkpoint("a", "fetch", &json!(page)).unwrap();
        assert_eq!(store.load_checkpoint("a", "fetch").unwrap(), Some(json!(page)));
        assert_eq!(store.database().n_idle_readers(), 1, "no other one was opened");
    }
}

#[test]
fn two_programs_that_open_an_older_database_at_once_both_find_it_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("checkpoints.db");
    fill_by_hand(&path);
    std::thread::scope(|scope| {
        let opened: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| CheckpointManager::open_with_patience(&path, Duration::from_secs(20))))
            .collect();
        for handle in opened {
            let store = handle.join().unwrap().unwrap();
            assert_eq!(store.load_living().unwrap()[0].summary.run_id.as_str(), "a");
            store.commit(&[RunWrite::Run(Arc::new(run("r", RunState::Queued, 0)))]).unwrap();
        }
    });
    let names = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.filter(|name| name.to_string_lossy().contains("bak")).count(), 1);
    let copy = Connection::open(dir.path().join("checkpoints.db.v0.bak")).unwrap();
    let version: i64 = copy.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    assert_eq!(version, 0, "the copy is one of the file as it was");
}

//! What the engine does with a data directory that it can't use: it says so, and leaves every byte as it was.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use leverframe::engine::{CoreExecutionEngine, EngineError};
use leverframe::run::RunState;
use leverframe::store::StoreError;

use crate::support::bench::Bench;
use crate::support::process::processes_of;
use crate::support::small_disk::SmallDisk;
use crate::support::{options, start, wait_for_end};

/// A data directory in which a run has completed.
fn used(bench: &Bench) {
    let (engine, events) = bench.open();
    let run = start(&engine, "r1", &bench.pipeline("", &[("a", "", "")]));
    wait_for_end(&events, &run);
    drop(engine);
    bench.wait_deserted();
}

/// The database with its write-ahead log, byte for byte. (The index to that log is SQLite's scratch paper.)
fn database(bench: &Bench) -> BTreeMap<String, Vec<u8>> {
    let names = ["checkpoints.db", "checkpoints.db-wal"];
    let read = |name: &str| Some((name.to_owned(), fs::read(bench.data_dir.join(name)).ok()?));
    names.into_iter().filter_map(read).filter(|(_, bytes)| !bytes.is_empty()).collect()
}

fn refusal(bench: &Bench) -> EngineError {
    let before = database(bench);
    let error = match CoreExecutionEngine::open(&bench.data_dir, options()) {
        Ok(_) => panic!("it must not open"),
        Err(error) => error,
    };
    // On a full disk SQLite may write back what its log still holds: other bytes, the same content.
    let is_full = matches!(error, EngineError::Store(StoreError::DiskFull { .. }));
    assert!(is_full || database(bench) == before, "not a byte was changed: {error}");
    let text = error.to_string();
    assert!(text.lines().count() <= 2 && text.contains(&*bench.data_dir.to_string_lossy()), "{text}");
    bench.wait_deserted();
    error
}

#[test]
fn a_full_disk_at_the_start_is_said_and_nothing_is_lost() {
    let Some(mut disk) = SmallDisk::mount(24) else { return };
    let bench = Bench::on(&disk);
    used(&bench);
    disk.fill();
    let error = refusal(&bench);
    assert!(matches!(error, EngineError::Store(StoreError::DiskFull { .. })), "{error:?}");
    assert_eq!(bench.stored("r1").summary.state, RunState::Completed);
    disk.free();
    let (engine, _) = bench.open();
    assert_eq!(bench.stored("r1").summary.state, RunState::Completed);
    assert_eq!(engine.store().integrity_check().expect("it can be checked"), [""; 0]);
}

#[test]
fn a_full_disk_without_a_data_directory_is_said() {
    let Some(mut disk) = SmallDisk::mount(1) else { return };
    let bench = Bench::on(&disk);
    disk.fill();
    let error = refusal(&bench).to_string();
    assert!(error.contains("full") || error.contains("No space left"), "{error}");
    disk.free();
}

#[test]
fn a_read_only_directory_is_said() {
    let Some(disk) = SmallDisk::mount(24) else { return };
    let bench = Bench::on(&disk);
    used(&bench);
    disk.make_read_only();
    let error = refusal(&bench).to_string();
    assert!(error.to_lowercase().contains("read-only") || error.contains("can't be written"), "{error}");
    assert_eq!(bench.stored("r1").summary.state, RunState::Completed, "what only reads still can");
}

#[test]
fn a_damaged_database_is_said_and_left_as_it_is() {
    let bench = Bench::new();
    used(&bench);
    let path = bench.data_dir.join("checkpoints.db");
    let mut bytes = fs::read(&path).expect("a database");
    for byte in bytes.iter_mut().skip(100) {
        *byte = byte.wrapping_mul(7).wrapping_add(3);
    }
    forget_wal(&bench.data_dir);
    for bytes in [bytes, b"this was never a database, but somebody's notes".repeat(100), vec![0; 4096]] {
        fs::write(&path, bytes).expect("a file");
        let error = refusal(&bench);
        let is_said =
            matches!(error, EngineError::Store(StoreError::Corrupt { .. } | StoreError::Foreign { .. }));
        assert!(is_said, "{error:?}");
    }
}

#[test]
fn a_database_of_a_newer_version_is_said_and_left_as_it_is() {
    let bench = Bench::new();
    used(&bench);
    let database = rusqlite::Connection::open(bench.data_dir.join("checkpoints.db")).expect("it opens");
    database.pragma_update(None, "user_version", 9999).expect("a version");
    drop(database);
    let error = refusal(&bench);
    assert!(matches!(error, EngineError::Store(StoreError::Newer { found: 9999, .. })), "{error:?}");
}

#[test]
fn a_database_that_somebody_else_holds_is_said_and_free_again_afterwards() {
    let bench = Bench::new();
    used(&bench);
    let held = super::hold_database(&bench);
    let error = refusal(&bench);
    assert!(matches!(error, EngineError::Store(StoreError::Locked { .. })), "{error:?}");
    drop(held);
    let (engine, _) = bench.open();
    drop(engine);
    assert!(processes_of(&bench.data_dir).is_empty());
}

/// Without its write-ahead log the file stands alone.
fn forget_wal(data_dir: &Path) {
    for name in ["checkpoints.db-wal", "checkpoints.db-shm"] {
        // Where the last connection has taken it away, it is not there.
        let _ = fs::remove_file(data_dir.join(name));
    }
}

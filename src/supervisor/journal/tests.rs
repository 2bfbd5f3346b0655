//! What the journal remembers, and what it survives.

use super::*;
use crate::base::id::{RunId, StepId};
use crate::supervisor::host::ExitCause;

fn key(attempt: u32) -> AttemptKey {
    AttemptKey { run_id: RunId::new("r").unwrap(), step_id: StepId::new("s").unwrap(), attempt }
}

fn start(n: u64) -> Record {
    let log_path = PathBuf::from(OsString::from_vec(b"/logs/\xff.log".to_vec()));
    let (token, log_limit) = (format!("token-{n}"), 1 << 30);
    let start = StartNote { key: key(1), token, log_path, log_limit, keep_background: false, at_ticks: 4 };
    Record::Start { n, start }
}

fn exited(n: u64) -> Record {
    let exit = StepExit {
        cause: ExitCause::Code(7),
        ended_at: DateTime::UNIX_EPOCH,
        usage: None,
        interrupted: false,
        log_dropped_bytes: 3,
    };
    Record::Exited { n, exit }
}

fn open(dir: &Path) -> Journal {
    Journal::open(dir, "boot".to_owned()).unwrap()
}

#[test]
fn a_successor_knows_what_is_alive_or_unacknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = open(dir.path());
    let spawned = SpawnNote { main: ProcId { pid: 5, start: 9 }, pipe: Some(11), at: DateTime::UNIX_EPOCH };
    let records = [
        Record::Epoch { epoch: 4 },
        start(1),
        start(2),
        start(3),
        Record::Spawned { n: 1, spawned: spawned.clone() },
        Record::Frozen { n: 1, stopped: vec![spawned.main] },
        Record::Stopping { n: 1, kill_at_ms: 99 },
        exited(2),
        exited(3),
        Record::Acknowledged { n: 3 },
    ];
    for record in records {
        journal.write(record).unwrap();
    }
    let before = journal.entries().clone();
    let after = open(dir.path());
    assert_eq!(after.entries(), &before);
    assert_eq!(after.entries().keys().copied().collect::<Vec<_>>(), [1, 2]);
    assert_eq!(after.entries()[&1].spawned, Some(spawned));
    assert_eq!(after.epoch(), 4);
}

#[test]
fn a_journal_torn_anywhere_yields_what_stands_before_the_tear() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = open(dir.path());
    journal.write(start(1)).unwrap();
    let whole_until = journal.position;
    journal.write(start(2)).unwrap();
    let end = journal.position;
    let bytes = fs::read(dir.path().join(FILE_NAME)).unwrap();
    for cut in whole_until..end {
        let mut torn = bytes[..usize::try_from(cut).unwrap()].to_vec();
        torn.resize(bytes.len(), if cut % 2 == 0 { 0 } else { 0xA5 });
        fs::write(dir.path().join(FILE_NAME), torn).unwrap();
        assert_eq!(open(dir.path()).entries().len(), 1, "cut at {cut}");
    }
}

#[test]
fn what_happened_on_another_boot_is_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    open(dir.path()).write(start(1)).unwrap();
    assert!(Journal::open(dir.path(), "another".to_owned()).unwrap().entries().is_empty());
}

#[test]
fn the_file_stays_small_and_old_records_stay_dead_however_many_steps_pass() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = open(dir.path());
    journal.write(start(0)).unwrap();
    for n in 1..5_000 {
        for record in [start(n), exited(n), Record::Acknowledged { n }] {
            journal.write(record).unwrap();
        }
    }
    journal.write(Record::Acknowledged { n: 0 }).unwrap();
    for n in 5_000..10_000 {
        for record in [start(n), exited(n), Record::Acknowledged { n }] {
            journal.write(record).unwrap();
        }
        if n % 500 == 0 {
            assert!(read_records(&fs::read(dir.path().join(FILE_NAME)).unwrap()).len() > 1);
        }
    }
    assert!(fs::metadata(dir.path().join(FILE_NAME)).unwrap().len() <= CAPACITY);
    assert!(open(dir.path()).entries().is_empty());
}

#[test]
fn what_is_written_after_a_rotation_that_failed_is_still_read() {
    let dir = tempfile::tempdir().unwrap();
    let mut journal = open(dir.path());
    journal.write(start(1)).unwrap();
    let in_the_way = dir.path().join(NEW_FILE_NAME);
    fs::create_dir(&in_the_way).unwrap();
    let reason = "x".repeat(CAPACITY as usize);
    journal.write(start(2)).unwrap();
    assert!(journal.write(Record::Failed { n: 2, reason }).is_err());
    journal.write(exited(1)).unwrap();
    fs::remove_dir(&in_the_way).unwrap();
    assert!(open(dir.path()).entries()[&1].end.is_some());
}

//! [`CheckpointManager`]: the handle on `checkpoints.db`, and its writes. Its questions stand in
//! `query.rs`, its cleaning up in `prune.rs`.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use rusqlite::Connection;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::StoreError;
use super::checkpoints_schema::CHECKPOINTS;
use super::commit::GroupCommit;
use super::database::{BUSY, Database};
use super::stored::ExecutionRecord;
use super::wal::Wal;
use super::write::{Prepared, Write};
use crate::base::id::{RunId, StepId};
use crate::run::Definition;

/// Definitions whose hash is remembered before the dead ones are forgotten.
const KNOWN_HASHES: usize = 64;

/// Runs, steps and checkpoints in SQLite. A cheap handle: clones share the connections.
///
/// A call that writes returns once its transaction is on disk; calls of many threads at once share one
/// transaction. A call that failed has changed nothing.
#[derive(Debug, Clone)]
pub struct CheckpointManager {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    database: Database,
    group: GroupCommit<Vec<Prepared>>,
    hashes: Mutex<HashMap<usize, KnownHash>>,
}

/// A definition by its address, and its hash.
type KnownHash = (Weak<Definition>, Arc<str>);

impl CheckpointManager {
    /// Opens the database at `path` for writing, creates it where nothing is, and brings one of an older
    /// version forward after copying it to `<name>.v<version>.bak`.
    ///
    /// # Errors
    /// Whatever it is, the file is left as it was: `Newer`, `Corrupt`, `Foreign`, `ReadOnly`, `DiskFull`,
    /// `Locked` (somebody else's transaction outlasted two seconds), `Unopenable`, `Io`.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::open_with_patience(path, BUSY)
    }

    /// The same, waiting at most `busy` for a lock that somebody else holds.
    ///
    /// # Errors
    /// As [`CheckpointManager::open`].
    pub fn open_with_patience(path: impl AsRef<Path>, busy: Duration) -> Result<Self, StoreError> {
        Ok(Self::with(Database::open(&CHECKPOINTS, path.as_ref(), busy)?))
    }

    /// Opens the database at `path` for reading, also while an engine writes it. Nothing on disk is
    /// changed: where there is no file there are no runs, and one of an older version is read from a
    /// copy in memory.
    ///
    /// # Errors
    /// As [`CheckpointManager::open`]; writing calls give `ReadOnly` afterwards.
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Ok(Self::with(Database::open_read_only(&CHECKPOINTS, path.as_ref())?))
    }

    /// An empty store that is gone with its last handle; for tests and trials.
    ///
    /// # Errors
    /// When there is no memory.
    pub fn in_memory() -> Result<Self, StoreError> {
        Ok(Self::with(Database::in_memory(&CHECKPOINTS)?))
    }

    fn with(database: Database) -> Self {
        let inner = Inner { database, group: GroupCommit::new(), hashes: Mutex::new(HashMap::new()) };
        Self { inner: Arc::new(inner) }
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        self.inner.database.path()
    }

    /// Records all of `writes`, in their order, in one transaction that is on disk when this returns.
    /// Callers that come while another's transaction is under way share the next.
    ///
    /// # Errors
    /// Nothing of `writes` is recorded: `Invalid` for what can't be stored; `DiskFull`, `Locked`, `Io`,
    /// `ReadOnly`, `Corrupt` as the disk has it.
    pub fn commit(&self, writes: &[Write]) -> Result<(), StoreError> {
        if writes.is_empty() {
            return Ok(());
        }
        self.inner.database.check_writable()?;
        let prepared = writes
            .iter()
            .map(|write| Prepared::new(write, |definition| self.hash(definition)))
            .collect::<Result<Vec<_>, _>>()?;
        self.inner.group.submit(prepared, |batch| self.commit_batch(batch))
    }

    /// One transaction for the whole batch; if something in it offends SQLite after all, one for each
    /// caller, so that only the one whose it was hears of it.
    fn commit_batch(&self, batch: &[Vec<Prepared>]) -> Vec<Result<(), StoreError>> {
        let together = self.transaction(|tx| apply_all(tx, batch.iter().flatten()));
        match together {
            Err(error) if batch.len() > 1 && error.is_about_data() => {
                batch.iter().map(|writes| self.transaction(|tx| apply_all(tx, writes))).collect()
            }
            outcome => vec![outcome; batch.len()],
        }
    }

    /// As [`Database::transaction`].
    pub(super) fn transaction<T>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        self.inner.database.transaction(work)
    }

    /// As [`Database::read`].
    pub(super) fn read<T>(
        &self,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        self.inner.database.read(question)
    }

    /// As [`Database::read_consistently`].
    pub(super) fn read_consistently<T>(
        &self,
        questions: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        self.inner.database.read_consistently(questions)
    }

    /// As [`Database::write_back_wal`].
    pub(super) fn write_back_wal(&self) -> Result<(), StoreError> {
        self.inner.database.write_back_wal()
    }

    /// Writes what was committed into the database's own file, as far as no reader is in the way; waits for nobody.
    ///
    /// # Errors
    /// What the disk has.
    pub fn put_away_wal(&self) -> Result<(), StoreError> {
        self.inner.database.put_away_wal()
    }

    pub(super) fn wal(&self) -> &Arc<Wal> {
        self.inner.database.wal()
    }

    /// Begins the next epoch: each start of an engine has one, larger than all before. It is also larger than
    /// `above`, which others may remember when the database that it came from is gone.
    ///
    /// # Errors
    /// As [`CheckpointManager::commit`].
    pub fn begin_epoch(&self, above: u64) -> Result<u64, StoreError> {
        self.transaction(|tx| {
            tx.query_row(
                "INSERT INTO meta (key, value) VALUES ('epoch', ?1 + 1)
                 ON CONFLICT (key) DO UPDATE SET value = max(value, ?1) + 1 RETURNING value",
                [above as i64],
                |row| row.get::<_, i64>(0),
            )
        })
        .map(|epoch| epoch as u64)
    }

    /// Replaces what `step_id` last checkpointed in `run_id`; on disk when this returns.
    ///
    /// # Errors
    /// `Invalid` for a malformed id or more than 64 MiB of data; else as [`CheckpointManager::commit`].
    pub fn save_checkpoint(
        &self,
        run_id: impl AsRef<str>,
        step_id: impl AsRef<str>,
        data: &Value,
    ) -> Result<(), StoreError> {
        let run_id = RunId::new(run_id)?;
        let step_id = StepId::new(step_id)?.as_str().to_owned();
        self.commit(&[Write::Checkpoint { run_id, step_id, data: data.to_string(), at: wall_clock() }])
    }

    /// Records the fixed columns of a run, new or changed; the engine's own columns stay as they are.
    ///
    /// # Errors
    /// As [`CheckpointManager::commit`].
    pub fn save_execution_state(&self, record: &ExecutionRecord) -> Result<(), StoreError> {
        self.commit(&[Write::Execution(Box::new(record.clone()))])
    }

    /// The name of a definition by its content. Computed once for each that is in use.
    fn hash(&self, definition: &Arc<Definition>) -> Arc<str> {
        let key = Arc::as_ptr(definition) as usize;
        let mut hashes = self.inner.hashes.lock();
        // A weak reference keeps the address from being used again: a living one is the same definition.
        if let Some((known, hash)) = hashes.get(&key)
            && known.strong_count() > 0
        {
            return hash.clone();
        }
        if hashes.len() >= KNOWN_HASHES {
            hashes.retain(|_, (known, _)| known.strong_count() > 0);
        }
        let hash: Arc<str> = definition_hash(&definition.path, &definition.text).into();
        hashes.insert(key, (Arc::downgrade(definition), hash.clone()));
        hash
    }

    #[cfg(test)]
    pub(super) fn with_writer<T>(&self, work: impl FnOnce(&mut Connection) -> T) -> T {
        self.inner.database.with_writer(work)
    }
}

fn apply_all<'a>(tx: &Connection, writes: impl IntoIterator<Item = &'a Prepared>) -> rusqlite::Result<()> {
    writes.into_iter().try_for_each(|write| write.apply(tx))
}

/// SHA-256 of path and text; the length of the path keeps the two apart.
fn definition_hash(path: &str, text: &str) -> String {
    let mut sha = Sha256::new();
    sha.update((path.len() as u64).to_le_bytes());
    sha.update(path);
    sha.update(text);
    sha.finalize().iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// The clock of calls that come without an instant: those of library users, whose call is the event.
fn wall_clock() -> DateTime<Utc> {
    Utc::now()
}

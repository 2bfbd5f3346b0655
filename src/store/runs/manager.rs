//! [`CheckpointManager`]: the handle on `checkpoints.db`, and its writes. Queries are in `query.rs`, retention in
//! `prune.rs`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::definitions::Definitions;
use super::schema::CHECKPOINTS;
use super::stored::ExecutionRecord;
use super::write::RunWrite;
use crate::base::id::{RunId, StepId};
use crate::run::Record;
use crate::store::error::StoreError;
use crate::store::sqlite::commit::GroupCommit;
use crate::store::sqlite::database::{BUSY, Database, Durability};
use crate::store::sqlite::wal::Wal;

/// The first connection to a database reads its whole WAL, a page in two or three microseconds. Short runs, each in a
/// process of its own, read it each time, and add some 70 KB to it; putting it away takes a millisecond or two.
const LONG_TO_READ: u64 = 512 << 10;

/// Runs, steps and checkpoints in SQLite. A cheap handle: clones share the connections.
///
/// A call that writes returns once its transaction is on disk; concurrent calls share one transaction. A call that
/// failed has changed nothing.
#[derive(Debug, Clone)]
pub struct CheckpointManager {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    database: Database,
    group: GroupCommit<Vec<RunWrite>>,
    definitions: Definitions,
}

impl CheckpointManager {
    /// Opens the database at `path` for writing. Creates it if there is none; migrates an older version after copying
    /// it to `<name>.v<version>.bak`.
    ///
    /// # Errors
    /// The file is left as it was: `Newer`, `Corrupt`, `Foreign`, `ReadOnly`, `DiskFull`, `Locked` (another program's
    /// transaction lasted longer than two seconds), `Unopenable`, `Io`.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Self::open_with_patience(path, BUSY)
    }

    /// As [`CheckpointManager::open`], but waits at most `busy` for another program's lock.
    pub(crate) fn open_with_patience(path: impl AsRef<Path>, busy: Duration) -> Result<Self, StoreError> {
        Ok(Self::with(Database::open(&CHECKPOINTS, path.as_ref(), busy)?))
    }

    /// Opens the database at `path` for reading, also while an engine writes it. Changes nothing on disk: without a
    /// file there are no runs, and an older version is read from a migrated copy in memory.
    ///
    /// # Errors
    /// As [`CheckpointManager::open`]; calls that write fail with `ReadOnly` afterwards.
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Ok(Self::with(Database::open_read_only(&CHECKPOINTS, path.as_ref())?))
    }

    /// An empty store in memory, gone with its last handle; for tests.
    ///
    /// # Errors
    /// There is no memory.
    pub fn in_memory() -> Result<Self, StoreError> {
        Ok(Self::with(Database::in_memory(&CHECKPOINTS)?))
    }

    fn with(database: Database) -> Self {
        let inner = Inner { database, group: GroupCommit::new(), definitions: Definitions::default() };
        Self { inner: Arc::new(inner) }
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        self.inner.database.path()
    }

    /// Writes `writes`, in their order, in one transaction that is on disk when this returns. Callers that come during
    /// another's transaction share the next one.
    ///
    /// # Errors
    /// Nothing of `writes` is written: `Invalid` for data that can't be stored; `DiskFull`, `Locked`, `Io`, `ReadOnly`,
    /// `Corrupt` as the database reports.
    #[doc(hidden)]
    pub fn commit(&self, writes: &[RunWrite]) -> Result<(), StoreError> {
        if writes.is_empty() {
            return Ok(());
        }
        self.inner.database.check_writable()?;
        writes.iter().try_for_each(RunWrite::check)?;
        self.inner.group.submit(writes.to_vec(), |batch| self.commit_batch(batch))
    }

    /// Commits the whole batch in one transaction. If that fails because of its data, each caller gets a transaction of
    /// its own, so that only the caller with the bad data fails.
    fn commit_batch(&self, batch: &[Vec<RunWrite>]) -> Vec<Result<(), StoreError>> {
        let definitions = &self.inner.definitions;
        let together = self
            .inner
            .database
            .transaction(|tx| batch.iter().flatten().try_for_each(|write| write.apply(tx, definitions)));
        match together {
            Err(error) if batch.len() > 1 && error.is_about_data() => {
                let alone = |writes: &Vec<RunWrite>| {
                    self.inner
                        .database
                        .transaction(|tx| writes.iter().try_for_each(|write| write.apply(tx, definitions)))
                };
                batch.iter().map(alone).collect()
            }
            outcome => vec![outcome; batch.len()],
        }
    }

    pub(super) fn database(&self) -> &Database {
        &self.inner.database
    }

    /// Moves what was committed from the WAL into the database's file, as far as no reader prevents it. Does not wait.
    pub(crate) fn put_away_wal(&self) -> Result<(), StoreError> {
        self.inner.database.put_away_wal()
    }

    /// As [`put_away_wal`](Self::put_away_wal), if the WAL is so long that reading it at each start of an engine costs
    /// more than that.
    pub(crate) fn put_away_long_wal(&self) -> Result<(), StoreError> {
        if self.wal().len() > LONG_TO_READ { self.put_away_wal() } else { Ok(()) }
    }

    pub(in crate::store) fn wal(&self) -> &Arc<Wal> {
        self.inner.database.wal()
    }

    /// Begins a new epoch: a number for each start of an engine, larger than all before and larger than `above`. Other
    /// parties may remember an epoch from a database that has been removed since; they pass it as `above`.
    ///
    /// It is not synced by itself: it comes to the disk before, or together with, the first thing that is recorded in
    /// this epoch. A loss of power before that leaves no trace of the epoch anywhere, and it may begin again.
    pub(crate) fn begin_epoch(&self, above: u64) -> Result<u64, StoreError> {
        self.inner
            .database
            .transaction_of(Durability::Lazy, |tx| {
                tx.query_row(
                    "INSERT INTO meta (key, value) VALUES ('epoch', ?1 + 1)
                 ON CONFLICT (key) DO UPDATE SET value = max(value, ?1) + 1 RETURNING value",
                    [above as i64],
                    |row| row.get::<_, i64>(0),
                )
            })
            .map(|epoch| epoch as u64)
    }

    /// Replaces the last checkpoint of `step_id` in `run_id`. It is on disk when this returns.
    ///
    /// # Errors
    /// `Invalid` for a malformed id or more than 64 MiB of data; otherwise as [`CheckpointManager::commit`].
    pub fn save_checkpoint(
        &self,
        run_id: impl AsRef<str>,
        step_id: impl AsRef<str>,
        data: &Value,
    ) -> Result<(), StoreError> {
        let run_id = RunId::new(run_id)?;
        let step_id = StepId::new(step_id)?.as_str().into();
        let record = Record::Checkpoint { step_id, data: data.to_string().into(), at: wall_clock() };
        self.commit(&[RunWrite::Record { run_id, record }])
    }

    /// Writes the fixed columns of a run, new or changed. The engine's own columns stay.
    ///
    /// # Errors
    /// As [`CheckpointManager::commit`].
    pub fn save_execution_state(&self, record: &ExecutionRecord) -> Result<(), StoreError> {
        self.commit(&[RunWrite::Execution(Box::new(record.clone()))])
    }

    #[cfg(test)]
    pub(super) fn with_writer<T>(&self, work: impl FnOnce(&mut rusqlite::Connection) -> T) -> T {
        self.inner.database.with_writer(work)
    }
}

/// The clock for library calls that pass no instant: the call itself is the event.
fn wall_clock() -> DateTime<Utc> {
    Utc::now()
}

//! [`JobStore`]: the handle on `scheduler.db`. Queries are in `query.rs` and `fires.rs`, writes in `write.rs`. It keeps
//! what the scheduler gives it and decides nothing about schedules.

mod fires;
mod query;
mod schema;
mod stored;
mod write;

#[cfg(test)]
mod tests;

pub use fires::{FireFilter, LedgerFilter, LedgerKind};
pub use stored::{FireKind, NEVER, NEVER_MS, StoredFire, StoredHistory, StoredJob, from_ms};
pub use write::JobWrite;

use std::path::Path;
use std::sync::Arc;

use crate::store::error::StoreError;
use crate::store::sqlite::database::{BUSY, Database, Durability, integrity_problems};
use crate::store::sqlite::wal::Wal;
use schema::JOBS;

/// Jobs, their history and the ledger of their fires in SQLite. A cheap handle: clones share the connections.
#[derive(Debug, Clone)]
pub struct JobStore {
    database: Arc<Database>,
}

impl JobStore {
    /// Opens the database at `path` for writing. Creates it if there is none; migrates an older version after copying
    /// it to `<name>.v<version>.bak`.
    ///
    /// # Errors
    /// As [`super::CheckpointManager::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Ok(Self { database: Arc::new(Database::open(&JOBS, path.as_ref(), BUSY)?) })
    }

    /// Opens the database at `path` for reading, also while a scheduler writes it. Changes nothing on disk.
    ///
    /// # Errors
    /// As [`super::CheckpointManager::open_read_only`].
    pub fn open_read_only(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        Ok(Self { database: Arc::new(Database::open_read_only(&JOBS, path.as_ref())?) })
    }

    /// An empty store in memory, gone with its last handle; for tests.
    pub fn in_memory() -> Result<Self, StoreError> {
        Ok(Self { database: Arc::new(Database::in_memory(&JOBS)?) })
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        self.database.path()
    }

    /// Writes all of `writes`, in their order, in one transaction.
    ///
    /// # Errors
    /// Nothing of `writes` is written: `DiskFull`, `Locked`, `Io`, `ReadOnly`, `Corrupt` as the database reports;
    /// `Statement` for a second job or fire of the same key.
    pub fn commit(&self, writes: &[JobWrite], durability: Durability) -> Result<(), StoreError> {
        if writes.is_empty() {
            return Ok(());
        }
        self.database.transaction_of(durability, |tx| writes.iter().try_for_each(|write| write.apply(tx)))
    }

    /// Removes what is older than `before_ms`: settled fires, and the history of ended runs. Returns how many rows.
    ///
    /// # Errors
    /// As the database reports. Rows that were removed until then stay removed.
    pub fn prune(&self, before_ms: i64) -> Result<usize, StoreError> {
        const BATCH: usize = 1000;
        let mut n_removed = 0;
        loop {
            let n = self.database.transaction(|tx| {
                let n_fires = tx
                    .prepare_cached(
                        "DELETE FROM fires WHERE rowid IN (SELECT rowid FROM fires WHERE through_ms < ?1
                           AND outcome NOT IN ('claimed', 'queued') LIMIT ?2)",
                    )?
                    .execute([before_ms, BATCH as i64])?;
                let n_runs = tx
                    .prepare_cached(
                        "DELETE FROM job_history WHERE id IN (SELECT id FROM job_history WHERE started_ms < ?1
                           AND finished_at IS NOT NULL LIMIT ?2)",
                    )?
                    .execute([before_ms, BATCH as i64])?;
                Ok((n_fires, n_runs))
            })?;
            n_removed += n.0 + n.1;
            if n.0 < BATCH && n.1 < BATCH {
                return Ok(n_removed);
            }
        }
    }

    /// As [`super::CheckpointManager::put_away_wal`].
    pub fn put_away_wal(&self) -> Result<(), StoreError> {
        self.database.put_away_wal()
    }

    pub(in crate::store) fn wal(&self) -> &Arc<Wal> {
        self.database.wal()
    }

    /// What is wrong with the database, one sentence each; empty when nothing is. Reads the whole file.
    pub fn integrity_check(&self) -> Result<Vec<String>, StoreError> {
        self.database.read(integrity_problems)
    }
}

//! Keeps write-ahead logs short: a task on another thread writes a log back into its database when it is longer than a
//! mebibyte, so that no commit waits for that.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::base::tasks::TaskBell;

/// A longer log is written back; in bytes.
pub(in crate::store) const LONG: u64 = 1 << 20;

/// The log of one database, for those who commit to it.
#[derive(Debug)]
pub(in crate::store) struct Wal {
    database: PathBuf,
    path: PathBuf,
    /// The log is written back when it is longer than this, in bytes.
    limit: AtomicU64,
    /// Rung to have it written back. None: that is left to SQLite.
    keeper: std::sync::OnceLock<TaskBell>,
}

impl Wal {
    pub(in crate::store) fn of(database: &Path) -> Arc<Self> {
        let mut path = database.as_os_str().to_owned();
        path.push("-wal");
        let (limit, keeper) = Default::default();
        Arc::new(Self { database: database.to_owned(), path: path.into(), limit, keeper })
    }

    /// From now on it is written back beyond this length, when `keeper` is rung.
    pub(in crate::store) fn keep_below(&self, limit: u64, keeper: TaskBell) {
        self.limit.store(limit, Ordering::Relaxed);
        // A second keeper of the same database would do the same.
        let _ = self.keeper.set(keeper);
    }

    /// Writes it back once it is long: the keeper is rung for each commit until that is done.
    pub(in crate::store) fn write_back_if_long(&self) {
        if self.is_long() {
            self.write_back();
        }
    }

    pub(in crate::store) fn len(&self) -> u64 {
        std::fs::metadata(&self.path).map_or(0, |meta| meta.len())
    }

    fn is_long(&self) -> bool {
        self.len() > self.limit.load(Ordering::Relaxed)
    }

    /// Asks for the log to be written back if it is long. Called after each commit, so it must cost next to nothing.
    pub(in crate::store) fn look(self: &Arc<Self>) {
        let Some(keeper) = self.keeper.get() else { return };
        if self.is_long() && !keeper.ring() {
            // The keeper is gone: do not ask again.
            self.limit.store(u64::MAX, Ordering::Relaxed);
        }
    }

    /// Writes the log back over a connection of its own: first without a lock that a commit would wait for, as far as
    /// no reader prevents it; then, if all is back, truncates it.
    fn write_back(&self) {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let written = Connection::open_with_flags(&self.database, flags).and_then(|conn| {
            conn.busy_timeout(Duration::ZERO)?;
            write_back(&conn)
        });
        // If something prevented it, it is tried again when the log has grown further.
        let left = if written.is_ok() { self.len() } else { LONG.max(self.len()) };
        self.limit.store(if left < LONG { LONG } else { left + LONG }, Ordering::Relaxed);
    }
}

/// Writes the log of `conn` back into its database, and truncates it if no reader prevents that.
pub(in crate::store) fn write_back(conn: &Connection) -> rusqlite::Result<()> {
    conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
    // A reader that prevents it is no failure: SQLite reports it in the row, and the log keeps its length.
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

//! Keeping write-ahead logs short: what has grown beyond a mebibyte is written back into its database by a task on another
//! thread, so that no commit waits for it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::base::tasks::TaskBell;

/// A log that is longer is written back, in bytes.
pub(in crate::store) const LONG: u64 = 1 << 20;

/// The log of one database, as whoever commits to it knows it.
#[derive(Debug)]
pub(in crate::store) struct Wal {
    /// The database.
    database: PathBuf,
    /// The log.
    path: PathBuf,
    /// Beyond this length it is written back next, in bytes.
    limit: AtomicU64,
    /// Where that is asked for; none: it is left to SQLite.
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
        // A second keeper of one database would do what the first does.
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

    /// Asks for it to be written back if it has grown long. Called after each commit: it must cost next to nothing.
    pub(in crate::store) fn look(self: &Arc<Self>) {
        let Some(keeper) = self.keeper.get() else { return };
        if self.is_long() && !keeper.ring() {
            // Nobody keeps it short any more: it is not asked again.
            self.limit.store(u64::MAX, Ordering::Relaxed);
        }
    }

    /// Writes it back over a connection of its own. First as far as no reader is in the way and without a lock that a
    /// commit would wait for; then, where all is back, it is cut.
    fn write_back(&self) {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let written = Connection::open_with_flags(&self.database, flags).and_then(|conn| {
            conn.busy_timeout(Duration::ZERO)?;
            write_back(&conn)
        });
        // It is tried again when it has grown further: what is in the way may be gone then.
        let left = if written.is_ok() { self.len() } else { LONG.max(self.len()) };
        self.limit.store(if left < LONG { LONG } else { left + LONG }, Ordering::Relaxed);
    }
}

/// Writes the log of `conn` back into its database, and cuts it if no reader is in the way.
pub(in crate::store) fn write_back(conn: &Connection) -> rusqlite::Result<()> {
    conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
    // A reader in the way is no failure: the row says so, and the log stays as long as it is.
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

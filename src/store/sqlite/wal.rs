//! Keeps write-ahead logs short: a task on another thread writes a log back into its database when it is longer than a
//! mebibyte, so that no commit waits for that.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::base::tasks::{Task, TaskBell, TaskThread};
use crate::store::{CheckpointManager, JobStore};

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

    fn len(&self) -> u64 {
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

/// The length from which a log is written back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WalLimit {
    /// A mebibyte.
    Whole,
    /// A mebibyte more than now, so that a process with few commits does not pay for those before it.
    Growth,
}

/// Keeps the logs of databases short until dropped.
#[derive(Debug)]
pub(crate) struct WalKeeper {
    _tasks: Vec<Task>,
}

impl WalKeeper {
    /// Adds a task for each of these databases. A database has at most one keeper.
    pub(crate) fn start(
        tasks: &TaskThread,
        runs: &CheckpointManager,
        jobs: Option<&JobStore>,
        limit: WalLimit,
    ) -> Self {
        let keep = |wal: &Arc<Wal>| {
            let floor = match limit {
                WalLimit::Whole => LONG,
                WalLimit::Growth => wal.len() + LONG,
            };
            wal.limit.store(floor, Ordering::Relaxed);
            tasks.add(None, |bell| {
                // A second keeper of the same database would do the same.
                let _ = wal.keeper.set(bell);
                let wal = wal.clone();
                move |_| {
                    // It is rung at each commit until the log is short.
                    if wal.is_long() {
                        wal.write_back();
                    }
                    None
                }
            })
        };
        Self { _tasks: [runs.wal()].into_iter().chain(jobs.map(JobStore::wal)).map(keep).collect() }
    }
}

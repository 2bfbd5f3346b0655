//! Keeping write-ahead logs short: what has grown beyond a mebibyte is written back into its database by a task on another
//! thread, so that no commit waits for it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::base::tasks::{Task, TaskBell, TaskThread};
use crate::store::{CheckpointManager, JobStore};

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

    fn len(&self) -> u64 {
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

/// From which length on logs are written back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WalLimit {
    /// A mebibyte.
    Whole,
    /// A mebibyte more than there is now: whoever commits little is not to pay for those before.
    Growth,
}

/// Keeps the logs of databases short until it is dropped.
#[derive(Debug)]
pub(crate) struct WalKeeper {
    _tasks: Vec<Task>,
}

impl WalKeeper {
    /// Adds a task for each of these databases, which has one keeper at most.
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
                // A second keeper of one database would do what the first does.
                let _ = wal.keeper.set(bell);
                let wal = wal.clone();
                move |_| {
                    // It is rung for each commit until it is done.
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

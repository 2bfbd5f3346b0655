//! Keeping write-ahead logs short: what has grown beyond a mebibyte is written back into its database by a thread of its
//! own, so that no commit waits for it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Sender, TrySendError, bounded};
use rusqlite::{Connection, OpenFlags};

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
    /// Where that is asked for; none: nobody does it.
    keeper: std::sync::OnceLock<Sender<Arc<Wal>>>,
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

    /// Asks for it to be written back if it has grown long. Called after each commit: it must cost next to nothing.
    pub(in crate::store) fn look(self: &Arc<Self>) {
        let Some(keeper) = self.keeper.get() else { return };
        if self.len() > self.limit.load(Ordering::Relaxed)
            && let Err(TrySendError::Disconnected(_)) = keeper.try_send(self.clone())
        {
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
pub enum WalLimit {
    /// A mebibyte.
    Whole,
    /// A mebibyte more than there is now: whoever commits little is not to pay for those before.
    Growth,
}

/// Keeps the logs of databases short until it is dropped.
#[derive(Debug)]
pub struct WalKeeper {
    /// Dropped, it ends the thread: the databases hold other ends, which are told so.
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl WalKeeper {
    /// Starts the thread for these databases, each of which has one keeper at most.
    ///
    /// # Errors
    /// When there is no thread left.
    pub fn start(
        runs: &CheckpointManager,
        jobs: Option<&JobStore>,
        limit: WalLimit,
    ) -> std::io::Result<Self> {
        // Capacity 2: one for each database. When it is full that one has been asked for; when it is closed nobody does
        // it any more.
        let (ask, asked) = bounded::<Arc<Wal>>(2);
        // Capacity 0: nothing is sent; closing it ends the thread.
        let (stop, stopped) = bounded::<()>(0);
        for wal in [runs.wal()].into_iter().chain(jobs.map(JobStore::wal)) {
            let floor = match limit {
                WalLimit::Whole => LONG,
                WalLimit::Growth => wal.len() + LONG,
            };
            wal.limit.store(floor, Ordering::Relaxed);
            // A second keeper of one database would do what the first does.
            let _ = wal.keeper.set(ask.clone());
        }
        let thread = crate::base::thread::lasting("lf-wal", move || {
            loop {
                crossbeam_channel::select! {
                    recv(asked) -> wal => match wal {
                        Ok(wal) => wal.write_back(),
                        Err(_) => return,
                    },
                    recv(stopped) -> _ => return,
                }
            }
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for WalKeeper {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed; there is nobody left to tell.
            let _ = thread.join();
        }
    }
}

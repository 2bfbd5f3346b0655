//! One database file: the connection that writes it, those that read it, and the transactions. It does not know what
//! the tables mean.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, Params, Row};

use super::migrate::Schema;
use super::wal::Wal;
use super::{open, wal};
use crate::store::dir_watch::Identity;
use crate::store::error::StoreError;

/// How long a statement waits for another program's lock. This limits how long the engine stands still before it treats
/// a locked database like a full disk.
pub(in crate::store) const BUSY: Duration = Duration::from_secs(2);

/// Reading connections that are kept open. More are opened and closed as needed, so that no reader waits for another.
const IDLE_READERS: usize = 4;

#[derive(Debug)]
pub(in crate::store) struct Database {
    path: PathBuf,
    access: Access,
    busy: Duration,
    /// The file as it was opened.
    identity: Identity,
    wal: Arc<Wal>,
    /// The only connection that writes. A read-only store, or one in memory, also reads through it.
    writer: Mutex<Connection>,
    /// Reading connections that are not in use.
    readers: Mutex<Vec<Connection>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    /// A file for writing and reading.
    File,
    /// A file for reading.
    ReadOnly,
    /// In memory, with one connection.
    Memory,
}

/// Whether a committed transaction survives a loss of power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// It does: the commit is synced.
    Synced,
    /// It survives the death of the program. A loss of power may undo it until the next synced one. For writes that
    /// every start repeats.
    Lazy,
}

impl Database {
    /// Opens `path` for writing. Creates it if there is none, and migrates it to the newest version.
    pub(in crate::store) fn open(schema: &Schema, path: &Path, busy: Duration) -> Result<Self, StoreError> {
        let (writer, reader) = open::writer(schema, path, busy)?;
        let database = Self::with(path, writer, Access::File, busy);
        database.readers.lock().extend(reader);
        Ok(database)
    }

    /// Opens `path` for reading. Changes nothing on disk.
    pub(in crate::store) fn open_read_only(schema: &Schema, path: &Path) -> Result<Self, StoreError> {
        Ok(Self::with(path, open::reader(schema, path, BUSY)?, Access::ReadOnly, BUSY))
    }

    /// An empty database in memory.
    pub(in crate::store) fn in_memory(schema: &Schema) -> Result<Self, StoreError> {
        Ok(Self::with(Path::new(":memory:"), open::in_memory(schema)?, Access::Memory, BUSY))
    }

    fn with(path: &Path, conn: Connection, access: Access, busy: Duration) -> Self {
        let (writer, readers) = (Mutex::new(conn), Mutex::default());
        let (identity, wal) = (Identity::of(path), Wal::of(path));
        Self { path: path.to_owned(), access, busy, identity, wal, writer, readers }
    }

    pub(in crate::store) fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `work` in one immediate transaction of the writing connection, synced when it returns.
    pub(in crate::store) fn transaction<T>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        self.check_writable()?;
        let outcome = self.transact(&self.writer.lock(), work);
        self.wal.look();
        outcome
    }

    /// As [`Self::transaction`], with this durability.
    pub(in crate::store) fn transaction_of<T>(
        &self,
        durability: Durability,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        if durability == Durability::Synced {
            return self.transaction(work);
        }
        self.check_writable()?;
        let conn = self.writer.lock();
        let set =
            |level: &str| conn.execute_batch(level).map_err(|error| StoreError::from_sql(&self.path, &error));
        set("PRAGMA synchronous = NORMAL")?;
        let outcome = self.transact(&conn, work);
        set("PRAGMA synchronous = FULL")?;
        drop(conn);
        self.wal.look();
        outcome
    }

    /// `IMMEDIATE`, because SQLite refuses a transaction that reads first and writes later at once, without waiting, if
    /// another program has written in between. The statements are prepared once, unlike those of rusqlite's own
    /// transactions.
    fn transact<T>(
        &self,
        conn: &Connection,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let attempt = || {
            if !conn.is_autocommit() {
                // A panic left it open, or a rollback that failed on a broken disk.
                conn.execute_batch("ROLLBACK")?;
            }
            conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
            let value = work(conn)?;
            conn.prepare_cached("COMMIT")?.execute([])?;
            Ok(value)
        };
        attempt().map_err(|error| {
            if !conn.is_autocommit() {
                // If it fails, the next transaction tries again before it begins.
                let _ = conn.execute_batch("ROLLBACK");
            }
            StoreError::from_sql(&self.path, &error)
        })
    }

    /// Runs `question` on a reading connection, which no commit blocks.
    pub(in crate::store) fn read<T>(
        &self,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let sorted = |error: rusqlite::Error| StoreError::from_sql(&self.path, &error);
        match self.access {
            Access::ReadOnly | Access::Memory => question(&self.writer.lock()).map_err(sorted),
            Access::File => {
                let idle = self.readers.lock().pop();
                let conn = match idle {
                    Some(conn) => conn,
                    None => open::read_connection(&self.path, self.busy)?,
                };
                let answer = question(&conn);
                let mut readers = self.readers.lock();
                if readers.len() < IDLE_READERS {
                    readers.push(conn);
                }
                drop(readers);
                answer.map_err(sorted)
            }
        }
    }

    /// The rows that one statement finds.
    pub(in crate::store) fn rows<T>(
        &self,
        statement: &str,
        about: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        self.read(|conn| conn.prepare_cached(statement)?.query_map(about, read)?.collect())
    }

    /// The first row that one statement finds.
    pub(in crate::store) fn row<T>(
        &self,
        statement: &str,
        about: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, StoreError> {
        self.read(|conn| conn.prepare_cached(statement)?.query_row(about, read).optional())
    }

    /// As [`Self::read`], for several statements that see one state of the database.
    pub(in crate::store) fn read_consistently<T>(
        &self,
        questions: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        self.read(|conn| {
            let tx = conn.unchecked_transaction()?;
            questions(&tx)
        })
    }

    /// Writes the WAL back into the database as far as no reader prevents it. Does not wait.
    pub(in crate::store) fn write_back_wal(&self) -> Result<(), StoreError> {
        self.writer
            .lock()
            .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
            .map_err(|error| StoreError::from_sql(&self.path, &error))
    }

    /// Writes the WAL back and truncates it, as far as no reader prevents it. Does not wait. For an engine that ends:
    /// the database's file is then complete.
    pub(in crate::store) fn put_away_wal(&self) -> Result<(), StoreError> {
        self.check_writable()?;
        if self.access == Access::Memory {
            return Ok(());
        }
        let conn = self.writer.lock();
        let put_away = conn.busy_timeout(Duration::ZERO).and_then(|()| wal::write_back(&conn));
        put_away.and(conn.busy_timeout(self.busy)).map_err(|error| StoreError::from_sql(&self.path, &error))
    }

    pub(in crate::store) fn wal(&self) -> &Arc<Wal> {
        &self.wal
    }

    /// Fails when the database can't be written, or must not be: if the file is no longer at its path, it may belong to
    /// another engine by now.
    pub(in crate::store) fn check_writable(&self) -> Result<(), StoreError> {
        let refused = |reason: String| Err(StoreError::Io { path: self.path.clone(), reason });
        match self.access {
            Access::Memory => Ok(()),
            Access::File => match self.identity.is_in_place() {
                Ok(true) => Ok(()),
                Ok(false) => refused(
                    "it is not the file any more that was opened: it or its folder was renamed, removed or \
                     exchanged; put it back, or end this process and start again where it is now"
                        .to_owned(),
                ),
                Err(error) => refused(format!("it can't be looked at: {error}")),
            },
            Access::ReadOnly => Err(StoreError::ReadOnly { path: self.path.clone() }),
        }
    }

    #[cfg(test)]
    pub(in crate::store) fn n_idle_readers(&self) -> usize {
        self.readers.lock().len()
    }

    #[cfg(test)]
    pub(in crate::store) fn with_writer<T>(&self, work: impl FnOnce(&mut Connection) -> T) -> T {
        work(&mut self.writer.lock())
    }
}

/// What SQLite finds wrong with the whole database, one sentence each; empty when nothing is.
pub(in crate::store) fn integrity_problems(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut problems: Vec<String> =
        conn.prepare("PRAGMA integrity_check")?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    problems.retain(|problem| problem != "ok");
    Ok(problems)
}

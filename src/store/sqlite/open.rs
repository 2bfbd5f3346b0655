//! Opening a database: first looked at without a change, then migrated, then used.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::migrate::{self, Schema};
use crate::store::error::StoreError;

/// How many prepared statements a connection keeps: all that the store has.
const STATEMENTS: usize = 96;

const READ_ONLY: OpenFlags =
    OpenFlags::SQLITE_OPEN_READ_ONLY.union(OpenFlags::SQLITE_OPEN_NO_MUTEX).union(OpenFlags::SQLITE_OPEN_URI);

/// Opens `path` for writing. Creates it if there is none, and migrates it to the newest version. Returns also the
/// connection that looked at it before, for reading; none if it had to be opened for writing at once.
pub(in crate::store) fn writer(
    schema: &Schema,
    path: &Path,
    busy: Duration,
) -> Result<(Connection, Option<Connection>), StoreError> {
    create_private(path)?;
    let looked_at = peek(schema, path, busy)?;
    let sql = |error: rusqlite::Error| StoreError::from_sql(path, &error);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = Connection::open_with_flags(path, flags).map_err(sql)?;
    // Before all else: every statement may meet another program's lock.
    conn.busy_timeout(busy).map_err(sql)?;
    if looked_at.is_none() {
        migrate::check(schema, &conn, path)?;
    }
    let mode: String = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(sql)?;
    if mode != "wal" {
        let reason = format!("its file system cannot hold a write-ahead log (SQLite stays with {mode:?})");
        return Err(StoreError::Unopenable { path: path.to_owned(), reason });
    }
    // FULL: with NORMAL, WAL mode syncs only at checkpoints, and a loss of power could undo a commit. The WAL is
    // written back at 16 MiB: pages that change often are then written once, and reading it after a crash still takes
    // only a few milliseconds.
    conn.execute_batch(
        "PRAGMA synchronous = FULL;
         PRAGMA wal_autocheckpoint = 4000;
         PRAGMA journal_size_limit = 67108864;
         PRAGMA cache_size = -4096;
         PRAGMA temp_store = MEMORY;
         PRAGMA trusted_schema = OFF;",
    )
    .map_err(sql)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    match looked_at {
        Some((reader, version)) if version == schema.newest() => {
            migrate::complete(schema, &mut conn, path)?;
            Ok((conn, Some(reader)))
        }
        looked_at => {
            migrate::bring_forward(schema, &mut conn, path)?;
            Ok((conn, looked_at.map(|(reader, _)| reader)))
        }
    }
}

/// Opens `path` for reading. An older version is read from a migrated copy in memory; without a file the database is
/// empty. The disk is never changed.
pub(in crate::store) fn reader(
    schema: &Schema,
    path: &Path,
    busy: Duration,
) -> Result<Connection, StoreError> {
    let sql = |error: rusqlite::Error| StoreError::from_sql(path, &error);
    if !path.try_exists().map_err(|error| StoreError::from_io(path, &error))? {
        return in_memory(schema);
    }
    let conn = read_connection(path, busy)?;
    if migrate::check(schema, &conn, path)? == schema.newest() {
        return Ok(conn);
    }
    let mut copy = Connection::open_in_memory().map_err(sql)?;
    {
        let backup = rusqlite::backup::Backup::new(&conn, &mut copy).map_err(sql)?;
        let pages_at_once = 4096;
        backup.run_to_completion(pages_at_once, Duration::ZERO, None).map_err(sql)?;
    }
    migrate::bring_copy_forward(schema, &mut copy, path)?;
    copy.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(copy)
}

/// A further reading connection to a file of the newest version.
pub(in crate::store) fn read_connection(path: &Path, busy: Duration) -> Result<Connection, StoreError> {
    match reader_of(path, busy, "mode=ro") {
        // A WAL database in a directory where no -shm file can be created. Without a WAL no one can be writing, and the
        // file is complete.
        Err(StoreError::ReadOnly { .. }) if !has_wal(path) => reader_of(path, busy, "immutable=1"),
        opened => opened,
    }
}

/// A reading connection to the URI of `path` with these parameters.
fn reader_of(path: &Path, busy: Duration, parameters: &str) -> Result<Connection, StoreError> {
    let open = || -> Result<Connection, rusqlite::Error> {
        let conn = Connection::open_with_flags(uri(path, parameters), READ_ONLY)?;
        conn.busy_timeout(busy)?;
        // A reader never writes the WAL back, not even if it closes last.
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        conn.query_row("PRAGMA schema_version", [], |_| Ok(()))?;
        conn.execute_batch(
            "PRAGMA cache_size = -2048; PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF;",
        )?;
        conn.set_prepared_statement_cache_capacity(STATEMENTS);
        Ok(conn)
    };
    open().map_err(|error| StoreError::from_sql(path, &error))
}

/// An empty database of the newest version in memory.
pub(in crate::store) fn in_memory(schema: &Schema) -> Result<Connection, StoreError> {
    let path = Path::new(":memory:");
    let mut conn = Connection::open_in_memory().map_err(|error| StoreError::from_sql(path, &error))?;
    migrate::bring_copy_forward(schema, &mut conn, path)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(conn)
}

/// Creates an empty file that only its owner can read; SQLite gives its -wal and -shm the same mode. An existing file
/// is not even opened: closing any descriptor of it would release this process's locks on it.
fn create_private(path: &Path) -> Result<(), StoreError> {
    if path.try_exists().map_err(|error| StoreError::from_io(path, &error))? {
        return Ok(());
    }
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(StoreError::from_io(path, &error)),
    }
}

/// Refuses a file that is not ours to write. Its connection can't write, neither by its statements nor by writing back
/// a WAL that was left behind. Returns that connection, if it goes on to see what is written, and the file's version.
fn peek(schema: &Schema, path: &Path, busy: Duration) -> Result<Option<(Connection, i64)>, StoreError> {
    let conn = match reader_of(path, busy, "mode=ro") {
        Ok(conn) => conn,
        Err(StoreError::ReadOnly { .. }) => {
            // A writer must first play back a rollback journal or a WAL. It checks the file afterwards.
            return match read_connection(path, busy) {
                Ok(frozen) => migrate::check(schema, &frozen, path).map(|_| None),
                Err(StoreError::ReadOnly { .. }) => Ok(None),
                Err(error) => Err(error),
            };
        }
        Err(error) => return Err(error),
    };
    let version = migrate::check(schema, &conn, path)?;
    Ok(Some((conn, version)))
}

fn has_wal(path: &Path) -> bool {
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    std::fs::metadata(wal).is_ok_and(|wal| wal.len() > 0)
}

/// The URI of a path, whatever its bytes.
fn uri(path: &Path, parameters: &str) -> String {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-~".contains(byte) {
            uri.push(char::from(*byte));
        } else {
            // Writing to a String can't fail.
            let _ = write!(uri, "%{byte:02x}");
        }
    }
    uri.push('?');
    uri.push_str(parameters);
    uri
}

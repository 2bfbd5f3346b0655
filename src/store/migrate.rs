//! Numbered migrations of `checkpoints.db`. Append only: one that was released is never edited.
//!
//! Version 0 is what a user's script may have made by hand: the fixed tables and nothing else. Every
//! migration only adds, so that a program of the version before can go on with the file while it is
//! still open there.

use std::fs::File;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::StoreError;
use crate::time::parse_instant;

type Migration = fn(&Transaction<'_>) -> rusqlite::Result<()>;

/// Migration `i` leads from version `i` to `i + 1`.
const MIGRATIONS: [Migration; 1] = [own_tables];

/// The version that this program writes.
pub(super) const NEWEST: i64 = MIGRATIONS.len() as i64;

/// Copies made before migrations: so many are kept.
const KEPT_COPIES: usize = 2;

/// The fixed tables (users' scripts read them), without the columns that we add.
const FIXED_TABLES: &str = "
CREATE TABLE IF NOT EXISTS checkpoints (run_id TEXT NOT NULL, step_id TEXT NOT NULL,
  checkpoint_data TEXT NOT NULL, created_at TEXT NOT NULL, PRIMARY KEY (run_id, step_id));
CREATE TABLE IF NOT EXISTS execution_state (run_id TEXT PRIMARY KEY, pipeline_id TEXT NOT NULL,
  source TEXT NOT NULL, state TEXT NOT NULL, started_at TEXT NOT NULL, finished_at TEXT, progress REAL,
  current_step TEXT, error TEXT, metadata TEXT);
";

/// Their columns: a database that has such a table without them is not ours.
const FIXED_COLUMNS: [(&str, &[&str]); 2] = [
    ("checkpoints", &["run_id", "step_id", "checkpoint_data", "created_at"]),
    (
        "execution_state",
        &[
            "run_id",
            "pipeline_id",
            "source",
            "state",
            "started_at",
            "finished_at",
            "progress",
            "current_step",
            "error",
            "metadata",
        ],
    ),
];

/// The version of the database, if it is one that this program may open.
///
/// # Errors
/// `Newer`, `Foreign`, or what SQLite says of a file that is no database.
pub(super) fn check(conn: &Connection, path: &Path) -> Result<i64, StoreError> {
    let sql = |error: rusqlite::Error| StoreError::from_sql(path, &error);
    let found = version(conn).map_err(sql)?;
    if found > NEWEST {
        return Err(StoreError::Newer { path: path.to_owned(), found, known: NEWEST });
    }
    for (table, columns) in FIXED_COLUMNS {
        let present = columns_of(conn, table).map_err(sql)?;
        let is_absent = |column: &&&str| !present.iter().any(|p| p.eq_ignore_ascii_case(column));
        if !present.is_empty()
            && let Some(missing) = columns.iter().find(is_absent)
        {
            let reason = format!("its table {table} has no column {missing}");
            return Err(StoreError::Foreign { path: path.to_owned(), reason });
        }
    }
    Ok(found)
}

/// Brings the file to [`NEWEST`], after a copy of it was made if it holds anything, and reads the
/// instants of rows that a script has written since.
pub(super) fn bring_forward(conn: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let sql = |error: rusqlite::Error| StoreError::from_sql(path, &error);
    if check(conn, path)? == NEWEST {
        return if needs_backfill(conn).map_err(sql)? { bring_copy_forward(conn, path) } else { Ok(()) };
    }
    // One program at a time copies and migrates, so that a copy is never one of a migrated file.
    let _alone = lock_directory(path)?;
    let found = check(conn, path)?;
    if found < NEWEST && !is_empty(conn).map_err(sql)? {
        copy_aside(conn, path, found)?;
    }
    bring_copy_forward(conn, path)
}

/// Holds the directory of `path` until dropped; other programs that would migrate wait meanwhile.
fn lock_directory(path: &Path) -> Result<File, StoreError> {
    let io = |error: std::io::Error| StoreError::from_io(path, &error);
    let dir = File::open(directory_of(path)).map_err(io)?;
    rustix::fs::flock(&dir, rustix::fs::FlockOperation::LockExclusive).map_err(|errno| io(errno.into()))?;
    Ok(dir)
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The same without the copy: one exclusive transaction, all or nothing.
pub(super) fn bring_copy_forward(conn: &mut Connection, path: &Path) -> Result<(), StoreError> {
    let sql = |error: rusqlite::Error| StoreError::from_sql(path, &error);
    let tx = conn.transaction_with_behavior(TransactionBehavior::Exclusive).map_err(sql)?;
    // Somebody else may have been faster.
    let found = check(&tx, path)?;
    for migration in MIGRATIONS.iter().skip(found as usize) {
        migration(&tx).map_err(sql)?;
    }
    backfill(&tx).map_err(sql)?;
    if found != NEWEST {
        tx.pragma_update(None, "user_version", NEWEST).map_err(sql)?;
    }
    tx.commit().map_err(sql)
}

/// 0 → 1: everything of ours beside the fixed tables and columns. A dump that was read back has lost
/// its version but not its columns, so each is added only where it is absent.
fn own_tables(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    tx.execute_batch(FIXED_TABLES)?;
    add_columns(tx, "checkpoints", &[("created_ms", "INTEGER")])?;
    add_columns(
        tx,
        "execution_state",
        &[
            ("started_ms", "INTEGER"),
            ("finished_ms", "INTEGER"),
            ("run_type", "TEXT NOT NULL DEFAULT 'FULL_REFRESH'"),
            ("environment", "TEXT NOT NULL DEFAULT 'dev'"),
            ("trigger", "TEXT NOT NULL DEFAULT 'manual'"),
            ("attempt", "INTEGER NOT NULL DEFAULT 1"),
            ("message", "TEXT"),
            ("params", "TEXT"),
            ("frozen_ms", "INTEGER NOT NULL DEFAULT 0"),
            ("frozen_since", "TEXT"),
            ("body", "TEXT"),
            ("definition_hash", "TEXT"),
            ("ledger", "TEXT"),
        ],
    )?;
    tx.execute_batch(
        "
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;

-- The text of each definition that runs started with, once.
CREATE TABLE IF NOT EXISTS definitions (hash TEXT PRIMARY KEY, path TEXT NOT NULL, text TEXT NOT NULL);

-- The steps of runs as they are now.
CREATE TABLE IF NOT EXISTS steps (run_id TEXT NOT NULL, step_id TEXT NOT NULL, attempt INTEGER NOT NULL,
  state TEXT NOT NULL, exit_code INTEGER, signal INTEGER, started_at TEXT, finished_at TEXT,
  peak_rss_bytes INTEGER, peak_rss_source TEXT, cpu_seconds REAL, progress REAL NOT NULL, message TEXT,
  error TEXT, pid INTEGER, outputs TEXT, ledger TEXT,
  PRIMARY KEY (run_id, step_id)) WITHOUT ROWID;

-- Their earlier attempts as those ended, with the checkpoints that a retry has set aside.
CREATE TABLE IF NOT EXISTS attempts (run_id TEXT NOT NULL, step_id TEXT NOT NULL, attempt INTEGER NOT NULL,
  state TEXT NOT NULL, exit_code INTEGER, signal INTEGER, started_at TEXT, finished_at TEXT,
  peak_rss_bytes INTEGER, peak_rss_source TEXT, cpu_seconds REAL, progress REAL NOT NULL, message TEXT,
  error TEXT, pid INTEGER, outputs TEXT, ledger TEXT, archived_checkpoint TEXT,
  PRIMARY KEY (run_id, step_id, attempt)) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS recovery_decisions (id INTEGER PRIMARY KEY, at TEXT NOT NULL,
  at_ms INTEGER NOT NULL, run_id TEXT NOT NULL, step_id TEXT, text TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS recovery_decisions_by_run ON recovery_decisions (run_id);
CREATE INDEX IF NOT EXISTS recovery_decisions_by_time ON recovery_decisions (at_ms);

-- The living runs are found by this one, however many have ended.
CREATE INDEX IF NOT EXISTS execution_state_by_state ON execution_state (state, started_ms);
CREATE INDEX IF NOT EXISTS execution_state_by_pipeline ON execution_state (pipeline_id, started_ms);
CREATE INDEX IF NOT EXISTS execution_state_by_time ON execution_state (started_ms);
CREATE INDEX IF NOT EXISTS execution_state_by_definition ON execution_state (definition_hash)
  WHERE definition_hash IS NOT NULL;

-- Empty but for what a script has written by hand since the last start.
CREATE INDEX IF NOT EXISTS checkpoints_unread ON checkpoints (run_id) WHERE created_ms IS NULL;
",
    )
}

fn add_columns(tx: &Transaction<'_>, table: &str, columns: &[(&str, &str)]) -> rusqlite::Result<()> {
    let present = columns_of(tx, table)?;
    for (column, kind) in columns {
        if !present.iter().any(|p| p.eq_ignore_ascii_case(column)) {
            tx.execute_batch(&format!("ALTER TABLE {table} ADD COLUMN \"{column}\" {kind}"))?;
        }
    }
    Ok(())
}

fn needs_backfill(conn: &Connection) -> rusqlite::Result<bool> {
    conn.query_row(
        "SELECT EXISTS (SELECT 1 FROM execution_state WHERE started_ms IS NULL)
             OR EXISTS (SELECT 1 FROM checkpoints WHERE created_ms IS NULL)",
        [],
        |row| row.get(0),
    )
}

/// Writes the integer beside each instant that has none. What is no instant gets the present: it then
/// stands among the newest and is not cleaned up early.
fn backfill(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    let present: i64 =
        tx.query_row("SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER)", [], |r| r.get(0))?;
    let ms = |text: &str| parse_instant(text).map_or(present, |at| at.timestamp_millis());

    let mut unread =
        tx.prepare("SELECT rowid, started_at, finished_at FROM execution_state WHERE started_ms IS NULL")?;
    let mut update =
        tx.prepare("UPDATE execution_state SET started_ms = ?2, finished_ms = ?3 WHERE rowid = ?1")?;
    let rows: Vec<(i64, String, Option<String>)> = unread
        .query_map([], |r| Ok((r.get(0)?, lossy_text(r, 1)?.unwrap_or_default(), lossy_text(r, 2)?)))?
        .collect::<Result<_, _>>()?;
    for (rowid, started_at, finished_at) in rows {
        update.execute(params![rowid, ms(&started_at), finished_at.as_deref().map(ms)])?;
    }

    let mut unread = tx.prepare("SELECT rowid, created_at FROM checkpoints WHERE created_ms IS NULL")?;
    let mut update = tx.prepare("UPDATE checkpoints SET created_ms = ?2 WHERE rowid = ?1")?;
    let rows: Vec<(i64, String)> = unread
        .query_map([], |r| Ok((r.get(0)?, lossy_text(r, 1)?.unwrap_or_default())))?
        .collect::<Result<_, _>>()?;
    for (rowid, created_at) in rows {
        update.execute(params![rowid, ms(&created_at)])?;
    }
    Ok(())
}

/// A column as text, whatever a script has put into it.
fn lossy_text(row: &rusqlite::Row<'_>, index: usize) -> rusqlite::Result<Option<String>> {
    super::rows::text(row, index)
}

fn version(conn: &Connection) -> rusqlite::Result<i64> {
    conn.query_row("PRAGMA user_version", [], |row| row.get(0))
}

fn is_empty(conn: &Connection) -> rusqlite::Result<bool> {
    conn.query_row("SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)", [], |row| row.get(0))
}

/// The names of a table's columns; none when there is no such table.
fn columns_of(conn: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    conn.prepare("SELECT name FROM pragma_table_info(?1)")?.query_map([table], |row| row.get(0))?.collect()
}

/// Writes `<name>.v<version>.bak` beside the file, synced, under its name only once it is whole, and
/// removes all but the last of such copies.
fn copy_aside(conn: &Connection, path: &Path, version: i64) -> Result<(), StoreError> {
    let Some(name) = path.file_name() else { return Ok(()) };
    let name = name.to_string_lossy().into_owned();
    let copy = path.with_file_name(format!("{name}.v{version}.bak"));
    let unfinished = path.with_file_name(format!("{name}.v{version}.bak.new"));
    let io = |error: std::io::Error| StoreError::from_io(&copy, &error);
    if unfinished.try_exists().map_err(io)? {
        std::fs::remove_file(&unfinished).map_err(io)?;
    }
    conn.execute("VACUUM INTO ?1", [unfinished.to_string_lossy()]).map_err(|error| {
        let _ = std::fs::remove_file(&unfinished);
        StoreError::from_sql(&copy, &error)
    })?;
    rustix::fs::chmod(&unfinished, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)
        .map_err(|errno| io(errno.into()))?;
    File::open(&unfinished).and_then(|file| file.sync_all()).map_err(io)?;
    std::fs::rename(&unfinished, &copy).map_err(io)?;
    let dir = directory_of(path);
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(io)?;
    for old in copies(dir, &name).map_err(io)?.into_iter().skip(KEPT_COPIES) {
        std::fs::remove_file(old).map_err(io)?;
    }
    Ok(())
}

/// The copies of the database `name` in `dir`, newest version first.
fn copies(dir: &Path, name: &str) -> std::io::Result<Vec<PathBuf>> {
    let mut found: Vec<(i64, PathBuf)> = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let version = entry
            .file_name()
            .to_str()
            .and_then(|file| file.strip_prefix(name)?.strip_prefix(".v")?.strip_suffix(".bak")?.parse().ok());
        if let Some(version) = version {
            found.push((version, entry.path()));
        }
    }
    found.sort_unstable_by(|a, b| b.cmp(a));
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_two_newest_copies_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        for version in [3, 9, 10] {
            std::fs::write(dir.path().join(format!("x.db.v{version}.bak")), "").unwrap();
        }
        std::fs::write(dir.path().join("other.db.v1.bak"), "").unwrap();
        let path = dir.path().join("x.db");
        let conn = Connection::open(&path).unwrap();
        conn.execute_batch("CREATE TABLE t (a)").unwrap();
        copy_aside(&conn, &path, 11).unwrap();
        let names = |name| copies(dir.path(), name).unwrap();
        assert_eq!(names("x.db"), [dir.path().join("x.db.v11.bak"), dir.path().join("x.db.v10.bak")]);
        assert_eq!(names("other.db").len(), 1);
    }
}

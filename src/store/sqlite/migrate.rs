//! Numbered migrations of a database. Append only: a released migration is never edited.
//!
//! Version 0 is what a user's script may have created: the fixed tables and nothing else. Every migration only adds, so
//! that a program of the version before can go on with a file that it has open. A [`Schema`] beside each database says
//! what it holds.

use std::fs::File;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::store::error::StoreError;

pub(in crate::store) type Migration = fn(&Transaction<'_>) -> rusqlite::Result<()>;

/// What one of our databases holds.
#[derive(Debug)]
pub(in crate::store) struct Schema {
    /// Migration `i` leads from version `i` to `i + 1`.
    pub(in crate::store) migrations: &'static [Migration],
    /// The tables that users' scripts know, with their columns. A database that has such a table without these columns
    /// is not ours.
    pub(in crate::store) fixed_columns: &'static [(&'static str, &'static [&'static str])],
    /// Whether a script has written rows that lack the integer beside an instant.
    pub(in crate::store) needs_backfill: fn(&Connection) -> rusqlite::Result<bool>,
    /// Writes these integers.
    pub(in crate::store) backfill: fn(&Transaction<'_>) -> rusqlite::Result<()>,
}

impl Schema {
    /// The version that this program writes.
    pub(in crate::store) fn newest(&self) -> i64 {
        self.migrations.len() as i64
    }
}

/// How many copies made before migrations are kept.
const KEPT_COPIES: usize = 2;

/// The version of the database, if this program may open it.
///
/// # Errors
/// `Newer`, `Foreign`, or SQLite's error for a file that is no database.
pub(in crate::store) fn check(schema: &Schema, conn: &Connection, path: &Path) -> Result<i64, StoreError> {
    let sql = |error: rusqlite::Error| StoreError::from_sql(path, &error);
    let found = version(conn).map_err(sql)?;
    if found > schema.newest() {
        return Err(StoreError::Newer { path: path.to_owned(), found, known: schema.newest() });
    }
    for (table, columns) in schema.fixed_columns {
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

/// Migrates the file to the newest version, after copying it if it holds anything, and writes the integers of rows that
/// a script has added.
pub(in crate::store) fn bring_forward(
    schema: &Schema,
    conn: &mut Connection,
    path: &Path,
) -> Result<(), StoreError> {
    let sql = |error: rusqlite::Error| StoreError::from_sql(path, &error);
    if check(schema, conn, path)? == schema.newest() {
        return complete(schema, conn, path);
    }
    // Only one program at a time copies and migrates, so that a copy is never of a migrated file.
    let _alone = lock_directory(path)?;
    let found = check(schema, conn, path)?;
    if found < schema.newest() && !is_empty(conn).map_err(sql)? {
        copy_aside(conn, path, found)?;
    }
    bring_copy_forward(schema, conn, path)
}

/// Writes the integers of rows that a script has added to a file of the newest version.
pub(in crate::store) fn complete(
    schema: &Schema,
    conn: &mut Connection,
    path: &Path,
) -> Result<(), StoreError> {
    let needs_backfill = (schema.needs_backfill)(conn).map_err(|error| StoreError::from_sql(path, &error))?;
    if needs_backfill { bring_copy_forward(schema, conn, path) } else { Ok(()) }
}

/// Locks the directory of `path` until dropped. Other programs that would migrate wait.
fn lock_directory(path: &Path) -> Result<File, StoreError> {
    let io = |error: std::io::Error| StoreError::from_io(path, &error);
    let dir = File::open(directory_of(path)).map_err(io)?;
    rustix::fs::flock(&dir, rustix::fs::FlockOperation::LockExclusive).map_err(|errno| io(errno.into()))?;
    Ok(dir)
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// As [`bring_forward`], without the copy: one exclusive transaction, all or nothing.
pub(in crate::store) fn bring_copy_forward(
    schema: &Schema,
    conn: &mut Connection,
    path: &Path,
) -> Result<(), StoreError> {
    let sql = |error: rusqlite::Error| StoreError::from_sql(path, &error);
    let tx = conn.transaction_with_behavior(TransactionBehavior::Exclusive).map_err(sql)?;
    // Another program may have been faster.
    let found = check(schema, &tx, path)?;
    for migration in schema.migrations.iter().skip(found as usize) {
        migration(&tx).map_err(sql)?;
    }
    (schema.backfill)(&tx).map_err(sql)?;
    if found != schema.newest() {
        tx.pragma_update(None, "user_version", schema.newest()).map_err(sql)?;
    }
    tx.commit().map_err(sql)
}

/// Adds each column that is absent. A database restored from a dump has lost its version but not its columns.
pub(in crate::store) fn add_columns(
    tx: &Transaction<'_>,
    table: &str,
    columns: &[(&str, &str)],
) -> rusqlite::Result<()> {
    let present = columns_of(tx, table)?;
    for (column, kind) in columns {
        if !present.iter().any(|p| p.eq_ignore_ascii_case(column)) {
            tx.execute_batch(&format!("ALTER TABLE {table} ADD COLUMN \"{column}\" {kind}"))?;
        }
    }
    Ok(())
}

fn version(conn: &Connection) -> rusqlite::Result<i64> {
    conn.query_row("PRAGMA user_version", [], |row| row.get(0))
}

fn is_empty(conn: &Connection) -> rusqlite::Result<bool> {
    conn.query_row("SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)", [], |row| row.get(0))
}

/// The names of a table's columns; empty when there is no such table.
fn columns_of(conn: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    conn.prepare("SELECT name FROM pragma_table_info(?1)")?.query_map([table], |row| row.get(0))?.collect()
}

/// Writes `<name>.v<version>.bak` beside the file, synced, under this name only when it is complete. Removes older
/// copies, see [`KEPT_COPIES`].
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

//! Rows that are written: each column stands beside its value, once, and the statement is made of that.

use rusqlite::types::ToSql;
use rusqlite::{Connection, params_from_iter};

/// A column and what it is to hold.
pub(in crate::store) type Column<'a> = (&'static str, &'a dyn ToSql);

/// Adds a row to `table`.
pub(in crate::store) fn insert(conn: &Connection, table: &str, row: &[Column<'_>]) -> rusqlite::Result<()> {
    let (columns, places) = (listed(row, |name| format!("\"{name}\"")), listed(row, |_| "?".to_owned()));
    let statement = format!("INSERT INTO {table} ({columns}) VALUES ({places})");
    conn.prepare_cached(&statement)?.execute(params_from_iter(row.iter().map(|(_, value)| value))).map(drop)
}

/// Adds a row to `table`, or gives the one that has these keys already its other columns.
pub(in crate::store) fn upsert(
    conn: &Connection,
    table: &str,
    keys: &[Column<'_>],
    row: &[Column<'_>],
) -> rusqlite::Result<()> {
    let all = [keys, row].concat();
    let (columns, places) = (listed(&all, |name| format!("\"{name}\"")), listed(&all, |_| "?".to_owned()));
    let statement = format!(
        "INSERT INTO {table} ({columns}) VALUES ({places}) ON CONFLICT ({}) DO UPDATE SET {}",
        listed(keys, str::to_owned),
        listed(row, |name| format!("\"{name}\" = excluded.\"{name}\"")),
    );
    conn.prepare_cached(&statement)?.execute(params_from_iter(all.iter().map(|(_, value)| value))).map(drop)
}

/// Changes these columns of each row of `table` for which `condition` holds, whose `?` are `about`; how many rows that are.
pub(in crate::store) fn update(
    conn: &Connection,
    table: &str,
    row: &[Column<'_>],
    condition: &str,
    about: &[&dyn ToSql],
) -> rusqlite::Result<usize> {
    let assignments = listed(row, |name| format!("\"{name}\" = ?"));
    let values = row.iter().map(|(_, value)| value).chain(about);
    conn.prepare_cached(&format!("UPDATE {table} SET {assignments} WHERE {condition}"))?
        .execute(params_from_iter(values))
}

fn listed(row: &[Column<'_>], said: impl Fn(&str) -> String) -> String {
    row.iter().map(|(name, _)| said(name)).collect::<Vec<_>>().join(", ")
}

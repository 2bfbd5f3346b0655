//! Writing rows: each column is beside its value, once, and the statement is built from that.

use rusqlite::types::ToSql;
use rusqlite::{Connection, params_from_iter};

/// A column and its new value.
pub(in crate::store) type Column<'a> = (&'static str, &'a dyn ToSql);

/// Adds a row to `table`.
pub(in crate::store) fn insert(conn: &Connection, table: &str, row: &[Column<'_>]) -> rusqlite::Result<()> {
    let (columns, places) = (listed(row, |name| ["\"", name, "\""]), listed(row, |_| ["?"]));
    let statement = format!("INSERT INTO {table} ({columns}) VALUES ({places})");
    conn.prepare_cached(&statement)?.execute(params_from_iter(row.iter().map(|(_, value)| value))).map(drop)
}

/// Adds a row to `table`. If a row with these keys exists, changes its other columns instead.
pub(in crate::store) fn upsert(
    conn: &Connection,
    table: &str,
    keys: &[Column<'_>],
    row: &[Column<'_>],
) -> rusqlite::Result<()> {
    let all = [keys, row].concat();
    let (columns, places) = (listed(&all, |name| ["\"", name, "\""]), listed(&all, |_| ["?"]));
    let statement = format!(
        "INSERT INTO {table} ({columns}) VALUES ({places}) ON CONFLICT ({}) DO UPDATE SET {}",
        listed(keys, |name| [name]),
        listed(row, |name| ["\"", name, "\" = excluded.\"", name, "\""]),
    );
    conn.prepare_cached(&statement)?.execute(params_from_iter(all.iter().map(|(_, value)| value))).map(drop)
}

/// Changes these columns in the rows of `table` that match `condition`, whose `?` stand for `about`. Returns how many
/// rows.
pub(in crate::store) fn update(
    conn: &Connection,
    table: &str,
    row: &[Column<'_>],
    condition: &str,
    about: &[&dyn ToSql],
) -> rusqlite::Result<usize> {
    let assignments = listed(row, |name| ["\"", name, "\" = ?"]);
    let values = row.iter().map(|(_, value)| value).chain(about);
    conn.prepare_cached(&format!("UPDATE {table} SET {assignments} WHERE {condition}"))?
        .execute(params_from_iter(values))
}

/// A comma-separated list of what `say` makes of each column's name.
fn listed<const N: usize>(row: &[Column<'_>], say: impl Fn(&'static str) -> [&'static str; N]) -> String {
    let mut list = String::with_capacity(24 * row.len());
    for (index, (name, _)) in row.iter().enumerate() {
        list.push_str(if index > 0 { ", " } else { "" });
        list.extend(say(name));
    }
    list
}

//! From columns to values. A script may have written a row, so a column of another type is read as well as possible.
//! What can't be read becomes the least harmful value, never an error that would hide all other rows.

use std::cell::Cell;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use rusqlite::Row;
use rusqlite::types::ValueRef;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::base::time::parse_instant;

/// A row whose columns are read by place or by name.
pub(in crate::store) trait Cells<C> {
    /// The value in a column.
    fn cell(&self, column: C) -> rusqlite::Result<ValueRef<'_>>;
}

impl Cells<usize> for Row<'_> {
    fn cell(&self, column: usize) -> rusqlite::Result<ValueRef<'_>> {
        self.get_ref(column)
    }
}

/// A row whose columns are read by name. They are read about in their order, so each is looked for behind the last one.
pub(in crate::store) struct Named<'a> {
    row: &'a Row<'a>,
    next: Cell<usize>,
}

impl<'a> Named<'a> {
    pub(in crate::store) fn of(row: &'a Row<'a>) -> Self {
        Self { row, next: Cell::new(0) }
    }
}

impl Cells<&str> for Named<'_> {
    fn cell(&self, column: &str) -> rusqlite::Result<ValueRef<'_>> {
        let (statement, next) = (self.row.as_ref(), self.next.get());
        let is_it =
            |index: &usize| statement.column_name(*index).is_ok_and(|name| name.eq_ignore_ascii_case(column));
        let index = (next..statement.column_count()).chain(0..next).find(is_it);
        let index = index.ok_or_else(|| rusqlite::Error::InvalidColumnName(column.to_owned()))?;
        self.next.set(index + 1);
        self.row.get_ref(index)
    }
}

/// An instant. The text counts; the integer beside it is used only if the text is no instant.
pub(in crate::store) fn instant<C>(
    row: &impl Cells<C>,
    text_column: C,
    ms_column: C,
) -> rusqlite::Result<Option<DateTime<Utc>>> {
    let Some(written) = word(row, text_column)? else { return Ok(None) };
    let read = parse_instant(written).ok();
    Ok(match read {
        Some(at) => Some(at),
        None => int(row, ms_column)?.and_then(DateTime::from_timestamp_millis),
    })
}

/// Our own JSON. The default when it is absent or can't be parsed.
pub(in crate::store) fn from_json<T: DeserializeOwned + Default, C>(
    row: &impl Cells<C>,
    column: C,
) -> rusqlite::Result<T> {
    Ok(word(row, column)?.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default())
}

/// A text that should be JSON. If it is not, it becomes a JSON string.
pub(in crate::store) fn json_or_text(text: String) -> Value {
    serde_json::from_str(&text).unwrap_or(Value::String(text))
}

/// A column that is valid text; none for anything else.
pub(in crate::store) fn word<C>(row: &impl Cells<C>, column: C) -> rusqlite::Result<Option<&str>> {
    Ok(match row.cell(column)? {
        ValueRef::Text(bytes) => std::str::from_utf8(bytes).ok(),
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Blob(_) => None,
    })
}

/// A column as text, whatever its type.
pub(in crate::store) fn text<C>(row: &impl Cells<C>, column: C) -> rusqlite::Result<Option<String>> {
    Ok(match row.cell(column)? {
        ValueRef::Null => None,
        ValueRef::Integer(n) => Some(n.to_string()),
        ValueRef::Real(x) => Some(x.to_string()),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
    })
}

/// As [`text`]; empty for none.
pub(in crate::store) fn some_text<C>(row: &impl Cells<C>, column: C) -> rusqlite::Result<String> {
    text(row, column).map(Option::unwrap_or_default)
}

pub(in crate::store) fn shared<C: Copy>(
    row: &impl Cells<C>,
    column: C,
) -> rusqlite::Result<Option<Arc<str>>> {
    Ok(match word(row, column)? {
        Some(text) => Some(text.into()),
        None => text(row, column)?.map(Into::into),
    })
}

pub(in crate::store) fn int<C>(row: &impl Cells<C>, column: C) -> rusqlite::Result<Option<i64>> {
    Ok(match row.cell(column)? {
        ValueRef::Integer(n) => Some(n),
        ValueRef::Real(x) => Some(x as i64),
        ValueRef::Text(bytes) => std::str::from_utf8(bytes).ok().and_then(|text| text.trim().parse().ok()),
        ValueRef::Null | ValueRef::Blob(_) => None,
    })
}

pub(in crate::store) fn real<C>(row: &impl Cells<C>, column: C) -> rusqlite::Result<Option<f64>> {
    Ok(match row.cell(column)? {
        ValueRef::Integer(n) => Some(n as f64),
        ValueRef::Real(x) => Some(x),
        ValueRef::Text(bytes) => std::str::from_utf8(bytes).ok().and_then(|text| text.trim().parse().ok()),
        ValueRef::Null | ValueRef::Blob(_) => None,
    })
}

pub(in crate::store) fn fraction<C>(row: &impl Cells<C>, column: C) -> rusqlite::Result<f64> {
    Ok(real(row, column)?.filter(|x| x.is_finite()).unwrap_or(0.0).clamp(0.0, 1.0))
}

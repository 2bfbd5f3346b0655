//! From columns to values. A row may have been filled in by hand: a column of another type is read as well as can be, and
//! what cannot be told apart is the least harmful thing, never an error that would hide every other row.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use rusqlite::types::ValueRef;
use rusqlite::{Row, RowIndex};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::base::time::parse_instant;

/// An instant: the text is the truth, the integer beside it stands in where the text is none.
pub(in crate::store) fn instant(
    row: &Row<'_>,
    text_index: impl RowIndex,
    ms_index: impl RowIndex,
) -> rusqlite::Result<Option<DateTime<Utc>>> {
    let Some(written) = word(row, text_index)? else { return Ok(None) };
    let read = parse_instant(written).ok();
    Ok(match read {
        Some(at) => Some(at),
        None => int(row, ms_index)?.and_then(DateTime::from_timestamp_millis),
    })
}

/// JSON of ours; what is absent or unreadable is the default.
pub(in crate::store) fn from_json<T: DeserializeOwned + Default>(
    row: &Row<'_>,
    index: impl RowIndex,
) -> rusqlite::Result<T> {
    Ok(word(row, index)?.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default())
}

/// A text that should be JSON; one that is none is a JSON string.
pub(in crate::store) fn json_or_text(text: String) -> Value {
    serde_json::from_str(&text).unwrap_or(Value::String(text))
}

/// A column that is valid text; none for anything else.
pub(in crate::store) fn word<'a>(
    row: &'a Row<'_>,
    index: impl RowIndex,
) -> rusqlite::Result<Option<&'a str>> {
    Ok(match row.get_ref(index)? {
        ValueRef::Text(bytes) => std::str::from_utf8(bytes).ok(),
        ValueRef::Null | ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Blob(_) => None,
    })
}

/// A column as text, whatever it holds.
pub(in crate::store) fn text(row: &Row<'_>, index: impl RowIndex) -> rusqlite::Result<Option<String>> {
    Ok(match row.get_ref(index)? {
        ValueRef::Null => None,
        ValueRef::Integer(n) => Some(n.to_string()),
        ValueRef::Real(x) => Some(x.to_string()),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
    })
}

pub(in crate::store) fn shared(
    row: &Row<'_>,
    index: impl RowIndex + Copy,
) -> rusqlite::Result<Option<Arc<str>>> {
    Ok(match word(row, index)? {
        Some(text) => Some(text.into()),
        None => text(row, index)?.map(Into::into),
    })
}

pub(in crate::store) fn int(row: &Row<'_>, index: impl RowIndex) -> rusqlite::Result<Option<i64>> {
    Ok(match row.get_ref(index)? {
        ValueRef::Integer(n) => Some(n),
        ValueRef::Real(x) => Some(x as i64),
        ValueRef::Text(bytes) => std::str::from_utf8(bytes).ok().and_then(|text| text.trim().parse().ok()),
        ValueRef::Null | ValueRef::Blob(_) => None,
    })
}

pub(in crate::store) fn real(row: &Row<'_>, index: impl RowIndex) -> rusqlite::Result<Option<f64>> {
    Ok(match row.get_ref(index)? {
        ValueRef::Integer(n) => Some(n as f64),
        ValueRef::Real(x) => Some(x),
        ValueRef::Text(bytes) => std::str::from_utf8(bytes).ok().and_then(|text| text.trim().parse().ok()),
        ValueRef::Null | ValueRef::Blob(_) => None,
    })
}

pub(in crate::store) fn fraction(row: &Row<'_>, index: impl RowIndex) -> rusqlite::Result<f64> {
    Ok(real(row, index)?.filter(|x| x.is_finite()).unwrap_or(0.0).clamp(0.0, 1.0))
}

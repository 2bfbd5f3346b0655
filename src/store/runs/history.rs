//! The history: runs that have ended, by filter, the latest start first. It is read in parts, so that a million runs
//! cost no more than what is looked at.
//!
//! A [`HistoryMark`] holds a list still: what ends after the mark is not in it, so that no row changes its place while
//! runs end. Without a text, a row is found by its number in an index alone. A text has no index: the runs are looked
//! through in parts of [`PART`], each a query of its own.

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, params};

use super::query::summaries;
use super::{CheckpointManager, rows};
use crate::base::id::PipelineId;
use crate::run::{RunState, RunSummary};
use crate::store::error::StoreError;

/// How many runs one part looks through.
const PART: i64 = 20_000;

/// Which ended runs the history lists. The default lists all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistoryFilter {
    /// Only runs of this pipeline.
    pub pipeline: Option<PipelineId>,
    /// Only runs that ended in this state.
    pub state: Option<RunState>,
    /// Only runs that were recorded at this instant or later.
    pub since: Option<DateTime<Utc>>,
    /// Only runs with this text in their name, step, message or error. ASCII letters match in either case.
    pub text: String,
}

/// The moment of a list: which runs had ended then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryMark {
    /// The newest row of the table.
    last: i64,
    /// The rows of the runs that had not ended, as a JSON array.
    unended: String,
}

/// One run that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryKey {
    /// Its row.
    pub row: i64,
    /// How long it worked, in milliseconds.
    pub took_ms: i64,
}

/// What one part has found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistoryPart {
    /// The latest start first.
    pub found: Vec<HistoryKey>,
    /// Where the next part begins; none after the last one.
    pub next: Option<i64>,
}

/// The index and the condition for a filter without its text. Its parameters: 1 and 2 the mark, 3 the earliest start,
/// 4 the pipeline, 5 the state.
fn condition(filter: &HistoryFilter) -> (&'static str, String) {
    // Without a condition where none is wanted, so that each statement has its index.
    let (pipeline, state) = (filter.pipeline.is_some(), filter.state.is_some());
    let index = match (pipeline, state) {
        (true, _) => "execution_state_by_pipeline",
        (false, true) => "execution_state_by_state",
        (false, false) => "execution_state_by_time",
    };
    let of_pipeline = if pipeline { "pipeline_id = ?4" } else { "?4 IS NULL" };
    let of_state = if state { "state = ?5" } else { "?5 IS NULL" };
    let condition = format!(
        "{of_pipeline} AND {of_state} AND started_ms >= ?3 AND rowid <= ?1
         AND rowid NOT IN (SELECT value FROM json_each(?2))"
    );
    (index, condition)
}

impl HistoryFilter {
    fn since_ms(&self) -> i64 {
        self.since.map_or(i64::MIN, |at| at.timestamp_millis())
    }

    fn pipeline_id(&self) -> Option<&str> {
        self.pipeline.as_ref().map(PipelineId::as_str)
    }

    fn state_word(&self) -> Option<&'static str> {
        self.state.map(RunState::as_str)
    }

    /// Whether a run is one of them, whatever the mark.
    pub fn matches(&self, run: &RunSummary) -> bool {
        let has_text = || {
            let wanted = self.text.to_ascii_lowercase();
            let parts = [run.current_step.as_deref(), run.message.as_deref(), run.error.as_deref()];
            let names = [run.run_id.as_str(), run.pipeline_id.as_str()];
            names
                .into_iter()
                .chain(parts.into_iter().flatten())
                .any(|part| part.to_ascii_lowercase().contains(&wanted))
        };
        self.pipeline.as_ref().is_none_or(|pipeline| *pipeline == run.pipeline_id)
            && self.state.is_none_or(|state| state == run.state)
            && self.since.is_none_or(|since| run.started_at >= since)
            && (self.text.is_empty() || has_text())
    }
}

/// The history of the window. Errors are those of the database.
#[doc(hidden)]
impl CheckpointManager {
    /// The mark of a list that begins now.
    pub fn history_mark(&self) -> Result<HistoryMark, StoreError> {
        self.database().read_consistently(|conn| {
            let last = conn.query_row("SELECT max(rowid) FROM execution_state", [], |row| row.get(0));
            let mut statement = conn.prepare_cached(
                "SELECT rowid FROM execution_state INDEXED BY execution_state_by_state WHERE state = ?1",
            )?;
            let mut unended: Vec<i64> = Vec::new();
            for state in RunState::ALL.iter().filter(|state| !state.is_ended()) {
                for row in statement.query_map([state.as_str()], |row| row.get(0))? {
                    unended.push(row?);
                }
            }
            Ok(HistoryMark {
                last: last.map(Option::<i64>::unwrap_or_default)?,
                unended: serde_json::to_string(&unended).unwrap_or_else(|_| "[]".to_owned()),
            })
        })
    }

    /// The rows of at most `limit` runs from the `offset`-th on, for a filter without a text.
    pub fn history_rows(
        &self,
        filter: &HistoryFilter,
        mark: &HistoryMark,
        offset: usize,
        limit: usize,
    ) -> Result<Vec<i64>, StoreError> {
        let (index, condition) = condition(filter);
        let statement = format!(
            "SELECT rowid FROM execution_state INDEXED BY {index} WHERE {condition}
             ORDER BY started_ms DESC, rowid DESC LIMIT ?6 OFFSET ?7"
        );
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let about = params![
            mark.last,
            mark.unended,
            filter.since_ms(),
            filter.pipeline_id(),
            filter.state_word(),
            number(limit),
            number(offset),
        ];
        self.database().rows(&statement, about, |row| row.get(0))
    }

    /// How many runs there are, for a filter without a text.
    pub fn count_history(&self, filter: &HistoryFilter, mark: &HistoryMark) -> Result<usize, StoreError> {
        let (index, condition) = condition(filter);
        let statement = format!("SELECT count(*) FROM execution_state INDEXED BY {index} WHERE {condition}");
        let about =
            params![mark.last, mark.unended, filter.since_ms(), filter.pipeline_id(), filter.state_word()];
        let counted = self.database().row(&statement, about, |row| row.get::<_, i64>(0))?;
        Ok(counted.and_then(|n| usize::try_from(n).ok()).unwrap_or_default())
    }

    /// Looks through one part of the runs: those that were started at `from` or before, or the newest.
    pub fn history_part(
        &self,
        filter: &HistoryFilter,
        mark: &HistoryMark,
        from: Option<i64>,
    ) -> Result<HistoryPart, StoreError> {
        let (index, condition) = condition(filter);
        let from = from.unwrap_or(i64::MAX);
        let (pipeline, state) = (filter.pipeline_id(), filter.state_word());
        self.database().read_consistently(|conn| {
            // The whole of an instant belongs to one part, so that the next one can begin at the instant before.
            let end = format!(
                "SELECT started_ms FROM execution_state INDEXED BY {index}
                 WHERE {condition} AND started_ms <= ?6 ORDER BY started_ms DESC LIMIT 1 OFFSET ?7"
            );
            let about =
                params![mark.last, mark.unended, filter.since_ms(), pipeline, state, from, PART - 1];
            let end: Option<i64> =
                conn.prepare_cached(&end)?.query_row(about, |row| row.get(0)).optional()?;
            let has_text = if filter.text.is_empty() {
                "?7 = ''"
            } else {
                "(run_id LIKE ?7 ESCAPE '\\' OR pipeline_id LIKE ?7 ESCAPE '\\' OR error LIKE ?7 ESCAPE '\\'
                  OR message LIKE ?7 ESCAPE '\\' OR current_step LIKE ?7 ESCAPE '\\')"
            };
            let found = format!(
                "SELECT rowid, CASE WHEN attempt > 1 AND json_valid(ledger) THEN ledger ->> '$.work.worked_ms' END,
                   finished_ms - started_ms - frozen_ms
                 FROM execution_state INDEXED BY {index}
                 WHERE {condition} AND started_ms <= ?6 AND {has_text}
                 ORDER BY started_ms DESC, rowid DESC"
            );
            let since = end.unwrap_or_else(|| filter.since_ms());
            let text = if filter.text.is_empty() { String::new() } else { like(&filter.text) };
            let about = params![mark.last, mark.unended, since, pipeline, state, from, text];
            let mut statement = conn.prepare_cached(&found)?;
            let found = statement.query_map(about, |row| {
                let worked = row.get::<_, Option<i64>>(1)?.or(row.get(2)?);
                Ok(HistoryKey { row: row.get(0)?, took_ms: worked.unwrap_or_default() })
            })?;
            Ok(HistoryPart {
                found: found.collect::<Result<_, _>>()?,
                next: end.and_then(|end| end.checked_sub(1)).filter(|next| *next >= filter.since_ms()),
            })
        })
    }

    /// The runs in these rows, in this order; a row that is gone or can't be read is left out.
    pub fn runs_in_rows(&self, table_rows: &[i64]) -> Result<Vec<RunSummary>, StoreError> {
        self.database().read_consistently(|conn| {
            let mut statement = conn.prepare_cached(&summaries("WHERE rowid = ?1"))?;
            let mut runs = Vec::with_capacity(table_rows.len());
            for row in table_rows {
                runs.extend(statement.query_row([row], rows::summary).optional()?.flatten());
            }
            Ok(runs)
        })
    }

    /// The pipelines that have runs, by name.
    pub fn pipelines_with_runs(&self) -> Result<Vec<PipelineId>, StoreError> {
        // From one name to the next in the index, however many runs each has.
        let found = self.database().rows(
            "WITH RECURSIVE known (id) AS (
               SELECT min(pipeline_id) FROM execution_state
               UNION ALL
               SELECT (SELECT min(pipeline_id) FROM execution_state WHERE pipeline_id > known.id)
               FROM known WHERE known.id IS NOT NULL)
             SELECT id FROM known WHERE id IS NOT NULL",
            [],
            |row| crate::store::sqlite::columns::some_text(row, 0),
        )?;
        Ok(found.into_iter().filter_map(|id| PipelineId::new(id).ok()).collect())
    }
}

/// A pattern for a text anywhere.
fn like(text: &str) -> String {
    let mut pattern = String::from("%");
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern + "%"
}

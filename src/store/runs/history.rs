//! The history: runs that have ended, by filter, the latest start or the longest first. It is read in parts, so that a
//! million runs cost no more than what is looked at.
//!
//! A [`HistoryMark`] holds a list still: what ends after the mark is not in it, so that no row changes its place while
//! runs end. Each part begins after the last run of the part before, in an index that has the order of the list and,
//! but for a text, what its filter asks about.

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, params};

use super::query::summaries;
use super::schema::{HAS_ENDED, TOOK_MS};
use super::{CheckpointManager, rows};
use crate::base::id::PipelineId;
use crate::run::{RunState, RunSummary};
use crate::store::error::StoreError;

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

/// The order of the list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HistoryOrder {
    /// The latest start first.
    #[default]
    Newest,
    /// The longest run first; of equally long ones the latest start.
    Longest,
}

/// Which runs, in which order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistoryList {
    pub filter: HistoryFilter,
    pub order: HistoryOrder,
}

/// Where a run stands in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryPlace {
    /// How long it worked, in milliseconds; 0 in a list by start.
    took_ms: i64,
    started_ms: i64,
    row: i64,
}

impl HistoryPlace {
    const BEFORE_ALL: Self = Self { took_ms: i64::MAX, started_ms: i64::MAX, row: i64::MAX };
}

/// What one part has found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistoryPart {
    /// The rows of the runs, in the order of the list.
    pub rows: Vec<i64>,
    /// The next part begins after this place; none after the last part.
    pub last: Option<HistoryPlace>,
}

impl HistoryList {
    /// The statement for a part. Its parameters: 1 and 2 the mark, 3 the earliest start, 4 the pipeline, 5 the state,
    /// 6 to 8 the place before, 9 the text, 10 how many runs.
    fn statement(&self) -> String {
        // Without a condition where none is wanted, so that each statement has its index.
        let (pipeline, state) = (self.filter.pipeline.is_some(), self.filter.state);
        let of_pipeline = if pipeline { "AND pipeline_id = ?4" } else { "" };
        let of_state = if state.is_some() { "AND state = ?5" } else { "" };
        let has_text = if self.filter.text.is_empty() {
            "?9 = ''"
        } else {
            "ifnull(run_id LIKE ?9 ESCAPE '\\' OR pipeline_id LIKE ?9 ESCAPE '\\' OR error LIKE ?9 ESCAPE '\\'
              OR message LIKE ?9 ESCAPE '\\' OR current_step LIKE ?9 ESCAPE '\\', 0)"
        };
        let (took, by_took, index, after) = match self.order {
            HistoryOrder::Newest => {
                // Most runs complete: among those, a pipeline is found faster than a state among a pipeline's runs.
                let index = match (pipeline, state) {
                    (true, None | Some(RunState::Completed)) => "execution_state_by_pipeline",
                    (_, Some(_)) => "execution_state_by_state",
                    (false, None) => "execution_state_by_time",
                };
                ("0", String::new(), index, "(started_ms, rowid) < (?7, ?8)".to_owned())
            }
            HistoryOrder::Longest => (
                TOOK_MS,
                format!("{TOOK_MS} DESC,"),
                if pipeline { "execution_state_by_pipeline_length" } else { "execution_state_by_length" },
                format!(
                    "{HAS_ENDED} AND {TOOK_MS} <= ?6
                     AND ({TOOK_MS} < ?6 OR (started_ms, rowid) < (?7, ?8))"
                ),
            ),
        };
        format!(
            "SELECT {took}, started_ms, rowid, {has_text} FROM execution_state INDEXED BY {index}
             WHERE {after} AND started_ms >= ?3 AND rowid <= ?1
               AND rowid NOT IN (SELECT value FROM json_each(?2)) {of_pipeline} {of_state}
             ORDER BY {by_took} started_ms DESC, rowid DESC LIMIT ?10"
        )
    }
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

    /// Looks through the next `n` runs of a list after a place, or its first ones. All are found but for a text.
    pub fn history_part(
        &self,
        list: &HistoryList,
        mark: &HistoryMark,
        after: Option<HistoryPlace>,
        n: usize,
    ) -> Result<HistoryPart, StoreError> {
        let HistoryList { filter, .. } = list;
        let after = after.unwrap_or(HistoryPlace::BEFORE_ALL);
        let text = if filter.text.is_empty() { String::new() } else { like(&filter.text) };
        let about = params![
            mark.last,
            mark.unended,
            filter.since_ms(),
            filter.pipeline_id(),
            filter.state_word(),
            after.took_ms,
            after.started_ms,
            after.row,
            text,
            i64::try_from(n).unwrap_or(i64::MAX),
        ];
        let looked_at = self.database().rows(&list.statement(), about, |row| {
            let place = HistoryPlace { took_ms: row.get(0)?, started_ms: row.get(1)?, row: row.get(2)? };
            Ok((place, row.get::<_, bool>(3)?))
        })?;
        let is_full = looked_at.len() >= n;
        Ok(HistoryPart {
            last: looked_at.last().filter(|_| is_full).map(|(place, _)| *place),
            rows: looked_at.iter().filter(|(_, is_found)| *is_found).map(|(place, _)| place.row).collect(),
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

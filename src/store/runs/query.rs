//! Queries of [`CheckpointManager`]: one function a query, each a short read transaction.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use rusqlite::{Params, Row, params};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::rows::SUMMARY_COLUMNS;
use super::stored::{CheckpointRecord, ExecutionRecord};
use super::{CheckpointManager, rows};
use crate::base::id::{MAX_ID_LEN, PipelineId, RunId, StepId};
use crate::base::time::read_maybe_instant;
use crate::run::{Decision, RunState, RunSummary};
use crate::store::error::StoreError;
use crate::store::sqlite::columns::{self, Named};
use crate::store::sqlite::database::integrity_problems;

/// Which runs to list. The default lists all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunFilter {
    /// Only runs in one of these states. Empty: in any state.
    pub states: Vec<RunState>,
    /// Only runs of this pipeline.
    pub pipeline: Option<PipelineId>,
    /// Only runs recorded at this instant or later.
    #[serde(deserialize_with = "read_maybe_instant")]
    pub since: Option<DateTime<Utc>>,
    /// Only runs recorded before this instant.
    #[serde(deserialize_with = "read_maybe_instant")]
    pub until: Option<DateTime<Utc>>,
    /// At most this many, the newest. None: no limit.
    pub limit: Option<usize>,
}

impl CheckpointManager {
    /// The runs that the rows of this part of a statement say.
    fn summaries(&self, rest: &str, about: impl Params) -> Result<Vec<RunSummary>, StoreError> {
        let found = self.database().rows(&summaries(rest), about, rows::summary)?;
        Ok(found.into_iter().flatten().collect())
    }

    /// The last checkpoint of `step_id` in `run_id`.
    ///
    /// # Errors
    /// `Invalid` for a malformed run id; otherwise as the database reports.
    pub fn load_checkpoint(
        &self,
        run_id: impl AsRef<str>,
        step_id: impl AsRef<str>,
    ) -> Result<Option<Value>, StoreError> {
        let run_id = RunId::new(run_id)?;
        let text = self.database().row(
            "SELECT checkpoint_data FROM checkpoints WHERE run_id = ?1 AND step_id = ?2",
            [run_id.as_str(), step_id.as_ref()],
            |row| columns::text(row, 0),
        )?;
        Ok(text.flatten().map(columns::json_or_text))
    }

    /// The last checkpoint of every step of `run_id`, oldest first.
    ///
    /// # Errors
    /// `Invalid` for a malformed run id; otherwise as the database reports.
    pub fn list_checkpoints(&self, run_id: impl AsRef<str>) -> Result<Vec<CheckpointRecord>, StoreError> {
        let run_id = RunId::new(run_id)?;
        let statement = "SELECT * FROM checkpoints WHERE run_id = ?1 ORDER BY created_ms, step_id";
        self.database().rows(statement, [run_id.as_str()], |row| {
            let row = &Named::of(row);
            Ok(CheckpointRecord {
                step_id: columns::some_text(row, "step_id")?,
                created_at: columns::instant(row, "created_at", "created_ms")?.unwrap_or_default(),
                data: columns::json_or_text(columns::some_text(row, "checkpoint_data")?),
            })
        })
    }

    /// The fixed columns of a run.
    ///
    /// # Errors
    /// `Invalid` for a malformed run id; otherwise as the database reports.
    pub fn load_execution_state(
        &self,
        run_id: impl AsRef<str>,
    ) -> Result<Option<ExecutionRecord>, StoreError> {
        let run_id = RunId::new(run_id)?;
        let statement = "SELECT * FROM execution_state WHERE run_id = ?1";
        Ok(self.database().row(statement, [run_id.as_str()], rows::execution)?.flatten())
    }

    /// The runs that can be resumed, newest first: those that are interrupted, failed, stopped or force-stopped, and
    /// those recorded as not ended, whether or not their engine lives.
    ///
    /// # Errors
    /// As the database reports.
    pub fn list_resumable_executions(&self) -> Result<Vec<ExecutionRecord>, StoreError> {
        let found = self.database().rows(
            "SELECT * FROM execution_state WHERE state IN ('queued', 'running', 'paused', 'stopping',
               'interrupted', 'failed', 'stopped', 'force_stopped')
             ORDER BY started_ms DESC, rowid DESC",
            [],
            rows::execution,
        );
        Ok(found?.into_iter().flatten().collect())
    }

    /// The runs that match `filter`, newest first.
    ///
    /// # Errors
    /// As the database reports.
    pub fn list_runs(&self, filter: &RunFilter) -> Result<Vec<RunSummary>, StoreError> {
        let since = filter.since.map_or(i64::MIN, |at| at.timestamp_millis());
        let until = filter.until.map_or(i64::MAX, |at| at.timestamp_millis());
        let limit = filter.limit.map_or(i64::MAX, |n| i64::try_from(n).unwrap_or(i64::MAX));
        let pipeline = filter.pipeline.as_ref().map(PipelineId::as_str);
        let states: HashSet<RunState> = filter.states.iter().copied().collect();
        // Most runs complete: among a pipeline's runs those of such states are found faster than the pipeline among them.
        if states.is_empty() || pipeline.is_some() && states.contains(&RunState::Completed) {
            // Without a condition where none is wanted, so that each statement has its index.
            let of_pipeline = if pipeline.is_some() { "pipeline_id = ?3 AND" } else { "" };
            let of_states =
                if states.is_empty() { "" } else { "state IN (SELECT value FROM json_each(?4)) AND" };
            let rest = format!(
                "WHERE {of_pipeline} {of_states} started_ms >= ?1 AND started_ms < ?2
                 ORDER BY started_ms DESC, rowid DESC LIMIT ?5"
            );
            let words = json!(states.iter().map(|state| state.as_str()).collect::<Vec<_>>()).to_string();
            return self.summaries(&rest, params![since, until, pipeline, words, limit]);
        }
        let mut found = self.database().read_consistently(|conn| {
            let mut statement = conn.prepare_cached(&summaries(
                "INDEXED BY execution_state_by_state
                 WHERE state = ?1 AND started_ms >= ?2 AND started_ms < ?3
                   AND (?4 IS NULL OR pipeline_id = ?4)
                 ORDER BY started_ms DESC, rowid DESC LIMIT ?5",
            ))?;
            let mut found = Vec::new();
            for state in &states {
                let about = params![state.as_str(), since, until, pipeline, limit];
                for row in statement.query_map(about, rows::summary)? {
                    found.extend(row?);
                }
            }
            Ok(found)
        })?;
        found.sort_by(|a: &RunSummary, b| b.started_at.cmp(&a.started_at).then(b.run_id.cmp(&a.run_id)));
        found.truncate(filter.limit.unwrap_or(usize::MAX));
        Ok(found)
    }

    /// How many runs are in one of `states`. Reads only an index.
    ///
    /// # Errors
    /// As the database reports.
    pub fn count_runs(&self, states: impl IntoIterator<Item = RunState>) -> Result<usize, StoreError> {
        self.database().read_consistently(|conn| {
            let mut statement = conn.prepare_cached(
                "SELECT count(*) FROM execution_state INDEXED BY execution_state_by_state WHERE state = ?1",
            )?;
            let mut n_runs = 0_usize;
            for state in states {
                let n: i64 = statement.query_row([state.as_str()], |row| row.get(0))?;
                n_runs += usize::try_from(n).unwrap_or_default();
            }
            Ok(n_runs)
        })
    }

    /// The summary of one run.
    ///
    /// # Errors
    /// As the database reports.
    pub fn load_summary(&self, run_id: &RunId) -> Result<Option<RunSummary>, StoreError> {
        Ok(self.database().row(rows::SUMMARY_OF_RUN, [run_id.as_str()], rows::summary)?.flatten())
    }

    /// What recovery decided about a run, in order.
    ///
    /// # Errors
    /// As the database reports.
    #[doc(hidden)]
    pub fn decisions(&self, run_id: &RunId) -> Result<Vec<Decision>, StoreError> {
        let statement = "SELECT * FROM recovery_decisions WHERE run_id = ?1 ORDER BY id";
        Ok(self.database().rows(statement, [run_id.as_str()], decision)?.into_iter().flatten().collect())
    }

    /// What recovery decided at `since` or later, the newest first; at most `limit`.
    ///
    /// # Errors
    /// As the database reports.
    #[doc(hidden)]
    pub fn decisions_since(&self, since: DateTime<Utc>, limit: usize) -> Result<Vec<Decision>, StoreError> {
        let statement =
            "SELECT * FROM recovery_decisions WHERE at_ms >= ?1 ORDER BY at_ms DESC, id DESC LIMIT ?2";
        let about = params![since.timestamp_millis(), i64::try_from(limit).unwrap_or(i64::MAX)];
        Ok(self.database().rows(statement, about, decision)?.into_iter().flatten().collect())
    }

    /// The runs that ended from `since` on and before `until`, the latest end first. Only the `n_starts` latest starts
    /// are looked through, because ends have no index.
    ///
    /// # Errors
    /// As the database reports.
    #[doc(hidden)]
    pub fn runs_ended_within(
        &self,
        (since, until): (DateTime<Utc>, DateTime<Utc>),
        n_starts: usize,
    ) -> Result<Vec<RunSummary>, StoreError> {
        self.summaries(
            "WHERE rowid IN (SELECT rowid FROM execution_state INDEXED BY execution_state_by_time
               WHERE started_ms < ?2 ORDER BY started_ms DESC LIMIT ?3)
             AND finished_ms >= ?1 AND finished_ms < ?2 ORDER BY finished_ms DESC, rowid DESC",
            params![
                since.timestamp_millis(),
                until.timestamp_millis(),
                i64::try_from(n_starts).unwrap_or(i64::MAX)
            ],
        )
    }

    /// The newest completed run of a pipeline.
    ///
    /// # Errors
    /// As the database reports.
    pub fn last_completed(&self, pipeline: &PipelineId) -> Result<Option<RunSummary>, StoreError> {
        let found = self.summaries(
            "INDEXED BY execution_state_by_pipeline WHERE pipeline_id = ?1 AND state = 'completed'
             ORDER BY started_ms DESC, rowid DESC LIMIT 1",
            [pipeline.as_str()],
        );
        Ok(found?.pop())
    }

    /// The run ids that are `base`, or `base` with a number behind.
    pub(crate) fn run_ids_of_base(&self, base: &str) -> Result<HashSet<String>, StoreError> {
        // '.' is the byte after '-': the names between are those that begin with the base and a '-'.
        let found = self.database().rows(
            "SELECT run_id FROM execution_state
             WHERE run_id = ?1 OR (run_id > ?1 || '-' AND run_id < ?1 || '.')",
            [base],
            |row| columns::some_text(row, 0),
        );
        Ok(found?.into_iter().collect())
    }

    /// The runs that were resumed after their end, or whose steps were run again.
    pub(crate) fn runs_taken_up(&self) -> Result<Vec<RunSummary>, StoreError> {
        self.summaries("WHERE attempt > 1 ORDER BY finished_ms", [])
    }

    /// The first free name for a run of `source` recorded at `at`: `<source>-<YYYYMMDDHHMMSS>`, then with `-2`, `-3`, …
    /// `is_taken` knows the names that are not on disk yet.
    pub(crate) fn next_run_id(
        &self,
        source: &str,
        at: DateTime<Utc>,
        is_taken: impl Fn(&RunId) -> bool,
    ) -> Result<RunId, StoreError> {
        let base = run_id_base(source, at);
        let recorded = self.run_ids_of_base(&base)?;
        let mut n: u64 = 1;
        loop {
            let name = if n == 1 { base.clone() } else { format!("{base}-{n}") };
            let id = RunId::new(&name)?;
            if !recorded.contains(&name) && !is_taken(&id) {
                return Ok(id);
            }
            n += 1;
        }
    }

    /// What is wrong with the database, one sentence each; empty when nothing is. Reads the whole file.
    ///
    /// # Errors
    /// The file can't be read.
    pub fn integrity_check(&self) -> Result<Vec<String>, StoreError> {
        self.database().read(|conn| {
            let mut problems = integrity_problems(conn)?;
            let mut names = conn.prepare("SELECT run_id, pipeline_id, state FROM execution_state")?;
            let mut rows = names.query([])?;
            while let Some(row) = rows.next()? {
                let column = |index| columns::some_text(row, index);
                let (run, pipeline, state) = (column(0)?, column(1)?, column(2)?);
                if let Err(error) = RunId::new(&run) {
                    problems.push(format!("execution_state has a row that is ignored: {error}"));
                } else if let Err(error) = PipelineId::new(&pipeline) {
                    problems.push(format!("run {run} is ignored: {error}"));
                } else if RunState::parse(&state).is_none() {
                    problems.push(format!("run {run} counts as interrupted: {state:?} is not a state"));
                }
            }
            Ok(problems)
        })
    }
}

/// `<source>-<YYYYMMDDHHMMSS>` in UTC. A character that no id may have becomes `-`, and the source is cut so that a
/// number still fits behind.
pub fn run_id_base(source: &str, at: DateTime<Utc>) -> String {
    const ROOM_FOR_NUMBER: usize = 10;
    let stamp = at.format("-%Y%m%d%H%M%S").to_string();
    let safe: String = source
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' })
        .skip_while(|c| !c.is_ascii_alphanumeric())
        .take(MAX_ID_LEN - stamp.len() - ROOM_FOR_NUMBER)
        .collect();
    let name = if safe.is_empty() { "run" } else { &safe };
    format!("{name}{stamp}")
}

/// The statement that reads summaries, with this rest.
pub(super) fn summaries(rest: &str) -> String {
    format!("SELECT {SUMMARY_COLUMNS} FROM execution_state {rest}")
}

fn decision(row: &Row<'_>) -> rusqlite::Result<Option<Decision>> {
    let row = &Named::of(row);
    let Some(run_id) = columns::word(row, "run_id")?.and_then(|id| RunId::new(id).ok()) else {
        return Ok(None);
    };
    Ok(Some(Decision {
        at: columns::instant(row, "at", "at_ms")?.unwrap_or_default(),
        run_id,
        step_id: columns::word(row, "step_id")?.and_then(|id| StepId::new(id).ok()),
        text: columns::some_text(row, "text")?,
    }))
}

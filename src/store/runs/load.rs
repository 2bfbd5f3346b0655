//! Reads whole runs: the run, its steps, its definition, its earlier attempts.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Row};

use super::definitions::read_definition;
use super::rows::SUMMARY_COLUMNS;
use super::stored::{AttemptRecord, StoredBody, StoredDefinition, StoredRun};
use super::{CheckpointManager, rows};
use crate::base::id::{RunId, StepId};
use crate::run::{Phase, RunLedger, RunSummary, StepRun, StoredLedger};
use crate::store::error::StoreError;
use crate::store::sqlite::columns::{self, Named};

#[doc(hidden)]
impl CheckpointManager {
    /// One run with its steps and its definition.
    pub fn load_run(&self, run_id: &RunId) -> Result<Option<StoredRun>, StoreError> {
        self.database().read_consistently(|conn| {
            let partial = conn
                .prepare_cached(&whole_runs("WHERE run_id = ?1"))?
                .query_row([run_id.as_str()], partial_run)
                .optional()?
                .flatten();
            partial.map(|partial| complete(conn, partial, &mut HashMap::new())).transpose()
        })
    }

    /// All runs that have not ended, oldest first. The cost depends on their number, not on the number of ended runs.
    pub fn load_living(&self) -> Result<Vec<StoredRun>, StoreError> {
        self.database().read_consistently(|conn| {
            let partials: Vec<PartialRun> = conn
                .prepare_cached(&whole_runs(
                    "INDEXED BY execution_state_by_state
                     WHERE state IN ('queued', 'running', 'paused', 'stopping') ORDER BY started_ms, rowid",
                ))?
                .query_map([], partial_run)?
                .filter_map(Result::transpose)
                .collect::<Result<_, _>>()?;
            let mut definitions = HashMap::new();
            partials.into_iter().map(|partial| complete(conn, partial, &mut definitions)).collect()
        })
    }

    /// All attempts of all steps of a run, earlier and current ones, by step and attempt.
    pub fn attempts(&self, run_id: &RunId) -> Result<Vec<AttemptRecord>, StoreError> {
        let (earlier, current) = self.database().read_consistently(|conn| {
            let earlier: Vec<AttemptRecord> = conn
                .prepare_cached("SELECT * FROM attempts WHERE run_id = ?1")?
                .query_map([run_id.as_str()], |row| {
                    let archived =
                        columns::text(&Named::of(row), "archived_checkpoint")?.map(columns::json_or_text);
                    Ok(rows::step(row)?.map(|step| AttemptRecord { step, archived_checkpoint: archived }))
                })?
                .filter_map(Result::transpose)
                .collect::<Result<_, _>>()?;
            Ok((earlier, steps_of(conn, run_id)?))
        })?;
        let mut all: BTreeMap<(StepId, u32), AttemptRecord> = earlier
            .into_iter()
            .map(|record| ((record.step.id.clone(), record.step.attempt), record))
            .collect();
        for step in current.into_iter().filter(|step| step.attempt > 0) {
            // A step that waits to begin again still has the number of its last attempt, which is there already.
            all.entry((step.id.clone(), step.attempt))
                .or_insert(AttemptRecord { step, archived_checkpoint: None });
        }
        Ok(all.into_values().collect())
    }
}

/// The statement that reads runs for [`partial_run`], with this rest.
fn whole_runs(rest: &str) -> String {
    format!(
        "SELECT {SUMMARY_COLUMNS}, body, definition_hash, params, metadata, ledger FROM execution_state {rest}"
    )
}

struct PartialRun {
    summary: RunSummary,
    body: Option<String>,
    definition_hash: Option<Arc<str>>,
    params: BTreeMap<String, String>,
    metadata: Option<Arc<str>>,
    phase: Phase,
    ledger: RunLedger,
}

fn partial_run(row: &Row<'_>) -> rusqlite::Result<Option<PartialRun>> {
    let Some(summary) = rows::summary(row)? else { return Ok(None) };
    let row = &Named::of(row);
    let stored: StoredLedger = columns::from_json(row, "ledger")?;
    let (ledger, phase) = stored.into_parts(summary.state, summary.finished_at);
    Ok(Some(PartialRun {
        summary,
        body: columns::text(row, "body")?,
        definition_hash: columns::shared(row, "definition_hash")?,
        params: columns::from_json(row, "params")?,
        metadata: columns::shared(row, "metadata")?,
        phase,
        ledger,
    }))
}

fn complete(
    conn: &Connection,
    partial: PartialRun,
    definitions: &mut HashMap<Arc<str>, Option<Arc<StoredDefinition>>>,
) -> rusqlite::Result<StoredRun> {
    let PartialRun { summary, body, definition_hash, params, metadata, phase, ledger } = partial;
    let definition = match definition_hash {
        None => None,
        Some(hash) => match definitions.get(&hash) {
            Some(known) => known.clone(),
            None => {
                let read = read_definition(conn, &hash)?;
                definitions.insert(hash, read.clone());
                read
            }
        },
    };
    let body = match (definition, body.as_deref()) {
        (Some(definition), _) => StoredBody::Pipeline(definition),
        (None, Some("driven")) => StoredBody::Driven,
        (None, _) => StoredBody::Unknown,
    };
    let steps = steps_of(conn, &summary.run_id)?.into_iter().map(Arc::new).collect();
    Ok(StoredRun { summary, body, params: Arc::new(params), metadata, phase, ledger, steps })
}

/// The present steps of a run, by start, then by name. Steps that never started come last.
fn steps_of(conn: &Connection, run_id: &RunId) -> rusqlite::Result<Vec<StepRun>> {
    let mut steps: Vec<StepRun> = conn
        .prepare_cached("SELECT * FROM steps WHERE run_id = ?1 ORDER BY step_id")?
        .query_map([run_id.as_str()], rows::step)?
        .filter_map(Result::transpose)
        .collect::<Result<_, _>>()?;
    steps.sort_by_key(|step| (step.started_at.is_none(), step.started_at));
    Ok(steps)
}

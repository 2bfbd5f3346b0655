//! From the rows of `checkpoints.db` to values.

use std::str::FromStr;
use std::sync::Arc;

use rusqlite::Row;

use super::stored::ExecutionRecord;
use crate::base::time::parse_instant;
use crate::run::{RunState, RunSummary, StepRun, StepState, Trigger};
use crate::store::sqlite::columns::{
    fraction, from_json, instant, int, json_or_text, real, shared, text, word,
};

/// The columns that [`summary`] reads, in its order.
macro_rules! summary_columns {
    () => {
        "run_id, pipeline_id, source, run_type, environment, \"trigger\", state, progress, current_step, \
         message, started_at, started_ms, finished_at, finished_ms, frozen_ms, frozen_since, error, attempt, \
         CASE WHEN json_valid(ledger) THEN ledger ->> '$.work.worked_ms' END, \
         CASE WHEN json_valid(ledger) THEN ledger ->> '$.work.since' END"
    };
}
pub(super) use summary_columns;

/// How many columns [`summary_columns`] names.
pub(super) const N_SUMMARY_COLUMNS: usize = 20;

/// The columns that [`execution`] reads, in its order.
macro_rules! execution_columns {
    () => {
        "run_id, pipeline_id, source, state, started_at, started_ms, finished_at, finished_ms, progress, \
         current_step, error, metadata"
    };
}
pub(super) use execution_columns;

/// The columns that [`step`] reads, in its order: the same in `steps` and in `attempts`.
macro_rules! step_columns {
    () => {
        "run_id, step_id, attempt, state, exit_code, signal, started_at, finished_at, peak_rss_bytes, \
         peak_rss_source, cpu_seconds, progress, message, error, pid, outputs, ledger"
    };
}
pub(super) use step_columns;

/// How many columns [`step_columns`] names.
pub(super) const N_STEP_COLUMNS: usize = 17;

/// A run as others see it; none when a name in the row is malformed (the integrity check tells those).
pub(super) fn summary(row: &Row<'_>) -> rusqlite::Result<Option<RunSummary>> {
    let (Some(run_id), Some(pipeline_id)) = (id(row, 0)?, id(row, 1)?) else {
        return Ok(None);
    };
    let (state, error) = state(row, 6, 16)?;
    Ok(Some(RunSummary {
        run_id,
        pipeline_id,
        source: shared(row, 2)?.unwrap_or_default(),
        run_type: shared(row, 3)?.unwrap_or_default(),
        environment: shared(row, 4)?.unwrap_or_default(),
        trigger: word(row, 5)?.and_then(Trigger::parse).unwrap_or(Trigger::Manual),
        state,
        live: false,
        progress: fraction(row, 7)?,
        current_step: shared(row, 8)?,
        message: shared(row, 9)?,
        started_at: instant(row, 10, 11)?.unwrap_or_default(),
        finished_at: instant(row, 12, 13)?,
        frozen_seconds: int(row, 14)?.unwrap_or(0).max(0) as f64 / 1000.0,
        frozen_since: word(row, 15)?.and_then(|text| parse_instant(text).ok()),
        worked_seconds: int(row, 18)?.map(|ms| ms.max(0) as f64 / 1000.0),
        works_since: word(row, 19)?.and_then(|text| parse_instant(text).ok()),
        error,
        attempt: int(row, 17)?.and_then(|n| u32::try_from(n).ok()).unwrap_or(1),
        waits_for: None,
    }))
}

/// A row of `execution_state`; none when a name in it is malformed.
pub(super) fn execution(row: &Row<'_>) -> rusqlite::Result<Option<ExecutionRecord>> {
    let (Some(run_id), Some(pipeline_id)) = (id(row, 0)?, id(row, 1)?) else {
        return Ok(None);
    };
    let (state, error) = state(row, 3, 10)?;
    Ok(Some(ExecutionRecord {
        run_id,
        pipeline_id,
        source: text(row, 2)?.unwrap_or_default(),
        state,
        started_at: instant(row, 4, 5)?.unwrap_or_default(),
        finished_at: instant(row, 6, 7)?,
        progress: fraction(row, 8)?,
        current_step: text(row, 9)?,
        error: error.as_deref().map(str::to_owned),
        metadata: text(row, 11)?.map(json_or_text),
    }))
}

/// A step; none when its name is malformed.
pub(super) fn step(row: &Row<'_>) -> rusqlite::Result<Option<StepRun>> {
    let Some(id) = id(row, 1)? else { return Ok(None) };
    let small = |index| int(row, index).map(|n| n.and_then(|n| i32::try_from(n).ok()));
    let peak = int(row, 8)?.and_then(|n| u64::try_from(n).ok());
    let peak_source = shared(row, 9)?;
    Ok(Some(StepRun {
        id,
        attempt: int(row, 2)?.and_then(|n| u32::try_from(n).ok()).unwrap_or(0),
        state: word(row, 3)?.and_then(StepState::parse).unwrap_or(StepState::Interrupted),
        exit_code: small(4)?,
        signal: small(5)?,
        started_at: word(row, 6)?.and_then(|text| parse_instant(text).ok()),
        finished_at: word(row, 7)?.and_then(|text| parse_instant(text).ok()),
        peak_rss: peak.map(|bytes| (bytes, peak_source.unwrap_or_default())),
        cpu_seconds: real(row, 10)?,
        progress: fraction(row, 11)?,
        message: shared(row, 12)?,
        error: shared(row, 13)?,
        pid: int(row, 14)?.and_then(|n| u32::try_from(n).ok()),
        outputs: shared(row, 15)?,
        ledger: from_json(row, 16)?,
    }))
}

/// A state and the error beside it. A word that is none of ours can't be acted on: the run shows as
/// interrupted and says why, so that it neither runs by itself nor is cleaned up.
fn state(
    row: &Row<'_>,
    state_index: usize,
    error_index: usize,
) -> rusqlite::Result<(RunState, Option<Arc<str>>)> {
    let error = shared(row, error_index)?;
    let word = text(row, state_index)?.unwrap_or_default();
    Ok(match RunState::parse(&word) {
        Some(state) => (state, error),
        None => {
            let why = format!("its recorded state, {word:?}, is none that Leverframe knows");
            (RunState::Interrupted, Some(error.unwrap_or_else(|| why.into())))
        }
    })
}

fn id<T: FromStr>(row: &Row<'_>, index: usize) -> rusqlite::Result<Option<T>> {
    Ok(word(row, index)?.and_then(|text| text.parse().ok()))
}

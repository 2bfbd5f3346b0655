//! From rows of `checkpoints.db` to values.

use std::str::FromStr;
use std::sync::Arc;

use rusqlite::Row;

use super::stored::ExecutionRecord;
use crate::base::time::parse_instant;
use crate::run::{RunState, RunSummary, StepRun, StepState, StoredStepLedger, Trigger};
use crate::store::sqlite::columns::{
    Named, fraction, from_json, instant, int, json_or_text, real, shared, text, word,
};

/// The columns that [`summary`] reads. Not all of them: lists are long, and some columns are large.
pub(super) const SUMMARY_COLUMNS: &str = "run_id, pipeline_id, source, run_type, environment, \"trigger\", state, progress, current_step, message, \
     started_at, started_ms, finished_at, finished_ms, frozen_ms, frozen_since, error, attempt, \
     CASE WHEN json_valid(ledger) THEN ledger ->> '$.work.worked_ms' END AS worked_ms, \
     CASE WHEN json_valid(ledger) THEN ledger ->> '$.work.since' END AS works_since";

/// A run's summary; none when an id in the row is malformed (the integrity check reports that).
pub(super) fn summary(row: &Row<'_>) -> rusqlite::Result<Option<RunSummary>> {
    let row = &Named::of(row);
    let (Some(run_id), Some(pipeline_id)) = (id(row, "run_id")?, id(row, "pipeline_id")?) else {
        return Ok(None);
    };
    let (state, error) = state(row)?;
    Ok(Some(RunSummary {
        run_id,
        pipeline_id,
        source: shared(row, "source")?.unwrap_or_default(),
        run_type: shared(row, "run_type")?.unwrap_or_default(),
        environment: shared(row, "environment")?.unwrap_or_default(),
        trigger: word(row, "trigger")?.and_then(Trigger::parse).unwrap_or(Trigger::Manual),
        state,
        live: false,
        progress: fraction(row, "progress")?,
        current_step: shared(row, "current_step")?,
        message: shared(row, "message")?,
        started_at: instant(row, "started_at", "started_ms")?.unwrap_or_default(),
        finished_at: instant(row, "finished_at", "finished_ms")?,
        frozen_seconds: int(row, "frozen_ms")?.unwrap_or(0).max(0) as f64 / 1000.0,
        frozen_since: word(row, "frozen_since")?.and_then(|text| parse_instant(text).ok()),
        worked_seconds: int(row, "worked_ms")?.map(|ms| ms.max(0) as f64 / 1000.0),
        works_since: word(row, "works_since")?.and_then(|text| parse_instant(text).ok()),
        error,
        attempt: int(row, "attempt")?.and_then(|n| u32::try_from(n).ok()).unwrap_or(1),
        waits_for: None,
    }))
}

/// A row of `execution_state`; none when an id in it is malformed.
pub(super) fn execution(row: &Row<'_>) -> rusqlite::Result<Option<ExecutionRecord>> {
    let row = &Named::of(row);
    let (Some(run_id), Some(pipeline_id)) = (id(row, "run_id")?, id(row, "pipeline_id")?) else {
        return Ok(None);
    };
    let (state, error) = state(row)?;
    Ok(Some(ExecutionRecord {
        run_id,
        pipeline_id,
        source: text(row, "source")?.unwrap_or_default(),
        state,
        started_at: instant(row, "started_at", "started_ms")?.unwrap_or_default(),
        finished_at: instant(row, "finished_at", "finished_ms")?,
        progress: fraction(row, "progress")?,
        current_step: text(row, "current_step")?,
        error: error.as_deref().map(str::to_owned),
        metadata: text(row, "metadata")?.map(json_or_text),
    }))
}

/// A step; none when its id is malformed.
pub(super) fn step(row: &Row<'_>) -> rusqlite::Result<Option<StepRun>> {
    let row = &Named::of(row);
    let Some(id) = id(row, "step_id")? else { return Ok(None) };
    let small = |column| int(row, column).map(|n| n.and_then(|n| i32::try_from(n).ok()));
    let peak = int(row, "peak_rss_bytes")?.and_then(|n| u64::try_from(n).ok());
    let peak_source = shared(row, "peak_rss_source")?;
    let state = word(row, "state")?.and_then(StepState::parse).unwrap_or(StepState::Interrupted);
    let (ledger, phase) = from_json::<StoredStepLedger, _>(row, "ledger")?.into_parts(state);
    Ok(Some(StepRun {
        id,
        attempt: int(row, "attempt")?.and_then(|n| u32::try_from(n).ok()).unwrap_or(0),
        phase,
        exit_code: small("exit_code")?,
        signal: small("signal")?,
        started_at: word(row, "started_at")?.and_then(|text| parse_instant(text).ok()),
        finished_at: word(row, "finished_at")?.and_then(|text| parse_instant(text).ok()),
        peak_rss: peak.map(|bytes| (bytes, peak_source.unwrap_or_default())),
        cpu_seconds: real(row, "cpu_seconds")?,
        progress: fraction(row, "progress")?,
        message: shared(row, "message")?,
        error: shared(row, "error")?,
        pid: int(row, "pid")?.and_then(|n| u32::try_from(n).ok()),
        outputs: shared(row, "outputs")?,
        ledger,
    }))
}

/// A state and the error beside it. A run in an unknown state is shown as interrupted, with the reason: it then neither
/// runs by itself nor is removed.
fn state(row: &Named<'_>) -> rusqlite::Result<(RunState, Option<Arc<str>>)> {
    let error = shared(row, "error")?;
    let word = text(row, "state")?.unwrap_or_default();
    Ok(match RunState::parse(&word) {
        Some(state) => (state, error),
        None => {
            let why = format!("its recorded state, {word:?}, is unknown to Leverframe");
            (RunState::Interrupted, Some(error.unwrap_or_else(|| why.into())))
        }
    })
}

fn id<T: FromStr>(row: &Named<'_>, column: &str) -> rusqlite::Result<Option<T>> {
    Ok(word(row, column)?.and_then(|text| text.parse().ok()))
}

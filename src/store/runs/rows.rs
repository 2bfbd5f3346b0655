//! From rows of `checkpoints.db` to values.

use std::str::FromStr;
use std::sync::Arc;

use rusqlite::Row;

use super::stored::ExecutionRecord;
use crate::base::time::parse_instant;
use crate::run::{RunState, RunSummary, StepRun, StepState, StoredStepLedger, Trigger};
use crate::store::sqlite::columns::{
    Cells, Named, fraction, from_json, instant, int, json_or_text, real, shared, text, word,
};

/// The columns that [`summary`] reads, at the places that [`at`] names. Not all of them: lists are long, and some columns
/// are large.
macro_rules! summary_columns {
    () => {
        "run_id, pipeline_id, source, run_type, environment, \"trigger\", state, progress, current_step, message, \
         started_at, started_ms, finished_at, finished_ms, frozen_ms, frozen_since, error, attempt, \
         CASE WHEN json_valid(ledger) THEN ledger ->> '$.work.worked_ms' END AS worked_ms, \
         CASE WHEN json_valid(ledger) THEN ledger ->> '$.work.since' END AS works_since"
    };
}

pub(super) const SUMMARY_COLUMNS: &str = summary_columns!();

/// Reads one run for [`summary`].
pub(super) const SUMMARY_OF_RUN: &str =
    concat!("SELECT ", summary_columns!(), " FROM execution_state WHERE run_id = ?1");

/// The places of these columns. To look for their names would take as long as to find the row.
mod at {
    pub(super) const RUN_ID: usize = 0;
    pub(super) const PIPELINE_ID: usize = 1;
    pub(super) const SOURCE: usize = 2;
    pub(super) const RUN_TYPE: usize = 3;
    pub(super) const ENVIRONMENT: usize = 4;
    pub(super) const TRIGGER: usize = 5;
    pub(super) const STATE: usize = 6;
    pub(super) const PROGRESS: usize = 7;
    pub(super) const CURRENT_STEP: usize = 8;
    pub(super) const MESSAGE: usize = 9;
    pub(super) const STARTED_AT: usize = 10;
    pub(super) const STARTED_MS: usize = 11;
    pub(super) const FINISHED_AT: usize = 12;
    pub(super) const FINISHED_MS: usize = 13;
    pub(super) const FROZEN_MS: usize = 14;
    pub(super) const FROZEN_SINCE: usize = 15;
    pub(super) const ERROR: usize = 16;
    pub(super) const ATTEMPT: usize = 17;
    pub(super) const WORKED_MS: usize = 18;
    pub(super) const WORKS_SINCE: usize = 19;
}

/// A run's summary; none when an id in the row is malformed (the integrity check reports that). The row begins with
/// [`SUMMARY_COLUMNS`].
pub(super) fn summary(row: &Row<'_>) -> rusqlite::Result<Option<RunSummary>> {
    let (Some(run_id), Some(pipeline_id)) = (id(row, at::RUN_ID)?, id(row, at::PIPELINE_ID)?) else {
        return Ok(None);
    };
    let (state, error) = state(row, at::STATE, at::ERROR)?;
    Ok(Some(RunSummary {
        run_id,
        pipeline_id,
        source: shared(row, at::SOURCE)?.unwrap_or_default(),
        run_type: shared(row, at::RUN_TYPE)?.unwrap_or_default(),
        environment: shared(row, at::ENVIRONMENT)?.unwrap_or_default(),
        trigger: word(row, at::TRIGGER)?.and_then(Trigger::parse).unwrap_or(Trigger::Manual),
        state,
        live: false,
        progress: fraction(row, at::PROGRESS)?,
        current_step: shared(row, at::CURRENT_STEP)?,
        message: shared(row, at::MESSAGE)?,
        started_at: instant(row, at::STARTED_AT, at::STARTED_MS)?.unwrap_or_default(),
        finished_at: instant(row, at::FINISHED_AT, at::FINISHED_MS)?,
        frozen_seconds: int(row, at::FROZEN_MS)?.unwrap_or(0).max(0) as f64 / 1000.0,
        frozen_since: word(row, at::FROZEN_SINCE)?.and_then(|text| parse_instant(text).ok()),
        worked_seconds: int(row, at::WORKED_MS)?.map(|ms| ms.max(0) as f64 / 1000.0),
        works_since: word(row, at::WORKS_SINCE)?.and_then(|text| parse_instant(text).ok()),
        error,
        attempt: int(row, at::ATTEMPT)?.and_then(|n| u32::try_from(n).ok()).unwrap_or(1),
        waits_for: None,
    }))
}

/// A row of `execution_state`; none when an id in it is malformed.
pub(super) fn execution(row: &Row<'_>) -> rusqlite::Result<Option<ExecutionRecord>> {
    let row = &Named::of(row);
    let (Some(run_id), Some(pipeline_id)) = (id(row, "run_id")?, id(row, "pipeline_id")?) else {
        return Ok(None);
    };
    let (state, error) = state(row, "state", "error")?;
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
fn state<C: Copy>(row: &impl Cells<C>, state: C, error: C) -> rusqlite::Result<(RunState, Option<Arc<str>>)> {
    let error = shared(row, error)?;
    Ok(match word(row, state)?.and_then(RunState::parse) {
        Some(state) => (state, error),
        None => {
            let word = text(row, state)?.unwrap_or_default();
            let why = format!("its recorded state, {word:?}, is unknown to Leverframe");
            (RunState::Interrupted, Some(error.unwrap_or_else(|| why.into())))
        }
    })
}

fn id<T: FromStr, C>(row: &impl Cells<C>, column: C) -> rusqlite::Result<Option<T>> {
    Ok(word(row, column)?.and_then(|text| text.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::CheckpointManager;

    #[test]
    fn the_columns_of_a_summary_are_at_their_places() {
        let store = CheckpointManager::in_memory().expect("a store");
        let names: Vec<String> = store.with_writer(|conn| {
            let statement = conn.prepare(SUMMARY_OF_RUN).expect("a statement");
            statement.column_names().map(str::to_owned).collect()
        });
        let places = [
            (at::RUN_ID, "run_id"),
            (at::PIPELINE_ID, "pipeline_id"),
            (at::SOURCE, "source"),
            (at::RUN_TYPE, "run_type"),
            (at::ENVIRONMENT, "environment"),
            (at::TRIGGER, "trigger"),
            (at::STATE, "state"),
            (at::PROGRESS, "progress"),
            (at::CURRENT_STEP, "current_step"),
            (at::MESSAGE, "message"),
            (at::STARTED_AT, "started_at"),
            (at::STARTED_MS, "started_ms"),
            (at::FINISHED_AT, "finished_at"),
            (at::FINISHED_MS, "finished_ms"),
            (at::FROZEN_MS, "frozen_ms"),
            (at::FROZEN_SINCE, "frozen_since"),
            (at::ERROR, "error"),
            (at::ATTEMPT, "attempt"),
            (at::WORKED_MS, "worked_ms"),
            (at::WORKS_SINCE, "works_since"),
        ];
        assert_eq!(names.len(), places.len());
        for (place, name) in places {
            assert_eq!(names[place], name);
        }
    }
}

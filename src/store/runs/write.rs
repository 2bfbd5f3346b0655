//! What can be written into `checkpoints.db`: checked on the caller's thread, then applied in one transaction.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};
use serde::Serialize;
use serde::de::IgnoredAny;

use super::definitions::Definitions;
use super::expect::expect;
use super::orders::write_orders;
use super::stored::ExecutionRecord;
use crate::admission::Orders;
use crate::base::id::{RunId, StepId};
use crate::base::time::format_instant;
use crate::run::{Body, Decision, Record, Run, RunState, StepRun, StepState};
use crate::store::error::StoreError;
use crate::store::sqlite::put::{Column, insert, update, upsert};

/// The longest checkpoint, in bytes of JSON.
const MAX_CHECKPOINT_BYTES: usize = 64 * 1024 * 1024;

/// One write. The writes of one commit are on disk together or not at all.
#[derive(Debug, Clone)]
pub enum RunWrite {
    /// Refuses the whole commit as [`StoreError::Invalid`] unless the run has this state and attempt on disk.
    Expect { run_id: RunId, state: RunState, attempt: u32 },
    /// A run's own row, new or changed, without its steps.
    Run(Arc<Run>),
    /// A step's row. If the step begins again (a later attempt, or waiting after an end), the row of its last attempt
    /// moves to the earlier attempts.
    Step { run_id: RunId, step: Arc<StepRun> },
    /// What a decision about a run records beside its rows.
    Record { run_id: RunId, record: Record },
    /// The operator's orders, which replace the last ones.
    Orders(Orders),
    /// The fixed columns of a run, and only those.
    Execution(Box<ExecutionRecord>),
}

impl RunWrite {
    /// Refuses data that can't be stored, so that one caller's data can't fail the others of its batch.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match self {
            Self::Record { run_id, record: Record::Checkpoint { step_id, data, .. } } => {
                StepId::new(&**step_id)?;
                check_checkpoint(run_id, step_id, data)
            }
            Self::Expect { .. }
            | Self::Run(_)
            | Self::Step { .. }
            | Self::Record { .. }
            | Self::Orders(_)
            | Self::Execution(_) => Ok(()),
        }
    }

    /// Applies the write in the open transaction of `conn`.
    pub(super) fn apply(&self, conn: &Connection, definitions: &Definitions) -> rusqlite::Result<()> {
        match self {
            Self::Expect { run_id, state, attempt } => expect(conn, run_id, *state, *attempt),
            Self::Run(run) => write_run(conn, run, definitions),
            Self::Step { run_id, step } => write_step(conn, run_id, step),
            Self::Record { run_id, record } => write_record(conn, run_id, record),
            Self::Orders(orders) => write_orders(conn, orders),
            Self::Execution(record) => write_execution(conn, record),
        }
    }
}

fn write_record(conn: &Connection, run_id: &RunId, record: &Record) -> rusqlite::Result<()> {
    match record {
        Record::EndedAttempt(step) => write_step(conn, run_id, step),
        Record::Checkpoint { step_id, data, at } => write_checkpoint(conn, run_id, step_id, data, *at),
        Record::ArchiveCheckpoint { step_id, attempt } => archive_checkpoint(conn, run_id, step_id, *attempt),
        Record::Decision(decision) => write_decision(conn, decision),
    }
}

fn json(value: &impl Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(unwritable)
}

fn unwritable(error: serde_json::Error) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(error.into())
}

fn check_checkpoint(run_id: &RunId, step_id: &str, data: &str) -> Result<(), StoreError> {
    if data.len() > MAX_CHECKPOINT_BYTES {
        return Err(StoreError::Invalid(format!(
            "the checkpoint of step {step_id} of run {run_id} has {} bytes; at most {MAX_CHECKPOINT_BYTES} are kept: \
             store the data in a file and checkpoint its path",
            data.len()
        )));
    }
    serde_json::from_str::<IgnoredAny>(data).map_err(|error| {
        StoreError::Invalid(format!("the checkpoint of step {step_id} of run {run_id} is not JSON: {error}"))
    })?;
    Ok(())
}

/// Three statements, because an UPDATE looks into every index whose columns it names. Most changes leave the run's state and
/// end as they are, and the first statement then touches one page.
fn write_run(conn: &Connection, run: &Run, definitions: &Definitions) -> rusqlite::Result<()> {
    let definition_hash = run.definition().map(|definition| definitions.hash(definition));
    let finished_at = run.phase.finished_at().map(format_instant);
    let finished_ms = run.phase.finished_at().map(|at| at.timestamp_millis());
    let frozen_since = run.phase.frozen_since().map(format_instant);
    let frozen_ms = run.ledger.frozen_ms as i64;
    let body = match run.body {
        Body::Driven => "driven",
        Body::Pipeline(_) => "pipeline",
    };
    let (id, state) = (run.id.as_str(), run.state().as_str());
    let plain: &[Column<'_>] = &[
        ("source", &run.source.as_ref()),
        ("run_type", &run.run_type.as_ref()),
        ("environment", &run.environment.as_ref()),
        ("trigger", &run.trigger.as_str()),
        ("attempt", &run.attempt),
        ("progress", &run.progress),
        ("current_step", &run.current_step.as_deref()),
        ("message", &run.message.as_deref()),
        ("error", &run.error.as_deref()),
        ("metadata", &run.metadata.as_deref()),
        ("params", &json(&run.params)?),
        ("frozen_ms", &frozen_ms),
        ("frozen_since", &frozen_since),
        ("body", &body),
        ("ledger", &run.ledger_json().map_err(unwritable)?),
    ];
    let same = "run_id = ? AND state = ? AND finished_at IS ? AND finished_ms IS ? AND definition_hash IS ?";
    if update(
        conn,
        "execution_state",
        plain,
        same,
        &[&id, &state, &finished_at, &finished_ms, &definition_hash],
    )? > 0
    {
        return Ok(());
    }
    if let Some(definition) = run.definition() {
        definitions.write(conn, definition)?;
    }
    let indexed: &[Column<'_>] = &[
        ("state", &state),
        ("finished_at", &finished_at),
        ("finished_ms", &finished_ms),
        ("definition_hash", &definition_hash),
    ];
    let changed = [indexed, plain].concat();
    if update(conn, "execution_state", &changed, "run_id = ?", &[&id])? > 0 {
        return Ok(());
    }
    let fixed: &[Column<'_>] = &[
        ("run_id", &id),
        ("pipeline_id", &run.pipeline_id.as_str()),
        ("started_at", &format_instant(run.started_at)),
        ("started_ms", &run.started_at.timestamp_millis()),
    ];
    insert(conn, "execution_state", &[fixed, &changed].concat())
}

/// The columns of `steps` that `attempts` has too.
macro_rules! step_columns {
    () => {
        "run_id, step_id, attempt, state, exit_code, signal, started_at, finished_at, peak_rss_bytes, \
         peak_rss_source, cpu_seconds, progress, message, error, pid, outputs, ledger"
    };
}

fn write_step(conn: &Connection, run_id: &RunId, step: &StepRun) -> rusqlite::Result<()> {
    let begins_again = match step.state() {
        StepState::Pending | StepState::Waiting | StepState::Skipped => step.attempt >= 1,
        StepState::Running
        | StepState::Paused
        | StepState::Completed
        | StepState::Failed
        | StepState::Stopped
        | StepState::Interrupted => false,
    };
    if begins_again || step.attempt >= 2 {
        conn.prepare_cached(concat!(
            "INSERT OR IGNORE INTO attempts (",
            step_columns!(),
            ") SELECT ",
            step_columns!(),
            " FROM steps WHERE run_id = ?1 AND step_id = ?2 AND attempt >= 1
               AND (attempt < ?3
                 OR (?4 AND attempt = ?3 AND state IN ('completed', 'failed', 'stopped', 'interrupted')))"
        ))?
        .execute(params![run_id.as_str(), step.id.as_str(), step.attempt, begins_again])?;
    }
    let peak = step.peak_rss.as_ref();
    let keys: &[Column<'_>] = &[("run_id", &run_id.as_str()), ("step_id", &step.id.as_str())];
    let row: &[Column<'_>] = &[
        ("attempt", &step.attempt),
        ("state", &step.state().as_str()),
        ("exit_code", &step.exit_code),
        ("signal", &step.signal),
        ("started_at", &step.started_at.map(format_instant)),
        ("finished_at", &step.finished_at.map(format_instant)),
        ("peak_rss_bytes", &peak.map(|(bytes, _)| i64::try_from(*bytes).unwrap_or(i64::MAX))),
        ("peak_rss_source", &peak.map(|(_, source)| source.as_ref())),
        ("cpu_seconds", &step.cpu_seconds),
        // SQLite would store NaN as NULL.
        ("progress", &if step.progress.is_finite() { step.progress } else { 0.0 }),
        ("message", &step.message.as_deref()),
        ("error", &step.error.as_deref()),
        ("pid", &step.pid),
        ("outputs", &step.outputs.as_deref()),
        ("ledger", &step.ledger_json().map_err(unwritable)?),
    ];
    upsert(conn, "steps", keys, row)
}

fn write_checkpoint(
    conn: &Connection,
    run_id: &RunId,
    step_id: &str,
    data: &str,
    at: DateTime<Utc>,
) -> rusqlite::Result<()> {
    let keys: &[Column<'_>] = &[("run_id", &run_id.as_str()), ("step_id", &step_id)];
    let row: &[Column<'_>] = &[
        ("checkpoint_data", &data),
        ("created_at", &format_instant(at)),
        ("created_ms", &at.timestamp_millis()),
    ];
    upsert(conn, "checkpoints", keys, row)
}

fn archive_checkpoint(
    conn: &Connection,
    run_id: &RunId,
    step_id: &StepId,
    attempt: u32,
) -> rusqlite::Result<()> {
    let (run_id, step_id) = (run_id.as_str(), step_id.as_str());
    // The attempt may still be the current one, or may not exist (a script wrote the checkpoint).
    conn.prepare_cached(concat!(
        "INSERT OR IGNORE INTO attempts (",
        step_columns!(),
        ") SELECT ",
        step_columns!(),
        " FROM steps WHERE run_id = ?1 AND step_id = ?2 AND attempt = ?3"
    ))?
    .execute(params![run_id, step_id, attempt])?;
    conn.prepare_cached(
        "INSERT INTO attempts (run_id, step_id, attempt, state, progress, archived_checkpoint)
         SELECT run_id, step_id, ?3, 'interrupted', 0, checkpoint_data FROM checkpoints
           WHERE run_id = ?1 AND step_id = ?2
         ON CONFLICT (run_id, step_id, attempt)
         DO UPDATE SET archived_checkpoint = excluded.archived_checkpoint",
    )?
    .execute(params![run_id, step_id, attempt])?;
    conn.prepare_cached("DELETE FROM checkpoints WHERE run_id = ?1 AND step_id = ?2")?
        .execute(params![run_id, step_id])?;
    Ok(())
}

fn write_decision(conn: &Connection, decision: &Decision) -> rusqlite::Result<()> {
    let row: &[Column<'_>] = &[
        ("at", &format_instant(decision.at)),
        ("at_ms", &decision.at.timestamp_millis()),
        ("run_id", &decision.run_id.as_str()),
        ("step_id", &decision.step_id.as_ref().map(StepId::as_str)),
        ("text", &decision.text),
    ];
    insert(conn, "recovery_decisions", row)
}

fn write_execution(conn: &Connection, record: &ExecutionRecord) -> rusqlite::Result<()> {
    let row: &[Column<'_>] = &[
        ("pipeline_id", &record.pipeline_id.as_str()),
        ("source", &record.source),
        ("state", &record.state.as_str()),
        ("started_at", &format_instant(record.started_at)),
        ("started_ms", &record.started_at.timestamp_millis()),
        ("finished_at", &record.finished_at.map(format_instant)),
        ("finished_ms", &record.finished_at.map(|at| at.timestamp_millis())),
        ("progress", &record.progress),
        ("current_step", &record.current_step),
        ("error", &record.error),
        ("metadata", &record.metadata.as_ref().map(ToString::to_string)),
    ];
    upsert(conn, "execution_state", &[("run_id", &record.run_id.as_str())], row)
}

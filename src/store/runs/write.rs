//! What may be written, checked and made ready on the caller's thread, so that the one that commits has
//! only to bind and step.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, ToSql, params};
use serde::de::IgnoredAny;

use super::expect::expect;
use super::orders::write_orders;
use super::rows::step_columns;
use super::stored::ExecutionRecord;
use crate::admission::Orders;
use crate::base::id::{RunId, StepId};
use crate::base::time::format_instant;
use crate::run::{Body, Decision, Definition, Run, RunState, StepRun, StepState};
use crate::store::StoreError;

/// The longest checkpoint, in bytes of JSON.
const MAX_CHECKPOINT_BYTES: usize = 64 * 1024 * 1024;

/// One thing to record. All writes of one commit are on disk together or not at all.
#[derive(Debug, Clone)]
pub enum Write {
    /// The whole commit is refused as [`StoreError::Invalid`] unless this run still stands so on disk.
    Expect {
        /// Which.
        run_id: RunId,
        /// Its state.
        state: RunState,
        /// Its attempt.
        attempt: u32,
    },
    /// A run's own row, new or changed; not its steps.
    Run(Arc<Run>),
    /// A step's row. When it begins afresh (a later attempt, or waiting again after an end), the attempt
    /// that stood there is kept among the earlier ones as it was written last.
    Step {
        /// Whose.
        run_id: RunId,
        /// As it is now.
        step: Arc<StepRun>,
    },
    /// What a step checkpointed: replaces its last.
    Checkpoint {
        /// Whose.
        run_id: RunId,
        /// Which step.
        step_id: String,
        /// JSON text.
        data: String,
        /// When.
        at: DateTime<Utc>,
    },
    /// A retry sets a step's checkpoint aside, with this earlier attempt of it.
    ArchiveCheckpoint {
        /// Whose.
        run_id: RunId,
        /// Which step.
        step_id: String,
        /// Which attempt.
        attempt: u32,
    },
    /// What recovery decided.
    Decisions(Vec<Decision>),
    /// The operator's standing orders: they replace the last.
    Orders(Orders),
    /// The fixed columns of a run, and only those.
    Execution(Box<ExecutionRecord>),
}

/// A write that nothing is wrong with, with its texts made.
#[derive(Debug)]
pub(super) enum Prepared {
    Expect { run_id: RunId, state: RunState, attempt: u32 },
    Run { run: Arc<Run>, params: String, ledger: String, definition_hash: Option<Arc<str>> },
    Step { run_id: RunId, step: Arc<StepRun>, ledger: String },
    Checkpoint { run_id: RunId, step_id: String, data: String, at: DateTime<Utc> },
    ArchiveCheckpoint { run_id: RunId, step_id: String, attempt: u32 },
    Decisions(Vec<Decision>),
    Orders(Orders),
    Execution { record: Box<ExecutionRecord>, metadata: Option<String> },
}

impl Prepared {
    /// Checks `write`, so that what one caller hands over can't fail the others of its batch.
    pub(super) fn new(
        write: &Write,
        hash: impl Fn(&Arc<Definition>) -> Arc<str>,
    ) -> Result<Self, StoreError> {
        let json_error = |error: serde_json::Error| StoreError::Invalid(error.to_string());
        Ok(match write {
            Write::Expect { run_id, state, attempt } => {
                Self::Expect { run_id: run_id.clone(), state: *state, attempt: *attempt }
            }
            Write::Run(run) => Self::Run {
                run: run.clone(),
                params: serde_json::to_string(&run.params).map_err(json_error)?,
                ledger: serde_json::to_string(&run.ledger).map_err(json_error)?,
                definition_hash: run.definition().map(hash),
            },
            Write::Step { run_id, step } => Self::Step {
                run_id: run_id.clone(),
                step: step.clone(),
                ledger: serde_json::to_string(&step.ledger).map_err(json_error)?,
            },
            Write::Checkpoint { run_id, step_id, data, at } => {
                StepId::new(step_id)?;
                check_checkpoint(run_id, step_id, data)?;
                Self::Checkpoint {
                    run_id: run_id.clone(),
                    step_id: step_id.clone(),
                    data: data.clone(),
                    at: *at,
                }
            }
            Write::ArchiveCheckpoint { run_id, step_id, attempt } => {
                StepId::new(step_id)?;
                Self::ArchiveCheckpoint {
                    run_id: run_id.clone(),
                    step_id: step_id.clone(),
                    attempt: *attempt,
                }
            }
            Write::Decisions(decisions) => Self::Decisions(decisions.clone()),
            Write::Orders(orders) => Self::Orders(*orders),
            Write::Execution(record) => Self::Execution {
                record: record.clone(),
                metadata: record.metadata.as_ref().map(ToString::to_string),
            },
        })
    }

    /// Writes it within the transaction that is open on `conn`.
    pub(super) fn apply(&self, conn: &Connection) -> rusqlite::Result<()> {
        match self {
            Self::Expect { run_id, state, attempt } => expect(conn, run_id, *state, *attempt),
            Self::Run { run, params, ledger, definition_hash } => {
                write_run(conn, run, params, ledger, definition_hash.as_deref())
            }
            Self::Step { run_id, step, ledger } => write_step(conn, run_id, step, ledger),
            Self::Checkpoint { run_id, step_id, data, at } => {
                write_checkpoint(conn, run_id, step_id, data, *at)
            }
            Self::ArchiveCheckpoint { run_id, step_id, attempt } => {
                archive_checkpoint(conn, run_id, step_id, *attempt)
            }
            Self::Decisions(decisions) => {
                decisions.iter().try_for_each(|decision| write_decision(conn, decision))
            }
            Self::Orders(orders) => write_orders(conn, orders),
            Self::Execution { record, metadata } => write_execution(conn, record, metadata.as_deref()),
        }
    }
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
        StoreError::Invalid(format!("the checkpoint of step {step_id} of run {run_id} is no JSON: {error}"))
    })?;
    Ok(())
}

/// Three statements, because an UPDATE rewrites every index whose columns it names: most changes of a
/// run leave its state alone and then touch one page.
fn write_run(
    conn: &Connection,
    run: &Run,
    run_params: &str,
    ledger: &str,
    definition_hash: Option<&str>,
) -> rusqlite::Result<()> {
    let finished_at = run.finished_at.map(format_instant);
    let finished_ms = run.finished_at.map(|at| at.timestamp_millis());
    let frozen_since = run.ledger.frozen_since.map(format_instant);
    let frozen_ms = run.ledger.frozen_ms as i64;
    let body = match run.body {
        Body::Driven => "driven",
        Body::Pipeline(_) => "pipeline",
    };
    let started_at = format_instant(run.started_at);
    let started_ms = run.started_at.timestamp_millis();
    let values: [&dyn ToSql; 23] = [
        &run.id.as_str(),
        &run.state.as_str(),
        &definition_hash,
        &run.source.as_ref(),
        &run.run_type.as_ref(),
        &run.environment.as_ref(),
        &run.trigger.as_str(),
        &run.attempt,
        &finished_at,
        &finished_ms,
        &run.progress,
        &run.current_step.as_deref(),
        &run.message.as_deref(),
        &run.error.as_deref(),
        &run.metadata.as_deref(),
        &run_params,
        &frozen_ms,
        &frozen_since,
        &body,
        &ledger,
        &run.pipeline_id.as_str(),
        &started_at,
        &started_ms,
    ];
    macro_rules! plain_columns {
        () => {
            "source = ?4, run_type = ?5, environment = ?6, \"trigger\" = ?7, attempt = ?8, \
             finished_at = ?9, finished_ms = ?10, progress = ?11, current_step = ?12, message = ?13, \
             error = ?14, metadata = ?15, params = ?16, frozen_ms = ?17, frozen_since = ?18, body = ?19, \
             ledger = ?20"
        };
    }
    let same_state = conn
        .prepare_cached(concat!(
            "UPDATE execution_state SET ",
            plain_columns!(),
            " WHERE run_id = ?1 AND state = ?2 AND definition_hash IS ?3"
        ))?
        .execute(&values[..20])?;
    if same_state > 0 {
        return Ok(());
    }
    if let (Some(hash), Body::Pipeline(definition)) = (definition_hash, &run.body) {
        conn.prepare_cached("INSERT OR IGNORE INTO definitions (hash, path, text) VALUES (?1, ?2, ?3)")?
            .execute(params![hash, definition.path.as_ref(), definition.text.as_ref()])?;
    }
    let other_state = conn
        .prepare_cached(concat!(
            "UPDATE execution_state SET state = ?2, definition_hash = ?3, ",
            plain_columns!(),
            " WHERE run_id = ?1"
        ))?
        .execute(&values[..20])?;
    if other_state > 0 {
        return Ok(());
    }
    conn.prepare_cached(
        "INSERT INTO execution_state (run_id, state, definition_hash, source, run_type, environment,
           \"trigger\", attempt, finished_at, finished_ms, progress, current_step, message, error, metadata,
           params, frozen_ms, frozen_since, body, ledger, pipeline_id, started_at, started_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20,
           ?21, ?22, ?23)",
    )?
    .execute(&values[..])?;
    Ok(())
}

fn write_step(conn: &Connection, run_id: &RunId, step: &StepRun, ledger: &str) -> rusqlite::Result<()> {
    let begins_again = match step.state {
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
    conn.prepare_cached(concat!(
        "INSERT INTO steps (",
        step_columns!(),
        ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
         ON CONFLICT (run_id, step_id) DO UPDATE SET attempt = ?3, state = ?4, exit_code = ?5, signal = ?6,
           started_at = ?7, finished_at = ?8, peak_rss_bytes = ?9, peak_rss_source = ?10, cpu_seconds = ?11,
           progress = ?12, message = ?13, error = ?14, pid = ?15, outputs = ?16, ledger = ?17"
    ))?
    .execute(params![
        run_id.as_str(),
        step.id.as_str(),
        step.attempt,
        step.state.as_str(),
        step.exit_code,
        step.signal,
        step.started_at.map(format_instant),
        step.finished_at.map(format_instant),
        peak.map(|(bytes, _)| i64::try_from(*bytes).unwrap_or(i64::MAX)),
        peak.map(|(_, source)| source.as_ref()),
        step.cpu_seconds,
        // A number that is none would be stored as NULL.
        if step.progress.is_finite() { step.progress } else { 0.0 },
        step.message.as_deref(),
        step.error.as_deref(),
        step.pid,
        step.outputs.as_deref(),
        ledger,
    ])?;
    Ok(())
}

fn write_checkpoint(
    conn: &Connection,
    run_id: &RunId,
    step_id: &str,
    data: &str,
    at: DateTime<Utc>,
) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT INTO checkpoints (run_id, step_id, checkpoint_data, created_at, created_ms)
         VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (run_id, step_id)
         DO UPDATE SET checkpoint_data = ?3, created_at = ?4, created_ms = ?5",
    )?
    .execute(params![run_id.as_str(), step_id, data, format_instant(at), at.timestamp_millis()])?;
    Ok(())
}

fn archive_checkpoint(
    conn: &Connection,
    run_id: &RunId,
    step_id: &str,
    attempt: u32,
) -> rusqlite::Result<()> {
    // The attempt may still stand as the current one, or (filled in by hand) not at all.
    conn.prepare_cached(concat!(
        "INSERT OR IGNORE INTO attempts (",
        step_columns!(),
        ") SELECT ",
        step_columns!(),
        " FROM steps WHERE run_id = ?1 AND step_id = ?2 AND attempt = ?3"
    ))?
    .execute(params![run_id.as_str(), step_id, attempt])?;
    conn.prepare_cached(
        "INSERT INTO attempts (run_id, step_id, attempt, state, progress, archived_checkpoint)
         SELECT run_id, step_id, ?3, 'interrupted', 0, checkpoint_data FROM checkpoints
           WHERE run_id = ?1 AND step_id = ?2
         ON CONFLICT (run_id, step_id, attempt)
         DO UPDATE SET archived_checkpoint = excluded.archived_checkpoint",
    )?
    .execute(params![run_id.as_str(), step_id, attempt])?;
    conn.prepare_cached("DELETE FROM checkpoints WHERE run_id = ?1 AND step_id = ?2")?
        .execute(params![run_id.as_str(), step_id])?;
    Ok(())
}

fn write_decision(conn: &Connection, decision: &Decision) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT INTO recovery_decisions (at, at_ms, run_id, step_id, text) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![
        format_instant(decision.at),
        decision.at.timestamp_millis(),
        decision.run_id.as_str(),
        decision.step_id.as_ref().map(StepId::as_str),
        decision.text,
    ])?;
    Ok(())
}

fn write_execution(
    conn: &Connection,
    record: &ExecutionRecord,
    metadata: Option<&str>,
) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT INTO execution_state (run_id, pipeline_id, source, state, started_at, started_ms, finished_at,
           finished_ms, progress, current_step, error, metadata)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
         ON CONFLICT (run_id)
         DO UPDATE SET pipeline_id = ?2, source = ?3, state = ?4, started_at = ?5, started_ms = ?6,
           finished_at = ?7, finished_ms = ?8, progress = ?9, current_step = ?10, error = ?11, metadata = ?12",
    )?
    .execute(params![
        record.run_id.as_str(),
        record.pipeline_id.as_str(),
        record.source,
        record.state.as_str(),
        format_instant(record.started_at),
        record.started_at.timestamp_millis(),
        record.finished_at.map(format_instant),
        record.finished_at.map(|at| at.timestamp_millis()),
        record.progress,
        record.current_step,
        record.error,
        metadata,
    ])?;
    Ok(())
}

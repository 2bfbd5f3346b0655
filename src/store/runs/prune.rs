//! Retention: first a plan, which anyone can read, then the removal in small batches, so that the writer never waits
//! for long.
//!
//! Some runs stay whatever their age: runs that have not ended, interrupted runs (they wait for the operator), and the
//! last completed run of each pipeline. Failed, stopped and force-stopped runs can be resumed too, so only their age
//! counts, never their number: a bad night does not push out what is to be resumed in the morning. When all logs
//! together are too large, the oldest logs go; the rows stay.
//!
//! The transaction that deletes a run's rows also checks that the run is still as planned, and sets its folders aside.
//! No other writer can commit meanwhile: a run that is being resumed is either seen, or is gone before. The folders are
//! removed afterwards. After a crash in between, the next prune removes them, or gives them back to a run that still
//! has its row.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, OptionalExtension, params};

use super::CheckpointManager;
use super::aside::{Aside, aside_in, remove_folder};
use crate::base::id::{PipelineId, RunId};
use crate::run::RunState;
use crate::store::error::StoreError;
use crate::store::sqlite::columns;

/// Runs deleted in one transaction.
const BATCH: usize = 32;

/// How much history is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Ended runs that are older go.
    pub max_age: Duration,
    /// Completed runs go that are not among this many newest runs of their pipeline.
    pub max_runs_per_pipeline: usize,
    /// When all logs together have more bytes than this, the logs of the oldest runs go.
    pub max_log_bytes: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            max_age: Duration::from_secs(90 * 24 * 60 * 60),
            max_runs_per_pipeline: 200,
            max_log_bytes: 10 * 1024 * 1024 * 1024,
        }
    }
}

/// What would be removed. A caller can take a run out that it must keep.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PrunePlan {
    /// Runs that are removed, oldest first.
    pub runs: Vec<PrunedRun>,
    /// Runs of which only the logs are removed, oldest first.
    pub logs: Vec<PrunedRun>,
    /// Run ids of checkpoints without a run, saved before `before`.
    pub stray_checkpoints: Vec<String>,
    /// Only checkpoints saved before this instant go.
    pub before: Option<DateTime<Utc>>,
}

/// One run of a [`PrunePlan`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrunedRun {
    pub run_id: RunId,
    pub pipeline_id: PipelineId,
    /// The state when it was planned. If it changes before the plan is applied, the run stays.
    pub state: RunState,
    pub started_at: DateTime<Utc>,
    /// The size of its logs.
    pub log_bytes: u64,
    pub reason: PruneReason,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PruneReason {
    /// It ended before the age limit.
    Old,
    /// Its pipeline has more runs than are kept.
    Many,
    /// All logs together are larger than allowed.
    LogBytes,
    /// The operator deletes it.
    Chosen,
}

/// What was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PruneReport {
    /// Runs that were removed.
    pub n_runs: usize,
    /// Runs of which only the logs were removed.
    pub n_logs: usize,
    /// The size of the removed logs.
    pub log_bytes: u64,
    /// Folders that could not be removed, each with the reason. The next prune tries again.
    pub problems: Vec<String>,
}

struct Candidate {
    run: PrunedRun,
    ended_ms: i64,
}

#[doc(hidden)]
impl CheckpointManager {
    /// Plans what `retention` removes at `now`. `log_bytes` gives the size of a run's logs, which count against the
    /// limit whatever the run's state.
    pub fn plan_prune(
        &self,
        retention: &Retention,
        now: DateTime<Utc>,
        log_bytes: impl Fn(&RunId) -> u64,
    ) -> Result<PrunePlan, StoreError> {
        let max_age = TimeDelta::from_std(retention.max_age).unwrap_or(TimeDelta::MAX);
        let before = now.checked_sub_signed(max_age).unwrap_or(DateTime::<Utc>::MIN_UTC);
        let before_ms = before.timestamp_millis();
        let (candidates, stray_checkpoints) = self.database().read_consistently(|conn| {
            let candidates: Vec<Candidate> = conn
                .prepare_cached(
                    "SELECT run_id, pipeline_id, state, started_ms, COALESCE(finished_ms, started_ms)
                     FROM execution_state ORDER BY started_ms DESC, rowid DESC",
                )?
                .query_map([], |row| {
                    let name = |i| columns::text(row, i).map(Option::unwrap_or_default);
                    let number = |i| columns::int(row, i).map(|n| n.unwrap_or(i64::MAX));
                    let (run_id, pipeline_id) = (RunId::new(name(0)?), PipelineId::new(name(1)?));
                    let state = RunState::parse(&name(2)?);
                    let started_at = DateTime::from_timestamp_millis(number(3)?).unwrap_or_default();
                    let ended_ms = number(4)?;
                    // A row that can't be read is not ours to delete.
                    let (Ok(run_id), Ok(pipeline_id), Some(state)) = (run_id, pipeline_id, state) else {
                        return Ok(None);
                    };
                    let reason = PruneReason::Old;
                    let run = PrunedRun { run_id, pipeline_id, state, started_at, log_bytes: 0, reason };
                    Ok(Some(Candidate { run, ended_ms }))
                })?
                .filter_map(Result::transpose)
                .collect::<Result<_, _>>()?;
            let stray: Vec<String> = conn
                .prepare_cached(
                    "SELECT DISTINCT run_id FROM checkpoints WHERE created_ms < ?1
                       AND NOT EXISTS (SELECT 1 FROM execution_state e WHERE e.run_id = checkpoints.run_id)",
                )?
                .query_map([before_ms], |row| row.get(0))?
                .collect::<Result<_, _>>()?;
            Ok((candidates, stray))
        })?;
        let (runs, logs) = sort_out(candidates, retention, before_ms, log_bytes);
        Ok(PrunePlan { runs, logs, stray_checkpoints, before: Some(before) })
    }

    /// Removes what `plan` names, with the files below `data_dir`. A run that has changed since the plan stays. Safe
    /// while an engine works, and safe to interrupt.
    ///
    /// # Errors
    /// As the database reports. What was removed until then stays removed; the next plan finds the rest.
    pub fn apply_prune(&self, plan: &PrunePlan, data_dir: &Path) -> Result<PruneReport, StoreError> {
        let mut report = PruneReport::default();
        self.clear_aside(data_dir)?;
        for batch in plan.logs.chunks(BATCH) {
            let aside = self.take_out(batch, data_dir, &["logs"], &mut report.problems, |_, _| Ok(()))?;
            report.n_logs += aside.len();
            report.log_bytes += aside.iter().map(|(run, _)| run.log_bytes).sum::<u64>();
            remove_aside(aside, &mut report.problems);
        }
        for batch in plan.runs.chunks(BATCH) {
            let kinds = ["reports", "logs"];
            let aside = self.take_out(batch, data_dir, &kinds, &mut report.problems, remove_rows)?;
            report.n_runs += aside.len();
            report.log_bytes += aside.iter().map(|(run, _)| run.log_bytes).sum::<u64>();
            remove_aside(aside, &mut report.problems);
        }
        if let Some(before) = plan.before {
            for run_ids in plan.stray_checkpoints.chunks(BATCH) {
                self.database().transaction(|tx| {
                    let mut remove = tx.prepare_cached(
                        "DELETE FROM checkpoints WHERE run_id = ?1 AND created_ms < ?2
                           AND NOT EXISTS (SELECT 1 FROM execution_state WHERE run_id = ?1)",
                    )?;
                    for run_id in run_ids {
                        remove.execute(params![run_id, before.timestamp_millis()])?;
                    }
                    Ok(())
                })?;
            }
        }
        if report.n_runs > 0 {
            self.remove_unused_definitions()?;
            self.database().write_back_wal()?;
        }
        Ok(report)
    }

    /// Sets the folders of those runs aside that are still as planned, and calls `with_rows` for each, all in one
    /// transaction. Adds to `problems` why a run's folders could not be set aside.
    fn take_out<'a>(
        &self,
        runs: &'a [PrunedRun],
        data_dir: &Path,
        kinds: &[&str],
        problems: &mut Vec<String>,
        with_rows: impl Fn(&Connection, &RunId) -> rusqlite::Result<()>,
    ) -> Result<Vec<(&'a PrunedRun, Aside)>, StoreError> {
        let (mut taken, mut refused) = (Vec::with_capacity(runs.len()), Vec::new());
        let outcome = self.database().transaction(|tx| {
            for run in runs {
                if state_of(tx, &run.run_id)?.as_deref() != Some(run.state.as_str()) {
                    continue;
                }
                match Aside::put(data_dir, kinds, &run.run_id) {
                    Ok(aside) => taken.push((run, aside)),
                    Err(problem) => {
                        refused.push(problem);
                        continue;
                    }
                }
                with_rows(tx, &run.run_id)?;
            }
            Ok(())
        });
        problems.extend(refused);
        if let Err(error) = outcome {
            taken.into_iter().for_each(|(_, aside)| aside.put_back());
            return Err(error);
        }
        Ok(taken)
    }

    /// Gives folders that an earlier prune has set aside back to runs that still have a row, and removes the others. It
    /// runs in a transaction, so that it never sees what another prune has set aside and not committed yet.
    pub(super) fn clear_aside(&self, data_dir: &Path) -> Result<(), StoreError> {
        if aside_in(data_dir).is_empty() {
            return Ok(());
        }
        let useless = self.database().transaction(|tx| {
            let mut useless = Vec::new();
            for (run_id, place, away) in aside_in(data_dir) {
                let has_row = state_of(tx, &run_id)?.is_some();
                let is_given_back = has_row && !place.exists() && std::fs::rename(&away, place).is_ok();
                if !is_given_back {
                    useless.push(away);
                }
            }
            Ok(useless)
        })?;
        for folder in useless {
            // The next prune finds it again.
            let _ = remove_folder(&folder);
        }
        Ok(())
    }

    fn remove_unused_definitions(&self) -> Result<(), StoreError> {
        self.database()
            .transaction(|tx| {
                tx.execute(
                    "DELETE FROM definitions
                 WHERE NOT EXISTS (SELECT 1 FROM execution_state WHERE definition_hash = definitions.hash)",
                    [],
                )
            })
            .map(|_| ())
    }
}

fn state_of(conn: &Connection, run_id: &RunId) -> rusqlite::Result<Option<String>> {
    conn.prepare_cached("SELECT state FROM execution_state WHERE run_id = ?1")?
        .query_row([run_id.as_str()], |row| row.get(0))
        .optional()
}

pub(super) fn remove_rows(conn: &Connection, run_id: &RunId) -> rusqlite::Result<()> {
    for table in ["execution_state", "checkpoints", "steps", "attempts", "recovery_decisions"] {
        let statement = format!("DELETE FROM {table} WHERE run_id = ?1");
        conn.prepare_cached(&statement)?.execute([run_id.as_str()])?;
    }
    Ok(())
}

fn remove_aside(aside: Vec<(&PrunedRun, Aside)>, problems: &mut Vec<String>) {
    let folders = aside.into_iter().flat_map(|(_, aside)| aside.into_folders());
    problems.extend(folders.filter_map(|away| remove_folder(&away).err()));
}

/// Splits `candidates` (newest first) into runs to remove and runs whose logs alone go, both oldest first.
fn sort_out(
    candidates: Vec<Candidate>,
    retention: &Retention,
    before_ms: i64,
    log_bytes: impl Fn(&RunId) -> u64,
) -> (Vec<PrunedRun>, Vec<PrunedRun>) {
    let mut n_runs: HashMap<PipelineId, usize> = HashMap::new();
    let mut completed: HashSet<PipelineId> = HashSet::new();
    let mut runs = Vec::new();
    let mut kept = Vec::new();
    let mut kept_bytes: u64 = 0;
    for Candidate { mut run, ended_ms } in candidates {
        let n = n_runs.entry(run.pipeline_id.clone()).or_default();
        *n += 1;
        let is_many = *n > retention.max_runs_per_pipeline;
        let is_old = ended_ms < before_ms;
        let (may_go, reason) = match run.state {
            RunState::Queued
            | RunState::Running
            | RunState::Paused
            | RunState::Stopping
            | RunState::Interrupted => (false, None),
            RunState::Failed | RunState::Stopped | RunState::ForceStopped => {
                (true, is_old.then_some(PruneReason::Old))
            }
            RunState::Completed if completed.insert(run.pipeline_id.clone()) => (false, None),
            RunState::Completed if is_old => (true, Some(PruneReason::Old)),
            RunState::Completed => (true, is_many.then_some(PruneReason::Many)),
        };
        run.log_bytes = log_bytes(&run.run_id);
        match reason {
            Some(reason) => runs.push(PrunedRun { reason, ..run }),
            None => {
                kept_bytes = kept_bytes.saturating_add(run.log_bytes);
                if may_go && run.log_bytes > 0 {
                    kept.push(PrunedRun { reason: PruneReason::LogBytes, ..run });
                }
            }
        }
    }
    runs.reverse();
    let logs = kept
        .into_iter()
        .rev()
        .take_while(|run| {
            let is_too_much = kept_bytes > retention.max_log_bytes;
            kept_bytes -= run.log_bytes;
            is_too_much
        })
        .collect();
    (runs, logs)
}

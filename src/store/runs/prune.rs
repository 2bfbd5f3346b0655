//! Retention: what is old or too much is planned first, for anyone to read, and then removed in small
//! batches, so that the writer is never held for long.
//!
//! What stays whatever its age: runs that have not ended, interrupted runs (they wait for somebody), and
//! the last completed run of each pipeline. Failed, stopped and force-stopped runs can be resumed too:
//! they go by age alone, never by number, so that a bad night does not push out what is to be taken up
//! in the morning, and yet not everything that ever failed is kept for good. Logs go first, oldest first,
//! when all logs together are too big; the rows stay and still tell what happened.
//!
//! Whether a run stands as it was planned is looked at, and its folders are put aside, while the transaction
//! that removes its rows keeps everybody else from recording anything: what is being resumed is either seen
//! to be, or is not there to be resumed. What was put aside is removed afterwards; a crash in between leaves
//! it to the next prune, which gives back what still has a row.

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

/// Runs removed in one transaction.
const BATCH: usize = 32;

/// How much history is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Ended runs older than this go.
    pub max_age: Duration,
    /// Completed runs beyond the newest so many runs of their pipeline go.
    pub max_runs_per_pipeline: usize,
    /// Beyond so many bytes of logs in all, the logs of the oldest runs go.
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

/// What would be removed. A caller that must keep a run for a reason of its own takes it out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PrunePlan {
    /// Runs that go whole, oldest first.
    pub runs: Vec<PrunedRun>,
    /// Runs whose logs alone go, oldest first.
    pub logs: Vec<PrunedRun>,
    /// Checkpoints older than `max_age` that belong to no run: their run ids.
    pub stray_checkpoints: Vec<String>,
    /// Checkpoints without a run go if they were saved before this instant.
    pub before: Option<DateTime<Utc>>,
}

/// One run of a [`PrunePlan`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrunedRun {
    /// Which.
    pub run_id: RunId,
    /// Of which pipeline.
    pub pipeline_id: PipelineId,
    /// In which state; if it has changed by the time the plan is applied, the run stays.
    pub state: RunState,
    /// When it was recorded.
    pub started_at: DateTime<Utc>,
    /// Bytes of its logs.
    pub log_bytes: u64,
    /// Why it goes.
    pub reason: PruneReason,
}

/// Why something goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PruneReason {
    /// It ended longer ago than is kept.
    Old,
    /// Its pipeline has more runs than are kept.
    Many,
    /// All logs together are bigger than is kept.
    LogBytes,
}

/// What was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PruneReport {
    /// Runs removed whole.
    pub n_runs: usize,
    /// Runs whose logs alone were removed.
    pub n_logs: usize,
    /// Bytes of logs given back.
    pub log_bytes: u64,
    /// Folders that could not be removed, with the reason; the next prune finds them again.
    pub problems: Vec<String>,
}

/// A row as planning sees it.
struct Candidate {
    run: PrunedRun,
    ended_ms: i64,
}

#[doc(hidden)]
impl CheckpointManager {
    /// Decides what `retention` lets go at `now`. `log_bytes` tells how much a run's logs occupy, and counts
    /// against the limit whatever the run's state.
    ///
    /// # Errors
    /// What the disk has.
    pub fn plan_prune(
        &self,
        retention: &Retention,
        now: DateTime<Utc>,
        log_bytes: impl Fn(&RunId) -> u64,
    ) -> Result<PrunePlan, StoreError> {
        let max_age = TimeDelta::from_std(retention.max_age).unwrap_or(TimeDelta::MAX);
        let before = now.checked_sub_signed(max_age).unwrap_or(DateTime::<Utc>::MIN_UTC);
        let before_ms = before.timestamp_millis();
        let (candidates, stray_checkpoints) = self.read_consistently(|conn| {
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
                    // What can't be understood is not ours to throw away.
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

    /// Removes what `plan` names, with the files below `data_dir`. A run that has changed since it was
    /// planned stays. Safe beside a working engine, and safe to break off.
    ///
    /// # Errors
    /// What the disk has; what was removed until then stays removed, and the rest is found again.
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
                self.transaction(|tx| {
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
            self.write_back_wal()?;
        }
        Ok(report)
    }

    /// Puts folders of runs aside that stand as they were planned, and does `with_rows` about each: all of it while
    /// nobody else can write. What came of a run that could not be put aside stands in `problems`.
    fn take_out<'a>(
        &self,
        runs: &'a [PrunedRun],
        data_dir: &Path,
        kinds: &[&str],
        problems: &mut Vec<String>,
        with_rows: impl Fn(&Connection, &RunId) -> rusqlite::Result<()>,
    ) -> Result<Vec<(&'a PrunedRun, Aside)>, StoreError> {
        let (mut taken, mut refused) = (Vec::with_capacity(runs.len()), Vec::new());
        let outcome = self.transaction(|tx| {
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

    /// What an earlier prune has put aside and not removed: given back to runs that have kept their rows. While nobody
    /// else can write: what another prune has put aside now, and not yet recorded, is not seen.
    pub(super) fn clear_aside(&self, data_dir: &Path) -> Result<(), StoreError> {
        if aside_in(data_dir).is_empty() {
            return Ok(());
        }
        let useless = self.transaction(|tx| {
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
            // What can't be removed is found again.
            let _ = remove_folder(&folder);
        }
        Ok(())
    }

    fn remove_unused_definitions(&self) -> Result<(), StoreError> {
        self.transaction(|tx| {
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

/// Which of `candidates` (newest first) go whole, and of which the logs alone, both oldest first.
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

//! What admission needs from `checkpoints.db`: the operator's orders, and how much memory steps have needed.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};

use super::CheckpointManager;
use crate::admission::{Footprints, Orders, Quiet};
use crate::base::id::{PipelineId, StepId};
use crate::resources::Spread;
use crate::store::error::StoreError;

/// How many runs of a pipeline are read at most, the newest.
const MAX_RUNS: usize = 20;
/// How many of their steps are read, about: for a long pipeline fewer runs count, so that a start never waits for this.
const MAX_STEPS: usize = 1000;
/// How many runs are read at least.
const MIN_RUNS: usize = 3;

const QUIET_SINCE: &str = "quiet_since_ms";
const QUIET_UNTIL: &str = "quiet_until_ms";
const DRAINING_SINCE: &str = "draining_since_ms";

#[doc(hidden)]
impl CheckpointManager {
    /// The orders that were stored last.
    pub fn load_orders(&self) -> Result<Orders, StoreError> {
        let statement = "SELECT key, value FROM meta WHERE key IN (?1, ?2, ?3)";
        let keys = [QUIET_SINCE, QUIET_UNTIL, DRAINING_SINCE];
        let rows: Vec<(String, i64)> = self.database().rows(statement, keys, |row| row.try_into())?;
        let instant = |wanted: &str| {
            let ms = rows.iter().find(|(key, _)| key == wanted).map(|(_, ms)| *ms)?;
            DateTime::from_timestamp_millis(ms)
        };
        let quiet = instant(QUIET_SINCE).map(|since| Quiet { since, until: instant(QUIET_UNTIL) });
        Ok(Orders { quiet, draining_since: instant(DRAINING_SINCE) })
    }

    /// The memory that each step of a pipeline usually needs: the 95th percentile of its peaks in completed attempts.
    /// `n_steps` is the number of steps of the pipeline.
    pub fn footprints(&self, pipeline_id: &PipelineId, n_steps: usize) -> Result<Footprints, StoreError> {
        let n_runs = (MAX_STEPS / n_steps.max(1)).clamp(MIN_RUNS, MAX_RUNS) as i64;
        let mut peaks: Vec<(String, i64)> = self.database().rows(
            "SELECT step_id, peak_rss_bytes FROM steps
             WHERE state = 'completed' AND peak_rss_bytes > 0 AND run_id IN (
               SELECT run_id FROM execution_state INDEXED BY execution_state_by_pipeline
               WHERE pipeline_id = ?1 ORDER BY started_ms DESC LIMIT ?2)",
            params![pipeline_id.as_str(), n_runs],
            |row| row.try_into(),
        )?;
        peaks.sort_unstable();
        let of_step = |steps: &[(String, i64)]| {
            let spread = Spread::of(steps.iter().map(|(_, bytes)| *bytes as f64))?;
            Some((StepId::new(&steps.first()?.0).ok()?, spread.p95 as u64))
        };
        Ok(peaks.chunk_by(|a, b| a.0 == b.0).filter_map(of_step).collect())
    }
}

pub(super) fn write_orders(conn: &Connection, orders: &Orders) -> rusqlite::Result<()> {
    let quiet = orders.quiet;
    for (key, at) in [
        (QUIET_SINCE, quiet.map(|quiet| quiet.since)),
        (QUIET_UNTIL, quiet.and_then(|quiet| quiet.until)),
        (DRAINING_SINCE, orders.draining_since),
    ] {
        write_instant(conn, key, at)?;
    }
    Ok(())
}

fn write_instant(conn: &Connection, key: &str, at: Option<DateTime<Utc>>) -> rusqlite::Result<()> {
    match at {
        Some(at) => conn
            .prepare_cached(
                "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2",
            )?
            .execute(params![key, at.timestamp_millis()]),
        None => conn.prepare_cached("DELETE FROM meta WHERE key = ?1")?.execute([key]),
    }
    .map(drop)
}

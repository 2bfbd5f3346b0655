//! What steps used at one moment, and what one run used over time.

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::params;

use super::query::{instant, share};
use super::{Resolution, SampleHistory};
use crate::base::id::{AttemptKey, RunId, StepId};
use crate::store::error::StoreError;

/// What a step's attempt used at a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct StepUse {
    pub key: AttemptKey,
    /// Share of all CPUs, 0 to 1.
    pub cpu_fraction: f64,
    pub memory_bytes: u64,
}

/// What all steps of a run used together over one step of time: means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RunPoint {
    /// The beginning of the step.
    pub at: DateTime<Utc>,
    /// Share of all CPUs, 0 to 1.
    pub cpu_fraction: f64,
    pub memory_bytes: u64,
}

impl SampleHistory {
    /// What each attempt used in the last sample up to `at` that is not older than `gap`; those that used most CPU
    /// first. Empty without such a sample.
    pub fn steps_at(
        &self,
        resolution: Resolution,
        at: DateTime<Utc>,
        gap: TimeDelta,
    ) -> Result<Vec<StepUse>, StoreError> {
        let at_ms = at.timestamp_millis();
        let rows: Vec<Option<StepUse>> = self.ask(|conn| {
            conn.prepare(
                "SELECT run_id, step_id, attempt, cpu_ppm, memory_bytes
                 FROM step_samples JOIN series ON series.id = series
                 WHERE level = ?1 AND at_ms = (
                   SELECT max(at_ms) FROM machine_samples WHERE level = ?1 AND at_ms <= ?2 AND at_ms > ?3)
                 ORDER BY cpu_ppm DESC, run_id, step_id",
            )?
            .query_map(params![resolution.level(), at_ms, at_ms - gap.num_milliseconds()], |row| {
                let (run_id, step_id): (String, String) = (row.get(0)?, row.get(1)?);
                let (Ok(run_id), Ok(step_id)) = (RunId::new(run_id), StepId::new(step_id)) else {
                    return Ok(None);
                };
                Ok(Some(StepUse {
                    key: AttemptKey { run_id, step_id, attempt: row.get(2)? },
                    cpu_fraction: share(row.get(3)?),
                    memory_bytes: row.get::<_, i64>(4)?.unsigned_abs(),
                }))
            })?
            .collect()
        })?;
        // A row with a malformed id is skipped: we did not write it.
        Ok(rows.into_iter().flatten().collect())
    }

    /// What the steps of a run used together from `from` (included) to `until` (excluded), oldest first, with one point
    /// for each `step`.
    pub fn use_of_run(
        &self,
        run_id: &RunId,
        resolution: Resolution,
        (from, until): (DateTime<Utc>, DateTime<Utc>),
        step: TimeDelta,
    ) -> Result<Vec<RunPoint>, StoreError> {
        let bounds = params![
            resolution.level(),
            from.timestamp_millis(),
            until.timestamp_millis(),
            step.num_milliseconds().max(1),
            run_id.as_str()
        ];
        self.ask(|conn| {
            conn.prepare(
                "SELECT at_ms / ?4 * ?4, CAST(avg(ppm) AS INTEGER), CAST(avg(bytes) AS INTEGER) FROM (
                   SELECT at_ms, sum(cpu_ppm) AS ppm, sum(memory_bytes) AS bytes
                   FROM step_samples
                   WHERE level = ?1 AND at_ms >= ?2 AND at_ms < ?3
                     AND series IN (SELECT id FROM series WHERE run_id = ?5)
                   GROUP BY at_ms)
                 GROUP BY at_ms / ?4 ORDER BY at_ms / ?4",
            )?
            .query_map(bounds, |row| {
                Ok(RunPoint {
                    at: instant(row.get(0)?),
                    cpu_fraction: share(row.get(1)?),
                    memory_bytes: row.get::<_, i64>(2)?.unsigned_abs(),
                })
            })?
            .collect()
        })
    }
}

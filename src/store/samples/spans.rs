//! Which steps ran in a range of time, and the most that each has used: the bars below a plot.

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Row, params};

use super::query::{instant, share};
use super::{Resolution, SampleHistory};
use crate::base::id::{AttemptKey, RunId, StepId};
use crate::store::error::StoreError;

/// A step's attempt, from its first to its last sample in a range.
#[derive(Debug, Clone, PartialEq)]
pub struct StepSpan {
    pub key: AttemptKey,
    /// Its first sample.
    pub from: DateTime<Utc>,
    /// The end of its last sample.
    pub until: DateTime<Utc>,
    /// The highest share of all CPUs, 0 to 1.
    pub cpu_peak: f64,
    /// The highest use of memory.
    pub memory_peak_bytes: u64,
}

impl SampleHistory {
    /// The attempts that were measured between two instants, by their beginning. If there are more than `limit`, those
    /// with the highest use stay: the peaks of CPU and of memory (as a share of `memory_total_bytes`), times the
    /// duration.
    pub fn step_spans(
        &self,
        resolution: Resolution,
        (from, until): (DateTime<Utc>, DateTime<Utc>),
        memory_total_bytes: u64,
        limit: usize,
    ) -> Result<Vec<StepSpan>, StoreError> {
        let step = TimeDelta::milliseconds(resolution.step_ms());
        let spans: Vec<Option<StepSpan>> = self.ask(|conn| {
            conn.prepare(
                "SELECT run_id, step_id, attempt, first_ms, last_ms, cpu_ppm, bytes FROM (
                   SELECT series, min(at_ms) AS first_ms, max(at_ms) AS last_ms, count(*) AS n,
                     max(cpu_peak_ppm) AS cpu_ppm, max(memory_peak_bytes) AS bytes
                   FROM step_samples WHERE level = ?1 AND at_ms >= ?2 AND at_ms < ?3 GROUP BY series
                   ORDER BY n * (0.02 + cpu_ppm / 1e6 + bytes / ?4) DESC LIMIT ?5)
                 JOIN series ON series.id = series ORDER BY first_ms, run_id, step_id, attempt",
            )?
            .query_map(
                params![
                    resolution.level(),
                    from.timestamp_millis(),
                    until.timestamp_millis(),
                    memory_total_bytes.max(1) as f64,
                    i64::try_from(limit).unwrap_or(i64::MAX),
                ],
                |row| span(row, step),
            )?
            .collect()
        })?;
        // A row with a malformed id is skipped: we did not write it.
        Ok(spans.into_iter().flatten().collect())
    }
}

fn span(row: &Row<'_>, step: TimeDelta) -> rusqlite::Result<Option<StepSpan>> {
    let (run_id, step_id): (String, String) = (row.get(0)?, row.get(1)?);
    let (Ok(run_id), Ok(step_id)) = (RunId::new(run_id.as_str()), StepId::new(step_id.as_str())) else {
        return Ok(None);
    };
    Ok(Some(StepSpan {
        key: AttemptKey { run_id, step_id, attempt: row.get(2)? },
        from: instant(row.get(3)?),
        until: instant(row.get(4)?) + step,
        cpu_peak: share(row.get(5)?),
        memory_peak_bytes: row.get::<_, i64>(6)?.unsigned_abs(),
    }))
}

//! Queries of `samples.db`: the range of a plot. Each query opens the file, which may have been replaced since the last
//! one. No query needs the thread that writes: the path is enough.

use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, Row, params};

use super::Resolution;
use super::schema::SAMPLES;
use crate::store::error::StoreError;
use crate::store::sqlite::database::BUSY;
use crate::store::sqlite::open;

/// The machine over one step of a resolution: means, except for what is called a peak.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MachinePoint {
    /// The beginning of the step.
    pub at: DateTime<Utc>,
    /// Share of all CPUs, 0 to 1.
    pub cpu_fraction: f64,
    /// The highest share of all CPUs, 0 to 1.
    pub cpu_peak: f64,
    pub memory_used_bytes: u64,
    pub memory_peak_bytes: u64,
    pub memory_total_bytes: u64,
    pub swap_used_bytes: u64,
    pub swap_total_bytes: u64,
    /// Free on the data directory's file system: the lowest sample.
    pub disk_free_bytes: u64,
    /// Bytes a second.
    pub disk_read_rate: u64,
    /// Bytes a second.
    pub disk_write_rate: u64,
    /// Bytes a second.
    pub network_receive_rate: u64,
    /// Bytes a second.
    pub network_send_rate: u64,
}

/// A limit that was raised or cleared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitChangeRow {
    pub at: DateTime<Utc>,
    /// `cpu`, `memory`, `swap` or `disk`.
    pub resource: String,
    /// For a disk: the watched folder on it.
    pub volume: Option<String>,
    /// True: raised; false: cleared.
    pub is_raised: bool,
    /// The sentence of the notification.
    pub text: String,
}

/// Reads the history of samples.
#[derive(Debug, Clone)]
pub struct SampleHistory {
    path: PathBuf,
}

impl SampleHistory {
    /// The history in the file at `path`, which need not exist.
    pub fn of(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The machine from `from` (included) to `until` (excluded), oldest first, with one point for each `step`: the means
    /// and the peaks of its points. There are at most as many points as steps fit between the two instants. Empty
    /// without a file. The last ten seconds may be missing; see [`SampleStore::flush`](super::SampleStore::flush).
    pub fn machine_in_steps(
        &self,
        resolution: Resolution,
        (from, until): (DateTime<Utc>, DateTime<Utc>),
        step: TimeDelta,
    ) -> Result<Vec<MachinePoint>, StoreError> {
        let mean = |column: &str| format!("CAST(round(avg({column})) AS INTEGER)");
        let sql = format!(
            "SELECT at_ms / ?4 * ?4, {}, max(cpu_peak_ppm), {}, max(memory_peak_bytes), max(memory_total_bytes), {},
               max(swap_total_bytes), min(disk_free_bytes), {}, {}, {}, {}
             FROM machine_samples WHERE level = ?1 AND at_ms >= ?2 AND at_ms < ?3 GROUP BY at_ms / ?4 ORDER BY at_ms",
            mean("cpu_ppm"),
            mean("memory_bytes"),
            mean("swap_bytes"),
            mean("disk_read_rate"),
            mean("disk_write_rate"),
            mean("network_receive_rate"),
            mean("network_send_rate")
        );
        let step_ms = step.num_milliseconds().max(1);
        self.ask(|conn| {
            conn.prepare(&sql)?
                .query_map(
                    params![resolution.level(), from.timestamp_millis(), until.timestamp_millis(), step_ms],
                    machine_point,
                )?
                .collect()
        })
    }

    /// The newest `limit` changes of limits between two instants, oldest first.
    pub fn limit_changes(
        &self,
        from: DateTime<Utc>,
        until: DateTime<Utc>,
        limit: usize,
    ) -> Result<Vec<LimitChangeRow>, StoreError> {
        let mut changes: Vec<LimitChangeRow> = self.ask(|conn| {
            conn.prepare(
                "SELECT at_ms, resource, volume, is_raised, text FROM limit_changes
                 WHERE at_ms >= ?1 AND at_ms < ?2 ORDER BY at_ms DESC, id DESC LIMIT ?3",
            )?
            .query_map(
                params![
                    from.timestamp_millis(),
                    until.timestamp_millis(),
                    i64::try_from(limit).unwrap_or(i64::MAX)
                ],
                |row| {
                    Ok(LimitChangeRow {
                        at: instant(row.get(0)?),
                        resource: row.get(1)?,
                        volume: row.get(2)?,
                        is_raised: row.get(3)?,
                        text: row.get(4)?,
                    })
                },
            )?
            .collect()
        })?;
        changes.reverse();
        Ok(changes)
    }

    pub(super) fn ask<T: Default>(
        &self,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        let conn = match open::reader(&SAMPLES, self.path(), BUSY) {
            Ok(conn) => conn,
            // The file was removed between two looks.
            Err(_) if !self.path().exists() => return Ok(T::default()),
            Err(error) => return Err(error),
        };
        question(&conn).map_err(|error| StoreError::from_sql(self.path(), &error))
    }
}

fn machine_point(row: &Row<'_>) -> rusqlite::Result<MachinePoint> {
    let number = |index| row.get::<_, i64>(index).map(i64::unsigned_abs);
    Ok(MachinePoint {
        at: instant(row.get(0)?),
        cpu_fraction: share(row.get(1)?),
        cpu_peak: share(row.get(2)?),
        memory_used_bytes: number(3)?,
        memory_peak_bytes: number(4)?,
        memory_total_bytes: number(5)?,
        swap_used_bytes: number(6)?,
        swap_total_bytes: number(7)?,
        disk_free_bytes: number(8)?,
        disk_read_rate: number(9)?,
        disk_write_rate: number(10)?,
        network_receive_rate: number(11)?,
        network_send_rate: number(12)?,
    })
}

pub(super) fn instant(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(ms).unwrap_or_default()
}

pub(super) fn share(ppm: i64) -> f64 {
    ppm as f64 / 1e6
}

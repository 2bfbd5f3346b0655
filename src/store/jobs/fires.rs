//! What can be asked of [`JobStore`] about fires and runs: one function a question.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, Row, params};

use super::stored::{FireKind, StoredFire, StoredHistory};
use super::{JobStore, from_ms};
use crate::base::id::RunId;
use crate::store::{StoreError, rows};

/// Which fires of a job to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FireFilter {
    /// Only those with an instant at this one or later.
    pub since: Option<DateTime<Utc>>,
    /// Only those with an instant before this one.
    pub until: Option<DateTime<Utc>>,
    /// The newest so many.
    pub limit: Option<usize>,
}

macro_rules! fire_columns {
    () => {
        "job_id, due_ms, through_ms, n_instants, outcome, reason, run_id, previous_ms, kind"
    };
}

macro_rules! history_columns {
    () => {
        "job_id, run_id, started_at, started_ms, finished_at, status, error"
    };
}

impl JobStore {
    /// The fires of a job that `filter` lets through, oldest first.
    ///
    /// # Errors
    /// What the disk has.
    pub fn fires(&self, job_id: &str, filter: &FireFilter) -> Result<Vec<StoredFire>, StoreError> {
        let since = filter.since.map_or(i64::MIN, |at| at.timestamp_millis());
        let until = filter.until.map_or(i64::MAX, |at| at.timestamp_millis());
        let limit = filter.limit.map_or(i64::MAX, |n| i64::try_from(n).unwrap_or(i64::MAX));
        let mut found: Vec<StoredFire> = self.read(|conn| {
            conn.prepare_cached(concat!(
                "SELECT ",
                fire_columns!(),
                " FROM fires WHERE job_id = ?1 AND due_ms < ?3 AND through_ms >= ?2
                 ORDER BY due_ms DESC LIMIT ?4"
            ))?
            .query_map(params![job_id, since, until, limit], fire)?
            .collect()
        })?;
        found.reverse();
        Ok(found)
    }

    /// The fire of a job whose first instant is this one.
    ///
    /// # Errors
    /// What the disk has.
    pub fn fire_at(&self, job_id: &str, due_ms: i64) -> Result<Option<StoredFire>, StoreError> {
        self.read(|conn| {
            conn.prepare_cached(concat!(
                "SELECT ",
                fire_columns!(),
                " FROM fires WHERE job_id = ?1 AND due_ms = ?2"
            ))?
            .query_row(params![job_id, due_ms], fire)
            .optional()
        })
    }

    /// The last fire of a job whose first instant lies before `before_ms`.
    ///
    /// # Errors
    /// What the disk has.
    pub fn fire_before(&self, job_id: &str, before_ms: i64) -> Result<Option<StoredFire>, StoreError> {
        self.read(|conn| {
            conn.prepare_cached(concat!(
                "SELECT ",
                fire_columns!(),
                " FROM fires WHERE job_id = ?1 AND due_ms < ?2 ORDER BY due_ms DESC LIMIT 1"
            ))?
            .query_row(params![job_id, before_ms], fire)
            .optional()
        })
    }

    /// The newest `limit` fires of a job whose first instant lies from `from_ms` on and up to `through_ms`, oldest first.
    ///
    /// # Errors
    /// What the disk has.
    pub fn fires_within(
        &self,
        job_id: &str,
        from_ms: i64,
        through_ms: i64,
        limit: usize,
    ) -> Result<Vec<StoredFire>, StoreError> {
        let mut found: Vec<StoredFire> = self.read(|conn| {
            conn.prepare_cached(concat!(
                "SELECT ",
                fire_columns!(),
                " FROM fires WHERE job_id = ?1 AND due_ms BETWEEN ?2 AND ?3 ORDER BY due_ms DESC LIMIT ?4"
            ))?
            .query_map(params![job_id, from_ms, through_ms, limit as i64], fire)?
            .collect()
        })?;
        found.reverse();
        Ok(found)
    }

    /// Goes through the fires of any job that have this outcome and are still to be done, oldest first, until `take`
    /// says that it has seen enough. Gives back the rowids of those that were passed over, because the name of their job is
    /// no text: what came of them could not be written to them.
    ///
    /// # Errors
    /// What the disk has.
    pub fn each_open_fire(
        &self,
        outcome: &str,
        mut take: impl FnMut(StoredFire) -> std::ops::ControlFlow<()>,
    ) -> Result<Vec<i64>, StoreError> {
        self.read(|conn| {
            let mut statement = conn.prepare_cached(concat!(
                "SELECT ",
                fire_columns!(),
                ", rowid FROM fires INDEXED BY fires_open
                 WHERE outcome = ?1 AND outcome IN ('claimed', 'queued') AND typeof(due_ms) = 'integer'
                 ORDER BY due_ms"
            ))?;
            let mut found = statement.query([outcome])?;
            let mut passed_over = Vec::new();
            while let Some(row) = found.next()? {
                if rows::word(row, 0)?.is_none() {
                    passed_over.push(row.get("rowid")?);
                } else if take(fire(row)?).is_break() {
                    break;
                }
            }
            Ok(passed_over)
        })
    }

    /// The fires of one job that are still to be done, oldest first.
    ///
    /// # Errors
    /// What the disk has.
    pub fn open_fires_of(&self, job_id: &str) -> Result<Vec<StoredFire>, StoreError> {
        self.read(|conn| {
            conn.prepare_cached(concat!(
                "SELECT ",
                fire_columns!(),
                " FROM fires INDEXED BY fires_open_by_job
                 WHERE outcome IN ('claimed', 'queued') AND job_id = ?1 AND typeof(due_ms) = 'integer'
                 ORDER BY due_ms"
            ))?
            .query_map([job_id], fire)?
            .collect()
        })
    }

    /// The fire for which a run was reserved.
    ///
    /// # Errors
    /// What the disk has.
    pub fn fire_of_run(&self, run_id: &str) -> Result<Option<StoredFire>, StoreError> {
        self.read(|conn| {
            conn.prepare_cached(concat!("SELECT ", fire_columns!(), " FROM fires WHERE run_id = ?1"))?
                .query_row([run_id], fire)
                .optional()
        })
    }

    /// The names of runs that begin with `base` and are reserved for fires.
    ///
    /// # Errors
    /// What the disk has.
    pub fn reserved_run_ids(&self, base: &str) -> Result<HashSet<String>, StoreError> {
        self.read(|conn| {
            // '.' is the byte after '-': the names between are those that begin with the base and a '-'.
            conn.prepare_cached(
                "SELECT run_id FROM fires WHERE run_id IS NOT NULL
                   AND (run_id = ?1 OR (run_id > ?1 || '-' AND run_id < ?1 || '.'))",
            )?
            .query_map([base], |row| rows::text(row, 0).map(Option::unwrap_or_default))?
            .collect()
        })
    }

    /// The newest runs of a job, newest first.
    ///
    /// # Errors
    /// What the disk has.
    pub fn history(&self, job_id: &str, limit: usize) -> Result<Vec<StoredHistory>, StoreError> {
        self.read(|conn| {
            conn.prepare_cached(concat!(
                "SELECT ",
                history_columns!(),
                " FROM job_history WHERE job_id = ?1 ORDER BY id DESC LIMIT ?2"
            ))?
            .query_map(params![job_id, i64::try_from(limit).unwrap_or(i64::MAX)], history)?
            .collect()
        })
    }

    /// The history of one run.
    ///
    /// # Errors
    /// What the disk has.
    pub fn history_of_run(&self, run_id: &RunId) -> Result<Option<StoredHistory>, StoreError> {
        self.read(|conn| {
            conn.prepare_cached(concat!(
                "SELECT ",
                history_columns!(),
                " FROM job_history WHERE run_id = ?1"
            ))?
            .query_row([run_id.as_str()], history)
            .optional()
        })
    }

    /// The runs of jobs whose end is not booked, oldest first.
    ///
    /// # Errors
    /// What the disk has.
    pub fn unbooked_history(&self) -> Result<Vec<StoredHistory>, StoreError> {
        self.read(|conn| {
            conn.prepare_cached(concat!(
                "SELECT ",
                history_columns!(),
                " FROM job_history WHERE finished_at IS NULL ORDER BY id"
            ))?
            .query_map([], history)?
            .collect()
        })
    }

    /// The runs of this job whose end is not booked, oldest first.
    ///
    /// # Errors
    /// What the disk has.
    pub fn unbooked_history_of(&self, job_id: &str) -> Result<Vec<StoredHistory>, StoreError> {
        self.read(|conn| {
            conn.prepare_cached(concat!(
                "SELECT ",
                history_columns!(),
                " FROM job_history INDEXED BY job_history_open_by_job
                 WHERE finished_at IS NULL AND job_id = ?1 ORDER BY id"
            ))?
            .query_map([job_id], history)?
            .collect()
        })
    }

    /// Every run that is reserved for a fire or whose end is not booked: clean-up leaves these alone.
    ///
    /// # Errors
    /// What the disk has.
    pub fn unbooked_run_ids(&self) -> Result<HashSet<String>, StoreError> {
        self.read(|conn| {
            conn.prepare_cached(
                "SELECT run_id FROM job_history WHERE finished_at IS NULL
                 UNION SELECT run_id FROM fires WHERE outcome IN ('claimed', 'queued') AND run_id IS NOT NULL",
            )?
            .query_map([], |row| rows::text(row, 0).map(Option::unwrap_or_default))?
            .collect()
        })
    }
}

fn fire(row: &Row<'_>) -> rusqlite::Result<StoredFire> {
    let due_ms = rows::int(row, 1)?.unwrap_or_default();
    Ok(StoredFire {
        job_id: rows::text(row, 0)?.unwrap_or_default(),
        due_ms,
        through_ms: rows::int(row, 2)?.unwrap_or(due_ms).max(due_ms),
        n_instants: rows::int(row, 3)?.and_then(|n| u64::try_from(n).ok()).unwrap_or(1),
        outcome: rows::text(row, 4)?.unwrap_or_default(),
        reason: rows::text(row, 5)?,
        run_id: rows::text(row, 6)?,
        previous_ms: rows::int(row, 7)?,
        kind: rows::word(row, 8)?.map_or(FireKind::Due, FireKind::parse),
    })
}

fn history(row: &Row<'_>) -> rusqlite::Result<StoredHistory> {
    Ok(StoredHistory {
        job_id: rows::text(row, 0)?.unwrap_or_default(),
        run_id: rows::text(row, 1)?.unwrap_or_default(),
        started_at: rows::instant(row, 2, 3)?.unwrap_or_else(|| from_ms(0)),
        finished_at: rows::instant(row, 4, 3)?,
        status: rows::text(row, 5)?,
        error: rows::text(row, 6)?,
    })
}

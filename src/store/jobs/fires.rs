//! Queries of [`JobStore`] about fires and history: one function a query.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, params};

use super::JobStore;
use super::stored::{StoredFire, StoredHistory};
use crate::base::id::RunId;
use crate::store::error::StoreError;
use crate::store::sqlite::columns;

/// Which fires of a job to list. The default lists all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FireFilter {
    /// Only fires with an instant at this one or later.
    pub since: Option<DateTime<Utc>>,
    /// Only fires with an instant before this one.
    pub until: Option<DateTime<Utc>>,
    /// At most this many, the newest. None: no limit.
    pub limit: Option<usize>,
}

impl JobStore {
    /// The fires of a job that match `filter`, oldest first.
    ///
    /// # Errors
    /// As the database reports.
    pub fn fires(&self, job_id: &str, filter: &FireFilter) -> Result<Vec<StoredFire>, StoreError> {
        let since = filter.since.map_or(i64::MIN, |at| at.timestamp_millis());
        let until = filter.until.map_or(i64::MAX, |at| at.timestamp_millis());
        let limit = filter.limit.map_or(i64::MAX, |n| i64::try_from(n).unwrap_or(i64::MAX));
        let mut found: Vec<StoredFire> = self.read(|conn| {
            conn.prepare_cached(
                "SELECT * FROM fires WHERE job_id = ?1 AND due_ms < ?3 AND through_ms >= ?2
                 ORDER BY due_ms DESC LIMIT ?4",
            )?
            .query_map(params![job_id, since, until, limit], StoredFire::read)?
            .collect()
        })?;
        found.reverse();
        Ok(found)
    }

    /// The fire of a job whose first instant is `due_ms`.
    ///
    /// # Errors
    /// As the database reports.
    pub fn fire_at(&self, job_id: &str, due_ms: i64) -> Result<Option<StoredFire>, StoreError> {
        self.read(|conn| {
            conn.prepare_cached("SELECT * FROM fires WHERE job_id = ?1 AND due_ms = ?2")?
                .query_row(params![job_id, due_ms], StoredFire::read)
                .optional()
        })
    }

    /// The last fire of a job whose first instant is before `before_ms`.
    ///
    /// # Errors
    /// As the database reports.
    pub fn fire_before(&self, job_id: &str, before_ms: i64) -> Result<Option<StoredFire>, StoreError> {
        self.read(|conn| {
            conn.prepare_cached(
                "SELECT * FROM fires WHERE job_id = ?1 AND due_ms < ?2 ORDER BY due_ms DESC LIMIT 1",
            )?
            .query_row(params![job_id, before_ms], StoredFire::read)
            .optional()
        })
    }

    /// The newest `limit` fires of a job whose first instant is from `from_ms` to `through_ms`, both included; oldest
    /// first.
    ///
    /// # Errors
    /// As the database reports.
    pub fn fires_within(
        &self,
        job_id: &str,
        from_ms: i64,
        through_ms: i64,
        limit: usize,
    ) -> Result<Vec<StoredFire>, StoreError> {
        let mut found: Vec<StoredFire> = self.read(|conn| {
            conn.prepare_cached(
                "SELECT * FROM fires WHERE job_id = ?1 AND due_ms BETWEEN ?2 AND ?3 ORDER BY due_ms DESC LIMIT ?4",
            )?
            .query_map(params![job_id, from_ms, through_ms, limit as i64], StoredFire::read)?
            .collect()
        })?;
        found.reverse();
        Ok(found)
    }

    /// Calls `take` for the open fires of all jobs with this outcome (`claimed` or `queued`), oldest first, until it
    /// breaks. Returns the rowids of the fires that were skipped because their job's name is not text: no later write
    /// could find such a row by its name.
    ///
    /// # Errors
    /// As the database reports.
    pub fn each_open_fire(
        &self,
        outcome: &str,
        mut take: impl FnMut(StoredFire) -> std::ops::ControlFlow<()>,
    ) -> Result<Vec<i64>, StoreError> {
        self.read(|conn| {
            let mut statement = conn.prepare_cached(
                "SELECT *, rowid FROM fires INDEXED BY fires_open
                 WHERE outcome = ?1 AND outcome IN ('claimed', 'queued') AND typeof(due_ms) = 'integer'
                 ORDER BY due_ms",
            )?;
            let mut found = statement.query([outcome])?;
            let mut passed_over = Vec::new();
            while let Some(row) = found.next()? {
                if row.get_ref("job_id")?.as_str().is_err() {
                    passed_over.push(row.get("rowid")?);
                } else if take(StoredFire::read(row)?).is_break() {
                    break;
                }
            }
            Ok(passed_over)
        })
    }

    /// The open fires of one job (claimed or queued), oldest first.
    ///
    /// # Errors
    /// As the database reports.
    pub fn open_fires_of(&self, job_id: &str) -> Result<Vec<StoredFire>, StoreError> {
        self.read(|conn| {
            conn.prepare_cached(
                "SELECT * FROM fires INDEXED BY fires_open_by_job
                 WHERE outcome IN ('claimed', 'queued') AND job_id = ?1 AND typeof(due_ms) = 'integer'
                 ORDER BY due_ms",
            )?
            .query_map([job_id], StoredFire::read)?
            .collect()
        })
    }

    /// The fire for which this run was reserved.
    ///
    /// # Errors
    /// As the database reports.
    pub fn fire_of_run(&self, run_id: &str) -> Result<Option<StoredFire>, StoreError> {
        self.read(|conn| {
            conn.prepare_cached("SELECT * FROM fires WHERE run_id = ?1")?
                .query_row([run_id], StoredFire::read)
                .optional()
        })
    }

    /// The reserved run ids that are `base`, or `base` with a number behind.
    ///
    /// # Errors
    /// As the database reports.
    pub fn reserved_run_ids(&self, base: &str) -> Result<HashSet<String>, StoreError> {
        self.read(|conn| {
            // '.' is the byte after '-': the names between are those that begin with the base and a '-'.
            conn.prepare_cached(
                "SELECT run_id FROM fires WHERE run_id IS NOT NULL
                   AND (run_id = ?1 OR (run_id > ?1 || '-' AND run_id < ?1 || '.'))",
            )?
            .query_map([base], |row| columns::text(row, 0).map(Option::unwrap_or_default))?
            .collect()
        })
    }

    /// The newest `limit` runs of a job, newest first.
    ///
    /// # Errors
    /// As the database reports.
    pub fn history(&self, job_id: &str, limit: usize) -> Result<Vec<StoredHistory>, StoreError> {
        self.read(|conn| {
            conn.prepare_cached("SELECT * FROM job_history WHERE job_id = ?1 ORDER BY id DESC LIMIT ?2")?
                .query_map(params![job_id, i64::try_from(limit).unwrap_or(i64::MAX)], StoredHistory::read)?
                .collect()
        })
    }

    /// The history row of one run.
    ///
    /// # Errors
    /// As the database reports.
    pub fn history_of_run(&self, run_id: &RunId) -> Result<Option<StoredHistory>, StoreError> {
        self.read(|conn| {
            conn.prepare_cached("SELECT * FROM job_history WHERE run_id = ?1")?
                .query_row([run_id.as_str()], StoredHistory::read)
                .optional()
        })
    }

    /// The runs of all jobs whose end is not recorded yet, oldest first.
    ///
    /// # Errors
    /// As the database reports.
    pub fn unbooked_history(&self) -> Result<Vec<StoredHistory>, StoreError> {
        self.read(|conn| {
            conn.prepare_cached("SELECT * FROM job_history WHERE finished_at IS NULL ORDER BY id")?
                .query_map([], StoredHistory::read)?
                .collect()
        })
    }

    /// The runs of one job whose end is not recorded yet, oldest first.
    ///
    /// # Errors
    /// As the database reports.
    pub fn unbooked_history_of(&self, job_id: &str) -> Result<Vec<StoredHistory>, StoreError> {
        self.read(|conn| {
            conn.prepare_cached(
                "SELECT * FROM job_history INDEXED BY job_history_open_by_job
                 WHERE finished_at IS NULL AND job_id = ?1 ORDER BY id",
            )?
            .query_map([job_id], StoredHistory::read)?
            .collect()
        })
    }

    /// All runs that are reserved for a fire or whose end is not recorded yet. Retention keeps these.
    ///
    /// # Errors
    /// As the database reports.
    pub fn unbooked_run_ids(&self) -> Result<HashSet<String>, StoreError> {
        self.read(|conn| {
            conn.prepare_cached(
                "SELECT run_id FROM job_history WHERE finished_at IS NULL
                 UNION SELECT run_id FROM fires WHERE outcome IN ('claimed', 'queued') AND run_id IS NOT NULL",
            )?
            .query_map([], |row| columns::text(row, 0).map(Option::unwrap_or_default))?
            .collect()
        })
    }
}

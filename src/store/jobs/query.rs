//! Queries of [`JobStore`] about jobs: one function a query.

use rusqlite::{OptionalExtension, Row, params};

use super::JobStore;
use super::stored::StoredJob;
use crate::store::error::StoreError;
use crate::store::sqlite::columns;

/// Every real due instant is before this one.
const BEFORE_NEVER: i64 = super::NEVER_MS;

impl JobStore {
    /// One job.
    ///
    /// # Errors
    /// As the database reports.
    pub fn load_job(&self, job_id: &str) -> Result<Option<StoredJob>, StoreError> {
        self.read(|conn| {
            conn.prepare_cached("SELECT rowid, * FROM scheduled_jobs WHERE job_id = ?1")?
                .query_row([job_id], StoredJob::read)
                .optional()
        })
    }

    /// All jobs, by name.
    ///
    /// # Errors
    /// As the database reports.
    pub fn list_jobs(&self) -> Result<Vec<StoredJob>, StoreError> {
        self.read(|conn| {
            conn.prepare_cached("SELECT rowid, * FROM scheduled_jobs ORDER BY job_id")?
                .query_map([], StoredJob::read)?
                .collect()
        })
    }

    /// The jobs of a pipeline, by name.
    ///
    /// # Errors
    /// As the database reports.
    pub fn jobs_of_pipeline(&self, pipeline_id: &str) -> Result<Vec<StoredJob>, StoreError> {
        self.read(|conn| {
            conn.prepare_cached("SELECT rowid, * FROM scheduled_jobs WHERE pipeline_id = ?1 ORDER BY job_id")?
                .query_map([pipeline_id], StoredJob::read)?
                .collect()
        })
    }

    /// The jobs that have a pipeline file, by name.
    ///
    /// # Errors
    /// As the database reports.
    pub fn jobs_of_files(&self) -> Result<Vec<StoredJob>, StoreError> {
        self.read(|conn| {
            conn.prepare_cached("SELECT rowid, * FROM scheduled_jobs WHERE file IS NOT NULL ORDER BY job_id")?
                .query_map([], StoredJob::read)?
                .collect()
        })
    }

    /// Jobs to reckon anew after a change of the machine's zone to `local`, by name: they follow the machine's zone (as
    /// jobs without a zone do), and their next instant follows from their schedule, is after `now_ms`, and was reckoned
    /// in another zone.
    ///
    /// # Errors
    /// As the database reports.
    pub fn jobs_reckoned_elsewhere(&self, local: &str, now_ms: i64) -> Result<Vec<StoredJob>, StoreError> {
        self.read(|conn| {
            conn.prepare_cached(
                "SELECT rowid, * FROM scheduled_jobs WHERE lower(COALESCE(zone, 'local')) = 'local' AND reckoned_zone IS NOT ?1
                   AND next_run_ms > ?2 AND next_run_ms < ?3 AND first_by_hand = 0 ORDER BY job_id",
            )?
            .query_map(params![local, now_ms, BEFORE_NEVER], StoredJob::read)?
            .collect()
        })
    }

    /// The names of all jobs.
    ///
    /// # Errors
    /// As the database reports.
    pub fn job_ids(&self) -> Result<Vec<String>, StoreError> {
        self.read(|conn| {
            conn.prepare_cached("SELECT job_id FROM scheduled_jobs ORDER BY job_id")?
                .query_map([], |row| columns::text(row, 0).map(Option::unwrap_or_default))?
                .collect()
        })
    }

    /// At most `limit` jobs, by name, from the `offset`-th on. Only the index is read for those before.
    ///
    /// # Errors
    /// As the database reports.
    pub fn list_some_jobs(&self, offset: usize, limit: usize) -> Result<Vec<StoredJob>, StoreError> {
        let [offset, limit] = [offset, limit].map(|n| i64::try_from(n).unwrap_or(i64::MAX));
        self.read(|conn| {
            conn.prepare_cached(
                "SELECT rowid, * FROM scheduled_jobs WHERE job_id IN (SELECT job_id FROM scheduled_jobs ORDER BY job_id LIMIT ?1 OFFSET ?2)
                 ORDER BY job_id",
            )?
            .query_map([limit, offset], StoredJob::read)?
            .collect()
        })
    }

    /// How many jobs are disabled.
    ///
    /// # Errors
    /// As the database reports.
    pub fn count_disabled_jobs(&self) -> Result<usize, StoreError> {
        self.read(|conn| {
            conn.query_row("SELECT count(*) FROM scheduled_jobs WHERE enabled = 0", [], |row| {
                row.get::<_, i64>(0)
            })
            .map(|n| n as usize)
        })
    }

    /// How many jobs there are.
    ///
    /// # Errors
    /// As the database reports.
    pub fn count_jobs(&self) -> Result<usize, StoreError> {
        self.read(|conn| {
            conn.query_row("SELECT count(*) FROM scheduled_jobs", [], |row| row.get::<_, i64>(0))
                .map(|n| n as usize)
        })
    }

    /// The earliest next instant of the enabled jobs, in milliseconds; none when no job is ever due.
    ///
    /// # Errors
    /// As the database reports.
    pub fn earliest_due_ms(&self) -> Result<Option<i64>, StoreError> {
        self.read(|conn| {
            conn.prepare_cached(
                "SELECT next_run_ms FROM scheduled_jobs INDEXED BY scheduled_jobs_by_next_run
                 WHERE enabled = 1 AND next_run_ms < ?1 ORDER BY next_run_ms LIMIT 1",
            )?
            .query_row([BEFORE_NEVER], |row| columns::int(row, 0))
            .optional()
            .map(Option::flatten)
        })
    }

    /// How many enabled jobs have a next instant.
    ///
    /// # Errors
    /// As the database reports.
    pub fn n_due(&self) -> Result<usize, StoreError> {
        self.read(|conn| {
            conn.prepare_cached(
                "SELECT count(*) FROM scheduled_jobs INDEXED BY scheduled_jobs_by_next_run
                 WHERE enabled = 1 AND next_run_ms < ?1",
            )?
            .query_row([BEFORE_NEVER], |row| row.get::<_, i64>(0))
        })
        .map(|n| usize::try_from(n).unwrap_or(0))
    }

    /// At most `limit` enabled jobs that are due at `now_ms`, earliest first.
    ///
    /// # Errors
    /// As the database reports.
    pub fn due_jobs(&self, now_ms: i64, limit: usize) -> Result<Vec<StoredJob>, StoreError> {
        self.read(|conn| {
            conn.prepare_cached(
                "SELECT rowid, * FROM scheduled_jobs INDEXED BY scheduled_jobs_by_next_run
                 WHERE enabled = 1 AND next_run_ms <= ?1 ORDER BY next_run_ms, job_id LIMIT ?2",
            )?
            .query_map(params![now_ms.min(BEFORE_NEVER - 1), limit as i64], StoredJob::read)?
            .collect()
        })
    }

    /// At most `limit` jobs that a script has written and the scheduler has not read yet, with a rowid above
    /// `after_rowid`.
    ///
    /// # Errors
    /// As the database reports.
    pub fn unread_jobs(&self, after_rowid: i64, limit: usize) -> Result<Vec<StoredJob>, StoreError> {
        self.read(|conn| {
            conn.prepare_cached(
                "SELECT rowid, * FROM scheduled_jobs WHERE next_run_ms IS NULL AND rowid > ?1 ORDER BY rowid LIMIT ?2",
            )?
            .query_map([after_rowid, limit as i64], StoredJob::read)?
            .collect()
        })
    }

    /// The jobs that run after `upstream`.
    ///
    /// # Errors
    /// As the database reports.
    pub fn downstream(&self, upstream: &str) -> Result<Vec<StoredJob>, StoreError> {
        self.read(|conn| {
            conn.prepare_cached(
                "SELECT rowid, * FROM scheduled_jobs WHERE job_id IN (SELECT job_id FROM job_upstreams WHERE upstream = ?1)
                 ORDER BY job_id",
            )?
            .query_map([upstream], StoredJob::read)?
            .collect()
        })
    }

    /// The jobs that `job_id` runs after. Each has the instant, in milliseconds, at which it ended as wanted, if it
    /// has.
    ///
    /// # Errors
    /// As the database reports.
    pub fn upstreams(&self, job_id: &str) -> Result<Vec<(String, Option<i64>)>, StoreError> {
        self.read(|conn| {
            conn.prepare_cached("SELECT upstream, ended_ms FROM job_upstreams WHERE job_id = ?1")?
                .query_map([job_id], |row| {
                    Ok((columns::text(row, 0)?.unwrap_or_default(), columns::int(row, 1)?))
                })?
                .collect()
        })
    }

    /// All pairs of a job and one of its upstream jobs.
    ///
    /// # Errors
    /// As the database reports.
    pub fn all_upstreams(&self) -> Result<Vec<(String, String)>, StoreError> {
        self.read(|conn| {
            let name = |row: &Row<'_>, index| columns::text(row, index).map(Option::unwrap_or_default);
            conn.prepare_cached("SELECT job_id, upstream FROM job_upstreams ORDER BY job_id, upstream")?
                .query_map([], |row| Ok((name(row, 0)?, name(row, 1)?)))?
                .collect()
        })
    }
}

//! Queries of [`JobStore`] about jobs: one function a query. They fail as the database reports.

use rusqlite::{Params, params};

use super::JobStore;
use super::stored::StoredJob;
use crate::store::error::StoreError;
use crate::store::sqlite::columns::{self, some_text};

/// Every real due instant is before this one.
const BEFORE_NEVER: i64 = super::NEVER_MS;

impl JobStore {
    /// The jobs of `SELECT … FROM scheduled_jobs` with this rest.
    fn jobs(&self, rest: &str, about: impl Params) -> Result<Vec<StoredJob>, StoreError> {
        self.database.rows(&format!("SELECT rowid, * FROM scheduled_jobs {rest}"), about, StoredJob::read)
    }

    /// The number of rows of `SELECT count(*) FROM scheduled_jobs` with this rest.
    fn n_jobs(&self, rest: &str, about: impl Params) -> Result<usize, StoreError> {
        let statement = format!("SELECT count(*) FROM scheduled_jobs {rest}");
        let n = self.database.row(&statement, about, |row| row.get::<_, i64>(0))?;
        Ok(n.and_then(|n| usize::try_from(n).ok()).unwrap_or(0))
    }

    /// One job.
    pub fn load_job(&self, job_id: &str) -> Result<Option<StoredJob>, StoreError> {
        Ok(self.jobs("WHERE job_id = ?1", [job_id])?.pop())
    }

    /// All jobs, by name.
    pub fn list_jobs(&self) -> Result<Vec<StoredJob>, StoreError> {
        self.jobs("ORDER BY job_id", [])
    }

    /// The jobs that have a pipeline file, by name.
    pub fn jobs_of_files(&self) -> Result<Vec<StoredJob>, StoreError> {
        self.jobs("WHERE file IS NOT NULL ORDER BY job_id", [])
    }

    /// Jobs to reckon anew after a change of the machine's zone to `local`, by name: they follow the machine's zone (as
    /// jobs without a zone do), and their next instant follows from their schedule, is after `now_ms`, and was reckoned
    /// in another zone.
    pub fn jobs_reckoned_elsewhere(&self, local: &str, now_ms: i64) -> Result<Vec<StoredJob>, StoreError> {
        self.jobs(
            "WHERE lower(COALESCE(zone, 'local')) = 'local' AND reckoned_zone IS NOT ?1
               AND next_run_ms > ?2 AND next_run_ms < ?3 AND first_by_hand = 0 ORDER BY job_id",
            params![local, now_ms, BEFORE_NEVER],
        )
    }

    /// The names of all jobs.
    pub fn job_ids(&self) -> Result<Vec<String>, StoreError> {
        self.database.rows("SELECT job_id FROM scheduled_jobs ORDER BY job_id", [], |row| some_text(row, 0))
    }

    /// At most `limit` jobs, by name, from the `offset`-th on. Only the index is read for those before.
    pub fn list_some_jobs(&self, offset: usize, limit: usize) -> Result<Vec<StoredJob>, StoreError> {
        self.jobs(
            "WHERE job_id IN (SELECT job_id FROM scheduled_jobs ORDER BY job_id LIMIT ?1 OFFSET ?2)
             ORDER BY job_id",
            [limit, offset].map(|n| i64::try_from(n).unwrap_or(i64::MAX)),
        )
    }

    /// At most `limit` jobs of a pipeline: the enabled ones first, the earliest due first.
    pub fn jobs_of_pipeline(&self, pipeline_id: &str, limit: usize) -> Result<Vec<StoredJob>, StoreError> {
        self.jobs(
            "INDEXED BY scheduled_jobs_by_pipeline
             WHERE pipeline_id = ?1 ORDER BY enabled DESC, next_run_ms, job_id LIMIT ?2",
            params![pipeline_id, limit as i64],
        )
    }

    /// How many jobs a pipeline has.
    pub fn count_jobs_of_pipeline(&self, pipeline_id: &str) -> Result<usize, StoreError> {
        self.n_jobs("INDEXED BY scheduled_jobs_by_pipeline WHERE pipeline_id = ?1", [pipeline_id])
    }

    /// How many jobs are disabled.
    pub fn count_disabled_jobs(&self) -> Result<usize, StoreError> {
        self.n_jobs("WHERE enabled = 0", [])
    }

    /// How many jobs there are.
    pub fn count_jobs(&self) -> Result<usize, StoreError> {
        self.n_jobs("", [])
    }

    /// How many enabled jobs have a next instant.
    pub fn n_due(&self) -> Result<usize, StoreError> {
        self.n_jobs(
            "INDEXED BY scheduled_jobs_by_next_run WHERE enabled = 1 AND next_run_ms < ?1",
            [BEFORE_NEVER],
        )
    }

    /// The earliest next instant of the enabled jobs, in milliseconds; none when no job is ever due.
    pub fn earliest_due_ms(&self) -> Result<Option<i64>, StoreError> {
        let earliest = self.database.row(
            "SELECT next_run_ms FROM scheduled_jobs INDEXED BY scheduled_jobs_by_next_run
             WHERE enabled = 1 AND next_run_ms < ?1 ORDER BY next_run_ms LIMIT 1",
            [BEFORE_NEVER],
            |row| columns::int(row, 0),
        )?;
        Ok(earliest.flatten())
    }

    /// At most `limit` enabled jobs that are due at `now_ms`, earliest first.
    pub fn due_jobs(&self, now_ms: i64, limit: usize) -> Result<Vec<StoredJob>, StoreError> {
        self.jobs(
            "INDEXED BY scheduled_jobs_by_next_run
             WHERE enabled = 1 AND next_run_ms <= ?1 ORDER BY next_run_ms, job_id LIMIT ?2",
            params![now_ms.min(BEFORE_NEVER - 1), limit as i64],
        )
    }

    /// At most `limit` jobs that a script has written and the scheduler has not read yet, with a rowid above
    /// `after_rowid`.
    pub fn unread_jobs(&self, after_rowid: i64, limit: usize) -> Result<Vec<StoredJob>, StoreError> {
        let rest = "WHERE next_run_ms IS NULL AND rowid > ?1 ORDER BY rowid LIMIT ?2";
        self.jobs(rest, [after_rowid, limit as i64])
    }

    /// The jobs that run after `upstream`.
    pub fn downstream(&self, upstream: &str) -> Result<Vec<StoredJob>, StoreError> {
        self.jobs(
            "WHERE job_id IN (SELECT job_id FROM job_upstreams WHERE upstream = ?1) ORDER BY job_id",
            [upstream],
        )
    }

    /// The jobs that `job_id` runs after. Each has the instant, in milliseconds, at which it ended as wanted, if it
    /// has.
    pub fn upstreams(&self, job_id: &str) -> Result<Vec<(String, Option<i64>)>, StoreError> {
        let statement = "SELECT upstream, ended_ms FROM job_upstreams WHERE job_id = ?1";
        self.database.rows(statement, [job_id], |row| Ok((some_text(row, 0)?, columns::int(row, 1)?)))
    }

    /// All pairs of a job and one of its upstream jobs.
    pub fn all_upstreams(&self) -> Result<Vec<(String, String)>, StoreError> {
        let statement = "SELECT job_id, upstream FROM job_upstreams ORDER BY job_id, upstream";
        self.database.rows(statement, [], |row| Ok((some_text(row, 0)?, some_text(row, 1)?)))
    }
}

//! Queries of [`JobStore`] about fires and history: one function a query. They fail as the database reports.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use rusqlite::{Params, params};

use super::JobStore;
use super::stored::{StoredFire, StoredHistory};
use crate::base::id::{JobId, RunId};
use crate::store::error::StoreError;
use crate::store::sqlite::columns::some_text;

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

/// Which rows of the ledger to list, over all jobs. The default lists all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LedgerFilter {
    /// Only rows of this job.
    pub job_id: Option<JobId>,
    pub kind: LedgerKind,
    /// Only rows with an instant at this one or later.
    pub since: Option<DateTime<Utc>>,
    /// Only rows with an instant before this one.
    pub until: Option<DateTime<Utc>>,
}

/// What became of the instants of a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LedgerKind {
    #[default]
    Any,
    /// A run completed.
    Completed,
    /// A run ended otherwise, or could not be started.
    Failed,
    /// No run was started, and none will be.
    NotRun,
    /// A run is being started, or waits for another one.
    Open,
}

impl LedgerFilter {
    /// The condition. Its parameters: 1 the job, 2 the earliest and 3 the latest instant.
    fn condition(&self) -> String {
        let ended = |words: &str| {
            format!(
                "EXISTS (SELECT 1 FROM job_history AS runs WHERE runs.run_id = fires.run_id AND runs.status IN ({words}))"
            )
        };
        let kind = match self.kind {
            LedgerKind::Any => String::new(),
            LedgerKind::Completed => format!("AND {}", ended("'completed'")),
            LedgerKind::Failed => {
                let ended = ended("'failed', 'stopped', 'force_stopped', 'interrupted'");
                format!("AND (outcome = 'failed_to_start' OR {ended})")
            }
            LedgerKind::NotRun => "AND outcome IN ('skipped', 'coalesced', 'expired', 'disabled')".to_owned(),
            LedgerKind::Open => "AND outcome IN ('claimed', 'queued')".to_owned(),
        };
        // Without a condition on the job where none is wanted, so that each statement has its index.
        let (index, job) = match self.job_id {
            Some(_) => ("fires_by_job", "job_id = ?1 AND"),
            None => ("fires_by_time", "?1 IS NULL AND"),
        };
        format!("INDEXED BY {index} WHERE {job} through_ms >= ?2 AND due_ms < ?3 {kind}")
    }

    fn span(&self) -> (Option<&str>, i64, i64) {
        let since = self.since.map_or(i64::MIN, |at| at.timestamp_millis());
        let until = self.until.map_or(i64::MAX, |at| at.timestamp_millis());
        (self.job_id.as_ref().map(JobId::as_str), since, until)
    }
}

impl JobStore {
    /// At most `limit` rows that match `filter` from the `offset`-th on, the newest first.
    pub fn ledger(
        &self,
        filter: &LedgerFilter,
        offset: usize,
        limit: usize,
    ) -> Result<Vec<StoredFire>, StoreError> {
        let (job_id, since, until) = filter.span();
        let order = if filter.job_id.is_some() { "due_ms DESC" } else { "through_ms DESC, rowid DESC" };
        let rest = format!("{} ORDER BY {order} LIMIT ?4 OFFSET ?5", filter.condition());
        let [limit, offset] = [limit, offset].map(|n| i64::try_from(n).unwrap_or(i64::MAX));
        self.fires_of(&rest, params![job_id, since, until, limit, offset])
    }

    /// How many rows match `filter`.
    pub fn count_ledger(&self, filter: &LedgerFilter) -> Result<usize, StoreError> {
        let (job_id, since, until) = filter.span();
        let statement = format!("SELECT count(*) FROM fires {}", filter.condition());
        let n = self.database.row(&statement, params![job_id, since, until], |row| row.get::<_, i64>(0))?;
        Ok(n.and_then(|n| usize::try_from(n).ok()).unwrap_or(0))
    }

    /// The rows of `SELECT * FROM fires` with this rest.
    fn fires_of(&self, rest: &str, about: impl Params) -> Result<Vec<StoredFire>, StoreError> {
        self.database.rows(&format!("SELECT * FROM fires {rest}"), about, StoredFire::read)
    }

    /// The rows of `SELECT * FROM job_history` with this rest.
    fn history_of(&self, rest: &str, about: impl Params) -> Result<Vec<StoredHistory>, StoreError> {
        self.database.rows(&format!("SELECT * FROM job_history {rest}"), about, StoredHistory::read)
    }

    /// The fires of a job that match `filter`, oldest first.
    pub fn fires(&self, job_id: &str, filter: &FireFilter) -> Result<Vec<StoredFire>, StoreError> {
        let since = filter.since.map_or(i64::MIN, |at| at.timestamp_millis());
        let until = filter.until.map_or(i64::MAX, |at| at.timestamp_millis());
        let limit = filter.limit.map_or(i64::MAX, |n| i64::try_from(n).unwrap_or(i64::MAX));
        let mut found = self.fires_of(
            "WHERE job_id = ?1 AND due_ms < ?3 AND through_ms >= ?2 ORDER BY due_ms DESC LIMIT ?4",
            params![job_id, since, until, limit],
        )?;
        found.reverse();
        Ok(found)
    }

    /// The fires of all jobs that did not run although they should have (`skipped`, `expired`, `failed_to_start`), with
    /// an instant from `since` on and none from `until` on; the newest first, at most `limit`.
    pub fn missed_fires(
        &self,
        (since, until): (DateTime<Utc>, DateTime<Utc>),
        limit: usize,
    ) -> Result<Vec<StoredFire>, StoreError> {
        self.fires_of(
            "INDEXED BY fires_by_time WHERE through_ms >= ?1 AND through_ms < ?2
               AND outcome IN ('skipped', 'expired', 'failed_to_start') AND typeof(due_ms) = 'integer'
             ORDER BY through_ms DESC LIMIT ?3",
            params![
                since.timestamp_millis(),
                until.timestamp_millis(),
                i64::try_from(limit).unwrap_or(i64::MAX)
            ],
        )
    }

    /// The fire of a job whose first instant is `due_ms`.
    pub fn fire_at(&self, job_id: &str, due_ms: i64) -> Result<Option<StoredFire>, StoreError> {
        Ok(self.fires_of("WHERE job_id = ?1 AND due_ms = ?2", params![job_id, due_ms])?.pop())
    }

    /// The last fire of a job whose first instant is before `before_ms`.
    pub fn fire_before(&self, job_id: &str, before_ms: i64) -> Result<Option<StoredFire>, StoreError> {
        let rest = "WHERE job_id = ?1 AND due_ms < ?2 ORDER BY due_ms DESC LIMIT 1";
        Ok(self.fires_of(rest, params![job_id, before_ms])?.pop())
    }

    /// The newest `limit` fires of a job whose first instant is from `from_ms` to `through_ms`, both included; oldest
    /// first.
    pub fn fires_within(
        &self,
        job_id: &str,
        from_ms: i64,
        through_ms: i64,
        limit: usize,
    ) -> Result<Vec<StoredFire>, StoreError> {
        let rest = "WHERE job_id = ?1 AND due_ms BETWEEN ?2 AND ?3 ORDER BY due_ms DESC LIMIT ?4";
        let mut found = self.fires_of(rest, params![job_id, from_ms, through_ms, limit as i64])?;
        found.reverse();
        Ok(found)
    }

    /// Calls `take` for the open fires of all jobs with this outcome (`claimed` or `queued`), oldest first, until it
    /// breaks. Returns the rowids of the fires that were skipped because their job's name is not text: no later write
    /// could find such a row by its name.
    pub fn each_open_fire(
        &self,
        outcome: &str,
        mut take: impl FnMut(StoredFire) -> std::ops::ControlFlow<()>,
    ) -> Result<Vec<i64>, StoreError> {
        self.database.read(|conn| {
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
    pub fn open_fires_of(&self, job_id: &str) -> Result<Vec<StoredFire>, StoreError> {
        self.fires_of(
            "INDEXED BY fires_open_by_job
             WHERE outcome IN ('claimed', 'queued') AND job_id = ?1 AND typeof(due_ms) = 'integer'
             ORDER BY due_ms",
            [job_id],
        )
    }

    /// The reserved run ids that are `base`, or `base` with a number behind.
    pub fn reserved_run_ids(&self, base: &str) -> Result<HashSet<String>, StoreError> {
        // '.' is the byte after '-': the names between are those that begin with the base and a '-'.
        let found = self.database.rows(
            "SELECT run_id FROM fires WHERE run_id IS NOT NULL
               AND (run_id = ?1 OR (run_id > ?1 || '-' AND run_id < ?1 || '.'))",
            [base],
            |row| some_text(row, 0),
        );
        Ok(found?.into_iter().collect())
    }

    /// The newest `limit` runs of a job, newest first.
    pub fn history(&self, job_id: &str, limit: usize) -> Result<Vec<StoredHistory>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.history_of("WHERE job_id = ?1 ORDER BY id DESC LIMIT ?2", params![job_id, limit])
    }

    /// The history row of one run.
    pub fn history_of_run(&self, run_id: &RunId) -> Result<Option<StoredHistory>, StoreError> {
        Ok(self.history_of("WHERE run_id = ?1 LIMIT 1", [run_id.as_str()])?.pop())
    }

    /// The runs of all jobs whose end is not recorded yet, oldest first.
    pub fn unbooked_history(&self) -> Result<Vec<StoredHistory>, StoreError> {
        self.history_of("WHERE finished_at IS NULL ORDER BY id", [])
    }

    /// The runs of one job whose end is not recorded yet, oldest first.
    pub fn unbooked_history_of(&self, job_id: &str) -> Result<Vec<StoredHistory>, StoreError> {
        self.history_of(
            "INDEXED BY job_history_open_by_job WHERE finished_at IS NULL AND job_id = ?1 ORDER BY id",
            [job_id],
        )
    }

    /// All runs that are reserved for a fire or whose end is not recorded yet. Retention keeps these.
    pub fn unbooked_run_ids(&self) -> Result<HashSet<String>, StoreError> {
        let found = self.database.rows(
            "SELECT run_id FROM job_history WHERE finished_at IS NULL
             UNION SELECT run_id FROM fires WHERE outcome IN ('claimed', 'queued') AND run_id IS NOT NULL",
            [],
            |row| some_text(row, 0),
        );
        Ok(found?.into_iter().collect())
    }
}

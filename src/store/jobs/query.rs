//! What can be asked of [`JobStore`]: one function a question.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, Row, params};

use super::stored::{FireKind, StoredFire, StoredHistory, StoredJob};
use super::{JobStore, from_ms};
use crate::id::RunId;
use crate::store::StoreError;
use crate::store::rows;

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

macro_rules! job_columns {
    () => {
        "job_id, pipeline_id, source, schedule_type, schedule_config, next_run, next_run_ms, enabled, last_run, \
         run_count, created_at, zone, misfire, catchup_limit, misfire_grace_ms, misfire_max_age_ms, overlap, \
         priority, params, run_type, environment, file, file_table, first_by_hand, \
         file_mark"
    };
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

/// Nothing that comes due comes at or after this instant.
const BEFORE_NEVER: i64 = super::NEVER_MS;

impl JobStore {
    /// One job.
    ///
    /// # Errors
    /// What the disk has.
    pub fn load_job(&self, job_id: &str) -> Result<Option<StoredJob>, StoreError> {
        self.read(|conn| {
            conn.prepare_cached(concat!("SELECT ", job_columns!(), " FROM scheduled_jobs WHERE job_id = ?1"))?
                .query_row([job_id], job)
                .optional()
        })
    }

    /// All jobs, by name.
    ///
    /// # Errors
    /// What the disk has.
    pub fn list_jobs(&self) -> Result<Vec<StoredJob>, StoreError> {
        self.read(|conn| {
            conn.prepare_cached(concat!("SELECT ", job_columns!(), " FROM scheduled_jobs ORDER BY job_id"))?
                .query_map([], job)?
                .collect()
        })
    }

    /// The jobs of a pipeline, by name.
    ///
    /// # Errors
    /// What the disk has.
    pub fn jobs_of_pipeline(&self, pipeline_id: &str) -> Result<Vec<StoredJob>, StoreError> {
        self.read(|conn| {
            conn.prepare_cached(concat!(
                "SELECT ",
                job_columns!(),
                " FROM scheduled_jobs WHERE pipeline_id = ?1 ORDER BY job_id"
            ))?
            .query_map([pipeline_id], job)?
            .collect()
        })
    }

    /// The jobs that pipeline files have made, by name.
    ///
    /// # Errors
    /// What the disk has.
    pub fn jobs_of_files(&self) -> Result<Vec<StoredJob>, StoreError> {
        self.read(|conn| {
            conn.prepare_cached(concat!(
                "SELECT ",
                job_columns!(),
                " FROM scheduled_jobs WHERE file IS NOT NULL ORDER BY job_id"
            ))?
            .query_map([], job)?
            .collect()
        })
    }

    /// The jobs that follow this zone, by name; those that say none follow the machine's, `local`.
    ///
    /// # Errors
    /// What the disk has.
    pub fn jobs_of_zone(&self, zone: &str) -> Result<Vec<StoredJob>, StoreError> {
        self.read(|conn| {
            conn.prepare_cached(concat!(
                "SELECT ",
                job_columns!(),
                " FROM scheduled_jobs WHERE COALESCE(zone, 'local') = ?1 ORDER BY job_id"
            ))?
            .query_map([zone], job)?
            .collect()
        })
    }

    /// The names of all jobs.
    ///
    /// # Errors
    /// What the disk has.
    pub fn job_ids(&self) -> Result<Vec<String>, StoreError> {
        self.read(|conn| {
            conn.prepare_cached("SELECT job_id FROM scheduled_jobs ORDER BY job_id")?
                .query_map([], |row| rows::text(row, 0).map(Option::unwrap_or_default))?
                .collect()
        })
    }

    /// How many jobs there are.
    ///
    /// # Errors
    /// What the disk has.
    pub fn count_jobs(&self) -> Result<usize, StoreError> {
        self.read(|conn| {
            conn.query_row("SELECT count(*) FROM scheduled_jobs", [], |row| row.get::<_, i64>(0))
                .map(|n| n as usize)
        })
    }

    /// When the next enabled job is due; none when none ever is.
    ///
    /// # Errors
    /// What the disk has.
    pub fn earliest_due_ms(&self) -> Result<Option<i64>, StoreError> {
        self.read(|conn| {
            conn.prepare_cached(
                "SELECT next_run_ms FROM scheduled_jobs INDEXED BY scheduled_jobs_by_next_run
                 WHERE enabled = 1 AND next_run_ms < ?1 ORDER BY next_run_ms LIMIT 1",
            )?
            .query_row([BEFORE_NEVER], |row| row.get(0))
            .optional()
        })
    }

    /// The enabled jobs that are due at `now_ms`, earliest first.
    ///
    /// # Errors
    /// What the disk has.
    pub fn due_jobs(&self, now_ms: i64, limit: usize) -> Result<Vec<StoredJob>, StoreError> {
        self.read(|conn| {
            conn.prepare_cached(concat!(
                "SELECT ",
                job_columns!(),
                " FROM scheduled_jobs INDEXED BY scheduled_jobs_by_next_run
                 WHERE enabled = 1 AND next_run_ms <= ?1 ORDER BY next_run_ms, job_id LIMIT ?2"
            ))?
            .query_map(params![now_ms.min(BEFORE_NEVER - 1), limit as i64], job)?
            .collect()
        })
    }

    /// Jobs that a script has written and nobody has read yet.
    ///
    /// # Errors
    /// What the disk has.
    pub fn unread_jobs(&self, limit: usize) -> Result<Vec<StoredJob>, StoreError> {
        self.read(|conn| {
            conn.prepare_cached(concat!(
                "SELECT ",
                job_columns!(),
                " FROM scheduled_jobs WHERE next_run_ms IS NULL LIMIT ?1"
            ))?
            .query_map([limit as i64], job)?
            .collect()
        })
    }

    /// The jobs that run after `upstream`.
    ///
    /// # Errors
    /// What the disk has.
    pub fn downstream(&self, upstream: &str) -> Result<Vec<StoredJob>, StoreError> {
        self.read(|conn| {
            conn.prepare_cached(concat!(
                "SELECT ",
                job_columns!(),
                " FROM scheduled_jobs WHERE job_id IN (SELECT job_id FROM job_upstreams WHERE upstream = ?1)
                 ORDER BY job_id"
            ))?
            .query_map([upstream], job)?
            .collect()
        })
    }

    /// The jobs that `job_id` runs after, each with the instant since which it has ended as wanted.
    ///
    /// # Errors
    /// What the disk has.
    pub fn upstreams(&self, job_id: &str) -> Result<Vec<(String, Option<i64>)>, StoreError> {
        self.read(|conn| {
            conn.prepare_cached("SELECT upstream, ended_ms FROM job_upstreams WHERE job_id = ?1")?
                .query_map([job_id], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect()
        })
    }

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

    /// Goes through the fires of any job that have this outcome and are still to be done, oldest first, until `take`
    /// says that it has seen enough.
    ///
    /// # Errors
    /// What the disk has.
    pub fn each_open_fire(
        &self,
        outcome: &str,
        mut take: impl FnMut(StoredFire) -> std::ops::ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.read(|conn| {
            let mut statement = conn.prepare_cached(concat!(
                "SELECT ",
                fire_columns!(),
                " FROM fires INDEXED BY fires_open
                 WHERE outcome = ?1 AND outcome IN ('claimed', 'queued') ORDER BY due_ms"
            ))?;
            let mut rows = statement.query([outcome])?;
            while let Some(row) = rows.next()? {
                if take(fire(row)?).is_break() {
                    break;
                }
            }
            Ok(())
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
                 WHERE outcome IN ('claimed', 'queued') AND job_id = ?1 ORDER BY due_ms"
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
            .query_map([base], |row| row.get(0))?
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
            .query_map([], |row| row.get(0))?
            .collect()
        })
    }
}

fn job(row: &Row<'_>) -> rusqlite::Result<StoredJob> {
    let text = |index| rows::text(row, index);
    let some_text = |index| rows::text(row, index).map(Option::unwrap_or_default);
    Ok(StoredJob {
        job_id: some_text(0)?,
        pipeline_id: some_text(1)?,
        source: some_text(2)?,
        schedule_type: some_text(3)?,
        schedule_config: some_text(4)?,
        next_run: some_text(5)?,
        next_run_ms: rows::int(row, 6)?,
        // The column's own default, and any number but zero.
        enabled: rows::int(row, 7)?.unwrap_or(1) != 0,
        last_run: text(8)?,
        run_count: rows::int(row, 9)?.unwrap_or(0),
        created_at: some_text(10)?,
        zone: text(11)?,
        misfire: text(12)?,
        catchup_limit: rows::int(row, 13)?,
        misfire_grace_ms: rows::int(row, 14)?,
        misfire_max_age_ms: rows::int(row, 15)?,
        overlap: text(16)?,
        priority: rows::int(row, 17)?,
        params: text(18)?,
        run_type: text(19)?,
        environment: text(20)?,
        file: text(21)?,
        file_table: text(22)?,
        first_by_hand: rows::int(row, 23)?.unwrap_or(0) != 0,
        file_mark: text(24)?,
    })
}

fn fire(row: &Row<'_>) -> rusqlite::Result<StoredFire> {
    let due_ms = rows::int(row, 1)?.unwrap_or_default();
    Ok(StoredFire {
        job_id: rows::text(row, 0)?.unwrap_or_default(),
        due_ms,
        through_ms: rows::int(row, 2)?.unwrap_or(due_ms),
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

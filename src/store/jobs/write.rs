//! What may be written into `scheduler.db`, each a sentence of SQL.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, params};

use super::stored::{NEVER, NEVER_MS, StoredFire, StoredHistory, StoredJob, written};
use crate::base::time::format_instant;
use crate::store::sqlite::put::{Column, insert, update};

/// One thing to write. All writes of one commit are there together or not at all.
#[derive(Debug, Clone)]
pub enum JobWrite {
    /// A job that is new; there is none of its name.
    AddJob(Box<StoredJob>),
    /// A job's row as it is now, but for its counters and its place in a file.
    ChangeJob(Box<StoredJob>),
    /// A job goes; its fires and its history stay.
    RemoveJob {
        /// Which.
        job_id: String,
    },
    /// A job, its fires and its history get another name.
    RenameJob {
        /// Its name so far.
        from: String,
        /// Its name from now on.
        to: String,
    },
    /// When a job is due next, [`NEVER_MS`] for never.
    NextRun {
        /// Whose.
        job_id: String,
        /// In milliseconds.
        at_ms: i64,
        /// The zone by which that was reckoned, where the job follows the machine's.
        zone: Option<String>,
    },
    /// A job's row can't be understood, or what came of it not be written: it is never due, and its text stays as it was
    /// written.
    Park {
        /// Which row.
        rowid: i64,
        /// Why, in a sentence.
        problem: String,
    },
    /// The switch of a job.
    Enable {
        /// Whose.
        job_id: String,
        /// Whether it fires.
        enabled: bool,
    },
    /// In which file a job stands.
    InFile {
        /// Which job.
        job_id: String,
        /// The file.
        file: Option<String>,
        /// Whether its table is there.
        file_table: String,
        /// What that says, in short.
        file_mark: String,
    },
    /// After which jobs a job runs.
    Upstreams {
        /// Whose.
        job_id: String,
        /// Their names; none for most jobs.
        upstreams: Vec<String>,
    },
    /// A run of `upstream` has ended as `job_id` wants it, at this instant; none takes that back.
    UpstreamEnded {
        /// Which ended; none: all of them.
        upstream: Option<String>,
        /// Who waits.
        job_id: String,
        /// When, in milliseconds.
        at_ms: Option<i64>,
    },
    /// A row of the ledger that is new.
    AddFire(StoredFire),
    /// A row of the ledger reaches further.
    ExtendFire {
        /// Whose.
        job_id: String,
        /// Its first instant.
        due_ms: i64,
        /// Its last instant now.
        through_ms: i64,
        /// How many more there are.
        n_more: u64,
    },
    /// A row of the ledger ends earlier: what it says beyond that was written by a clock that was ahead.
    CutFire {
        /// Whose.
        job_id: String,
        /// Its first instant.
        due_ms: i64,
        /// Its last instant now.
        through_ms: i64,
        /// How many there are.
        n_instants: u64,
    },
    /// What became of a fire.
    SettleFire {
        /// Whose.
        job_id: String,
        /// Its first instant.
        due_ms: i64,
        /// The word for it.
        outcome: String,
        /// Why, in a sentence.
        reason: Option<String>,
        /// Its run; none leaves none.
        run_id: Option<String>,
    },
    /// The run of a claimed fire was started: it ran, or was run again.
    MarkRan {
        /// Whose.
        job_id: String,
        /// Its instant.
        due_ms: i64,
        /// Its run.
        run_id: String,
    },
    /// A row of the ledger goes, to be written again in parts.
    RemoveFire {
        /// Whose.
        job_id: String,
        /// Its first instant.
        due_ms: i64,
    },
    /// A run of a job was started.
    AddHistory(StoredHistory),
    /// A run that was not started gets another name.
    RenameHistory {
        /// Its name so far.
        from: String,
        /// Its name from now on.
        to: String,
    },
    /// A run of a job has ended.
    EndHistory {
        /// Which.
        run_id: String,
        /// When.
        finished_at: DateTime<Utc>,
        /// The word for its state.
        status: String,
        /// Why it failed.
        error: Option<String>,
    },
    /// A run of a job that had ended goes on.
    ReopenHistory {
        /// Which.
        run_id: String,
        /// The word for its state.
        status: String,
    },
    /// A job has run once more.
    CountRun {
        /// Which.
        job_id: String,
        /// Its due instant, or its start by hand.
        at: DateTime<Utc>,
    },
}

impl JobWrite {
    /// Writes it within the transaction that is open on `conn`.
    pub(super) fn apply(&self, conn: &Connection) -> rusqlite::Result<()> {
        match self {
            Self::AddJob(job) => add_job(conn, job),
            Self::ChangeJob(job) => change_job(conn, job),
            Self::RemoveJob { job_id } => {
                conn.prepare_cached("DELETE FROM scheduled_jobs WHERE job_id = ?1")?.execute([job_id])?;
                conn.prepare_cached("DELETE FROM job_upstreams WHERE job_id = ?1")?.execute([job_id])?;
                Ok(())
            }
            Self::RenameJob { from, to } => rename_job(conn, from, to),
            Self::NextRun { job_id, at_ms, zone } => {
                let (text, ms) = next_run(*at_ms);
                conn.prepare_cached(
                    "UPDATE scheduled_jobs SET next_run = ?2, next_run_ms = ?3, first_by_hand = 0, reckoned_zone = ?4
                     WHERE job_id = ?1",
                )?
                .execute(params![job_id, text, ms, zone])
                .map(drop)
            }
            Self::Park { rowid, problem } => conn
                .prepare_cached(
                    "UPDATE scheduled_jobs SET next_run_ms = ?2, problem = ?3 WHERE rowid = ?1",
                )?
                .execute(params![rowid, NEVER_MS, problem])
                .map(drop),
            Self::Enable { job_id, enabled } => conn
                .prepare_cached("UPDATE scheduled_jobs SET enabled = ?2 WHERE job_id = ?1")?
                .execute(params![job_id, enabled])
                .map(drop),
            Self::InFile { job_id, file, file_table, file_mark } => conn
                .prepare_cached(
                    "UPDATE scheduled_jobs SET file = ?2, file_table = ?3, file_mark = ?4 WHERE job_id = ?1",
                )?
                .execute(params![job_id, file, file_table, file_mark])
                .map(drop),
            Self::Upstreams { job_id, upstreams } => {
                conn.prepare_cached("DELETE FROM job_upstreams WHERE job_id = ?1")?.execute([job_id])?;
                upstreams.iter().try_for_each(|upstream| {
                    conn.prepare_cached(
                        "INSERT OR IGNORE INTO job_upstreams (upstream, job_id) VALUES (?1, ?2)",
                    )?
                    .execute([upstream, job_id])
                    .map(drop)
                })
            }
            Self::UpstreamEnded { upstream, job_id, at_ms } => conn
                .prepare_cached(
                    "UPDATE job_upstreams SET ended_ms = ?3 WHERE job_id = ?2 AND (?1 IS NULL OR upstream = ?1)",
                )?
                .execute(params![upstream, job_id, at_ms])
                .map(drop),
            Self::AddFire(fire) => fire.add(conn),
            Self::ExtendFire { job_id, due_ms, through_ms, n_more } => conn
                .prepare_cached(
                    "UPDATE fires SET through_at = ?3, through_ms = ?4, n_instants = n_instants + ?5
                     WHERE job_id = ?1 AND due_ms = ?2",
                )?
                .execute(params![job_id, due_ms, written(*through_ms), through_ms, *n_more as i64])
                .map(drop),
            Self::CutFire { job_id, due_ms, through_ms, n_instants } => conn
                .prepare_cached(
                    "UPDATE fires SET through_at = ?3, through_ms = ?4, n_instants = ?5
                     WHERE job_id = ?1 AND due_ms = ?2",
                )?
                .execute(params![job_id, due_ms, written(*through_ms), through_ms, *n_instants as i64])
                .map(drop),
            Self::SettleFire { job_id, due_ms, outcome, reason, run_id } => conn
                .prepare_cached(
                    "UPDATE fires SET outcome = ?3, reason = ?4, run_id = ?5 WHERE job_id = ?1 AND due_ms = ?2",
                )?
                .execute(params![job_id, due_ms, outcome, reason, run_id])
                .map(drop),
            Self::MarkRan { job_id, due_ms, run_id } => conn
                .prepare_cached(
                    "UPDATE fires SET outcome = CASE kind WHEN 'backfill' THEN 'backfilled' ELSE 'ran' END,
                       reason = NULL, run_id = ?3 WHERE job_id = ?1 AND due_ms = ?2",
                )?
                .execute(params![job_id, due_ms, run_id])
                .map(drop),
            Self::RenameHistory { from, to } => conn
                .prepare_cached("UPDATE job_history SET run_id = ?2 WHERE run_id = ?1")?
                .execute([from, to])
                .map(drop),
            Self::RemoveFire { job_id, due_ms } => conn
                .prepare_cached("DELETE FROM fires WHERE job_id = ?1 AND due_ms = ?2")?
                .execute(params![job_id, due_ms])
                .map(drop),
            Self::AddHistory(history) => history.add(conn),
            Self::EndHistory { run_id, finished_at, status, error } => conn
                .prepare_cached(
                    "UPDATE job_history SET finished_at = ?2, status = ?3, error = ?4 WHERE run_id = ?1",
                )?
                .execute(params![run_id, format_instant(*finished_at), status, error])
                .map(drop),
            Self::ReopenHistory { run_id, status } => conn
                .prepare_cached(
                    "UPDATE job_history SET finished_at = NULL, status = ?2, error = NULL WHERE run_id = ?1",
                )?
                .execute(params![run_id, status])
                .map(drop),
            Self::CountRun { job_id, at } => conn
                .prepare_cached(
                    "UPDATE scheduled_jobs SET last_run = ?2, run_count = COALESCE(run_count, 0) + 1
                     WHERE job_id = ?1",
                )?
                .execute(params![job_id, format_instant(*at)])
                .map(drop),
        }
    }
}

fn add_job(conn: &Connection, job: &StoredJob) -> rusqlite::Result<()> {
    let name: Column<'_> = ("job_id", &job.job_id);
    insert(conn, "scheduled_jobs", &[&[name][..], &job.columns()].concat())?;
    settle_next_run(conn, job)
}

fn change_job(conn: &Connection, job: &StoredJob) -> rusqlite::Result<()> {
    update(conn, "scheduled_jobs", &job.columns(), "job_id = ?", &[&job.job_id])?;
    settle_next_run(conn, job)
}

/// The trigger takes a change that leaves the integer alone for one by hand.
fn settle_next_run(conn: &Connection, job: &StoredJob) -> rusqlite::Result<()> {
    if job.next_run_ms.is_some() {
        let row: [Column<'_>; 2] = [("next_run", &job.next_run), ("next_run_ms", &job.next_run_ms)];
        update(conn, "scheduled_jobs", &row, "job_id = ?", &[&job.job_id])?;
    }
    Ok(())
}

fn rename_job(conn: &Connection, from: &str, to: &str) -> rusqlite::Result<()> {
    for statement in [
        "UPDATE scheduled_jobs SET job_id = ?2 WHERE job_id = ?1",
        // What an earlier job of the new name has left would stand in the way.
        "DELETE FROM fires WHERE job_id = ?2
           AND EXISTS (SELECT 1 FROM fires other WHERE other.job_id = ?1 AND other.due_ms = fires.due_ms)",
        "UPDATE fires SET job_id = ?2 WHERE job_id = ?1",
        "UPDATE job_history SET job_id = ?2 WHERE job_id = ?1",
        "UPDATE job_upstreams SET job_id = ?2 WHERE job_id = ?1",
        "UPDATE OR REPLACE job_upstreams SET upstream = ?2 WHERE upstream = ?1",
    ] {
        conn.prepare_cached(statement)?.execute([from, to])?;
    }
    Ok(())
}

/// The text and the integer of a next instant.
pub(super) fn next_run(at_ms: i64) -> (String, i64) {
    if at_ms >= NEVER_MS { (NEVER.to_owned(), NEVER_MS) } else { (written(at_ms), at_ms) }
}

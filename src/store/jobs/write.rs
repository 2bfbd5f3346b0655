//! What can be written into `scheduler.db`.

use chrono::{DateTime, Utc};
use rusqlite::types::ToSql;
use rusqlite::{Connection, params};

use super::stored::{NEVER, NEVER_MS, StoredFire, StoredHistory, StoredJob, written};
use crate::base::time::format_instant;
use crate::store::sqlite::put::{Column, insert, update};

/// One write. The writes of one commit take effect together or not at all.
#[derive(Debug, Clone)]
pub enum JobWrite {
    /// Adds a job. No job of this name exists.
    AddJob(Box<StoredJob>),
    /// Updates a job's row, but not its counters or its place in a file.
    ChangeJob(Box<StoredJob>),
    /// Removes a job. Its fires and its history stay.
    RemoveJob { job_id: String },
    /// Renames a job in its row, its fires and its history.
    RenameJob { from: String, to: String },
    /// Sets when a job is due next.
    NextRun {
        job_id: String,
        /// In milliseconds; [`NEVER_MS`] for never.
        at_ms: i64,
        /// The zone in which it was reckoned, if the job follows the machine's.
        zone: Option<String>,
    },
    /// Marks a job whose row can't be read, or whose fires can't be written: it is never due, and its text stays.
    Park {
        rowid: i64,
        /// Why, in a sentence.
        problem: String,
    },
    /// Enables or disables a job.
    Enable { job_id: String, enabled: bool },
    /// Sets the pipeline file that defines a job.
    InFile {
        job_id: String,
        file: Option<String>,
        /// The state of the file's table; see the schema.
        file_table: String,
        /// A digest of the table.
        file_mark: String,
    },
    /// Sets the jobs that a job runs after.
    Upstreams { job_id: String, upstreams: Vec<String> },
    /// Sets or clears the instant at which a run of `upstream` ended as `job_id` wants it.
    UpstreamEnded {
        /// None: all upstream jobs of `job_id`.
        upstream: Option<String>,
        job_id: String,
        /// In milliseconds; none clears it.
        at_ms: Option<i64>,
    },
    /// Adds a row to the ledger.
    AddFire(StoredFire),
    /// Extends a row of the ledger to later instants.
    ExtendFire {
        job_id: String,
        due_ms: i64,
        /// The last instant from now on.
        through_ms: i64,
        /// How many instants are added.
        n_more: u64,
    },
    /// Cuts a row of the ledger: its later instants were written while the clock was ahead.
    CutFire {
        job_id: String,
        due_ms: i64,
        /// The last instant from now on.
        through_ms: i64,
        /// How many instants it covers from now on.
        n_instants: u64,
    },
    /// Sets the outcome of a fire.
    SettleFire {
        job_id: String,
        due_ms: i64,
        /// The outcome, as a word.
        outcome: String,
        /// The reason, in a sentence.
        reason: Option<String>,
        /// None clears it.
        run_id: Option<String>,
    },
    /// Records that the run of a claimed fire was started: the outcome is `ran`, or `backfilled`.
    MarkRan { job_id: String, due_ms: i64, run_id: String },
    /// Removes a row of the ledger, which is then written again in parts.
    RemoveFire { job_id: String, due_ms: i64 },
    /// Adds a started run of a job.
    AddHistory(StoredHistory),
    /// Renames a run that was not started.
    RenameHistory { from: String, to: String },
    /// Records the end of a job's run.
    EndHistory {
        run_id: String,
        finished_at: DateTime<Utc>,
        /// The run's state, as a word.
        status: String,
        error: Option<String>,
    },
    /// Records that an ended run of a job goes on.
    ReopenHistory {
        run_id: String,
        /// The run's state, as a word.
        status: String,
    },
    /// Counts a run of a job.
    CountRun {
        job_id: String,
        /// The due instant, or the start by hand.
        at: DateTime<Utc>,
    },
}

impl JobWrite {
    /// Applies the write in the open transaction of `conn`.
    pub(super) fn apply(&self, conn: &Connection) -> rusqlite::Result<()> {
        let run =
            |statement: &str, about: &[&dyn ToSql]| conn.prepare_cached(statement)?.execute(about).map(drop);
        match self {
            Self::AddJob(job) => add_job(conn, job),
            Self::ChangeJob(job) => change_job(conn, job),
            Self::RemoveJob { job_id } => {
                run("DELETE FROM scheduled_jobs WHERE job_id = ?1", params![job_id])?;
                run("DELETE FROM job_upstreams WHERE job_id = ?1", params![job_id])?;
                Ok(())
            }
            Self::RenameJob { from, to } => rename_job(conn, from, to),
            Self::NextRun { job_id, at_ms, zone } => {
                let (text, ms) = next_run(*at_ms);
                run(
                    "UPDATE scheduled_jobs SET next_run = ?2, next_run_ms = ?3, first_by_hand = 0,
                       reckoned_zone = ?4 WHERE job_id = ?1",
                    params![job_id, text, ms, zone],
                )
            }
            Self::Park { rowid, problem } => run(
                "UPDATE scheduled_jobs SET next_run_ms = ?2, problem = ?3 WHERE rowid = ?1",
                params![rowid, NEVER_MS, problem],
            ),
            Self::Enable { job_id, enabled } => {
                run("UPDATE scheduled_jobs SET enabled = ?2 WHERE job_id = ?1", params![job_id, enabled])
            }
            Self::InFile { job_id, file, file_table, file_mark } => run(
                "UPDATE scheduled_jobs SET file = ?2, file_table = ?3, file_mark = ?4 WHERE job_id = ?1",
                params![job_id, file, file_table, file_mark],
            ),
            Self::Upstreams { job_id, upstreams } => {
                run("DELETE FROM job_upstreams WHERE job_id = ?1", params![job_id])?;
                upstreams.iter().try_for_each(|upstream| {
                    run(
                        "INSERT OR IGNORE INTO job_upstreams (upstream, job_id) VALUES (?1, ?2)",
                        params![upstream, job_id],
                    )
                })
            }
            Self::UpstreamEnded { upstream, job_id, at_ms } => run(
                "UPDATE job_upstreams SET ended_ms = ?3 WHERE job_id = ?2 AND (?1 IS NULL OR upstream = ?1)",
                params![upstream, job_id, at_ms],
            ),
            Self::AddFire(fire) => fire.add(conn),
            Self::ExtendFire { job_id, due_ms, through_ms, n_more } => run(
                "UPDATE fires SET through_at = ?3, through_ms = ?4, n_instants = n_instants + ?5
                 WHERE job_id = ?1 AND due_ms = ?2",
                params![job_id, due_ms, written(*through_ms), through_ms, *n_more as i64],
            ),
            Self::CutFire { job_id, due_ms, through_ms, n_instants } => run(
                "UPDATE fires SET through_at = ?3, through_ms = ?4, n_instants = ?5
                 WHERE job_id = ?1 AND due_ms = ?2",
                params![job_id, due_ms, written(*through_ms), through_ms, *n_instants as i64],
            ),
            Self::SettleFire { job_id, due_ms, outcome, reason, run_id } => run(
                "UPDATE fires SET outcome = ?3, reason = ?4, run_id = ?5 WHERE job_id = ?1 AND due_ms = ?2",
                params![job_id, due_ms, outcome, reason, run_id],
            ),
            Self::MarkRan { job_id, due_ms, run_id } => run(
                "UPDATE fires SET outcome = CASE kind WHEN 'backfill' THEN 'backfilled' ELSE 'ran' END,
                   reason = NULL, run_id = ?3 WHERE job_id = ?1 AND due_ms = ?2",
                params![job_id, due_ms, run_id],
            ),
            Self::RenameHistory { from, to } => {
                run("UPDATE job_history SET run_id = ?2 WHERE run_id = ?1", params![from, to])
            }
            Self::RemoveFire { job_id, due_ms } => {
                run("DELETE FROM fires WHERE job_id = ?1 AND due_ms = ?2", params![job_id, due_ms])
            }
            Self::AddHistory(history) => history.add(conn),
            Self::EndHistory { run_id, finished_at, status, error } => run(
                "UPDATE job_history SET finished_at = ?2, status = ?3, error = ?4 WHERE run_id = ?1",
                params![run_id, format_instant(*finished_at), status, error],
            ),
            Self::ReopenHistory { run_id, status } => run(
                "UPDATE job_history SET finished_at = NULL, status = ?2, error = NULL WHERE run_id = ?1",
                params![run_id, status],
            ),
            Self::CountRun { job_id, at } => run(
                "UPDATE scheduled_jobs SET last_run = ?2, run_count = COALESCE(run_count, 0) + 1
                 WHERE job_id = ?1",
                params![job_id, format_instant(*at)],
            ),
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

/// Writes the next instant once more: a trigger takes a change that leaves `next_run_ms` as it was for one by hand, and
/// clears it.
fn settle_next_run(conn: &Connection, job: &StoredJob) -> rusqlite::Result<()> {
    if job.next_run_ms.is_some() {
        let row: &[Column<'_>] = &[("next_run", &job.next_run), ("next_run_ms", &job.next_run_ms)];
        update(conn, "scheduled_jobs", row, "job_id = ?", &[&job.job_id])?;
    }
    Ok(())
}

fn rename_job(conn: &Connection, from: &str, to: &str) -> rusqlite::Result<()> {
    for statement in [
        "UPDATE scheduled_jobs SET job_id = ?2 WHERE job_id = ?1",
        // Fires that an earlier job of the new name has left would collide.
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

//! The schema of `scheduler.db`: jobs, their history, the ledger of fires.

use rusqlite::{Connection, Transaction, params};

use crate::base::time::parse_instant;
use crate::store::sqlite::columns;
use crate::store::sqlite::migrate::{Schema, add_columns};

/// The tables of `scheduler.db`.
pub(super) static JOBS: Schema = Schema {
    migrations: &[own_tables, trouble_and_zone],
    fixed_columns: &FIXED_COLUMNS,
    needs_backfill,
    backfill,
};

/// The fixed tables, which users' scripts read and fill, without the columns that we add.
const FIXED_TABLES: &str = "
CREATE TABLE IF NOT EXISTS scheduled_jobs (job_id TEXT PRIMARY KEY, pipeline_id TEXT NOT NULL, source TEXT NOT NULL,
  schedule_type TEXT NOT NULL, schedule_config TEXT NOT NULL, next_run TEXT NOT NULL, enabled INTEGER DEFAULT 1,
  last_run TEXT, run_count INTEGER DEFAULT 0, created_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS job_history (id INTEGER PRIMARY KEY AUTOINCREMENT, job_id TEXT NOT NULL, run_id TEXT NOT NULL,
  started_at TEXT NOT NULL, finished_at TEXT, status TEXT, error TEXT);
CREATE TABLE IF NOT EXISTS fires (job_id TEXT NOT NULL, due_at TEXT NOT NULL, through_at TEXT NOT NULL,
  n_instants INTEGER NOT NULL DEFAULT 1, outcome TEXT NOT NULL, reason TEXT, run_id TEXT);
";

/// Their columns. A database that has such a table without these columns is not ours.
const FIXED_COLUMNS: [(&str, &[&str]); 3] = [
    (
        "scheduled_jobs",
        &[
            "job_id",
            "pipeline_id",
            "source",
            "schedule_type",
            "schedule_config",
            "next_run",
            "enabled",
            "last_run",
            "run_count",
            "created_at",
        ],
    ),
    ("job_history", &["id", "job_id", "run_id", "started_at", "finished_at", "status", "error"]),
    ("fires", &["job_id", "due_at", "through_at", "n_instants", "outcome", "reason", "run_id"]),
];

/// 0 → 1: everything but the fixed tables and columns. NULL in one of our columns of a job means its default: rows that
/// scripts write lack these columns.
fn own_tables(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    tx.execute_batch(FIXED_TABLES)?;
    add_columns(
        tx,
        "scheduled_jobs",
        &[
            // NULL: not read yet. The scheduler reads it, because only the scheduler knows what a schedule means.
            ("next_run_ms", "INTEGER"),
            ("zone", "TEXT"),
            ("misfire", "TEXT"),
            ("catchup_limit", "INTEGER"),
            ("misfire_grace_ms", "INTEGER"),
            ("misfire_max_age_ms", "INTEGER"),
            ("overlap", "TEXT"),
            ("priority", "INTEGER"),
            ("params", "TEXT"),
            ("run_type", "TEXT"),
            ("environment", "TEXT"),
            // The pipeline file whose table defines the job.
            ("file", "TEXT"),
            // 'there'; 'gone'; or 'gone_enabled' when the table's removal has disabled the job.
            ("file_table", "TEXT"),
            // A digest of the table as it was read last.
            ("file_mark", "TEXT"),
            // 1: a script has set the first due instant, whatever the schedule says.
            ("first_by_hand", "INTEGER NOT NULL DEFAULT 0"),
        ],
    )?;
    add_columns(tx, "job_history", &[("started_ms", "INTEGER")])?;
    add_columns(
        tx,
        "fires",
        &[
            ("due_ms", "INTEGER"),
            ("through_ms", "INTEGER"),
            ("previous_ms", "INTEGER"),
            ("kind", "TEXT NOT NULL DEFAULT 'due'"),
        ],
    )?;
    tx.execute_batch(
        "
-- The earliest of the enabled jobs, and those that are due.
CREATE INDEX IF NOT EXISTS scheduled_jobs_by_next_run ON scheduled_jobs (enabled, next_run_ms);
CREATE INDEX IF NOT EXISTS scheduled_jobs_by_pipeline ON scheduled_jobs (pipeline_id);
-- Empty but for what a script has written by hand.
CREATE INDEX IF NOT EXISTS scheduled_jobs_unread ON scheduled_jobs (job_id) WHERE next_run_ms IS NULL;

-- What a script changes is read anew; another schedule makes another next instant, unless that is given too. Our own
-- changes write the integer too.
CREATE TRIGGER IF NOT EXISTS scheduled_jobs_changed_by_hand
  AFTER UPDATE OF next_run, schedule_type, schedule_config, enabled ON scheduled_jobs
  WHEN NEW.next_run_ms IS OLD.next_run_ms AND (NEW.next_run IS NOT OLD.next_run
    OR NEW.schedule_type IS NOT OLD.schedule_type OR NEW.schedule_config IS NOT OLD.schedule_config
    OR typeof(NEW.enabled) <> 'integer' OR NEW.enabled NOT IN (0, 1))
  BEGIN UPDATE scheduled_jobs SET next_run_ms = NULL, next_run = CASE
      WHEN NEW.next_run IS OLD.next_run AND (NEW.schedule_type IS NOT OLD.schedule_type
        OR NEW.schedule_config IS NOT OLD.schedule_config) THEN '' ELSE NEW.next_run END
    WHERE rowid = NEW.rowid; END;

-- Which jobs run after which, and since when the one above has ended as wanted.
CREATE TABLE IF NOT EXISTS job_upstreams (upstream TEXT NOT NULL, job_id TEXT NOT NULL, ended_ms INTEGER,
  PRIMARY KEY (upstream, job_id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS job_upstreams_by_job ON job_upstreams (job_id);

-- Every due instant lies in one row.
CREATE UNIQUE INDEX IF NOT EXISTS fires_by_job ON fires (job_id, due_ms);
CREATE INDEX IF NOT EXISTS fires_by_time ON fires (through_ms);
CREATE INDEX IF NOT EXISTS fires_by_run ON fires (run_id) WHERE run_id IS NOT NULL;
-- What is still to be done, oldest first: as few as there are.
CREATE INDEX IF NOT EXISTS fires_open ON fires (outcome, due_ms) WHERE outcome IN ('claimed', 'queued');

CREATE INDEX IF NOT EXISTS fires_open_by_job ON fires (job_id, due_ms) WHERE outcome IN ('claimed', 'queued');

CREATE INDEX IF NOT EXISTS job_history_by_job ON job_history (job_id, id);
CREATE INDEX IF NOT EXISTS job_history_by_run ON job_history (run_id);
CREATE INDEX IF NOT EXISTS job_history_by_time ON job_history (started_ms);
CREATE INDEX IF NOT EXISTS job_history_open ON job_history (id) WHERE finished_at IS NULL;
",
    )
}

/// 1 → 2: what is wrong with a job, and the zone in which its next instant was reckoned.
fn trouble_and_zone(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    add_columns(
        tx,
        "scheduled_jobs",
        &[
            // Why it never fires: its row could not be read, or its fires could not be written.
            ("problem", "TEXT"),
            // Only for a job in the machine's zone: the zone in which `next_run` was reckoned.
            ("reckoned_zone", "TEXT"),
        ],
    )?;
    tx.execute_batch(
        "
-- What a script mends is read anew. Our own changes take the problem away with the same statement.
CREATE TRIGGER IF NOT EXISTS scheduled_jobs_mended_by_hand
  AFTER UPDATE OF job_id, pipeline_id, source, zone, misfire, catchup_limit, misfire_grace_ms, misfire_max_age_ms,
    overlap, priority, params ON scheduled_jobs
  WHEN OLD.problem IS NOT NULL AND NEW.problem IS OLD.problem
  BEGIN UPDATE scheduled_jobs SET next_run_ms = NULL WHERE rowid = NEW.rowid; END;

CREATE INDEX IF NOT EXISTS job_history_open_by_job ON job_history (job_id, id) WHERE finished_at IS NULL;

-- An integer that is none orders nothing.
CREATE TRIGGER IF NOT EXISTS scheduled_jobs_integer_changed AFTER UPDATE OF next_run_ms ON scheduled_jobs
  WHEN typeof(NEW.next_run_ms) NOT IN ('integer', 'null')
  BEGIN UPDATE scheduled_jobs SET next_run_ms = NULL WHERE rowid = NEW.rowid; END;
CREATE TRIGGER IF NOT EXISTS scheduled_jobs_integer_added AFTER INSERT ON scheduled_jobs
  WHEN typeof(NEW.next_run_ms) NOT IN ('integer', 'null')
  BEGIN UPDATE scheduled_jobs SET next_run_ms = NULL WHERE rowid = NEW.rowid; END;
",
    )
}

/// Does not ask about jobs: the scheduler reads those.
fn needs_backfill(conn: &Connection) -> rusqlite::Result<bool> {
    conn.query_row(
        "SELECT EXISTS (SELECT 1 FROM job_history WHERE started_ms IS NULL)
             OR EXISTS (SELECT 1 FROM fires WHERE due_ms IS NULL OR through_ms IS NULL
                           OR typeof(due_ms) <> 'integer' OR typeof(through_ms) <> 'integer')",
        [],
        |row| row.get(0),
    )
}

/// Writes the integer beside each instant that lacks it. A text that is no instant gets the present. If a job has two
/// rows for one instant, the second keeps no integer: it is listed, and counts for nothing.
fn backfill(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    let present: i64 =
        tx.query_row("SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER)", [], |r| r.get(0))?;
    let ms = |text: Option<String>| {
        text.and_then(|text| parse_instant(&text).ok()).map_or(present, |at| at.timestamp_millis())
    };
    let mut unread = tx.prepare("SELECT rowid, started_at FROM job_history WHERE started_ms IS NULL")?;
    let mut update = tx.prepare("UPDATE job_history SET started_ms = ?2 WHERE rowid = ?1")?;
    let rows: Vec<(i64, i64)> = unread
        .query_map([], |row| Ok((row.get(0)?, ms(columns::text(row, 1)?))))?
        .collect::<Result<_, _>>()?;
    for (rowid, started_ms) in rows {
        update.execute(params![rowid, started_ms])?;
    }
    let mut unread = tx.prepare(
        "SELECT rowid, due_at, through_at FROM fires WHERE due_ms IS NULL OR through_ms IS NULL
               OR typeof(due_ms) <> 'integer' OR typeof(through_ms) <> 'integer'",
    )?;
    let mut update =
        tx.prepare("UPDATE OR IGNORE fires SET due_ms = ?2, through_ms = ?3 WHERE rowid = ?1")?;
    let rows: Vec<(i64, i64, i64)> = unread
        .query_map([], |row| Ok((row.get(0)?, ms(columns::text(row, 1)?), ms(columns::text(row, 2)?))))?
        .collect::<Result<_, _>>()?;
    for (rowid, due_ms, through_ms) in rows {
        update.execute(params![rowid, due_ms, through_ms])?;
    }
    Ok(())
}

//! The schema of `checkpoints.db`: runs, steps, attempts, checkpoints.

use rusqlite::{Connection, Transaction, params};

use crate::base::time::parse_instant;
use crate::store::sqlite::columns::text as lossy_text;
use crate::store::sqlite::migrate::{Schema, add_columns};

/// The tables of `checkpoints.db`.
pub(super) static CHECKPOINTS: Schema = Schema {
    migrations: &[own_tables, history_indexes],
    fixed_columns: &FIXED_COLUMNS,
    needs_backfill,
    backfill,
};

/// How long a run worked, in milliseconds, as both indexes by length have it: a statement that uses one says the same. A later attempt counts what it worked; the first one is at work from its start to its end. No newer
/// SQL than scripts' own SQLite may know: one that can't read an index can't read the database.
pub(super) const TOOK_MS: &str = "CAST(coalesce(\
     CASE WHEN attempt > 1 AND json_valid(ledger) THEN json_extract(ledger, '$.work.worked_ms') END, \
     finished_ms - started_ms - frozen_ms, 0) AS INTEGER)";

/// Which runs the indexes by length have. Not as a list, which SQLite would build anew at each write of a living run:
/// so such a write costs nothing there.
pub(super) const HAS_ENDED: &str =
    "state <> 'queued' AND state <> 'running' AND state <> 'paused' AND state <> 'stopping'";

/// The fixed tables, which users' scripts read, without the columns that we add.
const FIXED_TABLES: &str = "
CREATE TABLE IF NOT EXISTS checkpoints (run_id TEXT NOT NULL, step_id TEXT NOT NULL,
  checkpoint_data TEXT NOT NULL, created_at TEXT NOT NULL, PRIMARY KEY (run_id, step_id));
CREATE TABLE IF NOT EXISTS execution_state (run_id TEXT PRIMARY KEY, pipeline_id TEXT NOT NULL,
  source TEXT NOT NULL, state TEXT NOT NULL, started_at TEXT NOT NULL, finished_at TEXT, progress REAL,
  current_step TEXT, error TEXT, metadata TEXT);
";

/// Their columns. A database that has such a table without these columns is not ours.
const FIXED_COLUMNS: [(&str, &[&str]); 2] = [
    ("checkpoints", &["run_id", "step_id", "checkpoint_data", "created_at"]),
    (
        "execution_state",
        &[
            "run_id",
            "pipeline_id",
            "source",
            "state",
            "started_at",
            "finished_at",
            "progress",
            "current_step",
            "error",
            "metadata",
        ],
    ),
];

/// 0 → 1: everything but the fixed tables and columns.
fn own_tables(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    tx.execute_batch(FIXED_TABLES)?;
    add_columns(tx, "checkpoints", &[("created_ms", "INTEGER")])?;
    add_columns(
        tx,
        "execution_state",
        &[
            ("started_ms", "INTEGER"),
            ("finished_ms", "INTEGER"),
            ("run_type", "TEXT NOT NULL DEFAULT 'FULL_REFRESH'"),
            ("environment", "TEXT NOT NULL DEFAULT 'dev'"),
            ("trigger", "TEXT NOT NULL DEFAULT 'manual'"),
            ("attempt", "INTEGER NOT NULL DEFAULT 1"),
            ("message", "TEXT"),
            ("params", "TEXT"),
            ("frozen_ms", "INTEGER NOT NULL DEFAULT 0"),
            ("frozen_since", "TEXT"),
            ("body", "TEXT"),
            ("definition_hash", "TEXT"),
            ("ledger", "TEXT"),
        ],
    )?;
    tx.execute_batch(
        "
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;

-- The text of each definition that runs started with, once.
CREATE TABLE IF NOT EXISTS definitions (hash TEXT PRIMARY KEY, path TEXT NOT NULL, text TEXT NOT NULL);

-- The steps of runs as they are now.
CREATE TABLE IF NOT EXISTS steps (run_id TEXT NOT NULL, step_id TEXT NOT NULL, attempt INTEGER NOT NULL,
  state TEXT NOT NULL, exit_code INTEGER, signal INTEGER, started_at TEXT, finished_at TEXT,
  peak_rss_bytes INTEGER, peak_rss_source TEXT, cpu_seconds REAL, progress REAL NOT NULL, message TEXT,
  error TEXT, pid INTEGER, outputs TEXT, ledger TEXT,
  PRIMARY KEY (run_id, step_id)) WITHOUT ROWID;

-- Their earlier attempts as those ended, with the checkpoints that a retry has set aside.
CREATE TABLE IF NOT EXISTS attempts (run_id TEXT NOT NULL, step_id TEXT NOT NULL, attempt INTEGER NOT NULL,
  state TEXT NOT NULL, exit_code INTEGER, signal INTEGER, started_at TEXT, finished_at TEXT,
  peak_rss_bytes INTEGER, peak_rss_source TEXT, cpu_seconds REAL, progress REAL NOT NULL, message TEXT,
  error TEXT, pid INTEGER, outputs TEXT, ledger TEXT, archived_checkpoint TEXT,
  PRIMARY KEY (run_id, step_id, attempt)) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS recovery_decisions (id INTEGER PRIMARY KEY, at TEXT NOT NULL,
  at_ms INTEGER NOT NULL, run_id TEXT NOT NULL, step_id TEXT, text TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS recovery_decisions_by_run ON recovery_decisions (run_id);
CREATE INDEX IF NOT EXISTS recovery_decisions_by_time ON recovery_decisions (at_ms);

-- The living runs are found by this one, however many have ended.
CREATE INDEX IF NOT EXISTS execution_state_by_state ON execution_state (state, started_ms);
CREATE INDEX IF NOT EXISTS execution_state_by_pipeline ON execution_state (pipeline_id, started_ms);
CREATE INDEX IF NOT EXISTS execution_state_by_time ON execution_state (started_ms);
CREATE INDEX IF NOT EXISTS execution_state_by_definition ON execution_state (definition_hash)
  WHERE definition_hash IS NOT NULL;

-- Empty but for what a script has written by hand since the last start.
CREATE INDEX IF NOT EXISTS checkpoints_unread ON checkpoints (run_id) WHERE created_ms IS NULL;
",
    )
}

/// 1 → 2: the history by length, also of a pipeline, and by pipeline and state, from indexes alone.
fn history_indexes(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    tx.execute_batch(&format!(
        "
DROP INDEX IF EXISTS execution_state_by_state;
CREATE INDEX execution_state_by_state ON execution_state (state, started_ms, pipeline_id);
CREATE INDEX IF NOT EXISTS execution_state_by_length ON execution_state
  ({TOOK_MS}, started_ms, pipeline_id, state) WHERE {HAS_ENDED};
CREATE INDEX IF NOT EXISTS execution_state_by_pipeline_length ON execution_state
  (pipeline_id, {TOOK_MS}, started_ms, state) WHERE {HAS_ENDED};
"
    ))
}

fn needs_backfill(conn: &Connection) -> rusqlite::Result<bool> {
    conn.query_row(
        "SELECT EXISTS (SELECT 1 FROM execution_state WHERE started_ms IS NULL)
             OR EXISTS (SELECT 1 FROM checkpoints WHERE created_ms IS NULL)",
        [],
        |row| row.get(0),
    )
}

/// Writes the integer beside each instant that lacks it. A text that is no instant gets the present, so that the row
/// counts as new and is not removed early.
fn backfill(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    let present: i64 =
        tx.query_row("SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER)", [], |r| r.get(0))?;
    let ms = |text: &str| parse_instant(text).map_or(present, |at| at.timestamp_millis());

    let mut unread =
        tx.prepare("SELECT rowid, started_at, finished_at FROM execution_state WHERE started_ms IS NULL")?;
    let mut update =
        tx.prepare("UPDATE execution_state SET started_ms = ?2, finished_ms = ?3 WHERE rowid = ?1")?;
    let rows: Vec<(i64, String, Option<String>)> = unread
        .query_map([], |r| Ok((r.get(0)?, lossy_text(r, 1)?.unwrap_or_default(), lossy_text(r, 2)?)))?
        .collect::<Result<_, _>>()?;
    for (rowid, started_at, finished_at) in rows {
        update.execute(params![rowid, ms(&started_at), finished_at.as_deref().map(ms)])?;
    }

    let mut unread = tx.prepare("SELECT rowid, created_at FROM checkpoints WHERE created_ms IS NULL")?;
    let mut update = tx.prepare("UPDATE checkpoints SET created_ms = ?2 WHERE rowid = ?1")?;
    let rows: Vec<(i64, String)> = unread
        .query_map([], |r| Ok((r.get(0)?, lossy_text(r, 1)?.unwrap_or_default())))?
        .collect::<Result<_, _>>()?;
    for (rowid, created_at) in rows {
        update.execute(params![rowid, ms(&created_at)])?;
    }
    Ok(())
}

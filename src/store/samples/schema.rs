//! The schema of `samples.db`. Instants are milliseconds since 1970. Shares are in millionths, which take few bytes.
//!
//! Rows are ordered by time within their level: new rows are written at one end, old ones deleted at the other, and a
//! plot reads a range.

use rusqlite::{Connection, Transaction};

use crate::store::sqlite::migrate::Schema;

/// The tables of `samples.db`. Users' scripts know none of them.
pub(super) static SAMPLES: Schema =
    Schema { migrations: &[own_tables, limit_changes], fixed_columns: &[], needs_backfill, backfill };

fn own_tables(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    tx.execute_batch(
        "
CREATE TABLE machine_samples (level INTEGER NOT NULL, at_ms INTEGER NOT NULL,
  cpu_ppm INTEGER NOT NULL, cpu_peak_ppm INTEGER NOT NULL,
  memory_bytes INTEGER NOT NULL, memory_peak_bytes INTEGER NOT NULL, memory_total_bytes INTEGER NOT NULL,
  swap_bytes INTEGER NOT NULL, swap_total_bytes INTEGER NOT NULL, disk_free_bytes INTEGER NOT NULL,
  disk_read_rate INTEGER NOT NULL, disk_write_rate INTEGER NOT NULL,
  network_receive_rate INTEGER NOT NULL, network_send_rate INTEGER NOT NULL,
  PRIMARY KEY (level, at_ms)) WITHOUT ROWID;

-- The attempts of steps that samples are of.
CREATE TABLE series (id INTEGER PRIMARY KEY, run_id TEXT NOT NULL, step_id TEXT NOT NULL,
  attempt INTEGER NOT NULL, UNIQUE (run_id, step_id, attempt));

CREATE TABLE step_samples (level INTEGER NOT NULL, at_ms INTEGER NOT NULL, series INTEGER NOT NULL,
  cpu_ppm INTEGER NOT NULL, cpu_peak_ppm INTEGER NOT NULL,
  memory_bytes INTEGER NOT NULL, memory_peak_bytes INTEGER NOT NULL,
  read_rate INTEGER NOT NULL, write_rate INTEGER NOT NULL, n_processes INTEGER NOT NULL,
  PRIMARY KEY (level, at_ms, series)) WITHOUT ROWID;
",
    )
}

/// 1 → 2: when limits were raised and cleared.
fn limit_changes(tx: &Transaction<'_>) -> rusqlite::Result<()> {
    tx.execute_batch(
        "
-- volume: the watched folder of a disk that is short. text: the sentence that was told.
CREATE TABLE limit_changes (id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, resource TEXT NOT NULL, volume TEXT,
  is_raised INTEGER NOT NULL, text TEXT NOT NULL);
CREATE INDEX limit_changes_at ON limit_changes (at_ms);
",
    )
}

fn needs_backfill(_: &Connection) -> rusqlite::Result<bool> {
    Ok(false)
}

fn backfill(_: &Transaction<'_>) -> rusqlite::Result<()> {
    Ok(())
}

//! The condition of a commit: a run is still as the caller has read it.

use rusqlite::{Connection, params};

use crate::base::id::RunId;
use crate::run::RunState;
use crate::store::error::Changed;

/// Fails unless the run has this state and attempt.
pub(super) fn expect(
    conn: &Connection,
    run_id: &RunId,
    state: RunState,
    attempt: u32,
) -> rusqlite::Result<()> {
    let stands: bool = conn
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM execution_state WHERE run_id = ?1 AND state = ?2 AND attempt = ?3)",
        )?
        .query_row(params![run_id.as_str(), state.as_str(), attempt], |row| row.get(0))?;
    let refusal = || rusqlite::Error::ToSqlConversionFailure(Box::new(Changed(run_id.clone())));
    if stands { Ok(()) } else { Err(refusal()) }
}

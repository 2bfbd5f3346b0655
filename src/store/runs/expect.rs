//! What a commit rests on: a run that its caller has read, and that may be another one by the time it is written.

use rusqlite::{Connection, params};

use crate::base::id::RunId;
use crate::run::RunState;
use crate::store::error::Changed;

/// Refuses what is being written, unless the run stands so.
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

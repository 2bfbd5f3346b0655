//! `leverframe checkpoints`.

use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::exit::Outcome;
use super::output::{Cell, local_time, note};
use super::{Place, Print, no_such_run};
use crate::api::exit_code::DONE;
use crate::base::id::RunId;
use crate::base::time::format_instant;
use crate::engine;
use crate::store::CheckpointRecord;

#[derive(Debug, Args)]
pub(super) struct CheckpointsArgs {
    /// The run.
    run_id: RunId,
    #[command(flatten)]
    print: Print,
}

#[derive(Serialize)]
struct Document<'a> {
    step_id: &'a str,
    created_at: String,
    data: &'a Value,
}

pub(super) fn checkpoints(args: &CheckpointsArgs, place: &Place) -> Outcome {
    let records = place.records()?;
    let checkpoints = records.checkpoints(&args.run_id)?;
    if checkpoints.is_empty() && records.run(&args.run_id, engine::now())?.is_none() {
        return Err(no_such_run(&records, &args.run_id));
    }
    args.print.form().print(&checkpoints.iter().map(document).collect::<Vec<_>>(), |page| {
        if checkpoints.is_empty() {
            note(format_args!("no step of run {} has checkpointed", args.run_id));
            return Ok(());
        }
        let row = |checkpoint: &CheckpointRecord| {
            let data = Cell::plain(checkpoint.data.to_string());
            vec![Cell::plain(&checkpoint.step_id), Cell::plain(local_time(checkpoint.created_at)), data]
        };
        page.table(&["STEP", "SAVED", "DATA"], &checkpoints.iter().map(row).collect::<Vec<_>>())
    })?;
    Ok(DONE)
}

fn document(checkpoint: &CheckpointRecord) -> Document<'_> {
    Document {
        step_id: &checkpoint.step_id,
        created_at: format_instant(checkpoint.created_at),
        data: &checkpoint.data,
    }
}

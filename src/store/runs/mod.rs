//! `checkpoints.db`: runs, their steps and attempts, checkpoints, decisions of recovery, and the operator's orders.

mod aside;
mod definitions;
mod expect;
mod history;
mod load;
mod manager;
mod orders;
mod prune;
mod query;
mod rows;
mod schema;
mod stored;
mod write;

#[cfg(test)]
mod tests;

pub use history::{HistoryFilter, HistoryList, HistoryMark, HistoryOrder, HistoryPart, HistoryPlace};
pub use manager::CheckpointManager;
pub use prune::{PrunePlan, PruneReason, PruneReport, PrunedRun, Retention};
pub use query::{RunFilter, run_id_base};
pub use stored::{AttemptRecord, CheckpointRecord, ExecutionRecord, StoredBody, StoredDefinition, StoredRun};
pub use write::RunWrite;

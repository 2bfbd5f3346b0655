//! What is on disk: the data directory with its lock, and the databases, to which nothing else speaks.
//!
//! [`CheckpointManager`] owns `checkpoints.db`: runs, steps, attempts, checkpoints and what recovery
//! decided. Every write is one `BEGIN IMMEDIATE` transaction that is on disk before the call returns;
//! callers that come at once share one. Reads go over connections of their own and never wait behind a
//! commit. [`DataDir`] is the directory that all lies in, and the lock that makes one engine the only one.
//! Beside it stand the few questions about the disk itself that a database forces on us:
//! [`free_space`], [`is_network_file_system`] and the [`Reserve`].
//!
//! [`JobStore`] owns `scheduler.db` in the same way: jobs, their history, the ledger of their fires.
//!
//! It decides nothing about runs: it keeps what the engine hands it and gives it back. It deliberately
//! does not parse pipelines either; a definition is kept as the text it was.

mod aside;
mod checkpoints_schema;
mod commit;
mod database;
mod datadir;
mod dir_watch;
mod disk;
mod error;
mod expect;
mod jobs;
mod load;
mod manager;
mod migrate;
mod open;
mod orders;
mod ours;
mod presence;
mod prune;
mod query;
mod rows;
mod samples;
mod stored;
mod wal;
mod write;

#[cfg(test)]
mod tests;

pub use database::Durability;
pub use datadir::{DataDir, DataDirError, EngineLock};
pub(crate) use dir_watch::DirWatch;
pub use disk::{RESERVE_BYTES, Reserve, free_space, is_network_file_system};
pub use error::StoreError;
pub use jobs::{
    FireFilter, FireKind, JobStore, JobWrite, NEVER, NEVER_MS, StoredFire, StoredHistory, StoredJob, from_ms,
};
pub use manager::CheckpointManager;
pub(crate) use presence::named_holder;
pub use presence::{Presence, presence};
pub use prune::{PrunePlan, PruneReason, PruneReport, PrunedRun, Retention};
pub use query::{RunFilter, run_id_base};
pub use samples::{
    LimitChangeRow, MachinePoint, Resolution, SampleHistory, SampleStore, StepPoint, StepSpan,
};
pub use stored::{AttemptRecord, CheckpointRecord, ExecutionRecord, StoredBody, StoredDefinition, StoredRun};
pub(crate) use wal::{WalKeeper, WalLimit};
pub use write::Write;

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

mod datadir;
mod dir_watch;
mod disk;
mod error;
mod jobs;
mod ours;
mod presence;
mod runs;
mod samples;
mod sqlite;
mod wal_keeper;

pub use datadir::{DataDir, DataDirError, EngineLock};
pub(crate) use dir_watch::DirWatch;
pub use disk::{RESERVE_BYTES, Reserve, free_space, is_network_file_system};
pub use error::StoreError;
pub use jobs::{
    FireFilter, FireKind, JobStore, JobWrite, NEVER, NEVER_MS, StoredFire, StoredHistory, StoredJob, from_ms,
};
pub(crate) use presence::named_holder;
pub use presence::{Presence, presence};
pub use runs::{
    AttemptRecord, CheckpointManager, CheckpointRecord, ExecutionRecord, PrunePlan, PruneReason, PruneReport,
    PrunedRun, Retention, RunFilter, RunWrite, StoredBody, StoredDefinition, StoredRun, run_id_base,
};
pub use samples::{
    LimitChangeRow, MachinePoint, Resolution, SampleHistory, SampleStore, StepPoint, StepSpan,
};
pub use sqlite::database::Durability;
pub(crate) use wal_keeper::{WalKeeper, WalLimit};

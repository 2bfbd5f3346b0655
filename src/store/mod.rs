//! The data directory with its lock, and the databases. No other module speaks SQL.
//!
//! [`CheckpointManager`] owns `checkpoints.db`: runs, steps, attempts, checkpoints and the decisions of recovery. Every
//! write is one `BEGIN IMMEDIATE` transaction that is on disk before the call returns; concurrent callers share one.
//! Reads use connections of their own and never wait for a commit. [`JobStore`] owns `scheduler.db`: jobs, their
//! history, the ledger of their fires. [`SampleStore`] owns `samples.db`.
//!
//! [`DataDir`] is the directory of all this, and the lock that makes one engine the only one. Beside it are the
//! questions about the disk itself that a database needs: [`free_space`], [`is_network_file_system`] and the
//! [`Reserve`].
//!
//! The store keeps what the engine gives it and decides nothing about runs. It does not parse pipelines either: a
//! definition is kept as text.

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
    FireFilter, FireKind, JobStore, JobWrite, LedgerFilter, LedgerKind, NEVER, NEVER_MS, StoredFire,
    StoredHistory, StoredJob, from_ms,
};
pub(crate) use presence::named_holder;
pub use presence::{Presence, presence};
pub use runs::{
    AttemptRecord, CheckpointManager, CheckpointRecord, ExecutionRecord, HistoryFilter, HistoryList,
    HistoryMark, HistoryOrder, HistoryPart, HistoryPlace, PrunePlan, PruneReason, PruneReport, PrunedRun,
    Retention, RunFilter, RunWrite, StoredBody, StoredDefinition, StoredRun, run_id_base,
};
pub use samples::{
    LimitChangeRow, MachinePoint, Resolution, RunPoint, SampleHistory, SampleStore, StepSpan, StepUse,
};
pub use sqlite::database::Durability;
pub(crate) use wal_keeper::{WalKeeper, WalLimit};

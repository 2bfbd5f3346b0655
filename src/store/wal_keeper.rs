//! Who keeps the logs of the databases short: one task for each, beside what commits.

use std::sync::Arc;

use super::jobs::JobStore;
use super::runs::CheckpointManager;
use super::sqlite::wal::{LONG, Wal};
use crate::base::tasks::{Task, TaskThread};

/// The length from which a log is written back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WalLimit {
    /// A mebibyte.
    Whole,
    /// A mebibyte more than now, so that a process with few commits does not pay for those before it.
    Growth,
}

/// Keeps the logs of databases short until dropped.
#[derive(Debug)]
pub(crate) struct WalKeeper {
    _tasks: Vec<Task>,
}

impl WalKeeper {
    /// Adds a task for each of these databases. A database has at most one keeper.
    pub(crate) fn start(
        tasks: &TaskThread,
        runs: &CheckpointManager,
        jobs: Option<&JobStore>,
        limit: WalLimit,
    ) -> Self {
        let keep = |wal: &Arc<Wal>| {
            let limit = match limit {
                WalLimit::Whole => LONG,
                WalLimit::Growth => wal.len() + LONG,
            };
            tasks.add(None, |bell| {
                wal.keep_below(limit, bell);
                let wal = wal.clone();
                move |_| {
                    wal.write_back_if_long();
                    None
                }
            })
        };
        Self { _tasks: [runs.wal()].into_iter().chain(jobs.map(JobStore::wal)).map(keep).collect() }
    }
}

//! Whose turn it is: the highest priority first. A waiting run rises, so that none waits for ever.

use std::cmp::Reverse;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::policy::MAX_PRIORITY;
use crate::base::id::RunId;

/// A run that has risen to this level can't be overtaken: what it waits for is reserved for it. No new run begins at
/// this level.
pub const OVERTAKEN_BY_NOBODY: u64 = MAX_PRIORITY as u64 + 1;

/// A run's position in the line: the smallest comes first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    level: Reverse<u64>,
    since: DateTime<Utc>,
    run_id: RunId,
}

impl Rank {
    /// The rank of a run of this priority at `now`. It gains a level for each `ageing` that it has waited. Of two runs
    /// on one level, the one that has waited longer comes first.
    pub fn new(
        run_id: RunId,
        priority: u8,
        since: DateTime<Utc>,
        ageing: Duration,
        now: DateTime<Utc>,
    ) -> Self {
        let waited_ms = u64::try_from((now - since).num_milliseconds()).unwrap_or(0);
        let ageing_ms = u64::try_from(ageing.as_millis()).unwrap_or(u64::MAX).max(1);
        let level = u64::from(priority.min(MAX_PRIORITY)).saturating_add(waited_ms / ageing_ms);
        Self { level: Reverse(level), since, run_id }
    }

    pub fn run_id(&self) -> &RunId {
        &self.run_id
    }

    /// Whether it must not be overtaken any more.
    pub fn is_overtaken_by_nobody(&self) -> bool {
        self.level.0 >= OVERTAKEN_BY_NOBODY
    }
}

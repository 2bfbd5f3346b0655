//! Whose turn it is: the higher priority first, and who waits rises, so that nobody waits for ever.

use std::cmp::Reverse;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::policy::MAX_PRIORITY;
use crate::base::id::RunId;

/// Who has risen to this level is overtaken by nobody: what it waits for is kept for it. No fresh run can have it.
pub const OVERTAKEN_BY_NOBODY: u64 = MAX_PRIORITY as u64 + 1;

/// A place in the line: the smallest comes first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    level: Reverse<u64>,
    since: DateTime<Utc>,
    run_id: RunId,
}

impl Rank {
    /// Of a run of this priority that has waited since then, as of `now`: it gains a level for each `ageing` that has
    /// passed. Of two on one level the one comes first that has waited longer.
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

    /// The run.
    pub fn run_id(&self) -> &RunId {
        &self.run_id
    }

    /// Whether nobody may pass it any more.
    pub fn is_overtaken_by_nobody(&self) -> bool {
        self.level.0 >= OVERTAKEN_BY_NOBODY
    }
}

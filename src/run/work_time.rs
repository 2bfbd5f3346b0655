//! Time at work: how long something of a run, or of a step's attempt, has run. Time does not count while it is frozen,
//! before it begins, between two attempts, or between a run's end and its resume. `work` has the rules.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::base::time::Now;

/// Counts between its starts and stops, on the wall clock, as instants are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkTime {
    /// Milliseconds counted before `since`.
    pub worked_ms: u64,
    /// Since when it counts; none: it stands still.
    pub since: Option<DateTime<Utc>>,
    /// Up to when it has counted: it never starts again before that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stopped_at: Option<DateTime<Utc>>,
}

impl WorkTime {
    /// Seconds counted before [`Self::since`].
    pub fn seconds(self) -> f64 {
        self.worked_ms as f64 / 1000.0
    }

    pub(super) fn start(&mut self, at: DateTime<Utc>, now: Now) {
        let at = self.stopped_at.map_or(at, |stopped| at.max(stopped));
        self.since.get_or_insert(at.min(now.wall));
    }

    pub(super) fn stop(&mut self, at: DateTime<Utc>) {
        if let Some(since) = self.since.take() {
            self.worked_ms += (at - since).num_milliseconds().max(0) as u64;
            self.stopped_at = Some(at.max(since));
        }
    }
}

/// The time at work by `now`, from the published figures; none where an earlier version kept none.
pub(super) fn counted(
    worked_seconds: Option<f64>,
    works_since: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Option<TimeDelta> {
    let before = TimeDelta::milliseconds((worked_seconds? * 1000.0).round() as i64);
    let current = works_since.map_or(TimeDelta::zero(), |since| (now - since).max(TimeDelta::zero()));
    Some(before + current)
}

//! What the operator has ordered for everything at once. Orders survive the engine: they are recorded.

use chrono::{DateTime, SubsecRound, Utc};
use serde::{Deserialize, Serialize};

use crate::base::time::{instant, local_clock, maybe_instant};

/// What the operator orders for everything at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Be quiet until then; none: until it is taken back.
    Quiet(Option<DateTime<Utc>>),
    /// Be quiet no longer.
    EndQuiet,
    /// Start nothing new.
    Drain,
    /// Start again.
    EndDrain,
}

/// The orders that are in force.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orders {
    /// Running runs are frozen and new ones wait.
    #[serde(default)]
    pub quiet: Option<Quiet>,
    /// Nothing new starts, and what runs goes on to its end; since then.
    #[serde(default, serialize_with = "maybe_instant")]
    pub draining_since: Option<DateTime<Utc>>,
}

impl Orders {
    /// What is in force once `order` has been given, in whole milliseconds, as it is recorded.
    pub fn after(self, order: Order, now: DateTime<Utc>) -> Self {
        let now = now.trunc_subsecs(3);
        match order {
            Order::Quiet(until) => {
                let since = self.quiet.map_or(now, |quiet| quiet.since);
                let until = until.map(|until| until.trunc_subsecs(3));
                Self { quiet: Some(Quiet { since, until }), ..self }
            }
            Order::EndQuiet => Self { quiet: None, ..self },
            Order::Drain => Self { draining_since: self.draining_since.or(Some(now)), ..self },
            Order::EndDrain => Self { draining_since: None, ..self },
        }
    }

    /// What is in force, as a sentence without a full stop.
    pub fn sentence(&self, now: DateTime<Utc>) -> String {
        let quiet = self.quiet.map(|quiet| match quiet.until {
            Some(until) => format!("quiet until {}", local_clock(until, now)),
            None => "quiet until further notice".to_owned(),
        });
        let drain = self.draining_since.map(|_| "draining: no run starts".to_owned());
        match (quiet, drain) {
            (Some(quiet), Some(drain)) => format!("{quiet}; {drain}"),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => "neither quiet nor draining: runs start as ever".to_owned(),
        }
    }
}

/// A time of quiet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quiet {
    /// When it began: what was frozen for it knows it by this instant.
    #[serde(serialize_with = "instant")]
    pub since: DateTime<Utc>,
    /// When it ends by itself; none: when the operator says so.
    #[serde(default, serialize_with = "maybe_instant")]
    pub until: Option<DateTime<Utc>>,
}

//! Orders of the operator that concern all runs. They are recorded, and so survive the engine.

use chrono::{DateTime, SubsecRound, Utc};
use serde::{Deserialize, Serialize};

use crate::base::time::{instant, local_clock, maybe_instant};

/// An order that concerns all runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Be quiet until then; none means until [`Order::EndQuiet`].
    Quiet(Option<DateTime<Utc>>),
    /// End the quiet.
    EndQuiet,
    /// Start nothing new.
    Drain,
    /// Start runs again.
    EndDrain,
}

/// The orders that are in force.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orders {
    /// During quiet, running runs are frozen and new ones wait.
    #[serde(default)]
    pub quiet: Option<Quiet>,
    /// Since when no run starts; running ones go on to their end.
    #[serde(default, serialize_with = "maybe_instant")]
    pub draining_since: Option<DateTime<Utc>>,
}

impl Orders {
    /// The orders in force after `order`, in whole milliseconds, as they are recorded.
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

    /// The orders in force, as a sentence without a full stop.
    pub fn sentence(&self, now: DateTime<Utc>) -> String {
        let quiet = self.quiet.map(|quiet| match quiet.until {
            Some(until) => format!("quiet until {}", local_clock(until, now)),
            None => "quiet until further notice".to_owned(),
        });
        let drain = self.draining_since.map(|_| "draining: no run starts".to_owned());
        match (quiet, drain) {
            (Some(quiet), Some(drain)) => format!("{quiet}; {drain}"),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => "neither quiet nor draining: runs start as usual".to_owned(),
        }
    }
}

/// A time of quiet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quiet {
    /// When it began. Runs that were frozen for it are recognised by this instant.
    #[serde(serialize_with = "instant")]
    pub since: DateTime<Utc>,
    /// When it ends by itself; none means when the operator ends it.
    #[serde(default, serialize_with = "maybe_instant")]
    pub until: Option<DateTime<Utc>>,
}

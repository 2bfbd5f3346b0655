//! The policies and outcomes of instants: misfire, overlap, outcome.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use super::error::ScheduleError;
use crate::base::nearest::nearest;

/// The most missed instants that are caught up, even if `catchup_limit` is larger.
pub const MAX_CATCHUP: u32 = 10_000;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $what:literal { $($(#[$of:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$of])* $variant),+ }

        impl $name {
            /// All variants.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word in files, databases and messages.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = ScheduleError;

            fn from_str(text: &str) -> Result<Self, ScheduleError> {
                let words = [$($word),+];
                let known = Self::ALL.iter().find(|word| word.as_str() == text);
                known.copied().ok_or_else(|| ScheduleError::Word {
                    what: $what,
                    text: text.to_owned(),
                    hint: nearest(text, words).map_or_else(String::new, |near| format!("; did you mean {near}?")),
                    known: words.join(", "),
                })
            }
        }
    };
}

words!(
    /// What happens to instants that were missed while the machine slept or no engine ran.
    Misfire, "misfire policy" {
        /// The newest one runs; the others are coalesced into it.
        RunOnce = "run_once",
        /// The newest [`MisfirePolicy::catchup_limit`] run, the oldest first; older ones expire.
        RunAll = "run_all",
        /// None runs, except the newest one if it is at most [`MisfirePolicy::grace`] late.
        Skip = "skip",
    }
);

words!(
    /// What happens to a due instant while an earlier run of the same job has not ended.
    Overlap, "overlap policy" {
        /// It is skipped.
        Skip = "skip",
        /// It waits, if none waits yet.
        Queue = "queue",
        /// It runs at the same time.
        Allow = "allow",
        /// The earlier run is stopped, then it runs.
        CancelPrevious = "cancel_previous",
    }
);

words!(
    /// What happened to the due instants of one row of `fires`.
    Outcome, "outcome" {
        /// A run id is reserved; the run is being started.
        Claimed = "claimed",
        /// The run was started.
        Ran = "ran",
        /// It waits for the run before it to end.
        Queued = "queued",
        /// A newer instant runs in its place.
        Coalesced = "coalesced",
        /// A policy prevented it.
        Skipped = "skipped",
        /// It is older than the policy permits.
        Expired = "expired",
        /// The job was disabled.
        Disabled = "disabled",
        /// It was run later, by hand.
        Backfilled = "backfilled",
        /// It should have run, but could not be started.
        FailedToStart = "failed_to_start",
    }
);

impl Outcome {
    /// Whether the instants did not run, and will not by themselves.
    pub fn is_without_run(self) -> bool {
        match self {
            Self::Claimed | Self::Ran | Self::Queued | Self::Backfilled => false,
            Self::Coalesced | Self::Skipped | Self::Expired | Self::Disabled | Self::FailedToStart => true,
        }
    }
}

/// What happens to missed instants, with the bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MisfirePolicy {
    /// The policy.
    pub policy: Misfire,
    /// How many missed instants [`Misfire::RunAll`] runs at most.
    pub catchup_limit: u32,
    /// How late an instant may be and still run under [`Misfire::Skip`]; the other policies do not use it.
    pub grace: TimeDelta,
    /// How old an instant may be and still run, under any policy; none means no limit.
    pub max_age: Option<TimeDelta>,
}

impl Default for MisfirePolicy {
    fn default() -> Self {
        Self { policy: Misfire::RunOnce, catchup_limit: 100, grace: TimeDelta::hours(1), max_age: None }
    }
}

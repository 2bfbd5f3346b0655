//! What schedules are made of, and what reads and writes them needs to know: times of day, how an upstream run must have
//! ended, the units of intervals.

use chrono::TimeDelta;

/// A wall-clock time to the minute, from 00:00 to 23:59.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeOfDay {
    hour: u8,
    minute: u8,
}

impl TimeOfDay {
    /// The time `hour:minute`; none beyond 23:59.
    pub fn new(hour: u32, minute: u32) -> Option<Self> {
        let fits = hour < 24 && minute < 60;
        fits.then_some(Self { hour: hour as u8, minute: minute as u8 })
    }

    /// 0 to 23.
    pub fn hour(self) -> u32 {
        self.hour.into()
    }

    /// 0 to 59.
    pub fn minute(self) -> u32 {
        self.minute.into()
    }
}

impl std::fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:02}:{:02}", self.hour, self.minute)
    }
}

/// How a run must have ended for a job that comes after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AfterOn {
    /// Completed.
    #[default]
    Completed,
    /// Failed.
    Failed,
    /// Ended in any way.
    Finished,
}

impl AfterOn {
    /// All variants.
    pub const ALL: [Self; 3] = [Self::Completed, Self::Failed, Self::Finished];

    /// The word in files and databases.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Finished => "finished",
        }
    }
}

/// The largest unit in which the interval is a whole number, with its seconds.
pub(super) fn largest_unit(every: TimeDelta) -> (&'static str, i64) {
    let whole = |(_, seconds): &(&str, i64)| every.num_seconds() % seconds == 0;
    UNITS.into_iter().find(whole).unwrap_or(("seconds", 1))
}

/// The units of an interval with their seconds, the largest first.
pub(super) const UNITS: [(&str, i64); 5] =
    [("weeks", 604_800), ("days", 86_400), ("hours", 3_600), ("minutes", 60), ("seconds", 1)];

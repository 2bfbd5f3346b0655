//! The line in time, which all pages with an axis share, and the part of the time that each of them shows.

use chrono::{DateTime, TimeDelta, Utc};

use crate::base::id::AttemptKey;
use crate::window::TimeRange;

/// The shortest time that an axis shows.
const SHORTEST: TimeDelta = TimeDelta::seconds(10);

/// An axis of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum AxisOf {
    Now,
    Run,
    Machine,
}

/// What of its whole time an axis shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Shown {
    #[default]
    All,
    /// The end, this long; it moves with the time.
    Newest(TimeDelta),
    Between(TimeRange),
}

impl Shown {
    /// The range that is shown of `whole`.
    pub(super) fn of(self, whole: TimeRange) -> TimeRange {
        match self {
            Self::All => whole,
            Self::Newest(length) => TimeRange::before(whole.until, length.min(whole.length())),
            Self::Between(range) => range.moved(TimeDelta::zero(), whole),
        }
    }

    fn range(range: TimeRange, whole: TimeRange) -> Self {
        if range.length() >= whole.length() {
            Self::All
        } else if range.until >= whole.until {
            Self::Newest(range.length())
        } else {
            Self::Between(range)
        }
    }

    /// Shows `factor` times as much of `whole`, so that `at` stays where it is.
    pub(super) fn zoomed(self, at: DateTime<Utc>, factor: f64, whole: TimeRange) -> Self {
        let range = self.of(whole);
        let length = TimeDelta::milliseconds((range.length().num_milliseconds() as f64 * factor) as i64);
        Self::range(range.zoomed(at, length.max(SHORTEST), whole), whole)
    }

    /// Shows what lies later by so much, or earlier.
    pub(super) fn moved(self, by: TimeDelta, whole: TimeRange) -> Self {
        Self::range(self.of(whole).moved(by, whole), whole)
    }
}

/// Something to do about the time.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum TimeCommand {
    /// Put the line there, or take it away.
    Line(Option<DateTime<Utc>>),
    /// Show this part of an axis.
    Show(AxisOf, Shown),
    /// Open what these attempts logged at that second.
    OpenLogs(Vec<AttemptKey>, DateTime<Utc>),
}

/// The window's state about time.
#[derive(Debug, Default)]
pub(super) struct TimeLine {
    /// Where the line stands.
    pub(super) at: Option<DateTime<Utc>>,
    now: Shown,
    run: Shown,
    machine: Shown,
}

impl TimeLine {
    pub(super) fn shown(&self, of: AxisOf) -> Shown {
        match of {
            AxisOf::Now => self.now,
            AxisOf::Run => self.run,
            AxisOf::Machine => self.machine,
        }
    }

    pub(super) fn show(&mut self, of: AxisOf, shown: Shown) {
        match of {
            AxisOf::Now => self.now = shown,
            AxisOf::Run => self.run = shown,
            AxisOf::Machine => self.machine = shown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + second, 0).unwrap()
    }

    #[test]
    fn what_reaches_to_the_end_follows_it_and_the_rest_stays_where_it_is() {
        let whole = TimeRange { from: at(0), until: at(3600) };
        let end = Shown::All.zoomed(at(3600), 0.5, whole);
        assert_eq!(end, Shown::Newest(TimeDelta::seconds(1800)));
        let later = TimeRange { from: at(60), until: at(3660) };
        assert_eq!(end.of(later), TimeRange { from: at(1860), until: at(3660) });
        let middle = Shown::All.zoomed(at(1800), 0.5, whole);
        assert_eq!(middle.of(later), TimeRange { from: at(900), until: at(2700) });
        assert_eq!(middle.zoomed(at(1800), 100.0, whole), Shown::All);
        assert_eq!(middle.moved(TimeDelta::hours(9), whole), Shown::Newest(TimeDelta::seconds(1800)));
        assert_eq!(middle.zoomed(at(1800), 1e-9, whole).of(whole).length(), SHORTEST);
    }
}

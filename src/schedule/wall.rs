//! The wall clock of a zone: its offset, its changes, and the meaning of times that do not exist or come twice.
//! Instants are seconds since 1970 in UTC. Wall-clock times are seconds since 1970 as if the clock never changed.

use chrono::{DateTime, NaiveDateTime};
use jiff::tz::AmbiguousOffset;

use crate::base::tz::Tz;

const HOUR: i64 = 3_600;

/// No two offsets from UTC were ever farther apart.
pub(super) const WIDEST: i64 = 32 * HOUR;

/// The clock of one zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WallClock(Tz);

/// One change of a zone's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change {
    /// The first instant with the new offset.
    pub(super) at: i64,
    /// Seconds east of UTC before it.
    pub(super) before: i64,
    /// Seconds east of UTC from it on.
    pub(super) after: i64,
}

impl Change {
    /// What the clock would have shown at the change without it.
    pub(super) fn wall_before(&self) -> i64 {
        self.at + self.before
    }

    /// What the clock shows from the change on.
    pub(super) fn wall_after(&self) -> i64 {
        self.at + self.after
    }
}

impl WallClock {
    pub(super) fn new(zone: Tz) -> Self {
        Self(zone)
    }

    /// Seconds east of UTC at an instant.
    pub(super) fn offset(&self, at: i64) -> i64 {
        self.0.offset_at(at)
    }

    /// What the clock shows at an instant.
    pub(super) fn shows(&self, at: i64) -> i64 {
        at + self.offset(at)
    }

    /// The first change after `after` and up to `through`.
    pub(super) fn next_change(&self, after: i64, through: i64) -> Option<Change> {
        let before = self.offset(after);
        let mut changes = self.0.changes_after(after).take_while(|(at, _)| *at <= through);
        // Some change only the clock's name.
        changes.find(|(_, offset)| *offset != before).map(|(at, after)| Change { at, before, after })
    }

    /// The first instant at which the clock shows this time, or the first instant after the gap in which it lies. This
    /// is the meaning of a fixed time.
    pub(super) fn first_instant_of(&self, wall: i64) -> i64 {
        let Some(local) = naive(wall) else { return wall };
        let with = |offset: jiff::tz::Offset| wall - i64::from(offset.seconds());
        match self.0.offsets_of(local) {
            AmbiguousOffset::Unambiguous { offset } | AmbiguousOffset::Fold { before: offset, .. } => {
                with(offset)
            }
            AmbiguousOffset::Gap { before, after } => {
                self.next_change(with(after), with(before)).map_or(with(before), |change| change.at)
            }
        }
    }

    /// The latest time that the clock has shown up to an instant. This is what it shows then, except in the second pass
    /// of an overlap, where it is the end of the first pass.
    pub(super) fn latest_shown(&self, at: i64) -> i64 {
        let wall = self.shows(at);
        let change = self.next_change(self.first_instant_of(wall), at);
        change.map_or(wall, |change| change.wall_before() - 1)
    }
}

fn naive(wall: i64) -> Option<NaiveDateTime> {
    DateTime::from_timestamp(wall, 0).map(|at| at.naive_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 1990 to 2040, in every zone.
    #[test]
    fn no_change_is_overlooked() {
        let (from, until) = (631_152_000, 2_240_524_800);
        for name in Tz::names() {
            let zone: Tz = name.parse().expect("a zone");
            let clock = WallClock::new(zone);
            let (mut at, mut offset) = (from, clock.offset(from));
            let mut known = clock.next_change(from, until);
            while at < until {
                let ahead = at + 12 * HOUR;
                let now = clock.offset(ahead);
                if now != offset {
                    let change = known.expect("it is known");
                    assert!(at < change.at && change.at <= ahead, "{zone} {change:?} {at}");
                    assert_eq!((change.before, change.after), (offset, now), "{zone} {change:?}");
                    assert_eq!(clock.offset(change.at - 1), offset, "{zone} {change:?}");
                    known = clock.next_change(change.at, until);
                }
                (at, offset) = (ahead, now);
            }
            assert!(known.is_none_or(|change| change.at > until - 12 * HOUR), "{zone} {known:?}");
        }
    }
}

//! The wall clock of a zone: its offset, its changes, and the meaning of times that do not exist or come twice.
//! Instants are seconds since 1970 in UTC. Wall-clock times are seconds since 1970 as if the clock never changed.

use chrono::{DateTime, NaiveDateTime, Offset, TimeZone};
use chrono_tz::{GapInfo, Tz};

const HOUR: i64 = 3_600;

/// The distance at which a zone's offset is sampled to find its changes. Since 1970 no zone has changed its clock twice
/// within six days, and none is known to do so in future (a test checks this).
const STRIDE: i64 = 72 * HOUR;

/// 1840 to 2100. Outside these years the database has no changes (a test checks this).
const KNOWN: std::ops::Range<i64> = -4_102_444_800..4_102_444_800;

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
        DateTime::from_timestamp(at, 0)
            .map_or(0, |at| self.0.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc().into())
    }

    /// What the clock shows at an instant.
    pub(super) fn shows(&self, at: i64) -> i64 {
        at + self.offset(at)
    }

    /// The first change after `after` and up to `through`.
    pub(super) fn next_change(&self, after: i64, through: i64) -> Option<Change> {
        let before = self.offset(after);
        let (mut unchanged, through) = (after.max(KNOWN.start), through.min(KNOWN.end));
        while unchanged < through {
            let ahead = (unchanged + STRIDE).min(through);
            if self.offset(ahead) != before {
                return Some(self.change_between(unchanged, ahead));
            }
            unchanged = ahead;
        }
        None
    }

    /// The change after `unchanged` and up to `changed`, whose offsets differ.
    fn change_between(&self, mut unchanged: i64, mut changed: i64) -> Change {
        let before = self.offset(unchanged);
        while changed - unchanged > 1 {
            let middle = unchanged + (changed - unchanged) / 2;
            if self.offset(middle) == before { unchanged = middle } else { changed = middle }
        }
        Change { at: changed, before, after: self.offset(changed) }
    }

    /// The first instant at which the clock shows this time, or the first instant after the gap in which it lies. This
    /// is the meaning of a fixed time.
    pub(super) fn first_instant_of(&self, wall: i64) -> i64 {
        let Some(local) = naive(wall) else { return wall };
        match self.0.offset_from_local_datetime(&local).earliest() {
            Some(offset) => wall - i64::from(offset.fix().local_minus_utc()),
            None => match GapInfo::new(&local, &self.0).and_then(|gap| gap.begin) {
                Some((begin, before)) => {
                    begin.and_utc().timestamp() - i64::from(before.fix().local_minus_utc())
                }
                // Not reached: every gap has a beginning.
                None => wall - self.offset(wall),
            },
        }
    }

    /// The latest time that the clock has shown up to an instant. This is what it shows then, except in the second pass
    /// of an overlap, where it is the end of the first pass.
    pub(super) fn latest_shown(&self, at: i64) -> i64 {
        let wall = self.shows(at);
        let Some(local) = naive(wall) else { return wall };
        let first = self
            .0
            .offset_from_local_datetime(&local)
            .earliest()
            .map_or(at, |offset| wall - i64::from(offset.fix().local_minus_utc()));
        if first < at { self.change_between(first, at).wall_before() - 1 } else { wall }
    }
}

fn naive(wall: i64) -> Option<NaiveDateTime> {
    DateTime::from_timestamp(wall, 0).map(|at| at.naive_utc())
}

#[cfg(test)]
mod tests {
    use chrono_tz::TZ_VARIANTS;

    use super::*;

    /// 1990 to 2040, in every zone.
    #[test]
    fn no_change_is_overlooked() {
        let (from, until) = (631_152_000, 2_240_524_800);
        for zone in TZ_VARIANTS {
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

    #[test]
    fn nothing_is_known_of_the_far_past_and_future() {
        for zone in TZ_VARIANTS {
            let clock = WallClock::new(zone);
            for (from, until) in [(-8_000_000_000, KNOWN.start), (KNOWN.end, 8_000_000_000)] {
                let offset = clock.offset(from);
                let changed = (from..until).step_by(20 * 24 * 3_600).find(|at| clock.offset(*at) != offset);
                assert_eq!(changed, None, "{zone}");
            }
        }
    }
}

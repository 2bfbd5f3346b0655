//! The beat of the clocks: when the window must be painted next only because time has passed.
//!
//! All clocks change together, at the whole seconds of the wall clock, so that two hundred of them cost one frame a
//! second. Everything that is painted says to its frame's [`Beat`] how long it stays valid. A page without a clock says
//! nothing, and so the window sleeps.

use std::cell::Cell;
use std::time::Duration;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

/// The beat of one frame.
#[derive(Debug)]
pub(super) struct Beat {
    now: DateTime<Utc>,
    /// How long everything that was painted stays valid, from [`Self::now`] on; none means until an update arrives.
    holds: Cell<Option<Duration>>,
}

impl Beat {
    /// The beat of a frame that is painted at `at`.
    pub(super) fn of(at: DateTime<Utc>) -> Self {
        Self { now: at.trunc_subsecs(0), holds: Cell::new(None) }
    }

    /// The instant that every clock of the frame shows: the last whole second. Two frames within one second are the
    /// same.
    pub(super) fn now(&self) -> DateTime<Utc> {
        self.now
    }

    /// A clock that shows seconds was painted.
    pub(super) fn second(&self) {
        self.holds_for(Duration::from_secs(1));
    }

    /// A span that grows was painted as [`about`](crate::base::units::about) writes it.
    pub(super) fn about(&self, span: TimeDelta) {
        match span.num_seconds().max(0).unsigned_abs() {
            0..60 => self.second(),
            seconds => self.holds_for(Duration::from_secs(60 - seconds % 60)),
        }
    }

    /// Something was painted that changes after this time.
    pub(super) fn holds_for(&self, time: Duration) {
        self.holds.set(Some(self.holds.get().map_or(time, |holds| holds.min(time))));
    }

    /// How long to sleep from `at`, when the frame is painted, until the beat at which the first painted thing changes;
    /// none means until an update arrives.
    pub(super) fn pause(&self, at: DateTime<Utc>) -> Option<Duration> {
        let holds = self.holds.get()?;
        let beats = holds.as_secs() + u64::from(holds.subsec_nanos() > 0);
        let next = self.now + TimeDelta::seconds(i64::try_from(beats.max(1)).ok()?.min(MAX_SECONDS));
        Some((next - at).to_std().unwrap_or_default())
    }
}

/// The longest sleep: a day, so that the arithmetic with instants can't overflow.
const MAX_SECONDS: i64 = 86_400;

/// How long from `at` to the next beat.
pub(super) fn to_next(at: DateTime<Utc>) -> Duration {
    let over = u64::from(at.timestamp_subsec_nanos()) % 1_000_000_000;
    Duration::from_nanos(1_000_000_000 - over)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(1_790_000_000_000 + millis).unwrap()
    }

    #[test]
    fn whatever_was_painted_the_next_frame_comes_with_a_whole_second() {
        for (painted_at, holds_ms, pause_ms) in [
            (0, vec![1000], Some(1000)),
            (300, vec![1000], Some(700)),
            (999, vec![1000], Some(1)),
            // A clock that changes within the second waits for the others.
            (300, vec![200], Some(700)),
            (300, vec![1001], Some(1700)),
            (300, vec![60_000, 5_000, 30_000], Some(4700)),
            (300, vec![], None),
        ] {
            let beat = Beat::of(at(painted_at));
            assert_eq!(beat.now(), at(0));
            holds_ms.iter().for_each(|ms| beat.holds_for(Duration::from_millis(*ms)));
            assert_eq!(beat.pause(at(painted_at)), pause_ms.map(Duration::from_millis), "{painted_at}");
            assert!(to_next(at(painted_at)) <= Duration::from_secs(1));
        }
        let beat = Beat::of(at(300));
        beat.second();
        assert_eq!(beat.pause(at(1200)), Some(Duration::ZERO), "a frame that took longer is behind");
        for (seconds, pause) in [(7, 1), (59, 1), (60, 60), (61, 59), (7199, 1)] {
            let beat = Beat::of(at(0));
            beat.about(TimeDelta::seconds(seconds));
            assert_eq!(beat.pause(at(0)), Some(Duration::from_secs(pause)), "{seconds}");
        }
        assert_eq!(to_next(at(250)), Duration::from_millis(750));
        assert_eq!(to_next(at(0)), Duration::from_secs(1));
    }
}

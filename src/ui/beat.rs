//! The beat of the clocks: when the window is painted next because of nothing but time.
//!
//! All clocks beat together, at the whole seconds of the wall clock, however many there are and whenever each began: two
//! hundred of them cost one frame a second. Whatever is painted tells its frame's [`Beat`] how long it holds; what is
//! not painted tells nothing, so that a page without a clock sleeps.

use std::cell::Cell;
use std::time::Duration;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

/// The beat of one frame.
#[derive(Debug)]
pub(super) struct Beat {
    now: DateTime<Utc>,
    /// How long from [`Self::now`] on everything that was painted holds; none: until an update arrives.
    holds: Cell<Option<Duration>>,
}

impl Beat {
    /// That of a frame which is painted at `at`.
    pub(super) fn of(at: DateTime<Utc>) -> Self {
        Self { now: at.trunc_subsecs(0), holds: Cell::new(None) }
    }

    /// What every clock of the frame shows: the whole second that was over last. What is painted twice within a second
    /// is painted the same.
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

    /// Something was painted that is another one after so long.
    pub(super) fn holds_for(&self, time: Duration) {
        self.holds.set(Some(self.holds.get().map_or(time, |holds| holds.min(time))));
    }

    /// How long to sleep from `at`, when the frame is painted, to the beat at which the first of what was painted holds
    /// no more; none: until an update arrives.
    pub(super) fn pause(&self, at: DateTime<Utc>) -> Option<Duration> {
        let holds = self.holds.get()?;
        let beats = holds.as_secs() + u64::from(holds.subsec_nanos() > 0);
        let next = self.now + TimeDelta::seconds(i64::try_from(beats.max(1)).ok()?.min(MAX_SECONDS));
        Some((next - at).to_std().unwrap_or_default())
    }
}

/// Longer than that no window sleeps: a day, within which any instant can be reckoned.
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

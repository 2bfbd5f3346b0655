//! The instants of a schedule: the next, how many in a range, the newest of a range. The cost does not grow with the
//! number of instants: the fires of a job that runs each second and was off for a month are counted by arithmetic, not
//! one by one.

use chrono::{DateTime, Utc};

use super::config::ScheduleConfig;
use super::cron::Calendar;
use super::wall::{WIDEST, WallClock};
use crate::base::time::within_years;
use crate::base::tz::Tz;

/// Clock changes within this distance of a candidate may move it, in seconds.
const WINDOW: i64 = WIDEST + 4 * 3_600;

/// The value of the column `next_run` when there is no next one: 9999-12-31T23:59:59Z, in milliseconds.
const END_MS: i64 = 253_402_300_799_000;

/// A schedule in its zone. Instants are whole milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timetable(Rule);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    Never,
    /// In milliseconds.
    Once(i64),
    /// The first instant and the distance, in milliseconds.
    Every(i64, i64),
    /// Wall-clock times that each fire once.
    Fixed(Calendar, WallClock),
    /// Wall-clock times that fire each time the clock shows them.
    RealTime(Calendar, WallClock),
}

/// What wall-clock times mean when the clock changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Times {
    /// Each fires once.
    Fixed,
    /// Each fires whenever the clock shows it.
    RealTime,
}

impl Timetable {
    pub(super) fn new(config: &ScheduleConfig, zone: Tz, created_at: DateTime<Utc>) -> Self {
        let clock = WallClock::new(zone);
        Self(match config {
            ScheduleConfig::Once { at } => Rule::Once(at.timestamp_millis()),
            ScheduleConfig::Interval { every, anchor } => {
                let every = every.num_milliseconds().max(1);
                // Without an anchor, the instant at which the job was added is not a fire.
                let first = anchor.map(|anchor| anchor.timestamp_millis());
                Rule::Every(first.unwrap_or(created_at.timestamp_millis().saturating_add(every)), every)
            }
            ScheduleConfig::Daily { at } => Rule::Fixed(Calendar::fixed(*at, None), clock),
            ScheduleConfig::Weekly { day_of_week, at } => {
                Rule::Fixed(Calendar::fixed(*at, Some(day_of_week.num_days_from_sunday())), clock)
            }
            ScheduleConfig::Cron(expression) if expression.follows_real_time() => {
                Rule::RealTime(*expression.calendar(), clock)
            }
            ScheduleConfig::Cron(expression) => Rule::Fixed(*expression.calendar(), clock),
            ScheduleConfig::After { .. } | ScheduleConfig::Manual => Rule::Never,
        })
    }

    /// The first instant after `after`; none when there is none before 9999-12-31T23:59:59Z.
    pub fn next_after(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let after = within_years(after);
        let next = match &self.0 {
            Rule::Never => None,
            Rule::Once(at) => (*at > after.timestamp_millis()).then_some(*at),
            Rule::Every(first, every) => {
                let passed = after.timestamp_millis().saturating_sub(*first);
                let n = if passed < 0 { 0 } else { passed / every + 1 };
                n.checked_mul(*every)?.checked_add(*first)
            }
            Rule::Fixed(calendar, clock) => {
                let wall = calendar.next(clock.latest_shown(after.timestamp()))?;
                Some(clock.first_instant_of(wall) * 1_000)
            }
            Rule::RealTime(calendar, clock) => {
                next_in_real_time(calendar, clock, after.timestamp()).map(|at| at * 1_000)
            }
        };
        next.filter(|next| *next < END_MS).and_then(DateTime::from_timestamp_millis)
    }

    /// The wall-clock times that it follows, and whether each of them fires once; none for a schedule that follows no
    /// wall clock.
    pub(super) fn wall_times(&self) -> Option<(&Calendar, &WallClock, Times)> {
        match &self.0 {
            Rule::Never | Rule::Once(_) | Rule::Every(..) => None,
            Rule::Fixed(calendar, clock) => Some((calendar, clock, Times::Fixed)),
            Rule::RealTime(calendar, clock) => Some((calendar, clock, Times::RealTime)),
        }
    }

    /// How many instants lie after `after` and up to `through`.
    pub fn count(&self, after: DateTime<Utc>, through: DateTime<Utc>) -> u64 {
        let (after, through) = (within_years(after), within_years(through));
        if through <= after {
            return 0;
        }
        match &self.0 {
            Rule::Never => 0,
            Rule::Once(at) => {
                u64::from((after.timestamp_millis() + 1..=through.timestamp_millis()).contains(at))
            }
            Rule::Every(first, every) => {
                let n_until = |at: DateTime<Utc>| (at.timestamp_millis() - first).div_euclid(*every) + 1;
                (n_until(through).max(0) - n_until(after).max(0)).unsigned_abs()
            }
            Rule::Fixed(calendar, clock) => {
                count_fixed(calendar, clock, after.timestamp(), through.timestamp())
            }
            Rule::RealTime(calendar, clock) => {
                count_real_time(calendar, clock, after.timestamp(), through.timestamp())
            }
        }
    }

    /// The newest instant after `after` and up to `through`.
    pub fn last(&self, after: DateTime<Utc>, through: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.next_after(self.before_newest(after, through, 1)?)
    }

    /// The newest `n` instants after `after` and up to `through`, the oldest first; all of them when there are fewer.
    pub fn newest(&self, after: DateTime<Utc>, through: DateTime<Utc>, n: u64) -> Vec<DateTime<Utc>> {
        let mut found = Vec::new();
        let mut at = self.before_newest(after, through, n);
        while let Some(next) = at.and_then(|at| self.next_after(at)).filter(|next| *next <= through) {
            found.push(next);
            at = Some(next);
        }
        found
    }

    /// The latest instant, but not before `after`, after which `n` instants lie (or all, when there are fewer); none
    /// when there are no instants.
    fn before_newest(&self, after: DateTime<Utc>, through: DateTime<Utc>, n: u64) -> Option<DateTime<Utc>> {
        let n = self.count(after, through).min(n);
        if n == 0 {
            return None;
        }
        let (after, mut high) =
            (within_years(after).timestamp_millis(), within_years(through).timestamp_millis());
        // Go back in growing steps until at least `n` lie after `low` and fewer after `high`.
        let (mut low, mut step) = (high, 60_000);
        while low > after {
            low = (low - step).max(after);
            if self.count(DateTime::from_timestamp_millis(low)?, through) >= n {
                break;
            }
            (high, step) = (low, step * 2);
        }
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            let at = DateTime::from_timestamp_millis(middle)?;
            if self.count(at, through) >= n { low = middle } else { high = middle }
        }
        DateTime::from_timestamp_millis(low)
    }
}

/// The first second after `after` at which the wall clock shows a time of the calendar.
fn next_in_real_time(calendar: &Calendar, clock: &WallClock, after: i64) -> Option<i64> {
    // All seconds before this one have been ruled out.
    let mut from = after + 1;
    loop {
        let offset = clock.offset(from);
        let candidate = calendar.next(from - 1 + offset)? - offset;
        // Until the clock changes, no time comes before the candidate. Far from both `from` and the candidate, changes
        // do not matter: whatever the offset, the clock shows a time between the two.
        let is_near = candidate - from <= 2 * WINDOW;
        let look_until = if is_near { candidate } else { from + WINDOW };
        from = match clock.next_change(from, look_until) {
            Some(change) => change.at,
            None if is_near => return Some(candidate),
            None => candidate - WINDOW,
        };
    }
}

fn count_real_time(calendar: &Calendar, clock: &WallClock, after: i64, through: i64) -> u64 {
    let (mut n, mut from) = (0, after + 1);
    while from <= through {
        let offset = clock.offset(from);
        let until = clock.next_change(from, through).map_or(through + 1, |change| change.at);
        n += calendar.count(from + offset, until + offset);
        from = until;
    }
    n
}

fn count_fixed(calendar: &Calendar, clock: &WallClock, after: i64, through: i64) -> u64 {
    let shown = clock.latest_shown(after);
    let mut n = calendar.count(shown + 1, clock.latest_shown(through) + 1);
    // All times in a gap, and the time at its end, are one instant.
    let mut from = after;
    while n > 0
        && let Some(change) = clock.next_change(from, through)
    {
        if change.after > change.before {
            let in_gap = calendar.count(change.wall_before().max(shown + 1), change.wall_after() + 1);
            n -= in_gap.saturating_sub(1);
        }
        from = change.at;
    }
    n
}

#[cfg(test)]
mod tests;

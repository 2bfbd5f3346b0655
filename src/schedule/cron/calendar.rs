//! Sets of seconds, minutes, hours and days, and the search in them. All in plain local calendar time, as if no clock
//! ever changed: wall-clock seconds since 1970.

use chrono::{Datelike, NaiveDate};

pub(in crate::schedule) const SECONDS_A_DAY: i64 = 86_400;

/// The Gregorian calendar repeats after this many years, days of the week included. A time that does not come in one
/// round never comes.
const ROUND_YEARS: i32 = 400;

/// How the two day fields combine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::schedule) enum DayRule {
    /// A day must be in both, because at least one field is free.
    Both,
    /// Both fields are restricted: a day must be in at least one of them.
    Either,
}

/// The times of a cron expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::schedule) struct Calendar {
    /// Bit 0 is second 0; at least one is set.
    pub(in crate::schedule) seconds: u64,
    /// Bit 0 is minute 0; at least one is set.
    pub(in crate::schedule) minutes: u64,
    /// Bit 0 is hour 0; at least one is set.
    pub(in crate::schedule) hours: u32,
    /// Bit 1 is the first day of the month.
    pub(in crate::schedule) days: u32,
    /// Whether the last day of each month is among the days.
    pub(in crate::schedule) last_day: bool,
    /// Bit 1 is January.
    pub(in crate::schedule) months: u16,
    /// Bit 0 is Sunday.
    pub(in crate::schedule) weekdays: u8,
    pub(in crate::schedule) day_rule: DayRule,
}

impl Calendar {
    /// All sets full.
    pub(in crate::schedule) const EVERY_SECOND: Self = Self {
        seconds: (1 << 60) - 1,
        minutes: (1 << 60) - 1,
        hours: (1 << 24) - 1,
        days: u32::MAX - 1,
        last_day: false,
        months: 0b1_1111_1111_1110,
        weekdays: 0b111_1111,
        day_rule: DayRule::Both,
    };

    /// The first time after `after`; none if none comes before the year 9999. Visits at most each month of one round of
    /// the calendar.
    pub(in crate::schedule) fn next(&self, after: i64) -> Option<i64> {
        let (day, second) = (after.div_euclid(SECONDS_A_DAY), after.rem_euclid(SECONDS_A_DAY));
        let date = date_of(day)?;
        let (mut year, mut month) = (date.year(), date.month());
        let mut first_day = day - i64::from(date.day0());
        let mut left = self.days_of(year, month, first_day);
        if left & (1 << date.day()) != 0
            && let Some(time) = self.next_time(second)
        {
            return Some(day * SECONDS_A_DAY + time);
        }
        left &= (!1_u32) << date.day();
        let last_year = year + ROUND_YEARS;
        while left == 0 {
            (year, month) = self.next_month(year, month);
            if year > last_year || year > 9_999 {
                return None;
            }
            first_day = day_of(NaiveDate::from_ymd_opt(year, month, 1)?);
            left = self.days_of(year, month, first_day);
        }
        let day = first_day + i64::from(left.trailing_zeros()) - 1;
        Some(day * SECONDS_A_DAY + self.first_time())
    }

    /// How many times there are from `from` on and before `until`. Visits each month between.
    pub(in crate::schedule) fn count(&self, from: i64, until: i64) -> u64 {
        if until <= from {
            return 0;
        }
        let (first, first_second) = (from.div_euclid(SECONDS_A_DAY), from.rem_euclid(SECONDS_A_DAY));
        let (last, last_second) = (until.div_euclid(SECONDS_A_DAY), until.rem_euclid(SECONDS_A_DAY));
        let whole = self.n_days(first, last) * self.n_times_before(SECONDS_A_DAY);
        let before_from = if self.has_day(first) { self.n_times_before(first_second) } else { 0 };
        let before_until = if self.has_day(last) { self.n_times_before(last_second) } else { 0 };
        whole + before_until - before_from
    }

    /// The days of a month as bits, bit 1 the first.
    fn days_of(&self, year: i32, month: u32, first_day: i64) -> u32 {
        if self.months & (1 << month) == 0 {
            return 0;
        }
        let n_days = days_in(year, month);
        let mut by_date = self.days;
        if self.last_day {
            by_date |= 1 << n_days;
        }
        // 1970-01-01 was a Thursday. The week's bits are rotated so that bit 0 is the month's first day, and repeated
        // five times.
        let first_weekday = (first_day + 4).rem_euclid(7) as u32;
        let week = u64::from(self.weekdays);
        let turned = ((week | week << 7) >> first_weekday) & 0b111_1111;
        let by_weekday = ((turned * 0x1020_4081) << 1) as u32;
        let days = match self.day_rule {
            DayRule::Both => by_date & by_weekday,
            DayRule::Either => by_date | by_weekday,
        };
        days & ((1_u64 << (n_days + 1)) - 2) as u32
    }

    fn has_day(&self, day: i64) -> bool {
        date_of(day).is_some_and(|date| {
            self.days_of(date.year(), date.month(), day - i64::from(date.day0())) & (1 << date.day()) != 0
        })
    }

    /// How many days with times there are from `first` on and before `last`.
    fn n_days(&self, first: i64, last: i64) -> u64 {
        let Some(date) = date_of(first) else { return 0 };
        let (mut year, mut month) = (date.year(), date.month());
        let mut first_day = first - i64::from(date.day0());
        let mut n = 0;
        while first_day < last {
            let mut days = self.days_of(year, month, first_day);
            if first_day < first {
                days &= u32::MAX << (first - first_day + 1);
            }
            let next_first = first_day + i64::from(days_in(year, month));
            if next_first > last {
                days &= (1_u32 << (last - first_day + 1)) - 1;
            }
            n += u64::from(days.count_ones());
            first_day = next_first;
            (year, month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
        }
        n
    }

    /// The next month with its bit set, in this or a later year.
    fn next_month(&self, year: i32, month: u32) -> (i32, u32) {
        let later = u32::from(self.months) & (u32::MAX << (month + 1));
        if later != 0 {
            (year, later.trailing_zeros())
        } else {
            (year + 1, u32::from(self.months).trailing_zeros())
        }
    }

    /// The first time of a day.
    fn first_time(&self) -> i64 {
        let [hour, minute, second] =
            [u64::from(self.hours), self.minutes, self.seconds].map(u64::trailing_zeros).map(i64::from);
        hour * 3_600 + minute * 60 + second
    }

    /// The first time of a day after this second of the day.
    fn next_time(&self, after: i64) -> Option<i64> {
        let (hour, minute, second) = (after / 3_600, after / 60 % 60, after % 60);
        let later = |set: u64, than: i64| {
            let left = set & (u64::MAX << (than + 1));
            (left != 0).then(|| i64::from(left.trailing_zeros()))
        };
        let first = |set: u64| i64::from(set.trailing_zeros());
        let has = |set: u64, value: i64| set & (1 << value) != 0;
        let hours = u64::from(self.hours);
        if has(hours, hour) {
            if has(self.minutes, minute)
                && let Some(second) = later(self.seconds, second)
            {
                return Some(hour * 3_600 + minute * 60 + second);
            }
            if let Some(minute) = later(self.minutes, minute) {
                return Some(hour * 3_600 + minute * 60 + first(self.seconds));
            }
        }
        later(hours, hour).map(|hour| hour * 3_600 + first(self.minutes) * 60 + first(self.seconds))
    }

    /// How many times of a day lie before this second of the day.
    fn n_times_before(&self, second: i64) -> u64 {
        let n = |set: u64| u64::from(set.count_ones());
        let below = |set: u64, value: i64| n(set & ((1 << value) - 1));
        let (hours, minutes, seconds) = (u64::from(self.hours), self.minutes, self.seconds);
        let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
        let mut times = below(hours, hour) * n(minutes) * n(seconds);
        if hours & (1 << hour) != 0 {
            times += below(minutes, minute) * n(seconds);
            if minutes & (1 << minute) != 0 {
                times += below(seconds, second);
            }
        }
        times
    }
}

fn days_in(year: i32, month: u32) -> u32 {
    NaiveDate::from_ymd_opt(year, month, 1).map_or(31, |date| date.num_days_in_month().into())
}

/// The date of a day since 1970-01-01.
fn date_of(day: i64) -> Option<NaiveDate> {
    NaiveDate::from_epoch_days(i32::try_from(day).ok()?)
}

fn day_of(date: NaiveDate) -> i64 {
    date.to_epoch_days().into()
}

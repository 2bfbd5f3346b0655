//! Parses schedules as the command line writes them: `6h`, `09:30`, `mon 09:00`, an instant.

use chrono::{DateTime, NaiveDateTime, SubsecRound, TimeDelta, Utc, Weekday};

use super::error::ScheduleError;
use super::model::TimeOfDay;
use super::wall::WallClock;
use crate::base::time::within_years;
use crate::base::tz::Tz;

/// The longest interval.
pub(super) const LONGEST: TimeDelta = TimeDelta::days(3_650);

/// Reads an interval such as `90s`, `15m`, `6h`, `1d12h` or `2w`: whole numbers with units, the largest first.
///
/// # Errors
/// [`ScheduleError::Text`] when it is malformed, shorter than a second or longer than ten years.
pub fn parse_every(text: &str) -> Result<TimeDelta, ScheduleError> {
    const UNITS: [(&str, i64); 5] = [("w", 604_800), ("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
    let wrong = || {
        ScheduleError::Text(format!(
            "the interval {text:?} is malformed; write whole numbers with units (w, d, h, m, s), such as 6h or 1h30m"
        ))
    };
    if text.is_empty() {
        return Err(wrong());
    }
    let (mut rest, mut units, mut total) = (text, &UNITS[..], 0_i64);
    while !rest.is_empty() {
        let n_digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(n_digits);
        let place = units.iter().position(|(unit, _)| after.starts_with(unit)).ok_or_else(wrong)?;
        let number: i64 = number.parse().map_err(|_| wrong())?;
        total = number.checked_mul(units[place].1).and_then(|n| n.checked_add(total)).ok_or_else(wrong)?;
        (rest, units) = (&after[1..], &units[place + 1..]);
    }
    if total < 1 || total > LONGEST.num_seconds() {
        return Err(ScheduleError::Text(format!(
            "the interval {text:?} is out of range; write at least 1s and at most ten years (3650d)"
        )));
    }
    Ok(TimeDelta::seconds(total))
}

/// Reads a time of day such as `09:30` or `9:30`.
///
/// # Errors
/// [`ScheduleError::Text`] when it is malformed.
pub fn parse_time_of_day(text: &str) -> Result<TimeOfDay, ScheduleError> {
    let number = |text: &str| {
        let is_one = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        is_one.then(|| text.parse().ok()).flatten()
    };
    text.split_once(':')
        .filter(|(_, minute)| minute.len() == 2)
        .and_then(|(hour, minute)| TimeOfDay::new(number(hour)?, number(minute)?))
        .ok_or_else(|| {
            ScheduleError::Text(format!("{text:?} is not a time of day; write HH:MM, from 00:00 to 23:59"))
        })
}

/// Reads a day of the week with a time, such as `mon 09:00` or `Friday 18:30`.
///
/// # Errors
/// [`ScheduleError::Text`] when it is malformed.
pub fn parse_weekly(text: &str) -> Result<(Weekday, TimeOfDay), ScheduleError> {
    let mut words = text.split_whitespace();
    let (Some(day), Some(time), None) = (words.next(), words.next(), words.next()) else {
        return Err(ScheduleError::Text(format!(
            "{text:?} is not a day of the week with a time; write it as \"mon 09:00\""
        )));
    };
    let day = weekday(day).ok_or_else(|| {
        ScheduleError::Text(format!(
            "{day:?} is not a day of the week; write mon, tue, wed, thu, fri, sat or sun"
        ))
    })?;
    Ok((day, parse_time_of_day(time)?))
}

/// Reads an instant: RFC 3339, or a wall-clock time of the zone such as `2026-11-23 02:00`. A time that the zone's
/// clock skips means the first instant after the gap; one that comes twice means the first.
///
/// # Errors
/// [`ScheduleError::Text`] when it is malformed.
pub fn parse_once(text: &str, zone: Tz) -> Result<DateTime<Utc>, ScheduleError> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        let at = at.with_timezone(&Utc).trunc_subsecs(3);
        return if within_years(at) == at { Ok(at) } else { Err(beyond(text)) };
    }
    const FORMS: [&str; 4] = ["%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"];
    FORMS
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
        .and_then(|local| DateTime::from_timestamp(WallClock::new(zone).first_instant_of(local.and_utc().timestamp()), 0))
        .filter(|at| within_years(*at) == *at)
        .ok_or_else(|| {
            ScheduleError::Text(format!(
                "{text:?} is not an instant; write it as 2026-11-23T02:00:00Z, or as 2026-11-23 02:00 for the zone's own time"
            ))
        })
}

fn beyond(text: &str) -> ScheduleError {
    ScheduleError::Text(format!("{text:?} is outside the years 1 to 9999, which are the supported range"))
}

/// A day of the week by its English name or its first three letters.
pub(super) fn weekday(text: &str) -> Option<Weekday> {
    (text.len() >= 3).then(|| text.parse().ok()).flatten()
}

//! A schedule as a sentence: "every weekday at 09:30, Europe/Madrid".

use chrono::{Month, TimeDelta};

use super::config::ScheduleConfig;
use super::cron::{Calendar, DayRule};
use super::model::{AfterOn, largest_unit};
use super::zone::Zone;
use crate::base::tz::Tz;

const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

impl ScheduleConfig {
    /// The schedule as a sentence without a full stop. `resolved` is what `zone` means on this machine.
    pub fn in_words(&self, zone: Zone, resolved: Tz) -> String {
        let zone_name = match zone {
            Zone::Named(zone) => zone.name(),
            Zone::Local => "local time",
        };
        let wall = |at: &chrono::DateTime<chrono::Utc>| {
            at.with_timezone(&resolved).format("%Y-%m-%d at %H:%M").to_string()
        };
        match self {
            Self::Once { at } => format!("once, on {}, {zone_name}", wall(at)),
            Self::Interval { every, anchor } => {
                let every = in_units(*every);
                match anchor {
                    Some(anchor) => format!("every {every}, counted from {}, {zone_name}", wall(anchor)),
                    None => format!("every {every}"),
                }
            }
            Self::Daily { at } => format!("every day at {at}, {zone_name}"),
            Self::Weekly { day_of_week, at } => {
                let day = DAYS[day_of_week.num_days_from_sunday() as usize];
                format!("every {day} at {at}, {zone_name}")
            }
            Self::Cron(expression) => format!("{}, {zone_name}", calendar_in_words(expression.calendar())),
            Self::After { jobs, on } => {
                let verb = match (on, jobs.len()) {
                    (AfterOn::Completed, 1) => "completes",
                    (AfterOn::Completed, _) => "complete",
                    (AfterOn::Failed, 1) => "fails",
                    (AfterOn::Failed, _) => "fail",
                    (AfterOn::Finished, 1) => "ends",
                    (AfterOn::Finished, _) => "end",
                };
                format!("after {} {verb}", listed(jobs.iter().map(ToString::to_string).collect()))
            }
            Self::Manual => "only by hand".to_owned(),
        }
    }
}

/// "6 hours", "hour", "90 minutes".
fn in_units(every: TimeDelta) -> String {
    let (unit, seconds) = largest_unit(every);
    match every.num_seconds() / seconds {
        1 => unit.trim_end_matches('s').to_owned(),
        n => format!("{n} {unit}"),
    }
}

fn calendar_in_words(calendar: &Calendar) -> String {
    if calendar.next(0).is_none() {
        return "never: no month has such a day".to_owned();
    }
    let (times, days) = (times_in_words(calendar), days_in_words(calendar));
    match (times.starts_with("at "), days) {
        (true, None) => format!("every day {times}"),
        (true, Some(days)) => format!("{days} {times}"),
        (false, None) => times,
        (false, Some(days)) => format!("{times}, {days}"),
    }
}

/// The pattern of a set of numbers.
enum Shape {
    All,
    /// From 0 on, in steps that divide the whole evenly.
    Steps(u32),
    Range(u32, u32),
    List(Vec<u32>),
}

fn shape(set: u64, size: u32) -> Shape {
    let list: Vec<u32> = (0..64).filter(|bit| set & (1 << bit) != 0).collect();
    let (first, last) = (list.first().copied().unwrap_or(0), list.last().copied().unwrap_or(0));
    let n = list.len() as u32;
    if n == size {
        return Shape::All;
    }
    if n > 1
        && first == 0
        && size.is_multiple_of(n)
        && list.iter().enumerate().all(|(i, v)| i as u32 * (size / n) == *v)
    {
        return Shape::Steps(size / n);
    }
    if n > 2 && last - first + 1 == n { Shape::Range(first, last) } else { Shape::List(list) }
}

/// The time of the day, beginning with "at " or "every ".
fn times_in_words(calendar: &Calendar) -> String {
    let (seconds, minutes, hours) =
        (shape(calendar.seconds, 60), shape(calendar.minutes, 60), shape(calendar.hours.into(), 24));
    let hours_text = match &hours {
        Shape::All => String::new(),
        Shape::Steps(n) => format!(" of every {} hour", ordinal(*n)),
        Shape::Range(first, last) => format!(" from {first:02}:00 to {last:02}:59"),
        Shape::List(list) => format!(" in {}", counted("hour", list)),
    };
    if let (Shape::List(seconds), Shape::List(minutes), Shape::List(hours)) = (&seconds, &minutes, &hours)
        && seconds.len() * minutes.len() * hours.len() <= 6
    {
        let mut times = Vec::new();
        for hour in hours {
            for minute in minutes {
                times.extend(seconds.iter().map(|second| match (second, seconds.len()) {
                    (0, 1) => format!("{hour:02}:{minute:02}"),
                    _ => format!("{hour:02}:{minute:02}:{second:02}"),
                }));
            }
        }
        return format!("at {}", listed(times));
    }
    let minutes_text = match (&minutes, &hours) {
        (Shape::All, _) => format!("every minute{hours_text}"),
        (Shape::Steps(n), _) => format!("every {n} minutes{hours_text}"),
        (Shape::List(list), Shape::All) if list[..] == [0] => "every hour".to_owned(),
        (Shape::List(list), Shape::Steps(n)) if list[..] == [0] => format!("every {n} hours"),
        (Shape::List(list), Shape::All) => format!("every hour at {}", counted("minute", list)),
        (Shape::List(list), Shape::Steps(n)) => format!("every {n} hours at {}", counted("minute", list)),
        (Shape::List(list), Shape::Range(first, last)) if list[..] == [0] => {
            format!("every hour from {first:02}:00 to {last:02}:00")
        }
        (Shape::List(list), _) => format!("at {}{hours_text}", counted("minute", list)),
        (Shape::Range(first, last), _) => format!("every minute from {first} to {last}{hours_text}"),
    };
    let minutes_of = minutes_text.trim_start_matches("at ");
    match (&seconds, &minutes, &hours) {
        (Shape::List(list), ..) if list[..] == [0] => minutes_text,
        (Shape::All, Shape::All, Shape::All) => "every second".to_owned(),
        (Shape::Steps(n), Shape::All, Shape::All) => format!("every {n} seconds"),
        (Shape::All, ..) => format!("every second of {minutes_of}"),
        (Shape::Steps(n), ..) => format!("every {n} seconds of {minutes_of}"),
        (Shape::Range(first, last), ..) => format!("every second from {first} to {last} of {minutes_of}"),
        (Shape::List(list), ..) => format!("every {} of {minutes_of}", counted("second", list)),
    }
}

/// The days; none for every day.
fn days_in_words(calendar: &Calendar) -> Option<String> {
    let all_dates = calendar.days == Calendar::EVERY_SECOND.days;
    let all_weekdays = calendar.weekdays == Calendar::EVERY_SECOND.weekdays;
    let dates = || {
        let list: Vec<u32> = (1..32).filter(|day| calendar.days & (1 << day) != 0).collect();
        match (list.is_empty(), calendar.last_day) {
            (true, _) => "on the last day of the month".to_owned(),
            (false, true) => format!("on {} and the last day of the month", counted("day", &list)),
            (false, false) => format!("on {} of the month", counted("day", &list)),
        }
    };
    let weekdays = || match calendar.weekdays {
        0b011_1110 => "weekday".to_owned(),
        0b100_0001 => "weekend day".to_owned(),
        set => listed((0..7).filter(|day| set & (1 << day) != 0).map(|day| DAYS[day].to_owned()).collect()),
    };
    let days = match (calendar.day_rule, all_dates, all_weekdays) {
        (DayRule::Either, true, _) | (DayRule::Either, _, true) | (DayRule::Both, true, true) => None,
        (DayRule::Either, false, false) => Some(format!("{} and every {}", dates(), weekdays())),
        (DayRule::Both, true, false) => Some(format!("every {}", weekdays())),
        (DayRule::Both, false, true) => Some(dates()),
        (DayRule::Both, false, false) => Some(format!("{} where that is a {}", dates(), weekdays())),
    };
    if calendar.months == Calendar::EVERY_SECOND.months {
        return days;
    }
    let months = (1..13_u8).filter(|month| calendar.months & (1 << month) != 0);
    let months = months.filter_map(|month| Month::try_from(month).ok());
    let months = listed(months.map(|month| month.name().to_owned()).collect());
    Some(match days {
        Some(days) => format!("{days} in {months}"),
        None => format!("every day in {months}"),
    })
}

/// "minute 5", "hours 9, 12 and 15".
fn counted(noun: &str, numbers: &[u32]) -> String {
    let plural = if numbers.len() == 1 { "" } else { "s" };
    format!("{noun}{plural} {}", listed(numbers.iter().map(ToString::to_string).collect()))
}

fn listed(mut words: Vec<String>) -> String {
    let Some(last) = words.pop() else { return String::new() };
    if words.is_empty() { last } else { format!("{} and {last}", words.join(", ")) }
}

fn ordinal(n: u32) -> String {
    match n {
        2 => "second".to_owned(),
        3 => "third".to_owned(),
        n => format!("{n}th"),
    }
}

#[cfg(test)]
mod tests;

//! From the text of a cron expression to its sets: each field is checked, translated into the dialect of the `cron`
//! crate, and parsed by that.

use cron::TimeUnitSpec;

use super::calendar::{Calendar, DayRule};
use crate::base::nearest::nearest;

/// One field of an expression.
struct Field {
    name: &'static str,
    min: u32,
    max: u32,
    /// Names of values; the first name stands for `min`.
    names: &'static [&'static str],
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const DAYS: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];

/// With seconds first, as the crate expects.
const FIELDS: [Field; 6] = [
    Field { name: "second", min: 0, max: 59, names: &[] },
    Field { name: "minute", min: 0, max: 59, names: &[] },
    Field { name: "hour", min: 0, max: 23, names: &[] },
    Field { name: "day of month", min: 1, max: 31, names: &[] },
    Field { name: "month", min: 1, max: 12, names: &MONTHS },
    Field { name: "day of week", min: 0, max: 7, names: &DAYS },
];
const DAY_OF_MONTH: usize = 3;
const DAY_OF_WEEK: usize = 5;

const NICKNAMES: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// The sets of an expression, and whether it follows real time.
pub(super) fn read(text: &str) -> Result<(Calendar, bool), String> {
    if let Some((name, zone)) = zone_before(text) {
        return Err(format!(
            "the zone is not part of it; remove {name}={zone} and give the zone separately (`--tz {zone}`, or `tz = \"{zone}\"` in a file)"
        ));
    }
    let text = if text.starts_with('@') { nickname(text)? } else { text };
    let mut parts: Vec<&str> = text.split_whitespace().collect();
    match parts.len() {
        5 => parts.insert(0, "0"),
        6 => {}
        n => {
            return Err(format!(
                "it has {n} field{}; write five (minute, hour, day of month, month, day of week) or six with the second first",
                if n == 1 { "" } else { "s" }
            ));
        }
    }
    let (days, last_day) = without_last_day(parts[DAY_OF_MONTH])?;
    let only_last_day = days.is_empty();
    let mut translated = Vec::with_capacity(FIELDS.len());
    for (i, field) in FIELDS.iter().enumerate() {
        let part = match i {
            // The crate does not know `L`: it parses a `1` instead, and the set is emptied below.
            DAY_OF_MONTH if only_last_day => "1",
            DAY_OF_MONTH => &days,
            _ => parts[i],
        };
        translated.push(field.translate(part, i)?);
    }
    let read: cron::Schedule = translated
        .join(" ")
        .parse()
        .map_err(|error: cron::error::Error| format!("it is malformed ({error})"))?;
    let is_free = |part: &str| part.starts_with(['*', '?']);
    let calendar = Calendar {
        seconds: bits(read.seconds()),
        minutes: bits(read.minutes()),
        hours: bits(read.hours()) as u32,
        days: if only_last_day { 0 } else { bits(read.days_of_month()) as u32 },
        last_day,
        months: bits(read.months()) as u16,
        // The crate counts Sunday as 1.
        weekdays: (bits(read.days_of_week()) >> 1) as u8,
        day_rule: if is_free(parts[DAY_OF_MONTH]) || is_free(parts[DAY_OF_WEEK]) {
            DayRule::Both
        } else {
            DayRule::Either
        },
    };
    Ok((calendar, parts[1].starts_with('*') || parts[2].starts_with('*')))
}

/// A zone before the fields, as in crontabs and other schedulers.
fn zone_before(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = text.trim_start().split_once('=')?;
    let zone = rest.split_whitespace().next().unwrap_or_default().trim_matches(['"', '\'']);
    matches!(name, "CRON_TZ" | "TZ").then_some((name, zone))
}

fn nickname(text: &str) -> Result<&'static str, String> {
    let lower = text.to_ascii_lowercase();
    if let Some((_, fields)) = NICKNAMES.iter().find(|(name, _)| *name == lower) {
        return Ok(fields);
    }
    let names = "@yearly, @monthly, @weekly, @daily or @hourly";
    Err(match lower.split_whitespace().next() {
        Some("@reboot") => "@reboot is not a time; a job can't wait for a boot".to_owned(),
        Some("@every") => "@every is not a cron expression; use an interval, such as --every 6h".to_owned(),
        _ => match nearest(&lower, NICKNAMES.iter().map(|(name, _)| *name)) {
            Some(near) => format!("the word is unknown; did you mean {near}?"),
            None => format!("the word is unknown; write {names}, or five fields"),
        },
    })
}

/// The field of days without its `L`, and whether it had one.
fn without_last_day(part: &str) -> Result<(String, bool), String> {
    let is_last = |item: &&str| item.eq_ignore_ascii_case("l");
    let last_day = part.split(',').any(|item| is_last(&item));
    let rest: Vec<&str> = part.split(',').filter(|item| !is_last(item)).collect();
    Ok((rest.join(","), last_day))
}

fn bits(set: &impl TimeUnitSpec) -> u64 {
    set.iter().fold(0, |bits, ordinal| bits | 1 << ordinal)
}

impl Field {
    /// The field in the crate's dialect.
    fn translate(&self, part: &str, place: usize) -> Result<String, String> {
        let items: Result<Vec<String>, String> =
            part.split(',').map(|item| self.translate_item(item, part, place)).collect();
        Ok(items?.join(","))
    }

    fn translate_item(&self, item: &str, part: &str, place: usize) -> Result<String, String> {
        let (name, Self { min, max, .. }) = (self.name, self);
        if item.is_empty() {
            return Err(format!("{name} {part:?} has an extra comma"));
        }
        let (base, step) = match item.split_once('/') {
            None => (item, None),
            Some((base, step)) => (base, Some(self.step(step, item)?)),
        };
        let suffix = step.map_or_else(String::new, |step| format!("/{step}"));
        let is_day = place == DAY_OF_MONTH || place == DAY_OF_WEEK;
        if base == "*" || (base == "?" && is_day) {
            return Ok(format!("*{suffix}"));
        }
        let (first, last) = match base.split_once('-') {
            None if step.is_some() => (self.value(base, item)?, *max),
            None => {
                let value = self.value(base, item)?;
                (value, value)
            }
            Some((first, last)) => {
                let (first, mut last) = (self.value(first, item)?, self.value(last, item)?);
                // A week may end with its Sunday.
                if place == DAY_OF_WEEK && last == 0 && first > 0 {
                    last = 7;
                }
                if first > last {
                    return Err(format!("{name} {item:?} runs backwards; write {first}-{max},{min}-{last}"));
                }
                (first, last)
            }
        };
        if place != DAY_OF_WEEK {
            return Ok(if first == last { first.to_string() } else { format!("{first}-{last}{suffix}") });
        }
        // Sunday is 0 and 7 here, and 1 in the crate. `5/2` ends with Saturday.
        let last = if base.contains('-') || step.is_none() { last } else { 6.max(first) };
        let days = (first..=last).step_by(step.unwrap_or(1) as usize);
        Ok(days.map(|day| (day % 7 + 1).to_string()).collect::<Vec<_>>().join(","))
    }

    fn step(&self, step: &str, item: &str) -> Result<u32, String> {
        let name = self.name;
        let n = number(step).ok_or_else(|| {
            format!("{name} {item:?} has a malformed step; write a whole number after the slash, such as */5")
        })?;
        if (1..=self.max).contains(&n) {
            return Ok(n);
        }
        let advice = match self.name {
            "second" | "minute" | "hour" if n > self.max => {
                format!(", or use an interval (--every {n}{})", &self.name[..1])
            }
            _ => String::new(),
        };
        Err(format!("{name} {item:?} has a step that is too large or zero; write 1 to {}{advice}", self.max))
    }

    fn value(&self, text: &str, item: &str) -> Result<u32, String> {
        let Self { name, min, max, names } = *self;
        if let Some(n) = number(text) {
            return if (min..=max).contains(&n) {
                Ok(n)
            } else {
                let sunday = if name == "day of week" { " (0 and 7 are Sunday)" } else { "" };
                Err(format!("{name} {n} is out of range; write {min} to {max}{sunday}"))
            };
        }
        let lower = text.to_ascii_lowercase();
        let is_it = |known: &&'static str| lower.len() >= 3 && (*known == lower || known[..3] == lower);
        if let Some(i) = names.iter().position(is_it) {
            return Ok(min + i as u32);
        }
        Err(format!("{name} {item:?} is malformed; {}", self.advice(&lower)))
    }

    fn advice(&self, lower: &str) -> String {
        let Self { name, min, max, names } = *self;
        if lower.contains('#') || lower.contains('w') && names.is_empty() || lower.ends_with('l') {
            return "L is the only letter that is supported, for the last day in the field day of month"
                .to_owned();
        }
        if lower.contains('~') {
            return "random times are not supported; write the time itself".to_owned();
        }
        let short = || names.iter().map(|known| &known[..3]);
        match nearest(lower, short().chain(names.iter().copied())) {
            Some(near) => format!("did you mean {near}?"),
            None if names.is_empty() => {
                format!("write {min} to {max}, lists (1,5), ranges (1-5) or steps (*/5)")
            }
            None => format!(
                "write {min} to {max} or {} to {}",
                &names[0][..3],
                short().next_back().unwrap_or(name)
            ),
        }
    }
}

fn number(text: &str) -> Option<u32> {
    let is_one = (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    is_one.then(|| text.parse().ok()).flatten()
}

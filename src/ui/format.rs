//! All numbers and times that the window writes: in the way of the system's locale, or in one that needs no language.

use std::borrow::Cow;

use std::fmt::Display;

use chrono::{DateTime, Local, NaiveDate, TimeDelta, TimeZone, Utc};
use parking_lot::RwLock;
use pure_rust_locales::{Locale, locale_match};

use crate::base::units::size_in_words;
pub(super) use crate::base::units::{about, of_cores};

/// How numbers and times are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Manner {
    /// Between the whole and the fraction.
    decimal: &'static str,
    /// Between groups of three digits.
    group: &'static str,
    clock: Clock,
    day: Day,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Clock {
    Hours24,
    Hours12,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Day {
    BeforeMonth,
    AfterMonth,
}

impl Manner {
    /// The one that needs no language: `1,234.5`, `26 Nov 18:02`.
    pub(super) const NEUTRAL: Self =
        Self { decimal: ".", group: ",", clock: Clock::Hours24, day: Day::BeforeMonth };

    /// The manner of the locale that the environment names, by the variables that every program reads.
    pub(super) fn of_system(env: impl Fn(&str) -> Option<String>) -> Self {
        let locale_of = |category: &str| {
            let named =
                ["LC_ALL", category, "LANG"].into_iter().filter_map(&env).find(|name| !name.is_empty());
            named.as_deref().and_then(locale)
        };
        let mut manner = Self::NEUTRAL;
        if let Some(locale) = locale_of("LC_NUMERIC") {
            manner.decimal = locale_match!(locale => LC_NUMERIC::DECIMAL_POINT);
            manner.group = match locale_match!(locale => LC_NUMERIC::THOUSANDS_SEP) {
                // A list of figures needs some.
                "" => "\u{202f}",
                group => group,
            };
        }
        if let Some(locale) = locale_of("LC_TIME") {
            let (time, date) =
                (locale_match!(locale => LC_TIME::T_FMT), locale_match!(locale => LC_TIME::D_FMT));
            if ["%r", "%I", "%p", "%l"].iter().any(|twelve| time.contains(twelve)) {
                manner.clock = Clock::Hours12;
            }
            let at = |marks: &[&str]| marks.iter().filter_map(|mark| date.find(mark)).min();
            let (day, month) = (at(&["%d", "%e", "%-d"]), at(&["%m", "%b", "%B", "%-m", "%D"]));
            if month.is_some() && day.is_none_or(|day| month < Some(day)) {
                manner.day = Day::AfterMonth;
            }
        }
        manner
    }
}

/// The locale of a name such as `de_DE.UTF-8@euro`; none of `C` and of names that are not known.
fn locale(name: &str) -> Option<Locale> {
    let (name, modifier) = name.split_once('@').map_or((name, None), |(name, of)| (name, Some(of)));
    let name = name.split('.').next().unwrap_or_default();
    let whole = modifier.map(|modifier| format!("{name}@{modifier}"));
    let found = whole.and_then(|whole| whole.parse().ok()).or_else(|| name.parse().ok());
    found.filter(|locale| *locale != Locale::POSIX)
}

/// The manner of this process's window. Every view writes by it, so it is no parameter of each.
static MANNER: RwLock<Manner> = RwLock::new(Manner::NEUTRAL);

/// Writes in this manner from now on.
pub(super) fn follow(manner: Manner) {
    *MANNER.write() = manner;
}

fn manner() -> Manner {
    *MANNER.read()
}

/// An instant by a pattern of chrono, which is given in the neutral manner, in the zone that the instant has.
pub(super) fn instant<Z: TimeZone<Offset: Display>>(at: &DateTime<Z>, pattern: &str) -> String {
    at.format(&pattern_in(pattern, manner())).to_string()
}

/// The same in the machine's zone.
pub(super) fn local(at: DateTime<Utc>, pattern: &str) -> String {
    instant(&at.with_timezone(&Local), pattern)
}

/// A day by a pattern of chrono, which is given in the neutral manner.
pub(super) fn day(day: NaiveDate, pattern: &str) -> String {
    day.format(&pattern_in(pattern, manner())).to_string()
}

fn pattern_in(pattern: &str, manner: Manner) -> Cow<'_, str> {
    let mut pattern = Cow::Borrowed(pattern);
    if manner.clock == Clock::Hours12 {
        pattern = pattern.replace("%H:%M:%S", "%-I:%M:%S %p").replace("%H:%M", "%-I:%M %p").into();
        pattern = pattern.replace("%H", "%-I %p").into();
    }
    if manner.day == Day::AfterMonth {
        pattern = pattern.replace("%-d %b", "%b %-d").replace("%-d %B", "%B %-d").into();
    }
    pattern
}

/// A size in bytes: `1.1 GiB`.
pub(super) fn bytes(count: u64) -> String {
    with_decimal(size_in_words(count), manner())
}

/// A number of one fraction's digit: `3.8`.
pub(super) fn tenths(value: f64) -> String {
    with_decimal(format!("{value:.1}"), manner())
}

/// A number of two fraction's digits: `0.42`.
pub(super) fn hundredths(value: f64) -> String {
    with_decimal(format!("{value:.2}"), manner())
}

fn with_decimal(text: String, manner: Manner) -> String {
    if manner.decimal == "." { text } else { text.replace('.', manner.decimal) }
}

/// How long something took: `0:07`, `12:41`, `1:48:09`, `3 d 4:12:00`.
pub(super) fn clock(span: TimeDelta) -> String {
    let seconds = span.num_seconds().max(0);
    let (days, hours, minutes, seconds) =
        (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes}:{seconds:02}"),
        (0, _) => format!("{hours}:{minutes:02}:{seconds:02}"),
        _ => format!("{days} d {hours}:{minutes:02}:{seconds:02}"),
    }
}

/// How long a finished step took: `412 ms`, `3.1 s`, `12 s`, then as [`clock`].
pub(super) fn duration(span: TimeDelta) -> String {
    match span.num_milliseconds().max(0) {
        millis @ 0..1000 => format!("{millis} ms"),
        millis @ 1000..10_000 => format!("{} s", tenths(millis as f64 / 1000.0)),
        millis @ 10_000..60_000 => format!("{} s", millis / 1000),
        _ => clock(span),
    }
}

/// A measured number: `310.5`, `12,400`, `0.0031`.
pub(super) fn number(value: f64) -> String {
    number_in(value, manner())
}

fn number_in(value: f64, manner: Manner) -> String {
    let magnitude = value.abs();
    if magnitude >= 1e15 || (magnitude < 1e-4 && value != 0.0) || !value.is_finite() {
        return with_decimal(format!("{value:.3e}"), manner);
    }
    let digits = match magnitude {
        1000.0.. => 0,
        1.0.. => 2,
        _ => 4,
    };
    let text = format!("{value:.digits$}");
    let text = if digits > 0 { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    let (whole, fraction) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = String::new();
    for (at, c) in whole.char_indices() {
        let left = whole.len() - at;
        if left.is_multiple_of(3) && grouped.ends_with(|last: char| last.is_ascii_digit()) {
            grouped.push_str(manner.group);
        }
        grouped.push(c);
    }
    grouped + &with_decimal(fraction.to_owned(), manner)
}

/// A share: `41 %`. Only a share of 1 is shown as 100 %.
pub(super) fn percent(fraction: f64) -> String {
    let percent = if fraction.is_nan() { 0.0 } else { (fraction.clamp(0.0, 1.0) * 100.0).floor() };
    format!("{percent:.0} %")
}

/// When something happened, in the machine's zone: the time if it was today, else the day as well.
pub(super) fn when(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let day_of = |at: DateTime<Utc>| at.with_timezone(&Local).date_naive();
    local(
        at,
        if day_of(at) == day_of(now) {
            "%H:%M:%S"
        } else if (now - at).abs() < TimeDelta::days(300) {
            "%a %-d %b %H:%M"
        } else {
            "%-d %b %Y %H:%M"
        },
    )
}

/// When something is to happen, in the machine's zone: the time, with the day if it is more than half a day from `now`.
pub(super) fn to_come(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    local(at, if (at - now).abs() < TimeDelta::hours(12) { "%H:%M" } else { "%a %-d %b %H:%M" })
}

/// A whole number: `12,400`.
pub(super) fn whole(n: usize) -> String {
    number(n as f64)
}

/// A count with its noun: `1 run`, `2,000 runs`.
pub(super) fn count(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{} {noun}s", whole(n)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_written_as_people_read_them() {
        let clocks = [(7, "0:07"), (761, "12:41"), (6489, "1:48:09"), (274_320, "3 d 4:12:00"), (-5, "0:00")];
        for (seconds, text) in clocks {
            assert_eq!(clock(TimeDelta::seconds(seconds)), text);
        }
        for (seconds, text) in
            [(40, "40 s"), (900, "15 min"), (7800, "2 h 10 min"), (7200, "2 h"), (300_000, "3 d")]
        {
            assert_eq!(about(TimeDelta::seconds(seconds)), text);
        }
        assert_eq!(duration(TimeDelta::milliseconds(412)), "412 ms");
        assert_eq!(duration(TimeDelta::milliseconds(12_900)), "12 s");
    }

    #[test]
    fn sizes_keep_two_or_three_figures() {
        for (count, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 KiB"),
            (412 << 20, "412 MiB"),
            (1_181_116_006, "1.1 GiB"),
            (41 << 30, "41 GiB"),
        ] {
            assert_eq!(bytes(count), text);
        }
    }

    #[test]
    fn measured_numbers_are_short_and_grouped() {
        for (value, text) in [
            (0.0, "0"),
            (24.0, "24"),
            (310.5, "310.5"),
            (-12_400.4, "-12,400"),
            (1_234_567.0, "1,234,567"),
            (0.0031, "0.0031"),
            (1e-9, "1.000e-9"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn a_share_is_whole_only_when_it_is_whole() {
        assert_eq!(percent(0.999), "99 %");
        assert_eq!(percent(1.0), "100 %");
        assert_eq!(percent(f64::NAN), "0 %");
    }

    #[test]
    fn the_locale_of_the_system_says_how_numbers_and_times_are_written() {
        #[track_caller]
        fn check(env: &[(&str, &str)], number: &str, time: &str) {
            let manner = Manner::of_system(|name| {
                env.iter().find(|(known, _)| *known == name).map(|(_, said)| (*said).to_owned())
            });
            assert_eq!(number_in(1_234_567.0, manner) + "|" + &number_in(0.5, manner), number, "{env:?}");
            let at: DateTime<Utc> = "2026-11-26T18:02:03Z".parse().unwrap();
            assert_eq!(at.format(&pattern_in("%a %-d %b %H:%M:%S", manner)).to_string(), time, "{env:?}");
            let day = if time.starts_with("Thu Nov") { "November 26, 6 PM" } else { "26 November, 18" };
            assert_eq!(at.format(&pattern_in("%-d %B, %H", manner)).to_string(), day, "{env:?}");
        }
        let (neutral, day) = ("1,234,567|0.5", "Thu 26 Nov 18:02:03");
        check(&[], neutral, day);
        for name in ["C", "C.UTF-8", "POSIX", "xx_YY", ""] {
            check(&[("LANG", name)], neutral, day);
        }
        check(&[("LANG", "de_DE.UTF-8")], "1.234.567|0,5", day);
        check(&[("LANG", "en_US.UTF-8")], neutral, "Thu Nov 26 6:02:03 PM");
        check(&[("LANG", "en_GB")], neutral, day);
        check(&[("LANG", "fr_FR.UTF-8")], "1\u{202f}234\u{202f}567|0,5", day);
        check(&[("LANG", "en_US.UTF-8"), ("LC_TIME", "de_DE.UTF-8")], neutral, day);
        check(&[("LANG", "en_US.UTF-8"), ("LC_ALL", "de_DE.UTF-8@euro")], "1.234.567|0,5", day);
    }
}

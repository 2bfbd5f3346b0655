//! Numbers and instants as the window writes them.

use chrono::{DateTime, Local, TimeDelta, Utc};

pub(super) use crate::base::units::{about, of_cores, size_in_words as bytes};

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
        millis @ 1000..10_000 => format!("{:.1} s", millis as f64 / 1000.0),
        millis @ 10_000..60_000 => format!("{} s", millis / 1000),
        _ => clock(span),
    }
}

/// A measured number: `310.5`, `12,400`, `0.0031`.
pub(super) fn number(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude >= 1e15 || (magnitude < 1e-4 && value != 0.0) || !value.is_finite() {
        return format!("{value:.3e}");
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
            grouped.push(',');
        }
        grouped.push(c);
    }
    grouped + fraction
}

/// A share: `41 %`. Only a share of 1 is shown as 100 %.
pub(super) fn percent(fraction: f64) -> String {
    let percent = if fraction.is_nan() { 0.0 } else { (fraction.clamp(0.0, 1.0) * 100.0).floor() };
    format!("{percent:.0} %")
}

/// When something happened, in the machine's zone: the time if it was today, else the day as well.
pub(super) fn when(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let (at, now) = (at.with_timezone(&Local), now.with_timezone(&Local));
    if at.date_naive() == now.date_naive() {
        at.format("%H:%M:%S").to_string()
    } else if (now - at).abs() < TimeDelta::days(300) {
        at.format("%a %-d %b %H:%M").to_string()
    } else {
        at.format("%-d %b %Y %H:%M").to_string()
    }
}

/// A count with its noun: `1 run`, `2 runs`.
pub(super) fn count(n: usize, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
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
}

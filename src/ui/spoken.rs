//! Plots in words: a figure over time as one sentence, for screen readers and the outline.

use chrono::{DateTime, Utc};

use super::format;

/// A figure over time, in one sentence: now, the peak and when it was, the least.
pub(super) fn series(
    name: &str,
    points: impl IntoIterator<Item = (DateTime<Utc>, f64)>,
    write: impl Fn(f64) -> String,
    now: DateTime<Utc>,
) -> String {
    let mut figures: Option<Figures> = None;
    for (at, value) in points {
        let figures = figures.get_or_insert(Figures { last: value, most: (at, value), least: value });
        figures.last = value;
        figures.least = figures.least.min(value);
        if value > figures.most.1 {
            figures.most = (at, value);
        }
    }
    let Some(Figures { last, most: (at, most), least }) = figures else {
        return format!("{name}: nothing is measured yet");
    };
    format!(
        "{name} now {}, at most {} at {}, at least {}",
        write(last),
        write(most),
        format::when(at, now),
        write(least)
    )
}

struct Figures {
    last: f64,
    most: (DateTime<Utc>, f64),
    least: f64,
}

/// A rate of bytes: `1.2 MiB/s`.
pub(super) fn rate(bytes: f64) -> String {
    format!("{}/s", format::bytes(bytes.max(0.0) as u64))
}

/// These parts with commas between them, without the empty ones.
pub(super) fn listed<const N: usize>(parts: [&str; N]) -> String {
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn a_curve_is_told_by_its_newest_its_highest_and_its_lowest_point() {
        let now: DateTime<Utc> = "2026-11-23T14:00:00Z".parse().unwrap();
        let points = [0.4, 0.93, 0.1, 0.41].into_iter().enumerate();
        let points = points.map(|(n, value)| (now - TimeDelta::seconds(40 - 10 * n as i64), value));
        let peak = format::when(now - TimeDelta::seconds(30), now);
        let expected = format!("CPU now 41 %, at most 93 % at {peak}, at least 10 %");
        assert_eq!(series("CPU", points, format::percent, now), expected);
        assert_eq!(series("CPU", [], format::percent, now), "CPU: nothing is measured yet");
    }
}

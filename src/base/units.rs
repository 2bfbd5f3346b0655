//! Durations, sizes and signals as a file or a command line writes them.

use std::time::Duration;

use chrono::TimeDelta;

/// A longer duration is taken for an error, and sums must not overflow.
const LONGEST: Duration = Duration::from_secs(3_650 * 86_400);

/// The largest first, each in nanoseconds.
const DURATION_UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
];

const SIZE_UNITS: [(&str, u64); 10] = [
    ("B", 1),
    ("kB", 1_000),
    ("KB", 1_000),
    ("KiB", 1 << 10),
    ("MB", 1_000_000),
    ("MiB", 1 << 20),
    ("GB", 1_000_000_000),
    ("GiB", 1 << 30),
    ("TB", 1_000_000_000_000),
    ("TiB", 1 << 40),
];

/// The signals that can ask a step to stop.
pub(crate) const SIGNALS: [(&str, i32); 9] = [
    ("TERM", libc::SIGTERM),
    ("INT", libc::SIGINT),
    ("HUP", libc::SIGHUP),
    ("QUIT", libc::SIGQUIT),
    ("KILL", libc::SIGKILL),
    ("USR1", libc::SIGUSR1),
    ("USR2", libc::SIGUSR2),
    ("ABRT", libc::SIGABRT),
    ("ALRM", libc::SIGALRM),
];

/// Parses a duration such as `500ms`, `10s`, `1.5h`, `1h30m` or `2d`: numbers with units, the largest unit first, each
/// at most once.
///
/// # Errors
/// A sentence that says what is wrong and what to write, when the text is no duration or longer than ten years.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    const FORM: &str = "write a number with a unit (ms, s, m, h, d), such as \"30s\" or \"1h30m\"";
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("the duration {text:?} has no unit; write \"{text}s\" for seconds"));
    }
    let wrong = || format!("{text:?} is not a duration; {FORM}");
    if text.is_empty() {
        return Err(wrong());
    }
    let (mut rest, mut units, mut total) = (text, &DURATION_UNITS[..], 0_u128);
    while !rest.is_empty() {
        let (number, after) = split_number(rest).ok_or_else(wrong)?;
        let unit_len = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_len);
        let place = units.iter().position(|(name, _)| *name == unit).ok_or_else(wrong)?;
        total = scaled(number, units[place].1)
            .and_then(|nanos| total.checked_add(nanos))
            .ok_or_else(|| too_long(text))?;
        (rest, units) = (after, &units[place + 1..]);
    }
    let nanos = u64::try_from(total).map_err(|_| too_long(text))?;
    let duration = Duration::from_nanos(nanos);
    if duration > LONGEST { Err(too_long(text)) } else { Ok(duration) }
}

fn too_long(text: &str) -> String {
    format!("the duration {text:?} is longer than ten years; write a shorter one")
}

/// Parses a size such as `64KiB`, `500MB`, `1.5GiB` or `100B`. Units with an `i` are powers of 1024.
///
/// # Errors
/// A sentence that says what is wrong and what to write, when the text is no size.
pub fn parse_size(text: &str) -> Result<u64, String> {
    const FORM: &str = "write a number with a unit, such as \"500MB\" or \"1GiB\"";
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("the size {text:?} has no unit; write \"{text}B\" for bytes"));
    }
    let wrong = || format!("{text:?} is not a size; {FORM}");
    let (number, unit) = split_number(text).ok_or_else(wrong)?;
    let (_, factor) = SIZE_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
    scaled(number, *factor)
        .and_then(|bytes| i64::try_from(bytes).ok())
        .map(i64::unsigned_abs)
        .ok_or_else(|| format!("the size {text:?} is too large; write a smaller one"))
}

/// Splits off a leading decimal number, which has digits on both sides of its point.
fn split_number(text: &str) -> Option<(&str, &str)> {
    let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let mut len = digits(text);
    if len == 0 {
        return None;
    }
    if let Some(fraction) = text[len..].strip_prefix('.') {
        let n = digits(fraction);
        if n == 0 {
            return None;
        }
        len += 1 + n;
    }
    Some(text.split_at(len))
}

/// A decimal number times a factor, cut to a whole number; none on overflow.
fn scaled(number: &str, factor: u64) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let factor = u128::from(factor);
    let mut total = whole.parse::<u128>().ok()?.checked_mul(factor)?;
    let mut place = factor * 1_000_000_000;
    for digit in fraction.bytes().take(18) {
        place /= 10;
        total = total.checked_add(u128::from(digit - b'0') * place / 1_000_000_000)?;
    }
    Some(total)
}

/// Writes a duration as [`parse_duration`] reads it, cut to milliseconds: `1h30m`.
pub fn format_duration(duration: Duration) -> String {
    let mut nanos = duration.as_nanos();
    let mut text = String::new();
    for (unit, factor) in DURATION_UNITS {
        let count = nanos / u128::from(factor);
        if count > 0 {
            text.push_str(&format!("{count}{unit}"));
            nanos %= u128::from(factor);
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// Writes a size as [`parse_size`] reads it, in the largest unit that needs no fraction: `64KiB`, `500MB`.
pub fn format_size(bytes: u64) -> String {
    SIZE_UNITS
        .iter()
        .rev()
        .find(|(_, factor)| bytes >= *factor && bytes.is_multiple_of(*factor))
        .map_or_else(|| format!("{bytes}B"), |(unit, factor)| format!("{}{unit}", bytes / factor))
}

/// A size as people read it, with two or three figures: `412 MiB`, `1.1 GiB`.
pub fn size_in_words(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && value < 9.95);
    format!("{value:.digits$} {}", UNITS[unit])
}

/// A duration as a person writes it: `1h 30m`, `10s`, `250ms`.
pub(crate) fn duration_in_words(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds == 0 {
        return format!("{}ms", duration.as_millis());
    }
    let parts = [(seconds / 3600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let words: Vec<_> = parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}")).collect();
    words.join(" ")
}

/// A rough duration: `40 s`, `15 min`, `2 h 10 min`, `3 d`.
pub fn about(span: TimeDelta) -> String {
    let seconds = span.num_seconds().max(0);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 if seconds % 3600 < 60 => format!("{} h", seconds / 3600),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// The number of a signal by its name, with or without `SIG`; only of signals that can ask a step to stop.
pub fn signal_number(name: &str) -> Option<i32> {
    let short = name.strip_prefix("SIG").unwrap_or(name);
    SIGNALS.iter().find(|(known, _)| *known == short).map(|(_, number)| *number)
}

/// The name of a signal that [`signal_number`] knows, without `SIG`.
pub fn signal_name(number: i32) -> Option<&'static str> {
    SIGNALS.iter().find(|(_, known)| *known == number).map(|(name, _)| *name)
}

/// What a share of CPU time is of: of all cores together, in every face.
pub fn of_cores(n_cores: usize) -> String {
    match n_cores {
        0 => String::new(),
        1 => "of 1 core".to_owned(),
        n => format!("of {n} cores"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_duration_is_numbers_with_units() {
        #[track_caller]
        fn check(text: &str, expected_ms: Option<u64>) {
            assert_eq!(parse_duration(text).ok().map(|d| d.as_millis() as u64), expected_ms, "{text}");
        }
        check("500ms", Some(500));
        check("10s", Some(10_000));
        check("30m", Some(1_800_000));
        check("1h30m", Some(5_400_000));
        check("2d", Some(172_800_000));
        check("1.5h", Some(5_400_000));
        check("0.25s", Some(250));
        check("0s", Some(0));
        check("1d1h1m1s1ms", Some(90_061_001));
        for wrong in [
            "",
            "s",
            "30",
            "30 s",
            "-1s",
            "1x",
            "1m1h",
            "1s1s",
            "1.s",
            ".5s",
            "1S",
            "1h30",
            "99999999999d",
            "4000d",
            "1w",
            "1µs",
            "９s",
        ] {
            check(wrong, None);
        }
        assert_eq!(
            parse_duration("30").unwrap_err(),
            "the duration \"30\" has no unit; write \"30s\" for seconds"
        );
    }

    #[test]
    fn a_size_is_a_number_with_a_unit() {
        #[track_caller]
        fn check(text: &str, expected: Option<u64>) {
            assert_eq!(parse_size(text).ok(), expected, "{text}");
        }
        check("1GiB", Some(1 << 30));
        check("500MB", Some(500_000_000));
        check("64KiB", Some(65_536));
        check("1.5KiB", Some(1_536));
        check("100B", Some(100));
        check("0B", Some(0));
        for wrong in ["", "1", "1G", "1 GiB", "-1B", "GiB", "1gib", "99999999999TiB", "1.GiB"] {
            check(wrong, None);
        }
    }

    #[test]
    fn a_signal_has_a_name_with_or_without_sig() {
        assert_eq!(signal_number("TERM"), Some(15));
        assert_eq!(signal_number("SIGINT"), Some(2));
        assert_eq!(signal_number("STOP"), None);
        assert_eq!(signal_number("SIGSIGTERM"), None);
        assert_eq!(signal_name(libc::SIGUSR1), Some("USR1"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(ms in 0_u64..300_000_000_000, bytes in 0_u64..i64::MAX as u64) {
            let duration = Duration::from_millis(ms);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
            prop_assert_eq!(parse_size(&format_size(bytes)), Ok(bytes));
        }

        #[test]
        fn no_text_makes_the_units_panic(text in "[0-9]{0,40}[.]?[0-9]{0,40}[a-zA-Zµ]{0,3}\\PC{0,3}") {
            let _ = parse_duration(&text);
            let _ = parse_size(&text);
        }
    }
}

//! The meaning of expressions, and the messages for malformed ones.

use chrono::{DateTime, Utc};
use proptest::prelude::*;

use super::*;

fn cron(text: &str) -> CronExpr {
    text.parse().unwrap()
}

/// The next `n` times in plain calendar time.
fn times(text: &str, after: &str, n: usize) -> Vec<String> {
    let expression = cron(text);
    let after: DateTime<Utc> = format!("{after}Z").parse().unwrap();
    std::iter::successors(expression.calendar().next(after.timestamp()), |at| expression.calendar().next(*at))
        .take(n)
        .map(|at| DateTime::from_timestamp(at, 0).unwrap().format("%a %Y-%m-%dT%H:%M:%S").to_string())
        .collect()
}

#[test]
fn the_next_times_are_those_of_vixie() {
    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(times(text, "2026-11-23T12:00:00", expected.len()), expected, "{text}");
    }
    check("30 9 * * 1-5", &["Tue 2026-11-24T09:30:00", "Wed 2026-11-25T09:30:00"]);
    check("*/15 * * * *", &["Mon 2026-11-23T12:15:00", "Mon 2026-11-23T12:30:00"]);
    check("0 12 * * *", &["Tue 2026-11-24T12:00:00"]);
    check("10 0 12 * * *", &["Mon 2026-11-23T12:00:10"]);
    check("0 0 * * 0", &["Sun 2026-11-29T00:00:00"]);
    check("0 0 * * 7", &["Sun 2026-11-29T00:00:00"]);
    check("0 0 * * sun", &["Sun 2026-11-29T00:00:00"]);
    check("0 0 * * 5-7", &["Fri 2026-11-27T00:00:00", "Sat 2026-11-28T00:00:00", "Sun 2026-11-29T00:00:00"]);
    check(
        "0 0 * * FRI-sun",
        &["Fri 2026-11-27T00:00:00", "Sat 2026-11-28T00:00:00", "Sun 2026-11-29T00:00:00"],
    );
    check("0 0 * * */3", &["Wed 2026-11-25T00:00:00", "Sat 2026-11-28T00:00:00", "Sun 2026-11-29T00:00:00"]);
    check("0 0 * * 1/2", &["Wed 2026-11-25T00:00:00", "Fri 2026-11-27T00:00:00", "Mon 2026-11-30T00:00:00"]);
    // Both day fields restricted: either.
    check(
        "0 0 13 * fri",
        &[
            "Fri 2026-11-27T00:00:00",
            "Fri 2026-12-04T00:00:00",
            "Fri 2026-12-11T00:00:00",
            "Sun 2026-12-13T00:00:00",
        ],
    );
    // One begins with an asterisk: both.
    check("0 0 */2 * fri", &["Fri 2026-11-27T00:00:00", "Fri 2026-12-11T00:00:00"]);
    check("0 0 13 * *", &["Sun 2026-12-13T00:00:00"]);
    check("0 0 L * *", &["Mon 2026-11-30T00:00:00", "Thu 2026-12-31T00:00:00", "Sun 2027-01-31T00:00:00"]);
    check("0 0 15,L 2 ?", &["Mon 2027-02-15T00:00:00", "Sun 2027-02-28T00:00:00"]);
    check("0 0 L 2 wed", &["Wed 2027-02-03T00:00:00"]);
    check("0 0 29 2 *", &["Tue 2028-02-29T00:00:00", "Sun 2032-02-29T00:00:00"]);
    check("0 0 1 jan-mar/2 *", &["Fri 2027-01-01T00:00:00", "Mon 2027-03-01T00:00:00"]);
    check("5/20 8 * * *", &["Tue 2026-11-24T08:05:00", "Tue 2026-11-24T08:25:00", "Tue 2026-11-24T08:45:00"]);
    check("@yearly", &["Fri 2027-01-01T00:00:00"]);
    check("@Monthly", &["Tue 2026-12-01T00:00:00"]);
    check("@weekly", &["Sun 2026-11-29T00:00:00"]);
    check(" @hourly ", &["Mon 2026-11-23T13:00:00"]);
    check("\t0  0\t1 1 *", &["Fri 2027-01-01T00:00:00"]);
}

#[test]
fn what_never_comes_is_never_and_what_comes_seldom_comes() {
    assert!(times("0 0 31 2 *", "2026-01-01T00:00:00", 1).is_empty());
    assert!(times("0 0 30,31 2 *", "2026-01-01T00:00:00", 1).is_empty());
    assert!(times("0 0 31 4,6,9,11 *", "2026-01-01T00:00:00", 1).is_empty());
    assert_eq!(times("0 0 29 2 */7", "2026-01-01T00:00:00", 1), ["Sun 2032-02-29T00:00:00"]);
    assert_eq!(times("0 0 29 2 *", "2096-03-01T00:00:00", 1), ["Fri 2104-02-29T00:00:00"]);
    assert!(times("0 0 1 1 *", "9999-06-01T00:00:00", 1).is_empty());
}

#[test]
fn an_expression_follows_real_time_where_its_hour_or_minute_begins_with_an_asterisk() {
    for (text, expected) in [
        ("*/15 * * * *", true),
        ("* 2 * * *", true),
        ("0 */2 * * *", true),
        ("30 2 * * *", false),
        ("0-59 0-23 * * *", false),
        ("* 30 2 * * *", false),
        ("0 * 2 * * *", true),
        ("@hourly", true),
        ("@daily", false),
    ] {
        assert_eq!(cron(text).follows_real_time(), expected, "{text}");
    }
}

#[test]
fn a_malformed_expression_names_the_field_the_value_and_what_is_right() {
    #[track_caller]
    fn check(text: &str, with: &str) {
        let error = text.parse::<CronExpr>().unwrap_err().to_string();
        assert!(error.contains(with), "{text}: {error}");
        assert!(error.contains(&format!("{:?}", text.trim())), "{text}: {error}");
    }
    check(
        "CRON_TZ=Asia/Tokyo 0 5 * * *",
        "remove CRON_TZ=Asia/Tokyo and give the zone separately (`--tz Asia/Tokyo`",
    );
    check("TZ=UTC @daily", "`tz = \"UTC\"` in a file");
    check("60 * * * *", "minute 60 is out of range; write 0 to 59");
    check("* 24 * * *", "hour 24 is out of range; write 0 to 23");
    check("* * 0 * *", "day of month 0 is out of range; write 1 to 31");
    check("* * * 13 *", "month 13 is out of range; write 1 to 12");
    check("* * * * 8", "day of week 8 is out of range; write 0 to 7 (0 and 7 are Sunday)");
    check("60 * * * * *", "second 60 is out of range");
    check("* * * * mno", "day of week \"mno\" is malformed; did you mean mon?");
    check("* * * jamuary *", "did you mean january?");
    check("x * * * *", "minute \"x\" is malformed; write 0 to 59, lists");
    check("1,,2 * * * *", "minute \"1,,2\" has an extra comma");
    check("* 22-2 * * *", "hour \"22-2\" runs backwards; write 22-23,0-2");
    check("* * * * sat-mon", "day of week \"sat-mon\" runs backwards");
    check("*/0 * * * *", "too large or zero; write 1 to 59");
    check("*/90 * * * *", "--every 90m");
    check("*/x * * * *", "malformed step");
    check("* * LW * *", "L is the only letter that is supported");
    check("* * 15W * *", "L is the only letter that is supported");
    check("* * * * 5#2", "L is the only letter that is supported");
    check("* * * * 5L", "L is the only letter that is supported");
    check("0~30 * * * *", "random times are not supported");
    check("", "it has 0 fields");
    check("* * * *", "it has 4 fields; write five (minute, hour");
    check("* * * * * * *", "it has 7 fields");
    check("@reboot", "is not a time");
    check("@every 5m", "use an interval");
    check("@dayly", "did you mean @daily?");
    check("@noon", "write @yearly, @monthly");
    let long = "1,".repeat(1_000);
    assert!(long.parse::<CronExpr>().unwrap_err().to_string().len() < 300);
}

proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "[@*0-9a-zA-Zµ/,?~# -]{0,60}") {
        let _ = text.parse::<CronExpr>();
    }

    #[test]
    fn counting_is_walking(
        expression in expressions(),
        from in 0_i64..4_000_000_000,
        length in 0_i64..20_000_000,
    ) {
        let calendar = *cron(&expression).calendar();
        let walked = std::iter::successors(calendar.next(from - 1), |at| calendar.next(*at))
            .take_while(|at| *at < from + length)
            .take(3_000)
            .collect::<Vec<_>>();
        let until = walked.get(2_999).map_or(from + length, |last| last + 1);
        prop_assert_eq!(calendar.count(from, until), walked.len() as u64);
        prop_assert!(walked.is_sorted_by(|a, b| a < b));
    }
}

/// Expressions of six fields with few and many times.
fn expressions() -> impl Strategy<Value = String> {
    let field = |max: u32| {
        prop_oneof![
            Just("*".to_owned()),
            (1..=max).prop_map(|n| n.to_string()),
            (1..=max).prop_map(|n| format!("*/{n}")),
            (1..=max, 1..=max).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
            (1..=max, 1..=max).prop_map(|(a, b)| format!("{a},{b}")),
        ]
    };
    (
        field(59),
        field(59),
        field(23),
        prop_oneof![4 => field(31), 1 => Just("L".to_owned())],
        field(12),
        field(7),
    )
        .prop_map(|(s, m, h, d, mo, w)| format!("{s} {m} {h} {d} {mo} {w}"))
}

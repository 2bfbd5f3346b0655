//! Sentences.

use chrono::DateTime;

use super::*;
use crate::base::tz::Tz;

/// Madrid's clock.
fn madrid() -> Tz {
    "Europe/Madrid".parse().unwrap()
}

#[track_caller]
fn check(kind: &str, config: &str, expected: &str) {
    let config = ScheduleConfig::from_parts(kind, config).unwrap();
    assert_eq!(config.in_words(Zone::Named(madrid()), madrid()), expected);
}

#[test]
fn each_type_has_its_sentence() {
    check("once", r#"{"at": "2026-12-24T17:00:00Z"}"#, "once, on 2026-12-24 at 18:00, Europe/Madrid");
    check("interval", r#"{"hours": 6}"#, "every 6 hours");
    check("interval", r#"{"hours": 1, "minutes": 30}"#, "every 90 minutes");
    check("interval", r#"{"weeks": 1}"#, "every week");
    check(
        "interval",
        r#"{"days": 2, "anchor": "2026-11-23T01:00:00Z"}"#,
        "every 2 days, counted from 2026-11-23 at 02:00, Europe/Madrid",
    );
    check("daily", r#"{"hour": 9, "minute": 5}"#, "every day at 09:05, Europe/Madrid");
    check("weekly", r#"{"day_of_week": 0, "hour": 9, "minute": 30}"#, "every Monday at 09:30, Europe/Madrid");
    check("after", r#"{"jobs": ["fetch"]}"#, "after fetch completes");
    check("after", r#"{"jobs": ["a", "b", "c"], "on": "finished"}"#, "after a, b and c end");
    check("manual", "{}", "only by hand");
    let daily = ScheduleConfig::from_parts("daily", r#"{"hour": 9}"#).unwrap();
    assert_eq!(daily.in_words(Zone::Local, madrid()), "every day at 09:00, local time");
}

#[test]
fn a_cron_expression_has_its_sentence() {
    for (expression, sentence) in [
        ("30 9 * * 1-5", "every weekday at 09:30"),
        ("0 0 * * *", "every day at 00:00"),
        ("0 9,17 * * *", "every day at 09:00 and 17:00"),
        ("15 30 9 * * *", "every day at 09:30:15"),
        ("0 0 * * 6,0", "every weekend day at 00:00"),
        ("0 8 * * mon,wed,fri", "every Monday, Wednesday and Friday at 08:00"),
        ("* * * * *", "every minute"),
        ("* * * * * *", "every second"),
        ("*/10 * * * * *", "every 10 seconds"),
        ("*/15 * * * *", "every 15 minutes"),
        ("*/15 9-17 * * 1-5", "every 15 minutes from 09:00 to 17:59, every weekday"),
        ("0 9-17 * * *", "every hour from 09:00 to 17:00"),
        ("0 * * * *", "every hour"),
        ("@hourly", "every hour"),
        ("5 * * * *", "every hour at minute 5"),
        ("0 */6 * * *", "every 6 hours"),
        ("30 */6 * * *", "every 6 hours at minute 30"),
        ("0 0 1 * *", "on day 1 of the month at 00:00"),
        ("0 0 1,15 * *", "on days 1 and 15 of the month at 00:00"),
        ("0 0 L * *", "on the last day of the month at 00:00"),
        ("0 0 15,L * *", "on day 15 and the last day of the month at 00:00"),
        ("0 0 13 * fri", "on day 13 of the month and every Friday at 00:00"),
        ("0 0 1 1,7 *", "on day 1 of the month in January and July at 00:00"),
        ("0 0 * 12 *", "every day in December at 00:00"),
        ("0 0 31 2 *", "never: no month has such a day"),
        ("*/5 30 9 * * *", "every 5 seconds of minute 30 in hour 9"),
    ] {
        let config = ScheduleConfig::Cron(expression.parse().unwrap());
        let words = config.in_words(Zone::Named(madrid()), madrid());
        assert_eq!(words, format!("{sentence}, Europe/Madrid"), "{expression}");
    }
}

#[test]
fn the_sentence_of_an_instant_is_on_the_wall_of_this_zone() {
    let at = DateTime::UNIX_EPOCH;
    assert_eq!(
        ScheduleConfig::Once { at }.in_words(Zone::Local, madrid()),
        "once, on 1970-01-01 at 01:00, local time"
    );
}

//! Previews of the two clock changes of 2027 in madrid(), and elsewhere.

use super::*;
use crate::base::tz::Tz;

/// Madrid's clock.
fn madrid() -> Tz {
    "Europe/Madrid".parse().unwrap()
}

fn utc(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

#[track_caller]
fn check(kind: &str, config: &str, forward: &str, back: &str) {
    let config = ScheduleConfig::from_parts(kind, config).unwrap();
    let now = utc("2026-11-23T00:00:00Z");
    let changes = preview(&config, madrid(), now, now, 1).clock_changes;
    let texts: Vec<&str> = changes.iter().map(|change| change.text.as_str()).collect();
    let forward = format!("Sun 2027-03-28: the clock goes from 02:00 forward to 03:00: {forward}");
    let back = format!("Sun 2027-10-31: the clock goes from 03:00 back to 02:00: {back}");
    assert_eq!(texts, [forward.as_str(), back.as_str()]);
}

#[test]
fn both_clock_changes_are_shown_in_words() {
    check(
        "daily",
        r#"{"hour": 2, "minute": 30}"#,
        "02:30 does not exist: it runs at 03:00",
        "02:30 comes twice: it runs at the first (02:30+02:00)",
    );
    check(
        "daily",
        r#"{"hour": 9}"#,
        "no effect: none of its times is affected",
        "no effect: none of its times is affected",
    );
    check(
        "cron",
        r#"{"expression": "0,30 2,3 * * *"}"#,
        "2 of its times, from 02:00 on, do not exist: they run once, at 03:00, together with the fire due then",
        "2 of its times, from 02:00 on, come twice: each runs at the first (02:00+02:00)",
    );
    check(
        "cron",
        r#"{"expression": "*/15 * * * *"}"#,
        "it goes on in real time; the 4 times between 02:00 and 03:00 do not exist and fall out",
        "it goes on in real time; the 4 times between 02:00 and 03:00 come twice and run both times",
    );
    check(
        "interval",
        r#"{"hours": 6}"#,
        "no effect on real time; by the wall clock it fires 1h later from then on",
        "no effect on real time; by the wall clock it fires 1h earlier from then on",
    );
    check("once", r#"{"at": "2027-01-01T00:00:00Z"}"#, "no effect", "no effect");
    // Weekly on Mondays: both changes fall on Sundays.
    check(
        "weekly",
        r#"{"day_of_week": 0, "hour": 2, "minute": 30}"#,
        "no effect: none of its times is affected",
        "no effect: none of its times is affected",
    );
}

#[test]
fn the_next_fires_are_shown_in_local_time() {
    let config = ScheduleConfig::from_parts("daily", r#"{"hour": 2, "minute": 30}"#).unwrap();
    let now = utc("2027-03-27T12:00:00Z");
    let shown = serde_json::to_value(preview(&config, madrid(), now, now, 2)).unwrap();
    assert_eq!(shown["fires"][0]["at"], "2027-03-28T01:00:00.000Z");
    assert_eq!(shown["fires"][0]["local"], "2027-03-28T03:00:00+02:00");
    assert_eq!(shown["fires"][1]["local"], "2027-03-29T02:30:00+02:00");
    assert_eq!(shown["clock_changes"][0]["at"], "2027-03-28T01:00:00.000Z");
}

#[test]
fn without_clock_changes_or_due_times_nothing_is_shown() {
    let now = utc("2026-11-23T00:00:00Z");
    let of = |kind: &str, config: &str, zone: Tz| {
        let config = ScheduleConfig::from_parts(kind, config).unwrap();
        let shown = preview(&config, zone, now, now, 10);
        (shown.fires.len(), shown.clock_changes.len())
    };
    assert_eq!(of("daily", r#"{"hour": 2}"#, Tz::UTC), (10, 0));
    assert_eq!(of("daily", r#"{"hour": 2}"#, madrid()), (10, 2));
    assert_eq!(of("cron", r#"{"expression": "0 0 31 2 *"}"#, madrid()), (0, 2));
    assert_eq!(of("once", r#"{"at": "2026-12-01T00:00:00Z"}"#, Tz::UTC), (1, 0));
    assert_eq!(of("manual", "{}", madrid()), (0, 0));
}

//! Gaps and overlaps, intervals, and a comparison of counting with stepping.

use chrono::{TimeDelta, TimeZone};
use proptest::prelude::*;

use super::*;
use crate::base::time::format_instant;

/// Madrid's clock.
fn madrid() -> Tz {
    "Europe/Madrid".parse().unwrap()
}

fn utc(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().with_timezone(&Utc)
}

fn cron(text: &str, zone: &str) -> Timetable {
    let config = ScheduleConfig::Cron(text.parse().unwrap());
    config.timetable(zone.parse().unwrap(), DateTime::UNIX_EPOCH)
}

/// The next fires in the local time of the zone, with their offsets.
#[track_caller]
fn check(text: &str, zone: &str, after: &str, expected: &[&str]) {
    let timetable = cron(text, zone);
    let tz: Tz = zone.parse().unwrap();
    let fires: Vec<String> =
        std::iter::successors(timetable.next_after(utc(after)), |at| timetable.next_after(*at))
            .take(expected.len())
            .map(|at| at.with_timezone(&tz).format("%d %H:%M%:z").to_string())
            .collect();
    assert_eq!(fires, expected, "{text} in {zone}");
}

#[test]
fn a_fixed_time_in_a_gap_runs_at_the_first_instant_after_it() {
    check(
        "30 2 * * *",
        "Europe/Madrid",
        "2027-03-27T00:00:00Z",
        &["27 02:30+01:00", "28 03:00+02:00", "29 02:30+02:00"],
    );
    // Several times in one gap, and one at its end, are one instant.
    check(
        "0,20,40 2,3 * * *",
        "Europe/Madrid",
        "2027-03-28T00:00:00Z",
        &["28 03:00+02:00", "28 03:20+02:00", "28 03:40+02:00", "29 02:00+02:00"],
    );
    // Half an hour.
    check("15 2 * * *", "Australia/Lord_Howe", "2026-10-02T20:00:00Z", &["04 02:30+11:00", "05 02:15+11:00"]);
    // Midnight does not exist.
    check("0 0 * * *", "America/Sao_Paulo", "2018-11-03T04:00:00Z", &["04 01:00-02:00", "05 00:00-02:00"]);
    // A whole date does not exist.
    check(
        "0 9 * * *",
        "Pacific/Apia",
        "2011-12-29T00:00:00Z",
        &["29 09:00-10:00", "31 00:00+14:00", "31 09:00+14:00", "01 09:00+14:00"],
    );
}

#[test]
fn a_fixed_time_that_comes_twice_runs_at_the_first() {
    check("30 2 * * *", "Europe/Madrid", "2027-10-30T12:00:00Z", &["31 02:30+02:00", "01 02:30+01:00"]);
    check("45 1 * * *", "Australia/Lord_Howe", "2027-04-03T00:00:00Z", &["04 01:45+11:00", "05 01:45+10:30"]);
    // Within the second pass, no time of the overlap is left.
    check("30 2 * * *", "Europe/Madrid", "2027-10-31T01:10:00Z", &["01 02:30+01:00"]);
    check("0 3 * * *", "Europe/Madrid", "2027-10-31T01:10:00Z", &["31 03:00+01:00"]);
    check("0 0 * * *", "America/Sao_Paulo", "2018-02-17T12:00:00Z", &["18 00:00-03:00", "19 00:00-03:00"]);
    check("30 23 * * *", "America/Sao_Paulo", "2018-02-17T12:00:00Z", &["17 23:30-02:00", "18 23:30-03:00"]);
}

#[test]
fn an_asterisk_in_hour_or_minute_follows_real_time() {
    check(
        "*/30 * * * *",
        "Europe/Madrid",
        "2027-03-28T00:00:00Z",
        &["28 01:30+01:00", "28 03:00+02:00", "28 03:30+02:00"],
    );
    check(
        "*/30 2 * * *",
        "Europe/Madrid",
        "2027-10-30T12:00:00Z",
        &["31 02:00+02:00", "31 02:30+02:00", "31 02:00+01:00", "31 02:30+01:00", "01 02:00+01:00"],
    );
    check("*/30 2 * * *", "Europe/Madrid", "2027-03-27T12:00:00Z", &["29 02:00+02:00"]);
    check("0 */2 * * *", "Europe/Madrid", "2027-03-28T00:30:00Z", &["28 04:00+02:00"]);
    // The next 29 February lies beyond many changes, and the time is in a gap of that day.
    check("*/30 2 29 2 *", "Europe/Madrid", "2026-11-23T00:00:00Z", &["29 02:00+01:00"]);
}

#[test]
fn an_interval_follows_real_time_from_its_anchor() {
    let anchor = utc("2026-11-23T02:00:00Z");
    let every = |anchor| ScheduleConfig::Interval { every: TimeDelta::hours(6), anchor };
    let zone = madrid();
    let timetable = every(Some(anchor)).timetable(zone, DateTime::UNIX_EPOCH);
    let next = |after: &str| timetable.next_after(utc(after)).map(format_instant).unwrap();
    assert_eq!(next("2020-01-01T00:00:00Z"), "2026-11-23T02:00:00.000Z");
    assert_eq!(next("2026-11-23T02:00:00Z"), "2026-11-23T08:00:00.000Z");
    assert_eq!(next("2036-11-23T07:59:59.999Z"), "2036-11-23T08:00:00.000Z");
    assert_eq!(timetable.count(anchor, utc("2036-11-23T07:59:59.999Z")), 3_653 * 4);
    // Without an anchor it counts from the instant at which the job was added, which is not a fire.
    let timetable = every(None).timetable(zone, anchor);
    assert_eq!(timetable.next_after(DateTime::UNIX_EPOCH), Some(anchor + TimeDelta::hours(6)));
    assert_eq!(timetable.count(DateTime::UNIX_EPOCH, anchor), 0);
}

#[test]
fn a_once_and_what_waits_for_others_have_their_instants() {
    let at = utc("2026-11-23T02:00:00Z");
    let once = ScheduleConfig::Once { at }.timetable(Tz::UTC, DateTime::UNIX_EPOCH);
    assert_eq!(once.next_after(at - TimeDelta::milliseconds(1)), Some(at));
    assert_eq!(once.next_after(at), None);
    assert_eq!(once.newest(DateTime::UNIX_EPOCH, at, 5), [at]);
    let manual = ScheduleConfig::Manual.timetable(Tz::UTC, DateTime::UNIX_EPOCH);
    assert_eq!((manual.next_after(at), manual.last(DateTime::UNIX_EPOCH, at)), (None, None));
}

#[test]
fn the_far_ends_of_time_are_no_trouble() {
    for text in ["*/15 * * * *", "0 0 29 2 *", "30 2 * * *"] {
        let timetable = cron(text, "Europe/Madrid");
        assert_eq!(timetable.next_after(DateTime::<Utc>::MAX_UTC), None);
        assert_eq!(timetable.next_after(Utc.with_ymd_and_hms(9999, 12, 31, 23, 59, 59).unwrap()), None);
        let _ = timetable.next_after(DateTime::<Utc>::MIN_UTC);
    }
    let every = ScheduleConfig::Interval { every: TimeDelta::days(3_650), anchor: None };
    let timetable = every.timetable(Tz::UTC, DateTime::UNIX_EPOCH);
    assert!(timetable.next_after(DateTime::<Utc>::MAX_UTC).is_none());
}

#[test]
fn a_month_of_seconds_is_counted_exactly() {
    let timetable = cron("* * * * * *", "Europe/Madrid");
    // March has one hour less in local time, but not in real time.
    let (from, to) = (utc("2027-03-01T00:00:00Z"), utc("2027-04-01T00:00:00Z"));
    assert_eq!(timetable.count(from, to), 31 * 86_400);
    let newest = timetable.newest(from, to, 100);
    assert_eq!((newest.len(), newest.last()), (100, Some(&to)));
    assert_eq!(newest[0], to - TimeDelta::seconds(99));
}

const ZONES: [&str; 8] = [
    "UTC",
    "Europe/Madrid",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Pacific/Apia",
    "Africa/Casablanca",
    "America/Scoresbysund",
];

proptest! {
    #[test]
    fn counting_and_the_newest_agree_with_walking(
        zone in proptest::sample::select(&ZONES),
        (minute, hour) in prop_oneof![
            (0_u32..60, 0_u32..4).prop_map(|(m, h)| (m.to_string(), h.to_string())),
            Just(("0,10,20,30,40,50".to_owned(), "0-4,23".to_owned())),
            Just(("*/10".to_owned(), "*".to_owned())),
            Just(("*/7".to_owned(), "0-3".to_owned())),
            Just(("5".to_owned(), "*/2".to_owned())),
        ],
        year in 1990_i32..2040,
        day in 0_i64..366,
        seconds in 0_i64..86_400,
        length in 0_i64..86_400 * 40,
        n in 0_u64..20,
    ) {
        let timetable = cron(&format!("{minute} {hour} * * *"), zone);
        let from = Utc.with_ymd_and_hms(year, 1, 1, 0, 0, 0).unwrap() + TimeDelta::seconds(day * 86_400 + seconds);
        let to = from + TimeDelta::seconds(length);
        let walked: Vec<_> = std::iter::successors(timetable.next_after(from), |at| timetable.next_after(*at))
            .take_while(|at| *at <= to)
            .collect();
        prop_assert_eq!(timetable.count(from, to), walked.len() as u64);
        let skip = walked.len().saturating_sub(n as usize);
        prop_assert_eq!(timetable.newest(from, to, n), &walked[skip..]);
        prop_assert_eq!(timetable.last(from, to), walked.last().copied());
    }
}

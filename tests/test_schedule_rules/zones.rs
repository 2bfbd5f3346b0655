//! Every IANA zone, 1990 to 2040. What is expected is found by looking at the wall minute by minute around every
//! change of every clock; the quiet time between is counted, and sampled. Zones that are other names of the same clock
//! are looked at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use chrono::{DateTime, Offset, TimeDelta, TimeZone, Utc};
use leverframe::schedule::{TimeOfDay, Timetable};
use leverframe::{ScheduleConfig, Tz};

const FROM: i64 = 631_152_000;
const UNTIL: i64 = 2_240_524_800;
const DAY: i64 = 86_400;

fn at(unix: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(unix, 0).expect("an instant")
}

/// Every zone. Its own offsets are held against another reading of the database in the unit tests.
fn zones() -> impl Iterator<Item = Tz> {
    Tz::names().into_iter().map(|name| name.parse().expect("a zone"))
}

fn offset(zone: Tz, unix: i64) -> i64 {
    zone.offset_from_utc_datetime(&at(unix).naive_utc()).fix().local_minus_utc().into()
}

/// The clocks of the world, each once, with the instants at which they change.
static CLOCKS: LazyLock<Vec<(Tz, Vec<i64>)>> = LazyLock::new(clocks);

fn clocks() -> Vec<(Tz, Vec<i64>)> {
    let mut clocks = BTreeMap::new();
    for zone in zones() {
        let mut changes = Vec::new();
        let mut shape = vec![(FROM, offset(zone, FROM))];
        let mut before = offset(zone, FROM);
        for noon in (FROM..UNTIL).step_by(DAY as usize) {
            let after = offset(zone, noon + DAY);
            if before != after {
                let minutes: Vec<i64> = (noon..=noon + DAY).step_by(60).collect();
                let change = minutes[minutes.partition_point(|minute| offset(zone, *minute) == before)];
                changes.push(change);
                shape.push((change, after));
                before = after;
            }
        }
        clocks.entry(shape).or_insert((zone, changes));
    }
    clocks.into_values().collect()
}

fn daily(zone: Tz, minute_of_day: i64) -> Timetable {
    let time = TimeOfDay::new((minute_of_day / 60) as u32, (minute_of_day % 60) as u32).expect("a time");
    ScheduleConfig::Daily { at: time }.timetable(zone, at(0))
}

fn cron(zone: Tz, text: &str) -> Timetable {
    ScheduleConfig::Cron(text.parse().expect("an expression")).timetable(zone, at(0))
}

fn walk(timetable: &Timetable, after: i64, through: i64) -> Vec<i64> {
    std::iter::successors(timetable.next_after(at(after)), |fire| timetable.next_after(*fire))
        .map(|fire| fire.timestamp())
        .take_while(|fire| *fire <= through)
        .collect()
}

/// When the wall first shows each of the times `step` apart, or first a later one: looked for minute by minute.
fn reached(zone: Tz, minute_of_day: i64, after: i64, through: i64) -> Vec<i64> {
    let mut found = BTreeSet::new();
    // The number of the latest day whose time the wall has shown. No change comes shortly before the one looked at.
    let day_shown = |unix: i64| (unix + offset(zone, unix) - minute_of_day * 60).div_euclid(DAY);
    let mut shown = day_shown(after);
    for minute in (after + 60..=through).step_by(60) {
        let day = day_shown(minute);
        if day > shown {
            found.insert(minute);
            shown = day;
        }
    }
    found.into_iter().collect()
}

#[test]
fn a_daily_job_fires_when_the_wall_first_shows_its_time_or_first_a_later_one() {
    assert!(CLOCKS.len() > 200);
    for (zone, changes) in CLOCKS.iter() {
        for (i, change) in changes.iter().enumerate() {
            // The time at the middle of the gap or overlap, and at every third change one that turns round the day.
            let (before, after) = (offset(*zone, change - 60), offset(*zone, *change));
            let middle = (change + (before + after) / 2).rem_euclid(DAY) / 60;
            let elsewhere = (i as i64 * 379) % 1_440;
            let times = if i % 3 == 0 { vec![middle, elsewhere] } else { vec![middle] };
            for minute_of_day in times {
                let (from, to) = (change - DAY, change + DAY + DAY / 12);
                assert_eq!(
                    walk(&daily(*zone, minute_of_day), from, to),
                    reached(*zone, minute_of_day, from, to),
                    "{zone} at {:02}:{:02} around {}",
                    minute_of_day / 60,
                    minute_of_day % 60,
                    at(*change)
                );
            }
        }
    }
}

/// Also where a date has a gap at midnight, and where a date was skipped: that date's fire comes at the first instant
/// after it, when the next date begins.
#[test]
fn a_daily_job_fires_once_for_every_local_date() {
    for (zone, _) in CLOCKS.iter() {
        let zone = *zone;
        for minute_of_day in [0, 150, 720, 1_439] {
            let timetable = daily(zone, minute_of_day);
            let mut fires = 0;
            let mut dates = 0;
            // Year by year, so that what is wrong is found where it is.
            for year in 1990..2040 {
                let noon = |year| {
                    at(0).with_timezone(&zone).timezone().with_ymd_and_hms(year, 1, 1, 12, 0, 0).unwrap()
                };
                let (from, to) = (noon(year), noon(year + 1));
                let n = timetable.count(from.to_utc(), to.to_utc());
                let n_dates = (to.date_naive() - from.date_naive()).num_days() as u64;
                // On Apia's and Kwajalein's skipped dates midnight is where the next date begins: one instant for both.
                let joined = n_dates - n;
                assert!(
                    joined == 0 || (joined == 1 && minute_of_day == 0),
                    "{zone} {year} {minute_of_day}: {n}"
                );
                (fires, dates) = (fires + n, dates + n_dates);
            }
            assert!(dates - fires <= 1, "{zone}");
        }
    }
}

#[test]
fn an_every_15_minutes_cron_fires_on_every_real_quarter_of_an_hour() {
    for (zone, changes) in CLOCKS.iter() {
        let timetable = cron(*zone, "*/15 * * * *");
        assert_eq!(timetable.count(at(FROM - 1), at(UNTIL - 1)), ((UNTIL - FROM) / 900) as u64, "{zone}");
        for change in changes {
            let (from, to) = (change - 4 * 3_600, change + 4 * 3_600);
            let quarters: Vec<i64> = (from + 1..=to).filter(|unix| unix % 900 == 0).collect();
            assert_eq!(walk(&timetable, from, to), quarters, "{zone} around {}", at(*change));
        }
    }
}

#[test]
fn the_next_instant_is_always_later_and_none_lies_between() {
    let mut seed = 1_u64;
    let mut random = |n: i64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((seed >> 33) as i64) % n
    };
    let crons = ["*/15 * * * *", "7 */5 * * *", "30 1,2,3 * * *", "0 0 L * *", "0 0 13 * fri", "* 2 29 2 *"];
    for zone in zones() {
        for text in crons {
            let timetable = cron(zone, text);
            for _ in 0..4 {
                let after = at(FROM + random(UNTIL - FROM));
                let next = timetable.next_after(after).unwrap();
                assert!(next > after, "{zone} {text} {after}");
                assert_eq!(timetable.count(after, next), 1, "{zone} {text} {after}");
                assert_eq!(
                    timetable.count(after, next - TimeDelta::milliseconds(1)),
                    0,
                    "{zone} {text} {after}"
                );
            }
        }
    }
}

#[test]
fn never_is_said_in_every_zone() {
    for zone in zones() {
        assert_eq!(cron(zone, "0 0 31 2 *").next_after(at(FROM)), None, "{zone}");
        assert_eq!(cron(zone, "*/5 * 30 2 *").next_after(at(FROM)), None, "{zone}");
    }
}

//! Thousands of generated cron expressions, read by `croner` as well. Where the two disagree, a rule of ours that
//! differs must explain it; each such rule is needed by some expression, else it would not stand here.

use chrono::{DateTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::CronParser;
use leverframe::ScheduleConfig;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

const N_EXPRESSIONS: usize = 4_000;
const N_FIRES: usize = 3;
const ZONES: [Tz; 3] =
    [chrono_tz::Europe::Madrid, chrono_tz::America::New_York, chrono_tz::Australia::Lord_Howe];

/// Where the two disagree, and why. The first is undone by asking `croner` for the same; the second is not, and holds
/// only beside a change of the clock.
const REASONS: [&str; 2] = [
    "a day field such as */2 leaves the day free (Vixie's cron: it begins with an asterisk, so that both fields must \
     match); croner takes it for a restriction, so that either may match",
    "times given as lists or ranges are fixed, so that each fires once when the clock is changed (contract, section 6); \
     croner takes only a single second, minute and hour for fixed, and lets all others follow the wall",
];

/// The program's own reading of a zone.
fn own(zone: Tz) -> leverframe::Tz {
    zone.name().parse().expect("a zone")
}

/// Whether the first reason holds for these fields, seconds first.
fn leaves_the_day_free(fields: &[String]) -> bool {
    let has_step = |field: &String| field.starts_with("*/");
    has_step(&fields[3]) && fields[5] != "*" || has_step(&fields[5]) && fields[3] != "*"
}

/// Whether the second reason holds for these fields and the first fire that only one of the two has.
fn has_fixed_lists(fields: &[String], fire: DateTime<Utc>, zone: Tz) -> bool {
    let is_fixed = !fields[1].starts_with('*') && !fields[2].starts_with('*');
    let is_single = |field: &String| field.parse::<u32>().is_ok();
    is_fixed && !fields[..3].iter().all(is_single) && changes_nearby(zone, fire)
}

fn changes_nearby(zone: Tz, at: DateTime<Utc>) -> bool {
    let offset = |hours: i64| {
        let at = at + TimeDelta::hours(hours);
        zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc()
    };
    (-3..3).any(|hours| offset(hours) != offset(hours + 1))
}

fn field(min: u32, max: u32, names: &'static [&'static str]) -> BoxedStrategy<String> {
    let value = min..=max;
    let pair = (value.clone(), value.clone()).prop_map(|(a, b)| (a.min(b), a.max(b)));
    let mut choices = vec![
        (6, Just("*".to_owned()).boxed()),
        (6, value.clone().prop_map(|n| n.to_string()).boxed()),
        (3, (1..=max).prop_map(|n| format!("*/{n}")).boxed()),
        (3, pair.clone().prop_map(|(a, b)| format!("{a}-{b}")).boxed()),
        (2, (pair, 1..=max).prop_map(|((a, b), n)| format!("{a}-{b}/{n}")).boxed()),
        (
            2,
            proptest::collection::vec(value, 2..5)
                .prop_map(|list| list.iter().map(u32::to_string).collect::<Vec<_>>().join(","))
                .boxed(),
        ),
    ];
    if !names.is_empty() {
        choices.push((3, proptest::sample::select(names).prop_map(str::to_owned).boxed()));
    }
    proptest::strategy::Union::new_weighted(choices).boxed()
}

const MONTHS: &[&str] = &["jan", "FEB", "mar,jul", "apr-jun", "Dec"];
const DAYS: &[&str] = &["mon", "SUN", "mon-fri", "tue,thu", "Sat"];

/// The six fields; about one in two has no seconds, that is 0.
fn expressions() -> impl Strategy<Value = Vec<String>> {
    let seconds = prop_oneof![Just("0".to_owned()), field(0, 59, &[])];
    let days = prop_oneof![9 => field(1, 31, &[]), 1 => Just("L".to_owned())];
    (seconds, field(0, 59, &[]), field(0, 23, &[]), days, field(1, 12, MONTHS), field(0, 7, DAYS))
        .prop_map(|(s, m, h, d, mo, w)| vec![s, m, h, d, mo, w])
}

/// An instant, and one within two days before a clock change.
fn instants() -> impl Strategy<Value = (i64, usize, i64)> {
    (631_152_000_i64..2_240_524_800, 0_usize..100, 0_i64..2 * 86_400)
}

/// The changes of the zone's clock, 1990 to 2040, to the hour.
fn changes(zone: Tz) -> Vec<i64> {
    let offset = |unix: i64| {
        let at = DateTime::from_timestamp(unix, 0).expect("an instant");
        zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc()
    };
    (631_152_000..2_240_524_800).step_by(3_600).filter(|unix| offset(*unix) != offset(unix + 3_600)).collect()
}

fn ours(text: &str, after: DateTime<Utc>, zone: Tz) -> Vec<DateTime<Utc>> {
    let timetable = ScheduleConfig::Cron(text.parse().expect("an expression")).timetable(own(zone), after);
    std::iter::successors(timetable.next_after(after), |at| timetable.next_after(*at)).take(N_FIRES).collect()
}

fn theirs_of(cron: &Cron, after: DateTime<Utc>, zone: Tz) -> Vec<DateTime<Utc>> {
    let next = |at: DateTime<Tz>| cron.find_next_occurrence(&at, false).ok();
    std::iter::successors(next(after.with_timezone(&zone)), |at| next(*at))
        .take(N_FIRES)
        .map(|at| at.to_utc())
        .collect()
}

#[test]
fn thousands_of_expressions_agree_with_another_reading_of_cron() {
    let mut runner = TestRunner::deterministic();
    let changes = ZONES.map(changes);
    let mut n_explained = [0; REASONS.len()];
    let mut n_compared = 0;
    let mut check = |fields: &[String], after: DateTime<Utc>, zone: Tz| {
        let text = fields.join(" ");
        let read = |parser: CronParser| parser.parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let ours = ours(&text, after, zone);
        let mut theirs = theirs_of(&read(CronParser::new()), after, zone);
        n_compared += 1;
        if ours != theirs && leaves_the_day_free(fields) {
            theirs = theirs_of(&read(CronParser::builder().dom_and_dow(true).build()), after, zone);
            n_explained[0] += 1;
        }
        if ours == theirs {
            return;
        }
        let at = (0..N_FIRES).find(|i| ours.get(*i) != theirs.get(*i)).unwrap();
        let fire = *ours.get(at).into_iter().chain(theirs.get(at)).min().unwrap();
        assert!(
            has_fixed_lists(fields, fire, zone),
            "{text} after {after} in {zone}: we say {ours:?}, croner says {theirs:?}, and no reason is known"
        );
        n_explained[1] += 1;
    };
    for _ in 0..N_EXPRESSIONS {
        let fields = expressions().new_tree(&mut runner).unwrap().current();
        let (anywhere, place, before) = instants().new_tree(&mut runner).unwrap().current();
        let at = |unix| DateTime::from_timestamp(unix, 0).unwrap();
        check(&fields, at(anywhere), Tz::UTC);
        for (zone, changes) in ZONES.into_iter().zip(&changes) {
            check(&fields, at(anywhere), zone);
            check(&fields, at(changes[place % changes.len()] - before), zone);
        }
    }
    assert_eq!(n_compared, N_EXPRESSIONS * 7);
    for (reason, n) in REASONS.iter().zip(n_explained) {
        assert!(n > 0, "nothing needs the reason: {reason}");
    }
    assert!(n_explained[1] < n_compared / 50, "{} disagreements beside changes of the clock", n_explained[1]);
}

//! What `next` of a schedule costs: at the median of thousands of instants, and at the worst of them, for expressions
//! from each minute to each leap day, and for one that never comes.
//!
//! `cargo bench --no-default-features --bench schedule` prints a table. Each instant's figure is the least of five
//! rounds, so that the machine's own interruptions are not counted.
#![expect(clippy::expect_used, reason = "a benchmark that fails panics")]

#[expect(dead_code, reason = "a benchmark uses what it needs of it")]
mod support;

use std::hint::black_box;

use chrono::{DateTime, Utc};
use leverframe::ScheduleConfig;
use leverframe::schedule::Timetable;
use support::{Goal, bench, no_child, seconds, us};

const N_INSTANTS: usize = 20_000;
const N_ROUNDS: usize = 5;
/// How often each is asked at once: a single call is too short for the clock.
const N_ASKED: usize = 20;
const MEDIAN: f64 = 2e-6;
const WORST: f64 = 50e-6;
const NEVER: f64 = 5e-3;

fn main() {
    bench("schedule: next of a cron expression, 20,000 instants from 1990 to 2040", measure, no_child);
}

fn measure(table: &mut support::Table) {
    for (what, expression, zone) in [
        ("each minute, Madrid", "* * * * *", "Europe/Madrid"),
        ("each quarter of an hour, Lord_Howe", "*/15 * * * *", "Australia/Lord_Howe"),
        ("each weekday at 09:30, Madrid", "30 9 * * 1-5", "Europe/Madrid"),
        ("the 13th or a Friday, Sao_Paulo", "0 0 13 * fri", "America/Sao_Paulo"),
        ("each half hour of 2 o'clock on a leap day, Madrid", "*/30 2 29 2 *", "Europe/Madrid"),
        ("a leap day that is a Sunday, Apia", "0 0 29 2 */7", "Pacific/Apia"),
        ("a leap day, UTC", "0 0 29 2 *", "UTC"),
    ] {
        let timetable = timetable(expression, zone);
        let mut least = vec![f64::MAX; N_INSTANTS];
        for _ in 0..N_ROUNDS {
            for (i, least) in least.iter_mut().enumerate() {
                let after = instant(i);
                let took = seconds(|| {
                    for _ in 0..N_ASKED {
                        black_box(timetable.next_after(black_box(after)));
                    }
                });
                *least = least.min(took / N_ASKED as f64);
            }
        }
        least.sort_unstable_by(f64::total_cmp);
        table.value(&format!("{what}, median"), &[least[N_INSTANTS / 2]], us, Goal::AtMost(MEDIAN));
        table.value(&format!("{what}, worst"), &[least[N_INSTANTS - 1]], us, Goal::AtMost(WORST));
    }
    let never = timetable("0 0 31 2 *", "Europe/Madrid");
    let took: Vec<f64> = (0..1_000)
        .map(|i| {
            seconds(|| {
                black_box(never.next_after(instant(i)));
            })
        })
        .collect();
    table.value("31 February: never", &took, us, Goal::AtMost(NEVER));

    let each_second = timetable("* * * * * *", "Europe/Madrid");
    let month = chrono::TimeDelta::days(31);
    let count: Vec<f64> = (0..200)
        .map(|i| {
            seconds(|| {
                black_box(each_second.count(instant(i), instant(i) + month));
            })
        })
        .collect();
    table.value("counting the 2,678,400 instants of a month", &count, us, Goal::None);
    let newest: Vec<f64> = (0..200)
        .map(|i| {
            seconds(|| {
                black_box(each_second.newest(instant(i), instant(i) + month, 100));
            })
        })
        .collect();
    table.value("the newest 100 of them", &newest, us, Goal::None);
    let expressions: Vec<f64> = (0..2_000)
        .map(|_| {
            seconds(|| {
                let _ = black_box("30 9 * * 1-5".parse::<leverframe::schedule::CronExpr>());
            })
        })
        .collect();
    table.value("reading an expression", &expressions, us, Goal::None);
}

fn timetable(expression: &str, zone: &str) -> Timetable {
    let zone = zone.parse().expect("a zone");
    ScheduleConfig::Cron(expression.parse().expect("an expression")).timetable(zone, DateTime::UNIX_EPOCH)
}

fn instant(i: usize) -> DateTime<Utc> {
    let spread = (i as i64).wrapping_mul(7_919 * 104_729).rem_euclid(1_609_372_800);
    DateTime::from_timestamp(631_152_000 + spread, 0).expect("an instant")
}

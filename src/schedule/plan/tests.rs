//! Every due instant in exactly one row, whatever was missed, disabled or too old.

use proptest::prelude::*;

use super::*;
use crate::base::tz::Tz;
use crate::schedule::ScheduleConfig;

/// Madrid's clock.
fn madrid() -> Tz {
    "Europe/Madrid".parse().unwrap()
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

/// Due each ten seconds, at 0, 10, 20, …
fn each_ten_seconds() -> Timetable {
    let config = ScheduleConfig::Interval { every: TimeDelta::seconds(10), anchor: Some(at(0)) };
    config.timetable(Tz::UTC, at(-1_000_000))
}

fn with(policy: Misfire) -> MisfirePolicy {
    MisfirePolicy { policy, ..MisfirePolicy::default() }
}

/// The rows as `from-through×n outcome`, in seconds.
#[track_caller]
fn check(
    misfire: &MisfirePolicy,
    disabled: &[(i64, i64)],
    accounted: i64,
    now: i64,
    expected: &[&str],
) -> Plan {
    let timetable = each_ten_seconds();
    let disabled: Vec<_> = disabled.iter().map(|(from, until)| (at(*from), at(*until))).collect();
    let accounted_until = at(accounted);
    let made = plan(&Situation {
        timetable: &timetable,
        accounted_until,
        now: at(now),
        recorded: &[],
        watched_from: at(now),
        misfire,
        disabled: &disabled,
    });
    let second = |instant: DateTime<Utc>| (instant - at(0)).num_seconds();
    let rows: Vec<String> = made
        .fires
        .iter()
        .map(|fire| {
            let (due, through) = (second(fire.due_at), second(fire.through_at));
            let range = if due == through { due.to_string() } else { format!("{due}-{through}") };
            format!("{range} x{} {}", fire.n_instants, fire.outcome)
        })
        .collect();
    assert_eq!(rows, expected);
    made
}

#[test]
fn what_is_due_on_time_starts() {
    let plan = check(&with(Misfire::RunOnce), &[], 0, 10, &["10 x1 claimed"]);
    assert_eq!(plan.starts, [Start { due_at: at(10), on_time: OnTime::OnTime }]);
    assert_eq!(plan.next_at, Some(at(20)));
    let plan = check(&with(Misfire::RunOnce), &[], 0, 9, &[]);
    assert_eq!((plan.starts.len(), plan.next_at), (0, Some(at(10))));
}

#[test]
fn run_once_runs_the_newest_and_coalesces_the_others() {
    let plan = check(&with(Misfire::RunOnce), &[], 0, 105, &["10-90 x9 coalesced", "100 x1 claimed"]);
    assert_eq!(plan.starts, [Start { due_at: at(100), on_time: OnTime::OnTime }]);
    assert!(plan.fires[0].reason.as_deref().is_some_and(|reason| reason.contains(&format_instant(at(100)))));
    let config = ScheduleConfig::Once { at: at(100) };
    let once = Situation {
        timetable: &config.timetable(Tz::UTC, at(0)),
        accounted_until: at(0),
        now: at(111),
        recorded: &[],
        watched_from: at(111),
        misfire: &with(Misfire::RunOnce),
        disabled: &[],
    };
    let plan = super::plan(&once);
    assert_eq!(plan.starts, [Start { due_at: at(100), on_time: OnTime::CatchUp }]);
    assert_eq!(plan.next_at, None);
}

#[test]
fn run_all_runs_the_newest_of_them_the_oldest_first() {
    let misfire = MisfirePolicy { catchup_limit: 3, ..with(Misfire::RunAll) };
    let plan = check(
        &misfire,
        &[],
        0,
        105,
        &["10-70 x7 expired", "80 x1 claimed", "90 x1 claimed", "100 x1 claimed"],
    );
    let starts: Vec<_> = plan.starts.iter().map(|start| (start.due_at, start.on_time)).collect();
    assert_eq!(starts, [(at(80), OnTime::CatchUp), (at(90), OnTime::CatchUp), (at(100), OnTime::CatchUp)]);
    let none = MisfirePolicy { catchup_limit: 0, ..with(Misfire::RunAll) };
    check(&none, &[], 0, 105, &["10-100 x10 expired"]);
}

#[test]
fn skip_runs_what_is_within_its_grace_and_of_that_the_newest() {
    let misfire = MisfirePolicy { grace: TimeDelta::seconds(25), ..with(Misfire::Skip) };
    check(&misfire, &[], 0, 105, &["10-70 x7 skipped", "80-90 x2 coalesced", "100 x1 claimed"]);
    let misfire = MisfirePolicy { grace: TimeDelta::seconds(3), ..with(Misfire::Skip) };
    check(&misfire, &[], 0, 105, &["10-100 x10 skipped"]);
    // Exactly as late as the grace is not too late.
    let misfire = MisfirePolicy { grace: TimeDelta::seconds(5), ..with(Misfire::Skip) };
    check(&misfire, &[], 0, 105, &["10-90 x9 skipped", "100 x1 claimed"]);
}

#[test]
fn what_is_older_than_the_greatest_age_expires_under_any_policy() {
    let aged = |policy| MisfirePolicy { max_age: Some(TimeDelta::seconds(25)), ..with(policy) };
    check(
        &aged(Misfire::RunOnce),
        &[],
        0,
        105,
        &["10-70 x7 expired", "80-90 x2 coalesced", "100 x1 claimed"],
    );
    check(
        &aged(Misfire::RunAll),
        &[],
        0,
        105,
        &["10-70 x7 expired", "80 x1 claimed", "90 x1 claimed", "100 x1 claimed"],
    );
    let misfire = MisfirePolicy { grace: TimeDelta::seconds(5), ..aged(Misfire::Skip) };
    check(&misfire, &[], 0, 105, &["10-70 x7 expired", "80-90 x2 skipped", "100 x1 claimed"]);
}

#[test]
fn what_was_disabled_is_one_row_and_never_caught_up() {
    let rows = &["10-20 x2 coalesced", "30-50 x3 disabled", "60-90 x4 coalesced", "100 x1 claimed"];
    check(&with(Misfire::RunOnce), &[(30, 60)], 0, 105, rows);
    check(&with(Misfire::RunOnce), &[(-5, 40), (40, 101)], 0, 105, &["10-100 x10 disabled"]);
    // The newest enabled instant runs, although disabled ones follow it.
    check(
        &with(Misfire::RunOnce),
        &[(55, 200)],
        0,
        105,
        &["10-40 x4 coalesced", "50 x1 claimed", "60-100 x5 disabled"],
    );
    let ever = (DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC);
    let situation = Situation {
        timetable: &each_ten_seconds(),
        accounted_until: at(0),
        now: at(105),
        recorded: &[],
        watched_from: at(105),
        misfire: &with(Misfire::RunAll),
        disabled: &[ever],
    };
    assert_eq!(plan(&situation).fires[0].n_instants, 10);
    let limit = MisfirePolicy { catchup_limit: 2, ..with(Misfire::RunAll) };
    check(
        &limit,
        &[(35, 95)],
        0,
        105,
        &["10-20 x2 expired", "30 x1 claimed", "40-90 x6 disabled", "100 x1 claimed"],
    );
}

#[test]
fn a_clock_that_was_set_back_fires_nothing_again() {
    let plan = check(&with(Misfire::RunAll), &[], 100, -3_500, &[]);
    assert_eq!(plan.next_at, Some(at(110)));
}

#[test]
fn a_month_of_seconds_is_about_a_hundred_rows() {
    let config = ScheduleConfig::Cron("* * * * * *".parse().unwrap());
    let timetable = config.timetable(madrid(), at(0));
    const MONTH: i64 = 30 * 86_400;
    for (policy, n_rows) in [(Misfire::RunOnce, 2), (Misfire::RunAll, 101), (Misfire::Skip, 3)] {
        let misfire = with(policy);
        let situation = Situation {
            timetable: &timetable,
            accounted_until: at(0),
            now: at(MONTH),
            recorded: &[],
            watched_from: at(MONTH),
            misfire: &misfire,
            disabled: &[],
        };
        let plan = plan(&situation);
        assert_eq!(plan.fires.len(), n_rows, "{policy}");
        assert_eq!(plan.fires.iter().map(|fire| fire.n_instants).sum::<u64>(), MONTH as u64);
    }
}

proptest! {
    #[test]
    fn every_due_instant_lies_in_exactly_one_row(
        policy in proptest::sample::select(Misfire::ALL),
        catchup_limit in 0_u32..8,
        grace in 0_i64..300,
        max_age in proptest::option::of(0_i64..400),
        ends in proptest::collection::vec(-50_i64..500, 0..8),
        accounted in 0_i64..300,
        now in 0_i64..450,
    ) {
        let timetable = each_ten_seconds();
        let mut ends = ends;
        ends.sort_unstable();
        let disabled: Vec<_> = ends.chunks_exact(2).map(|pair| (at(pair[0]), at(pair[1]))).collect();
        let misfire = MisfirePolicy {
            policy,
            catchup_limit,
            grace: TimeDelta::seconds(grace),
            max_age: max_age.map(TimeDelta::seconds),
        };
        let (accounted_until, now) = (at(accounted), at(now));
        let plan = plan(&Situation {
            timetable: &timetable,
            accounted_until,
            recorded: &[],
            now,
            watched_from: now,
            misfire: &misfire,
            disabled: &disabled,
        });
        let mut accounted = accounted_until;
        for fire in &plan.fires {
            prop_assert_eq!(timetable.next_after(accounted), Some(fire.due_at));
            let n = timetable.count(fire.due_at - TimeDelta::milliseconds(1), fire.through_at);
            prop_assert_eq!(fire.n_instants, n);
            prop_assert!(n > 0 && timetable.last(accounted, fire.through_at) == Some(fire.through_at));
            accounted = fire.through_at;
        }
        prop_assert_eq!(timetable.count(accounted, now), 0);
        let claimed: Vec<_> =
            plan.fires.iter().filter(|fire| fire.outcome == Outcome::Claimed).map(|fire| fire.due_at).collect();
        prop_assert_eq!(&claimed, &plan.starts.iter().map(|start| start.due_at).collect::<Vec<_>>());
        let most = match policy {
            Misfire::RunAll => catchup_limit as usize,
            Misfire::RunOnce | Misfire::Skip => 1,
        };
        prop_assert!(claimed.len() <= most);
        for due_at in claimed {
            prop_assert!(!disabled.iter().any(|(from, until)| (*from..*until).contains(&due_at)));
            prop_assert!(max_age.is_none_or(|age| now - due_at <= TimeDelta::seconds(age)));
            prop_assert!(policy != Misfire::Skip || now - due_at <= TimeDelta::seconds(grace));
        }
    }
}

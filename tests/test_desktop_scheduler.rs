//! Jobs, as the scheduler's core decides about them: time is an argument, and nothing sleeps. What the world does is
//! played by `desk`.

#[path = "test_desktop_scheduler/any_rows.rs"]
mod any_rows;
#[path = "test_desktop_scheduler/crashes.rs"]
mod crashes;
#[path = "test_desktop_scheduler/desk.rs"]
mod desk;
#[path = "test_desktop_scheduler/files.rs"]
mod files;
#[path = "test_desktop_scheduler/kills.rs"]
mod kills;
#[path = "test_desktop_scheduler/live.rs"]
mod live;
#[path = "test_desktop_scheduler/many.rs"]
mod many;
#[path = "test_desktop_scheduler/orders.rs"]
mod orders;
#[path = "test_desktop_scheduler/policies.rs"]
mod policies;
#[path = "test_desktop_scheduler/set_aside.rs"]
mod set_aside;
#[path = "test_desktop_scheduler/upstreams.rs"]
mod upstreams;
#[path = "test_desktop_scheduler/written_by_hand.rs"]
mod written_by_hand;
#[path = "test_desktop_scheduler/zones.rs"]
mod zones;

use chrono::TimeDelta;
use desk::{Desk, every, instant, spec, whole};
use leverframe::run::{EventKind, RunState};
use leverframe::schedule::{Misfire, MisfirePolicy, ScheduleConfig};
use leverframe::scheduler::{CATCH_UP_GAP_MS, StartOutcome};

#[test]
fn a_job_fires_at_its_instant_once_and_never_early() {
    let mut desk = Desk::new();
    desk.add(spec("nightly", r#"{"hour": 2, "minute": 30}"#, "daily"));
    desk.go_to("2026-11-23T02:29:59.999Z");
    assert!(desk.started().is_empty(), "it is not due yet");
    assert_eq!(desk.wake_at(), "2026-11-23T02:30:00.000Z");
    desk.go_to("2026-11-23T02:30:00.001Z");
    let started = desk.started();
    assert_eq!(started.len(), 1);
    assert_eq!(started[0].run_id.as_str(), "shop-20261123023000");
    assert_eq!(started[0].fired_by.due_at.as_deref(), Some("2026-11-23T02:30:00.000+00:00"));
    assert_eq!(started[0].fired_by.previous_due_at, None);
    desk.end_all(RunState::Completed);
    desk.go_to("2026-11-23T12:00:00Z");
    assert!(desk.started().is_empty());
    assert_eq!(desk.ledger("nightly"), ["02:30:00 ran 1"]);
    let job = desk.job("nightly");
    assert_eq!(job.next_run, Some(instant("2026-11-24T02:30:00.000Z")));
    assert_eq!((job.last_run.as_deref(), job.run_count), (Some("2026-11-23T02:30:00.000Z"), 1));
    let history = desk.history("nightly");
    assert_eq!(history.len(), 1);
    assert_eq!(history[0].status.as_deref(), Some("completed"));
    assert!(history[0].finished_at.is_some());
    desk.go_to("2026-11-24T02:30:00Z");
    let second = desk.started();
    assert_eq!(second[0].fired_by.previous_due_at.as_deref(), Some("2026-11-23T02:30:00.000+00:00"));
    let fired = desk.told.iter().filter(|event| matches!(event, EventKind::JobFired { .. })).count();
    assert_eq!(fired, 2);
}

#[test]
fn steps_are_told_instants_in_the_zone_of_their_job() {
    let mut desk = Desk::new();
    let mut job = spec("madrid", r#"{"hour": 9, "minute": 0}"#, "daily");
    job.zone = Some("Europe/Madrid".parse().expect("a zone"));
    desk.add(job);
    desk.go_to("2026-11-23T08:00:00Z");
    let started = desk.started();
    assert_eq!(started[0].fired_by.due_at.as_deref(), Some("2026-11-23T09:00:00.000+01:00"));
}

#[test]
fn several_jobs_of_one_instant_are_claimed_together_with_names_of_their_own() {
    let mut desk = Desk::new();
    for name in ["a", "b", "c"] {
        desk.add(spec(name, r#"{"hour": 2}"#, "daily"));
    }
    desk.go_to("2026-11-24T02:00:00Z");
    let names: Vec<String> = desk.started().iter().map(|start| start.run_id.to_string()).collect();
    assert_eq!(names, ["shop-20261124020000", "shop-20261124020000-2", "shop-20261124020000-3"]);
}

#[test]
fn a_month_off_costs_a_few_rows_and_every_instant_is_in_one() {
    for (misfire, n_most, n_started) in
        [(Misfire::RunOnce, 2, 1), (Misfire::RunAll, 101, 100), (Misfire::Skip, 3, 1)]
    {
        let mut desk = Desk::new();
        let mut job = every("ticker", 1);
        job.misfire = MisfirePolicy { policy: misfire, ..MisfirePolicy::default() };
        desk.add(job);
        desk.pass(TimeDelta::days(30));
        let mut n = desk.started().len();
        while n < n_started {
            desk.end_all(RunState::Completed);
            desk.pass_awake_only(CATCH_UP_GAP_MS);
            let more = desk.started().len();
            assert_eq!(more, 1, "{misfire}: one at a time");
            n += more;
        }
        desk.end_all(RunState::Completed);
        desk.pass_awake_only(CATCH_UP_GAP_MS);
        assert_eq!(desk.started().len(), 0, "{misfire}");
        let rows = desk.rows("ticker");
        assert!(rows.len() <= n_most, "{misfire}: {} rows", rows.len());
        whole(&rows, TimeDelta::seconds(1), 30 * 86_400);
    }
}

#[test]
fn the_clock_set_back_fires_nothing_again() {
    let mut desk = Desk::new();
    desk.add(every("hourly", 3600));
    desk.pass(TimeDelta::minutes(61));
    assert_eq!(desk.started().len(), 1);
    desk.end_all(RunState::Completed);
    desk.pass(TimeDelta::minutes(-60));
    assert!(desk.started().is_empty());
    desk.pass(TimeDelta::minutes(59));
    assert!(desk.started().is_empty(), "that instant has fired");
    desk.pass(TimeDelta::minutes(61));
    assert_eq!(desk.started().len(), 1);
    whole(&desk.rows("hourly"), TimeDelta::hours(1), 2);
}

#[test]
fn the_clock_set_forward_is_a_misfire_and_no_stampede() {
    for (jump, n_instants) in [(TimeDelta::days(1), 24), (TimeDelta::days(3652), 24 * 3652)] {
        let mut desk = Desk::new();
        for name in ["a", "b", "c"] {
            desk.add(every(name, 3600));
        }
        desk.pass(jump);
        assert_eq!(desk.started().len(), 3, "each at its newest instant, which has just come");
        desk.end_all(RunState::Completed);
        for name in ["a", "b", "c"] {
            let rows = desk.rows(name);
            assert_eq!(rows.len(), 2, "{rows:?}");
            whole(&rows, TimeDelta::hours(1), n_instants);
        }
        desk.pass(TimeDelta::minutes(30));
        assert!(desk.started().is_empty());
    }
}

#[test]
fn what_catches_up_starts_oldest_first_at_a_distance_and_holds_up_nothing_that_is_on_time() {
    let mut desk = Desk::new();
    for (name, minute) in [("c", 30), ("a", 10), ("b", 20)] {
        desk.add(spec(name, &format!(r#"{{"hour": 3, "minute": {minute}}}"#), "daily"));
    }
    desk.add(spec("on-time", r#"{"hour": 12, "minute": 0}"#, "daily"));
    desk.go_to("2026-11-23T11:59:58Z");
    assert_eq!(desk.started_names(), ["a"]);
    desk.pass(TimeDelta::milliseconds(4_999));
    assert_eq!(desk.started_names(), ["on-time"]);
    desk.pass(TimeDelta::milliseconds(1));
    assert_eq!(desk.started_names(), ["b"]);
    desk.pass(TimeDelta::milliseconds(5_000));
    assert_eq!(desk.started_names(), ["c"]);
    desk.pass(TimeDelta::milliseconds(50_000));
    assert!(desk.started().is_empty());
}

#[test]
fn a_job_that_comes_once_disables_itself() {
    let mut desk = Desk::new();
    desk.add(spec("once", r#"{"at": "2026-11-24T02:00:00.5Z"}"#, "once"));
    desk.go_to("2026-11-24T02:00:00.499Z");
    assert!(desk.started().is_empty());
    desk.go_to("2026-11-24T02:00:00.500Z");
    assert_eq!(desk.started().len(), 1);
    let job = desk.job("once");
    assert!(!job.enabled);
    assert_eq!(job.next_run, None);
    let refused = desk.try_add(spec("late", r#"{"at": "2026-11-24T02:00:00Z"}"#, "once"));
    assert!(refused.expect_err("it is past").to_string().contains("past"));
}

#[test]
fn a_fire_whose_pipeline_is_gone_is_recorded_as_failed_to_start() {
    let mut desk = Desk::new();
    desk.add(every("hourly", 3600));
    desk.refusal = Some("there is no pipeline \"shop\"".to_owned());
    desk.pass(TimeDelta::hours(1));
    let rows = desk.rows("hourly");
    assert_eq!(rows[0].outcome, "failed_to_start");
    assert!(rows[0].reason.as_deref().is_some_and(|reason| reason.contains("no pipeline")));
    let history = desk.history("hourly");
    assert_eq!(history[0].status.as_deref(), Some("failed_to_start"));
    assert!(history[0].error.as_deref().is_some_and(|error| error.contains("no pipeline")));
    desk.refusal = None;
    desk.started();
    desk.pass(TimeDelta::hours(1));
    assert_eq!(desk.started().len(), 1, "the next one is tried anew");
}

#[test]
fn a_start_that_is_not_possible_at_the_moment_is_tried_again() {
    let mut desk = Desk::new();
    desk.add(every("hourly", 3600));
    desk.outcome = StartOutcome::NotNow("the disk is full".to_owned());
    desk.pass(TimeDelta::hours(1));
    assert_eq!(desk.rows("hourly")[0].outcome, "claimed");
    desk.started();
    desk.outcome = StartOutcome::Started;
    desk.pass(TimeDelta::milliseconds(CATCH_UP_GAP_MS as i64));
    assert_eq!(desk.started().len(), 1);
    assert_eq!(desk.rows("hourly")[0].outcome, "ran");
}

#[test]
fn a_name_that_another_run_has_got_first_is_given_up() {
    let mut desk = Desk::new();
    desk.add(every("hourly", 3600));
    desk.names_taken = 1;
    desk.pass(TimeDelta::hours(1));
    let started = desk.started();
    assert_eq!(started.len(), 2);
    assert!(started[1].run_id.as_str().ends_with("-2"), "{}", started[1].run_id);
    assert_eq!(desk.rows("hourly")[0].run_id.as_deref(), Some(started[1].run_id.as_str()));
}

#[test]
fn a_machine_that_travels_takes_floating_jobs_with_it() {
    let mut desk = Desk::new();
    let mut floating = spec("floating", r#"{"hour": 9, "minute": 0}"#, "daily");
    floating.zone = Some("local".parse().expect("a zone"));
    desk.add(floating);
    let mut fixed = spec("fixed", r#"{"hour": 9, "minute": 0}"#, "daily");
    fixed.zone = Some("UTC".parse().expect("a zone"));
    desk.add(fixed);
    let now = desk.now;
    desk.core.zone_changed("Asia/Tokyo", now).expect("it is recorded");
    assert_eq!(desk.job("floating").next_run, Some(instant("2026-11-24T00:00:00.000Z")));
    assert_eq!(desk.job("fixed").next_run, Some(instant("2026-11-23T09:00:00.000Z")));
}

#[test]
fn an_instant_between_two_milliseconds_is_not_early() {
    let mut desk = Desk::new();
    let at = "2026-11-24T02:00:00.0004Z".parse().expect("an instant");
    let config = ScheduleConfig::Once { at };
    desk.add(leverframe::scheduler::JobSpec { schedule: config, ..spec("once", "{}", "manual") });
    desk.go_to("2026-11-24T02:00:00.0003Z");
    assert!(desk.started().is_empty(), "it is not due yet");
    desk.go_to("2026-11-24T02:00:00.001Z");
    assert_eq!(desk.started().len(), 1);
}

//! Jobs that follow the machine's zone, while the machine travels.

use chrono::TimeDelta;
use leverframe::run::RunState;
use leverframe::schedule::Zone;

use super::desk::{Desk, instant, spec};

fn floating(desk: &mut Desk, name: &str) {
    let mut job = spec(name, r#"{"hour": 9, "minute": 0}"#, "daily");
    job.zone = Some(Zone::Local);
    desk.add(job);
}

#[test]
fn a_zone_that_changed_while_no_engine_ran_is_the_one_that_counts() {
    let mut desk = Desk::new();
    floating(&mut desk, "job");
    assert_eq!(desk.job("job").next_run, Some(instant("2026-11-23T09:00:00.000Z")));
    desk.start_again_in("America/New_York");
    assert_eq!(desk.job("job").next_run, Some(instant("2026-11-23T14:00:00.000Z")));
    desk.go_to("2026-11-23T09:00:00Z");
    assert!(desk.started().is_empty(), "it is four in the morning");
    desk.go_to("2026-11-23T14:00:00Z");
    assert_eq!(desk.started_names(), ["job"]);
    desk.end_all(RunState::Completed);
    assert_eq!(desk.job("job").next_run, Some(instant("2026-11-24T14:00:00.000Z")));
}

#[test]
fn what_was_due_by_the_zone_that_was_left_has_its_place_and_then_the_new_one_counts() {
    let mut desk = Desk::new();
    floating(&mut desk, "job");
    desk.now.wall += TimeDelta::hours(8);
    desk.start_again_in("America/New_York");
    desk.pass_awake_only(6_000);
    assert_eq!(desk.ledger("job"), ["09:00:00 ran 1"]);
    assert_eq!(desk.job("job").next_run, Some(instant("2026-11-23T14:00:00.000Z")));
}

#[test]
fn many_that_are_due_when_the_zone_changes_are_due_by_the_old_one() {
    let mut desk = Desk::new();
    for i in 0..450 {
        floating(&mut desk, &format!("job{i}"));
    }
    desk.now.wall += TimeDelta::hours(7);
    desk.now.awake_ms += 7 * 3_600_000;
    let acts = desk.core.zone_changed("America/New_York", desk.now).expect("it is recorded");
    desk.carry_out(acts);
    desk.look();
    assert_eq!(desk.started().len(), 450);
    for i in [0, 199, 200, 449] {
        let name = format!("job{i}");
        assert_eq!(desk.ledger(&name), ["09:00:00 ran 1"], "{name}");
        assert_eq!(desk.job(&name).next_run, Some(instant("2026-11-23T14:00:00.000Z")), "{name}");
    }
}

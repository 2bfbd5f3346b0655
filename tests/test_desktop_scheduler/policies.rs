//! Overlap and misfire, each with each; the switch; and what is run again later.

use chrono::TimeDelta;
use leverframe::run::RunState;
use leverframe::schedule::{Misfire, MisfirePolicy, Overlap};
use leverframe::scheduler::CATCH_UP_GAP_MS;
use leverframe::store::FireFilter;

use super::desk::{Desk, every, id, instant, spec, whole};

/// An hourly job that is off for three hours, then fires once more while the run that catches up is under way; then all
/// runs end, again and again. What the ledger says in the end, and how many runs there were.
fn play(overlap: Overlap, misfire: Misfire) -> (Vec<String>, usize, usize) {
    let mut desk = Desk::new();
    let mut job = every("job", 3600);
    job.overlap = overlap;
    job.misfire =
        MisfirePolicy { policy: misfire, grace: TimeDelta::minutes(90), ..MisfirePolicy::default() };
    desk.add(job);
    desk.pass(TimeDelta::minutes(190));
    let mut n_runs = desk.started().len();
    // The next instant comes while what was started runs.
    desk.pass(TimeDelta::minutes(50));
    n_runs += desk.started().len();
    let n_stopped = desk.stopped.len();
    for _ in 0..6 {
        desk.end_all(RunState::Completed);
        n_runs += desk.started().len();
        desk.pass_awake_only(CATCH_UP_GAP_MS);
        n_runs += desk.started().len();
    }
    whole(&desk.rows("job"), TimeDelta::hours(1), 4);
    (desk.ledger("job"), n_runs, n_stopped)
}

#[test]
fn every_overlap_policy_meets_every_misfire_policy() {
    use {Misfire::*, Overlap::*};
    let table: &[(Overlap, Misfire, &[&str], usize, usize)] = &[
        (Overlap::Skip, RunOnce, &["03:00:00 coalesced 2", "05:00:00 ran 1", "06:00:00 skipped 1"], 1, 0),
        (Queue, RunOnce, &["03:00:00 coalesced 2", "05:00:00 ran 1", "06:00:00 ran 1"], 2, 0),
        (Allow, RunOnce, &["03:00:00 coalesced 2", "05:00:00 ran 1", "06:00:00 ran 1"], 2, 0),
        (CancelPrevious, RunOnce, &["03:00:00 coalesced 2", "05:00:00 ran 1", "06:00:00 ran 1"], 2, 1),
        (
            Overlap::Skip,
            RunAll,
            &["03:00:00 ran 1", "04:00:00 ran 1", "05:00:00 ran 1", "06:00:00 skipped 1"],
            3,
            0,
        ),
        (Queue, RunAll, &["03:00:00 ran 1", "04:00:00 ran 1", "05:00:00 ran 1", "06:00:00 ran 1"], 4, 0),
        (Allow, RunAll, &["03:00:00 ran 1", "04:00:00 ran 1", "05:00:00 ran 1", "06:00:00 ran 1"], 4, 0),
        (
            CancelPrevious,
            RunAll,
            &["03:00:00 ran 1", "04:00:00 ran 1", "05:00:00 ran 1", "06:00:00 ran 1"],
            4,
            1,
        ),
        (
            Overlap::Skip,
            Misfire::Skip,
            &["03:00:00 skipped 1", "04:00:00 coalesced 1", "05:00:00 ran 1", "06:00:00 skipped 1"],
            1,
            0,
        ),
        (
            Queue,
            Misfire::Skip,
            &["03:00:00 skipped 1", "04:00:00 coalesced 1", "05:00:00 ran 1", "06:00:00 ran 1"],
            2,
            0,
        ),
        (
            Allow,
            Misfire::Skip,
            &["03:00:00 skipped 1", "04:00:00 coalesced 1", "05:00:00 ran 1", "06:00:00 ran 1"],
            2,
            0,
        ),
        (
            CancelPrevious,
            Misfire::Skip,
            &["03:00:00 skipped 1", "04:00:00 coalesced 1", "05:00:00 ran 1", "06:00:00 ran 1"],
            2,
            1,
        ),
    ];
    for (overlap, misfire, ledger, n_runs, n_stopped) in table {
        let played = play(*overlap, *misfire);
        let expected: Vec<String> = ledger.iter().map(|row| (*row).to_owned()).collect();
        assert_eq!(played, (expected, *n_runs, *n_stopped), "{overlap} × {misfire}");
    }
}

#[test]
fn one_waits_in_the_queue_and_no_more() {
    let mut desk = Desk::new();
    let mut job = every("job", 60);
    job.overlap = Overlap::Queue;
    desk.add(job);
    for _ in 0..4 {
        desk.pass(TimeDelta::minutes(1));
    }
    assert_eq!(desk.started().len(), 1);
    assert_eq!(desk.ledger("job"), ["02:01:00 ran 1", "02:02:00 queued 1", "02:03:00 skipped 2"]);
    desk.end_all(RunState::Failed);
    let started = desk.started();
    assert_eq!(started.len(), 1);
    assert_eq!(started[0].fired_by.due_at.as_deref(), Some("2026-11-23T02:02:00.000+00:00"));
    assert_eq!(desk.ledger("job")[1], "02:02:00 ran 1");
}

#[test]
fn a_newer_fire_takes_the_place_of_the_one_that_waits_for_the_stop() {
    let mut desk = Desk::new();
    let mut job = every("job", 60);
    job.overlap = Overlap::CancelPrevious;
    desk.add(job);
    for _ in 0..3 {
        desk.pass(TimeDelta::minutes(1));
    }
    assert_eq!(desk.started().len(), 1);
    assert!(!desk.stopped.is_empty());
    desk.end_all(RunState::Stopped);
    assert_eq!(desk.started().len(), 1);
    assert_eq!(desk.ledger("job"), ["02:01:00 ran 1", "02:02:00 coalesced 1", "02:03:00 ran 1"]);
}

#[test]
fn what_comes_while_a_job_is_disabled_is_one_range_and_never_caught_up() {
    let mut desk = Desk::new();
    desk.add(every("job", 60));
    desk.pass(TimeDelta::minutes(1));
    desk.end_all(RunState::Completed);
    desk.started();
    let acts = desk.core.disable_job(&id("job")).expect("it is there");
    desk.carry_out(acts);
    desk.pass(TimeDelta::hours(1));
    assert!(desk.started().is_empty());
    assert_eq!(desk.ledger("job"), ["02:01:00 ran 1", "02:02:00 disabled 60"], "seen before it is written");
    let acts = desk.core.enable_job(&id("job"), desk.now).expect("it is there");
    desk.carry_out(acts);
    desk.look();
    assert!(desk.started().is_empty());
    desk.pass(TimeDelta::minutes(1));
    assert_eq!(desk.started().len(), 1);
    assert_eq!(desk.ledger("job"), ["02:01:00 ran 1", "02:02:00 disabled 60", "03:02:00 ran 1"]);
    whole(&desk.rows("job"), TimeDelta::minutes(1), 62);
}

#[test]
fn what_waits_for_its_turn_is_not_started_after_its_job_was_disabled() {
    let mut desk = Desk::new();
    let mut job = every("job", 60);
    job.misfire.policy = Misfire::RunAll;
    desk.add(job);
    desk.pass(TimeDelta::minutes(5));
    assert_eq!(desk.started().len(), 1);
    let acts = desk.core.disable_job(&id("job")).expect("it is there");
    desk.carry_out(acts);
    desk.end_all(RunState::Completed);
    desk.pass_awake_only(10 * CATCH_UP_GAP_MS);
    assert!(desk.started().is_empty());
    assert!(desk.rows("job").iter().skip(1).all(|row| row.outcome == "disabled"), "{:?}", desk.rows("job"));
}

#[test]
fn what_is_to_come_is_of_enabled_jobs_in_order_and_bounded() {
    let mut desk = Desk::new();
    desk.add(every("b", 3600));
    desk.add(every("a", 1800));
    desk.add(every("off", 60));
    let acts = desk.core.disable_job(&id("off")).expect("it is there");
    desk.carry_out(acts);
    let until = desk.now.wall + TimeDelta::hours(2);
    let coming = |job: Option<&str>, limit| {
        let job = job.map(id);
        let coming = desk.core.coming(job.as_ref(), until, limit).expect("it is read");
        let minutes = coming.fires.iter().map(|fire| (fire.at - desk.now.wall).num_minutes());
        (
            coming.fires.iter().map(|fire| &*fire.job_id).collect::<String>(),
            minutes.collect::<Vec<_>>(),
            coming.is_cut,
        )
    };
    assert_eq!(coming(None, 10), ("aabaab".to_owned(), vec![30, 60, 60, 90, 120, 120], false));
    assert_eq!(coming(None, 3), ("aab".to_owned(), vec![30, 60, 60], true));
    assert_eq!(coming(Some("b"), 10), ("bb".to_owned(), vec![60, 120], false));
    assert_eq!(coming(Some("off"), 10), (String::new(), Vec::new(), false));
}

#[test]
fn a_backfill_takes_instants_out_of_their_row_and_runs_them_one_after_another() {
    let mut desk = Desk::new();
    desk.add(every("job", 3600));
    desk.pass(TimeDelta::minutes(10 * 60 + 1));
    assert_eq!(desk.started().len(), 1);
    desk.end_all(RunState::Completed);
    assert_eq!(desk.ledger("job"), ["03:00:00 coalesced 9", "12:00:00 ran 1"]);
    let (from, to) = (instant("2026-11-23T05:00:00Z"), instant("2026-11-23T06:30:00Z"));
    let shown = desk.core.preview_backfill(&id("job"), from, to, desk.now).expect("it can be");
    assert_eq!(shown, [instant("2026-11-23T05:00:00Z"), instant("2026-11-23T06:00:00Z")]);
    let (n, acts) = desk.core.backfill(&id("job"), from, to, desk.now).expect("it can be");
    desk.carry_out(acts);
    assert_eq!(n, shown.len());
    desk.look();
    desk.pass_awake_only(CATCH_UP_GAP_MS);
    let first = desk.started();
    assert_eq!(first.len(), 1, "the other waits for its end");
    assert_eq!(first[0].fired_by.due_at.as_deref(), Some("2026-11-23T05:00:00.000+00:00"));
    assert_eq!(first[0].fired_by.previous_due_at.as_deref(), Some("2026-11-23T04:00:00.000+00:00"));
    desk.end_all(RunState::Completed);
    desk.pass_awake_only(CATCH_UP_GAP_MS);
    assert_eq!(desk.started().len(), 1);
    desk.end_all(RunState::Completed);
    let expected = [
        "03:00:00 coalesced 2",
        "05:00:00 backfilled 1",
        "06:00:00 backfilled 1",
        "07:00:00 coalesced 5",
        "12:00:00 ran 1",
    ];
    assert_eq!(desk.ledger("job"), expected);
    whole(&desk.rows("job"), TimeDelta::hours(1), 10);
    let again = desk.core.backfill(&id("job"), from, to, desk.now).expect_err("it has run");
    assert!(again.to_string().contains("has run"), "{again}");
    let shown = desk.core.preview_backfill(&id("job"), from, to, desk.now).expect_err("it has run");
    assert_eq!(shown.to_string(), again.to_string());
    let never = desk.core.backfill(&id("job"), from, from - TimeDelta::hours(9), desk.now);
    assert!(never.expect_err("not due").to_string().contains("not due"));
}

#[test]
fn what_is_older_than_its_policy_lets_it_be_expires() {
    let mut desk = Desk::new();
    let mut job = spec("job", r#"{"expression": "0 * * * *"}"#, "cron");
    job.misfire.max_age = Some(TimeDelta::hours(2));
    job.misfire.policy = Misfire::RunAll;
    desk.add(job);
    desk.pass(TimeDelta::minutes(5 * 60 + 30));
    assert_eq!(desk.ledger("job"), ["03:00:00 expired 3", "06:00:00 ran 1", "07:00:00 claimed 1"]);
    let since = FireFilter { since: Some(instant("2026-11-23T06:00:00Z")), ..FireFilter::default() };
    assert_eq!(desk.core.fires(&id("job"), &since, desk.now).expect("rows").len(), 2);
    let newest = FireFilter { limit: Some(1), ..FireFilter::default() };
    let newest = desk.core.fires(&id("job"), &newest, desk.now).expect("rows");
    assert_eq!(newest[0].due_at, instant("2026-11-23T07:00:00.000Z"));
}

//! Places for runs: of all, of a group, of a pipeline.

use leverframe::base::id::RunId;

use super::{error, go, policy, until, wait_for_begin, wait_for_ends, with_priority};
use crate::support::bench::Bench;
use crate::support::process::look_until;
use crate::support::start;

#[test]
fn places_go_by_priority_and_one_may_be_admitted_beyond_them() {
    let bench = Bench::new();
    let (engine, events) = bench.open_with(policy(|policy| policy.max_concurrent_runs = Some(1)));
    let first = start(&engine, "first", &until(&bench, "a", "", "", "first"));
    wait_for_begin(&bench, &first);
    let low = with_priority(&engine, "low", &until(&bench, "b", "", "", "rest"), 1);
    let high = with_priority(&engine, "high", &until(&bench, "b", "", "", "rest"), 7);
    let extra = with_priority(&engine, "extra", &until(&bench, "b", "", "", "rest"), 0);
    assert_eq!(error(&engine, &low), "Waiting for a place: 1 of 1 taken; run first has one");
    engine.admit_execution(&extra).expect("it waits");
    wait_for_begin(&bench, &extra);
    let refused = engine.admit_execution(&extra).expect_err("nothing of it waits");
    assert!(refused.to_string().contains("waits to be admitted"), "{refused}");
    go(&bench, "first");
    go(&bench, "rest");
    wait_for_ends(&events, &[first, low.clone(), high.clone(), extra]);
    let story = bench.lines("story");
    let begin = |run: &RunId| story.iter().position(|line| *line == format!("begin {run}"));
    assert!(begin(&high) < begin(&low), "{story:?}");
}

#[test]
fn groups_and_pipelines_have_places_of_their_own() {
    let bench = Bench::new();
    let (engine, events) =
        bench.open_with(policy(|policy| policy.groups = [("scrapers".to_owned(), 1)].into()));
    let of_group = |id: &str| until(&bench, id, "group = \"scrapers\"", "", "go");
    let a = start(&engine, "a-1", &of_group("a"));
    let b = start(&engine, "b-1", &of_group("b"));
    let alone = until(&bench, "c", "max_concurrent_runs = 1", "", "go");
    let c = start(&engine, "c-1", &alone);
    let d = start(&engine, "c-2", &alone);
    assert_eq!(error(&engine, &b), "Waiting for a place in group scrapers: 1 of 1 taken; run a-1 has one");
    assert_eq!(error(&engine, &d), "Waiting for a place among the runs of c: 1 of 1 taken; run c-1 has one");
    bench.let_go();
    wait_for_ends(&events, &[a, b, c, d]);
}

#[test]
fn who_has_the_place_is_told_at_last_also_where_it_passes_from_hand_to_hand() {
    let bench = Bench::new();
    let (engine, events) = bench.open_with(policy(|policy| policy.max_concurrent_runs = Some(1)));
    let first = start(&engine, "first", &until(&bench, "a", "", "", "first"));
    wait_for_begin(&bench, &first);
    let short = bench.pipeline("", &[("one", "", "true\n")]);
    let mut runs: Vec<RunId> =
        (0..9).map(|n| with_priority(&engine, &format!("short-{n}"), &short, 9)).collect();
    let last = with_priority(&engine, "last", &until(&bench, "b", "", "", "rest"), 5);
    let waiting = with_priority(&engine, "waiting", &until(&bench, "b", "", "", "rest"), 0);
    assert_eq!(error(&engine, &waiting), "Waiting for a place: 1 of 1 taken; run first has one");
    go(&bench, "first");
    wait_for_begin(&bench, &last);
    look_until("the last to be named", || {
        (error(&engine, &waiting) == "Waiting for a place: 1 of 1 taken; run last has one").then_some(())
    });
    go(&bench, "rest");
    runs.extend([first, last, waiting]);
    wait_for_ends(&events, &runs);
}

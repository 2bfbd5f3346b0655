//! The history: by filter, by number, in parts, and as of its mark.

use super::*;
use crate::store::{HistoryFilter, HistoryMark, RunWrite};

fn put(f: &Fixture, runs: impl IntoIterator<Item = Run>) {
    let writes: Vec<RunWrite> = runs.into_iter().map(|run| RunWrite::Run(Arc::new(run))).collect();
    f.store.commit(&writes).unwrap();
}

fn names(f: &Fixture, rows: &[i64]) -> Vec<String> {
    f.store.runs_in_rows(rows).unwrap().iter().map(|run| run.run_id.to_string()).collect()
}

fn other(run: Run) -> Run {
    Run { pipeline_id: PipelineId::new("other").unwrap(), ..run }
}

/// All that parts find, and how many parts there were.
fn searched(f: &Fixture, filter: &HistoryFilter, mark: &HistoryMark) -> (Vec<String>, usize) {
    let (mut rows, mut from, mut n_parts) = (Vec::new(), None, 0);
    loop {
        let part = f.store.history_part(filter, mark, from).unwrap();
        n_parts += 1;
        rows.extend(part.found.iter().map(|key| key.row));
        match part.next {
            Some(next) => from = Some(next),
            None => return (names(f, &rows), n_parts),
        }
    }
}

#[test]
fn each_filter_finds_the_same_by_number_by_parts_and_one_by_one() {
    let f = Fixture::new();
    let mut failed = run("b", RunState::Failed, 10);
    failed.error = Some("Step match failed: 100% of_it".into());
    put(
        &f,
        [
            run("a", RunState::Completed, 0),
            failed,
            run("c", RunState::Running, 20),
            other(run("d", RunState::Completed, 30)),
            run("e", RunState::Completed, 40),
            other(run("f", RunState::ForceStopped, 40)),
        ],
    );
    let mark = f.store.history_mark().unwrap();
    let check = |filter: HistoryFilter, expected: &[&str]| {
        assert_eq!(searched(&f, &filter, &mark), (expected.iter().map(ToString::to_string).collect(), 1));
        for run in f.store.list_runs(&Default::default()).unwrap().iter().filter(|run| run.state.is_ended()) {
            let is_expected = expected.contains(&run.run_id.as_str());
            assert_eq!(filter.matches(run), is_expected, "{} by {filter:?}", run.run_id);
        }
        if filter.text.is_empty() {
            let rows = f.store.history_rows(&filter, &mark, 0, 100).unwrap();
            assert_eq!(names(&f, &rows), expected, "{filter:?}");
            assert_eq!(f.store.count_history(&filter, &mark).unwrap(), expected.len());
            let second = f.store.history_rows(&filter, &mark, 1, 1).unwrap();
            assert_eq!(names(&f, &second), expected[1..expected.len().min(2)], "{filter:?}");
        }
    };
    let all = HistoryFilter::default;
    let other = PipelineId::new("other").ok();
    check(all(), &["f", "e", "d", "b", "a"]);
    check(HistoryFilter { pipeline: other.clone(), ..all() }, &["f", "d"]);
    check(HistoryFilter { state: Some(RunState::Completed), ..all() }, &["e", "d", "a"]);
    let both = HistoryFilter { pipeline: other, state: Some(RunState::Completed), ..all() };
    check(both.clone(), &["d"]);
    check(HistoryFilter { since: Some(at(30)), ..all() }, &["f", "e", "d"]);
    check(HistoryFilter { text: "STEP Match".into(), ..all() }, &["b"]);
    check(HistoryFilter { text: "100% of_".into(), ..all() }, &["b"]);
    check(HistoryFilter { text: "1_0".into(), ..all() }, &[]);
    check(HistoryFilter { text: "page 12".into(), ..both }, &["d"]);
    let pipelines = f.store.pipelines_with_runs().unwrap();
    assert_eq!(pipelines.iter().map(PipelineId::as_str).collect::<Vec<_>>(), ["nightly", "other"]);
}

#[test]
fn what_ends_after_the_mark_moves_no_row() {
    let f = Fixture::new();
    put(&f, [run("a", RunState::Completed, 0), run("b", RunState::Running, 10)]);
    put(&f, [run("c", RunState::Failed, 20)]);
    let mark = f.store.history_mark().unwrap();
    put(&f, [run("b", RunState::Completed, 10), run("d", RunState::Completed, 5)]);
    let all = HistoryFilter::default();
    let rows = f.store.history_rows(&all, &mark, 0, 9).unwrap();
    assert_eq!(names(&f, &rows), ["c", "a"]);
    assert_eq!(f.store.count_history(&all, &mark).unwrap(), 2);
    // What is taken up again stays in its row.
    put(&f, [run("c", RunState::Running, 20)]);
    assert_eq!(f.store.history_rows(&all, &mark, 0, 9).unwrap(), rows);
    let later = f.store.history_mark().unwrap();
    let rows = f.store.history_rows(&all, &later, 0, 9).unwrap();
    assert_eq!(names(&f, &rows), ["b", "d", "a"]);
}

#[test]
fn many_runs_are_searched_in_parts_and_none_is_left_out_where_many_began_at_one_instant() {
    let f = Fixture::new();
    // More than a part at one instant, and a part on either side.
    let started = |n: i64| if n < 3000 { n } else { 3000 + (n - 3000) / 21_000 };
    put(&f, (0..26_000).map(|n| run(&format!("r{n}"), RunState::Completed, started(n))));
    let mark = f.store.history_mark().unwrap();
    let (found, n_parts) = searched(&f, &HistoryFilter::default(), &mark);
    let expected: Vec<String> = (0..26_000).rev().map(|n| format!("r{n}")).collect();
    assert!(found == expected, "{} found", found.len());
    assert!(n_parts > 1);
    let text = HistoryFilter { text: "r2599".into(), ..HistoryFilter::default() };
    assert_eq!(searched(&f, &text, &mark).0.len(), 11);
}

#[test]
fn runs_are_found_by_their_end_among_the_latest_starts() {
    let f = Fixture::new();
    let ended =
        |name: &str, state, from, to| Run { phase: Phase::of(state, Some(at(to))), ..run(name, state, from) };
    put(
        &f,
        [
            ended("early", RunState::Completed, 0, 9),
            ended("long", RunState::Failed, 1, 15),
            ended("short", RunState::Completed, 11, 12),
            run("living", RunState::Running, 12),
            ended("late", RunState::Completed, 13, 20),
        ],
    );
    let found = |n_starts| -> Vec<String> {
        let runs = f.store.runs_ended_within((at(10), at(20)), n_starts).unwrap();
        runs.iter().map(|run| run.run_id.to_string()).collect()
    };
    assert_eq!(found(100), ["long", "short"]);
    assert_eq!(found(3), ["short"], "no more is looked through");
}

//! The history: by filter, by number, in parts, and as of its mark.

use super::*;
use crate::run::WorkTime;
use crate::store::{HistoryFilter, HistoryList, HistoryMark, HistoryOrder, RunWrite};

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

fn by(order: HistoryOrder, filter: &HistoryFilter) -> HistoryList {
    HistoryList { filter: filter.clone(), order }
}

/// All that is found in parts of `n`.
fn searched(f: &Fixture, list: &HistoryList, mark: &HistoryMark, n: usize) -> Vec<i64> {
    let (mut rows, mut after) = (Vec::new(), None);
    loop {
        let part = f.store.history_part(list, mark, after, n).unwrap();
        rows.extend(part.rows);
        if part.last.is_none() {
            return rows;
        }
        after = part.last;
    }
}

/// The names of all, by start.
fn newest(f: &Fixture, filter: &HistoryFilter, mark: &HistoryMark) -> Vec<String> {
    names(f, &searched(f, &by(HistoryOrder::Newest, filter), mark, 1000))
}

#[test]
fn each_filter_finds_the_same_in_either_order_in_parts_and_one_by_one() {
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
        assert_eq!(newest(&f, &filter, &mark), expected, "{filter:?}");
        for order in [HistoryOrder::Newest, HistoryOrder::Longest] {
            let list = by(order, &filter);
            let whole = searched(&f, &list, &mark, 1000);
            assert_eq!(whole.len(), expected.len(), "{list:?}");
            for n in 1..4 {
                assert_eq!(searched(&f, &list, &mark, n), whole, "{list:?} in parts of {n}");
            }
        }
        for run in f.store.list_runs(&Default::default()).unwrap().iter().filter(|run| run.state.is_ended()) {
            let is_expected = expected.contains(&run.run_id.as_str());
            assert_eq!(filter.matches(run), is_expected, "{} by {filter:?}", run.run_id);
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
    assert_eq!(newest(&f, &all, &mark), ["c", "a"]);
    // What is taken up again stays in its row.
    put(&f, [run("c", RunState::Running, 20)]);
    assert_eq!(newest(&f, &all, &mark), ["c", "a"]);
    let later = f.store.history_mark().unwrap();
    assert_eq!(newest(&f, &all, &later), ["b", "d", "a"]);
}

#[test]
fn the_longest_are_those_that_worked_longest() {
    let f = Fixture::new();
    let took = |name: &str, seconds: i64| {
        let started_at = at(100);
        Run {
            phase: Phase::of(RunState::Completed, Some(started_at + TimeDelta::seconds(seconds))),
            ..run(name, RunState::Completed, 100)
        }
    };
    let mut frozen = took("frozen", 60);
    frozen.ledger.frozen_ms = 50_000;
    let mut resumed = took("resumed", 3600);
    resumed.attempt = 2;
    resumed.ledger.work = Some(WorkTime::default());
    resumed.ledger.work.as_mut().unwrap().worked_ms = 20_000;
    put(&f, [took("short", 5), frozen, resumed, took("long", 30), run("living", RunState::Running, 0)]);
    let mark = f.store.history_mark().unwrap();
    let list = by(HistoryOrder::Longest, &HistoryFilter::default());
    let found = searched(&f, &list, &mark, 2);
    assert_eq!(names(&f, &found), ["long", "resumed", "frozen", "short"]);
}

#[test]
fn the_indexes_by_length_have_the_runs_that_have_ended() {
    for state in RunState::ALL {
        let word = format!("'{}'", state.as_str());
        assert_eq!(!HAS_ENDED.contains(&word), state.is_ended(), "{word}");
    }
}

#[test]
fn many_runs_are_searched_in_parts_and_none_is_left_out_where_many_began_at_one_instant() {
    let f = Fixture::new();
    let started = |n: i64| if n < 30 { n } else { 30 + (n - 30) / 210 };
    put(&f, (0..2600).map(|n| run(&format!("r{n}"), RunState::Completed, started(n))));
    let mark = f.store.history_mark().unwrap();
    let expected: Vec<String> = (0..2600).rev().map(|n| format!("r{n}")).collect();
    for n in [100, 210, 2600] {
        let list = by(HistoryOrder::Newest, &HistoryFilter::default());
        let found = names(&f, &searched(&f, &list, &mark, n));
        assert!(found == expected, "{} found in parts of {n}", found.len());
    }
    let text = HistoryFilter { text: "r259".into(), ..HistoryFilter::default() };
    assert_eq!(newest(&f, &text, &mark).len(), 11);
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

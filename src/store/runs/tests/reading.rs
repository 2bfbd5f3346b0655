//! Questions: filters, names, plans of queries.

use super::*;
use crate::store::{RunFilter, RunWrite, run_id_base};

#[test]
fn runs_are_filtered_and_the_newest_comes_first() {
    let f = Fixture::new();
    let all = [
        run("a", RunState::Completed, 0),
        run("b", RunState::Failed, 10),
        run("c", RunState::Running, 20),
        Run { pipeline_id: PipelineId::new("other").unwrap(), ..run("d", RunState::Completed, 30) },
        run("e", RunState::Completed, 40),
    ];
    f.store.commit(&all.map(|run| RunWrite::Run(Arc::new(run)))).unwrap();
    let check = |filter: RunFilter, expected: &[&str]| {
        let found: Vec<String> =
            f.store.list_runs(&filter).unwrap().iter().map(|run| run.run_id.to_string()).collect();
        assert_eq!(found, expected, "{filter:?}");
    };
    let pipeline = || PipelineId::new("nightly").ok();
    check(RunFilter::default(), &["e", "d", "c", "b", "a"]);
    check(RunFilter { limit: Some(2), ..Default::default() }, &["e", "d"]);
    check(RunFilter { pipeline: pipeline(), ..Default::default() }, &["e", "c", "b", "a"]);
    check(RunFilter { since: Some(at(10)), until: Some(at(30)), ..Default::default() }, &["c", "b"]);
    let states = vec![RunState::Completed, RunState::Failed];
    check(RunFilter { states: states.clone(), ..Default::default() }, &["e", "d", "b", "a"]);
    check(RunFilter { states: states.clone(), limit: Some(3), ..Default::default() }, &["e", "d", "b"]);
    check(RunFilter { states, pipeline: pipeline(), until: Some(at(40)), ..Default::default() }, &["b", "a"]);
    let last = f.store.last_completed(&PipelineId::new("nightly").unwrap()).unwrap().unwrap();
    assert_eq!(last.run_id.as_str(), "e");
    let resumable: Vec<_> =
        f.store.list_resumable_executions().unwrap().into_iter().map(|r| r.run_id.to_string()).collect();
    assert_eq!(resumable, ["c", "b"]);
}

#[test]
fn a_change_of_state_moves_a_run_among_the_living_and_out() {
    let f = Fixture::new();
    let living = || f.store.load_living().unwrap().len();
    for (state, expected) in [
        (RunState::Queued, 1),
        (RunState::Running, 1),
        (RunState::Running, 1),
        (RunState::Failed, 0),
        (RunState::Running, 1),
        (RunState::Completed, 0),
    ] {
        f.store.commit(&[RunWrite::Run(Arc::new(run("r", state, 0)))]).unwrap();
        assert_eq!(living(), expected, "{state}");
        assert_eq!(f.store.load_summary(&run_id("r")).unwrap().unwrap().state, state);
    }
}

#[test]
fn a_name_that_exists_gets_a_number() {
    let f = Fixture::new();
    let base = run_id_base("alfabeta", at(0));
    assert_eq!(base, "alfabeta-20261123020000");
    let next = || f.store.next_run_id("alfabeta", at(0), |id| id.as_str().ends_with("-3")).unwrap();
    assert_eq!(next().as_str(), base);
    for name in [&base, &format!("{base}-2"), &format!("{base}.5")] {
        f.store.commit(&[RunWrite::Run(Arc::new(run(name, RunState::Queued, 0)))]).unwrap();
    }
    assert_eq!(next().as_str(), format!("{base}-4"));
}

#[test]
fn any_source_makes_a_name() {
    for source in ["", "äöü", "../x", "a b/c", &"x".repeat(500), "-_-"] {
        let base = run_id_base(source, at(0));
        assert!(RunId::new(format!("{base}-999999")).is_ok(), "{source:?} → {base:?}");
    }
}

#[test]
fn the_living_runs_are_found_by_index_alone() {
    let f = Fixture::new();
    let plan: Vec<String> = f.store.with_writer(|conn| {
        conn.prepare(
            "EXPLAIN QUERY PLAN SELECT run_id FROM execution_state INDEXED BY execution_state_by_state
             WHERE state IN ('queued', 'running', 'paused', 'stopping')",
        )
        .unwrap()
        .query_map([], |row| row.get(3))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap()
    });
    assert!(plan[0].starts_with("SEARCH"), "{plan:?}");
}

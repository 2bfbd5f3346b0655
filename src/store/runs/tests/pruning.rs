//! Retention: what goes, what stays, and in which order.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::store::{PruneReason, Retention, RunFilter, RunWrite};

const DAY: i64 = 24 * 60 * 60;

fn retention(days: u64, runs: usize, log_bytes: u64) -> Retention {
    Retention {
        max_age: Duration::from_secs(days * 24 * 60 * 60),
        max_runs_per_pipeline: runs,
        max_log_bytes: log_bytes,
    }
}

#[test]
fn old_runs_go_with_their_files_and_everything_that_belongs_to_them() {
    let f = Fixture::new();
    let old = Run { body: Body::Pipeline(definition("fetch")), ..run("old", RunState::Failed, -100 * DAY) };
    f.store
        .commit(&[
            RunWrite::Run(Arc::new(old)),
            RunWrite::Step { run_id: run_id("old"), step: Arc::new(step("fetch", StepState::Failed, 1)) },
            RunWrite::Step { run_id: run_id("old"), step: Arc::new(step("fetch", StepState::Failed, 2)) },
            checkpoint("old", "fetch", "1", at(-100 * DAY)),
            checkpoint("stray", "x", "1", at(-100 * DAY)),
            RunWrite::Run(Arc::new(run("new", RunState::Failed, -DAY))),
            RunWrite::Run(Arc::new(run("lost", RunState::Interrupted, -100 * DAY))),
        ])
        .unwrap();
    f.store.save_checkpoint("stray-but-new", "x", &json!(1)).unwrap();
    let folders = ["logs/old", "reports/old", "logs/new", "logs/lost"].map(|name| f.dir.path().join(name));
    for folder in &folders {
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join("fetch.1.log"), "text").unwrap();
    }
    let plan = f.store.plan_prune(&Retention::default(), at(0), |_| 4).unwrap();
    let named: Vec<_> = plan.runs.iter().map(|run| (run.run_id.as_str(), run.reason)).collect();
    assert_eq!(named, [("old", PruneReason::Old)]);
    assert_eq!(f.store.list_runs(&RunFilter::default()).unwrap().len(), 3, "a plan removes nothing");

    let report = f.store.apply_prune(&plan, f.dir.path()).unwrap();
    assert_eq!((report.n_runs, report.log_bytes, report.problems.len()), (1, 4, 0));
    assert_eq!(folders.map(|folder| folder.exists()), [false, false, true, true]);
    let count = |table: &str| -> i64 {
        f.store.with_writer(|c| {
            c.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
        })
    };
    let left = ["execution_state", "steps", "attempts", "definitions", "checkpoints"].map(count);
    assert_eq!(left, [2, 0, 0, 0, 1]);
    assert!(f.store.plan_prune(&Retention::default(), at(0), |_| 4).unwrap().runs.is_empty());
}

#[test]
fn a_run_that_was_taken_up_after_the_plan_stays() {
    let f = Fixture::new();
    let write = |state| f.store.commit(&[RunWrite::Run(Arc::new(run("r", state, -100 * DAY)))]).unwrap();
    write(RunState::Failed);
    let plan = f.store.plan_prune(&Retention::default(), at(0), |_| 0).unwrap();
    assert_eq!(plan.runs.len(), 1);
    write(RunState::Running);
    let log = f.dir.path().join("logs/r");
    std::fs::create_dir_all(&log).unwrap();
    assert_eq!(f.store.apply_prune(&plan, f.dir.path()).unwrap().n_runs, 0);
    assert!(log.exists() && f.store.load_summary(&run_id("r")).unwrap().is_some());
}

#[test]
fn a_folder_that_cannot_be_removed_keeps_its_row() {
    let f = Fixture::new();
    f.store.commit(&[RunWrite::Run(Arc::new(run("r", RunState::Failed, -100 * DAY)))]).unwrap();
    std::fs::create_dir_all(f.dir.path().join("logs")).unwrap();
    std::fs::write(f.dir.path().join("logs/r"), "a file where the folder should be").unwrap();
    let plan = f.store.plan_prune(&Retention::default(), at(0), |_| 0).unwrap();
    let report = f.store.apply_prune(&plan, f.dir.path()).unwrap();
    assert_eq!((report.n_runs, report.problems.len()), (0, 1));
    assert!(report.problems[0].contains("logs/r"));
    assert!(f.store.load_summary(&run_id("r")).unwrap().is_some());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn retention_keeps_what_it_must_and_no_more(
        rows in prop::collection::vec((0..RunState::ALL.len(), 0..3_u8, 0..200_i64, 0..100_u64), 0..40),
        days in 1..150_u64,
        max_runs in 1..8_usize,
        max_logs in 0..2000_u64,
    ) {
        let store = CheckpointManager::in_memory().unwrap();
        let mut sizes = BTreeMap::new();
        let mut writes = Vec::new();
        for (i, (state, pipeline, age, log)) in rows.iter().enumerate() {
            let mut row = run(&format!("r{i}"), RunState::ALL[*state], -age * DAY - i as i64);
            row.phase = Phase::of(row.state(), Some(row.started_at));
            row.pipeline_id = PipelineId::new(format!("p{pipeline}")).unwrap();
            sizes.insert(row.id.clone(), *log);
            writes.push(RunWrite::Run(Arc::new(row)));
        }
        store.commit(&writes).unwrap();
        let all = store.list_runs(&RunFilter::default()).unwrap();
        let limits = retention(days, max_runs, max_logs);
        let plan = store.plan_prune(&limits, at(0), |id| sizes[id]).unwrap();
        let goes = |id: &RunId| plan.runs.iter().any(|run| run.run_id == *id);
        let is_old = |run: &crate::run::RunSummary| run.started_at < at(-(days as i64) * DAY);

        for pipeline in ["p0", "p1", "p2"] {
            let of: Vec<_> = all.iter().filter(|run| run.pipeline_id.as_str() == pipeline).collect();
            if let Some(last) = of.iter().find(|run| run.state == RunState::Completed) {
                prop_assert!(!goes(&last.run_id), "the last completed run stays");
            }
            let completed_kept =
                of.iter().filter(|run| run.state == RunState::Completed && !goes(&run.run_id)).count();
            prop_assert!(completed_kept <= max_runs.max(1));
        }
        for run in &all {
            match run.state {
                RunState::Queued | RunState::Running | RunState::Paused | RunState::Stopping
                | RunState::Interrupted => prop_assert!(!goes(&run.run_id)),
                RunState::Failed | RunState::Stopped | RunState::ForceStopped => {
                    prop_assert_eq!(goes(&run.run_id), is_old(run));
                }
                RunState::Completed => {}
            }
        }
        prop_assert!(plan.runs.windows(2).all(|pair| pair[0].started_at <= pair[1].started_at));

        // Logs: as few as needed, the oldest first, and none of a run that must stay whole.
        let kept: u64 = all.iter().filter(|run| !goes(&run.run_id)).map(|run| sizes[&run.run_id]).sum();
        let freed: u64 = plan.logs.iter().map(|run| run.log_bytes).sum();
        if let Some(newest) = plan.logs.last() {
            prop_assert!(kept - freed + newest.log_bytes > max_logs, "no more than needed");
        }
        for log in &plan.logs {
            prop_assert!(log.state.is_ended() && log.state != RunState::Interrupted);
            prop_assert!(!goes(&log.run_id));
        }

        let dir = tempfile::tempdir().unwrap();
        let report = store.apply_prune(&plan, dir.path()).unwrap();
        prop_assert_eq!(report.n_runs, plan.runs.len());
        prop_assert_eq!(store.list_runs(&RunFilter::default()).unwrap().len(), all.len() - plan.runs.len());
        prop_assert!(store.plan_prune(&limits, at(0), |_| 0).unwrap().runs.is_empty(), "once is enough");
    }
}

#[test]
fn what_a_prune_that_was_broken_off_has_put_aside_is_given_back_or_removed() {
    let f = Fixture::new();
    f.store.commit(&[RunWrite::Run(Arc::new(run("kept", RunState::Failed, -DAY)))]).unwrap();
    for name in [".pruned-kept", ".pruned-gone"] {
        let folder = f.dir.path().join("logs").join(name);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("fetch.1.log"), "text").unwrap();
    }
    let plan = f.store.plan_prune(&Retention::default(), at(0), |_| 4).unwrap();
    f.store.apply_prune(&plan, f.dir.path()).unwrap();
    let left: Vec<_> =
        std::fs::read_dir(f.dir.path().join("logs")).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(left, ["kept"]);
    assert!(f.dir.path().join("logs/kept/fetch.1.log").exists());
}

/// A second prune looks at folders that are set aside only after the first has committed.
#[test]
fn what_another_prune_has_put_aside_and_not_yet_recorded_is_not_given_back() {
    let f = Fixture::new();
    f.store.commit(&[RunWrite::Run(Arc::new(run("old", RunState::Failed, -100 * DAY)))]).unwrap();
    std::fs::create_dir_all(f.dir.path().join("logs/old")).unwrap();
    let second = CheckpointManager::open(f.dir.path().join("checkpoints.db")).unwrap();
    // Capacity 1: sent once.
    let (tell, told) = crossbeam_channel::bounded(1);
    std::thread::scope(|scope| {
        f.store
            .database()
            .transaction(|tx| {
                let aside =
                    crate::store::runs::aside::Aside::put(f.dir.path(), &["logs"], &run_id("old")).unwrap();
                crate::store::runs::prune::remove_rows(tx, &run_id("old"))?;
                scope.spawn(|| {
                    second.clear_aside(f.dir.path()).unwrap();
                    tell.send(()).unwrap();
                });
                // The second prune must wait for this commit. A prune that does not wait has the time to do harm.
                told.recv_timeout(Duration::from_millis(200)).ok();
                drop(aside);
                Ok(())
            })
            .unwrap();
    });
    assert_eq!(std::fs::read_dir(f.dir.path().join("logs")).unwrap().count(), 0);
}

/// Each commit of a resume and each prune is whole: a resumed run has kept its files and rows, and a resume of a pruned
/// run is refused.
#[test]
fn a_run_that_is_taken_up_while_it_is_pruned_keeps_everything_or_is_refused() {
    let f = Fixture::new();
    let n = 60;
    let id = |i: usize| format!("r{i}");
    for i in 0..n {
        let one = run(&id(i), RunState::Failed, -100 * DAY);
        f.store.commit(&[RunWrite::Run(Arc::new(one))]).unwrap();
        f.store.save_checkpoint(id(i), "fetch", &json!(1)).unwrap();
        std::fs::create_dir_all(f.dir.path().join("logs").join(id(i))).unwrap();
    }
    let plan = f.store.plan_prune(&Retention::default(), at(0), |_| 4).unwrap();
    assert_eq!(plan.runs.len(), n);
    let taken: Vec<bool> = std::thread::scope(|scope| {
        let taker = scope.spawn(|| {
            let take = |i: usize| {
                let taken = run(&id(i), RunState::Running, -100 * DAY);
                let attempt = taken.attempt;
                let expected = RunWrite::Expect { run_id: run_id(&id(i)), state: RunState::Failed, attempt };
                f.store.commit(&[expected, RunWrite::Run(Arc::new(taken))]).is_ok()
            };
            (0..n).rev().map(take).collect::<Vec<_>>()
        });
        f.store.apply_prune(&plan, f.dir.path()).unwrap();
        let mut taken = taker.join().unwrap();
        taken.reverse();
        taken
    });
    for (i, taken) in taken.into_iter().enumerate() {
        let has_logs = f.dir.path().join("logs").join(id(i)).exists();
        let has_row = f.store.load_summary(&run_id(&id(i))).unwrap().is_some();
        let has_checkpoint = f.store.load_checkpoint(run_id(&id(i)), step_id("fetch")).unwrap().is_some();
        assert_eq!((has_logs, has_row, has_checkpoint), (taken, taken, taken), "run {i}");
    }
}

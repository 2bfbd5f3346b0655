//! The scheduler with a real engine: on time by the real clock, and killed at random moments.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::TimeDelta;
use leverframe::DesktopScheduler;
use leverframe::engine::now;
use leverframe::id::PipelineId;
use leverframe::run::EventKind;
use leverframe::schedule::ScheduleConfig;
use leverframe::scheduler::{JobSpec, OfflineScheduler, SchedulerError};
use leverframe::store::{CheckpointManager, DataDir, FireFilter, RunFilter};

use super::desk::{id, instant, whole};
use crate::support::engine_process::EngineProcess;
use crate::support::process::let_pass;
use crate::support::{definition, open_engine, wait_for};

/// A job that comes once, so much later.
fn soon(name: &str, pipeline: &str) -> JobSpec {
    let schedule = ScheduleConfig::Once { at: now().wall + TimeDelta::milliseconds(300) };
    JobSpec::new(id(name), PipelineId::new(pipeline).expect("a name"), schedule)
}

#[test]
fn a_job_fires_by_the_clock_and_its_step_is_told_by_what() {
    let dir = tempfile::tempdir().expect("a directory");
    let engine = open_engine(dir.path());
    let events = engine.subscribe();
    let told = dir.path().join("told");
    let text =
        format!("id = \"p\"\n[[step]]\nid = \"a\"\nrun = \"env | grep ^LEVERFRAME_ > {}\"\n", told.display());
    let pipeline = definition(&text);
    let scheduler = DesktopScheduler::open(&engine, move |wanted| match wanted.as_str() {
        "p" => Ok(pipeline.clone()),
        other => Err(format!("there is no pipeline {other:?}")),
    })
    .expect("it opens");
    scheduler.start().expect("it starts");
    let job = scheduler.schedule_job(soon("job", "p")).expect("it is added");
    let due = instant(job.next_run.as_deref().expect("it is due"));
    let fired = wait_for(&events, "job_fired", |event| event.kind.name() == "job_fired");
    assert!(fired.at >= due, "never early");
    wait_for(&events, "the end", |event| matches!(event.kind, EventKind::ExecutionCompleted { .. }));
    let env = std::fs::read_to_string(&told).expect("the step ran");
    let has = |line: &str| env.lines().any(|other| other.starts_with(line));
    let zone: chrono_tz::Tz = job.zone.parse().expect("a zone");
    let local = due.with_timezone(&zone).to_rfc3339_opts(chrono::SecondsFormat::Millis, false);
    for line in
        ["LEVERFRAME_TRIGGER=schedule", "LEVERFRAME_JOB_ID=job", &format!("LEVERFRAME_DUE_AT={local}")]
    {
        assert!(has(line), "{line} is not in\n{env}");
    }
    assert!(!has("LEVERFRAME_PREVIOUS_DUE_AT"), "there was none");
    let refused = scheduler.run_job_now(&id("no-job")).expect_err("no such job");
    assert!(matches!(refused, SchedulerError::NotFound { .. }));
    scheduler.run_job_now(&id("job")).expect("it runs by hand");
    wait_for(&events, "the end", |event| matches!(event.kind, EventKind::ExecutionCompleted { .. }));
    scheduler.stop();
    assert!(matches!(scheduler.list_jobs(), Err(SchedulerError::Stopped)));
    let offline = OfflineScheduler::open_read_only(dir.path());
    let jobs = offline.expect("it opens").core().list_jobs().expect("jobs");
    assert_eq!((jobs[0].run_count, jobs[0].enabled), (2, false));
}

#[test]
fn a_registered_function_is_a_jobs_target_too() {
    let dir = tempfile::tempdir().expect("a directory");
    let engine = open_engine(dir.path());
    let events = engine.subscribe();
    engine.register_pipeline(PipelineId::new("rust").expect("a name"), |_| Ok(()));
    let scheduler = DesktopScheduler::open(&engine, |_| Err("there is none".into())).expect("it opens");
    scheduler.start().expect("it starts");
    scheduler.schedule_job(soon("job", "rust")).expect("it is added");
    let refused = scheduler.schedule_job(soon("other", "none")).expect_err("there is none");
    assert!(refused.to_string().contains("there is none"), "{refused}");
    wait_for(&events, "the end", |event| matches!(event.kind, EventKind::ExecutionCompleted { .. }));
    scheduler.stop();
    let busy =
        OfflineScheduler::open(&DataDir::open(dir.path()).expect("a directory"), |_| Err(String::new()));
    assert!(matches!(busy.err(), Some(SchedulerError::DataDir(_))), "the engine holds it");
}

#[test]
fn an_engine_killed_at_random_moments_loses_no_fire_and_doubles_none() {
    const N_JOBS: usize = 10;
    let dir = tempfile::tempdir().expect("a directory");
    let p = "id = \"p\"\nmax_parallel = 1\n[[step]]\nid = \"a\"\nrun = [\"true\"]\n";
    std::fs::write(dir.path().join("p.toml"), p).expect("a file");
    let mut process = EngineProcess::open(dir.path());
    for i in 0..N_JOBS {
        process.order(&format!("schedule p job-{i} interval {{\"seconds\":1}}"));
    }
    // No two runs of the campaign meet the same moments: the clock is the dice.
    for round in 0..8 {
        let dice = (now().wall.timestamp_subsec_nanos() / 1000 + round * 131) % 700;
        let_pass(Duration::from_millis(u64::from(dice) + 300));
        process.kill();
        process = EngineProcess::open(dir.path());
    }
    // The last ones are booked, and nothing is due after this.
    let_pass(Duration::from_millis(1500));
    assert!(process.leave().success());
    let process = EngineProcess::open(dir.path());
    process.wait_for_event("job_fired");
    let_pass(Duration::from_millis(1500));
    assert!(process.leave().success());

    let runs = CheckpointManager::open_read_only(dir.path().join("checkpoints.db")).expect("it opens");
    let recorded: BTreeSet<String> = runs
        .list_runs(&RunFilter::default())
        .expect("runs")
        .iter()
        .map(|run| run.run_id.to_string())
        .collect();
    let mut named = BTreeSet::new();
    let mut offline = OfflineScheduler::open_read_only(dir.path()).expect("it opens");
    for i in 0..N_JOBS {
        let rows =
            offline.core().fires(&id(&format!("job-{i}")), &FireFilter::default(), now()).expect("rows");
        assert!(rows.len() > 5, "{rows:?}");
        let n_instants = rows.iter().map(|row| row.n_instants).sum();
        whole(&rows, TimeDelta::seconds(1), n_instants);
        for row in rows {
            match row.outcome.as_str() {
                "ran" => {
                    let run_id = row.run_id.expect("a run");
                    assert!(recorded.contains(&run_id), "{run_id} ran and is not there");
                    assert!(named.insert(run_id), "one run a row");
                }
                "claimed" | "skipped" | "coalesced" => {}
                other => panic!("{other}: {:?}", row.reason),
            }
        }
    }
    let left: BTreeSet<&String> = recorded.difference(&named).collect();
    // What was started in the last moment may be claimed still; a run that nobody claimed there is none.
    let claimed = offline.core().store().unbooked_run_ids().expect("names");
    assert!(left.iter().all(|run_id| claimed.contains(*run_id)), "{left:?}");
}

//! The scheduler with a real engine: on time by the real clock, and killed at random moments.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use leverframe::DesktopScheduler;
use leverframe::base::id::PipelineId;
use leverframe::engine::now;
use leverframe::run::EventKind;
use leverframe::schedule::ScheduleConfig;
use leverframe::scheduler::{JobSpec, SchedulerError};
use leverframe::store::{CheckpointManager, DataDir, FireFilter, JobStore, RunFilter};

use super::desk::{id, whole};
use crate::support::engine_process::EngineProcess;
use crate::support::process::let_pass;
use crate::support::{definition, open_engine, wait_for};

/// A job that comes once, so much later.
fn soon(name: &str, pipeline: &str) -> JobSpec {
    let schedule = ScheduleConfig::Once { at: now().wall + TimeDelta::milliseconds(300) };
    JobSpec::new(id(name), pipeline, schedule).expect("a name")
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
    let scheduler = DesktopScheduler::open_with(&engine, move |wanted| match wanted.as_str() {
        "p" => Ok(pipeline.clone()),
        other => Err(format!("there is no pipeline {other:?}")),
    })
    .expect("it opens");
    scheduler.start().expect("it starts");
    let job = scheduler.schedule_job(soon("job", "p")).expect("it is added");
    let due = job.next_run.expect("it is due");
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
    let jobs = DesktopScheduler::read_only(dir.path()).list_jobs().expect("jobs");
    assert_eq!((jobs[0].run_count, jobs[0].enabled), (2, false));
}

#[test]
fn a_registered_function_is_a_jobs_target_too() {
    let dir = tempfile::tempdir().expect("a directory");
    let engine = open_engine(dir.path());
    let events = engine.subscribe();
    engine.register_pipeline(PipelineId::new("rust").expect("a name"), |_| Ok(()));
    let scheduler = DesktopScheduler::open_with(&engine, |_| Err("there is none".into())).expect("it opens");
    scheduler.start().expect("it starts");
    scheduler.schedule_job(soon("job", "rust")).expect("it is added");
    let refused = scheduler.schedule_job(soon("other", "none")).expect_err("there is none");
    assert!(refused.to_string().contains("there is none"), "{refused}");
    wait_for(&events, "the end", |event| matches!(event.kind, EventKind::ExecutionCompleted { .. }));
    scheduler.stop();
}

#[test]
fn without_an_engine_jobs_are_changed_in_the_database_and_the_next_engine_fires_them() {
    let dir = tempfile::tempdir().expect("a directory");
    let data_dir = DataDir::open(dir.path()).expect("a directory");
    let pipeline = definition("id = \"p\"\n[[step]]\nid = \"a\"\nrun = \"true\"\n");
    let find = move |_: &PipelineId| Ok(pipeline.clone());
    {
        let lock = data_dir.lock().expect("it is free");
        let jobs = DesktopScheduler::under_lock(&lock, &data_dir, find.clone());
        jobs.schedule_job(soon("job", "p")).expect("it is added");
        assert!(!jobs.disable_job(&id("job")).expect("it is there").enabled);
        assert!(jobs.enable_job(&id("job")).expect("it is there").enabled);
        assert_eq!(jobs.rename_job(&id("job"), &id("new")).expect("it is there").job_id, "new");
        let refused = jobs.run_job_now(&id("new")).expect_err("nothing runs it");
        assert!(matches!(refused, SchedulerError::NoEngine(_)), "{refused}");
        assert!(matches!(jobs.start(), Err(SchedulerError::NoEngine(_))));
        assert!(!jobs.is_started());
        let looked_at = DesktopScheduler::read_only(dir.path());
        assert_eq!(looked_at.list_jobs().expect("jobs").len(), 1);
        looked_at.unschedule_job(&id("new")).expect_err("it is only looked at");
    }
    let engine = open_engine(dir.path());
    let events = engine.subscribe();
    let beside = DesktopScheduler::beside(&engine, find.clone());
    beside.schedule_job(soon("other", "p")).expect("it is added");
    let scheduler = DesktopScheduler::open_with(&engine, find).expect("it opens");
    scheduler.start().expect("it starts");
    for _ in ["new", "other"] {
        wait_for(&events, "a fire", |event| event.kind.name() == "job_fired");
    }
    scheduler.stop();
}

#[test]
fn an_engine_killed_at_random_moments_loses_no_fire_and_doubles_none() {
    // The long form: fifty jobs each second, for as long as the campaign says.
    let campaign = std::env::var("LEVERFRAME_CAMPAIGN_SECONDS").ok();
    let seconds: Option<u64> = campaign.map(|text| text.parse().expect("a number of seconds"));
    let n_jobs = if seconds.is_some() { 50 } else { 10 };
    let until = Instant::now() + Duration::from_secs(seconds.unwrap_or(6));
    let dir = tempfile::tempdir().expect("a directory");
    let p = "id = \"p\"\nmax_parallel = 1\n[[step]]\nid = \"a\"\nrun = [\"true\"]\n";
    std::fs::create_dir(dir.path().join("pipelines")).expect("a folder");
    std::fs::write(dir.path().join("pipelines/p.toml"), p).expect("a file");
    let mut process = EngineProcess::open(dir.path());
    for i in 0..n_jobs {
        process.order(&format!("schedule p job-{i} interval {{\"seconds\":1}}"));
    }
    // No two runs of the campaign meet the same moments: the clock is the dice.
    let mut round = 0;
    while Instant::now() < until {
        round += 1;
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
    let jobs = DesktopScheduler::read_only(dir.path());
    for i in 0..n_jobs {
        let rows = jobs.fires(&id(&format!("job-{i}")), FireFilter::default()).expect("rows");
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
    let store = JobStore::open_read_only(dir.path().join("scheduler.db")).expect("it opens");
    let claimed = store.unbooked_run_ids().expect("names");
    assert!(left.iter().all(|run_id| claimed.contains(*run_id)), "{left:?}");
}

#[test]
fn a_run_of_a_job_that_lacks_a_secret_is_held_for_its_grace_and_then_fails() {
    let dir = tempfile::tempdir().expect("a directory");
    let engine = open_engine(dir.path());
    let events = engine.subscribe();
    let text = "id = \"p\"\n[params.token]\nsecret = { env = \"LEVERFRAME_TEST_NO_SUCH_SECRET\" }\n[[step]]\nid = \"a\"\nrun = \"true\"\nretries = { max = 3, delay = \"1h\" }\n[[step]]\nid = \"told\"\nwhen = \"on_failure\"\nrun = \"true\"\n";
    let pipeline = definition(text);
    let scheduler = DesktopScheduler::open_with(&engine, move |_| Ok(pipeline.clone())).expect("it opens");
    scheduler.start().expect("it starts");
    let mut job = soon("job", "p");
    job.misfire.grace = TimeDelta::milliseconds(1500);
    scheduler.schedule_job(job).expect("it is added");
    wait_for(&events, "that it is held", |event| matches!(event.kind, EventKind::ExecutionPaused { .. }));
    let view = scheduler.get_job(&id("job")).expect("it is there");
    let held = view.held.expect("it is held");
    assert!(held.starts_with("held: secret token is missing"), "{held}");
    let failed = wait_for(&events, "its end", |event| matches!(event.kind, EventKind::StepFinished { .. }));
    let EventKind::StepFinished { step } = &failed.kind else { unreachable!("it was looked for") };
    let error = step.error.as_deref().unwrap_or_default();
    assert!(error.contains("secret token is missing") && error.contains("waited 1s for it"), "{error}");
    // The steps that follow a failure lack it as well, and are given up in their turn.
    wait_for(&events, "its end", |event| matches!(event.kind, EventKind::ExecutionFailed { .. }));
    assert_eq!(scheduler.get_job(&id("job")).expect("it is there").held, None);
    scheduler.stop();
}

#[test]
fn a_scheduler_whose_thread_panics_leaves_no_process_that_fires_nothing() {
    const NAME: &str =
        "test_desktop_scheduler::live::a_scheduler_whose_thread_panics_leaves_no_process_that_fires_nothing";
    if let Some(dir) = std::env::var_os("LEVERFRAME_TEST_DIES_IN") {
        let engine = open_engine(dir.as_ref());
        let scheduler = DesktopScheduler::open_with(&engine, |_| panic!("no reason")).expect("it opens");
        scheduler.start().expect("it starts");
        // The thread may be gone a moment before the process: then the answer is that it has stopped.
        let answer = scheduler.schedule_job(soon("job", "p"));
        assert!(answer.is_err(), "{answer:?}");
        let _ = crossbeam_channel::never::<()>().recv_timeout(crate::support::DEADLINE);
        unreachable!("the process has ended");
    }
    let dir = tempfile::tempdir().expect("a directory");
    let mut again = std::process::Command::new(std::env::current_exe().expect("a path"));
    again.args(["--exact", NAME, "--nocapture"]).env("LEVERFRAME_TEST_DIES_IN", dir.path());
    let output = again.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), None, "it is ended by a signal: {said}");
    assert!(said.contains("thread \"lf-scheduler\" failed"), "{said}");
    drop(open_engine(dir.path()));
}

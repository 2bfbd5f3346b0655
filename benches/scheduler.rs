//! What the scheduler takes: how late jobs start beside what the machine needs for it, with and without 100,000 other
//! jobs; opening with these; waiting with these; and what firing costs beside starting a run by hand.
//!
//! `cargo bench --no-default-features --bench scheduler` prints a table.
#![expect(clippy::expect_used, reason = "a benchmark that fails panics")]

#[expect(dead_code, reason = "a benchmark uses what it needs of it")]
mod support;

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use leverframe::base::id::{JobId, PipelineId, RunId};
use leverframe::engine::now;
use leverframe::run::{EventKind, Plan};
use leverframe::schedule::ScheduleConfig;
use leverframe::scheduler::JobSpec;
use leverframe::store::JobStore;
use leverframe::{CoreExecutionEngine, DesktopScheduler};
use rusqlite::Connection;
use support::limits::{RawCommit, spawn_and_wait};
use support::process::{Part, cpu_seconds, memory, say, wait_for_the_end};
use support::runs::{engine, engine_without_steps, trues};
use support::{Goal, bench, let_pass, mib, ms, seconds};

const N_JOBS: usize = 100_000;
const N_FIRES: usize = 300;
/// From the first job that is added to the first that is due: a busy disk may take long to record them all.
const LEAD: TimeDelta = TimeDelta::seconds(15);
/// From one fire to the next: long enough for a run to end.
const GAP: TimeDelta = TimeDelta::milliseconds(50);
const IDLE: Duration = Duration::from_secs(60);

fn main() {
    bench("scheduler: lateness, start, idling and the cost of a fire", measure, |what, dir| match what {
        "idle" => idle(dir),
        _ => open(dir),
    });
}

fn measure(table: &mut support::Table) {
    let dir = tempfile::tempdir().expect("a directory");
    let raw = RawCommit::open(dir.path());
    for (what, folder, is_full) in [("alone", "alone", false), ("with 100,000 other jobs", "full", true)] {
        let data_dir = dir.path().join(folder);
        std::fs::create_dir(&data_dir).expect("a folder");
        if is_full {
            fill(&data_dir);
        }
        let late = lateness(&data_dir);
        // The same work, in the same minute, by nobody's clock, as far apart: a disk and a processor that have rested
        // are slower than those that have not.
        let rested = |i| {
            let_pass(Duration::from_millis(50));
            0.001 + raw.commit(i) + raw.commit(i + 1) + spawn_and_wait()
        };
        let limits: Vec<f64> = (0..N_FIRES).map(rested).collect();
        assert!(late.iter().all(|late| *late >= 0.0), "never early");
        let (ours, limit) = (percentile(&late, 99), percentile(&limits, 99));
        table.ratio(&format!("lateness, p99 of 300, {what}"), &[(ours, limit)], ms, Goal::AtMost(1.0));
        let medians = (percentile(&late, 50), percentile(&limits, 50));
        table.ratio(&format!("lateness, median, {what}"), &[medians], ms, Goal::None);
    }
    cost(table, &dir.path().join("cost"));
    let full = dir.path().join("full");
    let opened: Vec<f64> = (0..7).map(|_| Part::start("open", &full).numbers()[0]).collect();
    table.value("start with 100,000 jobs", &opened, ms, Goal::AtMost(0.3));
    let mut part = Part::start("idle", &full);
    part.numbers();
    // What the start leaves to be done a moment later is not idling.
    let_pass(Duration::from_secs(2));
    let before = cpu_seconds(part.pid());
    let_pass(IDLE);
    let used = cpu_seconds(part.pid()) - before;
    table.value("idle with 100,000 jobs, CPU", &[used / IDLE.as_secs_f64()], percent, Goal::AtMost(0.0005));
    table.value("idle with 100,000 jobs, memory", &[memory(part.pid(), "VmRSS")], mib, Goal::AtMost(40e6));
}

/// How long after their instants the processes of jobs were started.
fn lateness(data_dir: &Path) -> Vec<f64> {
    let engine = engine(data_dir);
    let events = engine.subscribe();
    let scheduler = scheduler(&engine);
    scheduler.start().expect("it starts");
    let first = now().wall + LEAD;
    add(&scheduler, "warm", first - TimeDelta::seconds(1));
    for i in 0..N_FIRES {
        // Not in step with anything.
        add(&scheduler, &format!("job-{i}"), first + GAP * i as i32 + TimeDelta::milliseconds(i as i64 % 7));
    }
    let (mut due, mut started) = (HashMap::new(), HashMap::new());
    while due.len() < N_FIRES + 1 || started.len() < N_FIRES + 1 {
        let event = events.recv().expect("the engine lives");
        let Some(run_id) = event.run_id.clone() else { continue };
        if let EventKind::JobFired { due_at: Some(due_at), .. } = &event.kind {
            due.insert(run_id, *due_at);
        } else if let EventKind::StepStarted { step } = &event.kind {
            started.insert(run_id, step.started_at.expect("it was started"));
        }
    }
    scheduler.stop();
    let warm = due.iter().min_by_key(|(_, at)| **at).map(|(run_id, _)| run_id.clone());
    let late = |(run_id, due_at): (&RunId, &DateTime<Utc>)| {
        (started[run_id] - *due_at).num_nanoseconds().expect("a short time") as f64 / 1e9
    };
    due.iter().filter(|(run_id, _)| warm.as_ref() != Some(run_id)).map(late).collect()
}

/// CPU of this process for a fire, beside that for a run by hand.
fn cost(table: &mut support::Table, data_dir: &Path) {
    let engine = engine(data_dir);
    let events = engine.subscribe();
    let scheduler = scheduler(&engine);
    scheduler.start().expect("it starts");
    let pipeline = trues(1, "", "");
    let until_all_have_ended = || {
        let mut n = 0;
        while n < N_FIRES {
            let event = events.recv().expect("the engine lives");
            n += usize::from(matches!(event.kind, EventKind::ExecutionCompleted { .. }));
        }
        // What is booked after the last end belongs to it.
        let_pass(Duration::from_millis(200));
    };
    let me = std::process::id();
    let first = now().wall + LEAD;
    for i in 0..N_FIRES {
        add(&scheduler, &format!("job-{i}"), first + TimeDelta::milliseconds(10) * i as i32);
    }
    let before = cpu_seconds(me);
    until_all_have_ended();
    let fired = cpu_seconds(me) - before;
    let before = cpu_seconds(me);
    for _ in 0..N_FIRES {
        engine.start_pipeline(Plan::new(pipeline.clone(), Default::default())).expect("the run starts");
        let_pass(Duration::from_millis(9));
    }
    until_all_have_ended();
    let by_hand = cpu_seconds(me) - before;
    let each = (fired - by_hand) / N_FIRES as f64;
    table.value("CPU of a fire beside a run by hand", &[each], ms, Goal::AtMost(0.001));
    scheduler.stop();
}

/// The scheduler with its jobs, in a process of its own.
fn open(data_dir: &Path) {
    let engine = engine_without_steps(data_dir);
    let mut opened = None;
    let took = seconds(|| {
        let scheduler = scheduler(&engine);
        scheduler.start().expect("it starts");
        // Answered after its first look at what is due.
        scheduler.get_job(&job_id("other-1")).expect("it is there");
        opened = Some(scheduler);
    });
    say(&[took]);
    drop(opened);
}

/// The scheduler, in a process of its own, with nothing to do.
fn idle(data_dir: &Path) {
    let engine = engine_without_steps(data_dir);
    let scheduler = scheduler(&engine);
    scheduler.start().expect("it starts");
    say(&[1.0]);
    wait_for_the_end();
    scheduler.stop();
}

fn scheduler(engine: &CoreExecutionEngine) -> DesktopScheduler {
    let pipeline = trues(1, "", "");
    DesktopScheduler::open_with(engine, move |_| Ok(pipeline.clone())).expect("the scheduler opens")
}

fn add(scheduler: &DesktopScheduler, name: &str, at: DateTime<Utc>) {
    let pipeline = PipelineId::new("bench").expect("an id");
    let spec = JobSpec::new(job_id(name), pipeline, ScheduleConfig::Once { at }).expect("ids");
    scheduler.schedule_job(spec).expect("the job is added");
}

fn job_id(name: &str) -> JobId {
    JobId::new(name).expect("an id")
}

/// As many jobs as a script would write, all due tomorrow; read once, as at any start after the first.
fn fill(data_dir: &Path) {
    let path = data_dir.join("scheduler.db");
    drop(JobStore::open(&path).expect("a store"));
    let tomorrow = (now().wall + TimeDelta::days(1)).format("%Y-%m-%dT%H:%M:00Z");
    Connection::open(&path)
        .expect("it opens")
        .execute_batch(&format!(
            r#"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {N_JOBS})
               INSERT INTO scheduled_jobs (job_id, pipeline_id, source, schedule_type, schedule_config, next_run,
                 created_at)
               SELECT 'other-' || i, 'bench', 'bench', 'interval', '{{"days": 1}}', '{tomorrow}', '{tomorrow}' FROM n"#
        ))
        .expect("it is written");
}

fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

fn percent(share: f64) -> String {
    format!("{:.4} %", share * 100.0)
}

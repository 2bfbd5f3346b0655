//! The smallest program around the scheduler: a job that is due each night, on an engine of this program.
//!
//! `cargo run --no-default-features --example library_scheduler`
#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use std::time::Duration;

use leverframe::{CoreExecutionEngine, DesktopScheduler, EngineOptions, JobSpec, ScheduleConfig};

fn main() -> anyhow::Result<()> {
    // First of all: the steps of a job's run are children of a supervisor, which outlives this program. It is this same
    // program, started again; in that process the call never returns.
    leverframe::supervisor_entry();

    let scratch = tempfile::tempdir()?;
    std::env::set_current_dir(scratch.path())?;
    std::fs::create_dir_all("data/pipelines")?;
    std::fs::write("data/pipelines/alfabeta.toml", "[[step]]\nid = \"fetch\"\nrun = \"true\"\n")?;

    let engine = CoreExecutionEngine::open("data", EngineOptions::default())?;
    let scheduler = DesktopScheduler::open(&engine)?;
    scheduler.schedule_job(JobSpec::new("alfabeta-daily", "alfabeta", ScheduleConfig::daily(2, 0)?)?)?;
    scheduler.start()?;

    // The other schedules.
    let in_an_hour = chrono::Utc::now() + chrono::TimeDelta::hours(1);
    for (job_id, schedule) in [
        ("once", ScheduleConfig::once(in_an_hour)),
        ("interval", ScheduleConfig::interval(Duration::from_secs(6 * 3_600))),
        ("weekly", ScheduleConfig::weekly(0, 9, 0)?),
        ("cron", ScheduleConfig::cron("30 9 * * 1-5")?),
        ("after", ScheduleConfig::after(["alfabeta-daily"])?),
        ("manual", ScheduleConfig::manual()),
    ] {
        scheduler.schedule_job(JobSpec::new(job_id, "alfabeta", schedule)?)?;
    }
    for job in scheduler.list_jobs()? {
        println!("{} is {}", job.job_id, job.schedule_type);
    }
    scheduler.stop();
    Ok(())
}

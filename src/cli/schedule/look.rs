//! `leverframe schedule list`, `show`, `history` and `fires`. They read the disk, take no lock and change nothing.

use chrono::{DateTime, Utc};
use clap::Args;

use super::super::exit::{Failure, Outcome};
use super::super::output::{Cell, Colour, Page, ago, note, span_between};
use super::super::runs::moment;
use super::super::{Place, Print};
use super::jobs_on_disk;
use super::words::{next_of, on_wall, preview_of, zone_of};
use crate::api::exit_code::DONE;
use crate::api::{FireView, HistoryView, JobView, MAX_HISTORY};
use crate::base::id::JobId;
use crate::base::time::parse_instant;
use crate::daemon::{JobsFired, fires_by_itself, jobs_fired, name_missing_pipelines};
use crate::engine::now;
use crate::schedule::Outcome as FireOutcome;
use crate::settings::{Catalogue, Settings};
use crate::store::FireFilter;

/// How many of the newest and of the next fires `show` prints.
const SHOWN_FIRES: usize = 5;

#[derive(Debug, Args)]
pub(in crate::cli) struct ShowArgs {
    /// The job.
    job_id: JobId,
    #[command(flatten)]
    print: Print,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct HistoryArgs {
    /// The job.
    job_id: JobId,
    /// How many at most; default: 50.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    #[command(flatten)]
    print: Print,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct FiresArgs {
    /// The job.
    job_id: JobId,
    /// Only what was due then or later: an instant, a date, or a time back such as 2h or 7d.
    #[arg(long, value_name = "T")]
    from: Option<String>,
    /// Only what was due before then.
    #[arg(long, value_name = "T")]
    to: Option<String>,
    /// At most this many rows, the newest.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    #[command(flatten)]
    print: Print,
}

pub(super) fn list(print: &Print, place: &Place) -> Outcome {
    let mut jobs = jobs_on_disk(place)?.list_jobs()?;
    let path = place.path()?;
    name_missing_pipelines(&mut jobs, &Catalogue::scan(&path, &Settings::load(&path).unwrap_or_default()));
    let now = now().wall;
    print.form().print(&jobs, |page| {
        if jobs.is_empty() {
            note("there are no jobs; `leverframe schedule add JOB_ID --pipeline ID --daily 02:00` adds one");
            return Ok(());
        }
        let rows: Vec<_> = jobs.iter().map(|job| row(job, now)).collect();
        page.table(&["JOB", "PIPELINE", "WHEN", "NEXT", "LAST", "RUNS", ""], &rows)?;
        page.flush()?;
        match jobs.iter().any(fires_by_itself).then(|| jobs_fired(&path)) {
            Some(unless @ (JobsFired::No | JobsFired::Unknown { .. })) => note(unless),
            Some(JobsFired::Yes) | None => {}
        }
        Ok(())
    })?;
    Ok(DONE)
}

fn row(job: &JobView, now: DateTime<Utc>) -> Vec<Cell> {
    let wrong = job.problem.as_ref().or(job.trouble.as_ref());
    let colour = match (job.enabled, wrong) {
        (_, Some(_)) => Colour::Bad,
        (false, None) => Colour::Faint,
        (true, None) => Colour::Plain,
    };
    let last_run = job.last_run.as_deref().and_then(|text| parse_instant(text).ok());
    // If the newest due instant could not be started, that is the last news of the job.
    let failed = job.last_fire.as_ref().filter(|fire| {
        fire.outcome == FireOutcome::FailedToStart.as_str() && Some(fire.through_at) >= last_run
    });
    let last = match failed {
        Some(fire) => Some(format!("failed to start {}", ago(fire.through_at, now))),
        None => last_run.map(|at| ago(at, now)),
    };
    let remark = match (wrong, &job.held, failed, job.running.as_slice()) {
        (Some(wrong), ..) => wrong.clone(),
        (None, Some(held), ..) => held.clone(),
        (None, None, _, [run_id]) => format!("{run_id} is under way"),
        (None, None, Some(fire), []) => fire.reason.clone().unwrap_or_default(),
        (None, None, None, []) => String::new(),
        (None, None, _, several) => format!("{} runs are under way", several.len()),
    };
    vec![
        Cell::of(colour, &job.job_id),
        Cell::plain(&job.pipeline_id),
        Cell::plain(&job.words),
        Cell::of(colour, next_of(job, now)),
        Cell::of(if failed.is_some() { Colour::Bad } else { Colour::Plain }, last.unwrap_or_default()),
        Cell::figure(job.run_count.to_string()),
        Cell::plain(remark),
    ]
}

pub(super) fn show(args: &ShowArgs, place: &Place) -> Outcome {
    let job_id = args.job_id.clone();
    let (mut job, fires) = jobs_on_disk(place)?.look(move |core| {
        let filter = FireFilter { limit: Some(SHOWN_FIRES), ..FireFilter::default() };
        Ok((core.get_job(&job_id)?, core.fires(&job_id, &filter, now())?))
    })?;
    let path = place.path()?;
    let catalogue = Catalogue::scan(&path, &Settings::load(&path).unwrap_or_default());
    name_missing_pipelines(std::slice::from_mut(&mut job), &catalogue);
    args.print.form().print(&job, |page| describe(page, &job, &fires, now().wall))?;
    Ok(DONE)
}

fn describe(page: &mut Page, job: &JobView, fires: &[FireView], now: DateTime<Utc>) -> Result<(), Failure> {
    page.line(format_args!("job {}: {}", job.job_id, job.words))?;
    if let Some(problem) = &job.problem {
        page.line(format_args!("it never fires: {problem}"))?;
    }
    let enabled = if job.enabled { "" } else { " (disabled)" };
    page.line(format_args!("pipeline   {}{enabled}", job.pipeline_id))?;
    page.line(format_args!("next       {}", next_of(job, now)))?;
    page.line(format_args!("runs       {}", job.run_count))?;
    page.line(format_args!("misfire    {}", job.misfire))?;
    page.line(format_args!("overlap    {}", job.overlap))?;
    for (name, value) in &job.params {
        page.line(format_args!("param      {name}={value}"))?;
    }
    if let Some(file) = &job.file {
        page.line(format_args!("file       {file} (its timing is edited there)"))?;
    }
    for run_id in &job.running {
        page.line(format_args!("under way  {run_id}"))?;
    }
    for wrong in job.held.iter().chain(&job.trouble) {
        page.line(format_args!("waits      {wrong}"))?;
    }
    let zone = zone_of(job);
    if let Some(preview) = preview_of(job, now, SHOWN_FIRES).filter(|_| job.enabled) {
        for fire in preview.fires {
            page.line(format_args!("due        {}", on_wall(fire.at, zone)))?;
        }
        for change in preview.clock_changes {
            page.line(format_args!("clock      {}", change.text))?;
        }
    }
    if !fires.is_empty() {
        page.line("")?;
        page.table(FIRE_HEADINGS, &fires.iter().map(|fire| fire_row(fire, Some(job))).collect::<Vec<_>>())?;
    }
    Ok(())
}

pub(super) fn history(args: &HistoryArgs, place: &Place) -> Outcome {
    let limit = args.limit.unwrap_or(MAX_HISTORY);
    let history = jobs_on_disk(place)?.get_job_history(&args.job_id, limit)?;
    let now = now().wall;
    args.print.form().print(&history, |page| {
        if history.is_empty() {
            note(format_args!("job {} has not run yet", args.job_id));
            return Ok(());
        }
        let rows: Vec<_> = history.iter().map(|run| history_row(run, now)).collect();
        page.table(&["RUN", "STATE", "STARTED", "TOOK", ""], &rows)
    })?;
    Ok(DONE)
}

fn history_row(run: &HistoryView, now: DateTime<Utc>) -> Vec<Cell> {
    let colour = match run.status.as_deref() {
        Some("completed") => Colour::Good,
        Some("failed" | "failed_to_start" | "interrupted") => Colour::Bad,
        Some(_) | None => Colour::Plain,
    };
    let took = run.finished_at.map(|to| span_between(run.started_at, Some(to), now));
    vec![
        Cell::plain(&run.run_id),
        Cell::of(colour, run.status.as_deref().unwrap_or("under way")),
        Cell::plain(ago(run.started_at, now)),
        Cell::figure(took.unwrap_or_default()),
        Cell::plain(run.error.as_deref().unwrap_or_default()),
    ]
}

pub(super) fn fires(args: &FiresArgs, place: &Place) -> Outcome {
    let at = now();
    let filter = FireFilter {
        since: args.from.as_deref().map(|text| moment(text, at.wall)).transpose()?,
        until: args.to.as_deref().map(|text| moment(text, at.wall)).transpose()?,
        limit: args.limit,
    };
    let job_id = args.job_id.clone();
    // A removed job has no zone any more.
    let (fires, job) = jobs_on_disk(place)?
        .look(move |core| Ok((core.fires(&job_id, &filter, at)?, core.get_job(&job_id).ok())))?;
    args.print.form().print(&fires, |page| {
        if fires.is_empty() {
            note(format_args!("job {} was not due in that time", args.job_id));
            return Ok(());
        }
        let rows: Vec<_> = fires.iter().map(|fire| fire_row(fire, job.as_ref())).collect();
        page.table(FIRE_HEADINGS, &rows)
    })?;
    Ok(DONE)
}

const FIRE_HEADINGS: &[&str] = &["DUE", "THROUGH", "INSTANTS", "OUTCOME", "RUN", "WHY"];

fn fire_row(fire: &FireView, job: Option<&JobView>) -> Vec<Cell> {
    let zone = job.map_or_else(super::words::local_zone, zone_of);
    let through = if fire.n_instants > 1 { on_wall(fire.through_at, zone) } else { String::new() };
    let colour = match fire.outcome.parse() {
        Ok(FireOutcome::Ran | FireOutcome::Backfilled) => Colour::Good,
        Ok(FireOutcome::Claimed | FireOutcome::Queued) => Colour::Busy,
        Ok(FireOutcome::FailedToStart) => Colour::Bad,
        Ok(FireOutcome::Skipped | FireOutcome::Expired) => Colour::Held,
        Ok(FireOutcome::Coalesced | FireOutcome::Disabled) => Colour::Faint,
        Err(_) => Colour::Plain,
    };
    vec![
        Cell::plain(on_wall(fire.due_at, zone)),
        Cell::plain(through),
        Cell::figure(fire.n_instants.to_string()),
        Cell::of(colour, &fire.outcome),
        Cell::plain(fire.run_id.as_deref().unwrap_or_default()),
        Cell::plain(fire.reason.as_deref().unwrap_or_default()),
    ]
}

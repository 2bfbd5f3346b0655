//! `leverframe schedule`: the jobs that run pipelines by themselves. Changes go through the running engine. Without
//! one, this process changes the database under the directory's lock. Verbs that only look read the disk.

mod edit;
mod look;
mod preview;
mod run;
mod switch;
mod timing;
mod words;

use clap::Subcommand;
use serde::Serialize;

use super::exit::{Failure, Outcome};
use super::output::note;
use super::{Place, Print};
use crate::api::exit_code::DONE;
use crate::api::{AddJob, JobView, ProcessKind, Request};
use crate::daemon::{Acquisition, ask};
use crate::scheduler::{DesktopScheduler, SchedulerError};
use crate::settings::{PipelineFinder, Settings};
use crate::store::DataDir;

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(super) enum ScheduleVerb {
    /// Add a job.
    Add(Box<edit::AddArgs>),
    /// Change the given settings of a job.
    Set(Box<edit::SetArgs>),
    /// List jobs.
    List(Print),
    /// Show one job: when it is due, what it does then, and what it did.
    Show(look::ShowArgs),
    /// Let a job fire.
    Enable(switch::JobArgs),
    /// Stop a job from firing until it is enabled.
    Disable(switch::JobArgs),
    /// Remove a job; what it did stays on record.
    Remove(switch::JobArgs),
    /// Give a job another name.
    Rename(switch::RenameArgs),
    /// Run a job now, enabled or not.
    RunNow(run::RunNowArgs),
    /// List the runs of a job, newest first.
    History(look::HistoryArgs),
    /// Run the due instants that a job did not run.
    Backfill(run::BackfillArgs),
    /// List what happened at every due instant of a job.
    Fires(look::FiresArgs),
    /// Show when a schedule would fire, and what the coming clock changes do to it.
    Preview(preview::PreviewArgs),
}

pub(super) fn schedule(verb: ScheduleVerb, place: &Place) -> Outcome {
    match verb {
        ScheduleVerb::Add(args) => edit::add(*args, place),
        ScheduleVerb::Set(args) => edit::set(*args, place),
        ScheduleVerb::List(print) => look::list(&print, place),
        ScheduleVerb::Show(args) => look::show(&args, place),
        ScheduleVerb::Enable(args) => switch::enable(&args, place),
        ScheduleVerb::Disable(args) => switch::disable(&args, place),
        ScheduleVerb::Remove(args) => switch::remove(&args, place),
        ScheduleVerb::Rename(args) => switch::rename(&args, place),
        ScheduleVerb::RunNow(args) => run::run_now(&args, place),
        ScheduleVerb::History(args) => look::history(&args, place),
        ScheduleVerb::Backfill(args) => run::backfill(&args, place),
        ScheduleVerb::Fires(args) => look::fires(&args, place),
        ScheduleVerb::Preview(args) => preview::preview(&args),
    }
}

/// Has the running engine carry out `request`, or does the same with `locally` when there is none. Returns the answer,
/// and whether jobs fire now.
pub(super) fn change<R: Request>(
    place: &Place,
    request: R,
    locally: impl FnOnce(&DesktopScheduler, R) -> Result<R::Answer, SchedulerError>,
) -> Result<(R::Answer, Firing), Failure> {
    let path = place.path()?;
    let settings = Settings::load(&path)?;
    let dir = DataDir::open(&path)?;
    match ask(&dir, &request)? {
        Acquisition::Answered(client, answer) => {
            let engine = &client.welcome().engine;
            // An engine of an older version does not say. In that version only a run in the foreground fired no jobs.
            let fires_jobs = engine.fires_jobs.unwrap_or(engine.face != ProcessKind::Run);
            Ok((answer, if fires_jobs { Firing::Now } else { Firing::NotNow }))
        }
        // The lease is held until the change is done.
        Acquisition::EngineLease(lease) => {
            let finder = PipelineFinder::new(&path, settings);
            let jobs = DesktopScheduler::under_lock(lease.lock(), &dir, move |id| finder.find(id));
            Ok((locally(&jobs, request)?, Firing::NotNow))
        }
    }
}

/// Adds a job where no engine runs.
pub(super) fn add_locally(jobs: &DesktopScheduler, asked: AddJob) -> Result<JobView, SchedulerError> {
    jobs.schedule_job(asked.params.into_spec()?)
}

/// Whether jobs fire at this moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Firing {
    Now,
    NotNow,
}

impl Firing {
    /// Prints a note if jobs do not fire.
    pub(super) fn note_if_not_firing(self) {
        if self == Self::NotNow {
            note("jobs fire while the window or `leverframe serve` runs, and neither runs now");
        }
    }
}

/// Prints the result of a change: the document, or a line.
fn report(print: &Print, answer: &impl Serialize, line: impl FnOnce() -> String) -> Outcome {
    print.form().print(answer, |page| page.line(line()))?;
    Ok(DONE)
}

/// The jobs, read-only.
fn jobs_on_disk(place: &Place) -> Result<DesktopScheduler, Failure> {
    Ok(DesktopScheduler::read_only(&place.path()?))
}

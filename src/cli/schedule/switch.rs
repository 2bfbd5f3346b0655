//! `leverframe schedule enable`, `disable`, `remove` and `rename`.

use clap::Args;

use super::super::exit::Outcome;
use super::super::output::Form;
use super::super::{Place, Print};
use super::words::next_of;
use super::{change, report};
use crate::api::{DisableJob, Done, EnableJob, RemoveJob, RenameJob};
use crate::base::id::JobId;
use crate::engine::now;

#[derive(Debug, Args)]
pub(in crate::cli) struct JobArgs {
    /// The job.
    job_id: JobId,
    #[command(flatten)]
    print: Print,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct RenameArgs {
    /// The job.
    job_id: JobId,
    /// Its new name.
    to: JobId,
    #[command(flatten)]
    print: Print,
}

pub(super) fn enable(args: &JobArgs, place: &Place) -> Outcome {
    let request = EnableJob { job_id: args.job_id.clone() };
    let (job, firing) = change(place, request, |jobs, asked| jobs.enable_job(&asked.job_id))?;
    if args.print.form() == Form::Text {
        firing.note_if_not_firing();
    }
    report(&args.print, &job, || format!("enabled job {}; next: {}", job.job_id, next_of(&job, now().wall)))
}

pub(super) fn disable(args: &JobArgs, place: &Place) -> Outcome {
    let request = DisableJob { job_id: args.job_id.clone() };
    let (job, _) = change(place, request, |jobs, asked| jobs.disable_job(&asked.job_id))?;
    report(&args.print, &job, || {
        let file = job.file.as_ref().map(|_| "; it stays disabled when its file changes").unwrap_or_default();
        format!("disabled job {}{file}", job.job_id)
    })
}

pub(super) fn remove(args: &JobArgs, place: &Place) -> Outcome {
    let request = RemoveJob { job_id: args.job_id.clone() };
    let (done, _) =
        change(place, request, |jobs, asked| jobs.unschedule_job(&asked.job_id).map(|()| Done {}))?;
    report(&args.print, &done, || {
        format!(
            "removed job {}; `leverframe schedule fires {}` still shows what it did",
            args.job_id, args.job_id
        )
    })
}

pub(super) fn rename(args: &RenameArgs, place: &Place) -> Outcome {
    let request = RenameJob { job_id: args.job_id.clone(), to: args.to.clone() };
    let (job, _) = change(place, request, |jobs, asked| jobs.rename_job(&asked.job_id, &asked.to))?;
    report(&args.print, &job, || format!("job {} is now called {}", args.job_id, job.job_id))
}

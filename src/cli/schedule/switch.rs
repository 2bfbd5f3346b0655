//! `leverframe schedule enable`, `disable`, `remove` and `rename`.

use clap::Args;
use serde_json::{Value, json};

use super::super::exit::Outcome;
use super::super::output::Form;
use super::super::{Place, Print};
use super::words::next_of;
use super::{change, report};
use crate::api::{Command, JobView};
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
    /// Its name from now on.
    to: JobId,
    #[command(flatten)]
    print: Print,
}

pub(super) fn enable(args: &JobArgs, place: &Place) -> Outcome {
    let command = Command::EnableJob { job_id: args.job_id.clone() };
    let (job, firing) = change::<JobView>(place, &command, |jobs| jobs.enable(&args.job_id))?;
    if args.print.form() == Form::Text {
        firing.note_if_not_firing();
    }
    report(&args.print, &job, || format!("enabled job {}; next: {}", job.job_id, next_of(&job, now().wall)))
}

pub(super) fn disable(args: &JobArgs, place: &Place) -> Outcome {
    let command = Command::DisableJob { job_id: args.job_id.clone() };
    let (job, _) = change::<JobView>(place, &command, |jobs| jobs.disable(&args.job_id))?;
    report(&args.print, &job, || {
        let file =
            job.file.as_ref().map(|_| "; its switch survives a change of its file").unwrap_or_default();
        format!("disabled job {}{file}", job.job_id)
    })
}

pub(super) fn remove(args: &JobArgs, place: &Place) -> Outcome {
    let command = Command::RemoveJob { job_id: args.job_id.clone() };
    change::<Value>(place, &command, |jobs| jobs.remove(&args.job_id).map(|()| json!({})))?;
    report(&args.print, &json!({}), || {
        format!(
            "removed job {}; `leverframe schedule fires {}` still tells what it did",
            args.job_id, args.job_id
        )
    })
}

pub(super) fn rename(args: &RenameArgs, place: &Place) -> Outcome {
    let command = Command::RenameJob { job_id: args.job_id.clone(), to: args.to.clone() };
    let (job, _) = change::<JobView>(place, &command, |jobs| jobs.rename(&args.job_id, &args.to))?;
    report(&args.print, &job, || format!("job {} is now called {}", args.job_id, job.job_id))
}

//! `leverframe schedule run-now` and `leverframe schedule backfill`.

use clap::Args;

use super::super::exit::{Failure, Outcome};
use super::super::foreground::{Foreground, Until};
use super::super::output::{Form, count};
use super::super::runs::moment;
use super::super::{Place, Print};
use super::{change, jobs_on_disk, report};
use crate::api::exit_code::NO_ENGINE;
use crate::api::{Backfill, Backfilled, RunJobNow};
use crate::base::id::JobId;
use crate::daemon;
use crate::daemon::Acquisition;
use crate::engine::{EngineError, Scope, now};
use crate::scheduler::DesktopScheduler;
use crate::settings::Settings;
use crate::store::DataDir;

#[derive(Debug, Args)]
pub(in crate::cli) struct RunNowArgs {
    /// The job.
    job_id: JobId,
    /// Return as soon as the run is recorded, and leave it to the engine that is running.
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    print: Print,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct BackfillArgs {
    /// The job.
    job_id: JobId,
    /// From this time on: an instant, a date, or a time back such as 2h or 7d.
    #[arg(long, value_name = "T")]
    from: String,
    /// Up to this time; default: now.
    #[arg(long, value_name = "T")]
    to: Option<String>,
    #[command(flatten)]
    print: Print,
}

pub(super) fn run_now(args: &RunNowArgs, place: &Place) -> Outcome {
    let path = place.path()?;
    let settings = Settings::load(&path)?;
    // First checks that the job exists.
    jobs_on_disk(place)?.get_job(&args.job_id)?;
    let dir = DataDir::open(&path)?;
    let form = args.print.form();
    match daemon::ask(&dir, &RunJobNow { job_id: args.job_id.clone() })? {
        Acquisition::Answered(_, run) if args.no_wait => {
            report(&args.print, &run, || format!("job {} runs: {}", args.job_id, run.run_id))
        }
        Acquisition::Answered(client, run) => {
            Foreground::attach(dir, client, settings, &run.run_id, form)?.follow(&run.run_id, Until::End)
        }
        Acquisition::EngineLease(_) if args.no_wait => Err(Failure::new(
            NO_ENGINE,
            format!(
                "job {} can't be handed to an engine: none is running; start `leverframe serve`, or leave out --no-wait",
                args.job_id
            ),
        )),
        Acquisition::EngineLease(lease) => {
            let mut foreground = Foreground::open(lease, settings, Scope::Nothing, form)?;
            let engine = foreground.engine().ok_or(EngineError::ShutDown)?;
            let run_id = DesktopScheduler::open(engine)?.run_job_now(&args.job_id)?;
            foreground.tell_others(&run_id)?;
            foreground.follow(&run_id, Until::End)
        }
    }
}

pub(super) fn backfill(args: &BackfillArgs, place: &Place) -> Outcome {
    let now = now().wall;
    let from = moment(&args.from, now)?;
    let to = args.to.as_deref().map_or(Ok(now), |text| moment(text, now))?;
    if to < from {
        return Err(Failure::usage(format!(
            "--from {} comes after --to {}; swap them",
            args.from,
            args.to.as_deref().unwrap_or("now")
        )));
    }
    let request = Backfill { job_id: args.job_id.clone(), from, to };
    let (done, firing) = change(place, request, |jobs, Backfill { job_id, from, to }| {
        Ok(Backfilled { n_instants: jobs.backfill(&job_id, from, to)? })
    })?;
    if args.print.form() == Form::Text {
        firing.note_if_not_firing();
    }
    report(&args.print, &done, || {
        let n = count(done.n_instants, "instant", "instants");
        format!(
            "job {} runs {n} again, the oldest first; `leverframe schedule fires {}` shows how far it is",
            args.job_id, args.job_id
        )
    })
}

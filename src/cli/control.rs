//! `leverframe pause`, `stop` and `admit`: the levers of a run, through the running engine. For `pause` and `stop`
//! without one, this process is the engine until they are done.

use clap::Args;

use super::exit::{Failure, Outcome};
use super::foreground::{Foreground, RunAction, Until, show_end};
use super::output::Form;
use super::painter::Painter;
use super::{Place, Print, no_such_run};
use crate::api::exit_code::{DONE, NO_ENGINE};
use crate::api::{Admit, Pause, Request, Stop};
use crate::base::id::RunId;
use crate::control::Connection;
use crate::records::Records;
use crate::run::{Input, StopKind};
use crate::settings::Settings;
use crate::store::DataDir;

#[derive(Debug, Args)]
pub(super) struct PauseArgs {
    /// The run.
    run_id: RunId,
    #[command(flatten)]
    print: Print,
}

#[derive(Debug, Args)]
pub(super) struct StopArgs {
    /// The run.
    run_id: RunId,
    /// Kill its processes at once; its `finally` steps do not run.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    print: Print,
}

#[derive(Debug, Args)]
pub(super) struct AdmitArgs {
    /// The run.
    run_id: RunId,
    #[command(flatten)]
    print: Print,
}

/// Only through a running engine: without one no run waits to be admitted.
pub(super) fn admit(args: &AdmitArgs, place: &Place) -> Outcome {
    let records = place.records()?;
    if records.stored(&args.run_id)?.is_none() {
        return Err(no_such_run(&records, &args.run_id));
    }
    let path = place.path()?;
    let connection = Connection::open(&path)?.ok_or_else(|| {
        let text = format!("no engine is running on {}: nothing starts", path.display());
        Failure::new(NO_ENGINE, format!("{text}; `leverframe serve --detach` starts one"))
    })?;
    let run = connection.ask(&Admit { run_id: args.run_id.clone() })?;
    args.print.form().print(&run, |page| page.line(format_args!("run {} is {}", run.run_id, run.state)))?;
    Ok(DONE)
}

/// Returns when the run is frozen.
pub(super) fn pause(args: PauseArgs, place: &Place) -> Outcome {
    let request = Pause { run_id: args.run_id.clone() };
    let action = RunAction { run_id: &args.run_id, request, input: Input::Pause };
    apply_action(&action, Until::Frozen, &args.print, place)
}

/// Returns when the run has ended.
pub(super) fn stop(args: StopArgs, place: &Place) -> Outcome {
    let kind = if args.force { StopKind::Force } else { StopKind::Graceful };
    let request = Stop { run_id: args.run_id.clone(), force: args.force };
    let action = RunAction { run_id: &args.run_id, request, input: Input::Stop(kind) };
    apply_action(&action, Until::Stopped, &args.print, place)
}

fn apply_action<R: Request>(
    action: &RunAction<'_, R>,
    until: Until,
    print: &Print,
    place: &Place,
) -> Outcome {
    let run_id = action.run_id;
    let settings = Settings::load(&place.path()?)?;
    let records = place.records()?;
    let Some(before) = records.stored(run_id)? else { return Err(no_such_run(&records, run_id)) };
    let dir = DataDir::open(place.path()?)?;
    match Foreground::with_action(dir, settings, action, print.form()) {
        Ok(foreground) => foreground.follow(run_id, until),
        Err(failure) if until == Until::Stopped && !before.summary.state.is_ended() => {
            ended_meanwhile(&records, run_id, print.form(), failure)
        }
        Err(failure) => Err(failure),
    }
}

/// A run that lived when it was looked up, and could not be stopped: where it has ended by now, that is what was wanted.
fn ended_meanwhile(records: &Records, run_id: &RunId, form: Form, failure: Failure) -> Outcome {
    let run = records.stored(run_id)?.map(|stored| stored.summary);
    let Some(run) = run.filter(|run| run.state.is_ended()) else { return Err(failure) };
    let mut painter = Painter::new(form);
    show_end(&mut painter, run, None);
    painter.clear();
    painter.flush();
    Ok(DONE)
}

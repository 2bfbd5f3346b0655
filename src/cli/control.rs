//! `leverframe pause` and `leverframe stop`: the levers of a run, through the engine that lives. Where none does, this
//! process is the engine for as long as it takes.

use clap::Args;

use super::exit::{Failure, Outcome};
use super::foreground::{Foreground, RunAction, Until, show_end};
use super::output::{Form, Page};
use super::painter::Painter;
use super::{Place, Print, no_such_run};
use crate::api::Command;
use crate::api::exit_code::{DONE, NO_ENGINE};
use crate::base::id::RunId;
use crate::control::ControlClient;
use crate::daemon::OWN_NAME;
use crate::records::Records;
use crate::run::{Input, RunSummary, StopKind};
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
    /// End it at once: not even its `finally` steps are run.
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

/// Through the engine that lives: without one nothing waits to be admitted.
pub(super) fn admit(args: &AdmitArgs, place: &Place) -> Outcome {
    let records = place.records()?;
    if records.stored(&args.run_id)?.is_none() {
        return Err(no_such_run(&records, &args.run_id));
    }
    let path = place.path()?;
    let client = ControlClient::connect(&path, OWN_NAME)?.ok_or_else(|| {
        let text = format!("no engine is running on {}: nothing starts", path.display());
        Failure::new(NO_ENGINE, format!("{text}; `leverframe serve --detach` starts one"))
    })?;
    let run: RunSummary = client.call(&Command::Admit { run_id: args.run_id.clone() })?;
    let mut page = Page::new();
    match args.print.form() {
        Form::Json => page.document(&run)?,
        Form::Text => page.line(format_args!("run {} is {}", run.run_id, run.state))?,
    }
    page.end(DONE)
}

/// Returns when the run is seen frozen.
pub(super) fn pause(args: PauseArgs, place: &Place) -> Outcome {
    let action =
        RunAction { run_id: &args.run_id, command: Command::pause(&args.run_id), input: Input::Pause };
    pull(&action, Until::Frozen, &args.print, place)
}

/// Returns when the run has ended.
pub(super) fn stop(args: StopArgs, place: &Place) -> Outcome {
    let kind = if args.force { StopKind::Force } else { StopKind::Graceful };
    let command = Command::stop(&args.run_id, kind);
    let action = RunAction { run_id: &args.run_id, command, input: Input::Stop(kind) };
    pull(&action, Until::Stopped, &args.print, place)
}

fn pull(action: &RunAction<'_>, until: Until, print: &Print, place: &Place) -> Outcome {
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

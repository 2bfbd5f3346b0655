//! `leverframe pause` and `leverframe stop`: the levers of a run, through the engine that lives. Where none does, this
//! process is the engine for as long as it takes.

use clap::Args;

use super::exit::{DONE, Failure, NO_ENGINE, Outcome};
use super::foreground::{Foreground, Until};
use super::output::{Form, Page};
use super::{Place, Print, no_such_run};
use crate::app::{Command, ControlClient, DataDir, OWN_NAME, Settings};
use crate::engine::Scope;
use crate::id::RunId;
use crate::run::RunSummary;

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
    pull(&args.run_id, &Command::pause(&args.run_id), Until::Frozen, &args.print, place)
}

/// Returns when the run has ended.
pub(super) fn stop(args: StopArgs, place: &Place) -> Outcome {
    let command = Command::Stop { run_id: args.run_id.clone(), force: args.force };
    pull(&args.run_id, &command, Until::Stopped, &args.print, place)
}

fn pull(run_id: &RunId, command: &Command, until: Until, print: &Print, place: &Place) -> Outcome {
    let settings = Settings::load(&place.path()?)?;
    let records = place.records()?;
    if records.stored(run_id)?.is_none() {
        return Err(no_such_run(&records, run_id));
    }
    let dir = DataDir::open(place.path()?)?;
    let scope = Scope::Only(vec![run_id.clone()]);
    let foreground = Foreground::with_command(dir, settings, scope, run_id, command, print.form())?;
    foreground.follow(run_id, until)
}

//! `leverframe resume` and `leverframe retry`: taking up a run under the same id.

use std::sync::Arc;

use clap::Args;

use super::exit::{Failure, Outcome};
use super::foreground::{Foreground, Until};
use super::output::Form;
use super::{Place, Print, no_such_run};
use crate::app::{self, Settings, StoredBody};
use crate::engine::{EngineError, Scope};
use crate::id::{RunId, StepId};
use crate::run::{Definition, RunState};

#[derive(Debug, Args)]
pub(super) struct ResumeArgs {
    /// The run.
    run_id: RunId,
    /// Take the pipeline file as it is now, instead of the definition that the run started with.
    #[arg(long)]
    refresh: bool,
    #[command(flatten)]
    print: Print,
}

#[derive(Debug, Args)]
pub(super) struct RetryArgs {
    /// The run.
    run_id: RunId,
    /// Run this step and what needs it again; default: what has not completed, or else everything.
    #[arg(long, value_name = "STEP")]
    from: Option<StepId>,
    /// Take the pipeline file as it is now, instead of the definition that the run started with.
    #[arg(long)]
    refresh: bool,
    #[command(flatten)]
    print: Print,
}

/// Which definition a run goes on with.
enum Version {
    /// The one that it started with.
    Stored,
    /// This one.
    Fresh(Arc<Definition>),
}

pub(super) fn resume(args: ResumeArgs, place: &Place) -> Outcome {
    let run_id = args.run_id;
    let (mut foreground, version, before) = take_back(&run_id, args.refresh, place, args.print.form())?;
    match state(&foreground, &run_id)? {
        // It was living on disk, and its true end was found: that is the answer.
        state @ (RunState::Completed | RunState::Failed | RunState::Stopped | RunState::ForceStopped)
            if !before.is_ended() =>
        {
            foreground.conclude(&run_id, state)
        }
        RunState::Queued | RunState::Running | RunState::Stopping => {
            if matches!(version, Version::Fresh(_)) {
                let text = format!("run {run_id} is running and keeps the definition it has; stop it first");
                return Err(Failure::usage(text));
            }
            foreground.remark(&format!("run {run_id} is running: taken back"));
            foreground.follow(&run_id, Until::End)
        }
        RunState::Paused
        | RunState::Stopped
        | RunState::ForceStopped
        | RunState::Completed
        | RunState::Failed
        | RunState::Interrupted => {
            refresh(&mut foreground, &run_id, version)?;
            match foreground.engine.resume_execution(&run_id) {
                Ok(_) => foreground.follow(&run_id, Until::EndOnceResumed),
                Err(error) => Err(error.into()),
            }
        }
    }
}

pub(super) fn retry(args: RetryArgs, place: &Place) -> Outcome {
    let run_id = args.run_id;
    let (mut foreground, version, _) = take_back(&run_id, args.refresh, place, args.print.form())?;
    refresh(&mut foreground, &run_id, version)?;
    foreground.engine.retry_execution(&run_id, args.from)?;
    foreground.follow(&run_id, Until::EndOnceResumed)
}

/// Opens an engine that holds this run alone, as recovery found it; with the state that was on disk before.
fn take_back(
    run_id: &RunId,
    wants_fresh: bool,
    place: &Place,
    form: Form,
) -> Result<(Foreground, Version, RunState), Failure> {
    let data_dir = place.path()?;
    let settings = Settings::load(&data_dir)?;
    let (version, before) = version(run_id, wants_fresh, place, &settings)?;
    let mut foreground = Foreground::open(&data_dir, &settings, Scope::Only(run_id.clone()), form)?;
    foreground.tell_recovery(run_id);
    foreground.tell_others(run_id)?;
    Ok((foreground, version, before))
}

/// The definition to go on with, read before any lock is taken.
fn version(
    run_id: &RunId,
    wants_fresh: bool,
    place: &Place,
    settings: &Settings,
) -> Result<(Version, RunState), Failure> {
    let records = place.records()?;
    let stored = records.stored(run_id)?.ok_or_else(|| no_such_run(&records, run_id))?;
    let before = stored.summary.state;
    match &stored.body {
        StoredBody::Pipeline(_) | StoredBody::Unknown => {
            let fresh = app::fresh_definition(&stored, wants_fresh, &place.path()?, settings)?;
            Ok((fresh.map_or(Version::Stored, Version::Fresh), before))
        }
        StoredBody::Driven => Err(Failure::usage(format!(
            "run {run_id} is driven by a program of its own, not by a pipeline file; start that program again"
        ))),
    }
}

fn refresh(foreground: &mut Foreground, run_id: &RunId, version: Version) -> Result<(), Failure> {
    let Version::Fresh(definition) = version else { return Ok(()) };
    let changes = app::refresh_definition(&foreground.engine, run_id, &definition)?;
    match changes.as_slice() {
        [] => {}
        changes => {
            foreground.remark(&format!("run {run_id} goes on with {} as it is now:", definition.path));
            changes.iter().for_each(|change| foreground.remark(&format!("  {change}")));
        }
    }
    Ok(())
}

fn state(foreground: &Foreground, run_id: &RunId) -> Result<RunState, Failure> {
    let run = foreground.engine.get_execution_state(run_id)?;
    let run = run.ok_or_else(|| EngineError::NotFound { run_id: run_id.clone() })?;
    Ok(run.state)
}

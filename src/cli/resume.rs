//! `leverframe resume` and `leverframe retry`: continue a run under the same id.

use std::sync::Arc;

use clap::Args;

use super::exit::{Failure, Outcome};
use super::foreground::{Foreground, Until};
use super::output::Form;
use super::{Place, Print, no_such_run};
use crate::api::{Command, Resume, Retry, ShowRun};
use crate::base::id::{RunId, StepId};
use crate::control::{ControlClient, ControlError};
use crate::daemon::{Acquisition, EngineLease, Joined, ask, join};
use crate::engine::{EngineError, Scope};
use crate::records;
use crate::run::{Definition, RunState};
use crate::settings::Settings;
use crate::store::{DataDir, StoredBody};

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
    /// Run this step, and all steps that need it, again; default: what has not completed, or else everything.
    #[arg(long, value_name = "STEP")]
    from: Option<StepId>,
    /// Take the pipeline file as it is now, instead of the definition that the run started with.
    #[arg(long)]
    refresh: bool,
    #[command(flatten)]
    print: Print,
}

/// The definition with which a run goes on.
enum Version {
    /// The definition that it started with.
    Stored,
    /// This newer definition.
    Fresh(Arc<Definition>),
}

pub(super) fn resume(args: ResumeArgs, place: &Place) -> Outcome {
    let run_id = args.run_id;
    let plan = Plan::make(&run_id, args.refresh, place)?;
    let form = args.print.form();
    let lease = match join(&plan.dir)? {
        Joined::Client(client) => return plan.resume_there(client, &run_id, form),
        Joined::EngineLease(lease) => lease,
    };
    let (mut foreground, version, before) = plan.take_back(lease, &run_id, form)?;
    match state(&foreground, &run_id)? {
        // On disk it had not ended, but recovery found that it has completed: nothing is left to do.
        state @ RunState::Completed if !before.is_ended() => foreground.conclude(&run_id, state),
        RunState::Queued | RunState::Running | RunState::Stopping => {
            if matches!(version, Version::Fresh(_)) {
                return Err(keeps_its_definition(&run_id));
            }
            foreground.remark(&format!("run {run_id} is running: taken back"));
            foreground.take_up_if_lost(&run_id);
            foreground.follow(&run_id, Until::End)
        }
        RunState::Paused
        | RunState::Stopped
        | RunState::ForceStopped
        | RunState::Completed
        | RunState::Failed
        | RunState::Interrupted => {
            refresh(&mut foreground, &run_id, version)?;
            foreground.take_up_if_lost(&run_id);
            foreground.command(Command::resume(&run_id))?;
            foreground.follow(&run_id, Until::EndOnceResumed)
        }
    }
}

pub(super) fn retry(args: RetryArgs, place: &Place) -> Outcome {
    let run_id = args.run_id;
    let plan = Plan::make(&run_id, args.refresh, place)?;
    let form = args.print.form();
    let request = |refresh| Retry { run_id: run_id.clone(), from: args.from.clone(), refresh };
    match ask(&plan.dir, &request(plan.is_fresh()))? {
        Acquisition::Answered(client, _) => {
            Foreground::attach(plan.dir, client, plan.settings, &run_id, form)?
                .follow(&run_id, Until::EndOnceResumed)
        }
        Acquisition::EngineLease(lease) => {
            let (mut foreground, version, _) = plan.take_back(lease, &run_id, form)?;
            refresh(&mut foreground, &run_id, version)?;
            foreground.command(request(false).into())?;
            foreground.follow(&run_id, Until::EndOnceResumed)
        }
    }
}

/// What is known about a run before any engine is asked.
struct Plan {
    dir: DataDir,
    settings: Settings,
    version: Version,
    /// The state on disk.
    before: RunState,
}

impl Plan {
    fn make(run_id: &RunId, wants_fresh: bool, place: &Place) -> Result<Self, Failure> {
        let path = place.path()?;
        let settings = Settings::load(&path)?;
        let (version, before) = version(run_id, wants_fresh, place, &settings)?;
        Ok(Self { dir: DataDir::open(path)?, settings, version, before })
    }

    fn is_fresh(&self) -> bool {
        matches!(self.version, Version::Fresh(_))
    }

    /// Makes this process the engine, which recovers only this run.
    fn take_back(
        self,
        lease: EngineLease,
        run_id: &RunId,
        form: Form,
    ) -> Result<(Foreground, Version, RunState), Failure> {
        let scope = Scope::Only(vec![run_id.clone()]);
        let mut foreground = Foreground::open(lease, self.settings, scope, form)?;
        foreground.tell_recovery(run_id);
        foreground.tell_others(run_id)?;
        Ok((foreground, self.version, self.before))
    }

    /// Asks the running engine to resume the run. A run that runs there already is only followed.
    fn resume_there(self, client: ControlClient, run_id: &RunId, form: Form) -> Outcome {
        let record = client.ask(&ShowRun { run_id: run_id.clone() })?;
        let is_running =
            matches!(record.run.state, RunState::Queued | RunState::Running | RunState::Stopping);
        if is_running && self.is_fresh() {
            return Err(keeps_its_definition(run_id));
        }
        // Also of one that runs with the supervisor alone: the engine takes it back.
        match client.ask(&Resume { run_id: run_id.clone(), refresh: self.is_fresh() }) {
            // Also where it was running: its end was found, and it was taken up again after that.
            Ok(_) => Foreground::attach(self.dir, client, self.settings, run_id, form)?
                .follow(run_id, Until::EndOnceResumed),
            Err(ControlError::Refused(_)) if is_running => {
                let mut foreground = Foreground::attach(self.dir, client, self.settings, run_id, form)?;
                foreground.remark(&format!("run {run_id} is running already"));
                foreground.follow(run_id, Until::End)
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn keeps_its_definition(run_id: &RunId) -> Failure {
    Failure::usage(format!("run {run_id} is running and keeps the definition it has; stop it first"))
}

/// The definition with which the run goes on, and the state on disk. Read before any lock is taken.
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
            let fresh = records::fresh_definition(&stored, wants_fresh, &place.path()?, settings)?;
            Ok((fresh.map_or(Version::Stored, Version::Fresh), before))
        }
        StoredBody::Driven => Err(Failure::usage(format!(
            "run {run_id} is driven by a program of its own, not by a pipeline file; start that program again"
        ))),
    }
}

fn refresh(foreground: &mut Foreground, run_id: &RunId, version: Version) -> Result<(), Failure> {
    let Version::Fresh(definition) = version else { return Ok(()) };
    let engine = foreground.engine().ok_or(EngineError::ShutDown)?;
    let changes = records::refresh_definition(engine, run_id, &definition)?;
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
    let run = foreground.run(run_id)?;
    let run = run.ok_or_else(|| EngineError::NotFound { run_id: run_id.clone() })?;
    Ok(run.state)
}

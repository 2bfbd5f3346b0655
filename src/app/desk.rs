//! The desk at which a window's actions are carried out: each becomes a call of the engine or an errand.

use std::path::PathBuf;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};

use super::errands::Errand;
use super::integration::IntegrationError;
use super::{Action, AppUpdate, Asked, Catalogue, QuitChoice, Settings, UpdateSender, request};
use crate::engine::{CoreExecutionEngine, EngineError, ShutdownKind, StartRequest};
use crate::id::{PipelineId, RunId, StepId};
use crate::run::StopKind;
use crate::scheduler::DesktopScheduler;
use crate::store::DataDir;

/// Everything that an action needs. Cheap to clone.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) engine: CoreExecutionEngine,
    pub(super) scheduler: DesktopScheduler,
    pub(super) settings: Arc<Settings>,
    pub(super) updates: UpdateSender,
    pub(super) errands: Sender<Errand>,
}

impl Desk {
    pub(super) fn start_job(&self, source: &str, run_type: Option<&str>) -> Result<RunId, IntegrationError> {
        if let Ok(id) = PipelineId::new(source)
            && self.engine.is_registered(&id)
        {
            return self.start_registered(id, run_type);
        }
        let catalogue = Catalogue::scan(self.data_dir().path(), &self.settings);
        let definition = catalogue.by_source(source)?;
        let asked = Asked { run_type: run_type.map(str::to_owned), ..Asked::default() };
        Ok(self.engine.start_pipeline(request(definition, asked)?)?)
    }

    fn start_registered(&self, id: PipelineId, run_type: Option<&str>) -> Result<RunId, IntegrationError> {
        let source = id.to_string();
        let (store, now) = (self.engine.store(), crate::engine::now().wall);
        let run_id = store.next_run_id(&source, now, |_| false).map_err(EngineError::from)?;
        let mut start = StartRequest::new(run_id, id, source);
        if let Some(run_type) = run_type {
            start = start.run_type(run_type);
        }
        Ok(self.engine.start_registered(start)?.run_id)
    }

    /// Starts the pipeline of this id, whatever other pipelines have its source.
    fn start_pipeline(&self, pipeline: &PipelineId) -> Result<RunId, IntegrationError> {
        if self.engine.is_registered(pipeline) {
            return self.start_registered(pipeline.clone(), None);
        }
        let definition = Catalogue::scan(self.data_dir().path(), &self.settings).find(pipeline.as_str())?;
        Ok(self.engine.start_pipeline(request(definition, Asked::default())?)?)
    }

    /// Starts a new run with what an earlier one was started with.
    fn start_like(&self, run_id: &RunId) -> Result<RunId, IntegrationError> {
        let stored = self.engine.store().load_run(run_id).map_err(EngineError::from)?;
        let earlier = stored.ok_or_else(|| EngineError::NotFound { run_id: run_id.clone() })?;
        let catalogue = Catalogue::scan(self.data_dir().path(), &self.settings);
        let definition = catalogue.find(earlier.summary.pipeline_id.as_str())?;
        let asked = Asked::default().like(&earlier, &definition);
        Ok(self.engine.start_pipeline(request(definition, asked)?)?)
    }

    pub(super) fn data_dir(&self) -> &DataDir {
        self.engine.data_dir()
    }

    /// Has something looked up on the thread of errands.
    pub(super) fn errand(&self, errand: Errand) {
        // If that thread is gone, so is the window.
        let _ = self.errands.send(errand);
    }

    pub(super) fn snapshot(&self) -> AppUpdate {
        let snapshot = self.engine.snapshot();
        let runs = snapshot.runs.values().map(|run| (run.summary(), run.step_summaries())).collect();
        AppUpdate::Snapshot { runs, seq: snapshot.seq }
    }
}

/// Carries out what the operator asks, one after another.
pub(super) fn serve(desk: &Desk, actions: &Receiver<Action>) {
    for action in actions {
        let what = action_text(&action);
        let is_last = matches!(action, Action::Quit(_));
        if let Err(error) = carry_out(desk, action) {
            let update = AppUpdate::Failure { action: what, message: error.to_string() };
            if desk.updates.send(update).is_err() {
                return;
            }
        }
        if is_last {
            // The window closes upon it; if it is gone already, so much the better.
            let _ = desk.updates.send(AppUpdate::ReadyToClose);
            return;
        }
    }
}

fn carry_out(desk: &Desk, action: Action) -> Result<(), IntegrationError> {
    let engine = &desk.engine;
    match action {
        Action::StartJob { pipeline } => drop(desk.start_pipeline(&pipeline)?),
        Action::StartLike(run_id) => drop(desk.start_like(&run_id)?),
        Action::Pause(run_id) => engine.pause_execution(&run_id)?,
        Action::Resume(run_id) => drop(engine.resume_execution(&run_id)?),
        Action::Stop(run_id) => engine.stop_execution(&run_id, StopKind::Graceful)?,
        Action::ForceStop(run_id) => engine.stop_execution(&run_id, StopKind::Force)?,
        Action::Retry { run_id, from } => engine.retry_execution(&run_id, from)?,
        Action::SelectRun(run_id) => desk.errand(Errand::SelectRun(run_id)),
        Action::SelectStep { run_id, step_id, attempt } => {
            desk.errand(Errand::FollowLog { run_id, step_id, attempt });
        }
        Action::LoadRun(run_id) => desk.errand(Errand::LoadRun(run_id)),
        Action::Refresh => {
            // If the window is gone, it needs no snapshot.
            let _ = desk.updates.send(desk.snapshot());
            desk.errand(Errand::Pipelines(Arc::default()));
            desk.errand(Errand::RecentRuns);
        }
        Action::OpenFolder(folder) => desk.errand(Errand::OpenFolder(folder)),
        // Here and not as an errand: it is the last thing that a window asks for, and must not be lost.
        Action::KeepLook(look) => look.save(desk.data_dir().path())?,
        Action::Quit(choice) => {
            // Nothing is fired into an engine that ends.
            desk.scheduler.stop();
            engine.shutdown(match choice {
                QuitChoice::LeaveRunning => ShutdownKind::LeaveSteps,
                QuitChoice::Freeze => ShutdownKind::FreezeRuns,
                QuitChoice::Stop => ShutdownKind::StopRuns,
            })?;
        }
    }
    Ok(())
}

fn action_text(action: &Action) -> String {
    match action {
        Action::StartJob { pipeline } => format!("start {pipeline}"),
        Action::StartLike(run_id) => format!("start again like {run_id}"),
        Action::Pause(run_id) => format!("pause {run_id}"),
        Action::Resume(run_id) => format!("resume {run_id}"),
        Action::Stop(run_id) => format!("stop {run_id}"),
        Action::ForceStop(run_id) => format!("force-stop {run_id}"),
        Action::Retry { run_id, .. } => format!("retry {run_id}"),
        Action::SelectRun(_) | Action::SelectStep { .. } | Action::LoadRun(_) => "look up a run".to_owned(),
        Action::Refresh => "refresh".to_owned(),
        Action::OpenFolder(_) => "open a folder".to_owned(),
        Action::KeepLook(_) => "remember the window".to_owned(),
        Action::Quit(_) => "quit".to_owned(),
    }
}

/// A step's attempt, as the window names it.
pub(super) type LogKey = (RunId, StepId, u32);

/// Where a run's log lies.
pub(super) fn log_file(desk: &Desk, (run_id, step_id, attempt): &LogKey) -> PathBuf {
    desk.data_dir().path().join(crate::run::log_path(run_id, step_id, *attempt))
}

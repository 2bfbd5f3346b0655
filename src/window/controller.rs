//! Carries out the window's actions, one after another, and passes lookups on.

use std::path::PathBuf;
use std::sync::Arc;

use super::lookups::Lookup;
use super::port::{Action, AppUpdate, QuitChoice, UpdateSender};
use crate::api::{Backfill, Command, Error, GetSnapshot, LivingRuns};
use crate::backend::Backend;
use crate::base::id::AttemptKey;
use crate::engine::ShutdownKind;
use crossbeam_channel::{Receiver, Sender};

/// Everything that an action needs. Cheap to clone.
#[derive(Clone)]
pub(crate) struct WindowController {
    pub(crate) backend: Backend,
    pub(crate) updates: UpdateSender,
    pub(crate) lookups: Sender<Lookup>,
}

impl WindowController {
    /// Leaves the engine, whose steps go on, and lets the window close.
    pub(crate) fn close_window(&self) -> Result<(), Error> {
        let outcome = self.backend.leave(ShutdownKind::LeaveSteps);
        // An error means that the window is gone already.
        let _ = self.updates.send(AppUpdate::ReadyToClose);
        outcome
    }

    /// Queues a lookup for the thread of lookups.
    pub(crate) fn lookup(&self, lookup: Lookup) {
        // If that thread is gone, so is the window.
        let _ = self.lookups.send(lookup);
    }

    /// Sends all living runs with their present values; false when there is no window any more.
    pub(crate) fn send_snapshot(&self) -> bool {
        let update = match self.backend.ask(GetSnapshot {}) {
            Ok(LivingRuns { seq, runs, orders }) => {
                let runs = runs.into_iter().map(|living| (living.run, living.steps)).collect();
                AppUpdate::Snapshot { runs, orders, seq }
            }
            Err(error) => {
                AppUpdate::Failure { action: "look up what runs".into(), message: error.to_string() }
            }
        };
        self.updates.send(update).is_ok()
    }

    /// Carries out a command, and tells the window.
    pub(crate) fn command(&self, command: Command) -> Result<(), Error> {
        self.backend.command(command.clone())?;
        self.say_done(command);
        Ok(())
    }

    fn say_done(&self, command: Command) {
        // Fails when the window is gone.
        let _ = self.updates.send(AppUpdate::Done(command));
    }

    fn carry_out(&self, action: Action) -> Result<(), Error> {
        match action {
            Action::Do(command) => self.command(command)?,
            Action::SelectRun(_)
            | Action::SelectStep(_)
            | Action::OpenLog(_)
            | Action::AskLog(_)
            | Action::LoadRun(_)
            | Action::LoadFacts(_)
            | Action::Compare(..)
            | Action::LoadJobs { .. }
            | Action::LoadJob(_)
            | Action::LoadPipelines(_)
            | Action::LoadPipeline { .. }
            | Action::EditFile { .. }
            | Action::LoadDay
            | Action::LoadMonth(_)
            | Action::LoadFires(_)
            | Action::ExportFires(_)
            | Action::PreviewBackfill { .. }
            | Action::NewPipeline { .. }
            | Action::LoadHistory(_)
            | Action::LoadEstimates(_)
            | Action::LoadJobNames
            | Action::AskTime(_)
            | Action::CountEnded
            | Action::LoadRuns(_)
            | Action::DeleteRuns(_)
            | Action::SaveJob(_)
            | Action::LoadStart(_)
            | Action::LoadFolder(_)
            | Action::LoadAway(_)
            | Action::MarkAway(_)
            | Action::LoadSettings
            | Action::SaveSettings(_)
            | Action::OpenFolder(_) => self.lookup(Lookup::Asked(action)),
            Action::Backfill { job_id, from, to } => {
                let outcome = self.backend.ask(Backfill { job_id, from, to }).map(|done| done.n_instants);
                // Fails when the window is gone.
                let _ = self.updates.send(AppUpdate::Backfilled(outcome.map_err(|error| error.to_string())));
            }
            Action::Start(start) => {
                let command = Command::from((*start).clone());
                let outcome = self.backend.ask(*start).map(|run| run.run_id);
                if outcome.is_ok() {
                    self.say_done(command);
                }
                // Fails when the window is gone.
                let _ = self.updates.send(AppUpdate::Started(outcome.map_err(|error| error.to_string())));
            }
            Action::Refresh => {
                self.send_snapshot();
                self.lookup(Lookup::Pipelines(Arc::default()));
                self.lookup(Lookup::RecentRuns);
            }
            // Not a lookup: it is the last request of a window and must not be lost.
            Action::KeepLook(look) => look.save(self.backend.data_dir().path())?,
            Action::Quit(choice) => self.backend.leave(match choice {
                QuitChoice::LeaveRunning | QuitChoice::Close => ShutdownKind::LeaveSteps,
                QuitChoice::Freeze => ShutdownKind::FreezeRuns,
                QuitChoice::Stop => ShutdownKind::StopRuns,
            })?,
        }
        Ok(())
    }
}

/// Carries out the operator's actions, one after another.
pub(crate) fn serve(controller: &WindowController, actions: &Receiver<Action>) {
    for action in actions {
        let what = action_text(&action);
        let is_last = matches!(action, Action::Quit(_));
        if let Err(error) = controller.carry_out(action) {
            let update = AppUpdate::Failure { action: what, message: error.to_string() };
            if controller.updates.send(update).is_err() {
                return;
            }
        }
        if is_last {
            // The window closes after this; an error means that it is gone already.
            let _ = controller.updates.send(AppUpdate::ReadyToClose);
            return;
        }
    }
}

fn action_text(action: &Action) -> String {
    match action {
        Action::Do(command) => command.text(),
        Action::SelectRun(_) | Action::SelectStep(_) | Action::LoadRun(_) | Action::LoadFacts(_) => {
            "look up a run".to_owned()
        }
        Action::Compare(..) => "compare two runs".to_owned(),
        Action::OpenLog(_) | Action::AskLog(_) => "read a log".to_owned(),
        Action::LoadJobs { .. } | Action::LoadJob(_) | Action::LoadJobNames => "look up jobs".to_owned(),
        Action::LoadEstimates(_) => "look up how long runs take".to_owned(),
        Action::LoadPipelines(_) | Action::LoadPipeline { .. } => "look up pipelines".to_owned(),
        Action::LoadDay | Action::LoadMonth(_) | Action::LoadFires(_) | Action::PreviewBackfill { .. } => {
            "look up fires".to_owned()
        }
        Action::ExportFires(_) => "write the fires into a file".to_owned(),
        Action::Backfill { job_id, .. } => format!("backfill {job_id}"),
        Action::EditFile { path, .. } => format!("edit {}", path.display()),
        Action::NewPipeline { pipeline_id, .. } => format!("write the pipeline {pipeline_id}"),
        Action::LoadHistory(_) | Action::AskTime(_) => "look up the machine's history".to_owned(),
        Action::CountEnded => "count the runs that have ended".to_owned(),
        Action::LoadRuns(_) => "look up the runs that have ended".to_owned(),
        Action::DeleteRuns(_) => "delete runs".to_owned(),
        Action::SaveJob(form) => format!("save job {}", form.job_id()),
        Action::LoadStart(of) => format!("prepare the start of {}", of.pipeline_id),
        Action::LoadFolder(folder) => format!("look into {}", folder.display()),
        Action::Start(_) => "start a run".to_owned(),
        Action::LoadSettings => "look up the settings".to_owned(),
        Action::SaveSettings(_) => "save the settings".to_owned(),
        Action::LoadAway(_) => "look up what happened meanwhile".to_owned(),
        Action::MarkAway(_) => "keep what was handled".to_owned(),
        Action::Refresh => "refresh".to_owned(),
        Action::OpenFolder(_) => "open a folder".to_owned(),
        Action::KeepLook(_) => "remember the window".to_owned(),
        Action::Quit(_) => "quit".to_owned(),
    }
}

/// The file of an attempt's log.
pub(crate) fn log_file(controller: &WindowController, key: &AttemptKey) -> PathBuf {
    let AttemptKey { run_id, step_id, attempt } = key;
    controller.backend.data_dir().path().join(crate::run::log_path(run_id, step_id, *attempt))
}

//! Carries out the window's actions, one after another, and passes lookups on.

use std::path::PathBuf;
use std::sync::Arc;

use super::lookups::Lookup;
use super::port::{Action, AppUpdate, QuitChoice, UpdateSender};
use crate::api::{Error, GetSnapshot, LivingRuns};
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

    fn carry_out(&self, action: Action) -> Result<(), Error> {
        match action {
            Action::Do(command) => self.backend.command(command)?,
            Action::SelectRun(_)
            | Action::SelectStep(_)
            | Action::OpenLog(_)
            | Action::AskLog(_)
            | Action::LoadRun(_)
            | Action::LoadFacts(_)
            | Action::Compare(..)
            | Action::LoadJobs { .. }
            | Action::LoadJob(_)
            | Action::LoadHistory(_)
            | Action::AskTime(_)
            | Action::CountEnded
            | Action::LoadRuns(_)
            | Action::SaveJob(_)
            | Action::LoadStart(_)
            | Action::OpenFolder(_) => self.lookup(Lookup::Asked(action)),
            Action::Start(start) => {
                let outcome = self.backend.ask(*start).map(|run| run.run_id);
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
        Action::LoadJobs { .. } | Action::LoadJob(_) => "look up jobs".to_owned(),
        Action::LoadHistory(_) | Action::AskTime(_) => "look up the machine's history".to_owned(),
        Action::CountEnded => "count the runs that have ended".to_owned(),
        Action::LoadRuns(_) => "look up the runs that have ended".to_owned(),
        Action::SaveJob(form) => format!("save job {}", form.job_id()),
        Action::LoadStart(of) => format!("prepare the start of {}", of.pipeline_id),
        Action::Start(_) => "start a run".to_owned(),
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

//! The window's side of the desk: its actions, one after another, and the errands that look things up for it.

use std::path::PathBuf;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};

use super::errands::Errand;
use super::integration::IntegrationError;
use super::{Action, AppUpdate, Command, Desk, QuitChoice, UpdateSender};
use crate::engine::ShutdownKind;
use crate::id::{RunId, StepId};

/// Everything that an action needs. Cheap to clone.
#[derive(Clone)]
pub(super) struct WindowDesk {
    pub(super) desk: Desk,
    pub(super) updates: UpdateSender,
    pub(super) errands: Sender<Errand>,
}

impl WindowDesk {
    /// Has something looked up on the thread of errands.
    pub(super) fn errand(&self, errand: Errand) {
        // If that thread is gone, so is the window.
        let _ = self.errands.send(errand);
    }

    pub(super) fn snapshot(&self) -> AppUpdate {
        let snapshot = self.desk.engine.snapshot();
        let runs = snapshot.runs.values().map(|run| (run.summary(), run.step_summaries())).collect();
        AppUpdate::Snapshot { runs, seq: snapshot.seq }
    }

    fn carry_out(&self, action: Action) -> Result<(), IntegrationError> {
        match action {
            Action::Do(command) => drop(self.desk.carry_out(command)?),
            Action::SelectRun(run_id) => self.errand(Errand::SelectRun(run_id)),
            Action::SelectStep { run_id, step_id, attempt } => {
                self.errand(Errand::FollowLog { run_id, step_id, attempt });
            }
            Action::LoadRun(run_id) => self.errand(Errand::LoadRun(run_id)),
            Action::Refresh => {
                // If the window is gone, it needs no snapshot.
                let _ = self.updates.send(self.snapshot());
                self.errand(Errand::Pipelines(Arc::default()));
                self.errand(Errand::RecentRuns);
            }
            Action::OpenFolder(folder) => self.errand(Errand::OpenFolder(folder)),
            // Here and not as an errand: it is the last thing that a window asks for, and must not be lost.
            Action::KeepLook(look) => look.save(self.desk.data_dir().path())?,
            Action::Quit(choice) => {
                let kind = match choice {
                    QuitChoice::LeaveRunning => ShutdownKind::LeaveSteps,
                    QuitChoice::Freeze => ShutdownKind::FreezeRuns,
                    QuitChoice::Stop => ShutdownKind::StopRuns,
                };
                drop(self.desk.carry_out(Command::Shutdown { kind })?);
            }
        }
        Ok(())
    }
}

/// Carries out what the operator asks, one after another.
pub(super) fn serve(desk: &WindowDesk, actions: &Receiver<Action>) {
    for action in actions {
        let what = action_text(&action);
        let is_last = matches!(action, Action::Quit(_));
        if let Err(error) = desk.carry_out(action) {
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

fn action_text(action: &Action) -> String {
    match action {
        Action::Do(command) => command.text(),
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
pub(super) fn log_file(desk: &WindowDesk, (run_id, step_id, attempt): &LogKey) -> PathBuf {
    desk.desk.data_dir().path().join(crate::run::log_path(run_id, step_id, *attempt))
}

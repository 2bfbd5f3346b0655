//! The window's side of the desk: its actions, one after another, and the errands that look things up for it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_channel::{Receiver, Sender};

use super::lookups::Errand;
use super::port::{Action, AppUpdate, QuitChoice, UpdateSender};
use super::reach::{Reach, Remote};
use crate::api::Command;
use crate::api::Error;
use crate::api::Face;
use crate::base::id::{RunId, StepId};
use crate::daemon::be_served;
use crate::daemon::{Fate, ServeFor, Service};
use crate::engine::ShutdownKind;
use crate::run::StopKind;

/// Everything that an action needs. Cheap to clone.
#[derive(Clone)]
pub(crate) struct WindowDesk {
    pub(crate) reach: Reach,
    pub(crate) updates: UpdateSender,
    pub(crate) errands: Sender<Errand>,
    /// None once it was ended.
    service: Arc<Mutex<Option<Service>>>,
    face: Face,
}

impl WindowDesk {
    /// Before an engine of this process.
    pub(crate) fn new(service: Service, face: Face, updates: UpdateSender, errands: Sender<Errand>) -> Self {
        let reach = Reach::Here(service.desk().clone());
        Self { reach, updates, errands, service: Arc::new(Mutex::new(Some(service))), face }
    }

    /// Before somebody else's engine.
    pub(crate) fn attached(remote: Remote, updates: UpdateSender, errands: Sender<Errand>) -> Self {
        Self { reach: Reach::There(remote), updates, errands, service: Arc::default(), face: Face::Window }
    }

    /// Ends the engine as `kind` says. What is left to be done, jobs that are due some day among it, another process
    /// goes on with. A program that embeds the window has no such process: there the supervisor alone goes on. Harmless
    /// when that was done already.
    pub(crate) fn leave(&self, kind: ShutdownKind) -> Result<(), Error> {
        let Some(service) = self.take_service() else { return Ok(()) };
        if self.face != Face::Window {
            return Ok(service.close(kind)?);
        }
        let dir = self.reach.data_dir();
        match service.fate() {
            Fate::Unknown if service.has_work_left(kind) => {
                service.leave_behind(kind, ServeFor::Good).map_err(Error::impossible)
            }
            Fate::Unknown | Fate::Ended => Ok(service.close(kind)?),
            Fate::HandedOver(_) => {
                let has_work_left = service.has_work_left(kind);
                service.close(kind)?;
                // Who took it over may have died since, before it came to serve.
                match has_work_left {
                    true => be_served(dir).map_err(Error::impossible),
                    false => Ok(()),
                }
            }
        }
    }

    fn quit(&self, choice: QuitChoice) -> Result<(), Error> {
        match (&self.reach, choice) {
            (Reach::Here(_), QuitChoice::LeaveRunning | QuitChoice::Close) => {
                self.leave(ShutdownKind::LeaveSteps)
            }
            (Reach::Here(_), QuitChoice::Freeze) => self.leave(ShutdownKind::FreezeRuns),
            (Reach::Here(_), QuitChoice::Stop) => self.leave(ShutdownKind::StopRuns),
            (Reach::There(_), QuitChoice::LeaveRunning | QuitChoice::Close) => Ok(()),
            (Reach::There(_), QuitChoice::Freeze) => self.leave_others(Command::pause),
            (Reach::There(_), QuitChoice::Stop) => {
                self.leave_others(|run_id| Command::stop(run_id, StopKind::Graceful))
            }
        }
    }

    /// Ends the engine, what runs goes on, and has the window close.
    pub(crate) fn close_window(&self) -> Result<(), Error> {
        let outcome = self.leave(ShutdownKind::LeaveSteps);
        // If the window is gone already, so much the better.
        let _ = self.updates.send(AppUpdate::ReadyToClose);
        outcome
    }

    fn take_service(&self) -> Option<Service> {
        self.service.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Has something looked up on the thread of errands.
    pub(crate) fn errand(&self, errand: Errand) {
        // If that thread is gone, so is the window.
        let _ = self.errands.send(errand);
    }

    /// Sends all living runs as they are now; false when there is no window any more.
    pub(crate) fn send_snapshot(&self) -> bool {
        let update = self.reach.snapshot().unwrap_or_else(|error| AppUpdate::Failure {
            action: "look up what runs".into(),
            message: error.to_string(),
        });
        self.updates.send(update).is_ok()
    }

    /// Has every living run of somebody else's engine frozen or stopped before the window goes; what has ended
    /// meanwhile refuses, and rightly.
    fn leave_others(&self, command: fn(&RunId) -> Command) -> Result<(), Error> {
        for run_id in self.reach.living()? {
            let _ = self.reach.command(command(&run_id));
        }
        Ok(())
    }

    fn carry_out(&self, action: Action) -> Result<(), Error> {
        match action {
            Action::Do(command) => self.reach.command(command)?,
            Action::SelectRun(run_id) => self.errand(Errand::SelectRun(run_id)),
            Action::SelectStep { run_id, step_id, attempt } => {
                self.errand(Errand::FollowLog { run_id, step_id, attempt });
            }
            Action::LoadRun(run_id) => self.errand(Errand::LoadRun(run_id)),
            Action::LoadJobs { offset, limit } => self.errand(Errand::Jobs { offset, limit }),
            Action::LoadJob(job_id) => self.errand(Errand::Job(job_id)),
            Action::LoadHistory(span) => self.errand(Errand::History(span)),
            Action::CountEnded => self.errand(Errand::CountEnded),
            Action::SaveJob(form) => self.errand(Errand::SaveJob(form)),
            Action::Refresh => {
                self.send_snapshot();
                self.errand(Errand::Pipelines(Arc::default()));
                self.errand(Errand::RecentRuns);
            }
            Action::OpenFolder(folder) => self.errand(Errand::OpenFolder(folder)),
            // Here and not as an errand: it is the last thing that a window asks for, and must not be lost.
            Action::KeepLook(look) => look.save(self.reach.data_dir().path())?,
            Action::Quit(choice) => self.quit(choice)?,
        }
        Ok(())
    }
}

/// Carries out what the operator asks, one after another.
pub(crate) fn serve(desk: &WindowDesk, actions: &Receiver<Action>) {
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
        Action::LoadJobs { .. } | Action::LoadJob(_) => "look up jobs".to_owned(),
        Action::LoadHistory(_) => "look up the machine's history".to_owned(),
        Action::CountEnded => "count the runs that have ended".to_owned(),
        Action::SaveJob(form) => format!("save job {}", form.job_id()),
        Action::Refresh => "refresh".to_owned(),
        Action::OpenFolder(_) => "open a folder".to_owned(),
        Action::KeepLook(_) => "remember the window".to_owned(),
        Action::Quit(_) => "quit".to_owned(),
    }
}

/// A step's attempt, as the window names it.
pub(crate) type LogKey = (RunId, StepId, u32);

/// Where a run's log lies.
pub(crate) fn log_file(desk: &WindowDesk, (run_id, step_id, attempt): &LogKey) -> PathBuf {
    desk.reach.data_dir().path().join(crate::run::log_path(run_id, step_id, *attempt))
}

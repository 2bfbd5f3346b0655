//! Carries out the window's actions, one after another, and has things looked up for it.

use std::path::PathBuf;
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};
use parking_lot::Mutex;

use super::backend::{Backend, Remote};
use super::lookups::Lookup;
use super::port::{Action, AppUpdate, QuitChoice, UpdateSender};
use crate::api::{Command, Error, ProcessKind};
use crate::base::id::{RunId, StepId};
use crate::daemon::{Disposition, ServeFor, Service, be_served};
use crate::engine::ShutdownKind;
use crate::run::StopKind;

/// Everything that an action needs. Cheap to clone.
#[derive(Clone)]
pub(crate) struct WindowController {
    pub(crate) backend: Backend,
    pub(crate) updates: UpdateSender,
    pub(crate) lookups: Sender<Lookup>,
    /// None once it was ended.
    service: Arc<Mutex<Option<Service>>>,
    face: ProcessKind,
}

impl WindowController {
    /// Before an engine of this process.
    pub(crate) fn new(
        service: Service,
        face: ProcessKind,
        updates: UpdateSender,
        lookups: Sender<Lookup>,
    ) -> Self {
        let backend = Backend::Here(service.handler().clone());
        Self { backend, updates, lookups, service: Arc::new(Mutex::new(Some(service))), face }
    }

    /// Before somebody else's engine.
    pub(crate) fn attached(remote: Remote, updates: UpdateSender, lookups: Sender<Lookup>) -> Self {
        Self {
            backend: Backend::There(remote),
            updates,
            lookups,
            service: Arc::default(),
            face: ProcessKind::Window,
        }
    }

    /// Ends the engine as `kind` says. What is left to be done, jobs that are due some day among it, another process
    /// goes on with. A program that embeds the window has no such process: there the supervisor alone goes on. Harmless
    /// when that was done already.
    pub(crate) fn leave(&self, kind: ShutdownKind) -> Result<(), Error> {
        let Some(service) = self.take_service() else { return Ok(()) };
        if self.face != ProcessKind::Window {
            return Ok(service.close(kind)?);
        }
        let dir = self.backend.data_dir();
        match service.disposition() {
            Disposition::Unknown if service.has_work_left(kind) => {
                service.leave_behind(kind, ServeFor::Good).map_err(Error::impossible)
            }
            Disposition::Unknown | Disposition::Ended => Ok(service.close(kind)?),
            Disposition::HandedOver(_) => {
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
        match (&self.backend, choice) {
            (Backend::Here(_), QuitChoice::LeaveRunning | QuitChoice::Close) => {
                self.leave(ShutdownKind::LeaveSteps)
            }
            (Backend::Here(_), QuitChoice::Freeze) => self.leave(ShutdownKind::FreezeRuns),
            (Backend::Here(_), QuitChoice::Stop) => self.leave(ShutdownKind::StopRuns),
            (Backend::There(_), QuitChoice::LeaveRunning | QuitChoice::Close) => Ok(()),
            (Backend::There(_), QuitChoice::Freeze) => self.leave_others(Command::pause),
            (Backend::There(_), QuitChoice::Stop) => {
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
        self.service.lock().take()
    }

    /// Has something looked up on the thread of lookups.
    pub(crate) fn lookup(&self, lookup: Lookup) {
        // If that thread is gone, so is the window.
        let _ = self.lookups.send(lookup);
    }

    /// Sends all living runs as they are now; false when there is no window any more.
    pub(crate) fn send_snapshot(&self) -> bool {
        let update = self.backend.snapshot().unwrap_or_else(|error| AppUpdate::Failure {
            action: "look up what runs".into(),
            message: error.to_string(),
        });
        self.updates.send(update).is_ok()
    }

    /// Has every living run of somebody else's engine frozen or stopped before the window goes; what has ended
    /// meanwhile refuses, and rightly.
    fn leave_others(&self, command: fn(&RunId) -> Command) -> Result<(), Error> {
        for run_id in self.backend.living()? {
            let _ = self.backend.command(command(&run_id));
        }
        Ok(())
    }

    fn carry_out(&self, action: Action) -> Result<(), Error> {
        match action {
            Action::Do(command) => self.backend.command(command)?,
            Action::SelectRun(run_id) => self.lookup(Lookup::SelectRun(run_id)),
            Action::SelectStep { run_id, step_id, attempt } => {
                self.lookup(Lookup::FollowLog { run_id, step_id, attempt });
            }
            Action::LoadRun(run_id) => self.lookup(Lookup::LoadRun(run_id)),
            Action::LoadJobs { offset, limit } => self.lookup(Lookup::Jobs { offset, limit }),
            Action::LoadJob(job_id) => self.lookup(Lookup::Job(job_id)),
            Action::LoadHistory(span) => self.lookup(Lookup::History(span)),
            Action::CountEnded => self.lookup(Lookup::CountEnded),
            Action::SaveJob(form) => self.lookup(Lookup::SaveJob(form)),
            Action::Refresh => {
                self.send_snapshot();
                self.lookup(Lookup::Pipelines(Arc::default()));
                self.lookup(Lookup::RecentRuns);
            }
            Action::OpenFolder(folder) => self.lookup(Lookup::OpenFolder(folder)),
            // Here and not as a lookup: it is the last thing that a window asks for, and must not be lost.
            Action::KeepLook(look) => look.save(self.backend.data_dir().path())?,
            Action::Quit(choice) => self.quit(choice)?,
        }
        Ok(())
    }
}

/// Carries out what the operator asks, one after another.
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
            // The window closes upon it; if it is gone already, so much the better.
            let _ = controller.updates.send(AppUpdate::ReadyToClose);
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
pub(crate) fn log_file(controller: &WindowController, (run_id, step_id, attempt): &LogKey) -> PathBuf {
    controller.backend.data_dir().path().join(crate::run::log_path(run_id, step_id, *attempt))
}

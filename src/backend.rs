//! The engine as a face reaches it: in this process, or in another one, over its socket. No other module knows which of
//! them it is; where a face must be the engine itself, it says so by [`Backend::open`].

use std::io;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use serde::de::IgnoredAny;

use crate::api::{Command, Error, GetSnapshot, Handles, ProcessKind, Request};
use crate::base::id::RunId;
use crate::control::wire::EventFilter;
use crate::control::{Connection, ControlClient, ControlError, EventStream, Wake};
use crate::daemon::{CommandHandler, Disposition, EngineLease, ServeFor, Service, ServiceOptions, be_served};
use crate::engine::{CoreExecutionEngine, EngineError, ShutdownKind, Subscription, now};
use crate::files::SettledWatch;
use crate::monitor::SampleStream;
use crate::records::{Records, RunRecord};
use crate::resources::Limits;
use crate::run::{Decision, Event, RunSummary, StepSummary, StopKind};
use crate::settings::{FILE, LiveSettings, RefusedSetting, SettingEdit, Settings, edit_settings};
use crate::store::{DataDir, JobStore};

/// Where commands and questions go. Cheap to clone.
#[derive(Clone)]
pub struct Backend(Place);

#[derive(Clone)]
enum Place {
    /// In this process.
    Local {
        handler: CommandHandler,
        /// None once it was ended.
        service: Arc<Mutex<Option<Service>>>,
    },
    /// In another one.
    Remote {
        connection: Arc<Connection>,
        /// For what waits for its answer, which must not hold up a command.
        patient: Arc<Connection>,
        dir: DataDir,
        settings: LiveSettings,
    },
}

/// What an engine tells.
pub enum EngineEvents {
    /// One of this process.
    Local(Subscription),
    /// That of another process, and those after it.
    Remote(EventStream),
}

/// One run whole.
#[derive(Debug, Clone)]
pub struct RunDetail {
    /// The run.
    pub run: RunSummary,
    /// All its steps.
    pub steps: Vec<StepSummary>,
    /// What recovery has decided about it.
    pub decisions: Vec<Decision>,
    /// Every event up to this one is contained; 0 for what was read from disk.
    pub seq: u64,
}

impl Backend {
    /// Becomes the engine of the lease's directory. What it tells begins with what recovery tells.
    pub fn open(
        lease: EngineLease,
        settings: Settings,
        options: ServiceOptions,
        wake: Wake,
    ) -> Result<(Self, EngineEvents), Error> {
        Self::open_and(lease, settings, options, wake, |_| ()).map(|(this, events, ())| (this, events))
    }

    /// As [`open`](Self::open). What is most urgent is done by `first`, as soon as the engine is open.
    pub(crate) fn open_and<T>(
        lease: EngineLease,
        settings: Settings,
        options: ServiceOptions,
        wake: Wake,
        first: impl FnOnce(&CoreExecutionEngine) -> T,
    ) -> Result<(Self, EngineEvents, T), Error> {
        let events = options.engine.bus.subscribe_with_waker(move || wake());
        let (service, first) = Service::open_and(lease, settings, options, first)?;
        let (handler, service) = (service.handler().clone(), Arc::new(Mutex::new(Some(service))));
        Ok((Self(Place::Local { handler, service }), EngineEvents::Local(events), first))
    }

    /// Asks the engine behind `client`, and those after it; hears what `filter` lets through.
    ///
    /// # Errors
    /// [`ControlError`] when it can't be listened to.
    pub fn attach(
        client: ControlClient,
        dir: DataDir,
        settings: Settings,
        filter: EventFilter,
        wake: Wake,
    ) -> Result<(Self, EngineEvents), ControlError> {
        let (connection, patient) = (Arc::new(Connection::of(client)), Arc::new(Connection::to(dir.path())));
        let events = connection.follow(filter, wake)?;
        let settings = LiveSettings::from(settings);
        let place = Place::Remote { connection, patient, dir, settings };
        Ok((Self(place), EngineEvents::Remote(events)))
    }

    /// Of which directory it is.
    pub fn data_dir(&self) -> &DataDir {
        match &self.0 {
            Place::Local { handler, .. } => handler.data_dir(),
            Place::Remote { dir, .. } => dir,
        }
    }

    /// The settings that this process works with.
    pub fn settings(&self) -> &LiveSettings {
        match &self.0 {
            Place::Local { handler, .. } => &handler.settings,
            Place::Remote { settings, .. } => settings,
        }
    }

    /// What carries commands out, if the engine is one of this process.
    pub fn handler(&self) -> Option<&CommandHandler> {
        match &self.0 {
            Place::Local { handler, .. } => Some(handler),
            Place::Remote { .. } => None,
        }
    }

    /// The engine, while it is one of this process.
    pub fn engine(&self) -> Option<&CoreExecutionEngine> {
        self.handler()
            .filter(|_| self.service().is_some_and(|service| service.is_some()))
            .map(CommandHandler::engine)
    }

    /// The engine's service, to be ended by the caller; none of another process's engine, and none once it was taken.
    pub fn take_service(&self) -> Option<Service> {
        self.service()?.take()
    }

    fn service(&self) -> Option<MutexGuard<'_, Option<Service>>> {
        match &self.0 {
            Place::Local { service, .. } => Some(service.lock()),
            Place::Remote { .. } => None,
        }
    }

    /// Has it done.
    ///
    /// # Errors
    /// [`Error`], when it is refused, or no engine lives any more.
    pub fn command(&self, command: Command) -> Result<(), Error> {
        match &self.0 {
            Place::Local { handler, .. } => command.carry_out(handler),
            Place::Remote { connection, .. } => {
                Ok(connection.call::<IgnoredAny>(&command, false).map(drop)?)
            }
        }
    }

    /// As [`Self::command`], with the answer.
    pub fn ask<R: Request>(&self, request: R) -> Result<R::Answer, Error>
    where
        CommandHandler: Handles<R>,
    {
        match &self.0 {
            Place::Local { handler, .. } => handler.handle(request),
            Place::Remote { connection, .. } => Ok(connection.ask(&request)?),
        }
    }

    /// One run whole; none where there is no such run. Another process's engine is not asked: the disk has it.
    pub fn detail(&self, run_id: &RunId) -> Result<Option<RunDetail>, Error> {
        if let Some(engine) = self.handler().map(CommandHandler::engine) {
            let snapshot = engine.snapshot();
            if let Some(run) = snapshot.runs.get(run_id) {
                let decisions = engine.store().decisions(run_id).map_err(EngineError::from)?;
                let (run, steps, seq) = (run.summary(), run.step_summaries(), snapshot.seq);
                return Ok(Some(RunDetail { run, steps, decisions, seq }));
            }
        }
        let record = self.records()?.run(run_id, now()).map_err(EngineError::from)?;
        let whole = |RunRecord { run, steps, decisions, .. }| RunDetail { run, steps, decisions, seq: 0 };
        Ok(record.map(whole))
    }

    /// What stands on disk.
    pub fn records(&self) -> Result<Records, Error> {
        match &self.0 {
            Place::Local { handler, .. } => Ok(handler.records()),
            Place::Remote { dir, .. } => Ok(Records::open(dir.path()).map_err(EngineError::from)?),
        }
    }

    /// What is measured from now on by an engine of this process; none where nothing is.
    pub fn samples(&self) -> Option<SampleStream> {
        self.service()?.as_ref()?.samples()
    }

    /// A connection to another process's engine for what waits for its answer.
    pub fn patient(&self) -> Option<Arc<Connection>> {
        match &self.0 {
            Place::Local { .. } => None,
            Place::Remote { patient, .. } => Some(patient.clone()),
        }
    }

    /// The limits that are in force; none where that can't be told. Those of another process's engine stand in the
    /// settings, from where it takes them.
    pub fn limits(&self) -> Option<Limits> {
        match &self.0 {
            Place::Local { handler, .. } => Some(handler.limits().in_force()),
            Place::Remote { dir, .. } => Settings::load(dir.path()).ok().map(|settings| settings.limits),
        }
    }

    /// Calls `tell` whenever other limits are in force, for as long as what is returned lives.
    ///
    /// # Errors
    /// When the settings can't be watched.
    pub fn watch_limits(&self, tell: impl Fn() + Send + Sync + 'static) -> io::Result<Option<SettledWatch>> {
        match &self.0 {
            Place::Local { handler, .. } => {
                handler.limits().on_change(tell);
                Ok(None)
            }
            Place::Remote { dir, .. } => SettledWatch::open(dir.path(), FILE, tell).map(Some),
        }
    }

    /// Writes values into the settings. The engine takes them over at once.
    ///
    /// # Errors
    /// What is wrong with each of them. Nothing was changed then.
    pub fn edit_settings(&self, edits: &[SettingEdit]) -> Result<(), Vec<RefusedSetting>> {
        match &self.0 {
            Place::Local { handler, .. } => handler.limits().edit(edits),
            // That engine watches the file.
            Place::Remote { dir, settings, .. } => {
                let edited = edit_settings(&dir.path().join(FILE), edits)?;
                settings.look_in(&edited.pipeline_dirs);
                Ok(())
            }
        }
    }

    /// How many jobs go on firing when the engine of this process ends; none where it is another's.
    pub fn jobs_left(&self) -> Result<Option<usize>, Error> {
        let n_due = self.handler().and_then(|handler| handler.jobs().store()).map(JobStore::n_due);
        Ok(n_due.transpose().map_err(EngineError::from)?)
    }

    /// Leaves the engine as `kind` says. One of this process ends; what is left to be done, jobs that are due some day
    /// among it, another process goes on with. A program that embeds the window has no such process: there the
    /// supervisor alone goes on. Another process's engine goes on, with its living runs frozen or stopped. Harmless when
    /// that was done already; one that still waits for runs then leaves them as they are.
    ///
    /// # Errors
    /// [`Error`] when it could not end in good order, or no process goes on with it.
    pub fn leave(&self, kind: ShutdownKind) -> Result<(), Error> {
        let Some(handler) = self.handler() else { return self.leave_others(kind) };
        let Some(service) = self.take_service() else {
            // Another thread ends it. It need not wait for runs any longer.
            if kind == ShutdownKind::LeaveSteps {
                handler.engine().leave_at_once();
            }
            return Ok(());
        };
        if handler.engine_id().face != ProcessKind::Window {
            return Ok(service.close(kind)?);
        }
        match service.disposition() {
            Disposition::Unknown if service.has_work_left(kind) => {
                service.leave_behind(kind, ServeFor::Good).map_err(Error::impossible)
            }
            Disposition::Unknown | Disposition::Ended => Ok(service.close(kind)?),
            Disposition::HandedOver(_) => {
                let has_work_left = service.has_work_left(kind);
                service.close(kind)?;
                // The process that took it over may have died since, before it came to serve.
                match has_work_left {
                    true => be_served(handler.data_dir()).map_err(Error::impossible),
                    false => Ok(()),
                }
            }
        }
    }

    /// What has ended meanwhile refuses, and rightly.
    fn leave_others(&self, kind: ShutdownKind) -> Result<(), Error> {
        let command = match kind {
            ShutdownKind::LeaveSteps => return Ok(()),
            ShutdownKind::FreezeRuns => Command::pause,
            ShutdownKind::StopRuns => |run_id: &RunId| Command::stop(run_id, StopKind::Graceful),
        };
        for living in self.ask(GetSnapshot {})?.runs {
            let _ = self.command(command(&living.run.run_id));
        }
        Ok(())
    }

    /// Ends the connections to another process's engine, and makes no others: what waits for it returns.
    pub fn hang_up(&self) {
        if let Place::Remote { connection, patient, .. } = &self.0 {
            connection.leave();
            patient.leave();
        }
    }
}

impl EngineEvents {
    /// Waits for the next one; none when there is no engine any more.
    pub fn recv(&mut self) -> Option<Arc<Event>> {
        match self {
            Self::Local(events) => events.recv(),
            Self::Remote(events) => events.recv(),
        }
    }

    /// The next event of this engine, if one waits.
    pub fn try_recv(&mut self) -> Option<Arc<Event>> {
        match self {
            Self::Local(events) => events.try_recv(),
            Self::Remote(events) => events.try_recv(),
        }
    }

    /// Whether this engine has gone and everything was taken.
    pub fn is_over(&self) -> bool {
        match self {
            Self::Local(events) => events.is_over(),
            Self::Remote(events) => events.is_over(),
        }
    }

    /// Those of another process's engine.
    pub fn remote(&self) -> Option<&EventStream> {
        match self {
            Self::Local(_) => None,
            Self::Remote(events) => Some(events),
        }
    }
}

//! [`ExecutionIntegration`] binds the engine and the monitor to a window: actions in, updates out. The
//! window never waits for it: whatever takes time is done on one of its threads.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::controller::{WindowController, serve};
use super::look::WindowLook;
use super::lookups::{Lookup, Lookups};
use super::own_store::{Applying, OwnStore};
use super::port::{AppUpdate, UpdateSender, WorldPort, window_port};
use super::remote_usage::show_usage;
use super::samples::show_samples;
use super::store::AppStore;
use crate::api::{Error, ProcessKind};
use crate::backend::{Backend, EngineEvents};
use crate::base::id::RunId;
use crate::base::thread::{self, Thread};
use crate::control::ControlClient;
use crate::control::wire::EventFilter;
use crate::daemon::{CommandHandler, EngineLease, Mode, ServiceOptions, Watch};
use crate::diagnostics::{Listening, listen};
use crate::engine::{CoreExecutionEngine, EngineError, EngineOptions, EventBus, HostStart, ShutdownKind};
use crate::files::{FolderWatch, SettledWatch};
use crate::monitor::SampleStream;
use crate::records::unpack_samples;
use crate::run::{EventKind, StopKind};
use crate::scheduler::DesktopScheduler;
use crate::settings::Settings;
use crate::store::DataDir;

/// The whole of it on one data directory: the engine, its scheduler and its monitor, and an [`AppStore`] that follows
/// their events. It does nothing before [`start`](Self::start); dropped, it leaves what runs with the supervisor. The
/// crate's own page has a complete program.
pub struct ExecutionIntegration {
    bus: EventBus,
    world: WorldPort,
    /// The read model of a program without a window.
    own_store: Option<OwnStore>,
    started: Option<Started>,
}

/// What lives from `start` to `shutdown`.
struct Started {
    controller: WindowController,
    /// Shows the warnings about its own engine.
    listening: Option<Listening>,
    /// Measures the machine for a window whose engine lives elsewhere.
    watch: Option<Watch>,
    threads: Vec<Thread>,
    /// Applies updates to the store of a program without a window.
    applying: Option<Applying>,
    /// Has the pipelines read anew; none where the system has no watches left.
    _pipelines: Option<FolderWatch>,
    /// Has the limits of somebody else's engine read anew, likewise.
    _limits: Option<SettledWatch>,
}

impl ExecutionIntegration {
    /// For a program without a window: what the engine tells on `bus` is applied to `store`, which
    /// [`read_store`](Self::read_store) shows. Nothing runs before [`start`](Self::start).
    pub fn new(store: AppStore, bus: EventBus) -> Self {
        let (port, world) = window_port();
        Self { bus, world, own_store: Some(OwnStore::new(store, port)), started: None }
    }

    /// For a window: joins the world's end of its port, whose other end feeds the window's own [`AppStore`], and a bus.
    #[doc(hidden)]
    pub fn for_window(world: WorldPort, bus: EventBus) -> Self {
        Self { bus, world, own_store: None, started: None }
    }

    /// Shows `look` the store that it was made with; none where a window has its own. Updates wait meanwhile, so that
    /// `look` should be short.
    pub fn read_store<T>(&self, look: impl FnOnce(&AppStore) -> T) -> Option<T> {
        self.own_store.as_ref().map(|own| own.read(look))
    }

    /// Opens the engine on `data_dir` and begins to serve the window. An empty data directory gets the samples. An
    /// engine that lives there is left alone.
    ///
    /// What fails beside the engine is a warning of `tracing`, and a message in the window. For the latter a `tracing`
    /// subscriber is set for the whole process, unless there is one: then only that one gets the warnings.
    ///
    /// # Errors
    /// [`Error`], when the directory is held or unusable, or the settings can't be read.
    pub fn start(&mut self, data_dir: impl AsRef<Path>) -> Result<(), Error> {
        let data_dir = data_dir.as_ref();
        let settings = Settings::load(data_dir)?;
        let options = settings.engine_options();
        self.start_with(data_dir, settings, options)
    }

    /// As [`start`](Self::start), with options of the caller's own.
    ///
    /// # Errors
    /// As there.
    #[doc(hidden)]
    pub fn start_with(
        &mut self,
        data_dir: &Path,
        settings: Settings,
        options: EngineOptions,
    ) -> Result<(), Error> {
        let dir = DataDir::open(data_dir).map_err(EngineError::from)?;
        self.start_on(EngineLease::take(&dir)?, ProcessKind::Library, settings, options)
    }

    /// Opens the engine on a lease that was taken or handed over, for the window of `face`.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    #[doc(hidden)]
    pub fn start_on(
        &mut self,
        lease: EngineLease,
        face: ProcessKind,
        settings: Settings,
        options: EngineOptions,
    ) -> Result<(), Error> {
        self.world.recall_look(WindowLook::load(lease.dir.path()));
        let updates = self.world.updates.clone();
        let engine = EngineOptions { bus: self.bus.clone(), host_start: HostStart::AtOnce, ..options };
        let (raise, for_notices) = (notifier(&updates, || AppUpdate::Raise), updates.clone());
        let listening = listen(lease.dir.path(), move |message| {
            let message = message.to_owned();
            // If the window is gone, nobody needs to know.
            let _ = for_notices.send(AppUpdate::Failure { action: "keep house".into(), message });
        });
        let options = ServiceOptions { face, parts: Mode::All, engine, raise: Some(raise) };
        let folder = lease.dir.pipelines_dir();
        // Before their schedules are read and their folder is watched.
        if !folder.exists() {
            unpack_samples(&folder)?;
        }
        let (backend, events) = Backend::open(lease, settings, options, Arc::new(|| {}))?;
        let samples = backend.samples();
        self.prepare(backend, samples, events)?;
        if let Some(started) = &mut self.started {
            started.listening = Some(listening);
        }
        Ok(())
    }

    /// Serves the window before the engine of another process, which it watches and controls over its socket.
    ///
    /// # Errors
    /// [`Error`], when that engine can't be listened to.
    #[doc(hidden)]
    pub fn attach(&mut self, client: ControlClient, dir: DataDir, settings: Settings) -> Result<(), Error> {
        self.world.recall_look(WindowLook::load(dir.path()));
        // What is made of limits, and what is kept, is the business of that engine.
        let watch = Watch::of_machine(dir.path(), &settings).ok();
        let filter = EventFilter { since: Some(client.welcome().seq), ..EventFilter::default() };
        let (backend, events) = Backend::attach(client, dir, settings, filter, Arc::new(|| {}))?;
        self.prepare(backend, watch.as_ref().map(Watch::stream), events)?;
        if let Some(started) = &mut self.started {
            started.watch = watch;
        }
        Ok(())
    }

    /// Starts the threads between the window and an engine.
    fn prepare(
        &mut self,
        backend: Backend,
        samples: Option<SampleStream>,
        events: EngineEvents,
    ) -> Result<(), Error> {
        // Unbounded: one lookup a click at most, and the thread that does them lives as long as the controller.
        let (lookups, waiting) = crossbeam_channel::unbounded();
        let controller = WindowController { backend, updates: self.world.updates.clone(), lookups };
        let mut threads = vec![
            thread::start("lf-lookups", {
                let controller = controller.clone();
                move || Lookups::new(controller).run(&waiting)
            })?,
            thread::start("lf-actions", {
                let (controller, actions) = (controller.clone(), self.world.actions.clone());
                move || serve(&controller, &actions)
            })?,
        ];
        let applying = self.own_store.as_ref().map(OwnStore::apply_updates).transpose()?;
        let pipelines = watch_pipelines(&controller);
        let limits = watch_limits(&controller);
        controller.lookup(Lookup::RecentRuns);
        controller.lookup(Lookup::Alerts);
        if let Some(samples) = samples {
            let updates = self.world.updates.clone();
            let engine = controller.backend.engine().cloned();
            threads.push(thread::start("lf-samples", move || {
                show_samples(&samples, engine.as_ref(), &updates)
            })?);
        }
        if let Some(connection) = controller.backend.patient() {
            let updates = self.world.updates.clone();
            threads.push(thread::start("lf-usage", move || show_usage(&connection, &updates))?);
        }
        threads.push(thread::start("lf-events", {
            let controller = controller.clone();
            move || forward(&controller, events)
        })?);
        self.started = Some(Started {
            controller,
            listening: None,
            watch: None,
            threads,
            applying,
            _pipelines: pipelines,
            _limits: limits,
        });
        Ok(())
    }

    /// Starts the one pipeline of this source, else the one whose id equals it, a registered function included.
    ///
    /// # Errors
    /// [`Error`], which lists the pipelines when the source does not tell.
    pub fn start_job(&self, source: &str, run_type: Option<&str>) -> Result<RunId, Error> {
        self.handler()?.start_job(source, run_type)
    }

    /// Freezes a run.
    ///
    /// # Errors
    /// As [`CoreExecutionEngine::pause_execution`].
    pub fn pause_job(&self, run_id: &RunId) -> Result<(), Error> {
        Ok(self.handler()?.engine.pause_execution(run_id)?)
    }

    /// Thaws a run, or takes up one that has ended.
    ///
    /// # Errors
    /// As [`CoreExecutionEngine::resume_execution`].
    pub fn resume_job(&self, run_id: &RunId) -> Result<(), Error> {
        Ok(self.handler()?.engine.resume_execution(run_id).map(drop)?)
    }

    /// Stops a run.
    ///
    /// # Errors
    /// As [`CoreExecutionEngine::stop_execution`].
    pub fn stop_job(&self, run_id: &RunId, kind: StopKind) -> Result<(), Error> {
        Ok(self.handler()?.engine.stop_execution(run_id, kind)?)
    }

    /// The engine that it has started.
    ///
    /// # Errors
    /// [`Error`], when it has not been started.
    pub fn engine(&self) -> Result<&CoreExecutionEngine, Error> {
        Ok(&self.handler()?.engine)
    }

    /// The scheduler that it has started.
    ///
    /// # Errors
    /// [`Error`], when it has not been started.
    pub fn scheduler(&self) -> Result<&DesktopScheduler, Error> {
        Ok(self.handler()?.jobs())
    }

    /// What ends its engine from any thread as a closed window does, what runs goes on, and then closes the window.
    ///
    /// # Errors
    /// [`Error`], when it has not been started.
    pub(crate) fn leaver(&self) -> Result<impl Fn() -> Result<(), Error> + Send + Clone + 'static, Error> {
        let controller = self.started.as_ref().ok_or_else(not_started)?.controller.clone();
        Ok(move || controller.close_window())
    }

    /// Ends the scheduler and the engine in good order, and every thread. Harmless when the window has done so already.
    pub fn shutdown(&mut self, kind: ShutdownKind) {
        let Some(Started { controller, listening, watch, threads, applying, _pipelines, _limits }) =
            self.started.take()
        else {
            return;
        };
        drop((watch, _pipelines, _limits));
        // Whatever is to be said of it, nobody is there any more to hear it.
        let _ = controller.backend.leave(kind);
        controller.backend.hang_up();
        // Ends the thread of actions, which may wait for a window that still lives.
        match &self.own_store {
            Some(own) => own.end_actions(),
            None => self.world.actions = crossbeam_channel::never(),
        }
        controller.lookup(Lookup::End);
        drop(controller);
        drop(threads);
        drop(listening);
        // After those that send to it.
        drop(applying);
    }

    /// Where its commands are carried out; none before another process's engine.
    ///
    /// # Errors
    /// [`Error`], when it has not been started.
    #[doc(hidden)]
    pub fn handler(&self) -> Result<&CommandHandler, Error> {
        let started = self.started.as_ref().ok_or_else(not_started)?;
        started.controller.backend.handler().ok_or_else(not_started)
    }
}

impl Drop for ExecutionIntegration {
    fn drop(&mut self) {
        self.shutdown(ShutdownKind::LeaveSteps);
    }
}

/// Hands events to the window, and a snapshot wherever it has to begin anew. They wait where they come from, which
/// coalesces, so that a window that sleeps holds up nobody.
fn forward(controller: &WindowController, mut events: EngineEvents) {
    let mut goes_on = controller.send_snapshot();
    let jobs_wanted = Arc::new(AtomicBool::new(true));
    controller.lookup(Lookup::JobsLeft(jobs_wanted.clone()));
    while goes_on && let Some(event) = events.recv() {
        if matches!(event.kind, EventKind::Resync) {
            goes_on = controller.send_snapshot();
            controller.lookup(Lookup::RecentRuns);
            continue;
        }
        let may_change_jobs = matches!(
            event.kind,
            EventKind::JobChanged { .. } | EventKind::JobFired { .. } | EventKind::JobSkipped { .. }
        );
        // One count that waits serves all.
        if may_change_jobs && !jobs_wanted.swap(true, Ordering::AcqRel) {
            controller.lookup(Lookup::JobsLeft(jobs_wanted.clone()));
        }
        goes_on = controller.updates.send(AppUpdate::Event(event)).is_ok();
    }
    // The engine is another's, or is no more: a window without one is of no use.
    let _ = controller.updates.send(AppUpdate::ReadyToClose);
}

/// Has the pipelines read now and whenever one of their folders changes.
fn watch_pipelines(controller: &WindowController) -> Option<FolderWatch> {
    let own = controller.backend.data_dir().pipelines_dir();
    let folders = std::iter::once(&own).chain(&controller.backend.settings().pipeline_dirs);
    let wanted = Arc::new(AtomicBool::new(true));
    controller.lookup(Lookup::Pipelines(wanted.clone()));
    let lookups = controller.lookups.clone();
    let on_change = move || {
        // A save is several changes, and one look afterwards is enough.
        if !wanted.swap(true, Ordering::AcqRel) {
            // If that thread is gone, so is the window.
            let _ = lookups.send(Lookup::Pipelines(wanted.clone()));
        }
    };
    let updates = controller.updates.clone();
    let warn = move |what: String, error: &io::Error| {
        let action = format!("watch {what}");
        let message = format!("{error}; a pipeline that is edited there shows at the next start");
        // If the window is gone, nobody needs to know.
        let _ = updates.send(AppUpdate::Failure { action, message });
    };
    let warn_of_all = warn.clone();
    let on_lost =
        move |folder: &Path, error: &io::Error| warn(format!("the folder {}", folder.display()), error);
    FolderWatch::of_all(folders, on_change, on_lost)
        .inspect_err(|error| warn_of_all("the folders of pipelines".to_owned(), error))
        .ok()
}

/// Has the limits looked up now and whenever they are others.
fn watch_limits(controller: &WindowController) -> Option<SettledWatch> {
    controller.lookup(Lookup::Limits);
    let lookups = controller.lookups.clone();
    let look = move || {
        // If that thread is gone, so is the window.
        let _ = lookups.send(Lookup::Limits);
    };
    let watch = controller.backend.watch_limits(look);
    if let Err(error) = &watch {
        let action = "watch the settings".to_owned();
        let message = format!("{error}; a limit that is edited shows at the next start");
        // If the window is gone, nobody needs to know.
        let _ = controller.updates.send(AppUpdate::Failure { action, message });
    }
    watch.ok().flatten()
}

/// Sends an update from anywhere.
fn notifier(updates: &UpdateSender, update: fn() -> AppUpdate) -> Arc<dyn Fn() + Send + Sync> {
    let updates = updates.clone();
    Arc::new(move || {
        // If the window is gone, there is nothing to raise or to close.
        let _ = updates.send(update());
    })
}

fn not_started() -> Error {
    Error::impossible("the integration has not been started")
}

//! [`ExecutionIntegration`] connects an engine and its monitor to a window: actions in, updates out. The window never
//! waits for it: slow work is done on other threads.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::controller::{WindowController, serve};
use super::look::WindowLook;
use super::lookups::{Lookup, Lookups};
use super::own_store::{Applying, OwnStore};
use super::port::{Action, AppUpdate, UpdateSender, WorldPort, window_port};
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
use crate::engine::{
    CoreExecutionEngine, EngineError, EngineOptions, EventBus, HostStart, ShutdownKind, now,
};
use crate::files::{FolderWatch, SettledWatch};
use crate::monitor::SampleStream;
use crate::records::unpack_samples;
use crate::run::{EventKind, StopKind};
use crate::scheduler::DesktopScheduler;
use crate::settings::Settings;
use crate::store::DataDir;

/// Connects an engine and its monitor to one window.
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
    /// Shows warnings of this process's engine.
    listening: Option<Listening>,
    /// Measures the machine for a window whose engine is in another process.
    watch: Option<Watch>,
    threads: Vec<Thread>,
    /// Applies updates to the store of a program without a window.
    applying: Option<Applying>,
    /// Reads the pipelines again after a change. None when the kernel has no watches left.
    _pipelines: PipelineWatch,
    /// Reads the limits of another process's engine again after a change. None likewise.
    _limits: Option<SettledWatch>,
}

impl ExecutionIntegration {
    /// For a program without a window: the engine's events on `bus` are applied to `store`, which
    /// [`read_store`](Self::read_store) shows. Nothing runs before [`start`](Self::start).
    pub fn new(store: AppStore, bus: EventBus) -> Self {
        let (port, world) = window_port();
        Self { bus, world, own_store: Some(OwnStore::new(store, port)), started: None }
    }

    /// For a window: connects a bus to the world's end of the window's port. The other end feeds the window's own
    /// [`AppStore`].
    #[doc(hidden)]
    pub fn for_window(world: WorldPort, bus: EventBus) -> Self {
        Self { bus, world, own_store: None, started: None }
    }

    /// Calls `look` with the store that was given to [`new`](Self::new). None for a window, which has its own. Updates
    /// wait meanwhile, so `look` should be short.
    pub fn read_store<T>(&self, look: impl FnOnce(&AppStore) -> T) -> Option<T> {
        self.own_store.as_ref().map(|own| own.read(look))
    }

    /// Opens the engine on `data_dir` and starts to serve the window. If there is no folder of pipelines, it is created
    /// with the samples. An engine of another process is left alone: its directory is an error.
    ///
    /// What fails beside the engine is a `tracing` warning and a message in the window. For the message, a `tracing`
    /// subscriber is set for the whole process, unless there is one: then only that one gets the warnings.
    ///
    /// # Errors
    /// [`Error`] when the directory is held or unusable, or the settings can't be read.
    pub fn start(&mut self, data_dir: impl AsRef<Path>) -> Result<(), Error> {
        let data_dir = data_dir.as_ref();
        let settings = Settings::load(data_dir)?;
        let options = settings.engine_options();
        self.start_with(data_dir, settings, options)
    }

    /// As [`start`](Self::start), with the caller's own options.
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

    /// Opens the engine on a lease that was acquired or handed over, for a process of kind `face`.
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
            // Fails when the window is gone.
            let _ = for_notices.send(AppUpdate::Failure { action: "keep house".into(), message });
        });
        let options = ServiceOptions { face, parts: Mode::All, engine, raise: Some(raise) };
        let folder = lease.dir.pipelines_dir();
        // Before the folder is watched and the schedules in it are read.
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

    /// Serves the window with the engine of another process, over its socket.
    ///
    /// # Errors
    /// [`Error`] when the client can't subscribe to that engine.
    #[doc(hidden)]
    pub fn attach(&mut self, client: ControlClient, dir: DataDir, settings: Settings) -> Result<(), Error> {
        self.world.recall_look(WindowLook::load(dir.path()));
        // Only measures: that engine enforces the limits and keeps the samples.
        let watch = Watch::of_machine(dir.path(), &settings).ok();
        let engine = &client.welcome().engine;
        let sentence =
            format!("The engine runs in another process: {} (process {})", engine.face.as_str(), engine.pid);
        // Fails when the window is gone.
        let _ = self.world.updates.send(AppUpdate::Attached(sentence));
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
        // Unbounded: a click makes at most one lookup, and the receiving thread lives as long as the controller.
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
        if self.own_store.is_none() {
            controller.lookup(Lookup::Asked(Action::LoadAway(now().wall)));
        }
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

    /// Starts the only pipeline with this source, or else the one with this id. Registered functions count too.
    ///
    /// # Errors
    /// [`Error`], which lists the pipelines when `source` is ambiguous or unknown.
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

    /// Thaws a frozen run, or resumes an ended one.
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

    /// The engine that [`start`](Self::start) has opened.
    ///
    /// # Errors
    /// [`Error`] when it is not started, or the engine is in another process.
    pub fn engine(&self) -> Result<&CoreExecutionEngine, Error> {
        Ok(&self.handler()?.engine)
    }

    /// The scheduler that [`start`](Self::start) has opened.
    ///
    /// # Errors
    /// [`Error`] when it is not started, or the engine is in another process.
    pub fn scheduler(&self) -> Result<&DesktopScheduler, Error> {
        Ok(self.handler()?.jobs())
    }

    /// A function for any thread that does what closing the window does: it leaves the engine, whose steps go on, and
    /// then closes the window.
    ///
    /// # Errors
    /// [`Error`] when it is not started.
    pub(crate) fn leaver(&self) -> Result<impl Fn() -> Result<(), Error> + Send + Clone + 'static, Error> {
        let controller = self.started.as_ref().ok_or_else(not_started)?.controller.clone();
        Ok(move || controller.close_window())
    }

    /// Ends the scheduler, the engine and all threads in order. Safe if the window has done so already.
    pub fn shutdown(&mut self, kind: ShutdownKind) {
        let Some(Started { controller, listening, watch, threads, applying, _pipelines, _limits }) =
            self.started.take()
        else {
            return;
        };
        drop((watch, _pipelines, _limits));
        // No one is left to read an error.
        let _ = controller.backend.leave(kind);
        controller.backend.hang_up();
        // Ends the thread of actions, which may wait for a window that still exists.
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

    /// The handler of commands.
    ///
    /// # Errors
    /// [`Error`] when it is not started, or the engine is in another process.
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

/// Passes events to the window, and a snapshot whenever it has to start anew. Events wait in their subscription, which
/// coalesces, so that a sleeping window blocks no one.
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
        // One waiting count serves all events.
        if may_change_jobs && !jobs_wanted.swap(true, Ordering::AcqRel) {
            controller.lookup(Lookup::JobsLeft(jobs_wanted.clone()));
        }
        goes_on = controller.updates.send(AppUpdate::Event(event)).is_ok();
    }
    // The engine was handed over or has ended: a window without an engine is of no use.
    let _ = controller.updates.send(AppUpdate::ReadyToClose);
}

/// The watch of the folders of pipelines, which follows the settings.
type PipelineWatch = Arc<Mutex<Option<FolderWatch>>>;

/// Reads the pipelines now and whenever one of their folders changes, or other folders are theirs.
fn watch_pipelines(controller: &WindowController) -> PipelineWatch {
    let wanted = Arc::new(AtomicBool::new(true));
    controller.lookup(Lookup::Pipelines(wanted.clone()));
    let data_dir = controller.backend.data_dir().path().to_owned();
    let (lookups, updates) = (controller.lookups.clone(), controller.updates.clone());
    let look = move || {
        // Saving a file is several changes; one lookup afterwards is enough.
        if !wanted.swap(true, Ordering::AcqRel) {
            // If that thread is gone, so is the window.
            let _ = lookups.send(Lookup::Pipelines(wanted.clone()));
        }
    };
    let look_anew = look.clone();
    let open = move |settings: &Settings| {
        let folders = settings.pipeline_folders(&data_dir);
        watch_folders(&folders, look.clone(), updates.clone())
    };
    let watch = Arc::new(Mutex::new(open(&controller.backend.settings().now())));
    let of_listener = Arc::downgrade(&watch);
    controller.backend.settings().on_folders(move |settings| {
        if let Some(watch) = of_listener.upgrade() {
            *watch.lock() = open(settings);
            look_anew();
        }
    });
    watch
}

/// Calls `look` whenever a file in one of these folders changes; warns of those that can't be watched.
fn watch_folders(
    folders: &[PathBuf],
    look: impl Fn() + Send + Sync + 'static,
    updates: UpdateSender,
) -> Option<FolderWatch> {
    let warn = move |what: String, error: &io::Error| {
        let action = format!("watch {what}");
        let message = format!("{error}; a pipeline that is edited there shows at the next start");
        // Fails when the window is gone.
        let _ = updates.send(AppUpdate::Failure { action, message });
    };
    let warn_of_all = warn.clone();
    let on_lost =
        move |folder: &Path, error: &io::Error| warn(format!("the folder {}", folder.display()), error);
    FolderWatch::of_all(folders, look, on_lost)
        .inspect_err(|error| warn_of_all("the folders of pipelines".to_owned(), error))
        .ok()
}

/// Reads the limits now and whenever they change.
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
        // Fails when the window is gone.
        let _ = controller.updates.send(AppUpdate::Failure { action, message });
    }
    watch.ok().flatten()
}

/// A function that sends an update from any thread.
fn notifier(updates: &UpdateSender, update: fn() -> AppUpdate) -> Arc<dyn Fn() + Send + Sync> {
    let updates = updates.clone();
    Arc::new(move || {
        // Fails when the window is gone.
        let _ = updates.send(update());
    })
}

fn not_started() -> Error {
    Error::impossible("the integration has not been started")
}

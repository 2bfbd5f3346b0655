//! [`ExecutionIntegration`] binds the engine and the monitor to a window: actions in, updates out. The
//! window never waits for it: whatever takes time is done on one of its threads.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::desk::{Desk, serve};
use super::errands::{Errand, Errands};
use super::watch::{Pace, Watch, show_samples};
use super::{
    AppUpdate, CatalogueError, Settings, SettingsError, WindowLook, WorldPort, log_bytes, unpack_samples,
};
use crate::engine::{
    CoreExecutionEngine, EngineError, EngineOptions, EventBus, HostStart, ShutdownKind, Subscription,
};
use crate::id::RunId;
use crate::logs::FolderWatch;
use crate::pipeline::ParamError;
use crate::run::{EventKind, RunState, StopKind};

/// Why a job could not be started, or the integration itself.
#[derive(Debug, thiserror::Error)]
pub enum IntegrationError {
    /// No such pipeline, or one that can't be used.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// Its parameters don't fit.
    #[error(transparent)]
    Param(#[from] ParamError),
    /// The engine said no.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The settings can't be used.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A thread or a file could not be had.
    #[error("the system refused a resource: {0}")]
    System(#[from] std::io::Error),
    /// [`ExecutionIntegration::start`] comes first.
    #[error("the integration has not been started")]
    NotStarted,
}

/// Binds the engine and the monitor to one window.
pub struct ExecutionIntegration {
    bus: EventBus,
    world: WorldPort,
    started: Option<Started>,
}

/// What lives from `start` to `shutdown`.
struct Started {
    desk: Desk,
    watch: Option<Watch>,
    threads: Vec<JoinHandle<()>>,
    /// Closing it ends the thread that keeps retention.
    _upkeep: Sender<()>,
    /// Has the pipelines read anew; none where the system has no watches left.
    _pipelines: Option<FolderWatch>,
}

impl ExecutionIntegration {
    /// Joins the world's end of a window's port (whose other end feeds an [`super::AppStore`]) and a bus.
    pub fn new(store: WorldPort, bus: EventBus) -> Self {
        Self { bus, world: store, started: None }
    }

    /// Opens the engine on `data_dir` and begins to serve the window. An empty data directory gets the samples.
    ///
    /// # Errors
    /// [`IntegrationError`], when the directory is held or unusable, or the settings can't be read.
    pub fn start(&mut self, data_dir: &Path) -> Result<(), IntegrationError> {
        let settings = Settings::load(data_dir)?;
        let options = EngineOptions {
            bus: self.bus.clone(),
            host_start: HostStart::AtOnce,
            ..settings.engine_options()
        };
        self.start_with(data_dir, settings, options)
    }

    /// As [`start`](Self::start), with options of the caller's own.
    ///
    /// # Errors
    /// As there.
    pub fn start_with(
        &mut self,
        data_dir: &Path,
        settings: Settings,
        mut options: EngineOptions,
    ) -> Result<(), IntegrationError> {
        self.world.recall_look(WindowLook::load(data_dir));
        // Before the engine opens, so that what it takes back is measured. Without it everything goes on.
        let mut watch = Watch::new(data_dir, &settings);
        if let (Ok(watch), None) = (&watch, &options.monitor) {
            options.monitor = Some(watch.monitor());
        }
        // Before the engine opens, so that what recovery tells is heard.
        let events = self.bus.subscribe();
        let engine = CoreExecutionEngine::open(data_dir, options)?;
        watch = watch.and_then(|mut watch| watch.start(engine.data_dir()).map(|()| watch));
        let folder = engine.data_dir().pipelines_dir();
        if !folder.exists() {
            unpack_samples(&folder)?;
        }
        // Unbounded: one errand a click at most, and the thread that takes them lives as long as the desk.
        let (errands, waiting) = crossbeam_channel::unbounded();
        let updates = self.world.updates.clone();
        let desk = Desk { engine, settings: Arc::new(settings), updates: updates.clone(), errands };
        let mut threads = vec![
            spawn("lf-errands", {
                let desk = desk.clone();
                move || Errands::new(desk).run(&waiting)
            })?,
            spawn("lf-actions", {
                let (desk, actions) = (desk.clone(), self.world.actions.clone());
                move || serve(&desk, &actions)
            })?,
        ];
        let pipelines = watch_pipelines(&desk);
        desk.errand(Errand::RecentRuns);
        // Capacity 0: nothing is sent; closing it ends the thread.
        let (upkeep, closed) = bounded(0);
        threads.push(spawn("lf-upkeep", {
            let desk = desk.clone();
            move || keep_retention(&desk, &closed)
        })?);
        let watch = match watch {
            Ok(watch) => {
                let samples = watch.stream();
                threads.push(spawn("lf-samples", move || show_samples(&samples, &updates))?);
                Some(watch)
            }
            Err(error) => {
                let action = "measure the machine and the steps".to_owned();
                // If the window is gone, nobody needs to know.
                let _ = updates.send(AppUpdate::Failure { action, message: error.to_string() });
                None
            }
        };
        threads.push(spawn("lf-events", {
            let (desk, pace) = (desk.clone(), watch.as_ref().map(Watch::pace));
            move || forward(&desk, &events, pace.as_ref())
        })?);
        self.started = Some(Started { desk, watch, threads, _upkeep: upkeep, _pipelines: pipelines });
        Ok(())
    }

    /// Starts the one pipeline of this source, else the one whose id equals it, a registered function included.
    ///
    /// # Errors
    /// [`IntegrationError`], which lists the pipelines when the source does not tell.
    pub fn start_job(&self, source: &str, run_type: Option<&str>) -> Result<RunId, IntegrationError> {
        self.desk()?.start_job(source, run_type)
    }

    /// Freezes a run.
    ///
    /// # Errors
    /// As [`CoreExecutionEngine::pause_execution`].
    pub fn pause_job(&self, run_id: &RunId) -> Result<(), IntegrationError> {
        Ok(self.desk()?.engine.pause_execution(run_id)?)
    }

    /// Thaws a run, or takes up one that has ended.
    ///
    /// # Errors
    /// As [`CoreExecutionEngine::resume_execution`].
    pub fn resume_job(&self, run_id: &RunId) -> Result<(), IntegrationError> {
        Ok(self.desk()?.engine.resume_execution(run_id).map(drop)?)
    }

    /// Stops a run.
    ///
    /// # Errors
    /// As [`CoreExecutionEngine::stop_execution`].
    pub fn stop_job(&self, run_id: &RunId, kind: StopKind) -> Result<(), IntegrationError> {
        Ok(self.desk()?.engine.stop_execution(run_id, kind)?)
    }

    /// The engine that it has started.
    ///
    /// # Errors
    /// [`IntegrationError::NotStarted`].
    pub fn engine(&self) -> Result<&CoreExecutionEngine, IntegrationError> {
        Ok(&self.desk()?.engine)
    }

    /// Ends the engine in good order, and every thread. Harmless when the window has done so already.
    pub fn shutdown(&mut self, kind: ShutdownKind) {
        let Some(Started { desk, watch, threads, _upkeep, _pipelines }) = self.started.take() else { return };
        drop((_upkeep, _pipelines));
        // It may have been shut down by the window's own action.
        let _ = desk.engine.shutdown(kind);
        // After the engine, so that the last ends are recorded with what was measured of them.
        drop(watch);
        // Ends the thread of actions, which may wait for a window that still lives.
        self.world.actions = crossbeam_channel::never();
        desk.errand(Errand::End);
        drop(desk);
        for thread in threads {
            // A panic there has been printed; there is nobody left to tell.
            let _ = thread.join();
        }
    }

    fn desk(&self) -> Result<&Desk, IntegrationError> {
        self.started.as_ref().map(|started| &started.desk).ok_or(IntegrationError::NotStarted)
    }
}

impl Drop for ExecutionIntegration {
    fn drop(&mut self) {
        self.shutdown(ShutdownKind::LeaveSteps);
    }
}

/// Hands events to the window, and a snapshot wherever it has to begin anew. They wait in the subscription,
/// which coalesces, so that a window that sleeps holds up nobody.
fn forward(desk: &Desk, events: &Subscription, pace: Option<&Pace>) {
    let mut goes_on = desk.updates.send(desk.snapshot()).is_ok();
    let mut is_busy = false;
    let mut keep_pace = |desk: &Desk| {
        let is_now = desk.engine.snapshot().runs.values().any(|run| run.state != RunState::Paused);
        if is_now != is_busy {
            is_busy = is_now;
            pace.inspect(|pace| if is_busy { pace.quicken() } else { pace.slacken() });
        }
    };
    keep_pace(desk);
    while goes_on && let Some(event) = events.recv() {
        if !event.kind.is_telemetry() {
            keep_pace(desk);
        }
        if matches!(event.kind, EventKind::Resync) {
            goes_on = desk.updates.send(desk.snapshot()).is_ok();
            desk.errand(Errand::RecentRuns);
            continue;
        }
        goes_on = desk.updates.send(AppUpdate::Event(event)).is_ok();
    }
}

/// Lets go what the settings let go: at the start and every day.
fn keep_retention(desk: &Desk, closed: &Receiver<()>) {
    const DAY: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);
    loop {
        let store = desk.engine.store();
        let data_dir = desk.data_dir().path();
        let (retention, now) = (&desk.settings.retention, crate::engine::now().wall);
        let pruned = store
            .plan_prune(retention, now, |run_id| log_bytes(data_dir, run_id))
            .and_then(|plan| store.apply_prune(&plan, data_dir));
        if let Err(error) = pruned {
            let update =
                AppUpdate::Failure { action: "clean up old runs".into(), message: error.to_string() };
            // If the window is gone, nobody needs to know.
            let _ = desk.updates.send(update);
        }
        if !matches!(closed.recv_timeout(DAY), Err(crossbeam_channel::RecvTimeoutError::Timeout)) {
            return;
        }
    }
}

/// Has the pipelines read now and whenever one of their folders changes.
fn watch_pipelines(desk: &Desk) -> Option<FolderWatch> {
    let own = desk.data_dir().pipelines_dir();
    let folders = std::iter::once(&own).chain(&desk.settings.pipeline_dirs);
    let wanted = Arc::new(AtomicBool::new(true));
    desk.errand(Errand::Pipelines(wanted.clone()));
    let errands = desk.errands.clone();
    let watch = FolderWatch::of_all(folders, move || {
        // A save is several changes, and one look afterwards is enough.
        if !wanted.swap(true, Ordering::AcqRel) {
            // If that thread is gone, so is the window.
            let _ = errands.send(Errand::Pipelines(wanted.clone()));
        }
    });
    if let Err(error) = &watch {
        let action = "watch the folders of pipelines".to_owned();
        let message = format!("{error}; a pipeline that is edited shows at the next start");
        // If the window is gone, nobody needs to know.
        let _ = desk.updates.send(AppUpdate::Failure { action, message });
    }
    watch.ok()
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.into()).spawn(work)
}

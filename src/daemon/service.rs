//! An engine in service: its lease, its command handler, its socket, and the tasks beside it. The window, `serve` and
//! the verbs in the foreground each have one. When another process takes the lease over, all of it ends here and goes
//! on there.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, select};
use parking_lot::Mutex;

use super::background::{Background, ServeFor};
use super::command_handler::{CommandHandler, Owner};
use super::job_files::JobFiles;
use super::lease::{EngineLease, Joined, join};
use super::lease_keeper::{Keeper, Order, Shared};
use super::measuring::Watch;
use super::retention::keep_retention;
use crate::api::{Error, ProcessKind};
use crate::awake::AwakeKeeper;
use crate::base::id::PipelineId;
use crate::base::tasks::{Task, TaskThread};
use crate::base::thread::{self, Thread};
use crate::control::server::{ControlOptions, ControlServer};
use crate::diagnostics::NOTICE;
use crate::engine::{CoreExecutionEngine, EngineError, EngineOptions, ShutdownKind};
use crate::monitor::SampleStream;
use crate::scheduler::DesktopScheduler;
use crate::settings::{LiveSettings, PipelineFinder, Settings};
use crate::store::{DataDir, DirWatch, JobStore, WalKeeper, WalLimit};

/// How long a successor may take from its start to its request for the lease.
const SUCCESSOR_WITHIN: Duration = Duration::from_secs(20);

/// What runs beside the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// All that a desktop needs around the clock: the scheduler with the jobs of pipeline files, and retention.
    All,
    /// Nothing: the engine serves the runs that it is given, and fires no jobs.
    EngineOnly,
}

/// How an engine is put into service. A failure beside the engine is a `tracing` warning with the target `leverframe`
/// and the field `data_dir`.
pub struct ServiceOptions {
    /// The kind of process.
    pub face: ProcessKind,
    /// What runs beside the engine.
    pub parts: Mode,
    /// How the engine is opened. Its lock comes with the lease.
    pub engine: EngineOptions,
    /// Brings the window to the front. None without a window.
    pub raise: Option<Arc<dyn Fn() + Send + Sync>>,
}

/// Why an engine no longer serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposition {
    /// It serves, or has ended by itself.
    Unknown,
    /// A client requested its end.
    Ended,
    /// Another process has taken its lease over.
    HandedOver(NewHolder),
}

/// The process that has taken an engine's lease over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewHolder {
    /// The kind of process.
    pub face: ProcessKind,
    /// Its kind and id, for messages.
    pub name: String,
}

/// An engine in service. Dropping it leaves running steps to the supervisor.
pub struct Service {
    handler: CommandHandler,
    orders: Sender<Order>,
    keeper: Option<Thread>,
    /// Closed when the keeper has ended.
    kept: Receiver<()>,
    /// Whether `serve` handed the lease over.
    was_serving: bool,
    shared: Arc<Shared>,
    /// The tasks for the jobs of files and for retention.
    upkeep: Option<(JobFiles, Task)>,
    /// Outlives the engine, so that the last ends are recorded with their measurements.
    watch: Option<Watch>,
    /// Outlives the engine too.
    awake: Option<AwakeKeeper>,
    /// Keeps the databases' logs short.
    wal: Option<WalKeeper>,
    /// Reports when the data directory is no longer in its place.
    _dir_watch: DirWatch,
    displaced: Receiver<()>,
    /// Takes over changes of the settings file.
    limits_file: Option<Task>,
    /// The thread of all tasks beside the engine.
    _housekeeping: TaskThread,
}

impl Service {
    /// Opens the engine on its lease, and serves the clients that wait at the socket.
    ///
    /// # Errors
    /// [`Error`]; the lease is then free again.
    pub fn open(lease: EngineLease, settings: Settings, options: ServiceOptions) -> Result<Self, Error> {
        Self::open_and(lease, settings, options, |_| ()).map(|(service, ())| service)
    }

    /// As [`open`](Self::open). What is most urgent is done by `first`, as soon as the engine is open: everything beside
    /// the engine is started after that.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub(crate) fn open_and<T>(
        lease: EngineLease,
        settings: Settings,
        options: ServiceOptions,
        first: impl FnOnce(&CoreExecutionEngine) -> T,
    ) -> Result<(Self, T), Error> {
        let ServiceOptions { face, parts, engine, raise } = options;
        let EngineLease { dir, lock, listener, handover } = lease;
        let was_serving = handover.as_ref().is_some_and(|handover| handover.face == ProcessKind::Serve);
        // Before the engine opens, so that the events of recovery are received, and recovered steps are measured.
        let events = engine.bus.subscribe();
        let data_dir = dir.path().display();
        // The service works without it. The end of a step then has only the kernel's figures.
        let mut watch = Watch::new(dir.path(), &settings)
            .inspect_err(|error| tracing::warn!(target: NOTICE, %data_dir, "nothing is measured: {error}"))
            .ok();
        let monitor = engine.monitor.or_else(|| watch.as_ref().map(Watch::monitor));
        // The service works without it; the machine may then sleep.
        let awake = AwakeKeeper::start(dir.path())
            .inspect_err(|error| {
                tracing::warn!(target: NOTICE, %data_dir, "sleep can't be prevented: {error}");
            })
            .ok();
        let kept_awake = engine.awake.or_else(|| awake.as_ref().map(AwakeKeeper::handle));
        let engine = EngineOptions { lock: Some(lock), monitor, awake: kept_awake, ..engine };
        let engine = CoreExecutionEngine::open(dir.path(), engine)?;
        let first = first(&engine);
        let settings = LiveSettings::from(settings);
        let shared =
            Arc::new(Shared { disposition: Mutex::new(Disposition::Unknown), new_holder: Mutex::default() });
        let ended = {
            let shared = shared.clone();
            move || *shared.disposition.lock() = Disposition::Ended
        };
        let finder = PipelineFinder::new(dir.path(), settings.clone());
        let find = move |id: &PipelineId| finder.find(id);
        let jobs = match parts {
            Mode::All => DesktopScheduler::open_with(&engine, find)?,
            Mode::EngineOnly => DesktopScheduler::beside(&engine, find),
        };
        let owner = Owner { face, raise, ended: Arc::new(ended) };
        let monitor = watch.as_ref().map(Watch::monitor);
        let handler = CommandHandler::measured_by(monitor, engine, jobs, settings.clone(), owner);
        let tasks = TaskThread::start("lf-housekeeping").map_err(EngineError::from)?;
        if let Some(watch) = &mut watch {
            watch.start_soon(&tasks, handler.engine());
        }
        let limits_file = handler.limits().watch(&tasks);
        let wal = {
            let limit = if parts == Mode::All { WalLimit::Whole } else { WalLimit::Growth };
            WalKeeper::start(&tasks, handler.engine().store(), handler.jobs().store(), limit)
        };
        // Capacity 1: sent once. Closed with the watch.
        let (tell, displaced) = bounded(1);
        let dir_watch = {
            let path = dir.path().to_owned();
            DirWatch::start(&dir, &tasks, move || {
                let data_dir = path.display();
                tracing::warn!(
                    target: NOTICE,
                    %data_dir,
                    "the data directory {data_dir} or its lock was renamed, removed or exchanged while in use; nothing \
                     is written to it any more"
                );
                // The service may have ended.
                let _ = tell.send(());
            })
        };
        let upkeep = match parts {
            Mode::All => {
                let files = JobFiles::start(&tasks, &dir, settings, handler.jobs().clone());
                // After the files are read, so that schedules that were removed from them do not fire once more.
                handler.jobs().start()?;
                Some((files, keep_retention(&tasks, handler.clone())))
            }
            Mode::EngineOnly => None,
        };
        // Capacity 1: a hand-over that is requested while an order waits is refused.
        let (orders, waiting) = bounded(1);
        let asked = orders.clone();
        let on_hand_over = move |hand_over| {
            if let Err(refused) = asked.try_send(Order::HandOver(hand_over))
                && let Order::HandOver(hand_over) = refused.into_inner()
            {
                hand_over.refuse("the engine is being handed over or ended at this moment; try again");
            }
        };
        let server = ControlServer::start(ControlOptions {
            handler: Arc::new(handler.clone()),
            engine: handler.engine().clone(),
            events,
            listener: Some(listener),
            last_seq: handover.map(|handover| handover.seq),
            on_hand_over: Some(Box::new(on_hand_over)),
        })?;
        // Capacity 0: nothing is sent. It closes when the keeper has ended.
        let (keeping, kept) = bounded(0);
        let keeper = Keeper {
            handler: handler.clone(),
            face,
            server,
            shared: shared.clone(),
            lock: None,
            standbys: Vec::new(),
            _keeping: keeping,
        };
        tracing::info!(data_dir = %handler.data_dir().path().display(), ?face, ?parts, "the engine is in service");
        let keeper = thread::start("lf-lease", move || keeper.keep(&waiting))?;
        let service = Self {
            handler,
            orders,
            keeper: Some(keeper),
            kept,
            was_serving,
            shared,
            upkeep,
            watch,
            awake,
            wal: Some(wal),
            _dir_watch: dir_watch,
            displaced,
            limits_file: Some(limits_file),
            _housekeeping: tasks,
        };
        Ok((service, first))
    }

    pub fn handler(&self) -> &CommandHandler {
        &self.handler
    }

    pub fn engine(&self) -> &CoreExecutionEngine {
        self.handler.engine()
    }

    /// The samples from now on. None when nothing is measured.
    pub(crate) fn samples(&self) -> Option<SampleStream> {
        self.watch.as_ref().map(Watch::stream)
    }

    /// Receives a message when the data directory is no longer in its place, as far as that can be watched.
    pub fn displaced(&self) -> &Receiver<()> {
        &self.displaced
    }

    /// Why the engine no longer serves, once its events are over.
    pub fn disposition(&self) -> Disposition {
        self.shared.disposition.lock().clone()
    }

    /// Ends the engine in order and closes all connections. Safe when it has ended already.
    ///
    /// # Errors
    /// [`EngineError`] when it could not end in order.
    pub fn close(mut self, kind: ShutdownKind) -> Result<(), EngineError> {
        self.end(kind)
    }

    /// Ends the engine as `kind` says, and lets another process take over: one that stands by, or a new one in the
    /// background.
    ///
    /// # Errors
    /// A sentence when no process took over. The engine has ended nevertheless, and running steps are left to the
    /// supervisor.
    pub fn leave_behind(mut self, kind: ShutdownKind, serve_for: ServeFor) -> Result<(), String> {
        let is_passed = match serve_for {
            ServeFor::Good => self.pass_to_standby(kind)?,
            ServeFor::WhatRuns => false,
        };
        let handed_over = if is_passed { Ok(()) } else { self.start_new_holder(serve_for) };
        let ended = self.end(ShutdownKind::LeaveSteps).map_err(|error| error.to_string());
        match (serve_for, handed_over) {
            // The successor may have died while it held the lease.
            (ServeFor::Good, Err(why)) => be_served(self.handler.data_dir()).map_err(|_| why).and(ended),
            (ServeFor::Good | ServeFor::WhatRuns, handed_over) => handed_over.and(ended),
        }
    }

    /// Whether an engine is needed after this one has ended as `kind` says: a run goes on, a job will be due, or
    /// `serve` had the lease before.
    pub fn has_work_left(&self, kind: ShutdownKind) -> bool {
        let is_due_some_day = |jobs: &JobStore| matches!(jobs.earliest_due_ms(), Ok(Some(_)));
        let runs_on = kind == ShutdownKind::LeaveSteps && self.is_busy();
        self.was_serving || runs_on || self.handler.jobs().store().is_some_and(is_due_some_day)
    }

    /// Whether a run is active or waits to start. A paused run needs no engine.
    pub fn is_busy(&self) -> bool {
        self.engine().snapshot().runs.values().any(|run| run.phase.freeze().is_none())
    }

    /// Whether a run has not ended, paused ones included.
    pub fn has_runs(&self) -> bool {
        !self.engine().snapshot().runs.is_empty()
    }

    /// Hands the lease to a standby. Returns whether one has taken it.
    fn pass_to_standby(&self, kind: ShutdownKind) -> Result<bool, String> {
        // Capacity 1: the one answer.
        let (tell, done) = bounded(1);
        if self.orders.send(Order::PassOn(kind, tell)).is_err() {
            return Ok(false);
        }
        let passed = select! {
            recv(done) -> passed => passed.ok(),
            // The keeper ended after this answer, or had handed the lease over before it got the order.
            recv(self.kept) -> _ => done.try_recv().ok(),
        };
        match passed {
            Some(Err(error)) if !matches!(error, EngineError::ShutDown) => Err(error.to_string()),
            Some(passed) => Ok(passed.unwrap_or(false)),
            None => Ok(false),
        }
    }

    /// Starts a successor and waits until it has the lease.
    fn start_new_holder(&mut self, serve_for: ServeFor) -> Result<(), String> {
        let failed = |why: String| format!("no process in the background took over: {why}");
        let mut new_holder = self.shared.new_holder.lock();
        let background = Background::start(self.handler.data_dir().path(), serve_for);
        let background = background.map_err(|error| failed(error.to_string()))?;
        *new_holder = Some(background.pid());
        drop(new_holder);
        background.wait_until_ready(SUCCESSOR_WITHIN).map_err(|unready| failed(unready.to_string()))
    }

    /// As [`Self::close`], but keeps the service for later questions.
    pub fn end(&mut self, kind: ShutdownKind) -> Result<(), EngineError> {
        if self.keeper.is_none() {
            return Ok(());
        }
        drop((self.upkeep.take(), self.limits_file.take(), self.wal.take()));
        let outcome = self.give_up(|tell| Order::Close(kind, tell));
        self.part();
        outcome
    }

    /// As [`Self::close`], for a process that ends right after it: everything is recorded, the clients have heard the
    /// reason, and the lease is free. Threads that have nothing left to do are not waited for: they end with the process,
    /// sooner than one after the other.
    ///
    /// # Errors
    /// As [`Self::close`].
    pub(crate) fn close_at_exit(mut self, kind: ShutdownKind) -> Result<(), EngineError> {
        let outcome = match self.keeper {
            Some(_) => self.give_up(|tell| Order::CloseAtExit(kind, tell)),
            None => Ok(()),
        };
        // Its last samples are written.
        drop((self.watch.take(), self.awake.take()));
        std::mem::forget(self);
        outcome
    }

    /// Has the keeper give the lease up. Safe when it has ended already.
    fn give_up(
        &self,
        order: impl FnOnce(Sender<Result<(), EngineError>>) -> Order,
    ) -> Result<(), EngineError> {
        // Capacity 1: the one answer.
        let (tell, done) = bounded(1);
        let outcome = match self.orders.send(order(tell)) {
            Ok(()) => select! {
                recv(done) -> outcome => outcome.unwrap_or(Ok(())),
                // The lease was handed over, and the order was not read.
                recv(self.kept) -> _ => Ok(()),
            },
            Err(_) => Ok(()),
        };
        match outcome {
            Err(EngineError::ShutDown) => Ok(()),
            outcome => outcome,
        }
    }

    /// Ends the engine if no run lives. Returns whether it has ended. A run whose start was answered keeps its engine.
    pub fn end_if_idle(&mut self) -> Result<bool, EngineError> {
        // Capacity 1: the one answer.
        let (tell, done) = bounded(1);
        // Fails when the lease was handed over: the events are then over too.
        let _ = self.orders.send(Order::CloseIfIdle(tell));
        let outcome = select! {
            recv(done) -> outcome => outcome.unwrap_or(Ok(false)),
            recv(self.kept) -> _ => done.try_recv().unwrap_or(Ok(false)),
        };
        if !matches!(outcome, Ok(false)) {
            self.part();
        }
        outcome
    }

    /// Ends the keeper, and then what outlives the engine.
    fn part(&mut self) {
        drop((self.upkeep.take(), self.limits_file.take(), self.wal.take()));
        // First, because the others outlive the engine.
        drop(self.keeper.take());
        drop((self.watch.take(), self.awake.take()));
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // A caller that needs the result calls `close`.
        let _ = self.end(ShutdownKind::LeaveSteps);
    }
}

/// Starts a process in the background that serves `dir`, unless an engine does.
///
/// # Errors
/// A sentence when no process serves.
pub(crate) fn be_served(dir: &DataDir) -> Result<(), String> {
    match join(dir) {
        Ok(Joined::Client(_)) => Ok(()),
        Ok(Joined::EngineLease(lease)) => {
            drop(lease);
            let background = Background::start(dir.path(), ServeFor::Good).map_err(|e| e.to_string())?;
            background.wait_until_ready(SUCCESSOR_WITHIN).map_err(|unready| unready.to_string())
        }
        Err(error) => Err(error.to_string()),
    }
}

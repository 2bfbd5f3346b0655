//! An engine in service: the lease that it holds, its command handler, the socket at which others ask, and what goes on beside it.
//! The window, `serve` and the verbs in the foreground each hold one; when another process takes the lease over, all of
//! it ends here and goes on there.

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
use crate::settings::{PipelineFinder, Settings};
use crate::store::{DataDir, DirWatch, JobStore, WalKeeper, WalLimit};

/// How long a process that was started to take over may take until it asks.
const SUCCESSOR_WITHIN: Duration = Duration::from_secs(20);

/// What goes on beside the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Everything that a desktop needs around the clock: the scheduler with the jobs of pipeline files, and retention.
    All,
    /// Nothing: it serves the runs that it is given, and fires no jobs.
    EngineOnly,
}

/// How an engine is put into service. When something beside it fails, that is a warning of `tracing`, with the target
/// `leverframe` and the data directory as `data_dir`.
pub struct ServiceOptions {
    /// What it belongs to.
    pub face: ProcessKind,
    /// What goes on beside it.
    pub parts: Mode,
    /// How it is opened. Its lock comes with the lease.
    pub engine: EngineOptions,
    /// Brings its window to the front; none where there is no window.
    pub raise: Option<Arc<dyn Fn() + Send + Sync>>,
}

/// Why an engine serves no longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposition {
    /// It does, or has ended by itself.
    Unknown,
    /// Somebody asked it to end, over the socket.
    Ended,
    /// Another process has its lease.
    HandedOver(NewHolder),
}

/// Who has taken an engine's lease over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewHolder {
    /// What the new engine belongs to.
    pub face: ProcessKind,
    /// Its face and process, for messages.
    pub name: String,
}

/// An engine in service. Dropping it leaves what runs with the supervisor.
pub struct Service {
    handler: CommandHandler,
    orders: Sender<Order>,
    keeper: Option<Thread>,
    /// Closed when the keeper has ended.
    kept: Receiver<()>,
    /// The lease was handed over by `serve`.
    was_serving: bool,
    shared: Arc<Shared>,
    /// Takes over the jobs of files, and keeps retention.
    upkeep: Option<(JobFiles, Task)>,
    /// Outlives the engine, so that the last ends are recorded with what was measured of them.
    watch: Option<Watch>,
    /// Outlives the engine as well, for as long as runs are its own to watch over.
    awake: Option<AwakeKeeper>,
    /// Keeps the databases' logs short, until the end.
    wal: Option<WalKeeper>,
    /// Tells when the data directory is no longer in its place.
    _dir_watch: DirWatch,
    displaced: Receiver<()>,
    /// Takes over what is edited, until the end.
    limits_file: Option<Task>,
    /// The thread of all tasks beside the engine.
    _housekeeping: TaskThread,
}

impl Service {
    /// Opens the engine on its lease, and the socket to everybody who waits there.
    ///
    /// # Errors
    /// [`Error`]; then the lease is free again.
    pub fn open(lease: EngineLease, settings: Settings, options: ServiceOptions) -> Result<Self, Error> {
        let ServiceOptions { face, parts, engine, raise } = options;
        let EngineLease { dir, lock, listener, handover } = lease;
        let was_serving = handover.as_ref().is_some_and(|handover| handover.face == ProcessKind::Serve);
        // Before the engine opens, so that what recovery tells is heard, and what it takes back is measured.
        let events = engine.bus.subscribe();
        let watch = Watch::new(dir.path(), &settings);
        let monitor = engine.monitor.or_else(|| watch.as_ref().ok().map(Watch::monitor));
        let data_dir = dir.path().display();
        // Without it everything goes on as well: the machine may then sleep.
        let awake = AwakeKeeper::start(dir.path())
            .inspect_err(|error| {
                tracing::warn!(target: NOTICE, %data_dir, "sleep can't be held off: {error}");
            })
            .ok();
        let kept_awake = engine.awake.or_else(|| awake.as_ref().map(AwakeKeeper::handle));
        let engine = EngineOptions { lock: Some(lock), monitor, awake: kept_awake, ..engine };
        let engine = CoreExecutionEngine::open(dir.path(), engine)?;
        let watch = watch.and_then(|mut watch| watch.start(&engine).map(|()| watch));
        // Without it everything goes on: an end then has what the kernel says of it.
        let watch = watch
            .inspect_err(|error| tracing::warn!(target: NOTICE, %data_dir, "nothing is measured: {error}"))
            .ok();
        let settings = Arc::new(settings);
        let shared =
            Arc::new(Shared { disposition: Mutex::new(Disposition::Unknown), new_holder: Mutex::default() });
        let ended = {
            let shared = shared.clone();
            move || *shared.disposition.lock() = Disposition::Ended
        };
        let finder = PipelineFinder::new(dir.path(), Settings::clone(&settings));
        let find = move |id: &PipelineId| finder.find(id);
        let jobs = match parts {
            Mode::All => DesktopScheduler::open_with(&engine, find)?,
            Mode::EngineOnly => DesktopScheduler::beside(&engine, find),
        };
        let owner = Owner { face, raise, ended: Arc::new(ended) };
        let handler = CommandHandler::new(engine, jobs, settings.clone(), owner);
        let handler = handler.measured_by(watch.as_ref().map(Watch::monitor));
        let tasks = TaskThread::start("lf-housekeeping").map_err(EngineError::from)?;
        let limits_file = handler.limits().watch(&tasks);
        let wal = {
            let limit = if parts == Mode::All { WalLimit::Whole } else { WalLimit::Growth };
            WalKeeper::start(&tasks, handler.engine().store(), handler.jobs().store(), limit)
        };
        // Capacity 1: it is told once. Closed with the watch.
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
                // Whoever waits no longer has ended.
                let _ = tell.send(());
            })
        };
        let upkeep = match parts {
            Mode::All => {
                let files = JobFiles::start(&tasks, &dir, settings, handler.jobs().clone());
                // After the files are read: what they no longer say does not fire once more.
                handler.jobs().start()?;
                Some((files, keep_retention(&tasks, handler.clone())))
            }
            Mode::EngineOnly => None,
        };
        // Capacity 1: whoever asks while another is being answered is refused.
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
        // Capacity 0: nothing is sent; it is closed when the keeper has ended.
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
        Ok(Self {
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
        })
    }

    /// Where everything is carried out.
    pub fn handler(&self) -> &CommandHandler {
        &self.handler
    }

    /// The engine.
    pub fn engine(&self) -> &CoreExecutionEngine {
        self.handler.engine()
    }

    /// What is measured from now on; none where nothing can be.
    pub(crate) fn samples(&self) -> Option<SampleStream> {
        self.watch.as_ref().map(Watch::stream)
    }

    /// Told when the data directory is no longer where it was, as far as that can be watched.
    pub fn displaced(&self) -> &Receiver<()> {
        &self.displaced
    }

    /// Why it serves no longer, once its events are over.
    pub fn disposition(&self) -> Disposition {
        self.shared.disposition.lock().clone()
    }

    /// Ends the engine in good order and takes leave of everybody. Harmless when it has ended already.
    ///
    /// # Errors
    /// [`EngineError`], when it could not end in good order.
    pub fn close(mut self, kind: ShutdownKind) -> Result<(), EngineError> {
        self.end(kind)
    }

    /// Ends here as `kind` says, and has another process take the rest over: one that stands by, or a new one in the
    /// background.
    ///
    /// # Errors
    /// A sentence, when nobody took over: then it has ended here all the same, and what runs is with the supervisor.
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

    /// Whether an engine is needed when this one has ended as `kind` says: something runs on, a job is due some day, or
    /// a server had the lease before.
    pub fn has_work_left(&self, kind: ShutdownKind) -> bool {
        let is_due_some_day = |jobs: &JobStore| matches!(jobs.earliest_due_ms(), Ok(Some(_)));
        let runs_on = kind == ShutdownKind::LeaveSteps && self.is_busy();
        self.was_serving || runs_on || self.handler.jobs().store().is_some_and(is_due_some_day)
    }

    /// Whether something runs, or waits to: what is paused stays so without an engine.
    pub fn is_busy(&self) -> bool {
        self.engine().snapshot().runs.values().any(|run| run.phase.freeze().is_none())
    }

    /// Whether any run lives, paused ones included.
    pub fn has_runs(&self) -> bool {
        !self.engine().snapshot().runs.is_empty()
    }

    /// Whether a process that stands by has taken the lease.
    fn pass_to_standby(&self, kind: ShutdownKind) -> Result<bool, String> {
        // Capacity 1: the one answer.
        let (tell, done) = bounded(1);
        if self.orders.send(Order::PassOn(kind, tell)).is_err() {
            return Ok(false);
        }
        let passed = select! {
            recv(done) -> passed => passed.ok(),
            // It has ended upon this very answer, or has handed the lease over before it heard the order.
            recv(self.kept) -> _ => done.try_recv().ok(),
        };
        match passed {
            Some(Err(error)) if !matches!(error, EngineError::ShutDown) => Err(error.to_string()),
            Some(passed) => Ok(passed.unwrap_or(false)),
            None => Ok(false),
        }
    }

    /// Starts the successor, and waits until it has the lease.
    fn start_new_holder(&mut self, serve_for: ServeFor) -> Result<(), String> {
        let failed = |why: String| format!("no process in the background took over: {why}");
        let mut new_holder = self.shared.new_holder.lock();
        let background = Background::start(self.handler.data_dir().path(), serve_for);
        let background = background.map_err(|error| failed(error.to_string()))?;
        *new_holder = Some(background.pid());
        drop(new_holder);
        background.wait_until_ready(SUCCESSOR_WITHIN).map_err(|unready| failed(unready.to_string()))
    }

    /// As [`Self::close`], for whoever still asks what has become of something.
    ///
    /// # Errors
    /// As there.
    pub fn end(&mut self, kind: ShutdownKind) -> Result<(), EngineError> {
        if self.keeper.is_none() {
            return Ok(());
        }
        drop((self.upkeep.take(), self.limits_file.take(), self.wal.take()));
        // Capacity 1: the one answer.
        let (tell, done) = bounded(1);
        let outcome = match self.orders.send(Order::Close(kind, tell)) {
            Ok(()) => select! {
                recv(done) -> outcome => outcome.unwrap_or(Ok(())),
                // The lease has been handed over, and the order was not heard.
                recv(self.kept) -> _ => Ok(()),
            },
            Err(_) => Ok(()),
        };
        self.part();
        match outcome {
            Err(EngineError::ShutDown) => Ok(()),
            outcome => outcome,
        }
    }

    /// Ends the engine if no run lives; says whether it has ended. A run whose start was answered keeps its engine.
    ///
    /// # Errors
    /// As [`Self::end`].
    pub fn end_if_idle(&mut self) -> Result<bool, EngineError> {
        // Capacity 1: the one answer.
        let (tell, done) = bounded(1);
        // Not heard when the lease has been handed over: then its events are over, too.
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

    /// The keeper takes leave.
    fn part(&mut self) {
        drop((self.upkeep.take(), self.limits_file.take(), self.wal.take()));
        // Before what outlives the engine.
        drop(self.keeper.take());
        drop((self.watch.take(), self.awake.take()));
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Whoever wants to know how it ended closes it.
        let _ = self.end(ShutdownKind::LeaveSteps);
    }
}

/// Has a process in the background serve `dir`, unless somebody does.
///
/// # Errors
/// A sentence, when nobody came to serve.
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

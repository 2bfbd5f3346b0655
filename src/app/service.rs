//! An engine in service: the seat that it holds, its desk, the socket at which others ask, and what goes on beside it.
//! The window, `serve` and the verbs in the foreground each hold one; when another process takes the seat over, all of
//! it ends here and goes on there.

use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, select};

use super::hands::{ControlOptions, ControlServer, HandOver};
use super::integration::IntegrationError;
use super::job_files::JobFiles;
use super::retention::RetentionKeeper;
use super::seat::Bequest;
use super::watch::Watch;
use super::{Background, Desk, Jobs, Owner, PipelineFinder, Seat, ServeFor, Settings};
use crate::awake::AwakeKeeper;
use crate::control::wire::Face;
use crate::engine::{CoreExecutionEngine, EngineError, EngineOptions, ShutdownKind};
use crate::logs::SettledWatch;
use crate::monitor::SampleStream;
use crate::run::RunState;
use crate::scheduler::DesktopScheduler;

/// How long a process that was started to take over may take until it asks.
const SUCCESSOR_WITHIN: Duration = Duration::from_secs(20);

/// What goes on beside the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parts {
    /// Everything that a desktop needs around the clock: the scheduler with the jobs of pipeline files, and retention.
    All,
    /// Nothing: it serves the runs that it is given, and fires no jobs.
    RunsAlone,
}

/// How an engine is put into service.
pub struct ServiceOptions {
    /// What it belongs to.
    pub face: Face,
    /// What goes on beside it.
    pub parts: Parts,
    /// How it is opened. Its lock comes with the seat.
    pub engine: EngineOptions,
    /// Brings its window to the front; none where there is no window.
    pub raise: Option<Arc<dyn Fn() + Send + Sync>>,
    /// Called with a sentence when something beside the engine fails; it must return soon.
    pub complain: Arc<dyn Fn(String) + Send + Sync>,
}

/// Why an engine serves no longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It does, or has ended by itself.
    Unknown,
    /// Somebody asked it to end, over the socket.
    Ended,
    /// Another process has its seat; who, for messages.
    HandedOver(String),
}

/// An engine in service. Dropping it leaves what runs with the supervisor.
pub struct Service {
    desk: Desk,
    orders: Sender<Order>,
    keeper: Option<JoinHandle<()>>,
    /// Closed when the keeper has ended.
    kept: Receiver<()>,
    /// The seat was handed over by `serve`.
    was_serving: bool,
    shared: Arc<Shared>,
    upkeep: Option<(JobFiles, RetentionKeeper)>,
    /// Outlives the engine, so that the last ends are recorded with what was measured of them.
    watch: Option<Watch>,
    /// Outlives the engine as well, for as long as runs are its own to watch over.
    awake: Option<AwakeKeeper>,
    /// Takes over what is edited; none where the system has no watches left.
    limits_file: Option<SettledWatch>,
}

/// What is asked of the thread that keeps the seat.
enum Order {
    /// Somebody asks for it.
    HandOver(HandOver),
    /// Give it up.
    Close(ShutdownKind, Sender<Result<(), EngineError>>),
}

struct Shared {
    fate: Mutex<Fate>,
    /// The process that was started to take over.
    heir: Mutex<Option<u32>>,
}

impl Service {
    /// Opens the engine on its seat, and the socket to everybody who waits there.
    ///
    /// # Errors
    /// [`IntegrationError`]; then the seat is free again.
    pub fn open(seat: Seat, settings: Settings, options: ServiceOptions) -> Result<Self, IntegrationError> {
        let ServiceOptions { face, parts, engine, raise, complain } = options;
        let Seat { dir, lock, listener, bequest } = seat;
        let was_serving = bequest.as_ref().is_some_and(|bequest| bequest.face == Face::Serve);
        // Before the engine opens, so that what recovery tells is heard, and what it takes back is measured.
        let events = engine.bus.subscribe();
        let watch = Watch::new(dir.path(), &settings);
        let monitor = engine.monitor.or_else(|| watch.as_ref().ok().map(Watch::monitor));
        let keeper = {
            let complain = complain.clone();
            AwakeKeeper::start(move |why| complain(why))
        };
        // Without it everything goes on as well: the machine may then sleep.
        let awake = keeper.inspect_err(|error| complain(format!("sleep can't be held off: {error}"))).ok();
        let kept_awake = engine.awake.or_else(|| awake.as_ref().map(AwakeKeeper::handle));
        let engine = EngineOptions { lock: Some(lock), monitor, awake: kept_awake, ..engine };
        let engine = CoreExecutionEngine::open(dir.path(), engine)?;
        let watch = watch.and_then(|mut watch| watch.start(&engine).map(|()| watch));
        // Without it everything goes on: an end then has what the kernel says of it.
        let watch = watch.inspect_err(|error| complain(format!("nothing is measured: {error}"))).ok();
        let settings = Arc::new(settings);
        let shared = Arc::new(Shared { fate: Mutex::new(Fate::Unknown), heir: Mutex::default() });
        let ended = {
            let shared = shared.clone();
            move || *lock_of(&shared.fate) = Fate::Ended
        };
        let jobs = match parts {
            Parts::All => {
                let finder = PipelineFinder::new(dir.path(), Settings::clone(&settings));
                Jobs::firing(DesktopScheduler::open(&engine, move |id| finder.find(id))?)
            }
            Parts::RunsAlone => Jobs::beside_an_engine(dir.clone(), settings.clone()),
        };
        let owner = Owner { face, raise, ended: Arc::new(ended) };
        let desk = Desk::new(engine, jobs, settings.clone(), owner);
        let desk = desk.measured_by(watch.as_ref().map(Watch::monitor));
        let limits_file = desk.limits().watch(complain.clone());
        let upkeep = match desk.jobs().scheduler() {
            Some(scheduler) => {
                let files = JobFiles::start(&dir, settings, scheduler.clone(), complain.clone())?;
                // After the files are read: what they no longer say does not fire once more.
                scheduler.start()?;
                Some((files, RetentionKeeper::start(desk.clone(), complain)?))
            }
            None => None,
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
            desk: desk.clone(),
            events,
            listener: Some(listener),
            last_seq: bequest.map(|bequest| bequest.seq),
            on_hand_over: Some(Box::new(on_hand_over)),
        })?;
        // Capacity 0: nothing is sent; it is closed when the keeper has ended.
        let (keeping, kept) = bounded(0);
        let keeper = Keeper { desk: desk.clone(), face, server, shared: shared.clone(), _keeping: keeping };
        let keeper = crate::thread::lasting("lf-seat", move || keeper.keep(&waiting))?;
        Ok(Self {
            desk,
            orders,
            keeper: Some(keeper),
            kept,
            was_serving,
            shared,
            upkeep,
            watch,
            awake,
            limits_file,
        })
    }

    /// Where everything is carried out.
    pub fn desk(&self) -> &Desk {
        &self.desk
    }

    /// The engine.
    pub fn engine(&self) -> &CoreExecutionEngine {
        self.desk.engine()
    }

    /// What is measured from now on; none where nothing can be.
    pub(super) fn samples(&self) -> Option<SampleStream> {
        self.watch.as_ref().map(Watch::stream)
    }

    /// Waits until the machine may sleep if no run wants it awake, for somebody who is about to stop this very process.
    pub fn settle_sleep(&self) {
        if let Some(awake) = &self.awake {
            awake.handle().settle();
        }
    }

    /// Why it serves no longer, once its events are over.
    pub fn fate(&self) -> Fate {
        lock_of(&self.shared.fate).clone()
    }

    /// Ends the engine in good order and takes leave of everybody. Harmless when it has ended already.
    ///
    /// # Errors
    /// [`EngineError`], when it could not end in good order.
    pub fn close(mut self, kind: ShutdownKind) -> Result<(), EngineError> {
        self.end(kind)
    }

    /// Ends here, and has a process in the background take everything over, if anything is left to be done.
    ///
    /// # Errors
    /// A sentence, when nobody took over: then it has ended here all the same, and what runs is with the supervisor.
    pub fn leave_behind(mut self, serve_for: ServeFor) -> Result<(), String> {
        let handed_over = self.call_heir(serve_for);
        let ended = self.end(ShutdownKind::LeaveSteps).map_err(|error| error.to_string());
        handed_over.and(ended)
    }

    /// Whether an engine is needed when this one has gone: something runs, a job is due some day, or a server had the
    /// seat before.
    pub fn has_work_left(&self) -> bool {
        let is_due_some_day = |jobs: &DesktopScheduler| matches!(jobs.store().earliest_due_ms(), Ok(Some(_)));
        self.was_serving || self.is_busy() || self.desk.jobs().scheduler().is_some_and(is_due_some_day)
    }

    /// Whether something runs, or waits to: what is paused stays so without an engine.
    pub fn is_busy(&self) -> bool {
        self.engine().snapshot().runs.values().any(|run| run.state != RunState::Paused)
    }

    /// Starts the heir, and waits until the seat is his.
    fn call_heir(&mut self, serve_for: ServeFor) -> Result<(), String> {
        let failed = |why: String| format!("no process in the background took over: {why}");
        let mut heir = lock_of(&self.shared.heir);
        let background = Background::start(self.desk.data_dir().path(), serve_for);
        let background = background.map_err(|error| failed(error.to_string()))?;
        *heir = Some(background.pid());
        drop(heir);
        background.wait_until_ready(SUCCESSOR_WITHIN).map_err(failed)
    }

    /// As [`Self::close`], for whoever still wants to ask the desk what has become of something.
    ///
    /// # Errors
    /// As there.
    pub fn end(&mut self, kind: ShutdownKind) -> Result<(), EngineError> {
        let Some(keeper) = self.keeper.take() else { return Ok(()) };
        drop((self.upkeep.take(), self.limits_file.take()));
        // Capacity 1: the one answer.
        let (tell, done) = bounded(1);
        let outcome = match self.orders.send(Order::Close(kind, tell)) {
            Ok(()) => select! {
                recv(done) -> outcome => outcome.unwrap_or(Ok(())),
                // The seat has been handed over, and the order was not heard.
                recv(self.kept) -> _ => Ok(()),
            },
            Err(_) => Ok(()),
        };
        // A panic there has been printed; there is nobody left to tell.
        let _ = keeper.join();
        drop(self.watch.take());
        drop(self.awake.take());
        match outcome {
            Err(EngineError::ShutDown) => Ok(()),
            outcome => outcome,
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Whoever wants to know how it ended closes it.
        let _ = self.end(ShutdownKind::LeaveSteps);
    }
}

/// The thread that keeps the seat.
struct Keeper {
    desk: Desk,
    face: Face,
    server: ControlServer,
    shared: Arc<Shared>,
    _keeping: Sender<()>,
}

impl Keeper {
    /// Keeps it until it is given up or handed over.
    fn keep(self, orders: &Receiver<Order>) {
        for order in orders {
            match order {
                Order::HandOver(hand_over) => match self.may_leave(&hand_over) {
                    Ok(successor) => return self.hand_over(hand_over, successor),
                    Err(why) => hand_over.refuse(&why),
                },
                Order::Close(kind, tell) => {
                    // Nothing is fired into an engine that ends.
                    self.desk.jobs().stop();
                    let outcome = self.desk.engine().shutdown(kind);
                    self.server.close("the engine has ended");
                    // Whoever waited no longer needs no answer.
                    let _ = tell.send(outcome);
                    return;
                }
            }
        }
    }

    /// Who takes over, if it may.
    fn may_leave(&self, hand_over: &HandOver) -> Result<String, String> {
        let successor = &hand_over.successor;
        let pid = hand_over.peer_pid();
        let is_heir = pid.is_some() && pid == *lock_of(&self.shared.heir);
        let is_newer = version(&successor.version) > version(env!("CARGO_PKG_VERSION"));
        let me = std::process::id();
        match (self.face, successor.face) {
            (_, Face::Run | Face::Library) => Err("only a window or `serve` takes over".to_owned()),
            (Face::Run, Face::Window | Face::Serve) | (Face::Serve, Face::Window) => Ok(()),
            (Face::Window | Face::Serve | Face::Library, _) if is_heir || is_newer => Ok(()),
            (Face::Serve, Face::Serve) => {
                Err(format!("`leverframe serve` runs already (process {me}); there is nothing to do"))
            }
            (Face::Window, _) => Err(format!(
                "the window (process {me}) runs the engine; close it and leave what runs to a process in the background"
            )),
            (Face::Library, _) => Err(format!("the program of process {me} keeps its engine; end it first")),
        }?;
        let pid = pid.map_or_else(String::new, |pid| format!(", process {pid}"));
        Ok(format!("{}{pid}", successor.face.as_str()))
    }

    fn hand_over(mut self, hand_over: HandOver, successor: String) {
        // Whoever comes from now on waits for the successor.
        self.server.turn_away();
        // Before the events are over: whoever hears their end asks why.
        *lock_of(&self.shared.fate) = Fate::HandedOver(successor.clone());
        self.desk.jobs().stop();
        let lock = match self.desk.engine().hand_over() {
            Ok(lock) => lock,
            Err(error) => {
                *lock_of(&self.shared.fate) = Fate::Unknown;
                hand_over.refuse(&error.to_string());
                return self.server.close("the engine has ended");
            }
        };
        let bequest = Bequest { seq: self.desk.engine().snapshot().seq, face: self.face };
        let handed = match lock.into_fd().zip(hand_over.listener().try_clone_to_owned().ok()) {
            Some((lock, listener)) => hand_over.hand(&bequest, &[lock.as_fd(), listener.as_fd()]).is_ok(),
            None => false,
        };
        if !handed {
            // It died while it asked: the seat is free.
            *lock_of(&self.shared.fate) = Fate::Unknown;
        }
        self.server.close(&format!("the engine was handed over to {successor}"));
    }
}

/// A version as what can be compared; what is no version is older than any.
fn version(text: &str) -> Option<[u64; 3]> {
    let numbers = text.split('.').map(|part| part.parse().ok()).collect::<Option<Vec<u64>>>()?;
    numbers.try_into().ok()
}

fn lock_of<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        assert!(version("0.10.0") > version("0.9.12"));
        assert!(version("1.0.0") > version("0.99.99"));
        assert!(version("one") < version("0.0.0"));
        assert_eq!(version("0.2.0"), version("0.2.0"));
    }
}

//! The second thread of the supervisor: it moves logs, so that a slow disk never delays a start or a signal.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use parking_lot::Mutex;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};

use super::log::{Log, Turn};

/// After this long a file that can't be written is tried again.
const RETRY: Duration = Duration::from_millis(500);
/// A pipe that holds at most this when its step ends is drained at once, on the supervisor's main thread.
const SMALL: u64 = 64 << 10;
const WAKE: u64 = u64::MAX;

/// A message of the mover to the supervisor.
#[derive(Debug)]
pub(super) enum Note {
    /// A log can't be written for the moment.
    Trouble { n: u64, error: io::Error },
    /// The log of a [`Mover::finish`] is complete.
    Finished { n: u64, n_dropped: u64 },
    /// No process holds the pipe of this log any more.
    Closed { n: u64 },
}

/// A message of the supervisor to the mover.
#[derive(Debug)]
enum Order {
    Finish(u64),
    End,
}

type SharedLog = Arc<Mutex<Log>>;

struct Shared {
    epoll: OwnedFd,
    wake: OwnedFd,
    logs: Mutex<HashMap<u64, SharedLog>>,
}

/// The handle that the supervisor's main thread holds. Dropping it ends the thread.
pub(super) struct Mover {
    shared: Arc<Shared>,
    orders: Sender<Order>,
    notes: Receiver<Note>,
    noted: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Mover {
    /// Starts the thread.
    ///
    /// # Errors
    /// The kernel's error.
    pub(super) fn start() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let (wake, noted) = (eventfd(0, flags)?, Arc::new(eventfd(0, flags)?));
        epoll::add(&epoll, &wake, EventData::new_u64(WAKE), EventFlags::IN)?;
        let shared = Arc::new(Shared { epoll, wake, logs: Mutex::default() });
        // Both unbounded and never full in practice: at most one order and three notes a step. Closed only when the
        // other side is gone, which is the end of the process.
        let (orders, ordered) = crossbeam_channel::unbounded();
        let (note, notes) = crossbeam_channel::unbounded();
        let worker = Worker {
            shared: Arc::clone(&shared),
            orders: ordered,
            notes: note,
            noted: Arc::clone(&noted),
            troubled: HashSet::new(),
            retry_at: None,
        };
        let thread = std::thread::Builder::new()
            .name("log-mover".to_owned())
            .stack_size(128 << 10)
            .spawn(move || worker.run())?;
        Ok(Self { shared, orders, notes, noted, thread: Some(thread) })
    }

    /// Readable when there are notes.
    pub(super) fn noted(&self) -> BorrowedFd<'_> {
        (*self.noted).as_fd()
    }

    /// The notes since the last call.
    pub(super) fn notes(&self) -> Vec<Note> {
        drain_eventfd(&self.noted);
        self.notes.try_iter().collect()
    }

    /// Moves this log from now on.
    ///
    /// # Errors
    /// The kernel's error.
    pub(super) fn add(&self, n: u64, log: Log) -> io::Result<()> {
        let log = Arc::new(Mutex::new(log));
        self.shared.logs.lock().insert(n, Arc::clone(&log));
        watch(&self.shared.epoll, n, &log)
    }

    /// The step of this log has ended: moves what is in the pipe by now. Returns how many bytes of the log were dropped
    /// in all. None when there is much to move: then a [`Note::Finished`] will say.
    pub(super) fn finish(&self, n: u64) -> Option<u64> {
        let Some(log) = self.shared.logs.lock().get(&n).map(Arc::clone) else { return Some(0) };
        if let Some(mut log) = log.try_lock() {
            let n_waiting = log.n_waiting();
            if n_waiting <= SMALL {
                log.finish(n_waiting);
                return Some(log.n_dropped());
            }
        }
        self.order(Order::Finish(n));
        None
    }

    /// Goes on moving this log until no process can write to it any more; then sends a [`Note::Closed`].
    pub(super) fn keep(&self, n: u64) {
        let Some(log) = self.shared.logs.lock().get(&n).map(Arc::clone) else { return };
        let held = log.lock().let_close();
        // Without a free descriptor the log is kept until the supervisor ends.
        if let Ok(held) = held {
            // The first fails if the log was not watched at the moment.
            let _ = epoll::delete(&self.shared.epoll, &held);
            let _ = watch(&self.shared.epoll, n, &log);
        }
    }

    /// Forgets this log and closes its pipe, which also ends the watch.
    pub(super) fn remove(&self, n: u64) {
        let log = self.shared.logs.lock().remove(&n);
        drop(log);
    }

    fn order(&self, order: Order) {
        if self.orders.send(order).is_ok() {
            wake(&self.shared.wake);
        }
    }
}

impl Drop for Mover {
    fn drop(&mut self) {
        self.order(Order::End);
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported already.
            let _ = thread.join();
        }
    }
}

struct Worker {
    shared: Arc<Shared>,
    orders: Receiver<Order>,
    notes: Sender<Note>,
    noted: Arc<OwnedFd>,
    /// Logs that can't be written for the moment; nothing is read from their pipes meanwhile.
    troubled: HashSet<u64>,
    retry_at: Option<Instant>,
}

impl Worker {
    fn run(mut self) {
        let mut events = Vec::with_capacity(64);
        loop {
            events.clear();
            let timeout = self.retry_at.map(|at| timespec(at.saturating_duration_since(Instant::now())));
            // Interrupted: the loop waits again.
            let _ = epoll::wait(
                &self.shared.epoll,
                rustix::buffer::spare_capacity(&mut events),
                timeout.as_ref(),
            );
            for event in &events {
                match event.data.u64() {
                    WAKE => {
                        drain_eventfd(&self.shared.wake);
                        if self.handle_orders().is_none() {
                            return;
                        }
                    }
                    n => self.turn(n),
                }
            }
            if self.retry_at.is_some_and(|at| at <= Instant::now()) {
                self.retry();
            }
        }
    }

    /// Carries out the orders; none when the thread must end.
    fn handle_orders(&self) -> Option<()> {
        while let Ok(order) = self.orders.try_recv() {
            match order {
                Order::End => return None,
                Order::Finish(n) => {
                    let n_dropped = self.log(n).map_or(0, |log| {
                        let mut log = log.lock();
                        let n_waiting = log.n_waiting();
                        log.finish(n_waiting);
                        log.n_dropped()
                    });
                    self.note(Note::Finished { n, n_dropped });
                }
            }
        }
        Some(())
    }

    fn turn(&mut self, n: u64) {
        let Some(log) = self.log(n) else { return };
        let turn = log.lock().turn();
        match turn {
            Turn::Moved(_) | Turn::Empty => {}
            Turn::Closed => {
                unwatch(&self.shared.epoll, &log);
                self.note(Note::Closed { n });
            }
            Turn::Trouble(error) => {
                unwatch(&self.shared.epoll, &log);
                self.troubled.insert(n);
                self.retry_at.get_or_insert(Instant::now() + RETRY);
                self.note(Note::Trouble { n, error });
            }
        }
    }

    /// Tries again what could not be written.
    fn retry(&mut self) {
        let shared = Arc::clone(&self.shared);
        self.troubled.retain(|n| {
            let Some(log) = shared.logs.lock().get(n).map(Arc::clone) else { return false };
            let turn = log.lock().turn();
            let still = matches!(turn, Turn::Trouble(_));
            if !still {
                // If it can't be watched, `finish` moves the rest.
                let _ = watch(&shared.epoll, *n, &log);
            }
            still
        });
        self.retry_at = (!self.troubled.is_empty()).then(|| Instant::now() + RETRY);
    }

    fn log(&self, n: u64) -> Option<SharedLog> {
        self.shared.logs.lock().get(&n).map(Arc::clone)
    }

    fn note(&self, note: Note) {
        if self.notes.send(note).is_ok() {
            wake(&self.noted);
        }
    }
}

fn watch(epoll: &OwnedFd, n: u64, log: &SharedLog) -> io::Result<()> {
    Ok(epoll::add(epoll, log.lock().pipe(), EventData::new_u64(n), EventFlags::IN)?)
}

fn unwatch(epoll: &OwnedFd, log: &SharedLog) {
    // An error means that it was not watched, which is what is wanted.
    let _ = epoll::delete(epoll, log.lock().pipe());
}

fn wake(eventfd: &OwnedFd) {
    // Full means awake already.
    let _ = rustix::io::write(eventfd, &1_u64.to_ne_bytes());
}

fn drain_eventfd(eventfd: &OwnedFd) {
    let _ = rustix::io::read(eventfd, &mut [0; 8]);
}

pub(super) fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}

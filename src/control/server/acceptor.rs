//! The server: accepts clients of this user, keeps the journal, and closes all connections in order.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use parking_lot::Mutex;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::Errno;

use super::connection::Connection;
use super::hand_over::HandOver;
use super::journal::Journal;
use crate::api::exit_code::BUSY;
use crate::api::{EngineId, Understood};
use crate::base::thread::{self, Thread};
use crate::control::wire::{ClosingNotice, ErrorObject, JSON_RPC, Saying};
use crate::control::{bind, is_of_our_user, wire};
use crate::engine::{CoreExecutionEngine, Subscription, SubscriptionEnder};

/// How many clients may be connected at once.
const MAX_CONNECTIONS: usize = 128;
/// How long clients may take, when the server closes, to read what waits for them.
const LEAVE_WITHIN: Duration = Duration::from_secs(2);

/// Handles the requests of clients.
pub trait Handler: Send + Sync {
    /// Parses a request. None: the method is unknown.
    fn understand(&self, method: &str, params: &str) -> Option<serde_json::Result<Understood<'_>>>;

    /// Process, owner and epoch of the engine.
    fn engine_id(&self) -> EngineId;
}

/// What a server needs to start.
pub struct ControlOptions {
    pub handler: Arc<dyn Handler>,
    /// The engine that is served.
    pub engine: CoreExecutionEngine,
    /// Every event. Subscribed before the engine was opened, so that the events of recovery are included.
    pub events: Subscription,
    /// The socket, if an earlier engine handed it over. None: it is bound anew and replaces that of a dead engine; the
    /// engine holds the directory's lock.
    pub listener: Option<UnixListener>,
    /// The last event of an engine that has handed over. Its clients can continue from there without a loss.
    pub last_seq: Option<u64>,
    /// Called on a client's thread when a successor asks for a hand-over. It must return soon. None: hand-over is
    /// refused.
    pub on_hand_over: Option<Box<dyn Fn(HandOver) + Send + Sync>>,
}

/// Serves the control socket of an engine.
pub struct ControlServer {
    shared: Arc<Shared>,
    end_of_events: SubscriptionEnder,
    accepting: Option<Thread>,
    keeping: Option<Thread>,
}

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) handler: Arc<dyn Handler>,
    engine: CoreExecutionEngine,
    pub(crate) journal: Journal,
    pub(crate) listener: UnixListener,
    pub(crate) on_hand_over: Option<Box<dyn Fn(HandOver) + Send + Sync>>,
    is_closing: AtomicBool,
    /// Written to when the server stops accepting clients.
    stop: OwnedFd,
    clients: Mutex<Vec<Client>>,
}

/// A client that is connected, or was.
struct Client {
    connection: Arc<Connection>,
    thread: Thread,
    /// Closed when its thread ends.
    ended: Receiver<()>,
}

impl ControlServer {
    /// Starts to serve.
    ///
    /// # Errors
    /// The socket can't be bound, or the system refuses a thread.
    pub fn start(options: ControlOptions) -> io::Result<Self> {
        let ControlOptions { handler, engine, events, listener, last_seq, on_hand_over } = options;
        let listener = match listener {
            Some(listener) => listener,
            None => bind(engine.data_dir().path())?,
        };
        listener.set_nonblocking(true)?;
        // The journal will hold all events of this engine, from the first of its epoch.
        let floor = last_seq.unwrap_or(engine.snapshot().epoch() << 32);
        let end_of_events = events.ender();
        let shared = Arc::new(Shared {
            handler,
            engine,
            journal: Journal::new(floor),
            listener,
            on_hand_over,
            is_closing: AtomicBool::new(false),
            stop: eventfd(0, EventfdFlags::CLOEXEC)?,
            clients: Mutex::default(),
        });
        let for_keeper = shared.clone();
        let keeping = thread::start("lf-hand-journal", move || for_keeper.journal.keep(&events))?;
        let mut server = Self { shared, end_of_events, accepting: None, keeping: Some(keeping) };
        let for_accepter = server.shared.clone();
        let accepting = thread::start("lf-hand-accept", move || for_accepter.accept_all())?;
        server.accepting = Some(accepting);
        Ok(server)
    }

    /// Accepts no more clients and no more requests. New clients wait for the next engine; a request without an answer
    /// was not handled. Events continue until [`Self::close`].
    pub fn turn_away(&mut self) {
        let Some(accepting) = self.accepting.take() else { return };
        self.shared.is_closing.store(true, Ordering::Release);
        // It can't be full: it is written once.
        let _ = rustix::io::write(&self.shared.stop, &1_u64.to_ne_bytes());
        accepting.join();
    }

    /// Closes the server: every request that was accepted is answered, every event of the engine is written, and each
    /// client gets the reason. Call it when the engine has ended. A client that does not read is dropped after two
    /// seconds.
    pub fn close(mut self, reason: &str) {
        self.leave(reason);
    }

    fn leave(&mut self, reason: &str) {
        self.turn_away();
        let Some(keeping) = self.keeping.take() else { return };
        self.end_of_events.end();
        keeping.join();
        let clients = std::mem::take(&mut *self.shared.clients.lock());
        for client in &clients {
            client.connection.close(reason);
        }
        let limit = crossbeam_channel::after(LEAVE_WITHIN);
        let mut is_late = false;
        for client in &clients {
            if !is_late {
                crossbeam_channel::select! {
                    recv(client.ended) -> _ => {}
                    recv(limit) -> _ => is_late = true,
                }
            }
            if is_late {
                client.connection.hang_up();
            }
        }
        // A client's own thread is not joined by itself.
        drop(clients);
    }
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        self.leave("the engine has ended");
    }
}

impl Shared {
    /// Whether the server is closing.
    pub(crate) fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Acquire)
    }

    /// The last line of a connection.
    pub(crate) fn closing_line(&self, reason: String) -> Vec<u8> {
        let living = self.engine.snapshot().runs.keys().cloned().collect();
        let notice = ClosingNotice { reason, seq: self.journal.seq(), living };
        let message = wire::Outgoing { jsonrpc: JSON_RPC, id: None, request: Saying::Closing(notice) };
        wire::line(&message).unwrap_or_default()
    }

    /// The accepting thread.
    fn accept_all(self: &Arc<Self>) {
        // Closed for a moment when no descriptor is left, so that a client can be accepted and dropped.
        let mut spare = File::open("/dev/null").ok();
        loop {
            let mut watched =
                [PollFd::new(&self.listener, PollFlags::IN), PollFd::new(&self.stop, PollFlags::IN)];
            match poll(&mut watched, None) {
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(_) => return,
            }
            if !watched[1].revents().is_empty() {
                return;
            }
            match self.listener.accept() {
                Ok((stream, _)) => self.admit(stream),
                Err(error) if is_out_of_descriptors(&error) => {
                    drop(spare.take());
                    // The client gets no answer, and connects again.
                    drop(self.listener.accept());
                    spare = File::open("/dev/null").ok();
                }
                // The client is gone again.
                Err(_) => {}
            }
        }
    }

    fn admit(self: &Arc<Self>, stream: UnixStream) {
        if !is_of_our_user(&stream) {
            return;
        }
        let Ok(connection) = Connection::new(self.clone(), stream) else { return };
        let mut clients = self.clients.lock();
        let (ended, here): (Vec<_>, Vec<_>) =
            std::mem::take(&mut *clients).into_iter().partition(|client| client.thread.is_finished());
        *clients = here;
        drop(ended);
        if clients.len() >= MAX_CONNECTIONS {
            let text =
                format!("{MAX_CONNECTIONS} clients are connected, and no more are accepted; try again later");
            return connection.refuse(ErrorObject::new(BUSY.into(), text));
        }
        let connection = Arc::new(connection);
        // Capacity 0: nothing is sent. It closes when the thread ends.
        let (alive, ended): (Sender<()>, _) = bounded(0);
        let for_thread = connection.clone();
        let thread = thread::short("lf-hand", move || {
            for_thread.serve();
            drop(alive);
        });
        match thread {
            Ok(thread) => clients.push(Client { connection, thread, ended }),
            Err(error) => connection.refuse(ErrorObject::new(
                BUSY.into(),
                format!("no thread can be started for another client: {error}"),
            )),
        }
    }
}

fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

/// The listening socket, for a hand-over.
impl AsFd for ControlServer {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.shared.listener.as_fd()
    }
}

//! The supervisor's main thread: one loop over connections, signals, ends of processes and alarms. It spawns, signals
//! and answers, and waits for nothing but the next event.

mod connections;
mod descendants;
mod ending;
mod freezing;
mod kept;
mod recovery;
mod scanner;
mod shutdown;
mod start;
mod step;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rustix::event::epoll::{self, Event, EventData, EventFlags};

use super::host::HostEvent;
use super::journal::{Journal, Record};
use super::mover::{Mover, Note, timespec};
use super::process::ProcId;
use super::protocol::Reply;
use super::reaper::{Death, ExitNotes, Inherited, Place};
use super::spawner::Spawner;
use super::sys;
use crate::base::id::AttemptKey;
use crate::socket;
use connections::Connection;
use scanner::ProcScanner;
use shutdown::Shutdown;
use start::DeferredStart;
use step::{Ended, LogState, Step};

/// The socket's name in the data directory.
pub(super) const SOCKET_NAME: &str = "supervisor.sock";

/// How long the report of a start waits, so that it is sent together with the next report.
const BATCH_DELAY: Duration = Duration::from_millis(2);

/// How often a supervisor that only waits for an engine looks whether its data directory is still there. Nothing else
/// wakes it when the directory is removed, and no engine could come any more.
const LOOK_FOR_SOCKET: Duration = Duration::from_secs(10);

/// The source of an event of the loop: its kind in the upper byte of the event's data, its number in the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    Signals,
    Listener,
    Notes,
    Connection(u64),
    Main(u64),
    Logind,
}

impl Source {
    fn data(self) -> EventData {
        let (kind, n) = match self {
            Self::Signals => (0, 0),
            Self::Listener => (1, 0),
            Self::Notes => (2, 0),
            Self::Connection(n) => (3, n),
            Self::Main(n) => (4, n),
            Self::Logind => (5, 0),
        };
        EventData::new_u64((kind << 56) | n)
    }

    fn of(event: &Event) -> Self {
        let data = event.data.u64();
        let n = data & ((1 << 56) - 1);
        match data >> 56 {
            0 => Self::Signals,
            1 => Self::Listener,
            2 => Self::Notes,
            3 => Self::Connection(n),
            4 => Self::Main(n),
            _ => Self::Logind,
        }
    }
}

/// What a supervisor begins with.
pub(super) struct Parts {
    /// Held for the supervisor's whole life.
    pub(super) lock: &'static File,
    pub(super) signals: OwnedFd,
    pub(super) boot_id: String,
    pub(super) place: Place,
    /// The log pipes that a predecessor had open.
    pub(super) inherited: Inherited,
}

pub(super) struct Server {
    me: u32,
    lock: &'static File,
    epoll: OwnedFd,
    signals: OwnedFd,
    listener: UnixListener,
    connections: BTreeMap<u64, Connection>,
    /// The connection of the engine that is obeyed.
    engine: Option<u64>,
    highest_epoch: u64,
    steps: BTreeMap<u64, Step>,
    ended: BTreeMap<u64, Ended>,
    by_key: HashMap<AttemptKey, u64>,
    /// The main processes: our children that are not reaped, and those that were taken over. The spawner, too, so that it
    /// is not taken for an orphan of a step.
    mains: HashSet<u32>,
    spawner: Spawner,
    /// How many orphans were reaped so far.
    n_reaped: u64,
    /// How many orphans live, if that was counted in this turn.
    n_orphans: Option<usize>,
    /// Logs of ended steps whose background processes still write to them.
    kept_logs: HashSet<u64>,
    /// Those background processes, as far as they live.
    kept: HashSet<ProcId>,
    next_n: u64,
    journal: Journal,
    mover: Mover,
    scanner: ProcScanner,
    /// Starts that wait for a look at the processes, because a survivor may live.
    deferred_starts: Vec<DeferredStart>,
    /// Steps to thaw whose processes could not all be continued yet.
    deferred_thaws: Vec<AttemptKey>,
    /// The capacity last reported to the engine.
    sent_capacity: Option<usize>,
    /// Whether the system seems to be shutting down.
    shutdown: Shutdown,
    /// How the processes of predecessors ended, as noted by the parent.
    notes: ExitNotes,
    /// When the predecessor died; none for the parent's first supervisor.
    predecessor: Option<Death>,
    began_at: DateTime<Utc>,
    /// The engine has sent a hello, and gets its answer by then.
    hello_deadline: Option<Instant>,
    /// When the reports queued for the engine are sent, unless an earlier reply takes them along.
    flush_at: Option<Instant>,
}

impl Server {
    /// Opens the socket, and takes over what a predecessor left.
    ///
    /// # Errors
    /// The data directory can't be used.
    pub(super) fn open(mut parts: Parts) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mover = Mover::start()?;
        // A relative path, like the socket's: it stays right when the directory is moved.
        let journal = Journal::open(Path::new("."), parts.boot_id)?;
        let listener = bind()?;
        epoll::add(&epoll, &parts.signals, Source::Signals.data(), EventFlags::IN)?;
        epoll::add(&epoll, &listener, Source::Listener.data(), EventFlags::IN)?;
        epoll::add(&epoll, mover.noted(), Source::Notes.data(), EventFlags::IN)?;
        let mut server = Self {
            me: std::process::id(),
            lock: parts.lock,
            epoll,
            signals: parts.signals,
            listener,
            connections: BTreeMap::new(),
            engine: None,
            highest_epoch: journal.epoch(),
            steps: BTreeMap::new(),
            ended: BTreeMap::new(),
            by_key: HashMap::new(),
            mains: HashSet::new(),
            spawner: Spawner::new(),
            n_reaped: 0,
            n_orphans: None,
            kept_logs: HashSet::new(),
            kept: HashSet::new(),
            next_n: 1,
            journal,
            mover,
            scanner: ProcScanner::open()?,
            deferred_starts: Vec::new(),
            deferred_thaws: Vec::new(),
            sent_capacity: None,
            shutdown: Shutdown::default(),
            notes: parts.place.notes,
            predecessor: parts.place.predecessor,
            began_at: Utc::now(),
            hello_deadline: None,
            flush_at: None,
        };
        if let Err(error) = server.recover(&mut parts.inherited) {
            // The next supervisor takes over this one's pipes: steps that write to them must not find them closed.
            std::mem::forget(server);
            return Err(error);
        }
        parts.inherited.close_rest();
        Ok(server)
    }

    /// Serves until no work is left.
    ///
    /// # Errors
    /// The kernel refuses to wait.
    pub(super) fn run(mut self) -> io::Result<()> {
        let mut events = Vec::with_capacity(64);
        loop {
            if self.is_done() && self.close_socket()? {
                return self.finish();
            }
            events.clear();
            let timeout = self.time_to_next_alarm().map(timespec);
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), timeout.as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            self.handle(&events);
        }
    }

    fn handle(&mut self, events: &[Event]) {
        // Signals first: a step that ends together with a shutdown signal counts as interrupted. New connections before
        // the engine's: the hello of a later engine throws away unread requests of the earlier one.
        let mut sources: Vec<Source> = events.iter().map(Source::of).collect();
        self.n_orphans = None;
        self.scanner.forget();
        let engine = self.engine;
        sources
            .sort_by_key(|source| (matches!(source, Source::Connection(n) if Some(*n) == engine), *source));
        for source in sources {
            match source {
                Source::Signals => self.read_signals(),
                Source::Listener => self.accept(),
                Source::Notes => self.read_mover_notes(),
                Source::Connection(n) => self.serve(n),
                Source::Main(n) => self.main_ended(n),
                Source::Logind => self.read_logind_answer(),
            }
        }
        self.run_due_alarms();
    }

    fn read_signals(&mut self) {
        for signal in sys::signals_of(self.signals.as_fd()) {
            if signal == libc::SIGCHLD {
                self.orphans_ended();
                self.refreeze_continued();
            } else {
                self.on_end_signal();
            }
        }
    }

    fn read_mover_notes(&mut self) {
        for note in self.mover.notes() {
            match note {
                Note::Trouble { n, error } => {
                    let disk_full = matches!(error.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT));
                    if let Some(step) = self.steps.get(&n) {
                        let reason = match error.raw_os_error() {
                            Some(libc::EFBIG) => format!(
                                "{error} (ulimit -f of what started the supervisor); what it writes from here on is dropped"
                            ),
                            _ => error.to_string(),
                        };
                        let key = step.key.clone();
                        self.send_event(HostEvent::LogTrouble { key, reason, disk_full });
                    }
                }
                Note::Finished { n, n_dropped } => self.drained(n, n_dropped),
                Note::Closed { n } => {
                    if self.kept_logs.contains(&n) {
                        self.kept_log_closed(n);
                    } else if let Some(step) = self.steps.get_mut(&n) {
                        step.log = LogState::Closed;
                    }
                }
            }
        }
    }

    fn run_due_alarms(&mut self) {
        let now = Instant::now();
        self.advance_due(now);
        self.check_shutdown(now);
        self.answer_hello_if_settled();
        self.retry_deferred();
        if self.flush_at.is_some_and(|at| at <= now)
            && let Some(engine) = self.engine
        {
            self.flush(engine);
        }
    }

    fn advance_due(&mut self, now: Instant) {
        let due = |(n, step): (&u64, &Step)| step.alarm.is_some_and(|at| at <= now).then_some(*n);
        let due: Vec<u64> = self.steps.iter().filter_map(due).collect();
        for n in due {
            self.advance(n);
        }
    }

    fn time_to_next_alarm(&self) -> Option<Duration> {
        let own = self.flush_at.into_iter().chain(self.shutdown.next_alarm()).chain(self.hello_deadline);
        let of_steps = self.steps.values().filter_map(|step| step.alarm);
        let next = of_steps.chain(own).chain(self.next_retry_at()).min();
        let next = next.map(|next| next.saturating_duration_since(Instant::now()));
        let only_waits = self.steps.is_empty() && self.connections.is_empty();
        next.into_iter().chain(only_waits.then_some(LOOK_FOR_SOCKET)).min()
    }

    /// Whether no engine is connected, no step lives and no end is unacknowledged. Unacknowledged ends may stay in the
    /// journal when the system is shutting down, or when the engine probably died together with a predecessor.
    fn is_done(&self) -> bool {
        if !self.steps.is_empty() || !self.connections.is_empty() {
            return false;
        }
        let may_leave_ends = self.shutdown.seems_under_way() || self.predecessor.is_some();
        let all_done = (self.ended.is_empty() || may_leave_ends) && self.kept_logs.is_empty();
        // Without a socket (the directory was removed) no engine can ever connect to acknowledge.
        all_done || !Path::new(SOCKET_NAME).exists()
    }

    /// Removes the socket. If a client connected in the last moment, the socket is bound again and this returns false.
    fn close_socket(&mut self) -> io::Result<bool> {
        std::fs::remove_file(SOCKET_NAME).or_else(socket::ignore_missing)?;
        self.accept();
        if self.is_done() {
            return Ok(true);
        }
        let listener = bind()?;
        epoll::add(&self.epoll, &listener, Source::Listener.data(), EventFlags::IN)?;
        self.listener = listener;
        Ok(false)
    }

    fn finish(self) -> io::Result<()> {
        if self.ended.is_empty() {
            self.journal.remove();
        }
        drop((self.listener, self.connections));
        // Last: a supervisor that waits for the lock then finds the socket gone and the journal written.
        rustix::fs::flock(self.lock, rustix::fs::FlockOperation::Unlock)?;
        Ok(())
    }

    /// Sends an event to the engine, if one is connected.
    fn send_event(&mut self, event: HostEvent) {
        if let Some(engine) = self.engine {
            self.reply(engine, &Reply::Event(event));
        }
    }

    /// Queues an event for the engine that may wait a moment for the next one. So a step that ends at once is reported
    /// as started and ended together, and wakes the engine once.
    fn send_event_soon(&mut self, event: HostEvent) {
        if let Some(engine) = self.engine {
            self.enqueue(engine, &Reply::Event(event));
            self.flush_at.get_or_insert_with(|| Instant::now() + BATCH_DELAY);
        }
    }

    /// Writes a record for a successor. If that fails, the supervisor goes on, and the next rotation writes it.
    fn remember(&mut self, record: Record) {
        let _ = self.journal.write(record);
    }
}

/// Binds the socket of the data directory, which is the working directory.
fn bind() -> io::Result<UnixListener> {
    let listener = socket::bind(Path::new("."), SOCKET_NAME)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

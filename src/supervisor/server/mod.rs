//! The supervisor's main thread: one loop over connections, signals, ends of processes and alarms. It spawns,
//! signals and answers, and never waits for anything but the next event.

mod connections;
mod ending;
mod freezing;
mod kept;
mod look;
mod pursuit;
mod recovery;
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
use super::sys;
use crate::base::id::AttemptKey;
use crate::socket;
use connections::Connection;
use look::Eyes;
use shutdown::Shutdown;
use start::UnseenStart;
use step::{Ended, LogState, Step};

/// Its name in the data directory.
pub(super) const SOCKET_NAME: &str = "supervisor.sock";

/// How long the news of a start waits for company.
const SOON: Duration = Duration::from_millis(2);

/// What an event of the loop is about: the upper byte of its data; the rest is a number.
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

/// What one supervisor is made of.
pub(super) struct Parts {
    /// Held for its whole life.
    pub(super) lock: &'static File,
    pub(super) signals: OwnedFd,
    pub(super) boot_id: String,
    pub(super) place: Place,
    /// What a predecessor had open.
    pub(super) inherited: Inherited,
}

/// The supervisor.
pub(super) struct Server {
    me: u32,
    lock: &'static File,
    epoll: OwnedFd,
    signals: OwnedFd,
    listener: UnixListener,
    connections: BTreeMap<u64, Connection>,
    /// The connection that is heard.
    engine: Option<u64>,
    highest_epoch: u64,
    steps: BTreeMap<u64, Step>,
    ended: BTreeMap<u64, Ended>,
    by_key: HashMap<AttemptKey, u64>,
    /// The main processes that are our children and not reaped, or were taken over.
    mains: HashSet<u32>,
    /// How many orphans were reaped in all.
    n_reaped: u64,
    /// How many orphans live, if that was counted since the events at hand came.
    n_orphans: Option<usize>,
    /// Logs of ended steps that what they left behind still writes to.
    kept_logs: HashSet<u64>,
    /// What they left behind, as far as it still lives.
    kept: HashSet<ProcId>,
    next_n: u64,
    journal: Journal,
    mover: Mover,
    eyes: Eyes,
    /// Starts before which a survivor is looked for, which could not be done as yet.
    unseen_starts: Vec<UnseenStart>,
    /// Steps that are to go on, and whose processes could not all be reached as yet.
    unthawed: Vec<AttemptKey>,
    /// How many steps the engine was told that there may be.
    told_capacity: Option<usize>,
    /// Whether the system seems to be ending.
    shutdown: Shutdown,
    /// How processes ended that a predecessor left, as the parent noted it.
    notes: ExitNotes,
    /// When that died; none: we are the first of our parent.
    predecessor: Option<Death>,
    began_at: DateTime<Utc>,
    /// The engine has said hello, and is answered by then.
    welcome_by: Option<Instant>,
    /// When what was queued for the engine goes out, if nothing takes it along before.
    flush_at: Option<Instant>,
}

impl Server {
    /// Takes over what a predecessor left, and opens the door.
    ///
    /// # Errors
    /// The data directory can't be used.
    pub(super) fn open(mut parts: Parts) -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mover = Mover::start()?;
        // As the socket: of the directory in which we are, wherever it has been moved to meanwhile.
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
            n_reaped: 0,
            n_orphans: None,
            kept_logs: HashSet::new(),
            kept: HashSet::new(),
            next_n: 1,
            journal,
            mover,
            eyes: Eyes::open()?,
            unseen_starts: Vec::new(),
            unthawed: Vec::new(),
            told_capacity: None,
            shutdown: Shutdown::default(),
            notes: parts.place.notes,
            predecessor: parts.place.predecessor,
            began_at: Utc::now(),
            welcome_by: None,
            flush_at: None,
        };
        if let Err(error) = server.recover(&mut parts.inherited) {
            // The next one takes over the pipes that this one has: steps that write to them must not find them closed.
            std::mem::forget(server);
            return Err(error);
        }
        parts.inherited.close_rest();
        Ok(server)
    }

    /// Serves until nothing is left to be done.
    ///
    /// # Errors
    /// The kernel refuses to wait.
    pub(super) fn run(mut self) -> io::Result<()> {
        let mut events = Vec::with_capacity(64);
        loop {
            if self.is_done() && self.close_door()? {
                return self.leave();
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
        // Signals first: an end that comes together with "the system goes down" is interrupted. Newcomers before those
        // who are heard: a later engine's hello throws away what an earlier one's connection still holds.
        let mut sources: Vec<Source> = events.iter().map(Source::of).collect();
        self.n_orphans = None;
        self.eyes.forget();
        let engine = self.engine;
        sources
            .sort_by_key(|source| (matches!(source, Source::Connection(n) if Some(*n) == engine), *source));
        for source in sources {
            match source {
                Source::Signals => self.hear_signals(),
                Source::Listener => self.accept(),
                Source::Notes => self.hear_mover(),
                Source::Connection(n) => self.serve(n),
                Source::Main(n) => self.main_ended(n),
                Source::Logind => self.hear_logind(),
            }
        }
        self.ring_alarms();
    }

    fn hear_signals(&mut self) {
        for signal in sys::signals_of(self.signals.as_fd()) {
            if signal == libc::SIGCHLD {
                self.orphans_ended();
                self.look_at_frozen();
            } else {
                self.told_to_end();
            }
        }
    }

    fn hear_mover(&mut self) {
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
                        self.tell(HostEvent::LogTrouble { key, reason, disk_full });
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

    fn ring_alarms(&mut self) {
        let now = Instant::now();
        self.look_at_due(now);
        self.look_at_shutdown(now);
        self.welcome_if_clear();
        self.try_again();
        if self.flush_at.is_some_and(|at| at <= now)
            && let Some(engine) = self.engine
        {
            self.flush(engine);
        }
    }

    fn look_at_due(&mut self, now: Instant) {
        let due = |(n, step): (&u64, &Step)| step.alarm.is_some_and(|at| at <= now).then_some(*n);
        let due: Vec<u64> = self.steps.iter().filter_map(due).collect();
        for n in due {
            self.look_at(n);
        }
    }

    fn time_to_next_alarm(&self) -> Option<Duration> {
        let own = self.flush_at.into_iter().chain(self.shutdown.next_alarm()).chain(self.welcome_by);
        let of_steps = self.steps.values().filter_map(|step| step.alarm);
        let next = of_steps.chain(own).chain(self.time_to_try_again()).min()?;
        Some(next.saturating_duration_since(Instant::now()))
    }

    /// No engine, no step, nothing unacknowledged. Without an engine the journal keeps what is not acknowledged, where the
    /// system ends and where the engine may be dead as a predecessor is.
    fn is_done(&self) -> bool {
        if !self.steps.is_empty() || !self.connections.is_empty() {
            return false;
        }
        let may_leave_ends = self.shutdown.seems_under_way() || self.predecessor.is_some();
        let all_done = (self.ended.is_empty() || may_leave_ends) && self.kept_logs.is_empty();
        // Without a socket (the directory was removed) nobody can ever come to acknowledge anything.
        all_done || !Path::new(SOCKET_NAME).exists()
    }

    /// Takes the socket away. Somebody may have come to it in this very moment: then it is put back.
    fn close_door(&mut self) -> io::Result<bool> {
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

    fn leave(self) -> io::Result<()> {
        if self.ended.is_empty() {
            self.journal.remove();
        }
        drop((self.listener, self.connections));
        // Last: whoever waits for it finds the socket gone and the journal written.
        rustix::fs::flock(self.lock, rustix::fs::FlockOperation::Unlock)?;
        Ok(())
    }

    /// Says something to the engine, if one is heard.
    fn tell(&mut self, event: HostEvent) {
        if let Some(engine) = self.engine {
            self.reply(engine, &Reply::Event(event));
        }
    }

    /// Says something to the engine that may wait a moment for what comes next: a step that ends at once is told as
    /// started and ended together, and wakes the engine once.
    fn tell_soon(&mut self, event: HostEvent) {
        if let Some(engine) = self.engine {
            self.enqueue(engine, &Reply::Event(event));
            self.flush_at.get_or_insert_with(|| Instant::now() + SOON);
        }
    }

    /// Remembers for a successor. What can't be written is acted on all the same, and is written with the next rotation.
    fn remember(&mut self, record: Record) {
        let _ = self.journal.write(record);
    }
}

/// Binds the socket of the data directory, in which we are.
fn bind() -> io::Result<UnixListener> {
    let listener = socket::bind(Path::new("."), SOCKET_NAME)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

//! One client: its requests are answered in order on one thread; once it subscribes, a second one writes events.

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::RecvFlags;
use serde::Serialize;
use serde_json::value::RawValue;

use super::filter::Filter;
use super::journal::Cursor;
use super::methods::{self, Asked};
use super::outlet::{Outlet, PATIENCE, Unsent};
use super::server::Hall;
use crate::app::exit_code::{BUSY, FAILED, USAGE};
use crate::control::LineDecoder;
use crate::control::wire::{
    self, Answer, ErrorObject, INTERNAL_ERROR, INVALID_REQUEST, Incoming, JSON_RPC, MAX_LINE, Outcome,
    PARSE_ERROR, PROTOCOL, SessionRequest, Subscribed, Successor, Welcome,
};

/// How long a client may take to say hello.
const HELLO_WITHIN: Duration = Duration::from_secs(5);
/// The most subscriptions of one client.
const MAX_SUBSCRIPTIONS: usize = 64;

/// What both threads of a client share, and the server with them.
pub(super) struct Connection {
    hall: Arc<Hall>,
    stream: UnixStream,
    outlet: Outlet,
    cursors: Mutex<Vec<Cursor>>,
    is_over: AtomicBool,
    /// Why the connection ends, if the client is to be told.
    reason: Mutex<Option<String>>,
}

/// Whether the connection goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    GoOn,
    End,
}

impl Connection {
    /// Prepares a connection that was accepted.
    ///
    /// # Errors
    /// The system has no descriptor left.
    pub(super) fn new(hall: Arc<Hall>, stream: UnixStream) -> io::Result<Self> {
        // What is accepted from a socket that does not wait may not wait either.
        stream.set_nonblocking(false)?;
        let outlet = Outlet::new(stream.try_clone()?)?;
        let (cursors, reason) = Default::default();
        Ok(Self { hall, stream, outlet, cursors, is_over: AtomicBool::new(false), reason })
    }

    /// Has the connection end in good order: what was asked is answered, what waits is written, and the client is
    /// told the reason.
    pub(super) fn close(&self, reason: &str) {
        self.end_because(reason);
        // Fails when it has ended already.
        let _ = self.stream.shutdown(Shutdown::Read);
    }

    /// Ends the connection at once.
    pub(super) fn hang_up(&self) {
        self.outlet.hang_up();
    }

    /// Turns a client away before it was heard.
    pub(super) fn refuse(&self, error: ErrorObject) {
        let refusal = answer_to::<()>(None, Outcome::Error(error));
        if let Ok(line) = wire::line(&refusal) {
            self.outlet.close(&line);
        }
    }

    fn end_because(&self, reason: impl Into<String>) {
        let mut known = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
        known.get_or_insert_with(|| reason.into());
    }

    /// The client's thread: reads and answers until it ends.
    pub(super) fn serve(self: Arc<Self>) {
        let mut writer = None;
        self.read_requests(&mut writer);
        let is_leaving = self.hall.is_closing();
        if !is_leaving {
            self.is_over.store(true, Ordering::Release);
            self.hall.journal.wake();
        }
        if let Some(writer) = writer {
            // When the server closes, it writes what waits first. A panic there has been printed.
            let _ = JoinHandle::join(writer);
        }
        let reason = self.reason.lock().unwrap_or_else(PoisonError::into_inner).take();
        match reason {
            Some(reason) => self.outlet.close(&self.hall.closing_line(reason)),
            None => self.outlet.hang_up(),
        }
    }

    fn read_requests(self: &Arc<Self>, writer: &mut Option<JoinHandle<()>>) {
        let hello_until = Instant::now() + HELLO_WITHIN;
        let mut session = Session { connection: self, writer, has_greeted: false, n_subscribed: 0 };
        let mut lines = LineDecoder::new(MAX_LINE);
        let mut buffer = vec![0; 16 << 10];
        loop {
            if !session.has_greeted {
                let left = hello_until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return self.end_because(format!("no hello came within {} s", HELLO_WITHIN.as_secs()));
                }
                if self.stream.set_read_timeout(Some(left)).is_err() {
                    return;
                }
            }
            let n = match rustix::net::recv(&self.stream, &mut buffer[..], RecvFlags::empty()) {
                Ok((0, _)) => return,
                Ok((n, _)) => n,
                // The hello is late: said above.
                Err(Errno::INTR | Errno::AGAIN) => continue,
                Err(_) => return,
            };
            lines.extend(&buffer[..n]);
            loop {
                match lines.next_line() {
                    Ok(Some(line)) if line.iter().all(u8::is_ascii_whitespace) => {}
                    Ok(Some(line)) => {
                        if session.hear(line) == Then::End {
                            return;
                        }
                    }
                    Ok(None) => break,
                    Err(error) => {
                        let refused = ErrorObject::new(INVALID_REQUEST, error.to_string());
                        session.answer::<()>(None, Outcome::Error(refused));
                        return self.end_because(error.to_string());
                    }
                }
            }
        }
    }

    /// The writer's thread: events of all subscriptions, as long as there are any.
    fn write_events(&self) {
        let mut lines = Vec::new();
        while let Some(taken) = self.hall.journal.take(&self.cursors, || self.is_over.load(Ordering::Acquire))
        {
            lines.clear();
            for (subscription, taken) in &taken {
                let head = r#"{"jsonrpc":"2.0","method":"event","params":{"subscription":"#;
                lines.extend_from_slice(head.as_bytes());
                lines.extend_from_slice(subscription.to_string().as_bytes());
                lines.extend_from_slice(br#","event":"#);
                lines.extend_from_slice(taken.json());
                lines.extend_from_slice(b"}}\n");
            }
            drop(taken);
            if self.write(&lines) == Then::End {
                // The reader ends with it.
                return self.outlet.hang_up();
            }
        }
    }

    fn write(&self, lines: &[u8]) -> Then {
        let last_word = || self.hall.closing_line(format!("nothing was taken for {} s", PATIENCE.as_secs()));
        match self.outlet.write(lines, last_word) {
            Ok(()) => Then::GoOn,
            Err(Unsent::Stuck | Unsent::Gone) => Then::End,
        }
    }
}

/// What one client has said so far, as its reading thread knows it.
struct Session<'a> {
    connection: &'a Arc<Connection>,
    writer: &'a mut Option<JoinHandle<()>>,
    has_greeted: bool,
    n_subscribed: u64,
}

impl Session<'_> {
    /// Answers one line.
    fn hear(&mut self, line: &[u8]) -> Then {
        let incoming = match read_line(line) {
            Ok(incoming) => incoming,
            Err(error) => return self.answer::<()>(None, Outcome::Error(error)),
        };
        let id = incoming.id;
        match self.understand(&incoming) {
            Ok(Asked::Session(SessionRequest::Hello { protocol, .. })) => self.greet(id, protocol),
            Ok(Asked::Session(SessionRequest::Subscribe(wanted))) => {
                // Its answer comes before its first event.
                match self.subscription(wanted) {
                    Ok((cursor, seq)) => {
                        let begun = Subscribed { subscription: cursor.subscription, seq };
                        match self.answer(id, Outcome::Result(begun)) {
                            Then::GoOn => self.subscribe(cursor),
                            Then::End => Then::End,
                        }
                    }
                    Err(error) => self.answer::<()>(id, Outcome::Error(error)),
                }
            }
            Ok(Asked::Session(SessionRequest::Unsubscribe { subscription })) => {
                let mut cursors = self.connection.cursors.lock().unwrap_or_else(PoisonError::into_inner);
                cursors.retain(|cursor| cursor.subscription != subscription);
                drop(cursors);
                self.answer(id, Outcome::Result(Nothing {}))
            }
            Ok(Asked::Session(SessionRequest::HandOver(successor))) => self.hand_over(id, successor),
            Ok(Asked::Command(command)) => {
                self.answer(id, outcome(methods::carry_out(&self.connection.hall.desk, command)))
            }
            Ok(Asked::Query(query)) => {
                self.answer(id, outcome(methods::answer(&self.connection.hall.desk, query)))
            }
            Err(error) => self.answer::<()>(id, Outcome::Error(error)),
        }
    }

    fn understand(&self, incoming: &Incoming<'_>) -> Result<Asked, ErrorObject> {
        if incoming.jsonrpc.as_deref() != Some(JSON_RPC) {
            return Err(ErrorObject::new(INVALID_REQUEST, "say \"jsonrpc\": \"2.0\" in every request"));
        }
        let Some(method) = incoming.method.as_deref() else {
            return Err(ErrorObject::new(INVALID_REQUEST, "a request has a \"method\""));
        };
        let asked = Asked::read(method, incoming.params)?;
        let is_hello = matches!(asked, Asked::Session(SessionRequest::Hello { .. }));
        match (self.has_greeted, is_hello) {
            (false, false) => Err(ErrorObject::new(INVALID_REQUEST, "say hello first")),
            (true, true) => Err(ErrorObject::new(INVALID_REQUEST, "hello was said before")),
            (true, false) | (false, true) => Ok(asked),
        }
    }

    fn greet(&mut self, id: Option<&RawValue>, protocol: u32) -> Then {
        let hall = &self.connection.hall;
        if protocol != PROTOCOL {
            let text = format!("protocol {protocol} is not spoken here; protocol {PROTOCOL} is");
            let data = Some(serde_json::json!({ "supported": [PROTOCOL] }));
            let error = ErrorObject { data, ..ErrorObject::new(USAGE.into(), text) };
            return self.answer::<()>(id, Outcome::Error(error));
        }
        if self.connection.stream.set_read_timeout(None).is_err() {
            return Then::End;
        }
        self.has_greeted = true;
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let engine = hall.desk.engine_id();
        let welcome = Welcome { protocol, version, engine, seq: hall.journal.seq() };
        self.answer(id, Outcome::Result(welcome))
    }

    fn subscription(&mut self, wanted: wire::EventFilter) -> Result<(Cursor, u64), ErrorObject> {
        let n_open = self.connection.cursors.lock().unwrap_or_else(PoisonError::into_inner).len();
        if n_open >= MAX_SUBSCRIPTIONS {
            let text = format!("{MAX_SUBSCRIPTIONS} subscriptions are the most of one connection; end one");
            return Err(ErrorObject::new(FAILED.into(), text));
        }
        let since = wanted.since;
        let filter = Filter::new(wanted)?;
        let (place, seq) = self.connection.hall.journal.place(since);
        self.n_subscribed += 1;
        Ok((Cursor { subscription: self.n_subscribed, place, filter }, seq))
    }

    fn subscribe(&mut self, cursor: Cursor) -> Then {
        let connection = self.connection;
        connection.cursors.lock().unwrap_or_else(PoisonError::into_inner).push(cursor);
        if self.writer.is_some() {
            connection.hall.journal.wake();
            return Then::GoOn;
        }
        let for_writer = Arc::clone(connection);
        let writer = std::thread::Builder::new()
            .name("lf-hand-writer".into())
            .spawn(move || for_writer.write_events());
        match writer {
            Ok(writer) => {
                *self.writer = Some(writer);
                Then::GoOn
            }
            Err(error) => {
                connection.end_because(format!("there is no thread left to write events: {error}"));
                Then::End
            }
        }
    }

    fn hand_over(&self, id: Option<&RawValue>, successor: Successor) -> Then {
        let hall = &self.connection.hall;
        let (Some(on_hand_over), Ok(listener)) = (&hall.on_hand_over, hall.listener.try_clone()) else {
            let text = "this engine can't be handed over; end it first";
            return self.answer::<()>(id, Outcome::Error(ErrorObject::new(FAILED.into(), text)));
        };
        let connection = Arc::clone(self.connection);
        let id = id.map(RawValue::to_owned);
        on_hand_over(HandOver { successor, connection, id, listener: listener.into() });
        Then::GoOn
    }

    fn answer<T: Serialize>(&self, id: Option<&RawValue>, outcome: Outcome<T>) -> Then {
        // A request without an id wants no answer; what could not be read has none either, and gets one.
        let is_refused = matches!(outcome, Outcome::Error(_));
        if id.is_none() && !is_refused {
            return Then::GoOn;
        }
        let line = wire::line(&answer_to(id, outcome)).or_else(|error| {
            let error = ErrorObject::new(INTERNAL_ERROR, format!("the answer can't be written: {error}"));
            wire::line(&answer_to::<()>(id, Outcome::Error(error)))
        });
        line.map_or(Then::End, |line| self.connection.write(&line))
    }
}

/// An answer that has nothing to say.
#[derive(Serialize)]
struct Nothing {}

fn answer_to<T>(id: Option<&RawValue>, outcome: Outcome<T>) -> Answer<'_, T> {
    Answer { jsonrpc: JSON_RPC, id, outcome, descriptors: None }
}

fn outcome<T>(result: Result<T, ErrorObject>) -> Outcome<T> {
    match result {
        Ok(result) => Outcome::Result(result),
        Err(error) => Outcome::Error(error),
    }
}

/// Reads a line as far as its method.
fn read_line(line: &[u8]) -> Result<Incoming<'_>, ErrorObject> {
    let parse = |why: String| ErrorObject::new(PARSE_ERROR, format!("the line is no JSON: {why}"));
    let text = std::str::from_utf8(line).map_err(|error| parse(error.to_string()))?;
    if !text.trim_start().starts_with('{') {
        serde_json::from_str::<serde::de::IgnoredAny>(text).map_err(|error| parse(error.to_string()))?;
        return Err(ErrorObject::new(INVALID_REQUEST, "a request is one object on one line"));
    }
    let incoming: Incoming<'_> = serde_json::from_str(text).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => ErrorObject::new(INVALID_REQUEST, error.to_string()),
        serde_json::error::Category::Io
        | serde_json::error::Category::Syntax
        | serde_json::error::Category::Eof => parse(error.to_string()),
    })?;
    let is_scalar = |id: &&RawValue| !id.get().starts_with(['{', '[', 't', 'f']);
    if incoming.id.is_some_and(|id| !is_scalar(&id)) {
        return Err(ErrorObject::new(INVALID_REQUEST, "an id is a number or a string"));
    }
    Ok(incoming)
}

/// Somebody asks for the engine's place. Whoever is told answers with what is handed over, or refuses.
pub struct HandOver {
    /// Who asks.
    pub successor: Successor,
    connection: Arc<Connection>,
    id: Option<Box<RawValue>>,
    listener: OwnedFd,
}

impl HandOver {
    /// The socket on which clients come.
    pub fn listener(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// The process that asks, as far as the system knows it.
    pub fn peer_pid(&self) -> Option<u32> {
        let peer = rustix::net::sockopt::socket_peercred(&self.connection.stream).ok()?;
        u32::try_from(peer.pid.as_raw_nonzero().get()).ok()
    }

    /// Hands `descriptors` over with an answer.
    ///
    /// # Errors
    /// The asker is gone, or takes nothing: it has taken nothing over.
    pub fn hand(self, answer: &impl Serialize, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let descriptors_sent = Some(descriptors.len());
        let answer = answer_to(self.id.as_deref(), Outcome::Result(answer));
        let line = wire::line(&Answer { descriptors: descriptors_sent, ..answer })?;
        self.connection.outlet.hand_over(&line, descriptors)
    }

    /// Says why it can't be.
    pub fn refuse(self, message: &str) {
        let error = ErrorObject::new(BUSY.into(), message);
        if let Ok(line) = wire::line(&answer_to::<()>(self.id.as_deref(), Outcome::Error(error))) {
            // If the asker is gone, it needs no answer.
            self.connection.write(&line);
        }
    }
}

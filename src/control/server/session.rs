//! The messages of one connection: each line is parsed, handled and answered.

use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

use super::connection::{Connection, Then};
use super::filter::Filter;
use super::hand_over::HandOver;
use super::journal::Cursor;
use super::methods::Request;
use crate::api::exit_code::{FAILED, USAGE};
use crate::base::thread::{self, Thread};
use crate::control::wire;
use crate::control::wire::{
    Answer, ErrorObject, INTERNAL_ERROR, INVALID_REQUEST, Incoming, JSON_RPC, Outcome, PARSE_ERROR, PROTOCOL,
    SessionRequest, Subscribed, Successor, Welcome,
};
use crate::engine::EngineError;

/// How many subscriptions one client may have.
const MAX_SUBSCRIPTIONS: usize = 64;

/// The state of one client, as its reading thread knows it.
pub(crate) struct Session<'a> {
    connection: &'a Arc<Connection>,
    writer: &'a mut Option<Thread>,
    has_greeted: bool,
    n_subscribed: u64,
}

impl<'a> Session<'a> {
    pub(crate) fn new(connection: &'a Arc<Connection>, writer: &'a mut Option<Thread>) -> Self {
        Self { connection, writer, has_greeted: false, n_subscribed: 0 }
    }

    /// Whether the client has said hello.
    pub(crate) fn has_greeted(&self) -> bool {
        self.has_greeted
    }

    /// Answers one line.
    pub(crate) fn hear(&mut self, line: &[u8]) -> Then {
        let incoming = match read_line(line) {
            Ok(incoming) => incoming,
            Err(error) => return self.refuse(error),
        };
        let id = incoming.id;
        let method = match method_of(&incoming) {
            Ok(method) => method,
            // Not a valid request, so it is answered even without an id.
            Err(error) => return self.say::<()>(id, Outcome::Error(error)),
        };
        match self.understand(method, incoming.params) {
            Ok(Request::Session(SessionRequest::Hello { protocol, .. })) => self.greet(id, protocol),
            Ok(Request::Session(SessionRequest::Subscribe(wanted))) => {
                // The answer comes before the first event.
                match self.subscription(wanted) {
                    Ok((cursor, seq)) => {
                        let begun = Subscribed { subscription: cursor.subscription, seq };
                        match self.answer(id, Outcome::Result(begun)) {
                            Then::GoOn => self.subscribe(cursor),
                            then @ (Then::End | Then::Wait) => then,
                        }
                    }
                    Err(error) => self.answer::<()>(id, Outcome::Error(error)),
                }
            }
            Ok(Request::Session(SessionRequest::Unsubscribe { subscription })) => {
                let mut cursors = self.connection.cursors();
                cursors.retain(|cursor| cursor.subscription != subscription);
                drop(cursors);
                self.answer(id, Outcome::Result(Nothing {}))
            }
            Ok(Request::Session(SessionRequest::HandOver(successor))) => self.hand_over(id, successor),
            Ok(Request::Engine(_)) if self.connection.shared.is_closing() => Then::Wait,
            Ok(Request::Engine(carry_out)) => match carry_out() {
                Ok(answer) => self.answer(id, Outcome::Result(answer)),
                Err(error) if matches!(error.cause(), Some(EngineError::ShutDown)) => Then::Wait,
                // The code is the exit code of a verb that fails for the same reason.
                Err(error) => {
                    let error = ErrorObject::new(error.exit_code().into(), error.to_string());
                    self.answer::<()>(id, Outcome::Error(error))
                }
            },
            Err(error) => self.answer::<()>(id, Outcome::Error(error)),
        }
    }

    fn understand(&self, method: &str, params: Option<&RawValue>) -> Result<Request<'a>, ErrorObject> {
        let asked = Request::read(&*self.connection.shared.handler, method, params)?;
        let is_hello = matches!(asked, Request::Session(SessionRequest::Hello { .. }));
        match (self.has_greeted, is_hello) {
            (false, false) => Err(ErrorObject::new(INVALID_REQUEST, "send hello first")),
            (true, true) => Err(ErrorObject::new(INVALID_REQUEST, "hello was sent already")),
            (true, false) | (false, true) => Ok(asked),
        }
    }

    fn greet(&mut self, id: Option<&RawValue>, protocol: u32) -> Then {
        let shared = &self.connection.shared;
        if protocol != PROTOCOL {
            let text = format!("protocol {protocol} is not supported; use protocol {PROTOCOL}");
            let data = Some(serde_json::json!({ "supported": [PROTOCOL] }));
            let error = ErrorObject { data, ..ErrorObject::new(USAGE.into(), text) };
            return self.answer::<()>(id, Outcome::Error(error));
        }
        if self.connection.stream.set_read_timeout(None).is_err() {
            return Then::End;
        }
        self.has_greeted = true;
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let engine = shared.handler.engine_id();
        let welcome = Welcome { protocol, version, engine, seq: shared.journal.seq() };
        self.answer(id, Outcome::Result(welcome))
    }

    fn subscription(&mut self, wanted: wire::EventFilter) -> Result<(Cursor, u64), ErrorObject> {
        let n_open = self.connection.cursors().len();
        if n_open >= MAX_SUBSCRIPTIONS {
            let text = format!("one connection can have at most {MAX_SUBSCRIPTIONS} subscriptions; end one");
            return Err(ErrorObject::new(FAILED.into(), text));
        }
        let since = wanted.since;
        let filter = Filter::new(wanted)?;
        let (place, seq) = self.connection.shared.journal.place(since);
        self.n_subscribed += 1;
        Ok((Cursor { subscription: self.n_subscribed, place, filter }, seq))
    }

    fn subscribe(&mut self, cursor: Cursor) -> Then {
        let connection = self.connection;
        connection.cursors().push(cursor);
        if self.writer.is_some() {
            connection.shared.journal.wake();
            return Then::GoOn;
        }
        let for_writer = Arc::clone(connection);
        match thread::short("lf-hand-writer", move || for_writer.write_events()) {
            Ok(writer) => {
                *self.writer = Some(writer);
                Then::GoOn
            }
            Err(error) => {
                connection.end_because(format!("no thread can be started to write events: {error}"));
                Then::End
            }
        }
    }

    fn hand_over(&self, id: Option<&RawValue>, successor: Successor) -> Then {
        if id.is_none() {
            // The descriptors come with the answer, and a notification has none.
            return Then::GoOn;
        }
        let shared = &self.connection.shared;
        let (Some(on_hand_over), Ok(listener)) = (&shared.on_hand_over, shared.listener.try_clone()) else {
            let text = "this engine can't be handed over; end it first";
            return self.answer::<()>(id, Outcome::Error(ErrorObject::new(FAILED.into(), text)));
        };
        let connection = Arc::clone(self.connection);
        on_hand_over(HandOver::new(successor, connection, id.map(RawValue::to_owned), listener.into()));
        Then::GoOn
    }

    /// Answers a request. A request without an id is a notification, which is never answered, not even when it is
    /// refused.
    fn answer<T: Serialize>(&self, id: Option<&RawValue>, outcome: Outcome<T>) -> Then {
        if id.is_none() {
            return Then::GoOn;
        }
        self.say(id, outcome)
    }

    /// Refuses a line that is no request, and so has no id.
    pub(crate) fn refuse(&self, error: ErrorObject) -> Then {
        self.say::<()>(None, Outcome::Error(error))
    }

    fn say<T: Serialize>(&self, id: Option<&RawValue>, outcome: Outcome<T>) -> Then {
        let line = wire::line(&answer_to(id, outcome)).or_else(|error| {
            let error = ErrorObject::new(INTERNAL_ERROR, format!("the answer can't be written: {error}"));
            wire::line(&answer_to::<()>(id, Outcome::Error(error)))
        });
        line.map_or(Then::End, |line| self.connection.write(&line))
    }
}

/// An empty answer.
#[derive(Serialize)]
struct Nothing {}

pub(crate) fn answer_to<T>(id: Option<&RawValue>, outcome: Outcome<T>) -> Answer<'_, T> {
    Answer { jsonrpc: JSON_RPC, id, outcome, descriptors: None }
}

/// The method of a request.
fn method_of<'a>(incoming: &'a Incoming<'_>) -> Result<&'a str, ErrorObject> {
    if incoming.jsonrpc.as_deref() != Some(JSON_RPC) {
        return Err(ErrorObject::new(INVALID_REQUEST, "say \"jsonrpc\": \"2.0\" in every request"));
    }
    incoming
        .method
        .as_deref()
        .ok_or_else(|| ErrorObject::new(INVALID_REQUEST, "a request needs a \"method\""))
}

/// Parses a line, without its params.
fn read_line(line: &[u8]) -> Result<Incoming<'_>, ErrorObject> {
    let parse = |why: String| ErrorObject::new(PARSE_ERROR, format!("the line is not JSON: {why}"));
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

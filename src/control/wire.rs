//! What is said over the control socket: JSON-RPC 2.0, one message a line.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::api::{EngineId, ProcessKind};
use crate::base::id::RunId;

/// The version of what is said here; the hello says which one a client speaks.
pub const PROTOCOL: u32 = 1;
/// The longest line that a client may send, in bytes, without its end.
pub const MAX_LINE: usize = 1 << 20;

/// What `jsonrpc` says in every message.
pub const JSON_RPC: &str = "2.0";

/// The line is not JSON.
pub const PARSE_ERROR: i64 = -32_700;
/// The line is JSON, but no request; or the hello was left out.
pub const INVALID_REQUEST: i64 = -32_600;
/// There is no such method.
pub const METHOD_NOT_FOUND: i64 = -32_601;
/// The method's params are not understood.
pub const INVALID_PARAMS: i64 = -32_602;
/// The answer can't be written.
pub const INTERNAL_ERROR: i64 = -32_603;

/// What came in, before its params are understood.
#[derive(Debug, Deserialize)]
pub struct Incoming<'a> {
    /// Must be `2.0`.
    #[serde(borrow, default)]
    pub jsonrpc: Option<Cow<'a, str>>,
    /// A string or a number; without one the request is carried out and not answered.
    #[serde(borrow, default)]
    pub id: Option<&'a RawValue>,
    /// What is asked.
    #[serde(borrow, default)]
    pub method: Option<Cow<'a, str>>,
    /// About what.
    #[serde(borrow, default)]
    pub params: Option<&'a RawValue>,
}

/// A request, or without an id a notification.
#[derive(Debug, Serialize)]
pub struct Outgoing<'a, R> {
    /// [`JSON_RPC`].
    pub jsonrpc: &'a str,
    /// None: no answer is wanted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
    /// `method` and `params`.
    #[serde(flatten)]
    pub request: R,
}

impl<'a, R> Outgoing<'a, R> {
    /// A request that is answered under `id`.
    pub fn request(id: u64, request: R) -> Self {
        Self { jsonrpc: JSON_RPC, id: Some(id), request }
    }

    /// One that is not answered.
    pub fn notification(request: R) -> Self {
        Self { jsonrpc: JSON_RPC, id: None, request }
    }
}

/// An answer.
#[derive(Debug, Serialize)]
pub struct Answer<'a, T> {
    /// [`JSON_RPC`].
    pub jsonrpc: &'a str,
    /// The request's; null where it could not be read.
    pub id: Option<&'a RawValue>,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome<T>,
    /// How many descriptors come with this line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub descriptors: Option<usize>,
}

/// What came of a request.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome<T> {
    /// It was done, or is known.
    Result(T),
    /// It was refused.
    Error(ErrorObject),
}

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct ErrorObject {
    /// Negative: one of JSON-RPC's own. Positive: the exit code that a verb ends with for the same reason.
    pub code: i64,
    /// What was tried, on what, why it failed and what to do next.
    pub message: String,
    /// What a program may want to know besides.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub data: Option<serde_json::Value>,
}

impl ErrorObject {
    /// A refusal without data.
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }
}

/// What can be asked of the connection itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", content = "params", deny_unknown_fields)]
pub enum SessionRequest {
    /// Who asks, and how. The first request; answered by [`Welcome`].
    #[serde(rename = "hello")]
    Hello {
        /// [`PROTOCOL`].
        protocol: u32,
        /// Name and version, for messages.
        client: String,
    },
    /// Events from now on, or from those after `since`; answered by [`Subscribed`].
    #[serde(rename = "events.subscribe")]
    Subscribe(EventFilter),
    /// No more of them; answered by `{}`.
    #[serde(rename = "events.unsubscribe")]
    Unsubscribe {
        /// Of which subscription.
        subscription: u64,
    },
    /// The engine is to record all, and to hand its lock and its socket to the asker, who takes its place.
    #[serde(rename = "engine.hand_over")]
    HandOver(Successor),
}

/// Who would take an engine's place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Successor {
    /// What the new engine will belong to.
    pub face: ProcessKind,
    /// The program's version: an engine leaves for a newer one.
    pub version: String,
    /// It stands by: an engine that keeps its place answers when it leaves, instead of refusing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub waits: bool,
}

impl SessionRequest {
    /// The names of all of them.
    pub const METHODS: &'static [&'static str] =
        &["hello", "events.subscribe", "events.unsubscribe", "engine.hand_over"];

    /// Reads the params of one of them.
    ///
    /// # Errors
    /// They are not understood.
    pub(crate) fn read(method: &str, params: &str) -> serde_json::Result<Self> {
        serde_json::from_str(&format!(r#"{{"method":{method:?},"params":{params}}}"#))
    }
}

/// Who answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Welcome {
    /// [`PROTOCOL`].
    pub protocol: u32,
    /// The program's.
    pub version: String,
    /// The engine behind the socket.
    pub engine: EngineId,
    /// The newest event.
    pub seq: u64,
}

/// Which events are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventFilter {
    /// Those after this one; none: from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// Those of these runs; none: of all, and those that are about no run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runs: Option<Vec<RunId>>,
    /// Those of these names; none: of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub types: Option<Vec<String>>,
}

/// A subscription that has begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscribed {
    /// Its number on this connection.
    pub subscription: u64,
    /// The newest event at that moment.
    pub seq: u64,
}

/// What a server says: the answer to a request, or a notification.
#[derive(Debug, Deserialize)]
pub struct Heard<'a> {
    /// Of the request that it answers.
    #[serde(default)]
    pub id: Option<u64>,
    /// `event` or `closing`.
    #[serde(borrow, default)]
    pub method: Option<Cow<'a, str>>,
    /// Of a notification.
    #[serde(borrow, default)]
    pub params: Option<&'a RawValue>,
    /// What was asked for.
    #[serde(borrow, default)]
    pub result: Option<&'a RawValue>,
    /// Why it was refused.
    #[serde(default)]
    pub error: Option<ErrorObject>,
    /// How many descriptors came with it.
    #[serde(default)]
    pub descriptors: Option<usize>,
}

/// The params of an `event` notification.
#[derive(Debug, Deserialize)]
pub struct EventParams<'a> {
    /// Whose.
    pub subscription: u64,
    /// As `leverframe events --json` prints it.
    #[serde(borrow)]
    pub event: &'a RawValue,
}

/// Why a connection ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosingNotice {
    /// In one sentence.
    pub reason: String,
    /// The last event that this engine has told.
    pub seq: u64,
    /// The runs that live.
    pub living: Vec<RunId>,
}

/// What an engine says of itself, as a notification.
#[derive(Debug, Serialize)]
#[serde(tag = "method", content = "params", rename_all = "lowercase")]
pub enum Saying {
    /// The connection ends.
    Closing(ClosingNotice),
}

/// A message as a line.
///
/// # Errors
/// When it can't be written as JSON.
pub fn line(message: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line)
}

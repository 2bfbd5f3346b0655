//! The messages of the control socket: JSON-RPC 2.0, one message a line.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::api::{EngineId, ProcessKind};
use crate::base::id::RunId;

/// The version of the protocol, which the client's hello names.
pub const PROTOCOL: u32 = 1;
/// The longest line that a client may send, in bytes, without its end.
pub const MAX_LINE: usize = 1 << 20;

/// The value of `jsonrpc` in every message.
pub const JSON_RPC: &str = "2.0";

/// The line is not JSON.
pub const PARSE_ERROR: i64 = -32_700;
/// The line is JSON but no request, or the hello is missing.
pub const INVALID_REQUEST: i64 = -32_600;
/// The method is unknown.
pub const METHOD_NOT_FOUND: i64 = -32_601;
/// The method's params can't be parsed.
pub const INVALID_PARAMS: i64 = -32_602;
/// The answer can't be encoded.
pub const INTERNAL_ERROR: i64 = -32_603;

/// A request before its params are parsed.
#[derive(Debug, Deserialize)]
pub struct Incoming<'a> {
    /// Must be `2.0`.
    #[serde(borrow, default)]
    pub jsonrpc: Option<Cow<'a, str>>,
    /// A string or a number. Without one the request is handled but not answered.
    #[serde(borrow, default)]
    pub id: Option<&'a RawValue>,
    /// The method's name.
    #[serde(borrow, default)]
    pub method: Option<Cow<'a, str>>,
    /// The method's params; none means `{}`.
    #[serde(borrow, default)]
    pub params: Option<&'a RawValue>,
}

/// A request; without an id, a notification.
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
    /// A request that is answered with this `id`.
    pub fn request(id: u64, request: R) -> Self {
        Self { jsonrpc: JSON_RPC, id: Some(id), request }
    }

    /// A request without an answer.
    pub fn notification(request: R) -> Self {
        Self { jsonrpc: JSON_RPC, id: None, request }
    }
}

/// The answer to a request.
#[derive(Debug, Serialize)]
pub struct Answer<'a, T> {
    /// [`JSON_RPC`].
    pub jsonrpc: &'a str,
    /// The request's id; null if it could not be read.
    pub id: Option<&'a RawValue>,
    #[serde(flatten)]
    pub outcome: Outcome<T>,
    /// How many descriptors come with this line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub descriptors: Option<usize>,
}

/// The outcome of a request.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome<T> {
    /// The method's answer.
    Result(T),
    /// The request was refused.
    Error(ErrorObject),
}

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct ErrorObject {
    /// Negative: one of JSON-RPC's own codes. Positive: the exit code of a verb that fails for the same reason.
    pub code: i64,
    /// What was tried, on what, why it failed and what to do next.
    pub message: String,
    /// More facts for a program.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub data: Option<serde_json::Value>,
}

impl ErrorObject {
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }
}

/// The requests about the connection itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", content = "params", deny_unknown_fields)]
pub enum SessionRequest {
    /// The first request; answered by [`Welcome`].
    #[serde(rename = "hello")]
    Hello {
        /// [`PROTOCOL`].
        protocol: u32,
        /// The client's name and version, for messages.
        client: String,
    },
    /// Subscribes to events from now on, or after `since`; answered by [`Subscribed`].
    #[serde(rename = "events.subscribe")]
    Subscribe(EventFilter),
    /// Ends a subscription; answered by `{}`.
    #[serde(rename = "events.unsubscribe")]
    Unsubscribe {
        /// The subscription's number.
        subscription: u64,
    },
    /// Asks the engine to record everything and to hand its lock and its socket over to the caller, who becomes the
    /// engine.
    #[serde(rename = "engine.hand_over")]
    HandOver(Successor),
}

/// A process that asks to become the engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Successor {
    /// The kind of process.
    pub face: ProcessKind,
    /// The program's version: an engine hands over to a newer one.
    pub version: String,
    /// The caller stands by: an engine that stays answers when it leaves, instead of refusing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub waits: bool,
}

impl SessionRequest {
    /// The names of these methods.
    pub const METHODS: &'static [&'static str] =
        &["hello", "events.subscribe", "events.unsubscribe", "engine.hand_over"];

    /// Parses the params of one of these methods.
    ///
    /// # Errors
    /// The params can't be parsed.
    pub(crate) fn read(method: &str, params: &str) -> serde_json::Result<Self> {
        serde_json::from_str(&format!(r#"{{"method":{method:?},"params":{params}}}"#))
    }
}

/// The answer to a hello.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Welcome {
    /// [`PROTOCOL`].
    pub protocol: u32,
    /// The program's version.
    pub version: String,
    /// The engine behind the socket.
    pub engine: EngineId,
    /// The newest event.
    pub seq: u64,
}

/// Which events a subscription wants.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventFilter {
    /// Only events after this one. None: from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// Only events of these runs. None: of all runs, and those about no run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runs: Option<Vec<RunId>>,
    /// Only events of these names. None: of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub types: Option<Vec<String>>,
}

/// The answer to a subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscribed {
    /// The subscription's number on this connection.
    pub subscription: u64,
    /// The newest event when it began.
    pub seq: u64,
}

/// A message of the server: the answer to a request, or a notification.
#[derive(Debug, Deserialize)]
pub struct Heard<'a> {
    /// The id of the answered request.
    #[serde(default)]
    pub id: Option<u64>,
    /// `event` or `closing`.
    #[serde(borrow, default)]
    pub method: Option<Cow<'a, str>>,
    /// The params of a notification.
    #[serde(borrow, default)]
    pub params: Option<&'a RawValue>,
    /// The answer.
    #[serde(borrow, default)]
    pub result: Option<&'a RawValue>,
    /// Why the request was refused.
    #[serde(default)]
    pub error: Option<ErrorObject>,
    /// How many descriptors came with the line.
    #[serde(default)]
    pub descriptors: Option<usize>,
}

/// The params of an `event` notification.
#[derive(Debug, Deserialize)]
pub struct EventParams<'a> {
    /// The subscription's number.
    pub subscription: u64,
    /// As `leverframe events --json` prints it.
    #[serde(borrow)]
    pub event: &'a RawValue,
}

/// Why a connection ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosingNotice {
    /// The reason, in one sentence.
    pub reason: String,
    /// The last event of this engine.
    pub seq: u64,
    /// The runs that have not ended.
    pub living: Vec<RunId>,
}

/// A notification about the engine itself.
#[derive(Debug, Serialize)]
#[serde(tag = "method", content = "params", rename_all = "lowercase")]
pub enum Saying {
    /// The connection ends.
    Closing(ClosingNotice),
}

/// A message as a line.
///
/// # Errors
/// The message can't be encoded as JSON.
pub fn line(message: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line)
}

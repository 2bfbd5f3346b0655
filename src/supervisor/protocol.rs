//! The messages between engine and supervisor, as JSON headers of frames.
//!
//! Either side may be of another version: unknown fields are ignored, an unknown request is answered by
//! [`Reply::Error`], an unknown reply is skipped. The environment and arguments of a step travel as bytes in the
//! frame's blob, exactly, and are never written to the journal.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::frame;
use super::frame::Frame;
use super::host::{HostEvent, HostRequest, Known, StartSpec};
use crate::base::id::AttemptKey;

/// The version of this protocol. Raised only when an older side would misunderstand a message.
pub(super) const PROTOCOL: u32 = 1;

/// A message of the engine.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Request {
    /// Comes first on each connection that gives orders.
    Hello(Hello),
    /// Asks for [`Reply::Info`]; needs no hello.
    Probe {},
    /// Asks for [`Reply::Pong`], to see whether the supervisor still answers.
    Ping {},
    Start(StartHeader),
    Freeze(AttemptKey),
    Thaw(AttemptKey),
    Stop {
        key: AttemptKey,
        signal: i32,
        grace_ms: u64,
    },
    Kill(AttemptKey),
    Acknowledge(AttemptKey),
}

/// The engine that registers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) protocol: u32,
    pub(super) epoch: u64,
    pub(super) pid: u32,
    pub(super) version: String,
}

/// A start without its bytes: the blob holds, each ended by NUL, `n_argv` arguments, `n_env` variables, the working
/// directory and the path of the log.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StartHeader {
    pub(super) key: AttemptKey,
    pub(super) token: String,
    pub(super) n_argv: usize,
    pub(super) n_env: usize,
    pub(super) log_limit: u64,
    #[serde(default)]
    pub(super) keep_background: bool,
    #[serde(default)]
    pub(super) may_be_alive: bool,
}

/// A message of the supervisor.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reply {
    /// The hello is accepted: from now on the supervisor obeys this engine only.
    Welcome {
        protocol: u32,
        pid: u32,
        version: String,
        inventory: Vec<Known>,
        /// As in [`HostEvent::Capacity`]; none from an older supervisor, or without a limit.
        #[serde(default)]
        n_steps: Option<usize>,
    },
    /// The hello is refused: a later engine has registered before.
    Refused { highest_epoch: u64 },
    /// Another supervisor holds the lock; this one waits for it.
    Waiting {},
    /// The answer to a ping.
    Pong {},
    /// The answer to a probe.
    Info(SupervisorInfo),
    /// An event, passed on to the engine unchanged.
    Event(HostEvent),
    /// A request was not understood.
    Error { message: String },
}

/// A supervisor's description of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SupervisorInfo {
    pub pid: u32,
    /// The version of the program that it runs.
    pub version: String,
    /// Steps that live.
    pub n_steps: usize,
    /// Ends that no engine has acknowledged yet.
    pub n_unacknowledged: usize,
}

/// The version of this program.
pub(super) fn own_version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}

impl Reply {
    /// Encodes it as a frame.
    pub(super) fn encode(&self) -> Vec<u8> {
        frame::encode(&to_json(self), b"")
    }

    /// Decodes a frame; none when its kind is unknown here.
    pub(super) fn decode(frame: &Frame) -> Option<Self> {
        serde_json::from_slice(&frame.header).ok()
    }
}

/// A request that was not understood.
#[derive(Debug)]
pub(super) enum Misread {
    /// JSON of an unknown kind: answered with an error, and the connection stays.
    Unknown(String),
    /// Not even JSON: the connection is closed.
    Garbage,
}

impl Request {
    /// Encodes it as a frame.
    pub(super) fn encode(&self) -> Vec<u8> {
        frame::encode(&to_json(self), b"")
    }

    /// Decodes the header of a frame.
    pub(super) fn decode(frame: &Frame) -> Result<Self, Misread> {
        serde_json::from_slice(&frame.header).map_err(|error| {
            match serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&frame.header) {
                Ok(map) => {
                    let kind = map.keys().next().map_or("", String::as_str);
                    Misread::Unknown(format!("request {kind:?} was not understood: {error}"))
                }
                Err(_) => Misread::Garbage,
            }
        })
    }
}

/// Encodes a request of the engine as a frame.
pub(super) fn encode_request(request: HostRequest) -> Vec<u8> {
    match request {
        HostRequest::Start(spec) => encode_start(&spec),
        HostRequest::Freeze(key) => Request::Freeze(key).encode(),
        HostRequest::Thaw(key) => Request::Thaw(key).encode(),
        HostRequest::Stop { key, signal, grace } => {
            let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
            Request::Stop { key, signal, grace_ms }.encode()
        }
        HostRequest::Kill(key) => Request::Kill(key).encode(),
        HostRequest::Acknowledge(key) => Request::Acknowledge(key).encode(),
    }
}

fn encode_start(spec: &StartSpec) -> Vec<u8> {
    let header = StartHeader {
        key: spec.key.clone(),
        token: spec.token.clone(),
        n_argv: spec.argv.len(),
        n_env: spec.env.len(),
        log_limit: spec.log_limit,
        keep_background: spec.keep_background,
        may_be_alive: spec.may_be_alive,
    };
    let mut blob = Vec::new();
    for arg in &spec.argv {
        blob.extend_from_slice(arg.as_bytes());
        blob.push(0);
    }
    for (name, value) in &spec.env {
        blob.extend_from_slice(name.as_bytes());
        blob.push(b'=');
        blob.extend_from_slice(value.as_bytes());
        blob.push(0);
    }
    for path in [&spec.working_dir, &spec.log_path] {
        blob.extend_from_slice(path.as_os_str().as_bytes());
        blob.push(0);
    }
    frame::encode(&to_json(&Request::Start(header)), &blob)
}

/// Puts a start request together again from header and blob.
///
/// # Errors
/// A sentence, when the blob does not fit the header (an argument with a NUL byte, say).
pub(super) fn decode_start(header: StartHeader, blob: &[u8]) -> Result<StartSpec, String> {
    let mut parts: Vec<&[u8]> = blob.split(|&byte| byte == 0).collect();
    parts.pop();
    if header.n_argv == 0 || parts.len() != header.n_argv.saturating_add(header.n_env).saturating_add(2) {
        return Err("its arguments or its environment can't be passed on: one holds a NUL byte, or there are no arguments".to_owned());
    }
    let os = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    let (argv, rest) = parts.split_at(header.n_argv);
    let (env, paths) = rest.split_at(header.n_env);
    let env = env.iter().map(|variable| {
        let at = variable.iter().position(|&b| b == b'=').unwrap_or(variable.len());
        (os(&variable[..at]), os(variable.get(at + 1..).unwrap_or_default()))
    });
    Ok(StartSpec {
        key: header.key,
        token: header.token,
        argv: argv.iter().map(|arg| os(arg)).collect(),
        env: env.collect(),
        working_dir: PathBuf::from(OsStr::from_bytes(paths[0])),
        log_path: PathBuf::from(OsStr::from_bytes(paths[1])),
        log_limit: header.log_limit,
        keep_background: header.keep_background,
        may_be_alive: header.may_be_alive,
    })
}

pub(super) fn grace(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn to_json(message: &impl Serialize) -> Vec<u8> {
    // JSON can hold everything in our own messages. The other side would refuse an empty header.
    serde_json::to_vec(message).unwrap_or_default()
}

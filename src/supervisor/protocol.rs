//! What engine and supervisor say to each other, as JSON headers of frames.
//!
//! Either side may be of another version: unknown fields are ignored, an unknown request is answered by
//! [`Reply::Error`], an unknown reply is passed over. The environment and arguments of a step travel as bytes in the
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

/// The version of this protocol. Raised only when an older side would misunderstand.
pub(super) const PROTOCOL: u32 = 1;

/// From the engine.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Request {
    /// First on each connection that wants to act.
    Hello(Hello),
    /// Asks what [`Reply::Info`] tells; needs no hello.
    Probe {},
    /// Asks for [`Reply::Pong`]: whoever asks wants to know that it is heard.
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

/// Who is there.
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

/// From the supervisor.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reply {
    /// The hello is accepted: nobody else is heard any more.
    Welcome { protocol: u32, pid: u32, version: String, inventory: Vec<Known> },
    /// The hello is refused: a later engine has been here.
    Refused { highest_epoch: u64 },
    /// Another supervisor holds the lock; this one waits for it.
    Waiting {},
    /// To a ping.
    Pong {},
    /// To a probe.
    Info(SupervisorInfo),
    /// Something that the engine hears as it is.
    Event(HostEvent),
    /// A request was not understood.
    Error { message: String },
}

/// What a supervisor says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SupervisorInfo {
    /// Its process.
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
    /// As a frame.
    pub(super) fn encode(&self) -> Vec<u8> {
        frame::encode(&to_json(self), b"")
    }

    /// Reads a frame; none when it is of a kind unknown here.
    pub(super) fn decode(frame: &Frame) -> Option<Self> {
        serde_json::from_slice(&frame.header).ok()
    }
}

/// Why a request was not understood.
#[derive(Debug)]
pub(super) enum Misread {
    /// JSON, but of no kind known here: answered, the connection stays.
    Unknown(String),
    /// Not even that.
    Garbage,
}

impl Request {
    /// As a frame.
    pub(super) fn encode(&self) -> Vec<u8> {
        frame::encode(&to_json(self), b"")
    }

    /// Reads the header of a frame.
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

/// Makes the frame of a request of the engine.
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

/// Puts a start together again.
///
/// # Errors
/// A sentence, when the bytes are not what the header says (a NUL inside an argument, say).
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

/// The grace of a stop.
pub(super) fn grace(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn to_json(message: &impl Serialize) -> Vec<u8> {
    // Our own messages hold nothing that JSON can't; an empty header would be refused by the other side.
    serde_json::to_vec(message).unwrap_or_default()
}

//! The port to the place where steps run: what the engine asks of it, and what it reports.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use crate::base::id::AttemptKey;

/// Where steps run. Requests never wait; answers arrive as [`HostEvent`]s through the sink that the host was made with.
pub trait StepHost: Send {
    /// Sends a request. One that can't be delivered is answered by [`HostEvent::Gone`].
    fn send(&mut self, request: HostRequest);

    /// Sends several requests, in this order.
    fn send_all(&mut self, requests: Vec<HostRequest>) {
        requests.into_iter().for_each(|request| self.send(request));
    }
}

/// A request of the engine.
#[derive(Debug, Clone)]
pub enum HostRequest {
    /// Start a step. Idempotent by key: a start that is known is answered with its present state.
    Start(Box<StartSpec>),
    /// Stop every process of the tree from running, until [`HostRequest::Thaw`]. Answered by [`HostEvent::Frozen`].
    Freeze(AttemptKey),
    /// Let a frozen tree run again. Answered by [`HostEvent::Thawed`].
    Thaw(AttemptKey),
    /// Ask the tree to end: this signal, then CONT, and KILL after the grace, even if the engine is gone by then.
    Stop {
        key: AttemptKey,
        /// The number of the signal.
        signal: i32,
        /// From CONT to KILL.
        grace: Duration,
    },
    /// Kill the whole tree at once.
    Kill(AttemptKey),
    /// The engine has the end on disk: forget it. Harmless when repeated.
    Acknowledge(AttemptKey),
}

/// Everything needed to start a step.
#[derive(Debug, Clone)]
pub struct StartSpec {
    /// Which attempt of which step.
    pub key: AttemptKey,
    /// In the environment of every process of the tree, as `LEVERFRAME_TOKEN`.
    pub token: String,
    /// Program and arguments; not empty. The program is looked up in the `PATH` of `env`.
    pub argv: Vec<OsString>,
    /// Its whole environment.
    pub env: Vec<(OsString, OsString)>,
    /// Where it runs: absolute.
    pub working_dir: PathBuf,
    /// Its log: absolute; the folder is there.
    pub log_path: PathBuf,
    /// Bytes of log kept on disk.
    pub log_limit: u64,
    /// Whether processes that outlive the main process may go on.
    pub keep_background: bool,
    /// An engine that is gone recorded it as started: look for a living tree with this token first.
    pub may_be_alive: bool,
}

/// What the host reports to the engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostEvent {
    /// First after each (re)connection: everything that the host knows.
    Inventory(Vec<Known>),
    /// The process lives.
    Started {
        key: AttemptKey,
        /// The main process.
        pid: u32,
        /// When it was spawned.
        at: DateTime<Utc>,
    },
    /// The step could not be started: no such program, no such directory, no room for a process. Final, and kept until
    /// acknowledged.
    StartFailed {
        key: AttemptKey,
        /// What failed, on what, and why.
        reason: String,
    },
    /// The tree has ended (unless its background is kept). Kept until acknowledged.
    Exited { key: AttemptKey, exit: StepExit },
    /// Every process of the tree is stopped, but for `unfrozen`.
    Frozen {
        key: AttemptKey,
        /// Processes that could not be stopped (state D, say), as `name (pid)`.
        unfrozen: Vec<String>,
    },
    /// The tree runs again.
    Thawed { key: AttemptKey },
    /// The log can't be written at the moment (a full disk, say). The step is not blocked for ever: bytes that can't be
    /// kept are counted.
    LogTrouble {
        key: AttemptKey,
        reason: String,
        /// Whether the disk is full.
        disk_full: bool,
    },
    /// How many steps may live at once with the descriptors that the supervisor has. Sent before the inventory, and
    /// when it changes.
    Capacity {
        /// Including those that live now; at least 1.
        n_steps: usize,
    },
    /// Something could not be done at the moment and will be tried again. For the operator.
    Trouble {
        /// What, and why.
        reason: String,
    },
    /// The host is there, but did not answer in time.
    Silent {
        pid: u32,
        /// Whether that process is stopped.
        is_stopped: bool,
    },
    /// After [`HostEvent::Silent`]: the host answers again.
    Answers { pid: u32 },
    /// The host is gone. Its steps may still live; a new host finds them.
    Gone {
        /// Why, as far as known.
        reason: String,
    },
}

/// One attempt that the host knows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Known {
    pub key: AttemptKey,
    pub status: KnownStatus,
}

/// The state of an attempt that the host knows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KnownStatus {
    /// Some of its processes live, or its end is not settled yet.
    Running {
        /// The main process; 0 when that is gone.
        pid: u32,
        /// When it was spawned.
        started_at: DateTime<Utc>,
        /// Whether the host has frozen it.
        frozen: bool,
    },
    /// Could not be started.
    StartFailed(String),
    /// Ended, not yet acknowledged.
    Exited(StepExit),
}

/// How a step's tree ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepExit {
    /// How the main process ended.
    pub cause: ExitCause,
    pub ended_at: DateTime<Utc>,
    /// What the tree used; none when a process other than the supervisor reaped it.
    pub usage: Option<Usage>,
    /// The system was shutting down or ending the session: the step was interrupted and has not failed.
    pub interrupted: bool,
    /// Bytes of its log that were dropped from the middle or could not be written.
    pub log_dropped_bytes: u64,
}

/// How a main process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExitCause {
    /// It exited with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
    /// No process saw how (the supervisor was gone).
    Unknown,
}

/// What a tree used, as `wait4` reports it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Largest resident set of one process of the tree, in bytes. None when the kernel's figure may be that of the process
    /// that made it.
    #[serde(with = "zero_for_none")]
    pub peak_rss_bytes: Option<u64>,
    /// User and system time, in seconds.
    pub cpu_seconds: f64,
}

/// None is written as 0, which no process has: another version expects a number.
mod zero_for_none {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &Option<u64>, to: S) -> Result<S::Ok, S::Error> {
        bytes.unwrap_or(0).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
        Ok(Some(u64::deserialize(from)?).filter(|bytes| *bytes > 0))
    }
}

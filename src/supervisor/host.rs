//! The one port of the house: what the engine asks of the place where steps run, and what it hears.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use crate::base::id::AttemptKey;

/// Where steps run. Requests never wait; answers arrive as [`HostEvent`]s through the sink that the host was made with.
pub trait StepHost: Send {
    /// Asks for something. A request that can't be delivered is answered by [`HostEvent::Gone`].
    fn send(&mut self, request: HostRequest);

    /// Asks for several things, in this order.
    fn send_all(&mut self, requests: Vec<HostRequest>) {
        requests.into_iter().for_each(|request| self.send(request));
    }
}

/// What the engine asks.
#[derive(Debug, Clone)]
pub enum HostRequest {
    /// Start a step. Idempotent by key: one that is known is answered with what is there.
    Start(Box<StartSpec>),
    /// Stop every process of the tree from running, until [`HostRequest::Thaw`]. Answered by [`HostEvent::Frozen`].
    Freeze(AttemptKey),
    /// Let go on what was frozen. Answered by [`HostEvent::Thawed`].
    Thaw(AttemptKey),
    /// Ask the tree to end: this signal, CONT, and after the grace KILL, also without an engine.
    Stop {
        /// Which.
        key: AttemptKey,
        /// The number of the signal.
        signal: i32,
        /// From CONT to KILL.
        grace: Duration,
    },
    /// End the whole tree at once.
    Kill(AttemptKey),
    /// Its end is on disk: forget it. Harmless when repeated.
    Acknowledge(AttemptKey),
}

/// Everything needed to start a step.
#[derive(Debug, Clone)]
pub struct StartSpec {
    /// Its name.
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
    /// Whether what the main process leaves behind is left alone.
    pub keep_background: bool,
    /// It was recorded as started by an engine that is gone: look for a living tree with this token first.
    pub may_be_alive: bool,
}

/// What the engine hears.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostEvent {
    /// First after each (re)connection: everything that the host knows.
    Inventory(Vec<Known>),
    /// The process lives.
    Started {
        /// Which.
        key: AttemptKey,
        /// The main process.
        pid: u32,
        /// When it was spawned.
        at: DateTime<Utc>,
    },
    /// It could not be started: no such program, no such directory, no process left. Final, and kept until acknowledged.
    StartFailed {
        /// Which.
        key: AttemptKey,
        /// What failed, on what, why.
        reason: String,
    },
    /// The tree has ended (unless its background is kept). Kept until acknowledged.
    Exited {
        /// Which.
        key: AttemptKey,
        /// How.
        exit: StepExit,
    },
    /// The tree is seen frozen.
    Frozen {
        /// Which.
        key: AttemptKey,
        /// Processes that could not be (state D), as `name (pid)`.
        unfrozen: Vec<String>,
    },
    /// The tree goes on.
    Thawed {
        /// Which.
        key: AttemptKey,
    },
    /// Its log can't be written at the moment (a full disk, say); the step is not blocked for ever: what can't be kept is counted.
    LogTrouble {
        /// Which.
        key: AttemptKey,
        /// Why.
        reason: String,
        /// Whether it is for want of space.
        disk_full: bool,
    },
    /// So many steps may live at once: the descriptors of the supervisor allow no more. Told after the inventory, and when
    /// it changes.
    Capacity {
        /// Living ones included; at least 1.
        n_steps: usize,
    },
    /// Something could not be done at the moment, and is done again: for the operator to know.
    Trouble {
        /// What, and why.
        reason: String,
    },
    /// The host is there and gives no answer that is due.
    Silent {
        /// Its process.
        pid: u32,
        /// Whether that is stopped.
        is_stopped: bool,
    },
    /// After [`HostEvent::Silent`]: it answers again.
    Answers {
        /// Its process.
        pid: u32,
    },
    /// The host is gone. Its steps may live; a new host finds them.
    Gone {
        /// Why, as far as known.
        reason: String,
    },
}

/// One attempt that the host knows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Known {
    /// Which.
    pub key: AttemptKey,
    /// What it knows.
    pub status: KnownStatus,
}

/// What the host knows of an attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KnownStatus {
    /// Some of it lives, or its end is not settled yet.
    Running {
        /// The main process; 0 where that is gone.
        pid: u32,
        /// When it was spawned.
        started_at: DateTime<Utc>,
        /// Whether it is frozen by us.
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
    /// Of the main process.
    pub cause: ExitCause,
    /// When.
    pub ended_at: DateTime<Utc>,
    /// What the tree used; none when another process reaped it.
    pub usage: Option<Usage>,
    /// It ended after the system told us to end (shutdown, end of session): interrupted, not failed.
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
    /// Nobody saw it (its supervisor was gone).
    Unknown,
}

/// What `wait4` said of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Largest resident set of one process of the tree, in bytes; none where the kernel's figure may be the
    /// supervisor's own.
    #[serde(with = "zero_for_none")]
    pub peak_rss_bytes: Option<u64>,
    /// User and system time, in seconds.
    pub cpu_seconds: f64,
}

/// No process has a peak of 0 bytes; a side of another version knows a number only.
mod zero_for_none {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &Option<u64>, to: S) -> Result<S::Ok, S::Error> {
        bytes.unwrap_or(0).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
        Ok(Some(u64::deserialize(from)?).filter(|bytes| *bytes > 0))
    }
}

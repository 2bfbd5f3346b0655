//! Which engine it is, and what it belongs to.

use serde::{Deserialize, Serialize};

/// Which engine it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineId {
    /// Its process.
    pub pid: u32,
    /// What it belongs to.
    pub face: ProcessKind,
    /// Its epoch: each start of an engine has a higher one.
    pub epoch: u64,
    /// Whether it fires jobs by itself; none of an older version, which does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fires_jobs: Option<bool>,
}

/// What an engine belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProcessKind {
    /// The window.
    Window,
    /// `leverframe serve`.
    Serve,
    /// A verb in the foreground, such as `leverframe run`.
    Run,
    /// A program of somebody else's.
    Library,
}

impl ProcessKind {
    /// The word in JSON and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Window => "window",
            Self::Serve => "serve",
            Self::Run => "run",
            Self::Library => "library",
        }
    }
}

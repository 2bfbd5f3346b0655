//! Which engine it is, and which kind of process it is in.

use serde::{Deserialize, Serialize};

/// Which engine it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineId {
    pub pid: u32,
    /// The kind of process.
    pub face: ProcessKind,
    /// The engine's epoch. Each start of an engine has a higher one.
    pub epoch: u64,
    /// Whether the engine fires jobs by itself. None from an older version, which does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fires_jobs: Option<bool>,
}

/// The kind of process that has the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProcessKind {
    /// The window.
    Window,
    /// `leverframe serve`.
    Serve,
    /// A verb in the foreground, such as `leverframe run`.
    Run,
    /// Another program that uses the library.
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

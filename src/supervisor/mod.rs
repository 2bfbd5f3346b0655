//! Where steps run: the port [`StepHost`], and the local supervisor behind it.
//!
//! Step processes are children of a small second process, the same binary in a hidden mode, which survives the engine.
//! The supervisor deliberately knows nothing of pipelines, retries or databases.
//!
//! In reading order: [`host`](StepHost) is the port; `client` and `launch` are the engine's side; `frame` and
//! `protocol` are the messages between the two; `platform` tries out what the system offers; `entry` turns a program
//! into the supervisor; `guard` runs a command of the engine's own; `reaper` is the supervisor's parent, which keeps
//! what a dead supervisor leaves; `server` is the supervisor's loop; `journal` is its memory; `log` and `mover` bring
//! output into its file; `program` and `spawner` start processes; `process` and `sys` are Linux. Other systems have no supervisor yet.

mod client;
mod entry;
mod frame;
mod guard;
mod host;
mod journal;
mod launch;
mod log;
mod memory;
mod mover;
mod platform;
mod process;
mod program;
mod protocol;
mod pulse;
mod reaper;
mod scope;
mod server;
mod spawner;
mod sys;

pub use crate::supervisor::host::*;
pub use client::SupervisorHost;
pub use entry::supervisor_entry;
pub(crate) use guard::{Bounds, Cancel, Guard, GuardError};
pub use launch::{ConnectError, Launched, Launcher, SILENT, is_left_behind, probe, silence};
pub use platform::{EndWatch, PlatformCheck, check_platform};
pub use protocol::SupervisorInfo;

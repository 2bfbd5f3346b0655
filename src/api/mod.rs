//! The requests to an engine and the answers: one vocabulary for the window, the command line and the control socket.
//! Nothing is handled here.
//!
//! Each [`Request`] is a type of its own, with the type of its answer, in the shapes that `--json` prints. [`Error`]
//! says why there is no answer, with the exit code of a verb that fails for the same reason. A [`Command`] is a request
//! that a window offers.

mod answers;
mod command;
mod engine_id;
mod error;
pub mod exit_code;
mod request;
mod start;
mod usage;

pub use answers::{Backfilled, CheckpointDocument, Done, EngineStatus, LivingRun, LivingRuns, PipelineView};
pub use command::Command;
pub use engine_id::{EngineId, ProcessKind};
pub use error::Error;
pub use exit_code::HasExitCode;
pub use request::*;
pub use usage::{Usage, UsageOfRun, UsageOfStep};

// Parts of answers, defined in the modules that make them.
pub use crate::engine::CurrentWait;
pub use crate::scheduler::{FireView, HistoryView, JobPatch, JobSpec, JobView};
pub use crate::store::{MachinePoint, RunPoint, StepSpan, StepUse};
pub use crate::supervisor::SILENT;

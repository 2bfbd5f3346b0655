//! What can be asked of an engine's owner, and what is answered: one vocabulary for the window, the command line and
//! the control socket. Nothing here carries anything out.
//!
//! [`Command`] changes something, [`Query`] only looks; [`Answer`] is what comes back, in the shapes that `--json`
//! prints; [`Error`] is why nothing does, with the exit code of a verb that fails for the same reason.

mod answers;
mod command;
mod engine_id;
mod error;
pub mod exit_code;
mod query;
mod start;
mod usage;

pub use answers::{
    Answer, Backfilled, CheckpointDocument, EngineStatus, LivingRun, LivingRuns, PipelineDocument,
};
pub use command::Command;
pub use engine_id::{EngineId, ProcessKind};
pub use error::Error;
pub use exit_code::HasExitCode;
pub use query::Query;
pub use start::StartRun;
pub use usage::{Usage, UsageOfRun, UsageOfStep};

// What answers are made of, and is known to those who make it.
pub use crate::engine::CurrentWait;
pub use crate::scheduler::{FireView, HistoryView, JobPatch, JobSpec, JobView};
pub use crate::store::{MachinePoint, StepSpan};
pub use crate::supervisor::SILENT;

//! What a program that drives a run has: the run's id, two blocking signals, and short calls to report.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::error::EngineError;
use super::handle::CoreExecutionEngine;
use super::signal::Signal;
use crate::base::id::{RunId, StepId};

pub(super) type PipelineFn = dyn Fn(&ExecutionContext) -> anyhow::Result<()> + Send + Sync;

/// A driven run, for the program that drives it. Usable from any thread.
#[derive(Clone)]
pub struct ExecutionContext {
    /// The run's id.
    pub run_id: RunId,
    /// Raised while the run is paused.
    pub pause_signal: Signal,
    /// Raised when the run is to stop.
    pub stop_signal: Signal,
    pub(super) engine: CoreExecutionEngine,
}

impl ExecutionContext {
    /// Waits while the run is paused, then returns whether to go on (false: stop). To be called between pieces of work.
    pub fn proceed(&self) -> bool {
        self.pause_signal.wait_while_raised();
        !self.stop_signal.is_raised()
    }

    /// See [`CoreExecutionEngine::update_progress`].
    ///
    /// # Errors
    /// As there.
    pub fn update_progress(&self, progress: f64, current_step: Option<&str>) -> Result<(), EngineError> {
        self.engine.update_progress(&self.run_id, progress, current_step)
    }

    /// See [`CoreExecutionEngine::checkpoint`].
    ///
    /// # Errors
    /// As there.
    pub fn checkpoint(&self, step_id: impl AsRef<str>, data: &serde_json::Value) -> Result<(), EngineError> {
        self.engine.checkpoint(&self.run_id, step_id, data)
    }

    /// The last checkpoint of a step in this run.
    ///
    /// # Errors
    /// [`EngineError::Store`] when it can't be read.
    pub fn load_checkpoint(&self, step_id: &StepId) -> Result<Option<serde_json::Value>, EngineError> {
        Ok(self.engine.store().load_checkpoint(&self.run_id, step_id)?)
    }

    /// See [`CoreExecutionEngine::complete_execution`].
    ///
    /// # Errors
    /// As there.
    pub fn complete(&self, success: bool, error: Option<&str>) -> Result<(), EngineError> {
        self.engine.complete_execution(&self.run_id, success, error)
    }
}

/// Runs a registered function on a thread of its own and completes its run with the result.
pub(super) fn drive(context: ExecutionContext, function: Arc<PipelineFn>) -> Result<(), EngineError> {
    let name = format!("lf-run {}", context.run_id);
    // The run owns this thread: it ends with the run, and its last act is to complete it.
    std::thread::Builder::new().name(name).spawn(move || {
        let outcome = catch_unwind(AssertUnwindSafe(|| function(&context)));
        // If the run was paused at the last moment, it is completed when it is resumed.
        context.pause_signal.wait_while_raised();
        let error = match outcome {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(format!("{error:#}")),
            Err(_) => Some("the function panicked".to_owned()),
        };
        // Fails when the engine is gone or has ended the run.
        let _ = context.complete(error.is_none(), error.as_deref());
    })?;
    Ok(())
}

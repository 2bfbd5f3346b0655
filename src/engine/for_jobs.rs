//! What the scheduler asks of the engine beside what everybody does: several runs that share a commit, and telling
//! everybody what became of jobs.

use super::clock;
use super::error::EngineError;
use super::handle::CoreExecutionEngine;
use super::message::Message;
use crate::base::id::RunId;
use crate::run::{EventKind, Plan};

#[doc(hidden)]
impl CoreExecutionEngine {
    /// Starts several runs at once, which share a commit; for each its id or why it was not started, in their order.
    /// Returns when all of them are recorded.
    pub fn start_pipelines(&self, plans: Vec<Plan>) -> Vec<Result<RunId, EngineError>> {
        let now = clock::now();
        // All are sent before the first answer is waited for: the engine takes them together.
        let answers: Vec<_> = plans.into_iter().map(|plan| self.send_start(plan, now)).collect();
        answers
            .into_iter()
            .map(|answer| answer?.recv().map_err(|_| EngineError::ShutDown)?.map(|run| run.id.clone()))
            .collect()
    }

    /// Tells everybody what has become of jobs, each with the run that it is about, in this order.
    ///
    /// # Errors
    /// [`EngineError::ShutDown`] when the engine has ended.
    pub fn tell(&self, events: Vec<(Option<RunId>, EventKind)>) -> Result<(), EngineError> {
        if events.is_empty() { Ok(()) } else { self.send(Message::Tell(events)) }
    }
}

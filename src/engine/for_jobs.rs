//! Calls for the scheduler: several starts that share a commit, and events about jobs.

use super::clock;
use super::error::EngineError;
use super::handle::CoreExecutionEngine;
use super::message::Message;
use crate::base::id::RunId;
use crate::run::{EventKind, Plan};

#[doc(hidden)]
impl CoreExecutionEngine {
    /// Starts several runs that share a commit. Returns, in order, the id of each or why it was not started, when all
    /// are recorded.
    pub fn start_pipelines(&self, plans: Vec<Plan>) -> Vec<Result<RunId, EngineError>> {
        let now = clock::now();
        // All are sent before the first answer is awaited, so that the engine takes them together.
        let answers: Vec<_> = plans.into_iter().map(|plan| self.send_start(plan, now)).collect();
        answers
            .into_iter()
            .map(|answer| answer?.recv().map_err(|_| EngineError::ShutDown)?.map(|run| run.id.clone()))
            .collect()
    }

    /// Tells events about jobs to all subscribers, each with the run that it concerns, in this order.
    pub fn tell(&self, events: Vec<(Option<RunId>, EventKind)>) -> Result<(), EngineError> {
        if events.is_empty() { Ok(()) } else { self.send(Message::Tell(events)) }
    }
}

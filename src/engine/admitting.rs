//! What callers ask of admission: to let something start all the same, to allow something else, and what waits.

use std::sync::Arc;

use crossbeam_channel::bounded;

use super::error::EngineError;
use super::handle::CoreExecutionEngine;
use super::line::CurrentWait;
use super::message::Message;
use crate::admission::{AdmissionPolicy, Footprints};
use crate::base::id::RunId;
use crate::resources::ResourceSnapshot;
use crate::run::{Input, Run};

impl CoreExecutionEngine {
    /// Has a run begin, or what waits of it start, although what it waits for is not there.
    ///
    /// # Errors
    /// [`EngineError::NotFound`], or [`EngineError::Refused`] when nothing of it waits to be admitted.
    pub fn admit_execution(&self, run_id: &RunId) -> Result<(), EngineError> {
        self.ask(run_id, Input::Admit).map(drop)
    }

    /// From now on this is allowed at once. What runs already goes on.
    ///
    /// # Errors
    /// [`EngineError::ShutDown`] when the engine has ended.
    #[doc(hidden)]
    pub fn set_admission(&self, policy: AdmissionPolicy) -> Result<(), EngineError> {
        self.send(Message::Policy(Box::new(policy)))
    }

    /// Takes a sample of the machine and its steps: limits, admission and power follow from it. Returns at once; what
    /// comes of it is told as events.
    ///
    /// # Errors
    /// [`EngineError::ShutDown`] when the engine has ended.
    #[doc(hidden)]
    pub fn take_sample(&self, sample: Arc<ResourceSnapshot>) -> Result<(), EngineError> {
        self.send(Message::Sample(sample))
    }

    /// Whether something waits that each sample may let start. What limits and power say is to be told in any case.
    #[doc(hidden)]
    pub fn wants_samples(&self) -> bool {
        self.published().wants_samples()
    }

    /// Everything that waits to be admitted, with the figures of this moment; in the order of runs and steps.
    ///
    /// # Errors
    /// [`EngineError::ShutDown`] when the engine has ended.
    #[doc(hidden)]
    pub fn waits(&self) -> Result<Vec<CurrentWait>, EngineError> {
        // Capacity 1: the one answer.
        let (reply, answer) = bounded(1);
        self.send(Message::Waits(reply))?;
        answer.recv().map_err(|_| EngineError::ShutDown)
    }

    /// What the steps of a pipeline usually need, read before its run is handed over: not on the engine's thread. What
    /// can't be read is not known, and nothing waits for it.
    pub(super) fn footprints(&self, run: &Run) -> Option<Arc<Footprints>> {
        let definition = run.definition()?;
        let n_steps = definition.pipeline.steps.len();
        self.store().footprints(&run.pipeline_id, n_steps).ok().map(Arc::new)
    }
}

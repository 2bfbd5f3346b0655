//! Calls about admission: to admit a run anyway, to set the policy, and to ask what waits.

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
    /// Admits a run, or those of its steps that wait, although what they wait for is missing.
    ///
    /// # Errors
    /// [`EngineError::NotFound`]; [`EngineError::Refused`] when nothing of the run waits for admission.
    pub fn admit_execution(&self, run_id: &RunId) -> Result<(), EngineError> {
        self.ask(run_id, Input::Admit).map(drop)
    }

    /// Sets what may run at once. What runs already goes on.
    pub(crate) fn set_admission(&self, policy: AdmissionPolicy) -> Result<(), EngineError> {
        self.send(Message::Policy(Box::new(policy)))
    }

    /// Gives the engine a sample of the machine and its steps, for limits, admission and power. Returns at once; the
    /// consequences are events.
    #[doc(hidden)]
    pub fn take_sample(&self, sample: Arc<ResourceSnapshot>) -> Result<(), EngineError> {
        self.send(Message::Sample(sample))
    }

    /// Whether something waits that a sample may let start. Samples about limits and power are needed in any case.
    #[doc(hidden)]
    pub fn wants_samples(&self) -> bool {
        self.published().wants_samples()
    }

    /// Everything that waits for admission, with present figures, in the order of runs and steps.
    #[doc(hidden)]
    pub fn waits(&self) -> Result<Vec<CurrentWait>, EngineError> {
        // Capacity 1: the one answer.
        let (reply, answer) = bounded(1);
        self.send(Message::Waits(reply))?;
        answer.recv().map_err(|_| EngineError::ShutDown)
    }

    /// What the steps of a pipeline usually need. It is read on the caller's thread, not on the engine's. None if it
    /// can't be read: nothing waits for it.
    pub(super) fn footprints(&self, run: &Run) -> Option<Arc<Footprints>> {
        let definition = run.definition()?;
        let n_steps = definition.pipeline.steps.len();
        self.store().footprints(&run.pipeline_id, n_steps).ok().map(Arc::new)
    }
}

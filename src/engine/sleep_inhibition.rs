//! The runs for which the machine is kept awake: those of pipelines with `inhibit_sleep` whose steps may be at work.

use std::collections::BTreeSet;

use crate::awake::AwakeHandle;
use crate::base::id::RunId;
use crate::run::{Body, Run, RunState};

/// Tells whoever keeps the machine awake, if there is somebody, when there is the first of them, or none any more.
pub(super) struct SleepInhibition {
    awake: Option<AwakeHandle>,
    runs: BTreeSet<RunId>,
    /// The one that is named. It stays so while it wants it: another name would be another inhibitor.
    named: Option<RunId>,
}

impl SleepInhibition {
    pub(super) fn new(awake: Option<AwakeHandle>) -> Self {
        Self { awake, runs: BTreeSet::new(), named: None }
    }

    /// Takes in a run as it is now.
    pub(super) fn see(&mut self, run: &Run) {
        let Some(awake) = &self.awake else { return };
        let has_changed = match wants_it(run) {
            true => self.runs.insert(run.id.clone()),
            false => self.runs.remove(&run.id),
        };
        let is_named = self.named.as_ref().is_some_and(|named| self.runs.contains(named));
        if has_changed && !is_named {
            self.named = self.runs.first().cloned();
            let why = self.named.as_ref().map(|run_id| format!("run {run_id} runs"));
            awake.want(why.as_deref());
        }
    }
}

impl Drop for SleepInhibition {
    /// With the engine: what runs on is the next one's to watch over.
    fn drop(&mut self) {
        if let (Some(awake), Some(_)) = (&self.awake, &self.named) {
            awake.want(None);
        }
    }
}

fn wants_it(run: &Run) -> bool {
    let is_asked_for = match &run.body {
        Body::Pipeline(definition) => definition.pipeline.inhibit_sleep,
        Body::Driven => false,
    };
    let is_at_work = match run.state {
        RunState::Running | RunState::Stopping => true,
        RunState::Queued
        | RunState::Paused
        | RunState::Stopped
        | RunState::ForceStopped
        | RunState::Completed
        | RunState::Failed
        | RunState::Interrupted => false,
    };
    is_asked_for && is_at_work
}

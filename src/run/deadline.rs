//! When a run must be looked at again without news: its timeouts and due retries.

use chrono::{DateTime, Utc};

use super::definition::Body;
use super::hold;
use super::model::Run;
use super::state::{RunState, StepState};
use crate::base::time::Now;

/// When this run must be looked at again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Deadline {
    /// On the clock of awake time, in milliseconds since boot.
    pub awake_ms: Option<u64>,
    /// On the wall clock.
    pub wall: Option<DateTime<Utc>>,
}

/// The earliest instants at which a [`Input::Tick`](super::input::Input::Tick) would change something.
pub fn next_deadline(run: &Run, now: Now) -> Deadline {
    let Body::Pipeline(definition) = &run.body else { return Deadline::default() };
    if !matches!(run.state(), RunState::Running | RunState::Stopping) {
        return Deadline { wall: hold::given_up_at(run), ..Deadline::default() };
    }
    let mut deadline = Deadline::default();
    let mut sooner = |at: Option<u64>| {
        deadline.awake_ms = [deadline.awake_ms, at].into_iter().flatten().min();
    };
    for (index, step) in run.steps.in_state(StepState::is_live) {
        if step.phase.may_go_on() {
            let limit = definition.pipeline.steps[index].timeout.map(|limit| limit.as_millis() as u64);
            sooner(limit.and_then(|limit| step.ledger.clock.reaches_at(limit)));
        }
    }
    if run.phase.may_time_out() {
        let limit = definition.pipeline.timeout.map(|limit| limit.as_millis() as u64);
        sooner(limit.and_then(|limit| run.ledger.clock.reaches_at(limit)));
    }
    // A retry that is due already waits for a slot, and the end that frees it looks at this run anyway.
    let waiting = run.steps.waiting();
    deadline.wall = waiting.filter_map(|(_, step)| step.phase.retry_at()).filter(|at| *at > now.wall).min();
    deadline
}

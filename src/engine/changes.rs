//! What a decision changes on disk: the rows in which a run differs from its record.

use std::sync::Arc;

use crate::run::{Body, Run, RunLedger, StepRun, StepState};
use crate::store::RunWrite;

/// Adds the rows in which `run` differs from the disk. Steps are shared until they change.
pub(super) fn push_changes(writes: &mut Vec<RunWrite>, recorded: Option<&Run>, run: &Arc<Run>) {
    if !recorded.is_some_and(|recorded| is_same_row(recorded, run)) {
        writes.push(RunWrite::Run(run.clone()));
    }
    let write = |step: &Arc<StepRun>| RunWrite::Step { run_id: run.id.clone(), step: step.clone() };
    match recorded {
        Some(recorded) => writes.extend(run.steps.changed_since(&recorded.steps).map(write)),
        None => {
            let is_touched = |step: &&Arc<StepRun>| step.attempt > 0 || step.state() != StepState::Pending;
            writes.extend(run.steps.iter().filter(is_touched).map(write));
        }
    }
}

/// Whether a driven run's own row can stay: most checkpoints change nothing else. Its clock does not count, because it
/// has no timeout. The values from its start never change.
fn is_same_row(recorded: &Run, run: &Run) -> bool {
    // Named one by one, so that a later field is not forgotten here.
    let Run {
        id: _,
        pipeline_id: _,
        source: _,
        run_type: _,
        environment: _,
        params: _,
        steps: _,
        body,
        trigger,
        phase,
        attempt,
        started_at,
        progress,
        current_step,
        message,
        error,
        metadata,
        ledger,
    } = run;
    matches!(body, Body::Driven)
        && (trigger, phase, attempt) == (&recorded.trigger, &recorded.phase, &recorded.attempt)
        && started_at == &recorded.started_at
        && progress.to_bits() == recorded.progress.to_bits()
        && (current_step, message) == (&recorded.current_step, &recorded.message)
        && (error, metadata) == (&recorded.error, &recorded.metadata)
        && RunLedger { clock: recorded.ledger.clock, work: recorded.ledger.work, ..ledger.clone() }
            == recorded.ledger
}

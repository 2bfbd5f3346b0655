//! Deleting runs that have ended, with their logs and reports: as retention does it, for runs that the operator names.

use crate::api::Error;
use crate::backend::Backend;
use crate::base::id::RunId;
use crate::engine::EngineError;
use crate::records::{log_bytes, spare_unbooked};
use crate::store::{PrunePlan, PruneReason, PrunedRun};

/// Deletes those of `run_ids` that have ended. Returns how many were deleted, and a sentence for each kind of those that
/// were not.
///
/// # Errors
/// [`Error`] when the engine is in another process, or the database can't be written.
pub(super) fn delete_runs(backend: &Backend, run_ids: &[RunId]) -> Result<(usize, Vec<String>), Error> {
    let Some(handler) = backend.handler() else {
        let text = "the engine of another process owns the runs; end it, or close this window and open it without that engine";
        return Err(Error::impossible(text));
    };
    let (store, data_dir) = (handler.engine().store(), handler.data_dir().path());
    let mut plan = PrunePlan::default();
    for run_id in run_ids {
        let run = store.load_summary(run_id).map_err(EngineError::from)?;
        if let Some(run) = run.filter(|run| run.state.is_ended()) {
            plan.runs.push(PrunedRun {
                log_bytes: log_bytes(data_dir, run_id),
                run_id: run.run_id,
                pipeline_id: run.pipeline_id,
                state: run.state,
                started_at: run.started_at,
                reason: PruneReason::Chosen,
            });
        }
    }
    if let Some(jobs) = handler.jobs().store() {
        plan = spare_unbooked(plan, jobs).map_err(EngineError::from)?;
    }
    let report = store.apply_prune(&plan, data_dir).map_err(EngineError::from)?;
    let mut problems = report.problems;
    let n_left = run_ids.len().saturating_sub(report.n_runs);
    if n_left > 0 && problems.is_empty() {
        problems.push(format!(
            "{n_left} of {} stay: they live, or their job still has to book them",
            run_ids.len()
        ));
    }
    Ok((report.n_runs, problems))
}

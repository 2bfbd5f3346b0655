//! Retention: removes at the start and once a day what the settings no longer keep.

use std::time::Duration;

use super::command_handler::CommandHandler;
use crate::base::tasks::{Task, TaskThread};
use crate::diagnostics::NOTICE;
use crate::records::{log_bytes, prune_fires, spare_unbooked};
use crate::store::{PrunePlan, StoreError};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How many runs are removed before other tasks have their turn.
const PART: usize = 256;

/// Adds the retention task. It warns when something can't be removed.
pub(crate) fn keep_retention(tasks: &TaskThread, handler: CommandHandler) -> Task {
    let mut left = PrunePlan::default();
    tasks.add(Some(Duration::ZERO), |_| {
        move |_| match prune_part(&handler, &mut left) {
            Ok(()) if is_empty(&left) => Some(DAY),
            Ok(()) => Some(Duration::ZERO),
            Err(error) => {
                left = PrunePlan::default();
                tracing::warn!(
                    target: NOTICE,
                    data_dir = %handler.data_dir().path().display(),
                    "old runs can't be removed: {error}"
                );
                Some(DAY)
            }
        }
    })
}

/// Removes a part of the plan; makes a new plan if nothing is left.
fn prune_part(handler: &CommandHandler, left: &mut PrunePlan) -> Result<(), StoreError> {
    let (store, data_dir) = (handler.engine.store(), handler.data_dir().path());
    let (kept, now) = (handler.limits().kept(), crate::engine::now().wall);
    let jobs = handler.jobs().store();
    if is_empty(left) {
        let plan = store.plan_prune(&kept.retention, now, |run_id| log_bytes(data_dir, run_id))?;
        *left = jobs.map_or(Ok(plan.clone()), |jobs| spare_unbooked(plan, jobs))?;
    }
    store.apply_prune(&next_part(left), data_dir)?;
    match jobs {
        Some(jobs) if is_empty(left) => prune_fires(jobs, kept.fires_max_age, now),
        Some(_) | None => Ok(()),
    }
}

fn is_empty(plan: &PrunePlan) -> bool {
    plan.logs.is_empty() && plan.runs.is_empty() && plan.stray_checkpoints.is_empty()
}

/// Takes the next part out of a plan.
fn next_part(left: &mut PrunePlan) -> PrunePlan {
    PrunePlan {
        logs: left.logs.drain(..PART.min(left.logs.len())).collect(),
        runs: left.runs.drain(..PART.min(left.runs.len())).collect(),
        stray_checkpoints: left.stray_checkpoints.drain(..PART.min(left.stray_checkpoints.len())).collect(),
        before: left.before,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_carried_out_in_parts_and_nothing_of_it_is_left_out() {
        let names = |from: usize| (from..2 * PART + 1).map(|n| n.to_string()).collect::<Vec<_>>();
        let mut left = PrunePlan { stray_checkpoints: names(0), ..PrunePlan::default() };
        let mut parts = Vec::new();
        while !is_empty(&left) {
            parts.push(next_part(&mut left).stray_checkpoints);
        }
        assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [PART, PART, 1]);
        assert_eq!(parts.concat(), names(0));
    }
}

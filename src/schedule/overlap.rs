//! What happens to a due instant while an earlier run of the same job has not ended.

use super::plan::{OnTime, Start};
use super::policy::{Misfire, Overlap};

/// What to do with one start of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Start it now.
    Start,
    /// It waits for the run before it; meanwhile its outcome is `queued`.
    Wait,
    /// Stop the run before it, wait for its end, then start. A start that waits already is coalesced into this one.
    CancelPrevious,
    /// It does not run.
    Skip {
        /// The column `reason`.
        reason: &'static str,
    },
}

/// What to do with `start` while `n_active` runs of its job have not ended (frozen ones included) and `n_waiting`
/// starts wait.
///
/// Under [`Misfire::RunAll`] the operator wants every start that catches up to run. If two may not run at once, each of
/// them waits for its turn. All other starts follow only the overlap policy.
pub fn admit(
    overlap: Overlap,
    misfire: Misfire,
    start: &Start,
    n_active: usize,
    n_waiting: usize,
) -> Admission {
    let all_are_wanted = match (misfire, start.on_time) {
        (Misfire::RunAll, OnTime::CatchUp) => true,
        (Misfire::RunAll, OnTime::OnTime) | (Misfire::RunOnce | Misfire::Skip, _) => false,
    };
    let is_free = n_active == 0 && n_waiting == 0;
    match overlap {
        Overlap::Allow => Admission::Start,
        Overlap::Skip | Overlap::Queue | Overlap::CancelPrevious if is_free => Admission::Start,
        Overlap::Skip | Overlap::Queue if all_are_wanted => Admission::Wait,
        Overlap::Skip => Admission::Skip { reason: "the run before it has not ended (overlap = skip)" },
        Overlap::Queue if n_waiting == 0 => Admission::Wait,
        Overlap::Queue => Admission::Skip { reason: "another fire waits already (overlap = queue)" },
        Overlap::CancelPrevious => Admission::CancelPrevious,
    }
}

#[cfg(test)]
mod tests;

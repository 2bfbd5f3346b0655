//! The steps of a pipeline's newest runs side by side: a column for each run, a row for each step.

use chrono::{DateTime, TimeDelta, Utc};

use crate::base::id::{RunId, StepId};
use crate::run::{RunSummary, StepState};
use crate::store::{CheckpointManager, StoreError};

/// How many steps are shown.
const MAX_STEPS: usize = 60;

/// The grid; empty without runs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunGrid {
    /// In the order in which the newest run that has them began them.
    pub steps: Vec<StepId>,
    /// One for each run, in the order of the runs.
    pub columns: Vec<GridColumn>,
}

/// One run in the grid.
#[derive(Debug, Clone, PartialEq)]
pub struct GridColumn {
    pub run_id: RunId,
    /// The most memory that one of its steps had.
    pub peak_bytes: Option<u64>,
    /// One for each of [`RunGrid::steps`]; none where the run does not have the step, or has not begun it.
    pub cells: Vec<Option<GridCell>>,
}

/// One step of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GridCell {
    pub state: StepState,
    pub attempt: u32,
    pub took: Option<TimeDelta>,
}

/// Reads the grid of these runs.
pub(super) fn read_grid(
    store: &CheckpointManager,
    runs: &[RunSummary],
    now: DateTime<Utc>,
) -> Result<RunGrid, StoreError> {
    let mut grid = RunGrid::default();
    let mut columns = Vec::with_capacity(runs.len());
    for run in runs {
        // A run that retention removes meanwhile has an empty column.
        let stored = store.load_run(&run.run_id)?;
        let steps = stored.map_or_else(Vec::new, |stored| {
            stored.steps.iter().map(|step| step.summary(&run.run_id)).collect::<Vec<_>>()
        });
        for step in &steps {
            if grid.steps.len() < MAX_STEPS && !grid.steps.contains(&step.step_id) {
                grid.steps.push(step.step_id.clone());
            }
        }
        columns.push((run.run_id.clone(), steps));
    }
    for (run_id, steps) in columns {
        let cells = grid.steps.iter().map(|step_id| {
            let step = steps.iter().find(|step| step.step_id == *step_id)?;
            Some(GridCell { state: step.state, attempt: step.attempt, took: step.took(now) })
        });
        let peak_bytes = steps.iter().filter_map(|step| step.peak_rss_bytes).max();
        let cells = cells.collect();
        grid.columns.push(GridColumn { run_id, peak_bytes, cells });
    }
    Ok(grid)
}

//! What the machine and its living runs cost at the moment, as `engine.usage` answers it and `top` shows it.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Desk, IntegrationError};
use crate::admission::Orders;
use crate::engine::{CoreExecutionEngine, CurrentWait};
use crate::id::{RunId, StepId};
use crate::resources::{ResourceSnapshot, StepSample};
use crate::run::{Run, RunState};

/// Whoever asks for a newer sample than there is gets what there is after so long: he may have gone.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// What everything costs at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// When it was measured; none before the first sample.
    pub at: Option<DateTime<Utc>>,
    /// Of all CPUs together, 0 to 1.
    pub cpu_fraction: f64,
    /// How many CPUs there are.
    pub n_cpus: usize,
    /// What is not available to programs.
    pub memory_used_bytes: u64,
    /// What is built in.
    pub memory_total_bytes: u64,
    /// What the data directory's file system can still take.
    pub disk_free_bytes: u64,
    /// Of what the machine is short: `cpu`, `memory`, `swap`, `disk`.
    pub short_of: Vec<String>,
    /// The living runs, by id.
    pub runs: Vec<UsageOfRun>,
    /// What waits to be admitted.
    #[serde(default)]
    pub waits: Vec<CurrentWait>,
    /// The operator's orders that are in force.
    #[serde(default)]
    pub orders: Orders,
}

/// What a run costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UsageOfRun {
    /// Which.
    pub run_id: RunId,
    /// Its state.
    pub state: RunState,
    /// Why it waits, if it does.
    pub error: Option<String>,
    /// 0 to 1.
    pub progress: f64,
    /// Of all CPUs together, 0 to 1.
    pub cpu_fraction: f64,
    /// Resident memory of all its processes.
    pub memory_bytes: u64,
    /// Read from disk, in bytes a second.
    pub read_rate: f64,
    /// Written towards a disk, in bytes a second.
    pub write_rate: f64,
    /// Living processes.
    pub n_processes: u32,
    /// Its steps that are measured, by id.
    pub steps: Vec<UsageOfStep>,
}

/// What a step costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UsageOfStep {
    /// Which.
    pub step_id: StepId,
    /// Which attempt.
    pub attempt: u32,
    /// Of all CPUs together, 0 to 1.
    pub cpu_fraction: f64,
    /// Resident memory of all its processes.
    pub memory_bytes: u64,
    /// Living processes.
    pub n_processes: u32,
}

impl Desk {
    /// What everything costs, as of a sample newer than `after`, for which it waits for a moment.
    ///
    /// # Errors
    /// [`IntegrationError::Impossible`] where nothing is measured.
    pub(super) fn usage(&self, after: Option<DateTime<Utc>>) -> Result<Usage, IntegrationError> {
        let Some(monitor) = &self.monitor else {
            let text = "this engine has nobody who measures what its runs cost";
            return Err(IntegrationError::Impossible(text.to_owned()));
        };
        let sample = monitor.wait_newer(after, LONGEST_WAIT).unwrap_or_default();
        let is_empty = sample.machine.memory_total_bytes == 0;
        let snapshot = self.engine.snapshot();
        let machine = &sample.machine;
        Ok(Usage {
            at: (!is_empty).then_some(machine.at),
            cpu_fraction: machine.cpu_fraction,
            n_cpus: machine.cores.len(),
            memory_used_bytes: machine.memory_used_bytes,
            memory_total_bytes: machine.memory_total_bytes,
            disk_free_bytes: machine.disk_free_bytes,
            short_of: sample.raised.iter().map(|it| it.limit.resource().name().to_owned()).collect(),
            runs: snapshot.runs.values().map(|run| of_run(run, &sample)).collect(),
            waits: waits_of(&self.engine),
            orders: snapshot.orders,
        })
    }
}

/// What waits to be admitted now; the engine's thread is asked only where something does.
pub(super) fn waits_of(engine: &CoreExecutionEngine) -> Vec<CurrentWait> {
    let waits =
        |run: &Run| run.ledger.wait.is_some() || run.steps.iter().any(|step| step.ledger.wait.is_some());
    match engine.snapshot().runs.values().any(|run| waits(run)) {
        // One that has ended has nothing that waits.
        true => engine.waits().unwrap_or_default(),
        false => Vec::new(),
    }
}

fn of_run(run: &Run, sample: &ResourceSnapshot) -> UsageOfRun {
    let steps: Vec<&StepSample> = sample.steps.iter().filter(|step| step.key.run_id == run.id).collect();
    UsageOfRun {
        run_id: run.id.clone(),
        state: run.state,
        error: run.error.as_deref().map(str::to_owned),
        progress: run.progress,
        cpu_fraction: sum(steps.iter().map(|step| step.cpu_fraction)).min(1.0),
        memory_bytes: steps.iter().map(|step| step.memory_bytes).sum(),
        read_rate: sum(steps.iter().map(|step| step.read_rate)),
        write_rate: sum(steps.iter().map(|step| step.write_rate)),
        n_processes: steps.iter().map(|step| step.n_processes).sum(),
        steps: steps.into_iter().map(of_step).collect(),
    }
}

/// From 0 on: the standard sum of nothing is -0, which shows.
fn sum(figures: impl Iterator<Item = f64>) -> f64 {
    figures.fold(0.0, |sum, figure| sum + figure)
}

fn of_step(step: &StepSample) -> UsageOfStep {
    UsageOfStep {
        step_id: step.key.step_id.clone(),
        attempt: step.key.attempt,
        cpu_fraction: step.cpu_fraction,
        memory_bytes: step.memory_bytes,
        n_processes: step.n_processes,
    }
}

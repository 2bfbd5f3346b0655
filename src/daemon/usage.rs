//! The present use of the machine and its living runs.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::command_handler::CommandHandler;
use crate::api::{Error, Usage, UsageOfRun, UsageOfStep};
use crate::engine::{CoreExecutionEngine, CurrentWait};
use crate::resources::{ResourceSnapshot, StepSample};
use crate::run::Run;

/// How long a request for a newer sample waits before it gets the present one: the client may be gone.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

impl CommandHandler {
    /// All use, as of a sample after `after`, for which it waits a moment.
    ///
    /// # Errors
    /// [`Error`] when nothing is measured.
    pub(crate) fn usage(&self, after: Option<DateTime<Utc>>) -> Result<Usage, Error> {
        let Some(monitor) = &self.monitor else {
            let text = "this engine does not measure what its runs use";
            return Err(Error::impossible(text));
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

/// The present waits for admission. The engine's thread is asked only if there are any.
pub(crate) fn waits_of(engine: &CoreExecutionEngine) -> Vec<CurrentWait> {
    let waits =
        |run: &Run| run.phase.wait().is_some() || run.steps.iter().any(|step| step.phase.wait().is_some());
    match engine.snapshot().runs.values().any(|run| waits(run)) {
        // An engine that has ended has no waits.
        true => engine.waits().unwrap_or_default(),
        false => Vec::new(),
    }
}

fn of_run(run: &Run, sample: &ResourceSnapshot) -> UsageOfRun {
    let steps: Vec<&StepSample> = sample.steps.iter().filter(|step| step.key.run_id == run.id).collect();
    UsageOfRun {
        run_id: run.id.clone(),
        state: run.state(),
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

/// Starts from 0: the standard sum of nothing is -0, which would be shown.
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

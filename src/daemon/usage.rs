//! What the machine and its living runs cost at the moment.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::command_handler::CommandHandler;
use crate::api::{Error, Usage, UsageOfRun, UsageOfStep};
use crate::engine::{CoreExecutionEngine, CurrentWait};
use crate::resources::{ResourceSnapshot, StepSample};
use crate::run::Run;

/// Whoever asks for a newer sample than there is gets what there is after so long: he may have gone.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

impl CommandHandler {
    /// What everything costs, as of a sample newer than `after`, for which it waits for a moment.
    ///
    /// # Errors
    /// [`Error`] where nothing is measured.
    pub(crate) fn usage(&self, after: Option<DateTime<Utc>>) -> Result<Usage, Error> {
        let Some(monitor) = &self.monitor else {
            let text = "this engine has nobody who measures what its runs cost";
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

/// What waits to be admitted now; the engine's thread is asked only where something does.
pub(crate) fn waits_of(engine: &CoreExecutionEngine) -> Vec<CurrentWait> {
    let waits =
        |run: &Run| run.phase.wait().is_some() || run.steps.iter().any(|step| step.ledger.wait.is_some());
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

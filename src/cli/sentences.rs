//! Events as sentences for people.

use chrono::{DateTime, Utc};

use super::output::{local_time, printable, size, taken};
use crate::run::{EventKind, RunSummary, StepState, StepSummary};

/// The kind of a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sentence {
    /// Part of the normal course of a run.
    Story(String),
    /// A warning: something is unusual, and everything goes on.
    Warning(String),
}

/// The sentence of an event at `at`; none for an event that needs no line.
pub(super) fn sentence(kind: &EventKind, at: DateTime<Utc>) -> Option<Sentence> {
    let story = |text: String| Some(Sentence::Story(printable(&text)));
    let warning = |text: String| Some(Sentence::Warning(printable(&text)));
    match kind {
        EventKind::ExecutionStarted { run, steps } => story(format!(
            "run {} started: pipeline {}, {} {}",
            run.run_id,
            run.pipeline_id,
            steps.len(),
            if steps.len() == 1 { "step" } else { "steps" }
        )),
        EventKind::ExecutionPaused { run, unfrozen } => {
            let why = run.error.as_ref().map(|error| format!(" ({error})")).unwrap_or_default();
            let but = match unfrozen.as_slice() {
                [] => String::new(),
                some => format!("; these could not be frozen: {}", some.join(", ")),
            };
            story(format!("run {} paused{why}{but}", run.run_id))
        }
        EventKind::ExecutionResumed { run, from } => {
            story(format!("run {} goes on (it was {from})", run.run_id))
        }
        EventKind::ExecutionStopping { run } => story(format!("run {} is stopping", run.run_id)),
        EventKind::ExecutionCompleted { run }
        | EventKind::ExecutionStopped { run }
        | EventKind::ExecutionForceStopped { run }
        | EventKind::ExecutionFailed { run }
        | EventKind::ExecutionInterrupted { run } => story(end_of_run(run, at)),
        EventKind::StepStarted { step } => story(started(step)),
        EventKind::StepFinished { step } => story(finished(step, at)),
        EventKind::StepChanged { step } => match (step.state, &step.message) {
            (StepState::Waiting, Some(message)) => story(format!("step {}: {message}", step.step_id)),
            _ => None,
        },
        EventKind::StepProgress { step_id, progress, message } => {
            let message = message.as_ref().map(|message| format!(": {message}")).unwrap_or_default();
            story(format!("step {step_id} {:.0} %{message}", progress * 100.0))
        }
        EventKind::WarningRaised { text } => warning(text.clone()),
        EventKind::ResourceAlert { text, cleared: false } => warning(text.clone()),
        EventKind::ResourceAlert { text, cleared: true } => story(text.clone()),
        EventKind::JobFired { job_id, due_at } => {
            let what = due_at.map_or_else(|| "by hand".to_owned(), |at| format!("due at {}", local_time(at)));
            story(format!("job {job_id} fired ({what})"))
        }
        EventKind::JobSkipped { job_id, due_at, through_at, n_instants, outcome, reason } => {
            let when = match n_instants {
                0..=1 => format!("due at {}", local_time(*due_at)),
                n => format!("{n} instants from {} to {}", local_time(*due_at), local_time(*through_at)),
            };
            let outcome = outcome.as_str().replace('_', " ");
            let why = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            let text = format!("job {job_id} did not run ({when}): {outcome}{why}");
            if outcome == "failed to start" { warning(text) } else { story(text) }
        }
        EventKind::ExecutionQueued { run } => {
            let why = run.error.as_deref().unwrap_or("Waiting for its turn");
            story(format!("run {} has not begun. {why}", run.run_id))
        }
        EventKind::OrdersChanged { orders } => story(orders.sentence(at)),
        // The verb that recovers a run prints these decisions itself, one by one.
        EventKind::RecoveryDecided { .. }
        | EventKind::ExecutionRunning { .. }
        | EventKind::ExecutionProgress { .. }
        | EventKind::CheckpointSaved { .. }
        | EventKind::MetricReported { .. }
        | EventKind::JobChanged { .. }
        | EventKind::Resync => None,
    }
}

fn end_of_run(run: &RunSummary, at: DateTime<Utc>) -> String {
    let state = run.state.as_str().replace('_', "-");
    let took = format!(" after {}", taken(run.took(at)));
    let why = run.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
    format!("run {} {state}{took}{why}", run.run_id)
}

fn started(step: &StepSummary) -> String {
    let pid = step.pid.map(|pid| format!(", pid {pid}")).unwrap_or_default();
    format!("step {} started (attempt {}{pid})", step.step_id, step.attempt)
}

fn finished(step: &StepSummary, at: DateTime<Utc>) -> String {
    let took = step.took(at).map(|took| format!(" after {}", taken(took))).unwrap_or_default();
    let why = step.error.as_deref().or(match step.state {
        StepState::Skipped => step.message.as_deref(),
        StepState::Pending
        | StepState::Waiting
        | StepState::Running
        | StepState::Paused
        | StepState::Completed
        | StepState::Failed
        | StepState::Stopped
        | StepState::Interrupted => None,
    });
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    let memory = match (step.state, step.peak_rss_bytes) {
        (StepState::Completed, Some(bytes)) => format!(" ({} at most)", size(bytes)),
        _ => String::new(),
    };
    let took = if step.state == StepState::Skipped { String::new() } else { took };
    format!("step {} {}{took}{memory}{why}", step.step_id, step.state)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::StepId;
    use crate::run::{StepPhase, StepRun};

    #[test]
    fn the_start_of_a_step_has_its_attempt_and_its_end_the_reason() {
        let at = DateTime::from_timestamp(100, 0).unwrap();
        let mut step = StepRun::new(StepId::new("fetch").unwrap());
        (step.attempt, step.pid, step.started_at) = (2, Some(77), Some(at));
        (step.phase, step.error) = (StepPhase::of(StepState::Failed), Some("exited with code 3".into()));
        step.finished_at = Some(at + chrono::TimeDelta::seconds(3));
        let step = step.summary(&crate::base::id::RunId::new("r").unwrap());
        let text_of = |kind| match sentence(&kind, at) {
            Some(Sentence::Story(text)) => text,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            text_of(EventKind::StepStarted { step: step.clone() }),
            "step fetch started (attempt 2, pid 77)"
        );
        assert_eq!(
            text_of(EventKind::StepFinished { step }),
            "step fetch failed after 3.0 s: exited with code 3"
        );
    }
}

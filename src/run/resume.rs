//! Takes up a run that has ended, and runs steps again.

use std::sync::Arc;

use super::context::Context;
use super::definition::Body;
use super::event::EventKind;
use super::hold;
use super::model::Run;
use super::outbox::{Effect, Level, Outbox, Record};
use super::state::{RunState, StepState, Trigger};
use super::step_run::StepRun;
use super::tell::{refresh_progress, summary, tell_changed};
use super::transition::{Change, Refusal, StepChange};
use crate::base::id::StepId;
use crate::base::time::Stopwatch;
use crate::pipeline::When;

/// Takes up a run that has ended, under the same id: what has completed is not run again.
///
/// # Errors
/// [`Refusal::State`] when it has not ended, or has nothing left to do.
pub(super) fn take_up(run: &mut Run, cx: Context<'_>, out: &mut Outbox) -> Result<(), Refusal> {
    let from = run.state();
    begin_again(run, Change::Resume, cx)?;
    run.trigger = if from == RunState::Interrupted { Trigger::Recovery } else { Trigger::Retry };
    for (index, is_again) in run_again(run).into_iter().enumerate() {
        if is_again {
            renew(run, index);
        }
    }
    announce(run, from, out);
    Ok(())
}

/// Which steps run again when a run is taken up: those that have not completed, and those that report how others ended
/// (`finally`, and a `when` other than `on_success`) where a step above them runs again.
fn run_again(run: &Run) -> Vec<bool> {
    let Body::Pipeline(definition) = &run.body else { return Vec::new() };
    let pipeline = &definition.pipeline;
    let is_left = |(index, step): (usize, &Arc<StepRun>)| {
        pipeline.steps[index].finally || step.state() != StepState::Completed
    };
    let mut again: Vec<bool> = run.steps.iter().enumerate().map(is_left).collect();
    let left = again.iter().enumerate().filter_map(|(index, is_again)| is_again.then_some(index));
    for index in pipeline.below(left).ones() {
        again[index] |= pipeline.steps[index].when != When::OnSuccess;
    }
    again
}

/// Runs a step and what needs it again; without one, what has not completed, or else everything.
///
/// # Errors
/// [`Refusal::NoStep`] when there is no such step, [`Refusal::State`] when the run has not ended, [`Refusal::Other`] for a
/// step of a driven run.
pub(super) fn retry(
    run: &mut Run,
    from_step: Option<&StepId>,
    cx: Context<'_>,
    out: &mut Outbox,
) -> Result<(), Refusal> {
    let refuse = |reason: String| Refusal::Other { run_id: run.id.clone(), reason };
    let again: Vec<bool> = match (&run.body, from_step) {
        (Body::Driven, None) => Vec::new(),
        (Body::Driven, Some(step)) => {
            return Err(refuse(format!("only its program knows its steps; retry it without {step}")));
        }
        (Body::Pipeline(definition), Some(step)) => {
            let pipeline = &definition.pipeline;
            let Some(first) = pipeline.steps.iter().position(|s| s.id == *step) else {
                let names: Vec<_> = pipeline.steps.iter().map(|s| s.id.as_str()).collect();
                return Err(Refusal::NoStep {
                    run_id: run.id.clone(),
                    step: step.clone(),
                    steps: names.join(", "),
                });
            };
            let mut again = vec![false; pipeline.steps.len()];
            again[first] = true;
            pipeline.below([first]).ones().for_each(|below| again[below] = true);
            again
        }
        (Body::Pipeline(definition), None) => {
            let all = run.steps.iter().all(|step| step.state() == StepState::Completed);
            let mut again: Vec<bool> =
                run.steps.iter().map(|step| all || step.state() != StepState::Completed).collect();
            let first: Vec<_> = (0..again.len()).filter(|index| again[*index]).collect();
            definition.pipeline.below(first).ones().for_each(|below| again[below] = true);
            again
        }
    };
    let from = run.state();
    begin_again(run, Change::Retry, cx)?;
    run.trigger = Trigger::Retry;
    for (index, is_again) in again.into_iter().enumerate() {
        let step = &run.steps[index];
        let is_finally = run.definition().is_some_and(|d| d.pipeline.steps[index].finally);
        if is_again && step.attempt > 0 {
            out.records.push(Record::ArchiveCheckpoint { step_id: step.id.clone(), attempt: step.attempt });
            run.step_mut(index).ledger.has_checkpoint = false;
        }
        if is_again || is_finally || run.steps[index].state() != StepState::Completed {
            renew(run, index);
        }
    }
    announce(run, from, out);
    Ok(())
}

fn begin_again(run: &mut Run, change: Change, cx: Context<'_>) -> Result<(), Refusal> {
    run.apply(change, cx.now)?;
    hold::meet_what_is(run, cx);
    run.attempt += 1;
    run.message = None;
    run.ledger.is_admitted = false;
    run.ledger.limit_met = false;
    run.ledger.told_running = false;
    run.ledger.resumes_in_row = 0;
    run.ledger.boot_id = cx.boot_id.to_owned();
    run.ledger.clock = Stopwatch::default();
    run.ledger.clock.start(cx.now);
    Ok(())
}

fn renew(run: &mut Run, index: usize) {
    let mut step = run.step_mut(index);
    if step.attempt > 0 {
        step.fresh_attempt();
    }
    step.apply(StepChange::Renew);
    step.ledger.retries_used = 0;
}

fn announce(run: &mut Run, from: RunState, out: &mut Outbox) {
    if matches!(run.body, Body::Driven) {
        out.effects.push(Effect::PauseSignal(Level::Lowered));
        out.effects.push(Effect::StopSignal(Level::Lowered));
    }
    run.steps.tally_anew();
    out.events.push(EventKind::ExecutionResumed { run: summary(run), from });
    for index in 0..run.steps.len() {
        if run.steps[index].state() == StepState::Pending {
            tell_changed(run, index, out);
        }
    }
    refresh_progress(run, out);
}

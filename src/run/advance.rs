//! Takes a pipeline's run as far as it goes: which steps are skipped, which start, and when the run is over. Called after
//! every input; calling it again changes nothing.

use std::cell::OnceCell;
use std::sync::Arc;

use super::admit;
use super::context::{Context, Starts};
use super::definition::{Body, Definition};
use super::event::EventKind;
use super::model::Run;
use super::outbox::{Effect, Outbox};
use super::phase::{End, Phase, StopKind, Verdict};
use super::state::{RunState, StepState};
use super::step_end::finish;
use super::step_run::StepRun;
use super::tell::summary;
use super::transition::{Change, StepChange};
use crate::pipeline::{OnFailure, When};

/// Starts what can start, passes over what can't, and ends the run when nothing is left.
pub(super) fn advance(run: &mut Run, cx: Context<'_>, out: &mut Outbox) {
    let Body::Pipeline(definition) = run.body.clone() else { return };
    if run.state() == RunState::Queued {
        match admit::may_begin(run, &definition, cx) {
            Some(wait) => admit::stand_in_line(run, wait, cx, out),
            None => {
                admit::come_to_run(run, cx);
                // Published now, because its first step may have to wait as well.
                out.events.push(EventKind::ExecutionResumed { run: summary(run), from: RunState::Queued });
            }
        }
    }
    match run.phase {
        Phase::Running { .. } => {
            if main_steps(run, &definition, cx, out) {
                last_steps(run, &definition, cx, out);
            }
        }
        Phase::Stopping(_) => {
            if !run.has_living_steps() {
                pass_over_rest(run, &definition, StepChange::Stop, out);
                last_steps(run, &definition, cx, out);
            }
        }
        Phase::Queued { .. } | Phase::Paused { .. } | Phase::Ended { .. } => {}
    }
}

/// Drives the steps that are not `finally`; true once all of them have ended.
fn main_steps(run: &mut Run, definition: &Definition, cx: Context<'_>, out: &mut Outbox) -> bool {
    if let Some(Verdict::TimedOut(_) | Verdict::Interrupted(_)) = run.phase.verdict() {
        let is_main = |index: usize| !definition.pipeline.steps[index].finally;
        if run.steps.indexes_in_state(StepState::is_live).any(is_main) {
            return false;
        }
        pass_over_rest(run, definition, StepChange::Skip, out);
        return true;
    }
    pass_over(run, definition, out);
    start_ready(run, definition, cx, out);
    let all_ended = !run.steps.has_open_main_steps();
    if all_ended
        && run.phase.verdict().is_none()
        && let Some(why) = first_failure(run, definition)
    {
        run.phase.judge(Verdict::Failed(why));
    }
    all_ended
}

/// Drives the `finally` steps once everything else has ended, then ends the run.
fn last_steps(run: &mut Run, definition: &Definition, cx: Context<'_>, out: &mut Outbox) {
    let skip_all = run.phase == Phase::Stopping(StopKind::Force)
        || matches!(run.phase.verdict(), Some(Verdict::Interrupted(_)));
    let has_failed = run.state() == RunState::Stopping || run.phase.verdict().is_some();
    for (index, step) in definition.pipeline.steps.iter().enumerate() {
        if !step.finally || run.steps.state(index).is_ended() {
            continue;
        }
        if run.steps.state(index).is_live() {
            return;
        }
        let is_excluded = match step.when {
            When::OnSuccess => has_failed,
            When::OnFailure => !has_failed,
            When::Always => false,
        };
        if skip_all || is_excluded {
            end_unstarted(run, index, StepChange::Skip, out);
            continue;
        }
        // One after another, in the order of the file: cleaning up is no place for races.
        let is_shelved = run.steps[index].phase.is_prepared();
        let is_ready =
            is_shelved || run.steps[index].phase.is_pending() || is_retry_due(&run.steps[index], cx);
        if is_ready && cx.starts != Starts::Held {
            if !is_shelved {
                prepare(run, index, cx);
            }
            let may_be_alive = launch(run, index, cx);
            out.effects.push(Effect::Start { index, may_be_alive });
        }
        return;
    }
    let (how, why) = match &run.phase {
        Phase::Stopping(StopKind::Graceful) => (End::Stopped, None),
        Phase::Stopping(StopKind::Force) => (End::ForceStopped, None),
        Phase::Running { verdict: Some(Verdict::Interrupted(why)) } => (End::Interrupted, Some(why.clone())),
        Phase::Running { verdict: Some(Verdict::Failed(why) | Verdict::TimedOut(why)) } => {
            (End::Failed, Some(why.clone()))
        }
        Phase::Running { verdict: None } => match first_failure(run, definition) {
            Some(why) => (End::Failed, Some(why)),
            None => (End::Completed, None),
        },
        Phase::Queued { .. } | Phase::Paused { .. } | Phase::Ended { .. } => return,
    };
    end(run, how, why.map(Into::into), cx, out);
}

/// Passes over steps that are excluded by how others have ended.
fn pass_over(run: &mut Run, definition: &Definition, out: &mut Outbox) {
    let pipeline = &definition.pipeline;
    if pipeline.on_failure == OnFailure::Stop && first_failure(run, definition).is_some() {
        let has_not_begun = |state| matches!(state, StepState::Pending | StepState::Waiting);
        for index in run.steps.indexes_in_state(has_not_begun) {
            let step = &pipeline.steps[index];
            let is_retried = run.steps[index].phase.retry_at().is_some();
            if step.when == When::OnSuccess && !step.finally && !is_retried {
                end_unstarted(run, index, StepChange::Skip, out);
            }
        }
    }
    // Once the last of its needs has ended, nothing changes above a step. One that is passed over may be the last need of
    // others.
    loop {
        let ready = run.steps.take_newly_ready();
        if ready.is_empty() {
            return;
        }
        for index in ready {
            let above = run.steps.above(index);
            let is_excluded = match pipeline.steps[index].when {
                When::OnSuccess => above.has_failure,
                When::OnFailure => !above.has_bad_end,
                When::Always => false,
            };
            if is_excluded {
                end_unstarted(run, index, StepChange::Skip, out);
            }
        }
    }
}

/// Starts ready steps up to the width, and records as many ahead.
fn start_ready(run: &mut Run, definition: &Definition, cx: Context<'_>, out: &mut Outbox) {
    if cx.starts == Starts::Held {
        return;
    }
    let width = definition.pipeline.max_parallel.unwrap_or(cx.n_cpus).max(1);
    let mut n_live = run.steps.count(StepState::is_live);
    let mut own = OnceCell::new();
    // What an earlier commit holds may start before this one: nothing that it rests on is new.
    for index in prepared(run).map(|(index, _)| index).collect::<Vec<_>>() {
        if n_live >= width {
            break;
        }
        if !definition.pipeline.steps[index].finally {
            if let Some(wait) = admit::may_start(run, definition, index, &own, cx) {
                // What holds all of them is said of as many as could run.
                n_live += usize::from(wait.is_for_all());
                admit::hold_back(run, index, wait, cx, out);
                continue;
            }
            let may_be_alive = launch(run, index, cx);
            own.take();
            // One that was sent before is recorded as sent, not as prepared: it goes with what is decided now.
            let starts = if may_be_alive { &mut out.effects } else { &mut out.early };
            starts.push(Effect::Start { index, may_be_alive });
            n_live += 1;
        }
    }
    let n_prepared = prepared(run).count();
    // Twice the width: the ends of one round may then wait for those of the next, and share a commit.
    let mut n_ahead = (2 * width).saturating_sub(n_prepared);
    for index in run.steps.next_to_begin() {
        if n_live >= width && n_ahead == 0 {
            return;
        }
        let step = &run.steps[index];
        let is_due = step.phase.is_pending() || is_retry_due(step, cx);
        if definition.pipeline.steps[index].finally || !is_due {
            continue;
        }
        if n_live < width {
            prepare(run, index, cx);
            if let Some(wait) = admit::may_start(run, definition, index, &own, cx) {
                // What holds all of them is said of as many as could run.
                n_live += usize::from(wait.is_for_all());
                admit::hold_back(run, index, wait, cx, out);
                continue;
            }
            launch(run, index, cx);
            own.take();
            out.effects.push(Effect::Start { index, may_be_alive: false });
            n_live += 1;
        } else {
            prepare(run, index, cx);
            n_ahead -= 1;
        }
    }
}

/// The steps whose attempt is on disk, or will be with the next commit.
fn prepared(run: &Run) -> impl Iterator<Item = (usize, &Arc<StepRun>)> {
    run.steps.waiting().filter(|(_, step)| step.phase.is_prepared())
}

/// Gives the step an attempt whose start is on disk with the next commit.
pub(super) fn prepare(run: &mut Run, index: usize, cx: Context<'_>) {
    let run_id = run.id.clone();
    let mut step = run.step_mut(index);
    step.fresh_attempt();
    step.apply(StepChange::Prepare);
    step.message = Some("waits for a slot".into());
    step.ledger.token = format!("{}-{run_id}-{}-{}", cx.salt, step.id, step.attempt);
}

/// Marks a prepared attempt as sent. Returns whether an engine that is gone may have started it already.
pub(super) fn launch(run: &mut Run, index: usize, cx: Context<'_>) -> bool {
    let begun_after = run.ledger.resumes_in_row;
    let mut step = run.step_mut(index);
    step.apply(StepChange::Launch);
    step.message = None;
    step.started_at = Some(cx.now.wall);
    step.ledger.begun_after = begun_after;
    step.ledger.clock.start(cx.now);
    let (name, may_be_alive) = (step.id.as_str().into(), step.ledger.may_be_alive);
    drop(step);
    run.current_step = Some(name);
    may_be_alive
}

/// Marks a prepared attempt that was sent ahead of a commit which then failed.
pub(super) fn sent_ahead(run: &mut Run, index: usize, attempt: u32, cx: Context<'_>) {
    let is_as_before =
        run.steps.get(index).is_some_and(|step| step.attempt == attempt && step.phase.is_prepared());
    if is_as_before {
        launch(run, index, cx);
    }
}

/// Whether the time of a waiting retry has come.
fn is_retry_due(step: &StepRun, cx: Context<'_>) -> bool {
    step.phase.retry_at().is_some_and(|at| at <= cx.now.wall)
}

/// The sentence of the first failure that fails the run, if there is one.
fn first_failure(run: &Run, definition: &Definition) -> Option<String> {
    let counts = |index: usize| !definition.pipeline.steps[index].may_fail;
    let (_, step) = run.steps.in_state(StepState::is_bad_end).find(|(index, _)| counts(*index))?;
    Some(format!("step {} {}", step.id, step.error.as_deref().unwrap_or("did not complete")))
}

/// Ends everything that has not begun.
fn pass_over_rest(run: &mut Run, definition: &Definition, change: StepChange, out: &mut Outbox) {
    for (index, step) in definition.pipeline.steps.iter().enumerate() {
        let has_begun = run.steps.state(index).is_ended() || run.steps.state(index).is_live();
        if !step.finally && !has_begun {
            // What waits for its next attempt was under way and was stopped; the rest never ran.
            let was_under_way = run.steps[index].phase.retry_at().is_some();
            let change = if was_under_way { change } else { StepChange::Skip };
            end_unstarted(run, index, change, out);
        }
    }
}

fn end_unstarted(run: &mut Run, index: usize, change: StepChange, out: &mut Outbox) {
    run.step_mut(index).message = None;
    finish(run, index, change, None, out);
}

/// Ends the run in this way, for this reason; one that has ended stays as it is.
pub(super) fn end(run: &mut Run, how: End, why: Option<Arc<str>>, cx: Context<'_>, out: &mut Outbox) {
    if run.apply(Change::End(how), cx.now).is_err() {
        return;
    }
    run.error = why;
    if how == End::Completed {
        run.progress = 1.0;
    }
    out.events.extend(EventKind::end_of(run.summary()));
}

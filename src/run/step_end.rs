//! Books the end of a step's attempt: it has exited, was ended, could not be started, or its process is lost. Another attempt
//! follows, or the step has ended.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use chrono::TimeDelta;

use super::context::Context;
use super::event::EventKind;
use super::input::Exit;
use super::killed::by_signal;
use super::model::Run;
use super::outbox::{Effect, Outbox, Record};
use super::phase::{Phase, StopKind, Verdict};
use super::state::Trigger;
use super::step_phase::Ending;
use super::tell::{decided, refresh_progress, tell_changed, tell_started};
use super::transition::StepChange;
use crate::base::units::duration_in_words;
use crate::pipeline::{OnInterrupt, Retries, Step};

/// How often in a row lost steps run again without asking.
const MAX_RESUMES_IN_ROW: u32 = 3;

/// Books the end of a step's tree.
pub(super) fn exited(run: &mut Run, index: usize, exit: Exit, cx: Context<'_>, out: &mut Outbox) {
    tell_started(run, index, out);
    out.effects.push(Effect::Acknowledge { index, attempt: run.steps[index].attempt });
    if exit.log_dropped_bytes > 0 {
        let text = format!(
            "step {}: {} bytes of its log were dropped (log_limit, or a full disk)",
            run.steps[index].id, exit.log_dropped_bytes
        );
        out.events.push(EventKind::WarningRaised { text });
    }
    let mut step = run.step_mut(index);
    step.exit_code = exit.code;
    step.signal = exit.signal;
    step.finished_at = Some(exit.ended_at);
    if let Some(cost) = &exit.cost {
        step.peak_rss = cost.peak_rss.map(|(bytes, source)| (bytes, source.into()));
        step.cpu_seconds = Some(cost.cpu_seconds);
        step.ledger.written_bytes = cost.written_bytes;
    }
    step.ledger.clock.stop(cx.now);
    let ending = step.phase.ending();
    drop(step);
    match (ending, exit.code, exit.signal) {
        (Some(ending), _, _) => end_as_ordered(run, index, ending, "", cx, out),
        (None, _, _) if exit.interrupted => {
            lost(
                run,
                index,
                "it ended together with its supervisor, as in a shutdown or when all processes are killed",
                cx,
                out,
            );
        }
        (None, Some(0), _) => {
            run.step_mut(index).progress = 1.0;
            run.ledger.resumes_in_row = 0;
            finish(run, index, StepChange::Complete, None, out);
        }
        (None, Some(code), _) => fail(run, index, format!("exited with code {code}"), cx, out),
        (None, None, Some(signal)) => fail(run, index, by_signal(signal, &exit), cx, out),
        (None, None, None) => {
            lost(run, index, "how it ended is unknown, because its supervisor had ended", cx, out);
        }
    }
}

/// Books an attempt that could not be started.
pub(super) fn start_failed(run: &mut Run, index: usize, reason: &str, cx: Context<'_>, out: &mut Outbox) {
    out.effects.push(Effect::Acknowledge { index, attempt: run.steps[index].attempt });
    run.step_mut(index).finished_at = Some(cx.now.wall);
    fail(run, index, format!("could not be started: {reason}"), cx, out);
}

/// Books a step whose process is gone without a known end.
pub(super) fn lost(run: &mut Run, index: usize, reason: &str, cx: Context<'_>, out: &mut Outbox) {
    let Some(model) = model(run, index) else { return };
    let name = format!("{} (attempt {})", model.id, run.steps[index].attempt);
    let mut step = run.step_mut(index);
    step.finished_at.get_or_insert(cx.now.wall);
    step.ledger.clock.stop(cx.now);
    // All steps that one loss took count once: an attempt that began before the last count belongs to that loss.
    let (ending, begun_after) = (step.phase.ending(), step.ledger.begun_after);
    drop(step);
    let is_counted = begun_after < run.ledger.resumes_in_row;
    if let Some(ending) = ending {
        decided(run, index, format!("{name} was being ended, and is gone: {reason}"), cx, out);
        end_as_ordered(run, index, ending, "", cx, out);
        return;
    }
    let ask = |run: &mut Run, why: String| {
        if run.phase.verdict().is_none() {
            run.phase.judge(Verdict::Interrupted(why));
        }
    };
    match model.on_interrupt {
        OnInterrupt::Skip => {
            decided(
                run,
                index,
                format!("{name} was lost ({reason}); skipped, as on_interrupt says"),
                cx,
                out,
            );
            finish(run, index, StepChange::Skip, Some(format!("was lost: {reason}")), out);
        }
        OnInterrupt::Ask => {
            decided(
                run,
                index,
                format!("{name} was lost ({reason}); waits for the operator, as on_interrupt says"),
                cx,
                out,
            );
            finish(run, index, StepChange::Lose, Some(format!("was lost: {reason}")), out);
            ask(run, format!("step {} was lost: {reason}; look at what it did, then resume", model.id));
        }
        OnInterrupt::Rerun if !is_counted && run.ledger.resumes_in_row >= MAX_RESUMES_IN_ROW => {
            decided(
                run,
                index,
                format!("{name} was lost ({reason}) for the fourth time in a row: waits for the operator"),
                cx,
                out,
            );
            finish(run, index, StepChange::Lose, Some(format!("was lost: {reason}")), out);
            let why = format!("no step completed between {MAX_RESUMES_IN_ROW} automatic resumes");
            ask(run, format!("step {} was lost: {reason}; {why}; resume it by hand", model.id));
        }
        OnInterrupt::Rerun => {
            decided(
                run,
                index,
                format!("{name} was lost ({reason}); runs again from its last checkpoint"),
                cx,
                out,
            );
            finish(run, index, StepChange::Lose, Some(format!("was lost: {reason}")), out);
            out.records.push(Record::EndedAttempt(run.steps[index].clone()));
            let mut step = run.step_mut(index);
            step.fresh_attempt();
            step.apply(StepChange::Renew);
            drop(step);
            run.ledger.resumes_in_row += u32::from(!is_counted);
            run.trigger = Trigger::Recovery;
            refresh_progress(run, out);
        }
    }
}

/// Books the end of an attempt that the engine was ending. `at` ends the sentence on a timeout.
pub(super) fn end_as_ordered(
    run: &mut Run,
    index: usize,
    ending: Ending,
    at: &str,
    cx: Context<'_>,
    out: &mut Outbox,
) {
    match ending {
        Ending::Stop => finish(run, index, StepChange::Stop, None, out),
        Ending::RunTimeout => {
            finish(run, index, StepChange::Stop, Some("was stopped: the run timed out".into()), out);
        }
        Ending::Timeout => {
            let limit = model(run, index).and_then(|model| model.timeout).unwrap_or_default();
            fail(run, index, format!("timed out after {}{at}", duration_in_words(limit)), cx, out);
        }
    }
}

/// Books a failure: another attempt if one is left, else the end of the step.
fn fail(run: &mut Run, index: usize, error: String, cx: Context<'_>, out: &mut Outbox) {
    let Some(model) = model(run, index) else { return };
    let step = &run.steps[index];
    let used = step.ledger.retries_used;
    let goes_on = match &run.phase {
        Phase::Running { verdict } | Phase::Paused { verdict, .. } => verdict.is_none() || model.finally,
        Phase::Stopping(kind) => model.finally && *kind == StopKind::Graceful,
        Phase::Queued { .. } | Phase::Ended { .. } => false,
    };
    if used >= model.retries.max || !goes_on {
        finish(run, index, StepChange::Fail, Some(error), out);
        return;
    }
    let delay = retry_delay(model.retries, used, (&run.id, &step.id, step.attempt));
    let retry_at = cx.now.wall + TimeDelta::from_std(delay).unwrap_or(TimeDelta::MAX);
    finish(run, index, StepChange::Fail, Some(error.clone()), out);
    out.records.push(Record::EndedAttempt(run.steps[index].clone()));
    let mut step = run.step_mut(index);
    step.fresh_attempt();
    step.apply(StepChange::TryAgain(retry_at));
    step.ledger.retries_used = used + 1;
    step.message = Some(
        format!("attempt {} {error}; retry {} of {}", step.attempt - 1, used + 1, model.retries.max).into(),
    );
    drop(step);
    tell_changed(run, index, out);
    refresh_progress(run, out);
}

/// Ends the current attempt with this change, and publishes that.
pub(super) fn finish(
    run: &mut Run,
    index: usize,
    change: StepChange,
    error: Option<String>,
    out: &mut Outbox,
) {
    let run_id = run.id.clone();
    let mut step = run.step_mut(index);
    step.apply(change);
    step.error = error.map(Into::into);
    // Here, because the attempt may be recorded and followed by another one before the decision is booked.
    let finished_at = step.finished_at;
    if let (Some(work), Some(at)) = (&mut step.ledger.work, finished_at) {
        work.stop(at);
    }
    out.events.push(EventKind::StepFinished { step: step.summary(&run_id) });
    drop(step);
    refresh_progress(run, out);
}

/// The delay before a retry: `delay × factor^used`, at most `max_delay`, and up to a tenth more, so that steps that failed
/// together are not retried together. The jitter is a hash of `who`: always the same for one attempt.
fn retry_delay(retries: Retries, used: u32, who: impl Hash) -> Duration {
    let grown = retries.delay.as_secs_f64() * retries.factor.powi(used as i32);
    let seconds = grown.min(retries.max_delay.as_secs_f64());
    let mut hasher = DefaultHasher::new();
    who.hash(&mut hasher);
    let jitter = (hasher.finish() % 1000) as f64 / 10_000.0;
    Duration::try_from_secs_f64(seconds * (1.0 + jitter)).unwrap_or(retries.max_delay)
}

fn model(run: &Run, index: usize) -> Option<Step> {
    run.definition().and_then(|definition| definition.pipeline.steps.get(index)).cloned()
}

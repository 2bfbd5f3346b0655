//! Applies the news of steps to their run: starts, reports, ends, timeouts, retries.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::context::Context;
use super::event::EventKind;
use super::freeze::Hold;
use super::input::{Exit, StepNews};
use super::killed::by_signal;
use super::model::{Body, Ending, Launch, Run};
use super::outbox::{Effect, Outbox, Record};
use super::phase::{Phase, StopKind, Verdict};
use super::report::ReportBatch;
use super::state::{RunState, StepState};
use super::tell::{refresh_progress, tell_changed, tell_if_frozen, tell_started};
use super::transition::StepChange;
use super::{hold, recover};
use crate::base::time::Stopwatch;
use crate::base::units::duration_in_words;
use crate::pipeline::{Retries, Step};

/// Applies the news of one attempt of a step.
pub(super) fn hear(
    run: &mut Run,
    index: usize,
    attempt: u32,
    news: StepNews,
    cx: Context<'_>,
    out: &mut Outbox,
) {
    let Some(step) = run.steps.get(index) else { return };
    let is_current = step.attempt == attempt && step.state.is_live();
    if !is_current {
        // Only the host still remembers this attempt: its end is on disk.
        if matches!(news, StepNews::Exited(_) | StepNews::StartFailed(_)) {
            out.effects.push(Effect::Acknowledge { index, attempt });
        }
        out.soft = true;
        return;
    }
    match news {
        StepNews::Started { pid, at } => {
            out.soft = true;
            started(run, index, pid, at, out);
        }
        StepNews::StartFailed(reason) => {
            start_failed(run, index, &reason, cx, out);
            tell_if_frozen(run, Vec::new(), cx, out);
        }
        StepNews::SecretMissing(reason) => hold_for_secret(run, index, &reason, cx, out),
        StepNews::Frozen { unfrozen } => frozen(run, index, unfrozen, cx, out),
        StepNews::Thawed => out.soft = true,
        StepNews::NotSent => {
            shelve(run, index, cx, out);
            tell_if_frozen(run, Vec::new(), cx, out);
        }
        StepNews::Reported(report) => reported(run, index, *report, cx.now.wall, out),
        StepNews::Exited(exit) => {
            exited(run, index, exit, cx, out);
            // It was the last that moved.
            tell_if_frozen(run, Vec::new(), cx, out);
        }
    }
}

pub(super) fn started(run: &mut Run, index: usize, pid: u32, at: DateTime<Utc>, out: &mut Outbox) {
    if run.steps[index].pid == Some(pid) {
        return;
    }
    let step = run.step_mut(index);
    step.pid = Some(pid);
    step.started_at = Some(at);
    step.ledger.may_be_alive = false;
    step.ledger.lacks_secret = false;
    if run.steps[index].ledger.told_started {
        tell_changed(run, index, out);
    } else {
        tell_started(run, index, out);
    }
}

pub(super) fn start_failed(run: &mut Run, index: usize, reason: &str, cx: Context<'_>, out: &mut Outbox) {
    out.effects.push(Effect::Acknowledge { index, attempt: run.steps[index].attempt });
    run.step_mut(index).finished_at = Some(cx.now.wall);
    fail(run, index, format!("could not be started: {reason}"), cx, out);
}

/// Books a start that was not made: the step waits again, or has ended if it was being ended.
pub(super) fn shelve(run: &mut Run, index: usize, cx: Context<'_>, out: &mut Outbox) {
    if let Some(ending) = run.steps[index].ledger.ending {
        let step = run.step_mut(index);
        step.finished_at = Some(cx.now.wall);
        step.ledger.clock.stop(cx.now);
        end_as_ordered(run, index, ending, " before it was started", cx, out);
        return;
    }
    let step = run.step_mut(index);
    step.apply(StepChange::Shelve);
    step.started_at = None;
    step.ledger.launch = Launch::Prepared;
    step.ledger.clock = Stopwatch::default();
    tell_changed(run, index, out);
}

/// Holds the run until the operator resumes it; a job's run at most for a while.
fn hold_for_secret(run: &mut Run, index: usize, reason: &str, cx: Context<'_>, out: &mut Outbox) {
    run.step_mut(index).message = Some(reason.into());
    run.step_mut(index).ledger.lacks_secret = true;
    shelve(run, index, cx, out);
    if run.state() == RunState::Running {
        let reason = format!("held: {reason}; then resume it");
        hold::hold(run, Hold::Secret, reason.into(), cx, out);
    } else {
        tell_if_frozen(run, Vec::new(), cx, out);
    }
}

fn frozen(run: &mut Run, index: usize, unfrozen: Vec<String>, cx: Context<'_>, out: &mut Outbox) {
    if run.state() != RunState::Paused {
        out.soft = true;
        return;
    }
    run.step_mut(index).apply(StepChange::Freeze);
    tell_changed(run, index, out);
    tell_if_frozen(run, unfrozen, cx, out);
}

fn reported(run: &mut Run, index: usize, report: ReportBatch, at: DateTime<Utc>, out: &mut Outbox) {
    if report.from_offset != run.steps[index].ledger.report_offset {
        // Overtaken by a reading that is recorded.
        out.soft = true;
        return;
    }
    // Progress alone is telemetry; what a restart would miss is not.
    out.soft = report.checkpoint.is_none() && report.outputs.is_empty() && report.warnings.is_empty();
    tell_started(run, index, out);
    let step_id = run.steps[index].id.clone();
    let name: Arc<str> = step_id.as_str().into();
    let step = run.step_mut(index);
    step.ledger.report_offset = report.new_offset;
    if !report.outputs.is_empty() {
        let mut outputs: serde_json::Map<_, _> =
            step.outputs.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        outputs.extend(report.outputs);
        step.outputs = Some(serde_json::Value::Object(outputs).to_string().into());
    }
    if let Some(progress) = report.progress {
        step.progress = progress;
    }
    if report.message.is_some() {
        step.message = report.message.clone();
    }
    if let Some(data) = report.checkpoint {
        step.ledger.has_checkpoint = true;
        out.records.push(Record::Checkpoint { step_id: name.clone(), data, at });
        out.events.push(EventKind::CheckpointSaved { step_id: name.clone() });
    }
    if report.progress.is_some() || report.message.is_some() {
        let (progress, message) = (run.steps[index].progress, run.steps[index].message.clone());
        out.events.push(EventKind::StepProgress { step_id: step_id.clone(), progress, message });
        run.current_step = Some(name.clone());
        run.message = report.message.or_else(|| run.message.take());
        refresh_progress(run, out);
    }
    if !report.metrics.is_empty() {
        out.events.push(EventKind::MetricReported { step_id, metrics: report.metrics });
    }
    for warning in report.warnings {
        out.events.push(EventKind::WarningRaised { text: format!("step {name}: {}", warning.text) });
    }
}

/// Books the end of a step's tree.
pub(super) fn exited(run: &mut Run, index: usize, exit: Exit, cx: Context<'_>, out: &mut Outbox) {
    let Some(model) = model(run, index) else { return };
    tell_started(run, index, out);
    out.effects.push(Effect::Acknowledge { index, attempt: run.steps[index].attempt });
    if exit.log_dropped_bytes > 0 {
        let text = format!(
            "step {}: {} bytes of its log were dropped (log_limit, or a full disk)",
            model.id, exit.log_dropped_bytes
        );
        out.events.push(EventKind::WarningRaised { text });
    }
    let step = run.step_mut(index);
    step.exit_code = exit.code;
    step.signal = exit.signal;
    step.finished_at = Some(exit.ended_at);
    if let Some(cost) = &exit.cost {
        step.peak_rss = cost.peak_rss.map(|(bytes, source)| (bytes, source.into()));
        step.cpu_seconds = Some(cost.cpu_seconds);
        step.ledger.written_bytes = cost.written_bytes;
    }
    step.ledger.clock.stop(cx.now);
    match (step.ledger.ending, exit.code, exit.signal) {
        (Some(ending), _, _) => end_as_ordered(run, index, ending, "", cx, out),
        (None, _, _) if exit.interrupted => {
            recover::lost(
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
            recover::lost(run, index, "how it ended is unknown, because its supervisor had ended", cx, out);
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
    let step = run.step_mut(index);
    step.fresh_attempt();
    step.apply(StepChange::TryAgain);
    step.ledger.retries_used = used + 1;
    step.ledger.retry_at = Some(retry_at);
    step.message = Some(
        format!("attempt {} {error}; retry {} of {}", step.attempt - 1, used + 1, model.retries.max).into(),
    );
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
    let step = run.step_mut(index);
    step.apply(change);
    step.error = error.map(Into::into);
    let step = step.summary(&run_id);
    out.events.push(EventKind::StepFinished { step });
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

/// Acts on the deadlines that have passed. `advance` starts due retries.
pub(super) fn tick(run: &mut Run, cx: Context<'_>, out: &mut Outbox) {
    let Body::Pipeline(definition) = run.body.clone() else { return };
    hold::give_up(run, cx, out);
    if !matches!(run.state(), RunState::Running | RunState::Stopping) {
        return;
    }
    for (index, model) in definition.pipeline.steps.iter().enumerate() {
        let step = &run.steps[index];
        let is_over = model
            .timeout
            .is_some_and(|limit| step.ledger.clock.elapsed_ms(cx.now) >= limit.as_millis() as u64);
        if is_over && step.state.is_live() && step.ledger.ending.is_none() {
            run.step_mut(index).ledger.ending = Some(Ending::Timeout);
            out.effects.push(Effect::Stop(index));
        }
    }
    let Some(limit) = definition.pipeline.timeout else { return };
    let is_over = run.ledger.clock.elapsed_ms(cx.now) >= limit.as_millis() as u64;
    if is_over && run.phase.may_time_out() {
        let why = format!("timed out after {}", duration_in_words(limit));
        run.phase.judge(Verdict::TimedOut(why));
        end_steps(run, Ending::RunTimeout, StopKind::Graceful, out);
    }
}

/// Ends what lives. A graceful stop spares `finally` steps.
pub(super) fn end_all(run: &mut Run, kind: StopKind, out: &mut Outbox) {
    end_steps(run, Ending::Stop, kind, out);
}

fn end_steps(run: &mut Run, ending: Ending, kind: StopKind, out: &mut Outbox) {
    let Body::Pipeline(definition) = run.body.clone() else { return };
    for (index, model) in definition.pipeline.steps.iter().enumerate() {
        let is_spared = model.finally && kind == StopKind::Graceful;
        if !run.steps[index].state.is_live() || is_spared {
            continue;
        }
        let was_frozen = run.steps[index].state == StepState::Paused;
        let step = run.step_mut(index);
        step.apply(StepChange::GoOn);
        step.ledger.ending = Some(ending);
        if was_frozen {
            tell_changed(run, index, out);
        }
        out.effects.push(match kind {
            StopKind::Graceful => Effect::Stop(index),
            StopKind::Force => Effect::Kill(index),
        });
    }
}

fn model(run: &Run, index: usize) -> Option<Step> {
    run.definition().and_then(|definition| definition.pipeline.steps.get(index)).cloned()
}

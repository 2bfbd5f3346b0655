//! Applies the news of steps to their run: starts, reports, timeouts. `step_end` has the ends and retries.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::context::Context;
use super::definition::Body;
use super::event::EventKind;
use super::freeze::Hold;
use super::hold;
use super::input::StepNews;
use super::model::Run;
use super::outbox::{Effect, Outbox, Record};
use super::phase::{StopKind, Verdict};
use super::report::ReportBatch;
use super::state::{RunState, StepState};
use super::step_end::{end_as_ordered, exited, finish, start_failed};
use super::step_phase::Ending;
use super::tell::{refresh_progress, tell_changed, tell_if_frozen, tell_started};
use super::transition::StepChange;
use crate::base::time::Stopwatch;
use crate::base::units::duration_in_words;

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
    let is_current = step.attempt == attempt && step.state().is_live();
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
    let mut step = run.step_mut(index);
    step.pid = Some(pid);
    step.started_at = Some(at);
    step.ledger.may_be_alive = false;
    drop(step);
    if run.steps[index].ledger.told_started {
        tell_changed(run, index, out);
    } else {
        tell_started(run, index, out);
    }
}

/// Books a start that was not made: the step waits again, or has ended if it was being ended.
pub(super) fn shelve(run: &mut Run, index: usize, cx: Context<'_>, out: &mut Outbox) {
    if let Some(ending) = run.steps[index].phase.ending() {
        let mut step = run.step_mut(index);
        step.finished_at = Some(cx.now.wall);
        step.ledger.clock.stop(cx.now);
        drop(step);
        end_as_ordered(run, index, ending, " before it was started", cx, out);
        return;
    }
    let mut step = run.step_mut(index);
    step.apply(StepChange::Shelve);
    step.started_at = None;
    step.ledger.clock = Stopwatch::default();
    drop(step);
    tell_changed(run, index, out);
}

/// Holds the run until the operator resumes it; a job's run at most for a while.
fn hold_for_secret(run: &mut Run, index: usize, reason: &str, cx: Context<'_>, out: &mut Outbox) {
    run.step_mut(index).message = Some(reason.into());
    shelve(run, index, cx, out);
    if let Some(prepared) = run.step_mut(index).phase.prepared_mut() {
        prepared.lacks_secret = true;
    }
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
    let mut step = run.step_mut(index);
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
    drop(step);
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

/// Acts on the deadlines that have passed. `advance` starts due retries.
pub(super) fn tick(run: &mut Run, cx: Context<'_>, out: &mut Outbox) {
    let Body::Pipeline(definition) = run.body.clone() else { return };
    give_up(run, cx, out);
    if !matches!(run.state(), RunState::Running | RunState::Stopping) {
        return;
    }
    for index in run.steps.indexes_in_state(StepState::is_live) {
        let (step, timeout) = (&run.steps[index], definition.pipeline.steps[index].timeout);
        let is_over =
            timeout.is_some_and(|limit| step.ledger.clock.elapsed_ms(cx.now) >= limit.as_millis() as u64);
        if is_over && step.phase.may_go_on() {
            run.step_mut(index).phase.end_for(Ending::Timeout);
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

/// Fails the steps whose secret has not come in time, and ends the hold.
fn give_up(run: &mut Run, cx: Context<'_>, out: &mut Outbox) {
    if hold::given_up_at(run).is_none_or(|at| at > cx.now.wall) {
        return;
    }
    let held = run.ledger.held_at_most_ms.map(Duration::from_millis).unwrap_or_default();
    for index in 0..run.steps.len() {
        let step = &run.steps[index];
        if !step.phase.lacks_secret() {
            continue;
        }
        let lacks = step.message.as_deref().unwrap_or("a secret is missing");
        let error = format!("could not be started: {lacks}; waited {} for it", duration_in_words(held));
        run.step_mut(index).finished_at = Some(cx.now.wall);
        finish(run, index, StepChange::Fail, Some(error), out);
    }
    hold::release(run, Hold::Secret, cx, out);
}

/// Ends what lives. A graceful stop spares `finally` steps.
pub(super) fn end_all(run: &mut Run, kind: StopKind, out: &mut Outbox) {
    end_steps(run, Ending::Stop, kind, out);
}

fn end_steps(run: &mut Run, ending: Ending, kind: StopKind, out: &mut Outbox) {
    let Body::Pipeline(definition) = run.body.clone() else { return };
    for index in run.steps.indexes_in_state(StepState::is_live) {
        if definition.pipeline.steps[index].finally && kind == StopKind::Graceful {
            continue;
        }
        let was_frozen = run.steps[index].state() == StepState::Paused;
        let mut step = run.step_mut(index);
        step.apply(StepChange::GoOn);
        step.phase.end_for(ending);
        drop(step);
        if was_frozen {
            tell_changed(run, index, out);
        }
        out.effects.push(match kind {
            StopKind::Graceful => Effect::Stop(index),
            StopKind::Force => Effect::Kill(index),
        });
    }
}

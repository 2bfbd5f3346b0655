//! The events that several rules publish about a run and its steps, and the decisions of recovery that they record.

use std::sync::Arc;

use super::context::Context;
use super::definition::Body;
use super::event::{Decision, EventKind};
use super::model::Run;
use super::outbox::{Outbox, Record};
use super::state::StepState;
use super::summary::RunSummary;
use crate::base::id::StepId;

/// Publishes `execution_running` once for an attempt of the run.
pub(super) fn tell_running(run: &mut Run, out: &mut Outbox) {
    if !run.ledger.told_running {
        run.ledger.told_running = true;
        out.events.push(EventKind::ExecutionRunning { run: summary(run) });
    }
}

/// Publishes `execution_paused` once no process of the run moves any more.
pub(super) fn tell_if_frozen(run: &mut Run, unfrozen: Vec<String>, cx: Context<'_>, out: &mut Outbox) {
    let moves =
        run.steps.in_state(|state| state == StepState::Running).any(|(_, step)| step.phase.may_go_on());
    let Some(freeze) = run.phase.freeze_mut() else { return };
    freeze.unfrozen.extend(unfrozen);
    if freeze.since.is_none() && !moves {
        freeze.since = Some(cx.now.wall);
        let unfrozen = std::mem::take(&mut freeze.unfrozen);
        out.events.push(EventKind::ExecutionPaused { run: summary(run), unfrozen });
    }
}

/// Publishes `step_started` once for an attempt, before its other events.
pub(super) fn tell_started(run: &mut Run, index: usize, out: &mut Outbox) {
    if std::mem::replace(&mut run.step_mut(index).ledger.told_started, true) {
        return;
    }
    tell_running(run, out);
    out.events.push(EventKind::StepStarted { step: run.steps[index].summary(&run.id) });
}

/// Publishes a step that has neither started nor ended.
pub(super) fn tell_changed(run: &Run, index: usize, out: &mut Outbox) {
    out.events.push(EventKind::StepChanged { step: run.steps[index].summary(&run.id) });
}

/// Recomputes the run's progress from its steps, and publishes it when it has moved.
pub(super) fn refresh_progress(run: &mut Run, out: &mut Outbox) {
    if matches!(run.body, Body::Driven) {
        return;
    }
    let progress = run.steps.share_done();
    if (progress - run.progress).abs() > f64::EPSILON {
        run.progress = progress;
        out.events.push(progress_event(run));
    }
}

/// How far the run is.
pub(super) fn progress_event(run: &Run) -> EventKind {
    EventKind::ExecutionProgress {
        progress: run.progress,
        current_step: run.current_step.clone(),
        message: run.message.clone(),
    }
}

/// Records a decision of recovery about a step.
pub(super) fn decided(run: &Run, index: usize, text: String, cx: Context<'_>, out: &mut Outbox) {
    note(run, Some(run.steps[index].id.clone()), text, cx, out);
}

/// Records a decision of recovery.
pub(super) fn note(run: &Run, step_id: Option<StepId>, text: String, cx: Context<'_>, out: &mut Outbox) {
    let decision = Decision { at: cx.now.wall, run_id: run.id.clone(), step_id, text };
    out.records.push(Record::Decision(decision));
}

/// The run as events carry it.
pub(super) fn summary(run: &Run) -> Arc<RunSummary> {
    Arc::new(run.summary())
}

//! Holds: the reasons for which the system freezes a run. A run may be held for several at once, and goes on when the last
//! of them is gone. The operator has the last word: a run that the operator froze stays so, and one that the operator lets
//! go on is not frozen again for the same reason.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::context::Context;
use super::definition::Body;
use super::event::EventKind;
use super::freeze::{Freeze, Hold, Holds};
use super::model::Run;
use super::outbox::Outbox;
use super::pause;
use super::phase::Phase;
use super::tell::summary;
use crate::pipeline::{OnBattery, OnQuiet};

/// Freezes a running run for this reason; one that is held already is held for this reason too.
pub(super) fn hold(run: &mut Run, why: Hold, reason: Arc<str>, cx: Context<'_>, out: &mut Outbox) {
    if !matches!(run.body, Body::Pipeline(_)) {
        return;
    }
    match &mut run.phase {
        Phase::Running { .. } => {
            let held_until = if why == Hold::Secret { until(run, cx) } else { None };
            let freeze = Freeze { holds: Holds::only(why, reason), held_until, ..Freeze::default() };
            // A running run accepts this always.
            let _ = pause::pause(run, freeze, cx, out);
        }
        Phase::Paused { freeze, .. } if !freeze.holds.is_empty() => {
            freeze.holds.insert(why, reason);
        }
        Phase::Queued { .. } | Phase::Paused { .. } | Phase::Stopping(_) | Phase::Ended { .. } => {}
    }
}

/// Until when a run that begins to lack a secret is held; none: until the operator does something.
fn until(run: &Run, cx: Context<'_>) -> Option<DateTime<Utc>> {
    let at_most =
        run.ledger.held_at_most_ms.and_then(|ms| TimeDelta::try_milliseconds(i64::try_from(ms).ok()?));
    at_most.and_then(|at_most| cx.now.wall.checked_add_signed(at_most))
}

/// Until when the run is held for a secret; none where it is not, or without a limit.
pub(super) fn given_up_at(run: &Run) -> Option<DateTime<Utc>> {
    run.phase.freeze().filter(|freeze| freeze.holds.has(Hold::Secret))?.held_until
}

/// Takes this reason away: without another one the run goes on.
pub(super) fn release(run: &mut Run, why: Hold, cx: Context<'_>, out: &mut Outbox) {
    let Some(freeze) = run.phase.freeze_mut() else { return };
    if !freeze.holds.remove(why) {
        return;
    }
    if freeze.holds.is_empty() {
        // A paused run accepts this always.
        let _ = pause::thaw(run, cx, out);
    } else {
        stay_frozen(run, out);
    }
}

/// Publishes that the run stays frozen for other reasons, if `execution_paused` was published before.
fn stay_frozen(run: &mut Run, out: &mut Outbox) {
    let Some(freeze) = run.phase.freeze() else { return };
    let is_told = freeze.since.is_some();
    run.error = freeze.holds.reason().cloned();
    if is_told {
        out.events.push(EventKind::ExecutionPaused { run: summary(run), unfrozen: Vec::new() });
    }
}

/// Makes a hold the operator's pause; false where the run is not held. A missing secret stays a reason: it does not go by
/// itself.
pub(super) fn keep_frozen(run: &mut Run, out: &mut Outbox) -> bool {
    let Some(freeze) = run.phase.freeze_mut().filter(|freeze| !freeze.holds.is_empty()) else { return false };
    freeze.holds.keep_only(Hold::Secret);
    freeze.held_until = None;
    stay_frozen(run, out);
    true
}

/// Notes that the run begins within this time of quiet or on battery, which then does not freeze it.
pub(super) fn meet_what_is(run: &mut Run, cx: Context<'_>) {
    run.ledger.quiet_met = cx.admission.orders.quiet.map(|quiet| quiet.since);
    run.ledger.battery_met = cx.admission.is_on_battery();
}

/// Quiet began then, or is over (none). Each time of quiet freezes a run once.
pub(super) fn quiet(run: &mut Run, since: Option<DateTime<Utc>>, cx: Context<'_>, out: &mut Outbox) {
    let Some(since) = since else { return release(run, Hold::Quiet, cx, out) };
    let is_meant = run.definition().is_some_and(|d| d.pipeline.quiet == OnQuiet::Freeze);
    if is_meant && run.ledger.quiet_met != Some(since) {
        run.ledger.quiet_met = Some(since);
        hold(run, Hold::Quiet, Hold::Quiet.reason().into(), cx, out);
    }
}

/// The power supply changed. Each time on battery freezes a run once.
pub(super) fn power(run: &mut Run, on_battery: bool, cx: Context<'_>, out: &mut Outbox) {
    if !on_battery {
        run.ledger.battery_met = false;
        return release(run, Hold::Battery, cx, out);
    }
    let is_meant = run.definition().is_some_and(|d| d.pipeline.on_battery == OnBattery::Freeze);
    if is_meant && !run.ledger.battery_met {
        run.ledger.battery_met = true;
        hold(run, Hold::Battery, Hold::Battery.reason().into(), cx, out);
    }
}

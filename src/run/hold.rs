//! Holds: the reasons for which the system freezes a run. A run may be held for several at once, and goes on when the last
//! of them is gone. The operator has the last word: a run that the operator froze stays so, and one that the operator lets
//! go on is not frozen again for the same reason.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::decide::{Context, Outbox, pause, summary};
use super::transition::StepChange;
use super::{Body, EventKind, Freeze, Phase, Run, resume, step};
use crate::pipeline::{OnBattery, OnQuiet};

/// A reason to freeze a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// The disk is full.
    DiskFull,
    /// A limit of the machine is exceeded, and this run uses most.
    Limit,
    /// A secret is missing; the operator resumes the run.
    Secret,
    /// The machine runs on its battery.
    Battery,
    /// A time of quiet lasts.
    Quiet,
}

impl Hold {
    /// The usual sentence for it.
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::DiskFull => "frozen: the disk is full; it goes on when there is room",
            Self::Limit => "frozen: a limit of the machine was exceeded",
            Self::Secret => "held: a secret is missing",
            Self::Battery => "frozen: the machine runs on battery",
            Self::Quiet => "frozen: it is quiet",
        }
    }
}

/// The reasons for which a run is held, each with its sentence; empty when the operator froze it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written")]
pub struct Holds(BTreeMap<Hold, Arc<str>>);

/// As it stands in a database: those of 0.1.0 hold one word, or nothing.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Many(BTreeMap<Hold, Arc<str>>),
    One(Hold),
    Nothing(()),
}

impl From<Written> for Holds {
    fn from(written: Written) -> Self {
        match written {
            Written::Many(holds) => Self(holds),
            Written::One(hold) => Self::only(hold, hold.reason()),
            Written::Nothing(()) => Self::default(),
        }
    }
}

impl Holds {
    /// Held for this reason alone.
    pub fn only(hold: Hold, reason: impl Into<Arc<str>>) -> Self {
        Self([(hold, reason.into())].into())
    }

    /// Whether this is one of the reasons.
    pub fn has(&self, hold: Hold) -> bool {
        self.0.contains_key(&hold)
    }

    /// The first of the reasons as a sentence.
    pub fn reason(&self) -> Option<&Arc<str>> {
        self.0.values().next()
    }

    /// Whether the operator froze it: there is no other reason.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The reasons.
    pub fn iter(&self) -> impl Iterator<Item = (Hold, &Arc<str>)> {
        self.0.iter().map(|(hold, reason)| (*hold, reason))
    }
}

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
            let _ = pause(run, freeze, cx, out);
        }
        Phase::Paused { freeze, .. } if !freeze.holds.is_empty() => {
            freeze.holds.0.insert(why, reason);
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

/// Fails the steps whose secret has not come in time, and ends the hold.
pub(super) fn give_up(run: &mut Run, cx: Context<'_>, out: &mut Outbox) {
    if given_up_at(run).is_none_or(|at| at > cx.now.wall) {
        return;
    }
    let held = run.ledger.held_at_most_ms.map(std::time::Duration::from_millis).unwrap_or_default();
    for index in 0..run.steps.len() {
        let step = &run.steps[index];
        if !step.phase.lacks_secret() {
            continue;
        }
        let lacks = step.message.as_deref().unwrap_or("a secret is missing");
        let error = format!("could not be started: {lacks}; waited {} for it", step::in_words(held));
        let step = run.step_mut(index);
        step.finished_at = Some(cx.now.wall);
        step::finish(run, index, StepChange::Fail, Some(error), out);
    }
    release(run, Hold::Secret, cx, out);
}

/// Takes this reason away: without another one the run goes on.
pub(super) fn release(run: &mut Run, why: Hold, cx: Context<'_>, out: &mut Outbox) {
    let Some(freeze) = run.phase.freeze_mut() else { return };
    if freeze.holds.0.remove(&why).is_none() {
        return;
    }
    if freeze.holds.is_empty() {
        // A paused run accepts this always.
        let _ = resume::thaw(run, cx, out);
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
    freeze.holds.0.retain(|why, _| *why == Hold::Secret);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_earlier_versions_wrote_is_read() {
        let read = |text: &str| serde_json::from_str::<Holds>(text).unwrap();
        assert_eq!(read("null"), Holds::default());
        assert!(read("\"limit\"").has(Hold::Limit));
        let both = r#"{"limit":"frozen: memory","quiet":"frozen: it is quiet"}"#;
        assert_eq!(serde_json::to_string(&read(both)).unwrap(), both);
    }
}

//! Why a run is frozen although nobody asked for just that run, and what becomes of it when the reason comes and goes. A
//! run may be held for several reasons at once; it goes on when the last of them is gone. The operator has the last word:
//! what he has frozen himself stays so, and what he lets go on is not frozen again for the same reason.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::decide::{Context, Outbox, pause, summary};
use super::transition::StepChange;
use super::{Body, EventKind, Freeze, Phase, Run, StepState, resume, step};
use crate::pipeline::{OnBattery, OnQuiet};

/// A reason to freeze a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// The disk is full.
    DiskFull,
    /// A limit of the machine is exceeded, and it uses most.
    Limit,
    /// A secret is missing; the operator resumes it.
    Secret,
    /// The machine lives on its battery.
    Battery,
    /// It is quiet.
    Quiet,
}

impl Hold {
    /// As a sentence, where nothing more is known of it.
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

/// The reasons for which a run is held, each with the sentence that says so; none for one that the operator has frozen.
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

    /// Whether there is no reason: then the operator froze it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The reasons.
    pub fn iter(&self) -> impl Iterator<Item = (Hold, &Arc<str>)> {
        self.0.iter().map(|(hold, reason)| (*hold, reason))
    }
}

/// Freezes the run for this reason, if it goes on; one that is held already is held for this reason too.
pub(super) fn hold(run: &mut Run, why: Hold, reason: Arc<str>, cx: Context<'_>, out: &mut Outbox) {
    if !matches!(run.body, Body::Pipeline(_)) {
        return;
    }
    match &mut run.phase {
        Phase::Running { .. } => {
            let held_until = if why == Hold::Secret { until(run, cx) } else { None };
            let freeze = Freeze { holds: Holds::only(why, reason), held_until, ..Freeze::default() };
            // It runs, so that nothing is in the way.
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

/// When a run that is held for a secret is held no longer.
pub(super) fn given_up_at(run: &Run) -> Option<DateTime<Utc>> {
    run.phase.freeze().filter(|freeze| freeze.holds.has(Hold::Secret))?.held_until
}

/// The secret has not come in time: the steps that lack it fail, and what follows from that follows.
pub(super) fn give_up(run: &mut Run, cx: Context<'_>, out: &mut Outbox) {
    if given_up_at(run).is_none_or(|at| at > cx.now.wall) {
        return;
    }
    let held = run.ledger.held_at_most_ms.map(std::time::Duration::from_millis).unwrap_or_default();
    for index in 0..run.steps.len() {
        let step = &run.steps[index];
        if step.state != StepState::Waiting || !step.ledger.lacks_secret {
            continue;
        }
        let lacks = step.message.as_deref().unwrap_or("a secret is missing");
        let error = format!("could not be started: {lacks}; waited {} for it", step::in_words(held));
        let step = run.step_mut(index);
        step.ledger.lacks_secret = false;
        step.finished_at = Some(cx.now.wall);
        step::finish(run, index, StepChange::Fail, Some(error), out);
    }
    release(run, Hold::Secret, cx, out);
}

/// This reason is gone: without another one the run goes on.
pub(super) fn release(run: &mut Run, why: Hold, cx: Context<'_>, out: &mut Outbox) {
    let Some(freeze) = run.phase.freeze_mut() else { return };
    if freeze.holds.0.remove(&why).is_none() {
        return;
    }
    if freeze.holds.is_empty() {
        // It is paused, so that nothing is in the way.
        let _ = resume::thaw(run, cx, out);
    } else {
        stay_frozen(run, out);
    }
}

/// It stays frozen, for what is left of its reasons or because the operator wants it so: told again, once it was told.
fn stay_frozen(run: &mut Run, out: &mut Outbox) {
    let Some(freeze) = run.phase.freeze() else { return };
    let is_told = freeze.since.is_some();
    run.error = freeze.holds.reason().cloned();
    if is_told {
        out.events.push(EventKind::ExecutionPaused { run: summary(run), unfrozen: Vec::new() });
    }
}

/// The operator wants what is held to stay frozen, whatever becomes of the reasons; false where it is not held. A missing
/// secret stays the reason: that one does not go by itself.
pub(super) fn keep_frozen(run: &mut Run, out: &mut Outbox) -> bool {
    let Some(freeze) = run.phase.freeze_mut().filter(|freeze| !freeze.holds.is_empty()) else { return false };
    freeze.holds.0.retain(|why, _| *why == Hold::Secret);
    freeze.held_until = None;
    stay_frozen(run, out);
    true
}

/// It begins although it is quiet, or the machine lives on its battery: somebody wants it to.
pub(super) fn meet_what_is(run: &mut Run, cx: Context<'_>) {
    run.ledger.quiet_met = cx.admission.orders.quiet.map(|quiet| quiet.since);
    run.ledger.battery_met = cx.admission.is_on_battery();
}

/// It is quiet since then, or no longer. Each time of quiet freezes a run once.
pub(super) fn quiet(run: &mut Run, since: Option<DateTime<Utc>>, cx: Context<'_>, out: &mut Outbox) {
    let Some(since) = since else { return release(run, Hold::Quiet, cx, out) };
    let is_meant = run.definition().is_some_and(|d| d.pipeline.quiet == OnQuiet::Freeze);
    if is_meant && run.ledger.quiet_met != Some(since) {
        run.ledger.quiet_met = Some(since);
        hold(run, Hold::Quiet, Hold::Quiet.reason().into(), cx, out);
    }
}

/// The machine lives on its battery, or no longer. Each time on battery freezes a run once.
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

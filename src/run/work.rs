//! Time at work: how long something of a run, or of a step's attempt, has run. Neither the time frozen counts nor that
//! before it begins, between two attempts, or until somebody takes it up again.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{Body, EventKind, Found, Input, Run, RunState, StepNews, StepRun, StepState};
use crate::base::time::Now;

/// Counts between its starts and stops, on the wall clock, as instants are shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkTime {
    /// Milliseconds counted before `since`.
    pub worked_ms: u64,
    /// Since when it counts; none: it stands still.
    pub since: Option<DateTime<Utc>>,
}

impl WorkTime {
    /// Seconds counted before [`Self::since`].
    pub fn seconds(self) -> f64 {
        self.worked_ms as f64 / 1000.0
    }

    fn stop(&mut self, at: DateTime<Utc>) {
        if let Some(since) = self.since.take() {
            self.worked_ms += (at - since).num_milliseconds().max(0) as u64;
        }
    }
}

/// What was counted by `now`, of figures as they are told; none where nobody has counted.
pub(super) fn counted(
    worked_seconds: Option<f64>,
    works_since: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Option<TimeDelta> {
    let before = TimeDelta::milliseconds((worked_seconds? * 1000.0) as i64);
    let current = works_since.map_or(TimeDelta::zero(), |since| (now - since).max(TimeDelta::zero()));
    Some(before + current)
}

/// The instant of what is heard, up to which something of the run is known to have run: a start or an end may have come long
/// before it is told. None where nobody knows.
pub(super) fn known_until(run: &Run, input: &Input, now: Now) -> Option<DateTime<Utc>> {
    let of_found = |found: &Found| match found {
        Found::Running { .. } | Found::Ending => Some(now.wall),
        Found::Exited(exit) => Some(exit.ended_at.min(now.wall)),
        Found::NotAsked | Found::Nothing | Found::StartFailed(_) => None,
    };
    match input {
        Input::Step { news: StepNews::Exited(exit), .. } => Some(exit.ended_at.min(now.wall)),
        // What a survivor did before it was found is not known.
        Input::Step { index, news: StepNews::Started { at, .. }, .. }
            if run.steps.get(*index).is_some_and(|step| !step.ledger.may_be_alive) =>
        {
            Some((*at).min(now.wall))
        }
        Input::Recover(found) => found.iter().filter_map(of_found).max(),
        Input::DriverLost => None,
        Input::Begin
        | Input::Pause
        | Input::Resume
        | Input::Retry(_)
        | Input::Stop(_)
        | Input::Complete { .. }
        | Input::Progress { .. }
        | Input::Checkpoint { .. }
        | Input::Step { .. }
        | Input::Tick
        | Input::StartsChanged
        | Input::SentAhead { .. }
        | Input::DiskFull
        | Input::DiskRoom
        | Input::LimitExceeded { .. }
        | Input::LimitCleared
        | Input::Admit
        | Input::Quiet(_)
        | Input::Power { .. } => Some(now.wall),
    }
}

/// A step that ran when its engine died has run since it began, whatever of that was recorded.
pub(super) fn go_on(run: &mut Run, index: usize) {
    let step = &run.steps[index];
    if step.state != StepState::Running || run.state() == RunState::Paused {
        return;
    }
    let Some(began) = step.started_at else { return };
    let step = run.step_mut(index);
    step.ledger.work.get_or_insert_default().since.get_or_insert(began);
    run.ledger.work.get_or_insert_default().since.get_or_insert(began);
}

/// Books what was worked, as things stand now, and says it in what is told. `until` is what [`known_until`] said.
pub(super) fn book(run: &mut Run, until: Option<DateTime<Utc>>, now: Now, events: &mut [EventKind]) {
    let from = until.unwrap_or(now.wall);
    for index in 0..run.steps.len() {
        let step = &run.steps[index];
        let counted = step.ledger.work.unwrap_or_default();
        // Booked where it changes alone: what stays as it is need not be written again.
        if is_at_work(step) != counted.since.is_some() {
            let mut work = counted;
            let until = step.finished_at.filter(|_| step.state.is_ended()).or(until);
            until.inspect(|until| work.stop(*until));
            work.since = is_at_work(step).then_some(from);
            run.step_mut(index).ledger.work = Some(work);
        }
    }
    let works = match run.body {
        Body::Driven => matches!(run.state(), RunState::Running | RunState::Stopping),
        Body::Pipeline(_) => run.steps.iter().any(|step| is_at_work(step)),
    };
    let mut work = run.ledger.work.unwrap_or_default();
    // What is heard late does not count again what was counted. The clock may have been set back.
    let from = work.since.map_or(from, |counted_until| from.max(counted_until.min(now.wall)));
    until.inspect(|until| work.stop(*until));
    work.since = works.then_some(from);
    run.ledger.work = Some(work);
    for event in events {
        let (of_run, of_steps) = event.values_mut();
        if let Some(told) = of_run {
            let told = Arc::make_mut(told);
            (told.worked_seconds, told.works_since) = (Some(work.seconds()), work.since);
        }
        for told in of_steps {
            let step = run.steps.iter().find(|step| step.id == told.step_id && step.attempt == told.attempt);
            if let Some(work) = step.and_then(|step| step.ledger.work) {
                (told.worked_seconds, told.works_since) = (Some(work.seconds()), work.since);
            }
        }
    }
}

fn is_at_work(step: &StepRun) -> bool {
    step.state == StepState::Running && step.pid.is_some()
}

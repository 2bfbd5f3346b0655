//! Counts the time at work of a run and its steps at each decision, and writes it into the decision's events.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::definition::Body;
use super::event::EventKind;
use super::input::{Found, Input, StepNews};
use super::model::Run;
use super::state::{RunState, StepState};
use crate::base::time::Now;

/// The instant up to which something of the run is known to have run when this input arrives: a start or an end may have
/// come long before. None where that is unknown.
pub(super) fn known_until(input: &Input, now: Now) -> Option<DateTime<Utc>> {
    let of_found = |found: &Found| match found {
        Found::Running { .. } | Found::Ending => Some(now.wall),
        Found::Exited(exit) => Some(exit.ended_at.min(now.wall)),
        Found::NotAsked | Found::Nothing | Found::StartFailed(_) => None,
    };
    match input {
        Input::Step { news: StepNews::Exited(exit), .. } => Some(exit.ended_at.min(now.wall)),
        Input::Step { news: StepNews::Started { at, .. }, .. } => Some((*at).min(now.wall)),
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
pub(super) fn go_on(run: &mut Run, index: usize, now: Now) {
    let step = &run.steps[index];
    if step.state() != StepState::Running || run.state() == RunState::Paused {
        return;
    }
    let Some(began) = step.started_at else { return };
    run.step_mut(index).ledger.work.get_or_insert_default().start(began, now);
    run.ledger.work.get_or_insert_default().start(began, now);
}

/// Books the time at work as the run stands now, and writes it into the events. `until` comes from [`known_until`].
pub(super) fn book(run: &mut Run, until: Option<DateTime<Utc>>, now: Now, events: &mut [EventKind]) {
    let mut begins = None;
    let at_work = run.steps.at_work();
    for &index in &at_work {
        let step = &run.steps[index];
        let mut work = step.ledger.work.unwrap_or_default();
        let is_at_work = step.state() == StepState::Running && step.pid.is_some();
        let is_fresh = step.ledger.work.is_none();
        // Booked where it changes alone: what stays as it is need not be written again.
        if is_at_work != work.since.is_some() || is_fresh && step.state() == StepState::Paused {
            let until = step.finished_at.filter(|_| step.state().is_ended()).or(until);
            until.inspect(|until| work.stop(*until));
            work.since = None;
            if is_at_work {
                // The supervisor's instant: the engine may hear of a start only after the end.
                work.start(step.started_at.filter(|_| is_fresh).unwrap_or(now.wall), now);
            }
            run.step_mut(index).ledger.work = Some(work);
        }
        begins = begins.into_iter().chain(work.since).min();
    }
    if matches!(run.body, Body::Driven) && matches!(run.state(), RunState::Running | RunState::Stopping) {
        begins = Some(now.wall);
    }
    let mut work = run.ledger.work.unwrap_or_default();
    until.inspect(|until| work.stop(*until));
    work.since = None;
    begins.inspect(|begins| work.start(*begins, now));
    run.ledger.work = Some(work);
    for event in events {
        let (of_run, of_steps) = event.values_mut();
        if let Some(told) = of_run {
            let told = Arc::make_mut(told);
            (told.worked_seconds, told.works_since) = (Some(work.seconds()), work.since);
        }
        for told in of_steps {
            let mut booked = at_work.iter().map(|index| &run.steps[*index]);
            let step = booked.find(|step| step.id == told.step_id && step.attempt == told.attempt);
            if let Some(work) = step.and_then(|step| step.ledger.work) {
                (told.worked_seconds, told.works_since) = (Some(work.seconds()), work.since);
            }
        }
    }
}

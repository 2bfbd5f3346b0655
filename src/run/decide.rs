//! Decides: from a run, one input and one reading of the clocks to the changed run, the records beside it, the effects and
//! the events. No clock, no I/O: the caller commits before it acts.

use std::sync::Arc;

use super::context::Context;
use super::definition::Body;
use super::event::EventKind;
use super::freeze::{Freeze, Hold};
use super::input::Input;
use super::model::Run;
use super::outbox::{Effect, Level, Outbox, Record};
use super::phase::{End, StopKind};
use super::state::RunState;
use super::tell::{progress_event, summary, tell_running};
use super::transition::{Change, Command, Refusal};
use super::{admit, advance, hold, pause, recover, resume, step, work};

/// Applies `input` to `run`.
///
/// # Errors
/// [`Refusal`] when the run does not accept a request, and the run is then as it was. News of steps and of the machine is
/// never refused.
pub fn decide(run: &mut Run, input: Input, cx: Context<'_>, out: &mut Outbox) -> Result<(), Refusal> {
    let known_until = work::known_until(&input, cx.now);
    match input {
        Input::Begin => begin(run, cx, out),
        Input::Pause => {
            if !hold::keep_frozen(run, out) {
                pause::pause(run, Freeze::default(), cx, out)?;
            }
        }
        Input::Resume => {
            if let Some(freeze) = run.phase.freeze() {
                run.ledger.limit_met |= freeze.holds.has(Hold::Limit);
                pause::thaw(run, cx, out)?;
            } else {
                resume::take_up(run, cx, out)?;
            }
        }
        Input::Retry(from) => {
            run.accept(Command::Retry)?;
            resume::retry(run, from.as_ref(), cx, out)?;
        }
        Input::Stop(kind) => stop(run, kind, cx, out)?,
        Input::Complete { error } => complete(run, error, cx, out)?,
        Input::Progress { progress, current_step } => {
            run.accept(Command::Report)?;
            driven_only(run, "its progress comes from its steps")?;
            out.soft = true;
            tell_running(run, out);
            run.progress = progress.clamp(0.0, 1.0);
            if current_step.is_some() {
                run.current_step = current_step;
            }
            out.events.push(progress_event(run));
        }
        Input::Checkpoint { step_id, data } => {
            run.accept(Command::Report)?;
            tell_running(run, out);
            run.current_step = Some(step_id.clone());
            out.events.push(EventKind::CheckpointSaved { step_id: step_id.clone() });
            out.records.push(Record::Checkpoint { step_id, data, at: cx.now.wall });
        }
        Input::Step { index, attempt, news } => step::hear(run, index, attempt, news, cx, out),
        Input::Tick => step::tick(run, cx, out),
        Input::StartsChanged => {}
        Input::SentAhead { index, attempt } => {
            out.soft = true;
            advance::sent_ahead(run, index, attempt, cx);
        }
        Input::DiskFull => {
            hold::hold(run, Hold::DiskFull, Hold::DiskFull.reason().into(), cx, out);
        }
        Input::DiskRoom => hold::release(run, Hold::DiskFull, cx, out),
        Input::LimitExceeded { reason } => hold::hold(run, Hold::Limit, reason, cx, out),
        Input::LimitCleared => {
            run.ledger.limit_met = false;
            hold::release(run, Hold::Limit, cx, out);
        }
        Input::Quiet(since) => hold::quiet(run, since, cx, out),
        Input::Power { on_battery } => hold::power(run, on_battery, cx, out),
        Input::Admit => {
            run.accept(Command::Admit)?;
            admit::admit(run)?;
        }
        Input::Recover(found) => recover::reconcile(run, found, cx, out),
        Input::DriverLost => recover::driver_lost(run, cx, out),
    }
    advance::advance(run, cx, out);
    run.ledger.clock.rebase(cx.now);
    work::book(run, known_until, cx.now, &mut out.events);
    Ok(())
}

fn driven_only(run: &Run, reason: &str) -> Result<(), Refusal> {
    match run.body {
        Body::Driven => Ok(()),
        Body::Pipeline(_) => Err(Refusal::Other {
            run_id: run.id.clone(),
            reason: format!("the engine drives this run by its pipeline; {reason}"),
        }),
    }
}

fn begin(run: &mut Run, cx: Context<'_>, out: &mut Outbox) {
    run.ledger.boot_id = cx.boot_id.to_owned();
    let wait = match &run.body {
        Body::Driven => None,
        Body::Pipeline(definition) => admit::may_begin(run, definition, cx),
    };
    if wait.is_none() {
        admit::come_to_run(run, cx);
    }
    out.events.push(EventKind::ExecutionStarted { run: summary(run), steps: run.step_summaries() });
    if let Some(wait) = wait {
        admit::stand_in_line(run, wait, cx, out);
    }
}

fn stop(run: &mut Run, kind: StopKind, cx: Context<'_>, out: &mut Outbox) -> Result<(), Refusal> {
    let was_stopping = run.state() == RunState::Stopping;
    run.apply(Change::Stop(kind), cx.now)?;
    if !was_stopping {
        out.events.push(EventKind::ExecutionStopping { run: summary(run) });
    }
    match run.body {
        Body::Driven => {
            out.effects.push(Effect::StopSignal(Level::Raised));
            out.effects.push(Effect::PauseSignal(Level::Lowered));
            if kind == StopKind::Force {
                advance::end(run, End::ForceStopped, None, cx, out);
            }
        }
        Body::Pipeline(_) => step::end_all(run, kind, out),
    }
    Ok(())
}

fn complete(
    run: &mut Run,
    error: Option<Arc<str>>,
    cx: Context<'_>,
    out: &mut Outbox,
) -> Result<(), Refusal> {
    run.accept(if error.is_some() { Command::Fail } else { Command::Complete })?;
    driven_only(run, "it completes by itself")?;
    let (how, why) = match (run.state() == RunState::Stopping, error) {
        (true, _) => (End::Stopped, None),
        (false, Some(error)) => (End::Failed, Some(error)),
        (false, None) => (End::Completed, None),
    };
    advance::end(run, how, why, cx, out);
    Ok(())
}

//! Bringing the record and the world together after a start of the engine or of the supervisor.
//! Every finding becomes one decision that the operator can read.

use super::context::Context;
use super::definition::Body;
use super::input::{Exit, Found};
use super::model::Run;
use super::outbox::{Effect, Outbox};
use super::phase::{End, Phase, StopKind, Verdict};
use super::state::RunState;
use super::step::{shelve, started};
use super::step_end::{exited, lost, start_failed};
use super::step_phase::Ending;
use super::step_run::StepRun;
use super::tell::{decided, note, tell_if_frozen, tell_started};
use super::transition::StepChange;
use super::{advance, work};

/// Acts on what the step host knows of this run's steps.
pub(super) fn reconcile(run: &mut Run, found: Vec<Found>, cx: Context<'_>, out: &mut Outbox) {
    let is_same_boot = run.ledger.boot_id == cx.boot_id;
    if !is_same_boot {
        run.ledger.clock.forget_boot();
        run.ledger.boot_id = cx.boot_id.to_owned();
        if run.state() == RunState::Running {
            run.ledger.clock.start(cx.now);
        }
    }
    for (index, found) in found.into_iter().enumerate() {
        if matches!(found, Found::NotAsked) {
            // If it has started since the host was asked, the host knows it.
            continue;
        }
        if !is_same_boot {
            run.step_mut(index).ledger.clock.forget_boot();
        }
        if run.steps[index].phase.is_prepared() && found != Found::Nothing {
            // It was sent ahead of the commit that would have said so.
            advance::launch(run, index, cx);
        }
        if run.steps[index].state().is_live() {
            if let Some(ending) = run.steps[index].phase.ending().or_else(|| ending_of_all(run, index)) {
                run.step_mut(index).phase.end_for(ending);
            }
            meet(run, index, found, is_same_boot, cx, out);
        }
    }
    tell_if_frozen(run, Vec::new(), cx, out);
}

/// Why every step of the run is being ended, if this one is among them.
fn ending_of_all(run: &Run, index: usize) -> Option<Ending> {
    let is_finally = run.definition().is_some_and(|d| d.pipeline.steps[index].finally);
    match &run.phase {
        Phase::Stopping(StopKind::Force) => Some(Ending::Stop),
        _ if is_finally => None,
        Phase::Stopping(StopKind::Graceful) => Some(Ending::Stop),
        Phase::Running { verdict } | Phase::Paused { verdict, .. } => {
            matches!(verdict, Some(Verdict::TimedOut(_))).then_some(Ending::RunTimeout)
        }
        Phase::Queued { .. } | Phase::Ended { .. } => None,
    }
}

fn meet(run: &mut Run, index: usize, found: Found, is_same_boot: bool, cx: Context<'_>, out: &mut Outbox) {
    let attempt = run.steps[index].attempt;
    let name = format!("{} (attempt {attempt})", run.steps[index].id);
    if found != Found::Nothing {
        work::go_on(run, index, cx.now);
    }
    match found {
        Found::NotAsked => {}
        Found::Running { pid, started_at, frozen } => {
            decided(run, index, format!("{name} is alive as process {pid}: taken back"), cx, out);
            started(run, index, pid, started_at, out);
            align(run, index, frozen, out);
        }
        Found::Ending => {
            let text = format!("{name}: its process is gone; what it left behind is being ended");
            decided(run, index, text, cx, out);
            tell_started(run, index, out);
            run.step_mut(index).pid = None;
            if let Some(effect) = order_to_end(run, index) {
                out.effects.push(effect);
            }
        }
        Found::Exited(exit) => {
            let how = how_it_ended(&exit);
            decided(run, index, format!("{name} ended {how} while no engine was running: recorded"), cx, out);
            exited(run, index, exit, cx, out);
        }
        Found::StartFailed(reason) => {
            decided(run, index, format!("{name} could not be started: recorded"), cx, out);
            start_failed(run, index, &reason, cx, out);
        }
        Found::Nothing if is_same_boot && is_unconfirmed(&run.steps[index]) => {
            let fate = match (run.steps[index].phase.ending(), run.state()) {
                (Some(_), _) => "it is being ended, so it is not started any more",
                (None, RunState::Paused) => "it starts when the run goes on",
                (None, _) => "asked for again",
            };
            decided(run, index, format!("{name} was recorded but not confirmed: {fate}"), cx, out);
            // It waits again; `advance` starts it if the run may start steps.
            shelve(run, index, cx, out);
            run.step_mut(index).ledger.may_be_alive = true;
        }
        Found::Nothing => {
            let reason = if is_same_boot { "its process is gone" } else { "the machine was restarted" };
            lost(run, index, reason, cx, out);
        }
    }
}

/// Whether no news of an attempt has come since its start was recorded.
fn is_unconfirmed(step: &StepRun) -> bool {
    step.pid.is_none() && !step.ledger.told_started
}

/// The order to end a step that is being ended, once more.
fn order_to_end(run: &Run, index: usize) -> Option<Effect> {
    run.steps[index].phase.ending()?;
    let by_force = run.phase == Phase::Stopping(StopKind::Force);
    Some(if by_force { Effect::Kill(index) } else { Effect::Stop(index) })
}

/// Repeats the order that the run's state implies for a living step: the last one may not have arrived.
fn align(run: &mut Run, index: usize, frozen: bool, out: &mut Outbox) {
    if let Some(effect) = order_to_end(run, index) {
        run.step_mut(index).apply(StepChange::GoOn);
        out.effects.push(effect);
        return;
    }
    let freeze = run.phase.freeze_mut();
    match (freeze, frozen) {
        (Some(freeze), false) => {
            freeze.since = None;
            run.step_mut(index).apply(StepChange::GoOn);
            out.effects.push(Effect::Freeze(index));
        }
        (None, true) => {
            run.step_mut(index).apply(StepChange::GoOn);
            out.effects.push(Effect::Thaw(index));
        }
        (Some(_), true) => {
            run.step_mut(index).apply(StepChange::Freeze);
        }
        (None, false) => {
            run.step_mut(index).apply(StepChange::GoOn);
        }
    }
}

/// A driven run whose program is gone waits to be resumed.
pub(super) fn driver_lost(run: &mut Run, cx: Context<'_>, out: &mut Outbox) {
    if run.state().is_ended() || !matches!(run.body, Body::Driven) {
        return;
    }
    if run.ledger.boot_id != cx.boot_id {
        run.ledger.clock.forget_boot();
    }
    note(run, None, "the program that drove it is gone: interrupted".into(), cx, out);
    advance::end(run, End::Interrupted, Some("the program that drove it is gone".into()), cx, out);
}

fn how_it_ended(exit: &Exit) -> String {
    match (exit.code, exit.signal) {
        (Some(code), _) => format!("with code {code}"),
        (None, Some(signal)) => format!("by signal {signal}"),
        (None, None) => "unseen".to_owned(),
    }
}

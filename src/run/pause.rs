//! Freezes the processes of a run, and lets them go on.

use super::context::Context;
use super::definition::Body;
use super::event::EventKind;
use super::freeze::Freeze;
use super::model::Run;
use super::outbox::{Effect, Level, Outbox};
use super::state::{RunState, StepState};
use super::tell::{summary, tell_changed, tell_if_frozen};
use super::transition::{Change, Refusal, StepChange};

/// Freezes what lives. `execution_paused` follows when the whole tree is seen frozen.
///
/// # Errors
/// [`Refusal::State`] when it does not run.
pub(super) fn pause(run: &mut Run, freeze: Freeze, cx: Context<'_>, out: &mut Outbox) -> Result<(), Refusal> {
    run.apply(Change::Pause(freeze), cx.now)?;
    if matches!(run.body, Body::Driven) {
        out.effects.push(Effect::PauseSignal(Level::Raised));
    }
    for index in run.steps.indexes_in_state(StepState::is_live) {
        run.step_mut(index).ledger.clock.stop(cx.now);
        if run.steps[index].phase.may_go_on() {
            out.effects.push(Effect::Freeze(index));
        }
    }
    tell_if_frozen(run, Vec::new(), cx, out);
    Ok(())
}

/// Lets a paused run go on where it stands.
///
/// # Errors
/// [`Refusal::State`] when it is not paused.
pub(super) fn thaw(run: &mut Run, cx: Context<'_>, out: &mut Outbox) -> Result<(), Refusal> {
    run.apply(Change::Resume, cx.now)?;
    out.events.push(EventKind::ExecutionResumed { run: summary(run), from: RunState::Paused });
    if matches!(run.body, Body::Driven) {
        out.effects.push(Effect::PauseSignal(Level::Lowered));
    }
    for index in run.steps.indexes_in_state(StepState::is_live) {
        if !run.steps[index].phase.may_go_on() {
            continue;
        }
        run.step_mut(index).ledger.clock.start(cx.now);
        out.effects.push(Effect::Thaw(index));
        if run.steps.state(index) == StepState::Paused {
            run.step_mut(index).apply(StepChange::GoOn);
            tell_changed(run, index, out);
        }
    }
    Ok(())
}

//! Bringing the record and the world together after a start of the engine or of the supervisor.
//! Every finding becomes one decision that the operator can read.

use super::decide::{AutoResume, Context, Outbox};
use super::input::{Effect, Exit, Found, Record};
use super::step::{exited, finish, start_failed, started, tell_if_frozen};
use super::{Body, Decision, Ending, Launch, Run, RunState, StepState, Trigger, Verdict, advance, decide};
use crate::id::StepId;
use crate::pipeline::OnInterrupt;

/// How often in a row lost work is taken up again without asking.
pub const MAX_RESUMES_IN_ROW: u32 = 3;

/// Acts on what the step host knows of this run's steps.
pub(super) fn reconcile(run: &mut Run, found: Vec<Found>, cx: Context<'_>, out: &mut Outbox) {
    let is_same_boot = run.ledger.boot_id == cx.boot_id;
    if !is_same_boot {
        run.ledger.clock.forget_boot();
        run.ledger.boot_id = cx.boot_id.to_owned();
        if matches!(run.state, RunState::Running) {
            run.ledger.clock.start(cx.now);
        }
    }
    let resumes_before = run.ledger.resumes_in_row;
    for (index, found) in found.into_iter().enumerate() {
        if !is_same_boot {
            run.step_mut(index).ledger.clock.forget_boot();
        }
        let is_prepared = run.steps[index].ledger.launch == Launch::Prepared
            && run.steps[index].state == StepState::Waiting;
        let is_known = !matches!(found, Found::NotAsked | Found::Nothing);
        if is_prepared && is_known {
            // It was sent ahead of the commit that would have said so.
            advance::launch(run, index, cx);
            if run.state == RunState::Stopping {
                run.step_mut(index).ledger.ending = Some(Ending::Stop);
            }
        }
        if run.steps[index].state.is_live() {
            meet(run, index, found, is_same_boot, cx, out);
        }
    }
    // Several steps lost at once are one loss.
    run.ledger.resumes_in_row = run.ledger.resumes_in_row.min(resumes_before + 1);
    tell_if_frozen(run, Vec::new(), cx, out);
}

fn meet(run: &mut Run, index: usize, found: Found, is_same_boot: bool, cx: Context<'_>, out: &mut Outbox) {
    let attempt = run.steps[index].attempt;
    let name = format!("{} (attempt {attempt})", run.steps[index].id);
    match found {
        Found::Running { pid, started_at, frozen } => {
            decided(run, index, format!("{name} lives as process {pid}: taken back"), cx, out);
            started(run, index, pid, started_at, out);
            align(run, index, frozen, out);
        }
        Found::Exited(exit) => {
            let how = how_it_ended(&exit);
            decided(run, index, format!("{name} ended {how} while no engine lived: recorded"), cx, out);
            exited(run, index, exit, cx, out);
        }
        Found::StartFailed(reason) => {
            decided(run, index, format!("{name} could not be started: recorded"), cx, out);
            start_failed(run, index, &reason, cx, out);
        }
        Found::NotAsked | Found::Nothing if is_same_boot && run.steps[index].pid.is_none() => {
            decided(run, index, format!("{name} was recorded but not confirmed: asked for again"), cx, out);
            out.effects.push(Effect::Start { index, may_be_alive: true });
        }
        Found::NotAsked | Found::Nothing => {
            let reason = if is_same_boot { "its process is gone" } else { "the machine was restarted" };
            lost(run, index, reason, cx, out);
        }
    }
}

/// Gives a living step once more the order that its run's state implies: the last one may not have arrived.
fn align(run: &mut Run, index: usize, frozen: bool, out: &mut Outbox) {
    if run.steps[index].ledger.ending.is_some() {
        let force = run.ledger.verdict == Some(Verdict::ForceStopped);
        out.effects.push(if force { Effect::Kill(index) } else { Effect::Stop(index) });
        return;
    }
    let should_be_frozen = run.state == RunState::Paused;
    match (should_be_frozen, frozen) {
        (true, false) => {
            run.step_mut(index).state = StepState::Running;
            run.ledger.frozen_since = None;
            out.effects.push(Effect::Freeze(index));
        }
        (false, true) => {
            run.step_mut(index).state = StepState::Running;
            out.effects.push(Effect::Thaw(index));
        }
        (true, true) => run.step_mut(index).state = StepState::Paused,
        (false, false) => run.step_mut(index).state = StepState::Running,
    }
}

/// A step's process is gone and nobody knows how it ended.
pub(super) fn lost(run: &mut Run, index: usize, reason: &str, cx: Context<'_>, out: &mut Outbox) {
    let Some(model) = run.definition().and_then(|d| d.pipeline.steps.get(index)).cloned() else { return };
    let name = format!("{} (attempt {})", model.id, run.steps[index].attempt);
    let step = run.step_mut(index);
    step.finished_at.get_or_insert(cx.now.wall);
    step.ledger.clock.stop(cx.now);
    if step.ledger.ending == Some(Ending::Stop) {
        decided(run, index, format!("{name} was being stopped, and is gone: {reason}"), cx, out);
        finish(run, index, StepState::Stopped, None, out);
        return;
    }
    let ask = |run: &mut Run, why: String| {
        run.ledger.verdict.get_or_insert(Verdict::Interrupted(why));
    };
    match model.on_interrupt {
        OnInterrupt::Skip => {
            decided(
                run,
                index,
                format!("{name} was lost ({reason}); passed over, as on_interrupt says"),
                cx,
                out,
            );
            finish(run, index, StepState::Skipped, Some(format!("was lost: {reason}")), out);
        }
        OnInterrupt::Ask => {
            decided(run, index, format!("{name} was lost ({reason}); asks, as on_interrupt says"), cx, out);
            finish(run, index, StepState::Interrupted, Some(format!("was lost: {reason}")), out);
            ask(run, format!("step {} was lost: {reason}; look at what it did, then resume", model.id));
        }
        OnInterrupt::Rerun if cx.auto_resume == AutoResume::No => {
            decided(run, index, format!("{name} was lost ({reason}); waits to be resumed"), cx, out);
            finish(run, index, StepState::Interrupted, Some(format!("was lost: {reason}")), out);
            ask(run, format!("step {} was lost: {reason}; resume to run it again", model.id));
        }
        OnInterrupt::Rerun if run.ledger.resumes_in_row >= MAX_RESUMES_IN_ROW => {
            decided(
                run,
                index,
                format!("{name} was lost ({reason}) for the fourth time in a row: asks"),
                cx,
                out,
            );
            finish(run, index, StepState::Interrupted, Some(format!("was lost: {reason}")), out);
            let why = format!("no step completed between {MAX_RESUMES_IN_ROW} automatic resumes");
            ask(run, format!("step {} was lost: {reason}; {why}; resume it by hand", model.id));
        }
        OnInterrupt::Rerun => {
            decided(
                run,
                index,
                format!("{name} was lost ({reason}); runs again from its last checkpoint"),
                cx,
                out,
            );
            finish(run, index, StepState::Interrupted, Some(format!("was lost: {reason}")), out);
            out.records.push(Record::EndedAttempt(run.steps[index].clone()));
            run.step_mut(index).fresh_attempt();
            run.ledger.resumes_in_row += 1;
            run.trigger = Trigger::Recovery;
            advance::refresh_progress(run, out);
        }
    }
}

/// A driven run whose program is gone waits to be resumed.
pub(super) fn driver_lost(run: &mut Run, cx: Context<'_>, out: &mut Outbox) {
    if run.state.is_ended() || !matches!(run.body, Body::Driven) {
        return;
    }
    if run.ledger.boot_id != cx.boot_id {
        run.ledger.clock.forget_boot();
    }
    decide::close_freeze(run, cx.now);
    note(run, None, "the program that drove it is gone: interrupted".into(), cx, out);
    advance::conclude(run, Verdict::Interrupted("the program that drove it is gone".into()), cx, out);
}

fn decided(run: &Run, index: usize, text: String, cx: Context<'_>, out: &mut Outbox) {
    note(run, Some(run.steps[index].id.clone()), text, cx, out);
}

fn note(run: &Run, step_id: Option<StepId>, text: String, cx: Context<'_>, out: &mut Outbox) {
    let decision = Decision { at: cx.now.wall, run_id: run.id.clone(), step_id, text };
    out.records.push(Record::Decision(decision));
}

fn how_it_ended(exit: &Exit) -> String {
    match (exit.code, exit.signal) {
        (Some(code), _) => format!("with code {code}"),
        (None, Some(signal)) => format!("by signal {signal}"),
        (None, None) => "unseen".to_owned(),
    }
}

//! Admission of a run: whether it may begin, whether one of its steps may start, and what it waits for.

use std::cell::OnceCell;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::context::{Context, Starts};
use super::definition::Definition;
use super::event::EventKind;
use super::hold;
use super::model::Run;
use super::outbox::Outbox;
use super::phase::Phase;
use super::state::{RunState, StepState};
use super::step_run::StepRun;
use super::tell::{summary, tell_changed};
use super::transition::{Change, Refusal};
use crate::admission::{
    Admission, Footprints, Need, Rank, RunClaim, RunRequest, StepClaim, StepRequest, Wait,
};
use crate::base::id::StepId;
use crate::pipeline::{OnBattery, Step};

/// What a run holds; none where it has not begun, has ended, or is driven by a program.
pub fn claim_of(run: &Run, admission: &Admission) -> Option<RunClaim> {
    let definition = run.definition()?;
    if run.state() == RunState::Queued || run.state().is_ended() {
        return None;
    }
    Some(RunClaim {
        pipeline_id: run.pipeline_id.clone(),
        group: definition.pipeline.group.clone(),
        since: run.started_at,
        frozen_since: run.phase.frozen_since(),
        steps: living_claims(run, definition, footprints(run, admission)),
    })
}

/// A run's place in the queue; none where nothing of it waits to be admitted.
pub fn rank_of(run: &Run, admission: &Admission, now: DateTime<Utc>) -> Option<Rank> {
    let since = waits_since(run)?;
    Some(Rank::new(run.id.clone(), run.ledger.priority, since, admission.policy.ageing, now))
}

/// Since when something of the run waits to be admitted.
fn waits_since(run: &Run) -> Option<DateTime<Utc>> {
    match run.phase {
        Phase::Queued { .. } => Some(run.started_at),
        Phase::Running { .. } => {
            run.steps.waiting().filter_map(|(_, step)| step.phase.wait()).map(|(_, since)| *since).min()
        }
        Phase::Paused { .. } | Phase::Stopping(_) | Phase::Ended { .. } => None,
    }
}

/// What the steps of the run wait for, as recorded, each with what the step needs.
pub fn waits<'a>(run: &'a Run, admission: &'a Admission) -> impl Iterator<Item = (&'a Wait, StepClaim)> {
    let definition = run.definition();
    let models = definition.map_or(&[][..], |definition| &definition.pipeline.steps);
    let of_step = move |(index, step): (usize, &'a Arc<StepRun>)| {
        Some((&*step.phase.wait()?.0, step_claim(models.get(index)?, footprints(run, admission))))
    };
    run.steps.waiting().filter_map(of_step)
}

/// What waits to be admitted, with the figures of now: the run itself (none), or its steps.
pub fn current_waits(run: &Run, cx: Context<'_>) -> Vec<(Option<StepId>, Wait)> {
    let Some(definition) = run.definition() else { return Vec::new() };
    if let Some(known) = run.phase.wait() {
        let wait = may_begin(run, definition, cx).unwrap_or_else(|| (**known).clone());
        return vec![(None, wait)];
    }
    let own = OnceCell::new();
    let of_step = |(index, step): (usize, &Arc<StepRun>)| {
        let (known, _) = step.phase.wait()?;
        let wait = may_start(run, definition, index, &own, cx).unwrap_or_else(|| (**known).clone());
        Some((Some(step.id.clone()), wait))
    };
    run.steps.waiting().filter_map(of_step).collect()
}

/// Why the run may not begin; none: it may.
pub(super) fn may_begin(run: &Run, definition: &Definition, cx: Context<'_>) -> Option<Wait> {
    if cx.starts == Starts::Held {
        return Some(Wait::Closed);
    }
    if run.ledger.is_admitted {
        return None;
    }
    let was_held_by_quiet = matches!(run.phase, Phase::Queued { is_held_by_quiet: true, .. });
    held_by_limit(cx).or_else(|| {
        cx.admission.run(RunRequest { pipeline: &definition.pipeline, was_held_by_quiet }, cx.now)
    })
}

fn held_by_limit(cx: Context<'_>) -> Option<Wait> {
    let is_held = cx.starts == Starts::CleanUpOnly;
    is_held.then(|| Wait::Limit { reason: cx.held_for.unwrap_or_default().to_owned() })
}

/// Whether the run has not begun and waits for the same as before, so that there is nothing to decide.
pub fn waits_on(run: &Run, cx: Context<'_>) -> bool {
    let (Some(definition), Some(known)) = (run.definition(), run.phase.wait()) else { return false };
    may_begin(run, definition, cx).is_some_and(|wait| cx.admission.is_still(known, &wait))
}

/// Lets a queued run begin.
pub(super) fn come_to_run(run: &mut Run, cx: Context<'_>) {
    // A queued run accepts this always.
    if run.apply(Change::Begin, cx.now).is_ok() {
        hold::meet_what_is(run, cx);
    }
}

/// Keeps the run queued: recorded and published when the reason has changed.
pub(super) fn stand_in_line(run: &mut Run, wait: Wait, cx: Context<'_>, out: &mut Outbox) {
    let Phase::Queued { wait: known, is_held_by_quiet } = &mut run.phase else { return };
    if known.as_ref().is_some_and(|known| cx.admission.is_still(known, &wait)) {
        return;
    }
    *is_held_by_quiet |= matches!(wait, Wait::Quiet { .. });
    run.error = Some(wait.sentence(cx.now.wall).into());
    *known = Some(Arc::new(wait));
    out.events.push(EventKind::ExecutionQueued { run: summary(run) });
}

/// What keeps a step from starting; none: it may. `own` caches what the living steps of the run hold: the caller empties
/// it when it lets a step start.
pub(super) fn may_start(
    run: &Run,
    definition: &Definition,
    index: usize,
    own: &OnceCell<Vec<StepClaim>>,
    cx: Context<'_>,
) -> Option<Wait> {
    let n_own = || run.steps.count(StepState::is_live);
    if let Some(wait) = cx.admission.max_steps.and_then(|_| cx.admission.one_more(&run.id, n_own())) {
        return Some(wait);
    }
    if run.ledger.is_admitted {
        return None;
    }
    if definition.pipeline.on_battery == OnBattery::Hold && cx.admission.is_on_battery() {
        return Some(Wait::Battery);
    }
    held_by_limit(cx).or_else(|| {
        let step = &definition.pipeline.steps[index];
        let need = Need::of(step, footprints(run, cx.admission));
        if need.is_none() {
            return None;
        }
        let own = own.get_or_init(|| living_claims(run, definition, footprints(run, cx.admission)));
        cx.admission.step(StepRequest { run_id: &run.id, need, folder: &step.working_dir, own })
    })
}

/// Lets a ready step wait to be admitted: published when the reason has changed.
pub(super) fn hold_back(run: &mut Run, index: usize, wait: Wait, cx: Context<'_>, out: &mut Outbox) {
    let known = run.steps[index].phase.wait();
    if known.is_some_and(|(known, _)| cx.admission.is_still(known, &wait)) {
        return;
    }
    let mut step = run.step_mut(index);
    step.message = Some(wait.sentence(cx.now.wall).into());
    if let Some(prepared) = step.phase.prepared_mut() {
        let since = prepared.wait.take().map_or(cx.now.wall, |(_, since)| since);
        prepared.wait = Some((Arc::new(wait), since));
    }
    drop(step);
    tell_changed(run, index, out);
}

/// Starts it although what it waits for is not there. This holds for this attempt of the run.
///
/// # Errors
/// [`Refusal::Other`] when nothing of it waits to be admitted.
pub(super) fn admit(run: &mut Run) -> Result<(), Refusal> {
    if run.definition().is_none() || waits_since(run).is_none() {
        let reason = "neither it nor one of its steps waits to be admitted".to_owned();
        return Err(Refusal::Other { run_id: run.id.clone(), reason });
    }
    run.ledger.is_admitted = true;
    Ok(())
}

fn footprints<'a>(run: &Run, admission: &'a Admission) -> Option<&'a Footprints> {
    admission.footprints.get(&run.pipeline_id).map(|known| &**known)
}

fn living_claims(run: &Run, definition: &Definition, footprints: Option<&Footprints>) -> Vec<StepClaim> {
    let living = run.steps.in_state(StepState::is_live);
    living.map(|(index, _)| step_claim(&definition.pipeline.steps[index], footprints)).collect()
}

fn step_claim(step: &Step, footprints: Option<&Footprints>) -> StepClaim {
    StepClaim { step_id: step.id.clone(), need: Need::of(step, footprints), folder: step.working_dir.clone() }
}

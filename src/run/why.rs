//! The answers to "why?": of a run and of each step of it that does not go on one cause, one holder, one thing to do.
//!
//! One function makes them ([`why`]); the window, the command line and the control socket show what it says.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::definition::Definition;
use super::freeze::{Freeze, Hold};
use super::model::Run;
use super::phase::{End, Phase};
use super::state::{RunState, StepState};
use super::step_run::StepRun;
use crate::admission::{Remedy, Wait};
use crate::base::id::{RunId, StepId};
use crate::base::time::local_clock;
use crate::base::units::{about, duration_in_words};
use crate::pipeline::Step;
use crate::resources::Spread;

/// One answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Why {
    /// Of which step; none: of the run.
    pub step_id: Option<StepId>,
    /// The cause, and who has what is waited for; without a full stop.
    pub text: String,
    /// The run to look at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<RunId>,
    /// What to do about it; none where there is nothing to be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<Remedy>,
}

/// What an answer may know besides the run.
#[derive(Debug, Clone, Copy)]
pub struct WhyContext<'a> {
    /// The wall clock.
    pub now: DateTime<Utc>,
    /// What of the run waits to be admitted, with the figures of now; where nothing is said, as it was recorded.
    pub waits: &'a [(Option<StepId>, Wait)],
    /// Whether an engine has the run.
    pub is_live: bool,
    /// Steps at once where the pipeline does not say.
    pub n_cpus: usize,
}

impl Why {
    fn of_run(text: impl Into<String>) -> Self {
        Self { step_id: None, text: text.into(), holder: None, remedy: None }
    }

    fn of_step(step: &StepRun, text: impl Into<String>) -> Self {
        Self { step_id: Some(step.id.clone()), ..Self::of_run(text) }
    }

    fn with(self, remedy: Remedy) -> Self {
        Self { remedy: Some(remedy), ..self }
    }

    fn of_wait(step_id: Option<StepId>, wait: &Wait, run: &Run, now: DateTime<Utc>) -> Self {
        Self {
            step_id,
            text: wait.sentence(now),
            holder: wait.holder().cloned(),
            remedy: Some(wait.remedy(&run.id)),
        }
    }
}

/// Why the run is as it is, and then why each of its steps that has not ended and does not run waits. Where the whole run
/// waits for one of its steps, the first answer names it.
pub fn why(run: &Run, cx: WhyContext<'_>) -> Vec<Why> {
    let mut answers = vec![of_run(run, cx)];
    if let Some(definition) = run.definition() {
        let of_steps = (0..run.steps.len()).filter_map(|index| of_step(run, definition, index, cx));
        // The step for which the whole run waits was named already.
        let named = answers[0].step_id.clone();
        answers.extend(of_steps.filter(|why| why.step_id != named));
    }
    answers
}

fn of_run(run: &Run, cx: WhyContext<'_>) -> Why {
    let id = &run.id;
    if !cx.is_live && !run.state().is_ended() && run.state() != RunState::Paused {
        let text = format!("It is {}, and no engine is running: nothing starts until one does", run.state());
        return Why::of_run(text).with(Remedy::by("leverframe serve --detach", "start an engine"));
    }
    match &run.phase {
        Phase::Queued { .. } => match wait_of(run, None, cx) {
            Some(wait) => Why::of_wait(None, &wait, run, cx.now),
            None => Why::of_run("Waiting for its turn"),
        },
        Phase::Running { .. } => running(run, cx),
        Phase::Paused { freeze, .. } => paused(run, freeze, cx),
        Phase::Stopping(_) => {
            let ending = run.steps.iter().find(|step| step.state().is_live());
            let text = match ending {
                Some(step) => format!("It is being stopped: step {} is in its grace period", step.id),
                None => "It is being stopped".to_owned(),
            };
            Why::of_run(text).with(Remedy::by(format!("leverframe stop --force {id}"), "end it at once"))
        }
        Phase::Ended { end, .. } => {
            let error = run.error.as_deref().unwrap_or("no reason was recorded");
            match end {
                End::Stopped => taken_up(Why::of_run("It was stopped"), id),
                End::ForceStopped => taken_up(Why::of_run("It was stopped by force"), id),
                End::Failed => taken_up(Why::of_run(format!("It failed: {error}")), id),
                End::Interrupted => taken_up(Why::of_run(format!("It was interrupted: {error}")), id),
                End::Completed => Why::of_run("It completed"),
            }
        }
    }
}

fn taken_up(why: Why, id: &RunId) -> Why {
    why.with(Remedy::by(format!("leverframe resume {id}"), "continue it; finished steps are not run again"))
}

fn running(run: &Run, cx: WhyContext<'_>) -> Why {
    if let Some(step) = run.steps.iter().find(|step| step.state().is_live()) {
        let since = step.started_at.map_or_else(String::new, |at| format!(" for {}", about(cx.now - at)));
        let attempt = if step.attempt > 1 { format!(", attempt {}", step.attempt) } else { String::new() };
        return Why::of_run(format!("It runs: step {}{since}{attempt}", step.id));
    }
    let waits = run.steps.iter().find_map(|step| Some((step, wait_of(run, Some(step), cx)?)));
    match waits {
        Some((step, wait)) => Why::of_wait(Some(step.id.clone()), &wait, run, cx.now),
        None => Why::of_run("It runs, but none of its steps does at this moment"),
    }
}

fn paused(run: &Run, freeze: &Freeze, cx: WhyContext<'_>) -> Why {
    let resume = || Remedy::by(format!("leverframe resume {}", run.id), "let it go on");
    let since = match freeze.since {
        Some(since) => format!(" for {}", about(cx.now - since)),
        None => " as soon as all its processes stand still".to_owned(),
    };
    let Some((hold, reason)) = freeze.holds.iter().next() else {
        return Why::of_run(format!("Frozen{since}: the operator has paused it")).with(resume());
    };
    let reason = reason.trim_start_matches("frozen: ").trim_start_matches("held: ");
    let why = Why::of_run(format!("Frozen{since}: {reason}"));
    why.with(match hold {
        Hold::DiskFull => Remedy::only("make room on the disk; it goes on by itself"),
        Hold::Quiet => Remedy::by("leverframe quiet --off", "end the quiet"),
        Hold::Limit | Hold::Secret | Hold::Battery => resume(),
    })
}

fn of_step(run: &Run, definition: &Definition, index: usize, cx: WhyContext<'_>) -> Option<Why> {
    let (step, model) = (&run.steps[index], &definition.pipeline.steps[index]);
    match step.state() {
        StepState::Failed | StepState::Interrupted | StepState::Stopped => {
            let error = step.error.as_deref()?;
            Some(Why::of_step(step, format!("It {error}")))
        }
        StepState::Waiting if run.state() == RunState::Running => Some(waiting(run, definition, index, cx)),
        StepState::Pending if run.state() == RunState::Running => Some(pending(run, definition, step, model)),
        StepState::Pending
        | StepState::Waiting
        | StepState::Running
        | StepState::Paused
        | StepState::Completed
        | StepState::Skipped => None,
    }
}

fn waiting(run: &Run, definition: &Definition, index: usize, cx: WhyContext<'_>) -> Why {
    let step = &run.steps[index];
    if let Some(at) = step.phase.retry_at() {
        let before = step.message.as_deref().unwrap_or("its last attempt failed");
        let text = format!("Waiting for its next attempt at {}: {before}", local_clock(at, cx.now));
        return Why::of_step(step, text);
    }
    if let Some(wait) = wait_of(run, Some(step), cx) {
        return Why::of_wait(Some(step.id.clone()), &wait, run, cx.now);
    }
    let living: Vec<_> = run.steps.iter().filter(|step| step.state().is_live()).collect();
    let width = definition.pipeline.max_parallel.unwrap_or(cx.n_cpus);
    match living.first().filter(|_| step.phase.is_prepared()) {
        Some(holder) => {
            let text = format!(
                "Waiting for a slot of its run: {} of {width} taken; step {} has one",
                living.len(),
                holder.id
            );
            Why::of_step(step, text).with(Remedy::only("raise `max_parallel` of the pipeline"))
        }
        None => Why::of_step(step, step.message.as_deref().unwrap_or("Waiting for its turn")),
    }
}

fn pending(run: &Run, definition: &Definition, step: &StepRun, model: &Step) -> Why {
    let all = &definition.pipeline.steps;
    let open = if model.finally {
        let mut others =
            run.steps.iter().zip(all).filter(|(other, model)| !model.finally && !other.state().is_ended());
        others.next().map(|(other, _)| other)
    } else {
        model.needs.iter().map(|need| &run.steps[*need]).find(|need| !need.state().is_ended())
    };
    match open {
        Some(open) => {
            let how = match open.state() {
                StepState::Running => "runs",
                StepState::Paused => "is frozen",
                StepState::Waiting if open.attempt > 1 => "waits for its next attempt",
                StepState::Pending
                | StepState::Waiting
                | StepState::Completed
                | StepState::Failed
                | StepState::Skipped
                | StepState::Stopped
                | StepState::Interrupted => "has not begun",
            };
            Why::of_step(step, format!("Waiting for step {}, which {how}", open.id))
        }
        None => Why::of_step(step, "Its turn is next"),
    }
}

/// What the run, or one of its steps, waits for: as it is now, or else as it was recorded.
fn wait_of(run: &Run, step: Option<&StepRun>, cx: WhyContext<'_>) -> Option<Wait> {
    let step_id = step.map(|step| &step.id);
    let now = cx.waits.iter().find(|(of, _)| of.as_ref() == step_id).map(|(_, wait)| wait.clone());
    let recorded = || match step {
        Some(step) => step.phase.wait().map(|(wait, _)| (**wait).clone()),
        None => run.phase.wait().map(|wait| (**wait).clone()),
    };
    now.or_else(recorded)
}

/// How much longer than usual something takes: a sentence where that is worth one.
pub fn slower_than_usual(what: &str, seconds: f64, is_over: bool, usual: Spread) -> Option<String> {
    // A few runs tell nothing, and small differences are no reason.
    let is_slow =
        usual.n >= 3 && seconds > usual.p95 && seconds > usual.median * 1.5 && seconds - usual.median > 1.0;
    let span = |seconds: f64| match Duration::try_from_secs_f64(seconds.round()) {
        Ok(whole) if !whole.is_zero() => duration_in_words(whole),
        Ok(_) | Err(_) => "less than a second".to_owned(),
    };
    is_slow.then(|| {
        let took = if is_over { "took" } else { "has taken so far" };
        format!("{what} {took} {}, usually {} (median of {})", span(seconds), span(usual.median), usual.n)
    })
}

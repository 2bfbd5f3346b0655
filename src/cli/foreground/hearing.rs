//! Handling the engine's events: what is shown, what is remembered for the end, and which event is that end.

use std::collections::BTreeMap;

use super::super::exit::Failure;
use super::{End, Foreground, HELD, StopAsked, Suspension, Until};
use crate::api::exit_code::FAILED;
use crate::api::{Command, SILENT};
use crate::base::id::{RunId, StepId};
use crate::run::{Event, EventKind, StepRun, StepState};

/// What a run had lost before it was resumed. An end of the run that follows from the loss is not the awaited one.
#[derive(Debug, Default)]
pub(super) struct Lost {
    /// Attempts whose processes are gone and whose ends will still be reported.
    dying: BTreeMap<StepId, u32>,
    /// One of them has ended badly.
    has_ended: bool,
}

impl Foreground {
    /// Handles one event: shows it if it is about this run or about no run.
    pub(super) fn hear(
        &mut self,
        event: &Event,
        run_id: &RunId,
        until: Until,
        counts_ends: bool,
    ) -> Result<Option<End>, Failure> {
        if matches!(event.kind, EventKind::Resync) {
            return if counts_ends { self.end_on_disk(run_id) } else { Ok(None) };
        }
        let is_ours = is_of(event, run_id);
        if !(is_ours || event.run_id.is_none()) || (is_end(event) && !counts_ends) {
            return Ok(None);
        }
        self.show(event, run_id);
        if let EventKind::WarningRaised { text } | EventKind::ResourceAlert { text, cleared: false } =
            &event.kind
            && text.starts_with(SILENT)
            && matches!(until, Until::Frozen | Until::Stopped)
        {
            // The awaited event may never come.
            return Err(Failure::new(FAILED, format!("run {run_id}: {text}")));
        }
        if is_ours && let Some(step) = event.kind.step() {
            let is_dying = self.lost.dying.get(&step.step_id) == Some(&step.attempt);
            let ended_badly = matches!(step.state, StepState::Failed | StepState::Interrupted);
            self.lost.has_ended |= is_dying && ended_badly;
        }
        let Some(run) = event.kind.run().filter(|_| is_ours) else { return Ok(None) };
        if is_end(event) {
            let is_lost = std::mem::take(&mut self.lost).has_ended && run.state.is_resumable();
            if is_lost && self.asked == StopAsked::No {
                self.command(Command::resume(run_id))?;
                return Ok(None);
            }
            return Ok(Some(End::Ended(run.state)));
        }
        if matches!(event.kind, EventKind::ExecutionPaused { .. }) {
            let reason = run.error.as_deref().and_then(|error| error.strip_prefix(HELD));
            if let Some(reason) = reason {
                return Ok(Some(End::Held(reason.to_owned())));
            }
            if self.suspension == Suspension::Freezing {
                self.suspend(run_id)?;
            }
            if until == Until::Frozen {
                return Ok(Some(End::Reached));
            }
        }
        Ok(None)
    }

    /// Remembers the log of a failed step until the step is retried.
    fn note_failure(&mut self, event: &Event) {
        let Some(step) = event.kind.step() else { return };
        match (&step.log, step.state) {
            (Some(log), StepState::Failed) => {
                self.failed.insert(
                    step.step_id.clone(),
                    (step.attempt, self.link.backend.data_dir().path().join(&**log)),
                );
            }
            (_, _) => drop(self.failed.remove(&step.step_id)),
        }
    }

    /// Shows an event if it is about this run or about no run.
    pub(super) fn show(&mut self, event: &Event, run_id: &RunId) {
        if let EventKind::RecoveryDecided { decisions } = &event.kind {
            let ours: Vec<_> = decisions.iter().filter(|it| it.run_id == *run_id).collect();
            if self.painter.is_for_people() {
                ours.iter().for_each(|it| self.painter.remark(&format!("recovery: {}", it.text)));
            } else if !ours.is_empty() {
                self.painter.show(event);
            }
        } else if event.run_id.is_none() || is_of(event, run_id) {
            self.note_failure(event);
            self.painter.show(event);
        }
    }

    /// Notes what is lost of the run: attempts that were recovered although their processes are gone, and whose ends
    /// will still be reported. If the run ends because of them, it is resumed once more, because the operator asked for
    /// that.
    pub(in crate::cli) fn take_up_if_lost(&mut self, run_id: &RunId) {
        let Some(engine) = self.engine() else { return };
        let snapshot = engine.snapshot();
        let steps = snapshot.runs.get(run_id).into_iter().flat_map(|run| run.steps.iter());
        let is_gone =
            |step: &StepRun| step.state().is_live() && step.pid.is_none() && step.ledger.told_started;
        let dying = steps.filter(|step| is_gone(step)).map(|step| (step.id.clone(), step.attempt));
        self.lost.dying = dying.collect();
    }
}

pub(super) fn is_of(event: &Event, run_id: &RunId) -> bool {
    event.run_id.as_ref() == Some(run_id)
}

fn is_end(event: &Event) -> bool {
    event.kind.run().is_some_and(|run| run.state.is_ended())
}

//! Who waits to be admitted, and when they are looked at again: in each turn in which something has happened, be it the end
//! of another, a sample or an order. The rules are those of [`crate::admission`]; here they are applied to the line.

use std::sync::Arc;

use chrono::DateTime;
use crossbeam_channel::bounded;
use serde::{Deserialize, Serialize};

use super::beats::Batch;
use super::clock;
use super::core::Engine;
use super::error::EngineError;
use super::handle::CoreExecutionEngine;
use super::message::{Message, PendingInput};
use super::orders::TURN;
use crate::admission::{AdmissionPolicy, Footprints, Rank, Wait};
use crate::base::id::{PipelineId, RunId, StepId};
use crate::pipeline::OnBattery;
use crate::resources::ResourceSnapshot;
use crate::run::{Definition, Input, Run, RunState, claim_of, current_waits, rank_of, waits, waits_on};

/// Between two tellings of who has what is waited for.
const TELL_HOLDERS_MS: u64 = 2000;

/// Something that waits to be admitted, as things are now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CurrentWait {
    /// Which run.
    pub run_id: RunId,
    /// Which step of it; none: the run has not begun.
    pub step_id: Option<StepId>,
    /// For what.
    pub wait: Wait,
}

/// When those who wait are told who has what they wait for, on the clock of awake time.
#[derive(Debug, Default)]
pub(super) struct WaitNotices {
    /// When they were told last.
    told_at_ms: u64,
    /// When they are to be told what has been kept from them since then; none: they know.
    pub(super) due_at_ms: Option<u64>,
}

impl CoreExecutionEngine {
    /// Has a run begin, or what waits of it start, although what it waits for is not there.
    ///
    /// # Errors
    /// [`EngineError::NotFound`], or [`EngineError::Refused`] when nothing of it waits to be admitted.
    pub fn admit_execution(&self, run_id: &RunId) -> Result<(), EngineError> {
        self.ask(run_id, Input::Admit).map(drop)
    }

    /// From now on this is allowed at once. What runs already goes on.
    ///
    /// # Errors
    /// [`EngineError::ShutDown`] when the engine has ended.
    pub fn set_admission(&self, policy: AdmissionPolicy) -> Result<(), EngineError> {
        self.send(Message::Policy(Box::new(policy)))
    }

    /// Takes a sample of the machine and its steps: limits, admission and power follow from it. Returns at once; what
    /// comes of it is told as events.
    ///
    /// # Errors
    /// [`EngineError::ShutDown`] when the engine has ended.
    pub fn take_sample(&self, sample: Arc<ResourceSnapshot>) -> Result<(), EngineError> {
        self.send(Message::Sample(sample))
    }

    /// Whether something waits that each sample may let start. What limits and power say is to be told in any case.
    pub fn wants_samples(&self) -> bool {
        self.published().wants_samples()
    }

    /// Everything that waits to be admitted, with the figures of this moment; in the order of runs and steps.
    ///
    /// # Errors
    /// [`EngineError::ShutDown`] when the engine has ended.
    pub fn waits(&self) -> Result<Vec<CurrentWait>, EngineError> {
        // Capacity 1: the one answer.
        let (reply, answer) = bounded(1);
        self.send(Message::Waits(reply))?;
        answer.recv().map_err(|_| EngineError::ShutDown)
    }

    /// What the steps of a pipeline usually need, read before its run is handed over: not on the engine's thread. What
    /// can't be read is not known, and nothing waits for it.
    pub(super) fn footprints(&self, run: &Run) -> Option<Arc<Footprints>> {
        let definition = run.definition()?;
        let n_steps = definition.pipeline.steps.len();
        self.store().footprints(&run.pipeline_id, n_steps).ok().map(Arc::new)
    }
}

impl Engine {
    /// Takes a sample in: what limits say of it, and what power says.
    pub(super) fn translate_sample(&mut self, sample: Arc<ResourceSnapshot>, heard: &mut Vec<PendingInput>) {
        self.translate_limits(&sample, heard);
        self.admission.machine = Some(sample);
        let on_battery = self.admission.is_on_battery();
        if self.is_on_battery.replace(on_battery) != Some(on_battery) {
            let minding = self.minding_power.iter().cloned();
            heard.extend(minding.map(|run_id| PendingInput::world(run_id, Input::Power { on_battery })));
        }
    }

    /// So many steps may live at once: who waits for that is looked at again.
    pub(super) fn take_capacity(&mut self, n_steps: usize) {
        self.admission.max_steps = Some(n_steps);
        self.is_line_stale = true;
    }

    /// What was measured last, for the decisions to come.
    pub(super) fn look_at_machine(&mut self) {
        if let Some(newest) = self.options.monitor.as_ref().and_then(|monitor| monitor.get_snapshot()) {
            self.admission.machine = Some(newest);
        }
    }

    /// Takes note of what a run holds and whether it waits, as it was decided.
    pub(super) fn note(&mut self, run: &Run) {
        self.admission.note(&run.id, claim_of(run, &self.admission));
        let minds = |definition: &Arc<Definition>| definition.pipeline.on_battery != OnBattery::Ignore;
        if !run.state.is_ended() && run.definition().is_some_and(minds) {
            self.minding_power.insert(run.id.clone());
        } else {
            self.minding_power.remove(&run.id);
        }
        if rank_of(run, &self.admission, DateTime::UNIX_EPOCH).is_some() {
            self.waiting.insert(run.id.clone());
        } else {
            self.waiting.remove(&run.id);
        }
    }

    /// A run is held here no more, or a decision about it was lost: what counts is what is left.
    pub(super) fn note_anew(&mut self, run_id: &RunId) {
        match self.runs.get(run_id).map(|entry| entry.run.clone()) {
            Some(run) => self.note(&run),
            None => {
                self.admission.note(run_id, None);
                self.waiting.remove(run_id);
                self.minding_power.remove(run_id);
            }
        }
    }

    /// Gives everybody in the line a chance, in its order. Called once in each turn in which something has happened.
    pub(super) fn admit_waiting(&mut self) {
        let is_open = self.outage.is_none() && self.closing.is_none();
        if !is_open || !std::mem::take(&mut self.is_line_stale) {
            return;
        }
        self.holders.due_at_ms = None;
        if !self.waiting.is_empty() {
            let now = clock::now();
            self.time_holders(now.awake_ms);
            let mut line: Vec<Rank> = Vec::with_capacity(self.waiting.len());
            for run_id in &self.waiting {
                let run = self.runs.get(run_id).map(|entry| &entry.run);
                line.extend(run.and_then(|run| rank_of(run, &self.admission, now.wall)));
            }
            line.sort_unstable();
            self.admission.begin_line();
            let (mut batch, mut kept) = (Batch::default(), Vec::new());
            for rank in line {
                self.admit_next(&rank, &mut batch, &mut kept);
            }
            self.conclude(batch, kept);
        }
        self.publish_wants();
    }

    /// Whether who waits is told now who has what it waits for. Where places pass from hand to hand by the hundred, telling
    /// everybody each time would cost more than all of their runs.
    fn time_holders(&mut self, now_ms: u64) {
        let due_at_ms = self.holders.told_at_ms + TELL_HOLDERS_MS;
        self.admission.tells_holders = now_ms >= due_at_ms;
        if self.admission.tells_holders {
            self.holders.told_at_ms = now_ms;
        } else {
            self.holders.due_at_ms = Some(due_at_ms);
        }
    }

    fn admit_next(&mut self, rank: &Rank, batch: &mut Batch, kept: &mut Vec<PendingInput>) {
        let run_id = rank.run_id();
        let Some(before) = self.runs.get(run_id).map(|entry| entry.run.clone()) else { return };
        let run = if waits_on(&before, self.context()) {
            before
        } else {
            self.decide_all(batch, kept, vec![PendingInput::world(run_id.clone(), Input::StartsChanged)]);
            let run = batch.staged(run_id).unwrap_or_else(|| before.clone());
            self.keep_turn(&before, &run);
            run
        };
        if !rank.is_overtaken_by_nobody() {
            return;
        }
        if let Some(wait) = &run.ledger.wait {
            self.admission.keep_place(run_id, wait);
        }
        let of_steps: Vec<_> =
            waits(&run, &self.admission).map(|(wait, step)| (wait.clone(), step)).collect();
        for (wait, step) in of_steps {
            self.admission.keep_room(run_id, &wait, &step);
        }
    }

    /// What was held back by quiet has begun: the next of those comes later.
    fn keep_turn(&mut self, before: &Run, run: &Run) {
        if before.ledger.is_held_by_quiet && run.state == RunState::Running {
            self.admission.next_turn_at = Some(clock::now().wall + TURN);
            self.deadlines.set_turn(self.next_turn_at());
        }
    }

    /// What the steps of a pipeline usually need is known from now on.
    pub(super) fn learn(&mut self, pipeline_id: &PipelineId, footprints: Arc<Footprints>) {
        if self.admission.policy.learns {
            self.admission.footprints.insert(pipeline_id.clone(), footprints);
        }
    }

    /// The same for a run that was read from disk.
    pub(super) fn learn_of(&mut self, run: &Run) {
        let Some(definition) = run.definition() else { return };
        if self.admission.policy.learns && !self.admission.footprints.contains_key(&run.pipeline_id) {
            let n_steps = definition.pipeline.steps.len();
            if let Ok(footprints) = self.publisher.store().footprints(&run.pipeline_id, n_steps) {
                self.learn(&run.pipeline_id, Arc::new(footprints));
            }
        }
    }

    /// A run of this pipeline has ended: without another one nobody asks what its steps need.
    pub(super) fn forget_pipeline(&mut self, pipeline_id: &PipelineId) {
        let is_used = self.runs.values().any(|entry| entry.run.pipeline_id == *pipeline_id);
        if !is_used {
            self.admission.footprints.remove(pipeline_id);
        }
    }

    /// Another policy holds from now on.
    pub(super) fn translate_policy(&mut self, policy: AdmissionPolicy) {
        self.admission.policy = policy;
        if !self.admission.policy.learns {
            self.admission.footprints.clear();
        }
        let living: Vec<_> = self.runs.values().map(|entry| entry.run.clone()).collect();
        for run in living {
            self.learn_of(&run);
            self.note(&run);
        }
    }

    /// Everything that waits, with the figures of now.
    pub(super) fn current_waits(&mut self) -> Vec<CurrentWait> {
        // Each by itself, not by who is looked at before it.
        self.admission.end_line(false, false);
        let cx = self.context();
        let mut waits = Vec::new();
        for run_id in &self.waiting {
            let Some(entry) = self.runs.get(run_id) else { continue };
            let of_run = current_waits(&entry.run, cx).into_iter();
            waits.extend(of_run.map(|(step_id, wait)| CurrentWait { run_id: run_id.clone(), step_id, wait }));
        }
        self.publish_wants();
        waits
    }

    /// Whether samples are wanted, and whether whoever comes now stands in line behind others.
    fn publish_wants(&mut self) {
        let waiting =
            || self.waiting.iter().filter_map(|run_id| self.runs.get(run_id)).map(|entry| &entry.run);
        // What was held back together does not begin together either, whichever order ends.
        let stands_in_line = |run: &Arc<Run>| {
            let waits = run.ledger.wait.as_ref();
            run.ledger.is_held_by_quiet || waits.is_some_and(|wait| wait.is_for_place())
        };
        let are_places_awaited = waiting().any(stands_in_line);
        let is_room_awaited =
            waiting().any(|run| waits(run, &self.admission).any(|(wait, _)| wait.is_for_room()));
        let wants = is_room_awaited || !self.minding_power.is_empty();
        self.admission.end_line(are_places_awaited, is_room_awaited);
        self.publisher.want_samples(wants);
    }
}

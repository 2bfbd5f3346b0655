//! The four beats: what waits is decided together, recorded in one transaction, acted upon, and told. When nothing can
//! be recorded, pause, stop and kill act nevertheless; inputs from the world are kept and decided again; nothing new
//! starts.

use std::sync::Arc;

use super::batch::{Batch, Staged};
use super::core::Engine;
use super::error::EngineError;
use super::message::{Message, PendingInput, Waiting};
use super::{clock, stored};
use crate::base::id::RunId;
use crate::run::{Deadline, Effect, EventKind, Input, Outbox, Run, RunState, StepRun, decide, next_deadline};
use crate::store::StoreError;
use crate::supervisor::HostRequest;

impl Engine {
    /// Decides, records, acts and tells.
    pub(super) fn handle(&mut self, heard: Vec<PendingInput>) {
        if !heard.is_empty() {
            self.line.touch();
        }
        let mut batch = Batch::default();
        let mut kept = Vec::new();
        self.decide_all(&mut batch, &mut kept, heard);
        self.conclude(batch, kept);
    }

    /// Gives each of these runs this input.
    pub(super) fn handle_for(&mut self, run_ids: Vec<RunId>, input: &Input) {
        self.handle(run_ids.into_iter().map(|id| PendingInput::world(id, input.clone())).collect());
    }

    /// Decides `heard` into `batch`. Inputs that were not refused go to `kept`.
    pub(super) fn decide_all(
        &mut self,
        batch: &mut Batch,
        kept: &mut Vec<PendingInput>,
        heard: Vec<PendingInput>,
    ) {
        for one in heard {
            let run = batch.staged(&one.run_id).or_else(|| self.runs.get(&one.run_id));
            let Some(one) = self.reports.keep_early(one, run.map(|run| &**run)) else { continue };
            let run_id = self.reports.has_early().then(|| one.run_id.clone());
            match self.decide(batch, &one) {
                Ok(()) => kept.push(one),
                Err(error) => one.refuse(error),
            }
            if let Some(reports) = run_id.and_then(|run_id| self.reports.take_early(&run_id)) {
                self.decide_all(batch, kept, reports);
            }
        }
    }

    /// Records, acts and tells.
    pub(super) fn conclude(&mut self, mut batch: Batch, kept: Vec<PendingInput>) {
        // Nothing was decided.
        if batch.is_empty() {
            return;
        }
        match self.record(&mut batch) {
            Ok(()) => self.carry_out(batch, kept),
            Err(error) => {
                // The decisions are lost, and their claims with them.
                batch.runs().for_each(|run| self.note_anew(&run.id));
                let sent_ahead = batch.into_sent_ahead();
                if error.is_about_data() {
                    self.meet_offence(error, kept, sent_ahead);
                } else {
                    self.enter_outage(error, kept, sent_ahead);
                }
            }
        }
    }

    /// Whether no one waits for the commit of `batch`: steps have ended whose places were taken by starts that an
    /// earlier commit holds, and there are more such starts for the next ends.
    pub(super) fn may_wait(&self, batch: &Batch, kept: &[PendingInput]) -> bool {
        let is_followed = |run: &Run| {
            let is_ready = |(index, step): (usize, &Arc<StepRun>)| {
                step.phase.is_prepared()
                    && self.recorded_ahead(run, &Effect::Start { index, may_be_alive: false }).is_some()
            };
            run.state() == RunState::Running && run.has_living_steps() && run.steps.waiting().any(is_ready)
        };
        batch.is_of_ends()
            && !self.outage.is_on()
            && !self.lifecycle.is_closing()
            && kept.iter().all(|one| matches!(one.waiting, Waiting::Nobody))
            && batch.runs().all(|run| is_followed(run))
    }

    fn decide(&mut self, batch: &mut Batch, heard: &PendingInput) -> Result<(), EngineError> {
        let run_id = &heard.run_id;
        let mut run = match (&heard.new_run, batch.staged(run_id), self.runs.get(run_id)) {
            (Some(new), _, _) => (**new).clone(),
            (None, Some(known), _) | (None, None, Some(known)) => (**known).clone(),
            (None, None, None) => {
                let ended = stored::load_ended(self.publisher.store(), run_id)?;
                batch.take_up(&ended);
                self.line.learn_of(&ended, self.publisher.store());
                ended
            }
        };
        let mut out = Outbox::default();
        let mut is_hard = false;
        for last in self.reports.last_of(&run, &heard.input) {
            decide(&mut run, last, self.context(), &mut out)?;
            is_hard |= !std::mem::take(&mut out.soft);
        }
        let cx = self.context();
        let now = cx.now;
        decide(&mut run, heard.input.clone(), cx, &mut out)?;
        out.soft &= !is_hard;
        let is_idle = out.effects.is_empty() && out.events.is_empty() && out.records.is_empty();
        if is_idle && out.early.is_empty() && matches!(heard.input, Input::StartsChanged) {
            // It was looked at, and waits as before.
            return Ok(());
        }
        let deadline = next_deadline(&run, now);
        self.note(&run);
        let run = Arc::new(run);
        for effect in std::mem::take(&mut out.early) {
            match self.recorded_ahead(&run, &effect) {
                Some(input) => {
                    batch.add_sent_ahead(run_id.clone(), input);
                    self.act(&run, effect);
                }
                // Its preparation waits for the same commit.
                None => out.effects.push(effect),
            }
        }
        self.send_requests();
        batch.stage(run, deadline, out);
        Ok(())
    }

    /// The input that says that the start of this attempt was sent, if the start is on disk already.
    fn recorded_ahead(&self, run: &Run, effect: &Effect) -> Option<Input> {
        let Effect::Start { index, .. } = *effect else { return None };
        let attempt = run.steps[index].attempt;
        let recorded = self.runs.recorded(&run.id)?.steps.get(index)?;
        let is_recorded = recorded.attempt == attempt && recorded.phase.is_prepared();
        is_recorded.then_some(Input::SentAhead { index, attempt })
    }

    /// Notes what a decided run holds, what it waits for, and whether power matters to it.
    pub(super) fn note(&mut self, run: &Run) {
        self.line.note(run);
        self.machine.note(run);
    }

    /// Notes the state that is left, after a run has gone or a decision about it was lost.
    fn note_anew(&mut self, run_id: &RunId) {
        match self.runs.get(run_id).cloned() {
            Some(run) => self.note(&run),
            None => {
                self.line.forget(run_id);
                self.machine.forget(run_id);
            }
        }
    }

    fn record(&mut self, batch: &mut Batch) -> Result<(), StoreError> {
        self.recorder.record(batch, &self.runs, self.publisher.store())
    }

    /// Publishes, acts, tells and answers what was decided and, if hard, recorded.
    fn carry_out(&mut self, mut batch: Batch, heard: Vec<PendingInput>) {
        let decisions = batch.decisions();
        let at = clock::now().wall;
        let events = batch.take_events().into_iter();
        let mut events: Vec<_> =
            events.map(|(run_id, kind)| self.publisher.number(at, Some(run_id), kind)).collect();
        if !decisions.is_empty() {
            events.push(self.publisher.number(at, None, EventKind::RecoveryDecided { decisions }));
        }
        let n_callers = heard.iter().filter(|one| matches!(one.waiting, Waiting::Caller(_))).count();
        let effects = batch.take_effects().into_iter();
        let acting: Vec<_> = effects
            .filter_map(|(run_id, effect)| {
                Some((batch.staged(&run_id)?.clone(), self.runs.signals(&run_id), effect))
            })
            .collect();
        let answers: Vec<_> = heard
            .into_iter()
            .filter_map(|one| Some((batch.staged(&one.run_id)?.clone(), one.waiting)))
            .collect();
        self.publish(batch);
        for (run, (pause_signal, stop_signal), effect) in acting {
            if let Effect::PauseSignal(level) = effect {
                pause_signal.set(level);
            } else if let Effect::StopSignal(level) = effect {
                stop_signal.set(level);
            } else {
                self.act(&run, effect);
            }
        }
        self.send_requests();
        self.publisher.send(&events);
        for (run, waiting) in answers {
            match waiting {
                Waiting::Nobody => {}
                // The caller may be gone.
                Waiting::Caller(reply) => drop(reply.send(Ok(run))),
                Waiting::Reporter(key, new_offset) => self.reports.taken(&key, new_offset),
            }
        }
        self.inbox.has_answered(n_callers);
    }

    /// Carries out one effect. Its requests to the host are sent with [`send_requests`](Self::send_requests).
    fn act(&mut self, run: &Arc<Run>, effect: Effect) {
        if let Some(failed) = self.acting.act(run, effect, &mut self.reports) {
            self.inbox.put_back(Message::Host(self.host.generation(), failed));
        }
    }

    /// Sends the requests of effects. Without a host, the next inventory leads to the same requests.
    fn send_requests(&mut self) {
        let requests = self.acting.take_requests();
        if let (false, Some(host)) = (requests.is_empty(), self.host.connected()) {
            host.send_all(requests);
        }
    }

    /// Sends a request, if there is a host. Without one, the next inventory leads to the same request.
    pub(super) fn request(&mut self, request: HostRequest) {
        if let Some(host) = self.host.connected() {
            host.send(request);
        }
    }

    /// Tells an event that concerns no run.
    pub(super) fn tell(&mut self, kind: EventKind) {
        self.tell_all(vec![(None, kind)]);
    }

    /// Tells events that are recorded already.
    pub(super) fn tell_all(&mut self, told: Vec<(Option<RunId>, EventKind)>) {
        self.publisher.tell(clock::now().wall, told);
    }

    /// Publishes the newest sequence number when nothing was decided.
    pub(super) fn publish_seq(&mut self) {
        self.publish(Batch::of_what_waits());
    }

    /// Takes in a run that was read from disk.
    pub(super) fn adopt(&mut self, run: Run) {
        self.line.learn_of(&run, self.publisher.store());
        self.note(&run);
        let deadline = next_deadline(&run, clock::now());
        self.publish(Batch::of_recorded(Arc::new(run), deadline));
    }

    fn publish(&mut self, batch: Batch) {
        let now = clock::now();
        let is_recorded = batch.is_hard();
        let mut published = self.publisher.runs();
        for Staged { run, deadline } in batch.into_staged() {
            self.machine.see(&run);
            if run.state().is_ended() && is_recorded {
                published.remove(&run.id);
                self.deadlines.set(&run.id, Deadline::default());
                self.runs.remove(&run.id);
                self.reports.forget(&run.id);
                self.line.forget_pipeline(&run.pipeline_id, &self.runs);
                continue;
            }
            // A run that was committed without a new decision keeps its deadline.
            let deadline = deadline.unwrap_or_else(|| self.deadlines.of(&run.id));
            self.deadlines.set(&run.id, deadline);
            published.insert(run.id.clone(), run.clone());
            if !is_recorded {
                self.recorder.put_off(run.id.clone(), now.awake_ms);
            }
            self.runs.put(run, is_recorded);
        }
        self.publisher.publish(published, self.line.orders());
    }

    /// Records what has waited for a commit.
    pub(super) fn flush(&mut self) {
        if !self.recorder.begin_flush() {
            return;
        }
        let mut batch = Batch::of_what_waits();
        match self.record(&mut batch) {
            Ok(()) => self.carry_out(batch, Vec::new()),
            Err(error) => self.enter_outage(error, Vec::new(), Vec::new()),
        }
    }
}

/// When nothing can be recorded.
impl Engine {
    /// A commit failed: refuses callers, acts on what can't wait, keeps the inputs from the world.
    fn enter_outage(&mut self, error: StoreError, heard: Vec<PendingInput>, sent_ahead: Vec<(RunId, Input)>) {
        let is_disk_full = matches!(error, StoreError::DiskFull { .. });
        let alert = self.outage.begin(&error, clock::now().awake_ms);
        let is_new = alert.is_some();
        if let Some(text) = alert {
            self.tell(EventKind::ResourceAlert { text, cleared: false });
        }
        // The lost decisions have sent starts, whose steps live and are frozen or stopped like the others.
        self.act_unrecorded_all(sent_ahead);
        let reason = error.to_string();
        let mut retained = Vec::new();
        for one in heard {
            match one.waiting {
                _ if one.input.is_urgent() => self.act_unrecorded(one),
                Waiting::Caller(_) => one.refuse(EngineError::NotRecorded { reason: reason.clone() }),
                Waiting::Nobody | Waiting::Reporter(..) => retained.push(one),
            }
        }
        if is_new && is_disk_full {
            self.freeze_for_room();
            // With the reserve released, these can most likely be recorded at once.
            self.handle(retained);
        } else {
            self.outage.retain(retained);
        }
    }

    /// An input can't be stored, however much space there is: its caller is refused, and the others are decided again
    /// without it.
    fn meet_offence(
        &mut self,
        error: StoreError,
        mut heard: Vec<PendingInput>,
        sent_ahead: Vec<(RunId, Input)>,
    ) {
        self.act_unrecorded_all(sent_ahead);
        match heard.pop() {
            Some(one) if heard.is_empty() && matches!(one.waiting, Waiting::Caller(_)) => {
                one.refuse(error.into());
            }
            Some(one) if heard.is_empty() => self.enter_outage(error, vec![one], Vec::new()),
            last => {
                for one in heard.into_iter().chain(last) {
                    self.handle(vec![one]);
                }
            }
        }
    }

    /// The supervisor reports that the disk is full.
    pub(super) fn meet_full_disk(&mut self) {
        if !self.outage.is_on() {
            self.begin_full_disk();
            self.freeze_for_room();
        }
    }

    /// The disk is full, and the steps are frozen already.
    pub(super) fn begin_full_disk(&mut self) {
        let text = self.outage.begin_full_disk(clock::now().awake_ms);
        self.tell(EventKind::ResourceAlert { text, cleared: false });
    }

    fn freeze_for_room(&mut self) {
        if self.outage.freezes_runs() {
            let running = self.runs.ids().cloned().map(|run_id| (run_id, Input::DiskFull)).collect();
            self.act_unrecorded_all(running);
        }
    }

    fn act_unrecorded_all(&mut self, inputs: Vec<(RunId, Input)>) {
        for (run_id, input) in inputs {
            self.act_unrecorded(PendingInput::world(run_id, input));
        }
    }

    /// Decides and acts. The next commit that succeeds records it.
    fn act_unrecorded(&mut self, heard: PendingInput) {
        let mut batch = Batch::default();
        match self.decide(&mut batch, &heard) {
            Ok(()) => {
                self.recorder.put_off_records(batch.put_off());
                self.carry_out(batch, vec![heard]);
            }
            Err(error) => heard.refuse(error),
        }
    }
}

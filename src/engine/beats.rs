//! The four beats: what waits is decided together, recorded in one transaction, acted upon, and told.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::changes::push_changes;
use super::core::{Engine, Entry};
use super::message::{PendingInput, Waiting};
use super::{EngineError, EngineSnapshot, ShutdownKind, clock};
use crate::base::id::RunId;
use crate::run::{
    Context, Deadline, Effect, Event, EventKind, Input, Launch, Outbox, Record, Run, RunState, Starts,
    decide, next_deadline,
};
use crate::store::{RunWrite, StoreError};

/// How long a change that nobody relies on may wait for a commit that is needed anyway.
const LAZY_COMMIT_MS: u64 = 1000;

/// What one batch has decided and not yet recorded.
#[derive(Default)]
pub(super) struct Batch {
    staged: HashMap<RunId, Arc<Run>>,
    /// When each of them must be looked at again, as of the moment at which it was decided: what falls due while it is
    /// being recorded has not been looked at.
    deadlines: HashMap<RunId, Deadline>,
    effects: Vec<(RunId, Effect)>,
    events: Vec<(RunId, EventKind)>,
    pub(super) records: Vec<(RunId, Record)>,
    /// Starts that were sent already, because an earlier commit holds them.
    pub(super) sent_ahead: Vec<(RunId, Input)>,
    pub(super) is_hard: bool,
    /// Ended runs that were read from disk to be taken up, as they stood there.
    taken_up: Vec<RunWrite>,
}

impl Batch {
    /// A run as this batch has decided it.
    pub(super) fn staged(&self, run_id: &RunId) -> Option<Arc<Run>> {
        self.staged.get(run_id).cloned()
    }
}

impl Engine {
    /// Decides, records, acts and tells what was heard.
    pub(super) fn handle(&mut self, heard: Vec<PendingInput>) {
        self.is_line_stale |= !heard.is_empty();
        let mut batch = Batch::default();
        let mut kept = Vec::new();
        self.decide_all(&mut batch, &mut kept, heard);
        self.conclude(batch, kept);
    }

    /// Decides what was heard into `batch`; what was not refused goes to `kept`.
    pub(super) fn decide_all(
        &mut self,
        batch: &mut Batch,
        kept: &mut Vec<PendingInput>,
        heard: Vec<PendingInput>,
    ) {
        for one in heard {
            if self.is_early(batch, &one) {
                self.early_reports.entry(one.run_id.clone()).or_default().push(one);
                continue;
            }
            let run_id = (!self.early_reports.is_empty()).then(|| one.run_id.clone());
            match self.decide(batch, &one) {
                Ok(()) => kept.push(one),
                Err(error) => one.refuse(error),
            }
            let reports = run_id.and_then(|run_id| self.early_reports.remove(&run_id));
            if let Some(reports) = reports {
                self.decide_all(batch, kept, reports);
            }
        }
    }

    /// Records, acts and tells what was decided.
    pub(super) fn conclude(&mut self, mut batch: Batch, kept: Vec<PendingInput>) {
        // What was looked at and stands as before is no change.
        if batch.staged.is_empty() {
            return;
        }
        match self.record(&mut batch) {
            Ok(()) => self.carry_out(batch, kept),
            Err(error) => {
                // What was decided is lost, and holds nothing.
                batch.staged.keys().for_each(|run_id| self.note_anew(run_id));
                if error.is_about_data() {
                    self.meet_offence(error, kept, batch.sent_ahead);
                } else {
                    self.enter_outage(error, kept, batch.sent_ahead);
                }
            }
        }
    }

    /// Whether nobody waits for the commit of `batch`: steps have ended whose places are taken already, by starts that
    /// an earlier commit holds, and there are more of those for the ends to come.
    pub(super) fn may_wait(&self, batch: &Batch, kept: &[PendingInput]) -> bool {
        let is_followed = |run: &Run| {
            let lives = run.steps.iter().any(|step| step.state.is_live());
            let is_ready = |index: usize| {
                run.steps[index].ledger.launch == Launch::Prepared
                    && self.recorded_ahead(run, &Effect::Start { index, may_be_alive: false }).is_some()
            };
            run.state == RunState::Running && lives && (0..run.steps.len()).any(is_ready)
        };
        batch.is_hard
            && self.outage.is_none()
            && self.closing.is_none()
            && batch.records.is_empty()
            && batch.effects.iter().all(|(_, effect)| matches!(effect, Effect::Acknowledge { .. }))
            && kept.iter().all(|one| matches!(one.waiting, Waiting::Nobody))
            && batch.staged.values().all(|run| is_followed(run))
    }

    pub(super) fn decide(&mut self, batch: &mut Batch, heard: &PendingInput) -> Result<(), EngineError> {
        let run_id = &heard.run_id;
        let current = match (&heard.new_run, batch.staged.get(run_id), self.runs.get(run_id)) {
            (Some(new), _, _) => (**new).clone(),
            (None, Some(staged), _) => (**staged).clone(),
            (None, None, Some(entry)) => (*entry.run).clone(),
            (None, None, None) => {
                let ended = self.load_ended(run_id)?;
                let (state, attempt) = (ended.state, ended.attempt);
                batch.taken_up.push(RunWrite::Expect { run_id: run_id.clone(), state, attempt });
                self.learn_of(&ended);
                ended
            }
        };
        let mut run = current;
        let mut out = Outbox::default();
        let mut is_hard = false;
        for last in self.last_reports(&run, &heard.input) {
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
        batch.deadlines.insert(run_id.clone(), next_deadline(&run, now));
        self.note(&run);
        let run = Arc::new(run);
        for effect in out.early {
            match self.recorded_ahead(&run, &effect) {
                Some(input) => {
                    batch.sent_ahead.push((run_id.clone(), input));
                    self.act(&run, effect);
                }
                // What prepared it waits for the same commit.
                None => out.effects.push(effect),
            }
        }
        self.send_requests();
        let is_idle = out.effects.is_empty() && out.events.is_empty() && out.records.is_empty();
        batch.is_hard |= !out.soft && !is_idle;
        batch.effects.extend(out.effects.into_iter().map(|effect| (run_id.clone(), effect)));
        batch.events.extend(out.events.into_iter().map(|event| (run_id.clone(), event)));
        batch.records.extend(out.records.into_iter().map(|record| (run_id.clone(), record)));
        batch.staged.insert(run_id.clone(), run);
        Ok(())
    }

    /// That the start of this attempt was sent, if it is on disk already and may be.
    fn recorded_ahead(&self, run: &Run, effect: &Effect) -> Option<Input> {
        let Effect::Start { index, .. } = *effect else { return None };
        let attempt = run.steps[index].attempt;
        let recorded = self.runs.get(&run.id)?.recorded.as_ref()?.steps.get(index)?;
        let is_recorded = recorded.attempt == attempt && recorded.ledger.launch == Launch::Prepared;
        is_recorded.then_some(Input::SentAhead { index, attempt })
    }

    pub(super) fn context(&self) -> Context<'_> {
        // While runs are being stopped, their `finally` steps still have to run.
        let may_finish = self.closing.as_ref().is_none_or(|closing| closing.kind == ShutdownKind::StopRuns);
        let may_start = self.outage.is_none() && may_finish && self.options.first_input.is_none();
        Context {
            now: clock::now(),
            n_cpus: self.options.n_cpus,
            starts: if may_start { self.starts_within_limits() } else { Starts::Held },
            held_for: self.limits.reason.as_deref(),
            admission: &self.admission,
            salt: &self.acting.salt,
            boot_id: &self.boot_id,
        }
    }

    /// One transaction for the batch and for what has waited for one.
    pub(super) fn record(&mut self, batch: &mut Batch) -> Result<(), StoreError> {
        if !batch.is_hard {
            return Ok(());
        }
        // What has waited for a commit goes with this one, and is published as recorded.
        for run_id in &self.dirty {
            if let (false, Some(entry)) = (batch.staged.contains_key(run_id), self.runs.get(run_id)) {
                batch.staged.insert(run_id.clone(), entry.run.clone());
            }
        }
        let records = self.unrecorded.iter().chain(&batch.records);
        let of_run = |(run_id, record): &(RunId, Record)| RunWrite::Record {
            run_id: run_id.clone(),
            record: record.clone(),
        };
        let mut writes: Vec<_> = batch.taken_up.drain(..).chain(records.map(of_run)).collect();
        for (run_id, run) in &batch.staged {
            let recorded = self.runs.get(run_id).and_then(|entry| entry.recorded.as_deref());
            push_changes(&mut writes, recorded, run);
        }
        self.published.store.commit(&writes)?;
        self.dirty.clear();
        self.unrecorded.clear();
        self.lazy_commit_at_ms = None;
        Ok(())
    }

    /// Publishes, acts, tells and answers what was decided. `is_hard` says whether it is on disk.
    pub(super) fn carry_out(&mut self, batch: Batch, heard: Vec<PendingInput>) {
        let decisions: Vec<_> = batch
            .records
            .iter()
            .filter_map(|(_, record)| match record {
                Record::Decision(decision) => Some(decision.clone()),
                Record::EndedAttempt(_) | Record::Checkpoint { .. } | Record::ArchiveCheckpoint { .. } => {
                    None
                }
            })
            .collect();
        let at = clock::now().wall;
        let mut events: Vec<_> =
            batch.events.into_iter().map(|(run_id, kind)| self.event(at, Some(run_id), kind)).collect();
        if !decisions.is_empty() {
            events.push(self.event(at, None, EventKind::RecoveryDecided { decisions }));
        }
        let n_callers = heard.iter().filter(|one| matches!(one.waiting, Waiting::Caller(_))).count();
        let acting: Vec<_> = batch
            .effects
            .into_iter()
            .filter_map(|(run_id, effect)| {
                let signals = self.runs.get(&run_id).map(|entry| entry.signals.clone()).unwrap_or_default();
                Some((batch.staged.get(&run_id)?.clone(), signals, effect))
            })
            .collect();
        let answers: Vec<_> = heard
            .into_iter()
            .filter_map(|one| Some((batch.staged.get(&one.run_id)?.clone(), one.waiting)))
            .collect();
        self.publish(batch.staged, &batch.deadlines, batch.is_hard);
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
        self.published.bus.publish(&events);
        for (run, waiting) in answers {
            match waiting {
                Waiting::Nobody => {}
                // A caller that has gone needs no answer.
                Waiting::Caller(reply) => drop(reply.send(Ok(run))),
                Waiting::Reporter(key, new_offset) => self.acting.reports.taken(&key, new_offset),
            }
        }
        self.n_callers_before = n_callers;
    }

    fn event(&mut self, at: DateTime<Utc>, run_id: Option<RunId>, mut kind: EventKind) -> Arc<Event> {
        self.counter += 1;
        // Decisions know no directory; who hears of a log wants to open it.
        kind.locate_logs(self.published.data_dir.path());
        // Its name and no value of it: what it carries may be a parameter's.
        tracing::debug!(kind = kind.name(), run_id = run_id.as_ref().map(RunId::as_str), "told");
        Arc::new(Event { seq: (self.epoch << 32) + self.counter, at, run_id, kind })
    }

    /// Tells something that concerns no run.
    pub(super) fn tell(&mut self, kind: EventKind) {
        self.tell_all(vec![(None, kind)]);
    }

    /// Tells what others have decided and recorded.
    pub(super) fn tell_all(&mut self, told: Vec<(Option<RunId>, EventKind)>) {
        let at = clock::now().wall;
        let events: Vec<_> = told.into_iter().map(|(run_id, kind)| self.event(at, run_id, kind)).collect();
        self.published.bus.publish(&events);
    }

    /// Says at which event the engine stands, where nothing has been decided yet.
    pub(super) fn publish_seq(&mut self) {
        self.publish(HashMap::new(), &HashMap::new(), true);
    }

    fn publish(
        &mut self,
        staged: HashMap<RunId, Arc<Run>>,
        deadlines: &HashMap<RunId, Deadline>,
        is_recorded: bool,
    ) {
        let now = clock::now();
        let mut runs = self.published.snapshot.load().runs.clone();
        for (run_id, run) in staged {
            let is_over = run.state.is_ended() && is_recorded;
            self.sleep_inhibition.see(&run);
            // What goes with a commit without having been decided anew keeps its own.
            let before = || self.runs.get(&run_id).map(|entry| entry.deadline).unwrap_or_default();
            let deadline = match deadlines.get(&run_id) {
                _ if is_over => Deadline::default(),
                Some(deadline) => *deadline,
                None => before(),
            };
            self.set_deadline(&run_id, deadline);
            if is_over {
                runs.remove(&run_id);
                self.runs.remove(&run_id);
                self.acting.forget(&run_id);
                self.early_reports.remove(&run_id);
                self.forget_pipeline(&run.pipeline_id);
                continue;
            }
            runs.insert(run_id.clone(), run.clone());
            if !is_recorded {
                self.dirty.insert(run_id.clone());
                self.lazy_commit_at_ms.get_or_insert(now.awake_ms + LAZY_COMMIT_MS);
            }
            match self.runs.get_mut(&run_id) {
                Some(entry) => {
                    if is_recorded {
                        entry.recorded = Some(run.clone());
                    }
                    (entry.run, entry.deadline) = (run, deadline);
                }
                None => {
                    let recorded = is_recorded.then(|| run.clone());
                    let entry = Entry { run, recorded, signals: Default::default(), deadline };
                    self.runs.insert(run_id, entry);
                }
            }
        }
        let seq = (self.epoch << 32) + self.counter;
        let orders = self.admission.orders;
        self.published.snapshot.store(Arc::new(EngineSnapshot { seq, runs, orders }));
    }

    /// Takes in a run as it was read from disk.
    pub(super) fn adopt(&mut self, run: Run) {
        self.learn_of(&run);
        self.note(&run);
        let run = Arc::new(run);
        let deadlines = [(run.id.clone(), next_deadline(&run, clock::now()))].into();
        self.publish([(run.id.clone(), run)].into(), &deadlines, true);
    }

    /// Whether nothing is ahead of what is on disk.
    pub(super) fn is_all_recorded(&self) -> bool {
        self.dirty.is_empty() && self.unrecorded.is_empty()
    }

    /// Records what has waited for a commit.
    pub(super) fn flush(&mut self) {
        self.lazy_commit_at_ms = None;
        if self.is_all_recorded() {
            return;
        }
        let mut batch = Batch { is_hard: true, ..Batch::default() };
        match self.record(&mut batch) {
            Ok(()) => self.carry_out(batch, Vec::new()),
            Err(error) => self.enter_outage(error, Vec::new(), Vec::new()),
        }
    }
}

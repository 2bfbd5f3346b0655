//! The engine's thread: everything that waits in the inbox is decided together, recorded in one
//! transaction, acted upon, and told. Nobody else changes a run.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};

use super::act::Acting;
use super::clock::{self, WallTimer};
use super::launch::LaunchRefusal;
use super::recovery::HostLink;
use super::trouble::Trouble;
use super::{
    CoreExecutionEngine, EngineError, EngineOptions, EngineSnapshot, HostStart, Published, Shared,
    ShutdownKind, Signal,
};
use crate::datadir::{DataDir, EngineLock};
use crate::id::{AttemptKey, RunId};
use crate::run::{
    AutoResume, Context, Deadline, Effect, Event, EventKind, Input, Outbox, Record, ReportBatch, Run, Starts,
    StepNews, decide, next_deadline,
};
use crate::store::{CheckpointManager, RESERVE_BYTES, Reserve, StoreError, Write};
use crate::supervisor::{ConnectError, HostEvent, StartSpec, StepHost};

/// How many messages are decided together at most.
const MAX_BATCH: usize = 4096;
/// How long a change that nobody relies on may wait for a commit that is needed anyway.
const LAZY_COMMIT_MS: u64 = 1000;
/// How long callers that were answered together may take to come back together.
const GATHER: Duration = Duration::from_micros(100);

/// Everything that wakes the engine.
pub(super) enum Message {
    /// A caller asks something of a run.
    Ask(Ask),
    /// A caller starts a run; without an id one is made.
    Start { run_id: Option<RunId>, run: Box<Run>, reply: Sender<Answer> },
    /// A caller wants the signals of a run that it drives.
    Signals { run_id: RunId, reply: Sender<(Signal, Signal)> },
    /// A progress slot has been filled.
    Progress(RunId),
    /// The step host of this generation says something.
    Host(u64, HostEvent),
    /// A step host is there again, or can't be had.
    HostReady(u64, anyhow::Result<Box<dyn StepHost>>),
    /// A step reported.
    Report(Box<ReportBatch>),
    /// The environment of a start that needed secrets is there, or a secret is missing.
    Spec(AttemptKey, Result<Box<StartSpec>, LaunchRefusal>),
    /// An instant of the wall clock was reached, or the clock was set.
    WallRing,
    /// End in good order.
    Shutdown { kind: ShutdownKind, reply: Sender<()> },
    /// Nobody holds a handle any more.
    Abandoned,
}

pub(super) type Answer = Result<Arc<Run>, EngineError>;

/// A request that concerns one run.
pub(super) struct Ask {
    pub(super) run_id: RunId,
    pub(super) input: Input,
    pub(super) reply: Sender<Answer>,
}

/// One input to one run, with whoever waits for what becomes of it.
pub(super) struct Heard {
    pub(super) run_id: RunId,
    pub(super) input: Input,
    /// The new run, when this starts one.
    pub(super) new_run: Option<Box<Run>>,
    pub(super) waiting: Waiting,
}

/// Who waits for an input to be recorded.
pub(super) enum Waiting {
    Nobody,
    Caller(Sender<Answer>),
    /// The follower of reports: the next batch of this attempt may be read.
    Reporter(AttemptKey, u64),
}

/// A living run.
pub(super) struct Entry {
    pub(super) run: Arc<Run>,
    /// As it is on disk.
    recorded: Option<Arc<Run>>,
    pub(super) signals: (Signal, Signal),
    deadline: Deadline,
}

/// What one batch has decided and not yet recorded.
#[derive(Default)]
pub(super) struct Batch {
    staged: HashMap<RunId, Arc<Run>>,
    effects: Vec<(RunId, Effect)>,
    events: Vec<(RunId, EventKind)>,
    pub(super) records: Vec<(RunId, Record)>,
    pub(super) is_hard: bool,
}

/// The engine, as its thread holds it.
pub(super) struct Engine {
    pub(super) inbox: Receiver<Message>,
    pub(super) sender: Sender<Message>,
    pub(super) published: Arc<Published>,
    pub(super) runs: HashMap<RunId, Entry>,
    pub(super) host: HostLink,
    pub(super) acting: Acting,
    pub(super) trouble: Option<Trouble>,
    pub(super) boot_id: String,
    pub(super) options: EngineSettings,
    pub(super) epoch: u64,
    counter: u64,
    /// Runs that are ahead of what is on disk.
    dirty: HashSet<RunId>,
    /// What is to be recorded beside them.
    pub(super) unrecorded: Vec<(RunId, Record)>,
    pub(super) reserve: Reserve,
    lazy_commit_at_ms: Option<u64>,
    timer: WallTimer,
    awake_deadlines: BTreeSet<(u64, RunId)>,
    wall_deadlines: BTreeSet<(DateTime<Utc>, RunId)>,
    closing: Option<Closing>,
    n_callers_before: usize,
    /// Released when the thread ends.
    _lock: EngineLock,
}

/// The options that decisions need.
pub(super) struct EngineSettings {
    pub(super) n_cpus: usize,
    pub(super) auto_resume: AutoResume,
    pub(super) scope: super::Scope,
    pub(super) on_disk_full: super::OnDiskFull,
}

struct Closing {
    kind: ShutdownKind,
    reply: Sender<()>,
    /// Programs that drive runs get this long to notice that they are to stop.
    drivers_until_ms: u64,
}

/// Opens the data directory and starts the thread.
pub(super) fn open(data_dir: DataDir, options: EngineOptions) -> Result<CoreExecutionEngine, EngineError> {
    let lock = data_dir.lock()?;
    // Unbounded: callers wait for their answers, reporters for theirs, progress has one slot a run, and
    // the host's facts must not be lost. Closed only after the engine's last act.
    let (sender, inbox) = unbounded();
    let launched = match options.host_start {
        HostStart::AtOnce => HostLink::launch(&options.host, &data_dir).map_err(host_error)?,
        HostStart::WhenNeeded => None,
    };
    let store = CheckpointManager::open(&data_dir.checkpoints_db())?;
    let epoch = store.begin_epoch(0)?;
    let host = HostLink::new(options.host, launched, &data_dir, epoch, sender.clone());
    let reserve = Reserve::create(data_dir.path().join("reserve"), RESERVE_BYTES)?;
    let published = Arc::new(Published {
        snapshot: Default::default(),
        progress: Default::default(),
        bus: options.bus,
        store,
        data_dir,
    });
    let ring = sender.clone();
    let timer = WallTimer::start(move || {
        // If the engine is gone, nobody needs the ring.
        let _ = ring.send(Message::WallRing);
    })?;
    let boot_id = clock::boot_id();
    let mut engine = Engine {
        inbox,
        sender: sender.clone(),
        acting: Acting::new(&published.data_dir, options.env, sender.clone())?,
        published: published.clone(),
        runs: HashMap::new(),
        host,
        trouble: None,
        boot_id,
        options: EngineSettings {
            n_cpus: options.n_cpus,
            auto_resume: options.auto_resume,
            scope: options.scope,
            on_disk_full: options.on_disk_full,
        },
        epoch,
        counter: 0,
        dirty: HashSet::new(),
        unrecorded: Vec::new(),
        reserve,
        lazy_commit_at_ms: None,
        timer,
        awake_deadlines: BTreeSet::new(),
        wall_deadlines: BTreeSet::new(),
        closing: None,
        n_callers_before: 0,
        _lock: lock,
    };
    engine.load_living()?;
    // Capacity 1: said once, when the record and the world are together.
    let (recovered, is_recovered) = bounded(1);
    let thread = std::thread::Builder::new().name("lf-engine".into()).spawn(move || {
        let outcome = engine.recover();
        let goes_on = outcome.is_ok();
        // The opener waits for it.
        let _ = recovered.send(outcome);
        if goes_on {
            engine.run();
        }
    })?;
    is_recovered.recv().map_err(|_| EngineError::ShutDown)??;
    Ok(CoreExecutionEngine {
        shared: Arc::new(Shared {
            inbox: sender,
            published,
            functions: Default::default(),
            thread: std::sync::Mutex::new(Some(thread)),
        }),
    })
}

fn host_error(error: ConnectError) -> EngineError {
    EngineError::Host(error.to_string())
}

impl Engine {
    fn run(mut self) {
        while self.turn() {}
        self.flush();
        self.published.bus.close();
    }

    /// One round: wait, gather, handle. False when it is over.
    fn turn(&mut self) -> bool {
        let Some(messages) = self.gather() else { return false };
        let mut heard = Vec::with_capacity(messages.len());
        for message in messages {
            match message {
                Message::Abandoned => return false,
                message => match self.with_host(message) {
                    Some(message) => self.translate(message, &mut heard),
                    // It comes back behind what the new host knows.
                    None => {}
                },
            }
        }
        self.handle(heard);
        self.on_deadlines();
        self.finish_closing()
    }

    /// Waits for the next messages or deadline.
    fn gather(&mut self) -> Option<Vec<Message>> {
        let first = match self.next_awake_deadline() {
            None => Some(self.inbox.recv().ok()?),
            Some(at_ms) => {
                let left = Duration::from_millis(at_ms.saturating_sub(clock::now().awake_ms));
                match self.inbox.recv_timeout(left) {
                    Ok(message) => Some(message),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => return None,
                }
            }
        };
        let mut messages: Vec<_> = first.into_iter().collect();
        messages.extend(self.inbox.try_iter().take(MAX_BATCH));
        // Callers that shared the last commit are on their way back: one commit for all of them.
        let is_asked = matches!(messages.first(), Some(Message::Ask(_)));
        if is_asked && self.n_callers_before > 1 {
            let until = Instant::now() + GATHER;
            while messages.len() < self.n_callers_before {
                match self.inbox.recv_deadline(until) {
                    Ok(message) => messages.push(message),
                    Err(_) => break,
                }
            }
        }
        Some(messages)
    }

    /// Turns a message into inputs of runs; what concerns no run is dealt with here.
    pub(super) fn translate(&mut self, message: Message, heard: &mut Vec<Heard>) {
        match message {
            Message::Ask(ask) => heard.push(Heard {
                run_id: ask.run_id,
                input: ask.input,
                new_run: None,
                waiting: Waiting::Caller(ask.reply),
            }),
            Message::Start { run_id, run, reply } => self.translate_start(run_id, run, reply, heard),
            Message::Signals { run_id, reply } => {
                let signals = self.runs.get(&run_id).map(|e| e.signals.clone()).unwrap_or_default();
                // A caller that has gone needs no answer.
                let _ = reply.send(signals);
            }
            Message::Progress(run_id) => {
                let mut slots = self.published.progress.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some((progress, current_step)) = slots.remove(&run_id) {
                    heard.push(Heard::world(run_id, Input::Progress { progress, current_step }));
                }
            }
            Message::Host(generation, event) => self.translate_host(generation, event, heard),
            Message::HostReady(generation, host) => self.host_ready(generation, host, heard),
            Message::Report(batch) => {
                let (key, new_offset) = (batch.key.clone(), batch.new_offset);
                if let Some(input) = self.step_input(&key, StepNews::Reported(batch)) {
                    let waiting = Waiting::Reporter(key.clone(), new_offset);
                    heard.push(Heard { waiting, ..Heard::world(key.run_id, input) });
                }
            }
            Message::Spec(key, spec) => self.translate_spec(key, spec, heard),
            Message::WallRing => {}
            Message::Shutdown { kind, reply } => self.begin_closing(kind, reply, heard),
            Message::Abandoned => {}
        }
    }

    fn translate_start(
        &mut self,
        run_id: Option<RunId>,
        mut run: Box<Run>,
        reply: Sender<Answer>,
        heard: &mut Vec<Heard>,
    ) {
        let is_taken = |engine: &Self, id: &RunId| -> Result<bool, StoreError> {
            let is_staged = heard.iter().any(|other| other.run_id == *id);
            Ok(is_staged
                || engine.runs.contains_key(id)
                || engine.published.store.load_summary(id)?.is_some())
        };
        let free = |engine: &Self| -> Result<RunId, EngineError> {
            if engine.closing.is_some() {
                return Err(EngineError::ShutDown);
            }
            match run_id {
                Some(id) if is_taken(engine, &id)? => Err(EngineError::Exists { run_id: id }),
                Some(id) => Ok(id),
                None => {
                    let is_reserved = |id: &RunId| {
                        engine.runs.contains_key(id) || heard.iter().any(|other| other.run_id == *id)
                    };
                    let store = &engine.published.store;
                    Ok(store.next_run_id(&run.source, run.started_at, is_reserved)?)
                }
            }
        };
        match free(self) {
            Ok(id) => {
                run.id = id.clone();
                heard.push(Heard {
                    run_id: id,
                    input: Input::Begin,
                    new_run: Some(run),
                    waiting: Waiting::Caller(reply),
                });
            }
            // A caller that has gone needs no answer.
            Err(error) => drop(reply.send(Err(error))),
        }
    }

    /// Decides, records, acts and tells what was heard.
    pub(super) fn handle(&mut self, heard: Vec<Heard>) {
        if heard.is_empty() {
            return;
        }
        let mut batch = Batch::default();
        let mut kept = Vec::with_capacity(heard.len());
        for one in heard {
            match self.decide(&mut batch, &one) {
                Ok(()) => kept.push(one),
                Err(error) => one.refuse(error),
            }
        }
        match self.record(&mut batch) {
            Ok(()) => self.carry_out(batch, kept),
            Err(error) => self.meet_trouble(error, kept),
        }
    }

    pub(super) fn decide(&mut self, batch: &mut Batch, heard: &Heard) -> Result<(), EngineError> {
        let run_id = &heard.run_id;
        let current = match (&heard.new_run, batch.staged.get(run_id), self.runs.get(run_id)) {
            (Some(new), _, _) => (**new).clone(),
            (None, Some(staged), _) => (**staged).clone(),
            (None, None, Some(entry)) => (*entry.run).clone(),
            (None, None, None) => self.load_ended(run_id)?,
        };
        let mut run = current;
        let mut out = Outbox::default();
        decide(&mut run, heard.input.clone(), self.context(), &mut out)?;
        let run = Arc::new(run);
        for effect in out.early {
            self.act(&run, effect);
        }
        let is_idle = out.effects.is_empty() && out.events.is_empty() && out.records.is_empty();
        batch.is_hard |= !out.soft && !is_idle;
        batch.effects.extend(out.effects.into_iter().map(|effect| (run_id.clone(), effect)));
        batch.events.extend(out.events.into_iter().map(|event| (run_id.clone(), event)));
        batch.records.extend(out.records.into_iter().map(|record| (run_id.clone(), record)));
        batch.staged.insert(run_id.clone(), run);
        Ok(())
    }

    fn context(&self) -> Context<'_> {
        let may_start = self.trouble.is_none() && self.closing.is_none();
        Context {
            now: clock::now(),
            n_cpus: self.options.n_cpus,
            starts: if may_start { Starts::Allowed } else { Starts::Held },
            auto_resume: self.options.auto_resume,
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
        let now = clock::now().wall;
        let records = self.unrecorded.iter().chain(&batch.records);
        let mut writes: Vec<_> = records.map(|(run_id, record)| to_write(run_id, record, now)).collect();
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
    pub(super) fn carry_out(&mut self, batch: Batch, heard: Vec<Heard>) {
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
        self.publish(batch.staged, batch.is_hard);
        for (run, (pause_signal, stop_signal), effect) in acting {
            match effect {
                Effect::PauseSignal(level) => pause_signal.set(level),
                Effect::StopSignal(level) => stop_signal.set(level),
                effect => self.act(&run, effect),
            }
        }
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

    fn event(&mut self, at: DateTime<Utc>, run_id: Option<RunId>, kind: EventKind) -> Arc<Event> {
        self.counter += 1;
        Arc::new(Event { seq: (self.epoch << 32) + self.counter, at, run_id, kind })
    }

    /// Tells something that concerns no run.
    pub(super) fn tell(&mut self, kind: EventKind) {
        let event = self.event(clock::now().wall, None, kind);
        self.published.bus.publish(&[event]);
    }

    fn publish(&mut self, staged: HashMap<RunId, Arc<Run>>, is_recorded: bool) {
        let now = clock::now();
        let mut runs = self.published.snapshot.load().runs.clone();
        for (run_id, run) in staged {
            let is_over = run.state.is_ended() && is_recorded;
            let deadline = if is_over { Deadline::default() } else { next_deadline(&run, now) };
            self.set_deadline(&run_id, deadline);
            if is_over {
                runs.remove(&run_id);
                self.runs.remove(&run_id);
                self.acting.forget(&run_id);
                continue;
            }
            runs.insert(run_id.clone(), run.clone());
            if !is_recorded {
                self.dirty.insert(run_id.clone());
                let at = now.awake_ms + LAZY_COMMIT_MS;
                self.lazy_commit_at_ms.get_or_insert(at);
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
        self.published.snapshot.store(Arc::new(EngineSnapshot { seq, runs }));
    }

    /// Takes in a run as it was read from disk.
    pub(super) fn adopt(&mut self, run: Run) {
        let run = Arc::new(run);
        self.publish([(run.id.clone(), run)].into(), true);
    }

    fn set_deadline(&mut self, run_id: &RunId, deadline: Deadline) {
        let before = self.runs.get(run_id).map(|entry| entry.deadline).unwrap_or_default();
        if before == deadline {
            if deadline == Deadline::default() {
                return;
            }
        } else {
            if let Some(at) = before.awake_ms {
                self.awake_deadlines.remove(&(at, run_id.clone()));
            }
            if let Some(at) = before.wall {
                self.wall_deadlines.remove(&(at, run_id.clone()));
            }
        }
        if let Some(at) = deadline.awake_ms {
            self.awake_deadlines.insert((at, run_id.clone()));
        }
        if let Some(at) = deadline.wall {
            self.wall_deadlines.insert((at, run_id.clone()));
        }
        self.timer.arm(self.wall_deadlines.first().map(|(at, _)| *at));
    }

    fn next_awake_deadline(&self) -> Option<u64> {
        let closing = self.closing.as_ref().map(|closing| closing.drivers_until_ms);
        let trouble = self.trouble.as_ref().map(|trouble| trouble.look_again_at_ms);
        let run = self.awake_deadlines.first().map(|(at, _)| *at);
        [run, self.lazy_commit_at_ms, trouble, closing, self.host.retry_at_ms].into_iter().flatten().min()
    }

    /// Gives a tick to every run whose deadline has passed on either clock.
    fn on_deadlines(&mut self) {
        let now = clock::now();
        let mut due = BTreeSet::new();
        while let Some((at, _)) = self.awake_deadlines.first()
            && *at <= now.awake_ms
        {
            due.extend(self.awake_deadlines.pop_first().map(|(_, run_id)| run_id));
        }
        let mut is_rung = false;
        while let Some((at, _)) = self.wall_deadlines.first()
            && *at <= now.wall
        {
            is_rung = true;
            due.extend(self.wall_deadlines.pop_first().map(|(_, run_id)| run_id));
        }
        if is_rung {
            self.timer.arm(self.wall_deadlines.first().map(|(at, _)| *at));
        }
        self.handle(due.into_iter().map(|run_id| Heard::world(run_id, Input::Tick)).collect());
        self.look_at_trouble(now.awake_ms);
        self.look_for_host(now.awake_ms);
        if self.lazy_commit_at_ms.is_some_and(|at| at <= now.awake_ms) {
            self.flush();
        }
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
            Err(error) => self.meet_trouble(error, Vec::new()),
        }
    }

    fn begin_closing(&mut self, kind: ShutdownKind, reply: Sender<()>, heard: &mut Vec<Heard>) {
        let drivers_until_ms = clock::now().awake_ms + 10_000;
        self.closing = Some(Closing { kind, reply, drivers_until_ms });
        let input = match kind {
            ShutdownKind::LeaveSteps => return,
            ShutdownKind::FreezeRuns => Input::Pause,
            ShutdownKind::StopRuns => Input::Stop(crate::run::StopKind::Graceful),
        };
        heard.extend(self.runs.keys().map(|run_id| Heard::world(run_id.clone(), input.clone())));
    }

    /// True while the engine goes on.
    fn finish_closing(&mut self) -> bool {
        let Some(closing) = &self.closing else { return true };
        let patience_is_over = closing.drivers_until_ms <= clock::now().awake_ms;
        let is_awaited = |run: &Run| match (closing.kind, run.definition()) {
            (ShutdownKind::LeaveSteps, _) => false,
            (ShutdownKind::FreezeRuns, _) => {
                run.state == crate::run::RunState::Running
                    || (run.state == crate::run::RunState::Paused && run.ledger.frozen_since.is_none())
            }
            (ShutdownKind::StopRuns, None) => !patience_is_over,
            (ShutdownKind::StopRuns, Some(_)) => true,
        };
        if self.runs.values().any(|entry| is_awaited(&entry.run)) {
            if patience_is_over && let Some(closing) = &mut self.closing {
                closing.drivers_until_ms += 10_000;
            }
            return true;
        }
        let driven: Vec<_> = self
            .runs
            .iter()
            .filter(|(_, entry)| entry.run.definition().is_none())
            .map(|(run_id, _)| Heard::world(run_id.clone(), Input::DriverLost))
            .collect();
        self.handle(driven);
        self.flush();
        if let Some(closing) = self.closing.take() {
            // A caller that has gone needs no answer.
            let _ = closing.reply.send(());
        }
        false
    }
}

impl Message {
    /// Answers the caller who waits for it, if one does.
    pub(super) fn refuse(self, error: EngineError) {
        match self {
            // A caller that has gone needs no answer.
            Self::Ask(Ask { reply, .. }) | Self::Start { reply, .. } => drop(reply.send(Err(error))),
            Self::Signals { .. }
            | Self::Progress(_)
            | Self::Host(..)
            | Self::HostReady(..)
            | Self::Report(_)
            | Self::Spec(..)
            | Self::WallRing
            | Self::Shutdown { .. }
            | Self::Abandoned => {}
        }
    }
}

impl Heard {
    /// Something that the world says, for which nobody waits.
    pub(super) fn world(run_id: RunId, input: Input) -> Self {
        Self { run_id, input, new_run: None, waiting: Waiting::Nobody }
    }

    pub(super) fn refuse(self, error: EngineError) {
        match self.waiting {
            // A caller that has gone needs no answer.
            Waiting::Caller(reply) => drop(reply.send(Err(error))),
            Waiting::Nobody | Waiting::Reporter(..) => {}
        }
    }
}

/// The rows in which `run` differs from what is on disk: steps are shared until they change.
fn push_changes(writes: &mut Vec<Write>, recorded: Option<&Run>, run: &Arc<Run>) {
    writes.push(Write::Run(run.clone()));
    for (index, step) in run.steps.iter().enumerate() {
        let before = recorded.and_then(|recorded| recorded.steps.get(index));
        let is_same = before.is_some_and(|before| Arc::ptr_eq(before, step));
        let is_untouched =
            before.is_none() && step.attempt == 0 && step.state == crate::run::StepState::Pending;
        if !is_same && !is_untouched {
            writes.push(Write::Step { run_id: run.id.clone(), step: step.clone() });
        }
    }
}

fn to_write(run_id: &RunId, record: &Record, at: DateTime<Utc>) -> Write {
    let run_id = run_id.clone();
    match record {
        Record::EndedAttempt(step) => Write::Step { run_id, step: step.clone() },
        Record::Checkpoint { step_id, data } => {
            Write::Checkpoint { run_id, step_id: step_id.to_string(), data: data.to_string(), at }
        }
        Record::ArchiveCheckpoint { step_id, attempt } => {
            Write::ArchiveCheckpoint { run_id, step_id: step_id.to_string(), attempt: *attempt }
        }
        Record::Decision(decision) => Write::Decisions(vec![decision.clone()]),
    }
}

//! The engine's thread: it waits, gathers what has come, and hands it to the four beats. Nobody else changes a run.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Sender, bounded};

use super::act::Acting;
use super::admitting::WaitNotices;
use super::beats::Batch;
use super::clock;
use super::closing::Closing;
use super::deadlines::Deadlines;
use super::error::EngineError;
use super::host_link::HostLink;
use super::inbox::Inbox;
use super::limits::LimitHold;
use super::message::{Message, OrderAnswer, PendingInput, Waiting};
use super::options::{EngineOptions, HostStart, OnDiskFull, Scope};
use super::outage::StorageOutage;
use super::published::Published;
use super::publisher::Publisher;
use super::signal::Signal;
use super::sleep_inhibition::SleepInhibition;
use crate::admission::Admission;
use crate::base::id::RunId;
use crate::monitor::MonitorHandle;
use crate::resources::ResourceSnapshot;
use crate::run::{Input, Record, Run, StepNews};
use crate::store::{CheckpointManager, DataDir, EngineLock, RESERVE_BYTES, Reserve, Write};
use crate::supervisor::{ConnectError, HostEvent};

/// A living run.
pub(super) struct Entry {
    pub(super) run: Arc<Run>,
    /// As it is on disk.
    pub(super) recorded: Option<Arc<Run>>,
    pub(super) signals: (Signal, Signal),
}

/// The engine, as its thread holds it.
pub(super) struct Engine {
    pub(super) publisher: Publisher,
    pub(super) inbox: Inbox,
    pub(super) runs: HashMap<RunId, Entry>,
    pub(super) host: HostLink,
    pub(super) acting: Acting,
    pub(super) outage: Option<StorageOutage>,
    pub(super) limits: LimitHold,
    /// Who holds what, and what is left.
    pub(super) admission: Admission,
    /// Runs of which something waits to be admitted.
    pub(super) waiting: BTreeSet<RunId>,
    /// Runs to which it matters whether the machine lives on its battery.
    pub(super) minding_power: BTreeSet<RunId>,
    /// What was told of that last; none before the first sample.
    pub(super) is_on_battery: Option<bool>,
    /// Something has happened since the line was looked at last that may let somebody start.
    pub(super) is_line_stale: bool,
    pub(super) holders: WaitNotices,
    /// Orders that have been carried out as far as recording goes, and who gave them.
    pub(super) given_orders: Vec<(Sender<OrderAnswer>, OrderAnswer)>,
    pub(super) sleep_inhibition: SleepInhibition,
    pub(super) boot_id: String,
    pub(super) options: EngineSettings,
    /// Runs that are ahead of what is on disk.
    pub(super) dirty: HashSet<RunId>,
    /// What steps have reported before their starts were told: decided after those.
    pub(super) early_reports: HashMap<RunId, Vec<PendingInput>>,
    /// What is to be recorded beside them.
    pub(super) unrecorded: Vec<(RunId, Record)>,
    pub(super) reserve: Reserve,
    pub(super) lazy_commit_at_ms: Option<u64>,
    pub(super) deadlines: Deadlines,
    pub(super) closing: Option<Closing>,
    /// Released when the thread ends, unless it was asked for.
    pub(super) lock: Option<EngineLock>,
}

/// The options that decisions need.
pub(super) struct EngineSettings {
    pub(super) n_cpus: usize,
    pub(super) scope: Scope,
    /// Not decided yet; no step starts before it is.
    pub(super) first_input: Option<(RunId, Input)>,
    pub(super) on_disk_full: OnDiskFull,
    pub(super) monitor: Option<MonitorHandle>,
}

/// What a handle needs of an engine whose thread has begun.
pub(super) struct Opened {
    pub(super) inbox: Sender<Message>,
    pub(super) published: Arc<Published>,
    pub(super) thread: JoinHandle<()>,
}

/// Opens the data directory and starts the thread.
pub(super) fn open(data_dir: DataDir, options: EngineOptions) -> Result<Opened, EngineError> {
    let lock = match options.lock {
        Some(lock) => lock,
        None => data_dir.lock()?,
    };
    let inbox = Inbox::new();
    let launched = match options.host_start {
        HostStart::AtOnce => HostLink::launch(&options.host, &data_dir).map_err(host_error)?,
        HostStart::WhenNeeded => None,
    };
    let store = CheckpointManager::open(data_dir.checkpoints_db())?;
    let epoch = store.begin_epoch(0)?;
    let acting = Acting::new(&data_dir, options.env, &options.host, inbox.sender())?;
    let host = HostLink::new(options.host, launched, &data_dir, epoch, inbox.sender());
    let reserve = Reserve::create(data_dir.path().join("reserve"), RESERVE_BYTES)?;
    let published = Arc::new(Published::new(options.bus, store, data_dir));
    let (sender, ring) = (inbox.sender(), inbox.sender());
    let deadlines = Deadlines::new(move || {
        // If the engine is gone, nobody needs the ring.
        let _ = ring.send(Message::WallRing);
    })?;
    let boot_id = clock::boot_id();
    let mut admission = Admission::new(options.admission, options.n_cpus);
    admission.orders = published.store().load_orders()?;
    if let Some(order) = options.first_order {
        admission.orders = admission.orders.after(order, clock::now().wall);
        published.store().commit(&[Write::Orders(admission.orders)])?;
    }
    // What an earlier engine left begins in its order, once all of it is known.
    admission.await_line();
    // What the machine has left decides about the first starts, before there is a sample.
    admission.machine = options.monitor.as_ref().map(|monitor| {
        Arc::new(ResourceSnapshot { machine: monitor.first_look(), ..ResourceSnapshot::default() })
    });
    let mut engine = Engine {
        publisher: Publisher::new(published.clone(), epoch),
        inbox,
        acting,
        runs: HashMap::new(),
        host,
        outage: None,
        limits: LimitHold::default(),
        admission,
        waiting: BTreeSet::new(),
        minding_power: BTreeSet::new(),
        is_on_battery: None,
        is_line_stale: true,
        holders: WaitNotices::default(),
        given_orders: Vec::new(),
        sleep_inhibition: SleepInhibition::new(options.awake),
        boot_id,
        options: EngineSettings {
            n_cpus: options.n_cpus,
            scope: options.scope,
            first_input: options.first_input,
            on_disk_full: options.on_disk_full,
            monitor: options.monitor,
        },
        dirty: HashSet::new(),
        early_reports: HashMap::new(),
        unrecorded: Vec::new(),
        reserve,
        lazy_commit_at_ms: None,
        deadlines,
        closing: None,
        lock: Some(lock),
    };
    engine.load_living()?;
    // Capacity 1: said once, when the record and the world are together.
    let (recovered, is_recovered) = bounded(1);
    let thread = crate::base::thread::lasting("lf-engine", move || {
        let outcome = engine.recover();
        engine.publish_seq();
        let goes_on = outcome.is_ok();
        // The opener waits for it.
        let _ = recovered.send(outcome);
        if goes_on {
            engine.run();
        }
    })?;
    is_recovered.recv().map_err(|_| EngineError::ShutDown)??;
    Ok(Opened { inbox: sender, published, thread })
}

fn host_error(error: ConnectError) -> EngineError {
    EngineError::Host(error.to_string())
}

impl Engine {
    fn run(mut self) {
        while self.turn() {}
        self.flush();
    }

    /// One round: wait, gather, handle. False when it is over.
    fn turn(&mut self) -> bool {
        let messages = self.inbox.gather(self.next_awake_deadline());
        self.look_at_machine();
        // Without a message a deadline has come.
        self.is_line_stale |= messages.is_empty();
        let is_abandoned = messages.iter().any(|message| matches!(message, Message::Abandoned));
        let mut heard = Vec::with_capacity(messages.len());
        for message in messages {
            // What a host knows is compared with all that was heard before. One that is ready may have said it already.
            if matches!(message, Message::Host(_, HostEvent::Inventory(_)) | Message::HostReady(..)) {
                self.handle(std::mem::take(&mut heard));
            }
            if let Message::Ask(ask) = &message
                && !self.runs.contains_key(&ask.run_id)
            {
                self.handle(std::mem::take(&mut heard));
                if let Err(error) = self.take_back(&ask.run_id) {
                    message.refuse(error);
                    continue;
                }
            }
            // What needs a host first comes back behind what that host knows.
            if let Some(message) = self.with_host(message) {
                self.translate(message, &mut heard);
            }
        }
        let (mut batch, mut kept) = Default::default();
        self.decide_all(&mut batch, &mut kept, heard);
        self.wait_for_company(&mut batch, &mut kept);
        self.conclude(batch, kept);
        self.answer_orders();
        self.on_deadlines();
        self.admit_waiting();
        self.finish_closing() && !is_abandoned
    }

    /// As long as nobody waits for the commit, lets it wait for the next end.
    fn wait_for_company(&mut self, batch: &mut Batch, kept: &mut Vec<PendingInput>) {
        let until = Inbox::company_until();
        while self.may_wait(batch, kept)
            && let Some(message) = self.inbox.next_news_of_a_step(until)
        {
            let mut heard = Vec::new();
            self.translate(message, &mut heard);
            self.decide_all(batch, kept, heard);
        }
    }

    /// When the engine must look again without being told, on the clock of awake time.
    fn next_awake_deadline(&self) -> Option<u64> {
        let closing = self.closing.as_ref().map(|closing| closing.drivers_until_ms);
        let outage = self.outage.as_ref().map(|outage| outage.look_again_at_ms);
        let own = [self.lazy_commit_at_ms, self.holders.due_at_ms, self.host.retry_at_ms];
        own.into_iter().chain([self.deadlines.next_awake_ms(), outage, closing]).flatten().min()
    }

    /// Gives a tick to every run whose deadline has passed, and looks at what the engine does at intervals of its own.
    fn on_deadlines(&mut self) {
        let now = clock::now();
        let due = self.deadlines.take_due(now);
        self.handle(due.into_iter().map(|run_id| PendingInput::world(run_id, Input::Tick)).collect());
        self.look_at_trouble(now.awake_ms);
        self.look_at_turns(now.wall);
        self.look_for_host(now.awake_ms);
        if self.holders.due_at_ms.is_some_and(|at| at <= now.awake_ms) {
            self.holders.due_at_ms = None;
            self.is_line_stale = true;
        }
        if self.lazy_commit_at_ms.is_some_and(|at| at <= now.awake_ms) {
            self.flush();
        }
    }

    /// Turns a message into inputs of runs; what concerns no run is dealt with here.
    pub(super) fn translate(&mut self, message: Message, heard: &mut Vec<PendingInput>) {
        self.is_line_stale |= message.may_make_room();
        match message {
            Message::Ask(ask) => heard.push(PendingInput {
                run_id: ask.run_id,
                input: ask.input,
                new_run: None,
                waiting: Waiting::Caller(ask.reply),
            }),
            Message::Start { run_id, run, footprints, reply } => {
                if let Some(footprints) = footprints {
                    self.learn(&run.pipeline_id, footprints);
                }
                self.translate_start(run_id, run, reply, heard);
            }
            Message::Signals { run_id, reply } => {
                let signals = self.runs.get(&run_id).map(|e| e.signals.clone()).unwrap_or_default();
                // A caller that has gone needs no answer.
                let _ = reply.send(signals);
            }
            Message::Progress(run_id) => {
                if let Some((progress, current_step)) = self.publisher.take_progress(&run_id) {
                    heard.push(PendingInput::world(run_id, Input::Progress { progress, current_step }));
                }
            }
            Message::Host(generation, event) => self.translate_host(generation, event, heard),
            Message::HostReady(generation, host) => self.host_ready(generation, host, heard),
            Message::Report(batch) => {
                let (key, new_offset) = (batch.key.clone(), batch.new_offset);
                if let Some(input) = self.step_input(&key, StepNews::Reported(batch)) {
                    let waiting = Waiting::Reporter(key.clone(), new_offset);
                    heard.push(PendingInput { waiting, ..PendingInput::world(key.run_id, input) });
                }
            }
            Message::Spec(key, ticket, spec) => self.translate_spec(key, ticket, spec, heard),
            Message::Tell(events) => self.tell_all(events),
            Message::Sample(sample) => self.translate_sample(sample, heard),
            Message::Order(order, reply) => self.translate_order(order, reply, heard),
            Message::Policy(policy) => self.translate_policy(*policy),
            // A caller that has gone needs no answer.
            Message::Waits(reply) => drop(reply.send(self.current_waits())),
            Message::WallRing => {}
            Message::Shutdown { kind, when, reply } => self.begin_closing(kind, when, reply, heard),
            Message::Abandoned => {}
        }
    }
}

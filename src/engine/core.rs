//! The engine's thread: it waits, gathers what has come, and hands it to the four beats. Nobody else changes a run.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};

use super::act::Acting;
use super::admitting::WaitNotices;
use super::beats::Batch;
use super::clock::WallTimer;
use super::closing::Closing;
use super::host_link::HostLink;
use super::limits::LimitHold;
use super::message::{Message, OrderAnswer, PendingInput, Waiting};
use super::outage::StorageOutage;
use super::sleep_inhibition::SleepInhibition;
use super::{CoreExecutionEngine, EngineError, EngineOptions, HostStart, Published, Shared, Signal, clock};
use crate::admission::Admission;
use crate::base::id::RunId;
use crate::base::thread;
use crate::monitor::MonitorHandle;
use crate::resources::ResourceSnapshot;
use crate::run::{Deadline, Input, Record, Run, StepNews};
use crate::store::{CheckpointManager, DataDir, EngineLock, RESERVE_BYTES, Reserve, RunWrite};
use crate::supervisor::{ConnectError, HostEvent};

/// How many messages are decided together at most.
const MAX_BATCH: usize = 4096;
/// How long ends for whose commit nobody waits may wait for others to share it.
const COMPANY: Duration = Duration::from_millis(1);
/// How long callers that were answered together may take to come back together.
const GATHER: Duration = Duration::from_micros(100);

/// A living run.
pub(super) struct Entry {
    pub(super) run: Arc<Run>,
    /// As it is on disk.
    pub(super) recorded: Option<Arc<Run>>,
    pub(super) signals: (Signal, Signal),
    pub(super) deadline: Deadline,
}

/// The engine, as its thread holds it.
pub(super) struct Engine {
    pub(super) inbox: Receiver<Message>,
    pub(super) sender: Sender<Message>,
    pub(super) published: Arc<Published>,
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
    pub(super) epoch: u64,
    pub(super) counter: u64,
    /// Runs that are ahead of what is on disk.
    pub(super) dirty: HashSet<RunId>,
    /// What steps have reported before their starts were told: decided after those.
    pub(super) early_reports: HashMap<RunId, Vec<PendingInput>>,
    /// What is to be recorded beside them.
    pub(super) unrecorded: Vec<(RunId, Record)>,
    pub(super) reserve: Reserve,
    pub(super) lazy_commit_at_ms: Option<u64>,
    pub(super) timer: WallTimer,
    pub(super) awake_deadlines: BTreeSet<(u64, RunId)>,
    pub(super) wall_deadlines: BTreeSet<(DateTime<Utc>, RunId)>,
    pub(super) closing: Option<Closing>,
    pub(super) n_callers_before: usize,
    /// What came while a commit waited for company, and is no company for it.
    put_aside: Option<Message>,
    /// Released when the thread ends, unless it was asked for.
    pub(super) lock: Option<EngineLock>,
}

/// The options that decisions need.
pub(super) struct EngineSettings {
    pub(super) n_cpus: usize,
    pub(super) scope: super::Scope,
    /// Not decided yet; no step starts before it is.
    pub(super) first_input: Option<(RunId, Input)>,
    pub(super) on_disk_full: super::OnDiskFull,
    pub(super) monitor: Option<MonitorHandle>,
}

/// Opens the data directory and starts the thread.
pub(super) fn open(data_dir: DataDir, options: EngineOptions) -> Result<CoreExecutionEngine, EngineError> {
    let lock = match options.lock {
        Some(lock) => lock,
        None => data_dir.lock()?,
    };
    // Unbounded: callers wait for their answers, reporters for theirs, progress has one slot a run, and
    // the host's facts must not be lost. Closed only after the engine's last act.
    let (sender, inbox) = unbounded();
    let launched = match options.host_start {
        HostStart::AtOnce => HostLink::launch(&options.host, &data_dir).map_err(host_error)?,
        HostStart::WhenNeeded => None,
    };
    let store = CheckpointManager::open(data_dir.checkpoints_db())?;
    let epoch = store.begin_epoch(0)?;
    let acting = Acting::new(&data_dir, options.env, &options.host, sender.clone())?;
    let host = HostLink::new(options.host, launched, &data_dir, epoch, sender.clone());
    let reserve = Reserve::create(data_dir.path().join("reserve"), RESERVE_BYTES)?;
    let published = Arc::new(Published {
        snapshot: Default::default(),
        wants_samples: Default::default(),
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
    let mut admission = Admission::new(options.admission, options.n_cpus);
    admission.orders = published.store.load_orders()?;
    if let Some(order) = options.first_order {
        admission.orders = admission.orders.after(order, clock::now().wall);
        published.store.commit(&[RunWrite::Orders(admission.orders)])?;
    }
    // What an earlier engine left begins in its order, once all of it is known.
    admission.await_line();
    // What the machine has left decides about the first starts, before there is a sample.
    admission.machine = options.monitor.as_ref().map(|monitor| {
        Arc::new(ResourceSnapshot { machine: monitor.first_look(), ..ResourceSnapshot::default() })
    });
    let mut engine = Engine {
        inbox,
        sender: sender.clone(),
        acting,
        published: published.clone(),
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
        epoch,
        counter: 0,
        dirty: HashSet::new(),
        early_reports: HashMap::new(),
        unrecorded: Vec::new(),
        reserve,
        lazy_commit_at_ms: None,
        timer,
        awake_deadlines: BTreeSet::new(),
        wall_deadlines: BTreeSet::new(),
        closing: None,
        n_callers_before: 0,
        put_aside: None,
        lock: Some(lock),
    };
    engine.load_living()?;
    // Capacity 1: said once, when the record and the world are together.
    let (recovered, is_recovered) = bounded(1);
    let thread = thread::start("lf-engine", move || {
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
    Ok(CoreExecutionEngine {
        shared: Arc::new(Shared {
            inbox: sender,
            published,
            functions: Default::default(),
            thread: parking_lot::Mutex::new(Some(thread)),
        }),
    })
}

fn host_error(error: ConnectError) -> EngineError {
    EngineError::Host(error.to_string())
}

impl Drop for Engine {
    /// Also when the thread panics: nobody waits for events that never come.
    fn drop(&mut self) {
        self.published.bus.close();
    }
}

impl Engine {
    fn run(mut self) {
        while self.turn() {}
        self.flush();
    }

    /// One round: wait, gather, handle. False when it is over.
    fn turn(&mut self) -> bool {
        let Some(messages) = self.gather() else { return false };
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
        let until = Instant::now() + COMPANY;
        while self.may_wait(batch, kept)
            && let Ok(message) = self.inbox.recv_deadline(until)
        {
            if !message.is_news_of_a_step() {
                self.put_aside = Some(message);
                return;
            }
            let mut heard = Vec::new();
            self.translate(message, &mut heard);
            self.decide_all(batch, kept, heard);
        }
    }

    /// Waits for the next messages or deadline.
    fn gather(&mut self) -> Option<Vec<Message>> {
        let first = match (self.put_aside.take(), self.next_awake_deadline()) {
            (Some(message), _) => Some(message),
            (None, None) => Some(self.inbox.recv().ok()?),
            (None, Some(at_ms)) => {
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
                let mut slots = self.published.progress.lock();
                if let Some((progress, current_step)) = slots.remove(&run_id) {
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

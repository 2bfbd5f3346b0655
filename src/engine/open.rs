//! Opens the data directory, builds the engine and starts its thread.

use std::sync::Arc;

use crossbeam_channel::{Sender, bounded};

use super::acting::Acting;
use super::clock;
use super::core::Engine;
use super::deadlines::Deadlines;
use super::error::EngineError;
use super::host_link::HostLink;
use super::inbox::Inbox;
use super::lifecycle::Lifecycle;
use super::line::AdmissionLine;
use super::machine::Machine;
use super::message::Message;
use super::options::{EngineOptions, HostStart, host_error};
use super::outage::Outage;
use super::published::Published;
use super::publisher::Publisher;
use super::recorder::Recorder;
use super::reports::Reports;
use super::runs::Runs;
use crate::admission::Admission;
use crate::base::thread::{self, Thread};
use crate::store::{CheckpointManager, DataDir, RunWrite};

/// What a handle needs of a running engine.
pub(super) struct Opened {
    pub(super) inbox: Sender<Message>,
    pub(super) published: Arc<Published>,
    pub(super) thread: Thread,
}

/// Opens the data directory and starts the thread. Returns when recovery is done.
pub(super) fn open(data_dir: DataDir, options: EngineOptions) -> Result<Opened, EngineError> {
    let lock = match options.lock {
        Some(lock) => lock,
        None => data_dir.lock()?,
    };
    let inbox = Inbox::new();
    let launched = match options.host_start {
        HostStart::AtOnce => HostLink::launch(&options.host, &data_dir).map_err(host_error)?,
        HostStart::Begun(launched) => Some(*launched),
        HostStart::WhenNeeded => None,
    };
    let store = CheckpointManager::open(data_dir.checkpoints_db())?;
    let epoch = store.begin_epoch(0)?;
    let acting = Acting::new(&data_dir, store.clone(), options.env, &options.host, inbox.sender())?;
    let reports = Reports::new(&data_dir, inbox.sender())?;
    let host = HostLink::new(options.host, launched, &data_dir, epoch, inbox.sender());
    let outage = Outage::new(data_dir.path().to_owned(), options.on_disk_full)?;
    let published = Arc::new(Published::new(options.bus, store, data_dir));
    let (sender, ring) = (inbox.sender(), inbox.sender());
    let deadlines = Deadlines::new(move || {
        // Fails when the engine is gone.
        let _ = ring.send(Message::WallRing);
    })?;
    let mut admission = Admission::new(options.admission, options.n_cpus);
    admission.orders = published.store().load_orders()?;
    if let Some(order) = options.first_order {
        admission.orders = admission.orders.after(order, clock::now().wall);
        published.store().commit(&[RunWrite::Orders(admission.orders)])?;
    }
    let machine = Machine::new(options.n_cpus, options.monitor, options.awake);
    // Before there is a sample, this look at the machine decides the first starts.
    admission.machine = machine.first_look().map(Arc::new);
    let mut engine = Engine {
        publisher: Publisher::new(published.clone(), epoch),
        inbox,
        runs: Runs::default(),
        recorder: Recorder::default(),
        outage,
        deadlines,
        line: AdmissionLine::new(admission),
        machine,
        host,
        acting,
        reports,
        lifecycle: Lifecycle::new(options.first_input, lock),
    };
    engine.load_living(&options.scope)?;
    // Capacity 1: sent once, when recovery is done.
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
    Ok(Opened { inbox: sender, published, thread })
}

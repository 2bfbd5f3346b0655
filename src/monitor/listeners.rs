//! Delivers each sample to every subscriber. A slow stream never delays the monitor, and a callback that fails does not
//! affect the others.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError};
use parking_lot::Mutex;

use crate::resources::ResourceSnapshot;

/// Samples that a stream holds until they are read.
const STREAM_CAPACITY: usize = 8;

/// Ends a subscription when it is dropped.
#[derive(Debug)]
pub struct SampleGuard {
    _alive: Arc<()>,
}

/// The samples of a monitor, newest last. A reader that is too slow misses the oldest.
#[derive(Debug)]
pub struct SampleStream {
    samples: Receiver<Arc<ResourceSnapshot>>,
    _alive: Arc<()>,
}

impl SampleStream {
    /// The next sample; none once the monitor is gone.
    pub fn recv(&self) -> Option<Arc<ResourceSnapshot>> {
        self.samples.recv().ok()
    }

    /// The next sample; none if it does not come in time, or the monitor is gone.
    pub fn recv_timeout(&self, timeout: Duration) -> Option<Arc<ResourceSnapshot>> {
        self.samples.recv_timeout(timeout).ok()
    }
}

/// The subscribers.
#[derive(Default)]
pub(super) struct Listeners {
    list: Mutex<Vec<Listener>>,
}

struct Listener {
    /// Gone when the subscription was dropped.
    alive: Weak<()>,
    delivery: Delivery,
}

type Callback = dyn FnMut(&Arc<ResourceSnapshot>) + Send;

enum Delivery {
    Call(Box<Callback>),
    /// Both ends, so that the oldest sample can be taken out again.
    Stream(Sender<Arc<ResourceSnapshot>>, Receiver<Arc<ResourceSnapshot>>),
}

impl Listeners {
    pub(super) fn call(&self, callback: impl FnMut(&Arc<ResourceSnapshot>) + Send + 'static) -> SampleGuard {
        SampleGuard { _alive: self.add(Delivery::Call(Box::new(callback))) }
    }

    pub(super) fn stream(&self) -> SampleStream {
        // Capacity 8: when it is full the oldest sample makes room; when it is closed the monitor is gone.
        let (sender, samples) = crossbeam_channel::bounded(STREAM_CAPACITY);
        SampleStream { samples: samples.clone(), _alive: self.add(Delivery::Stream(sender, samples)) }
    }

    fn add(&self, delivery: Delivery) -> Arc<()> {
        let alive = Arc::new(());
        self.list.lock().push(Listener { alive: Arc::downgrade(&alive), delivery });
        alive
    }

    /// Delivers a sample to every subscriber.
    pub(super) fn send(&self, sample: &Arc<ResourceSnapshot>) {
        // Taken out of the lock while callbacks run: one of them may add a subscriber.
        let mut list = std::mem::take(&mut *self.list.lock());
        list.retain_mut(|listener| listener.alive.strong_count() > 0 && listener.delivery.deliver(sample));
        let mut kept = self.list.lock();
        list.append(&mut kept);
        *kept = list;
    }
}

impl Delivery {
    /// Returns false when the subscription must end.
    fn deliver(&mut self, sample: &Arc<ResourceSnapshot>) -> bool {
        match self {
            // A panic was reported by the panic hook.
            Self::Call(callback) => catch_unwind(AssertUnwindSafe(|| callback(sample))).is_ok(),
            Self::Stream(sender, waiting) => {
                let mut sample = sample.clone();
                while let Err(TrySendError::Full(refused)) = sender.try_send(sample) {
                    // Fails if the reader was faster; then there is room as well.
                    let _ = waiting.try_recv();
                    sample = refused;
                }
                true
            }
        }
    }
}

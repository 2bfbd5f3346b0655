//! The event bus: every subscriber gets the events of a run in order, and a slow subscriber costs bounded memory and
//! delays no one.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::base::id::{RunId, StepId};
use crate::base::queue::{Backlog, EventQueue, Wake};
use crate::base::thread::{self, Thread};
use crate::run::{Event, EventKind};

/// How many facts may wait for a subscriber before one [`EventKind::Resync`] replaces them.
pub const MAX_WAITING_FACTS: usize = 65_536;

/// Sends events to all subscribers. Cheap to clone; all clones are the same bus.
#[derive(Clone, Default)]
pub struct EventBus {
    subscribers: Arc<Mutex<Vec<Subscriber>>>,
}

#[derive(Clone)]
struct Subscriber {
    queue: Weak<Queue>,
    hears: Hears,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Hears {
    All,
    /// No telemetry, so that progress does not wake it.
    Facts,
}

impl EventBus {
    /// A bus without subscribers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Subscribes. Events are taken with [`Subscription::recv`] and the other methods.
    pub fn subscribe(&self) -> Subscription {
        self.add(Hears::All, None)
    }

    /// As [`Self::subscribe`]. `wake` is called on the engine's thread whenever the queue stops being empty, and must
    /// return at once.
    pub fn subscribe_with_waker(&self, wake: impl Fn() + Send + Sync + 'static) -> Subscription {
        self.add(Hears::All, Some(Box::new(wake)))
    }

    /// As [`Self::subscribe_with_waker`], without telemetry: for one whom progress does not concern.
    pub(crate) fn subscribe_to_facts(&self, wake: impl Fn() + Send + Sync + 'static) -> Subscription {
        self.add(Hears::Facts, Some(Box::new(wake)))
    }

    /// Calls `callback(event_type, data)` for every event, on a thread of its own, until the guard is dropped. A
    /// callback that panics is not called again.
    pub fn subscribe_events(
        &self,
        mut callback: impl FnMut(&str, &Event) + Send + 'static,
    ) -> SubscriptionGuard {
        let subscription = self.subscribe();
        let queue = subscription.queue.clone();
        let thread = thread::short("lf-subscriber", move || {
            while let Some(event) = subscription.recv() {
                let call = AssertUnwindSafe(|| callback(event.kind.name(), &event));
                if catch_unwind(call).is_err() {
                    return;
                }
            }
        });
        SubscriptionGuard { queue, _thread: thread.ok() }
    }

    fn add(&self, hears: Hears, wake: Option<Wake>) -> Subscription {
        let queue = Arc::new(Queue::new(wake));
        self.subscribers.lock().push(Subscriber { queue: Arc::downgrade(&queue), hears });
        Subscription { queue }
    }

    /// Sends `events` to every subscriber, in this order.
    pub(crate) fn publish(&self, events: &[Arc<Event>]) {
        self.subscribers.lock().retain(|Subscriber { queue, hears }| {
            let concerns = |event: &&Arc<Event>| *hears == Hears::All || !event.kind.is_telemetry();
            let push = |waiting: &mut Waiting| {
                events.iter().filter(concerns).for_each(|event| waiting.push(event));
            };
            queue.upgrade().is_some_and(|queue| queue.push(push, || false))
        });
    }

    /// Ends every subscription. Waiting events can still be taken.
    pub(crate) fn close(&self) {
        for queue in self.subscribers.lock().drain(..).filter_map(|subscriber| subscriber.queue.upgrade()) {
            queue.close();
        }
    }
}

/// Ends a callback's subscription when dropped. The callback is not called afterwards.
#[must_use = "the subscription ends when this is dropped"]
pub struct SubscriptionGuard {
    queue: Arc<Queue>,
    /// If the callback itself drops the guard, its thread is not joined.
    _thread: Option<Thread>,
}

impl Drop for SubscriptionGuard {
    fn drop(&mut self) {
        self.queue.leave();
    }
}

/// One subscriber's queue of events, to be taken from by one thread or several. Dropping it ends the subscription.
pub struct Subscription {
    queue: Arc<Queue>,
}

impl Subscription {
    /// Waits for the next event. None when the bus is closed and everything was taken.
    pub fn recv(&self) -> Option<Arc<Event>> {
        self.queue.pop(None)
    }

    /// As [`Self::recv`], but waits at most this long.
    pub fn recv_timeout(&self, timeout: Duration) -> Option<Arc<Event>> {
        self.queue.pop(Some(Instant::now() + timeout))
    }

    /// The next event, if one waits.
    pub fn try_recv(&self) -> Option<Arc<Event>> {
        self.queue.try_pop()
    }

    /// Whether the bus is closed and everything was taken.
    pub fn is_over(&self) -> bool {
        self.queue.is_over()
    }

    /// A handle to end the subscription from another thread.
    pub(crate) fn ender(&self) -> SubscriptionEnder {
        SubscriptionEnder { queue: self.queue.clone() }
    }

    /// How many events wait.
    pub fn n_waiting(&self) -> usize {
        self.queue.look(|waiting| waiting.facts.len() + waiting.telemetry.len())
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// Ends a subscription that another thread waits on. Waiting events can still be taken.
pub struct SubscriptionEnder {
    queue: Arc<Queue>,
}

impl SubscriptionEnder {
    /// Ends it: no more events are added.
    pub fn end(&self) {
        self.queue.close();
    }
}

type Queue = EventQueue<Waiting>;

/// Facts keep their order and are bounded by a resync. Of telemetry, only the newest of each kind, run and step is
/// kept.
#[derive(Default)]
struct Waiting {
    facts: VecDeque<Arc<Event>>,
    telemetry: BTreeMap<u64, Arc<Event>>,
    newest: HashMap<TelemetryKey, u64>,
}

type TelemetryKey = (&'static str, Option<RunId>, Option<StepId>);

impl Backlog for Waiting {
    type Item = Arc<Event>;

    /// The older of both: telemetry and facts never overtake each other.
    fn take(&mut self) -> Option<Arc<Event>> {
        let fact = self.facts.front().map(|event| event.seq);
        let telemetry = self.telemetry.first_key_value().map(|(seq, _)| *seq);
        match (fact, telemetry) {
            (Some(fact), Some(telemetry)) if telemetry < fact => self.pop_telemetry(),
            (Some(_), _) => self.facts.pop_front(),
            (None, _) => self.pop_telemetry(),
        }
    }

    fn is_empty(&self) -> bool {
        self.facts.is_empty() && self.telemetry.is_empty()
    }
}

impl Waiting {
    fn push(&mut self, event: &Arc<Event>) {
        if event.kind.is_telemetry() {
            if let Some(older) = self.newest.insert(telemetry_key(event), event.seq) {
                self.telemetry.remove(&older);
            }
            self.telemetry.insert(event.seq, event.clone());
        } else {
            self.facts.push_back(event.clone());
        }
        if self.facts.len() > MAX_WAITING_FACTS || self.telemetry.len() > MAX_WAITING_FACTS {
            self.facts.clear();
            self.telemetry.clear();
            self.newest.clear();
            let resync = Event { seq: event.seq, at: event.at, run_id: None, kind: EventKind::Resync };
            self.facts.push_back(Arc::new(resync));
        }
    }

    fn pop_telemetry(&mut self) -> Option<Arc<Event>> {
        let (_, event) = self.telemetry.pop_first()?;
        self.newest.remove(&telemetry_key(&event));
        Some(event)
    }
}

fn telemetry_key(event: &Event) -> TelemetryKey {
    (event.kind.name(), event.run_id.clone(), event.kind.telemetry_step().cloned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;

    fn progress(seq: u64, run: &str) -> Arc<Event> {
        let kind = EventKind::ExecutionProgress { progress: 0.5, current_step: None, message: None };
        event(seq, run, kind)
    }

    fn fact(seq: u64, run: &str) -> Arc<Event> {
        event(seq, run, EventKind::CheckpointSaved { step_id: "s".into() })
    }

    fn event(seq: u64, run: &str, kind: EventKind) -> Arc<Event> {
        let run_id = Some(RunId::new(run).expect("an id"));
        Arc::new(Event { seq, at: DateTime::UNIX_EPOCH, run_id, kind })
    }

    fn seqs(subscription: &Subscription) -> Vec<u64> {
        std::iter::from_fn(|| subscription.try_recv()).map(|event| event.seq).collect()
    }

    #[test]
    fn progress_coalesces_to_the_newest_and_keeps_its_place_among_the_facts() {
        let bus = EventBus::new();
        let subscription = bus.subscribe();
        bus.publish(&[progress(1, "a"), fact(2, "a"), progress(3, "a"), progress(4, "b"), fact(5, "a")]);
        assert_eq!(seqs(&subscription), [2, 3, 4, 5]);
    }

    #[test]
    fn progress_does_not_wake_a_subscriber_to_facts() {
        let bus = EventBus::new();
        // Unbounded: at most one note for each event below.
        let (wake, woken) = crossbeam_channel::unbounded();
        let subscription = bus.subscribe_to_facts(move || wake.send(()).expect("ours"));
        bus.publish(&[progress(1, "a")]);
        assert!(woken.try_recv().is_err());
        bus.publish(&[progress(2, "a"), fact(3, "a"), progress(4, "a")]);
        assert!(woken.try_recv().is_ok() && woken.try_recv().is_err());
        assert_eq!(seqs(&subscription), [3]);
    }

    #[test]
    fn a_subscriber_that_never_reads_costs_bounded_memory_and_is_told_to_resync() {
        let bus = EventBus::new();
        let subscription = bus.subscribe();
        for seq in 0..1_000_000 {
            bus.publish(&[progress(seq, "a")]);
        }
        assert_eq!(subscription.n_waiting(), 1);
        let facts: Vec<_> =
            (1_000_000..1_000_000 + MAX_WAITING_FACTS as u64 + 10).map(|s| fact(s, "a")).collect();
        bus.publish(&facts);
        let first = subscription.try_recv().expect("an event");
        assert!(matches!(first.kind, EventKind::Resync));
        assert!(subscription.n_waiting() < 20);
    }

    #[test]
    fn a_callback_that_panics_harms_nobody_else() {
        let bus = EventBus::new();
        let healthy = bus.subscribe();
        let guard = bus.subscribe_events(|_, _| panic!("a bad subscriber (the test wants it)"));
        bus.publish(&[fact(1, "a")]);
        bus.publish(&[fact(2, "a")]);
        assert_eq!(healthy.recv().map(|e| e.seq), Some(1));
        assert_eq!(healthy.recv().map(|e| e.seq), Some(2));
        drop(guard);
    }

    #[test]
    fn a_dropped_guard_ends_the_callback() {
        let bus = EventBus::new();
        // Unbounded: the test takes everything.
        let (tx, rx) = crossbeam_channel::unbounded();
        let guard =
            bus.subscribe_events(move |name, event| tx.send((name.to_owned(), event.seq)).expect("ours"));
        bus.publish(&[fact(1, "a")]);
        assert_eq!(rx.recv().expect("one"), ("checkpoint_saved".to_owned(), 1));
        drop(guard);
        bus.publish(&[fact(2, "a")]);
        assert!(rx.recv().is_err());
    }
}

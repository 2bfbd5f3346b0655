//! Tell: numbers events, sends them to every subscriber, and publishes the snapshot that includes them.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use imbl::OrdMap;

use super::published::{EngineSnapshot, Progress, Published};
use crate::admission::Orders;
use crate::base::id::RunId;
use crate::run::{Event, EventKind, Run};
use crate::store::CheckpointManager;

/// The engine's side of what is published. Dropping it closes the bus, also when the engine's thread panics, so that no
/// subscriber waits forever.
pub(super) struct Publisher {
    published: Arc<Published>,
    epoch: u64,
    /// The number of events of this epoch.
    counter: u64,
}

impl Publisher {
    pub(super) fn new(published: Arc<Published>, epoch: u64) -> Self {
        Self { published, epoch, counter: 0 }
    }

    /// Continues as the engine of a later epoch.
    pub(super) fn set_epoch(&mut self, epoch: u64) {
        self.epoch = epoch;
    }

    pub(super) fn store(&self) -> &CheckpointManager {
        self.published.store()
    }

    pub(super) fn take_progress(&self, run_id: &RunId) -> Option<Progress> {
        self.published.take_progress(run_id)
    }

    pub(super) fn want_samples(&self, wants: bool) {
        self.published.set_wants_samples(wants);
    }

    /// Gives an event its sequence number. It is sent with [`send`](Self::send).
    pub(super) fn number(
        &mut self,
        at: DateTime<Utc>,
        run_id: Option<RunId>,
        mut kind: EventKind,
    ) -> Arc<Event> {
        self.counter += 1;
        // Decisions do not know the directory; a subscriber needs a path that it can open.
        kind.locate_logs(self.published.data_dir().path());
        // The name and no values: they may be those of parameters.
        tracing::debug!(kind = kind.name(), run_id = run_id.as_ref().map(RunId::as_str), "told");
        Arc::new(Event { seq: self.seq(), at, run_id, kind })
    }

    /// Sends numbered events to every subscriber.
    pub(super) fn send(&self, events: &[Arc<Event>]) {
        self.published.bus().publish(events);
    }

    /// Numbers and sends events.
    pub(super) fn tell(&mut self, at: DateTime<Utc>, told: Vec<(Option<RunId>, EventKind)>) {
        let events: Vec<_> = told.into_iter().map(|(run_id, kind)| self.number(at, run_id, kind)).collect();
        self.send(&events);
    }

    /// The runs as they were published last.
    pub(super) fn runs(&self) -> OrdMap<RunId, Arc<Run>> {
        self.published.snapshot().runs.clone()
    }

    /// Publishes the present runs and orders, up to the last numbered event.
    pub(super) fn publish(&self, runs: OrdMap<RunId, Arc<Run>>, orders: Orders) {
        self.published.set_snapshot(EngineSnapshot { seq: self.seq(), runs, orders });
    }

    fn seq(&self) -> u64 {
        (self.epoch << 32) + self.counter
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        self.published.bus().close();
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::engine::bus::EventBus;
    use crate::store::DataDir;

    fn warning(text: &str) -> (Option<RunId>, EventKind) {
        (None, EventKind::WarningRaised { text: text.into() })
    }

    fn published(dir: &Path) -> Arc<Published> {
        let data_dir = DataDir::open(dir).expect("a data directory");
        let store = CheckpointManager::in_memory().expect("a store");
        Arc::new(Published::new(EventBus::new(), store, data_dir))
    }

    #[test]
    fn numbers_rise_over_epochs_and_the_snapshot_stands_at_the_last_one() {
        let dir = tempfile::tempdir().expect("a directory");
        let published = published(dir.path());
        let subscription = published.bus().subscribe();
        let mut publisher = Publisher::new(published.clone(), 1);
        publisher.tell(DateTime::UNIX_EPOCH, vec![warning("one"), warning("two")]);
        publisher.set_epoch(2);
        publisher.tell(DateTime::UNIX_EPOCH, vec![warning("three")]);
        publisher.publish(publisher.runs(), Orders::default());
        let seqs: Vec<_> = std::iter::from_fn(|| subscription.try_recv()).map(|event| event.seq).collect();
        assert!(seqs.is_sorted_by(|a, b| a < b), "{seqs:?}");
        assert_eq!(seqs.last().copied(), Some(published.snapshot().seq));
        assert_eq!(published.snapshot().epoch(), 2);
    }

    #[test]
    fn the_bus_is_closed_with_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let published = published(dir.path());
        let subscription = published.bus().subscribe();
        let mut publisher = Publisher::new(published, 1);
        publisher.tell(DateTime::UNIX_EPOCH, vec![warning("last")]);
        drop(publisher);
        assert!(subscription.recv().is_some(), "what was told can be taken still");
        assert!(subscription.recv().is_none(), "nothing more comes");
    }
}

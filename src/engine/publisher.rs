//! Tell: numbers events, hands them to every subscriber, and swaps in the snapshot that contains them.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use imbl::OrdMap;

use super::published::{EngineSnapshot, Progress, Published};
use crate::admission::Orders;
use crate::base::id::RunId;
use crate::run::{Event, EventKind, Run};
use crate::store::CheckpointManager;

/// The engine's side of what is published. The bus is closed with it, also when the engine's thread panics: no subscriber
/// waits for events that never come.
pub(super) struct Publisher {
    published: Arc<Published>,
    epoch: u64,
    /// Events of this epoch.
    counter: u64,
}

impl Publisher {
    pub(super) fn new(published: Arc<Published>, epoch: u64) -> Self {
        Self { published, epoch, counter: 0 }
    }

    /// Goes on as the engine of a later epoch.
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

    /// Gives an event its number, which no event after it has; it is told with [`send`](Self::send).
    pub(super) fn number(
        &mut self,
        at: DateTime<Utc>,
        run_id: Option<RunId>,
        mut kind: EventKind,
    ) -> Arc<Event> {
        self.counter += 1;
        // Decisions know no directory; who hears of a log wants to open it.
        kind.locate_logs(self.published.data_dir().path());
        // Its name and no value of it: what it carries may be a parameter's.
        tracing::debug!(kind = kind.name(), run_id = run_id.as_ref().map(RunId::as_str), "told");
        Arc::new(Event { seq: self.seq(), at, run_id, kind })
    }

    /// Hands numbered events to every subscriber.
    pub(super) fn send(&self, events: &[Arc<Event>]) {
        self.published.bus().publish(events);
    }

    /// Numbers and sends.
    pub(super) fn tell(&mut self, at: DateTime<Utc>, told: Vec<(Option<RunId>, EventKind)>) {
        let events: Vec<_> = told.into_iter().map(|(run_id, kind)| self.number(at, run_id, kind)).collect();
        self.send(&events);
    }

    /// The runs as they were published last.
    pub(super) fn runs(&self) -> OrdMap<RunId, Arc<Run>> {
        self.published.snapshot().runs.clone()
    }

    /// Swaps in what is true from now on, up to the event that was numbered last.
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

//! What readers get without the engine's thread: the newest snapshot, the bus and the store; and the slots in which the
//! newest progress of driven runs waits for the engine.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::{ArcSwap, Guard};
use imbl::OrdMap;
use parking_lot::{Mutex, MutexGuard};

use super::bus::EventBus;
use crate::admission::Orders;
use crate::base::id::RunId;
use crate::run::Run;
use crate::store::{CheckpointManager, DataDir};

/// All living runs at one moment.
#[derive(Debug, Clone, Default)]
pub struct EngineSnapshot {
    /// Every event up to this one is included.
    pub seq: u64,
    /// The runs that have not ended, with their steps.
    pub runs: OrdMap<RunId, Arc<Run>>,
    /// The operator's orders in force.
    pub orders: Orders,
}

impl EngineSnapshot {
    /// The epoch of the engine. Each start of an engine has a higher one.
    pub const fn epoch(&self) -> u64 {
        self.seq >> 32
    }
}

/// Shared by the engine's thread, which writes it, and all handles, which read it.
pub(super) struct Published {
    snapshot: ArcSwap<EngineSnapshot>,
    wants_samples: AtomicBool,
    progress: Mutex<HashMap<RunId, Progress>>,
    bus: EventBus,
    store: CheckpointManager,
    data_dir: DataDir,
}

/// A driven run's progress and present step.
pub(super) type Progress = (f64, Option<Arc<str>>);

impl Published {
    pub(super) fn new(bus: EventBus, store: CheckpointManager, data_dir: DataDir) -> Self {
        let (snapshot, wants_samples, progress) = Default::default();
        Self { snapshot, wants_samples, progress, bus, store, data_dir }
    }

    pub(super) fn snapshot(&self) -> Guard<Arc<EngineSnapshot>> {
        self.snapshot.load()
    }

    pub(super) fn set_snapshot(&self, snapshot: EngineSnapshot) {
        self.snapshot.store(Arc::new(snapshot));
    }

    /// Whether something waits that a sample may let start.
    pub(super) fn wants_samples(&self) -> bool {
        self.wants_samples.load(Ordering::Relaxed)
    }

    pub(super) fn set_wants_samples(&self, wants: bool) {
        self.wants_samples.store(wants, Ordering::Relaxed);
    }

    /// Puts the newest progress of a run into its slot: a flood of reports costs one slot for each run. True if the
    /// slot was empty, so that the engine must be woken.
    pub(super) fn offer_progress(&self, run_id: &RunId, (progress, step): Progress) -> bool {
        let mut slots = self.slots();
        match slots.get_mut(run_id) {
            Some(slot) => {
                *slot = (progress, step.or_else(|| slot.1.take()));
                false
            }
            None => slots.insert(run_id.clone(), (progress, step)).is_none(),
        }
    }

    pub(super) fn take_progress(&self, run_id: &RunId) -> Option<Progress> {
        self.slots().remove(run_id)
    }

    pub(super) fn bus(&self) -> &EventBus {
        &self.bus
    }

    pub(super) fn store(&self) -> &CheckpointManager {
        &self.store
    }

    pub(super) fn data_dir(&self) -> &DataDir {
        &self.data_dir
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<RunId, Progress>> {
        self.progress.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_progress_waits_in_one_slot_and_keeps_the_step_that_was_named_last() {
        let dir = tempfile::tempdir().expect("a directory");
        let data_dir = DataDir::open(dir.path()).expect("a data directory");
        let store = CheckpointManager::in_memory().expect("a store");
        let published = Published::new(EventBus::new(), store, data_dir);
        let run_id = RunId::new("a").expect("an id");
        assert!(published.offer_progress(&run_id, (0.1, Some("first".into()))));
        assert!(!published.offer_progress(&run_id, (0.2, None)));
        assert_eq!(published.take_progress(&run_id), Some((0.2, Some("first".into()))));
        assert_eq!(published.take_progress(&run_id), None);
        assert!(published.offer_progress(&run_id, (0.3, None)));
    }
}

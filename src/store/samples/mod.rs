//! [`SampleStore`]: the handle on `samples.db`, the history of what the machine and the steps have cost. Written by a thread
//! of its own, so that writing delays nobody; what it can't keep up with is dropped, oldest first, and counted.
//!
//! Full rate for an hour, means and peaks of 10 seconds for a day, of a minute for 30 days. The file may be deleted at any
//! time, also while it is in use: another one is begun, and only history is lost. It grows to about 10 MB with ten runs a
//! day, and never beyond 160 MiB, for which the history of steps is shortened.

mod keeper;
mod query;
mod schema;
mod spans;

#[cfg(test)]
mod tests;

pub use query::{LimitChangeRow, MachinePoint, SampleHistory, StepPoint};
pub use spans::StepSpan;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, unbounded};

use crate::base::thread::{self, Thread};
use crate::resources::ResourceSnapshot;

/// The file is kept below this, in bytes.
const MAX_BYTES: u64 = 160 << 20;

/// Samples that wait to be written: more than a minute of them at full rate.
const MAX_WAITING: usize = 128;

/// How finely history is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resolution {
    /// Each sample; for an hour.
    Full,
    /// One point for ten seconds; for a day.
    TenSeconds,
    /// One point a minute; for 30 days.
    Minute,
}

impl Resolution {
    /// From the finest.
    pub const ALL: [Self; 3] = [Self::Full, Self::TenSeconds, Self::Minute];

    /// From one point to the next, in milliseconds; 0: as they were taken.
    pub const fn step_ms(self) -> i64 {
        match self {
            Self::Full => 0,
            Self::TenSeconds => 10_000,
            Self::Minute => 60_000,
        }
    }

    /// How long a point is kept, in milliseconds.
    pub const fn kept_ms(self) -> i64 {
        const HOUR_MS: i64 = 3_600_000;
        match self {
            Self::Full => HOUR_MS,
            Self::TenSeconds => 24 * HOUR_MS,
            Self::Minute => 30 * 24 * HOUR_MS,
        }
    }

    /// How it stands in the database.
    const fn level(self) -> i64 {
        match self {
            Self::Full => 0,
            Self::TenSeconds => 1,
            Self::Minute => 2,
        }
    }
}

/// What the thread is told beside samples.
enum Order {
    /// Write what waits, then answer.
    Flush(Sender<()>),
    Stop,
}

/// Keeps samples in SQLite. A cheap handle: clones share the thread, which ends with the last of them.
#[derive(Clone)]
pub struct SampleStore {
    shared: Arc<Shared>,
}

struct Shared {
    history: SampleHistory,
    samples: Sender<Arc<ResourceSnapshot>>,
    /// The other end, so that the oldest can be taken out again.
    waiting: Receiver<Arc<ResourceSnapshot>>,
    orders: Sender<Order>,
    n_lost: Arc<AtomicU64>,
    _thread: Thread,
}

impl SampleStore {
    /// Begins to keep samples at `path`. The file is opened with the first of them, and again whenever it was lost.
    ///
    /// # Errors
    /// When the thread can't be started.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        // Capacity 128: when it is full the oldest sample makes room and is counted as lost; it closes with the store.
        let (samples, waiting) = bounded(MAX_WAITING);
        // Unbounded: whoever orders waits for the answer; it closes with the store.
        let (orders, ordered) = unbounded();
        let n_lost = Arc::<AtomicU64>::default();
        let keeper = keeper::Keeper::new(path.clone(), n_lost.clone());
        let arriving = waiting.clone();
        let _thread = thread::start("lf-samples-db", move || keeper.run(&arriving, &ordered))?;
        Ok(Self {
            shared: Arc::new(Shared {
                history: SampleHistory::of(path),
                samples,
                waiting,
                orders,
                n_lost,
                _thread,
            }),
        })
    }

    /// Takes a sample to be kept, without ever waiting.
    pub fn push(&self, sample: &Arc<ResourceSnapshot>) {
        let mut sample = sample.clone();
        while let Err(TrySendError::Full(refused)) = self.shared.samples.try_send(sample) {
            // The thread may have been faster; then there is room as well.
            if self.shared.waiting.try_recv().is_ok() {
                self.shared.n_lost.fetch_add(1, Ordering::Relaxed);
            }
            sample = refused;
        }
    }

    /// Returns when everything that was pushed is in the file, or is lost. For those who are about to read the newest.
    pub fn flush(&self) {
        // Capacity 1: the one answer.
        let (reply, answer) = bounded(1);
        if self.shared.orders.send(Order::Flush(reply)).is_ok() {
            // Closed: the thread has ended.
            let _ = answer.recv();
        }
    }

    /// Samples that could not be kept since the start.
    pub fn n_lost(&self) -> u64 {
        self.shared.n_lost.load(Ordering::Relaxed)
    }

    /// What was kept so far, to be read.
    pub fn history(&self) -> &SampleHistory {
        &self.shared.history
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        self.shared.history.path()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // It ends the thread, which is joined then; if it has ended already, so be it.
        let _ = self.orders.send(Order::Stop);
    }
}

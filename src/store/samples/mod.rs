//! [`SampleStore`]: the handle on `samples.db`, the history of what the machine and the steps have used. A thread of
//! its own writes it, so that no caller waits. When it can't keep up, the oldest samples are dropped and counted.
//!
//! History has full rate for an hour, means and peaks of 10 seconds for a day, and of a minute for 30 days. The file
//! may be deleted at any time, also while it is in use: a new one is begun, and only history is lost. It takes about 10
//! MB with ten runs a day, and never more than 160 MiB: then the history of steps is shortened.

mod keeper;
mod moments;
mod query;
mod schema;
mod spans;

#[cfg(test)]
mod tests;

pub use moments::{RunPoint, StepUse};
pub use query::{LimitChangeRow, MachinePoint, SampleHistory};
pub use spans::StepSpan;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, unbounded};

use crate::base::thread::{self, Thread};
use crate::resources::ResourceSnapshot;

/// The largest size of the file, in bytes.
const MAX_BYTES: u64 = 160 << 20;

/// Samples that may wait to be written: more than a minute of them at full rate.
const MAX_WAITING: usize = 128;

/// How fine the points of history are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resolution {
    /// Each sample, kept for an hour.
    Full,
    /// One point for ten seconds, kept for a day.
    TenSeconds,
    /// One point a minute, kept for 30 days.
    Minute,
}

impl Resolution {
    /// All, the finest first.
    pub const ALL: [Self; 3] = [Self::Full, Self::TenSeconds, Self::Minute];

    /// From one point to the next, in milliseconds; 0: as the samples were taken.
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

    /// Its number in the database.
    const fn level(self) -> i64 {
        match self {
            Self::Full => 0,
            Self::TenSeconds => 1,
            Self::Minute => 2,
        }
    }
}

/// Orders to the thread.
enum Order {
    /// Write the waiting samples, then answer.
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
    /// The other end of the queue, to take the oldest sample out.
    waiting: Receiver<Arc<ResourceSnapshot>>,
    orders: Sender<Order>,
    n_lost: Arc<AtomicU64>,
    _thread: Thread,
}

impl SampleStore {
    /// Starts to keep samples at `path`. The file is opened with the first sample, and again whenever it was lost.
    ///
    /// # Errors
    /// The thread can't be started.
    pub fn open(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        // Capacity 128: when it is full, the oldest sample is dropped and counted. It closes with the store.
        let (samples, waiting) = bounded(MAX_WAITING);
        // Unbounded: each caller waits for its answer. It closes with the store.
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

    /// Queues a sample. Never waits.
    pub fn push(&self, sample: &Arc<ResourceSnapshot>) {
        let mut sample = sample.clone();
        while let Err(TrySendError::Full(refused)) = self.shared.samples.try_send(sample) {
            // If the queue is empty by now, the thread took the sample, and there is room too.
            if self.shared.waiting.try_recv().is_ok() {
                self.shared.n_lost.fetch_add(1, Ordering::Relaxed);
            }
            sample = refused;
        }
    }

    /// Returns when every pushed sample is in the file or is lost. For a caller that is about to read the newest.
    pub fn flush(&self) {
        // Capacity 1: the one answer.
        let (reply, answer) = bounded(1);
        if self.shared.orders.send(Order::Flush(reply)).is_ok() {
            // Closed: the thread has ended.
            let _ = answer.recv();
        }
    }

    /// How many samples were lost since the start.
    pub fn n_lost(&self) -> u64 {
        self.shared.n_lost.load(Ordering::Relaxed)
    }

    /// For reading what was kept so far.
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
        // Ends the thread, which is joined then. An error means that it has ended already.
        let _ = self.orders.send(Order::Stop);
    }
}

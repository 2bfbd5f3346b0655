//! What the machine has left and what each step uses, sampled once a second. The only module that uses `sysinfo`.
//!
//! [`ResourceMonitor`] samples on a thread of its own. Through a [`MonitorHandle`] the engine says which steps live.
//! The monitor measures and reports when a limit is exceeded. It does not decide what happens then, and keeps only the
//! newest sample.
//!
//! In reading order: `sampler` is the thread; `machine` and `sensors` read the machine, `quick_reader` the figures that
//! need no time to measure; `forest` finds the trees of steps, `meter` adds up what they use, `procfs` reads for both;
//! `listeners` delivers samples; `shortage` says whether memory ran out.

mod forest;
mod listeners;
mod machine;
mod meter;
mod procfs;
mod quick_reader;
mod sampler;
mod sensors;
mod shortage;

pub use listeners::{SampleGuard, SampleStream};
pub(crate) use shortage::Shortage;

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use chrono::{DateTime, Utc};
use crossbeam_channel::{Receiver, Sender};
use parking_lot::{Condvar, Mutex};
use rustix::time::{ClockId, clock_gettime};

use crate::base::id::AttemptKey;
use crate::base::time::Now;
use crate::resources::{Limits, MachineSample, ResourceSnapshot, StepTotals};
use forest::Tracked;
use listeners::Listeners;
use quick_reader::QuickReader;
use sampler::Sampler;

/// The shortest interval: below it, the monitor itself would use a noticeable part of the machine.
pub const MIN_INTERVAL: Duration = Duration::from_millis(200);
/// The longest interval.
pub const MAX_INTERVAL: Duration = Duration::from_secs(60);

/// Where Linux lists batteries and mains.
const POWER_SUPPLIES: &str = "/sys/class/power_supply";

/// What is sampled, and how often. [`new`](Self::new) has the defaults.
#[derive(Debug, Clone)]
pub struct MonitorOptions {
    /// The folders whose file systems' space is measured; the data directory comes first.
    pub folders: Vec<PathBuf>,
    /// From one sample to the next: 200 ms to 60 s.
    pub interval: Duration,
    /// The shortest interval while no step is measured: 200 ms to 60 s as well.
    pub idle_interval: Duration,
    /// From where on a resource counts as short.
    #[doc(hidden)]
    pub limits: Limits,
    /// Where the kernel lists batteries and mains.
    pub power_supplies: PathBuf,
}

impl MonitorOptions {
    /// Once a second, for this data directory, without limits.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            folders: vec![data_dir.into()],
            interval: Duration::from_secs(1),
            idle_interval: MIN_INTERVAL,
            limits: Limits::none(),
            power_supplies: POWER_SUPPLIES.into(),
        }
    }
}

/// An order to the thread. The thread waits for it until the next sample is due.
enum Order {
    SetInterval(Duration),
    SetLimits(Limits),
    Track(Tracked),
    Forget(AttemptKey),
    Stop,
}

/// What other threads read while the monitor samples.
#[derive(Default)]
struct Published {
    last: Mutex<Option<Arc<ResourceSnapshot>>>,
    /// Notified at every new sample.
    sampled: Condvar,
    totals: Mutex<HashMap<AttemptKey, StepTotals>>,
}

/// Gives orders to a [`ResourceMonitor`] from any thread, without waiting for it. Does nothing once the monitor has
/// stopped.
#[derive(Clone)]
pub struct MonitorHandle {
    orders: Sender<Order>,
    published: Arc<Published>,
    quick_reader: Arc<QuickReader>,
}

impl MonitorHandle {
    /// The figures that need no time to measure, for a decision before the first sample: memory, the space of the
    /// watched file systems and power. The others (CPU, load, rates, temperature) are 0 or none. Reads a few small
    /// files and does not wait for the monitor, which need not even have been started.
    pub fn first_look(&self) -> MachineSample {
        self.quick_reader.read(Utc::now())
    }

    /// Sets the interval between samples while steps are measured.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] below 200 ms and above 60 s.
    pub fn set_interval(&self, interval: Duration) -> io::Result<()> {
        self.order(Order::SetInterval(checked(interval)?));
        Ok(())
    }

    /// Sets the limits. A raised limit stays raised if it is unchanged, and is cleared otherwise; the next sample,
    /// which comes soon, has the changes.
    pub(crate) fn set_limits(&self, limits: Limits) {
        self.order(Order::SetLimits(limits));
    }

    /// Measures the tree of this attempt from now on. `pid` is its main process, `token` marks its processes. Does
    /// nothing if the process has ended or the pid belongs to another one by now.
    #[doc(hidden)]
    pub fn track(&self, key: AttemptKey, pid: u32, token: &str) {
        self.order(Order::Track(Tracked { key, pid, token: token.to_owned() }));
    }

    /// This attempt has ended: stops measuring it, and returns what it used if a sample had it.
    #[doc(hidden)]
    pub fn forget(&self, key: &AttemptKey) -> Option<StepTotals> {
        let totals = self.published.totals.lock().remove(key);
        self.order(Order::Forget(key.clone()));
        totals
    }

    /// The newest sample; none before the first.
    pub fn get_snapshot(&self) -> Option<Arc<ResourceSnapshot>> {
        self.published.last.lock().clone()
    }

    /// Waits at most `patience` for a sample taken after this instant, and returns the newest; none before the first.
    pub fn wait_newer(
        &self,
        after: Option<DateTime<Utc>>,
        patience: Duration,
    ) -> Option<Arc<ResourceSnapshot>> {
        let mut last = self.published.last.lock();
        let is_old = |last: &mut Option<Arc<ResourceSnapshot>>| match last {
            Some(last) => after.is_some_and(|after| last.machine.at <= after),
            None => true,
        };
        // Too late, it is still the newest.
        let _ = self.published.sampled.wait_while_for(&mut last, is_old, patience);
        last.clone()
    }

    fn order(&self, order: Order) {
        // Closed means that the monitor is gone.
        let _ = self.orders.send(order);
    }
}

/// Samples the machine and the steps on a thread of its own, from [`start`](Self::start) until it is stopped or dropped.
pub struct ResourceMonitor {
    handle: MonitorHandle,
    ordered: Receiver<Order>,
    listeners: Arc<Listeners>,
    state: Mutex<State>,
}

enum State {
    /// Not started yet: it has read nothing.
    New(Box<MonitorOptions>),
    Idle(Box<Sampler>),
    Samples(JoinHandle<Box<Sampler>>),
    /// The thread has panicked, or could not be started.
    Lost,
}

impl ResourceMonitor {
    /// Prepares to sample.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for an interval below 200 ms or above 60 s.
    pub fn new(options: MonitorOptions) -> io::Result<Self> {
        checked(options.interval)?;
        checked(options.idle_interval)?;
        // Unbounded, because the sender must not wait: one order at each start and end of a step, taken at once. When
        // it is closed the thread ends.
        let (orders, ordered) = crossbeam_channel::unbounded();
        let (published, listeners) = (Arc::<Published>::default(), Arc::<Listeners>::default());
        let quick_reader = Arc::new(QuickReader::new(&options.folders, &options.power_supplies));
        let handle = MonitorHandle { orders, published, quick_reader };
        Ok(Self { handle, ordered, listeners, state: Mutex::new(State::New(Box::new(options))) })
    }

    /// Begins to sample. The first sample comes after a quarter of a second, because CPU usage is measured over time.
    /// Harmless when already started.
    ///
    /// # Errors
    /// When this machine can't be watched, or the monitor's thread can't be started.
    pub fn start(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        let mut sampler = match std::mem::replace(&mut *state, State::Lost) {
            State::New(options) => match self.sampler(&options) {
                Ok(sampler) => Box::new(sampler),
                Err(error) => {
                    *state = State::New(options);
                    let text = format!("the machine can't be watched: {error}");
                    return Err(io::Error::new(io::ErrorKind::Unsupported, text));
                }
            },
            State::Idle(sampler) => sampler,
            other @ State::Samples(_) => {
                *state = other;
                return Ok(());
            }
            State::Lost => return Err(not_started(io::Error::other("it ended unexpectedly"))),
        };
        let ordered = self.ordered.clone();
        let thread = crate::base::thread::lasting("resource-monitor", move || {
            sampler.run(&ordered);
            sampler
        });
        *state = State::Samples(thread.map_err(not_started)?);
        Ok(())
    }

    fn sampler(&self, options: &MonitorOptions) -> Result<Sampler, sysinfo::Error> {
        let MonitorHandle { published, quick_reader, .. } = &self.handle;
        Sampler::new(options, quick_reader.clone(), published.clone(), self.listeners.clone())
    }

    /// Stops sampling. After it returns no callback runs. The tracked steps are remembered, and sampling may be started
    /// again. Harmless when repeated.
    pub fn stop(&self) {
        let mut state = self.state.lock();
        match std::mem::replace(&mut *state, State::Lost) {
            State::Samples(thread) => {
                self.handle.order(Order::Stop);
                // The panic hook has reported a panic there; only the samples are lost.
                if let Ok(sampler) = thread.join() {
                    *state = State::Idle(sampler);
                }
            }
            other @ (State::New(_) | State::Idle(_) | State::Lost) => *state = other,
        }
    }

    /// The newest sample; none before the first.
    pub fn get_snapshot(&self) -> Option<Arc<ResourceSnapshot>> {
        self.handle.get_snapshot()
    }

    /// Calls `callback` with every sample from now on, on the monitor's thread, until the guard is dropped. While it
    /// blocks, no sample is taken. After a panic it is not called again.
    pub fn subscribe(&self, callback: impl FnMut(&Arc<ResourceSnapshot>) + Send + 'static) -> SampleGuard {
        self.listeners.call(callback)
    }

    /// A channel of every sample from now on. A slow reader misses samples and delays nothing.
    #[doc(hidden)]
    pub fn stream(&self) -> SampleStream {
        self.listeners.stream()
    }

    /// A handle for any thread.
    pub fn handle(&self) -> MonitorHandle {
        self.handle.clone()
    }
}

impl Drop for ResourceMonitor {
    fn drop(&mut self) {
        self.stop();
    }
}

fn checked(interval: Duration) -> io::Result<Duration> {
    let is_sound = (MIN_INTERVAL..=MAX_INTERVAL).contains(&interval);
    let text =
        || format!("the monitor can't sample every {interval:?}: choose an interval from 200ms to 60s");
    if is_sound { Ok(interval) } else { Err(io::Error::new(io::ErrorKind::InvalidInput, text())) }
}

fn not_started(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("the monitor's thread can't be started: {error}"))
}

/// Reads the clocks: a `Now`, and the clock ticks since boot, which are the unit of start times.
fn now(ticks_per_second: u64) -> (Now, u64) {
    let ms = |clock| {
        let time = clock_gettime(clock);
        time.tv_sec as u64 * 1000 + time.tv_nsec as u64 / 1_000_000
    };
    let now = Now { wall: Utc::now(), awake_ms: ms(ClockId::Monotonic) };
    (now, ms(ClockId::Boottime) * ticks_per_second / 1000)
}

#[cfg(test)]
mod tests;

//! What the machine has left and what each step costs, sampled once a second. The only place that knows `sysinfo`.
//!
//! [`ResourceMonitor`] samples on a thread of its own; [`MonitorHandle`] is how whoever owns the steps says which of
//! them live. It measures and tells when a limit is exceeded; what is done about that is not decided here, and nothing
//! is kept beyond the newest sample.
//!
//! In reading order: `sampler` is the thread; `machine` and `sensors` read the machine, `outlook` what of it can be told
//! at once; `forest` finds the trees of
//! steps, `meter` adds up what they use, `procfs` reads for them; `listeners` hands samples on; `shortage` says whether memory ran out.

mod forest;
mod listeners;
mod machine;
mod meter;
mod outlook;
mod procfs;
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
use outlook::Outlook;
use sampler::Sampler;

/// The shortest interval: below it the measuring would be what is measured.
pub const MIN_INTERVAL: Duration = Duration::from_millis(200);
/// The longest interval.
pub const MAX_INTERVAL: Duration = Duration::from_secs(60);

/// Where Linux lists batteries and mains.
const POWER_SUPPLIES: &str = "/sys/class/power_supply";

/// Why the machine can't be watched.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    /// Too short or too long.
    #[error("the monitor can't sample every {0:?}: choose an interval from 200ms to 60s")]
    Interval(Duration),
    /// This platform can't be asked.
    #[error("the machine can't be watched: {0}")]
    Platform(String),
    /// The thread can't be started.
    #[error("the monitor's thread can't be started: {0}")]
    Thread(#[from] io::Error),
}

/// What is watched, and how often.
#[derive(Debug, Clone)]
pub struct MonitorOptions {
    /// The space of their file systems is told; the data directory comes first.
    pub folders: Vec<PathBuf>,
    /// From one sample to the next: 200 ms to 60 s.
    pub interval: Duration,
    /// At least so long while no step is measured: 200 ms to 60 s as well.
    pub idle_interval: Duration,
    /// What counts as short.
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

/// What the thread is told. It doubles as the thread's clock, by its timeout.
enum Order {
    Every(Duration),
    Limits(Limits),
    Track(Tracked),
    Forget(AttemptKey),
    Stop,
}

/// What others read while the thread samples.
#[derive(Default)]
struct Published {
    last: Mutex<Option<Arc<ResourceSnapshot>>>,
    /// There is another one.
    sampled: Condvar,
    totals: Mutex<HashMap<AttemptKey, StepTotals>>,
}

/// Speaks to a [`ResourceMonitor`] from any thread, without ever waiting for it. Harmless once the monitor has stopped.
#[derive(Clone)]
pub struct MonitorHandle {
    orders: Sender<Order>,
    published: Arc<Published>,
    outlook: Arc<Outlook>,
}

impl MonitorHandle {
    /// The machine as far as it can be told at once, for whoever must decide before the first sample comes: memory, the
    /// space of the watched file systems and power. What takes time to be measured (CPU, load, rates, temperature) is 0,
    /// or none. It reads a few small files, without waiting for the monitor, which need not even have been started.
    pub fn first_look(&self) -> MachineSample {
        self.outlook.look(Utc::now())
    }

    /// From now on a sample comes this long after the one before, at least while steps are measured.
    ///
    /// # Errors
    /// [`MonitorError::Interval`] below 200 ms and above 60 s.
    pub fn set_interval(&self, interval: Duration) -> Result<(), MonitorError> {
        self.order(Order::Every(checked(interval)?));
        Ok(())
    }

    /// From now on these limits hold. What is raised stays so where its limit is the same, and is cleared otherwise;
    /// the next sample, which comes soon, tells.
    pub fn set_limits(&self, limits: Limits) {
        self.order(Order::Limits(limits));
    }

    /// From now on the tree of this attempt is measured: `pid` is its main process, `token` marks its processes. What has
    /// ended by then, or is another process by now, is passed over.
    pub fn track(&self, key: AttemptKey, pid: u32, token: &str) {
        self.order(Order::Track(Tracked { key, pid, token: token.to_owned() }));
    }

    /// This attempt has ended and is measured no more; what it has cost, if it was seen in a sample.
    pub fn forget(&self, key: &AttemptKey) -> Option<StepTotals> {
        let totals = self.published.totals.lock().remove(key);
        self.order(Order::Forget(key.clone()));
        totals
    }

    /// What an attempt that is measured has cost so far; none before its first sample.
    pub fn totals(&self, key: &AttemptKey) -> Option<StepTotals> {
        self.published.totals.lock().get(key).copied()
    }

    /// The newest sample; none before the first.
    pub fn get_snapshot(&self) -> Option<Arc<ResourceSnapshot>> {
        self.published.last.lock().clone()
    }

    /// The newest sample, as soon as it was taken after this instant or `patience` is over; none before the first.
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
        // Closed: nobody samples any more.
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
    Idle(Box<Sampler>),
    Samples(JoinHandle<Box<Sampler>>),
    /// Its thread has panicked, or could not be started.
    Lost,
}

impl ResourceMonitor {
    /// Makes ready to sample.
    ///
    /// # Errors
    /// [`MonitorError::Interval`], or [`MonitorError::Platform`] when this platform can't be sampled.
    pub fn new(options: MonitorOptions) -> Result<Self, MonitorError> {
        checked(options.interval)?;
        checked(options.idle_interval)?;
        // Unbounded: one order at each start and end of a step, taken at once; whoever sends must not wait. When it is
        // closed the thread ends.
        let (orders, ordered) = crossbeam_channel::unbounded();
        let (published, listeners) = (Arc::<Published>::default(), Arc::<Listeners>::default());
        let outlook = Arc::new(Outlook::new(&options.folders, &options.power_supplies));
        let sampler = Sampler::new(&options, outlook.clone(), published.clone(), listeners.clone())
            .map_err(|error| MonitorError::Platform(error.to_string()))?;
        let handle = MonitorHandle { orders, published, outlook };
        Ok(Self { handle, ordered, listeners, state: Mutex::new(State::Idle(Box::new(sampler))) })
    }

    /// Begins to sample, the first time a quarter of a second from now: CPU time must pass to be measured. Harmless when
    /// it does so already.
    ///
    /// # Errors
    /// [`MonitorError::Thread`].
    pub fn start(&self) -> Result<(), MonitorError> {
        let mut state = self.state.lock();
        match std::mem::replace(&mut *state, State::Lost) {
            State::Idle(mut sampler) => {
                let ordered = self.ordered.clone();
                let thread = crate::base::thread::lasting("resource-monitor", move || {
                    sampler.run(&ordered);
                    sampler
                })?;
                *state = State::Samples(thread);
                Ok(())
            }
            other @ State::Samples(_) => {
                *state = other;
                Ok(())
            }
            State::Lost => Err(io::Error::other("it has ended before its time").into()),
        }
    }

    /// Ends sampling; when it returns nobody is called any more. What it measures is known still, and it may be started
    /// again. Harmless when repeated.
    pub fn stop(&self) {
        let mut state = self.state.lock();
        match std::mem::replace(&mut *state, State::Lost) {
            State::Samples(thread) => {
                self.handle.order(Order::Stop);
                // Its panic was reported by the panic hook, and costs only the samples.
                if let Ok(sampler) = thread.join() {
                    *state = State::Idle(sampler);
                }
            }
            other @ (State::Idle(_) | State::Lost) => *state = other,
        }
    }

    /// The newest sample; none before the first.
    pub fn get_snapshot(&self) -> Option<Arc<ResourceSnapshot>> {
        self.handle.get_snapshot()
    }

    /// As [`MonitorHandle::set_limits`].
    pub fn set_limits(&self, limits: Limits) {
        self.handle.set_limits(limits);
    }

    /// Calls `callback` with every sample from now on, on the monitor's thread, until the guard is dropped. While it
    /// blocks no sample is taken; one that panics is called no more.
    pub fn subscribe(&self, callback: impl FnMut(&Arc<ResourceSnapshot>) + Send + 'static) -> SampleGuard {
        self.listeners.call(callback)
    }

    /// A channel of every sample from now on, for those who may be slow: they miss samples and hinder nobody.
    pub fn stream(&self) -> SampleStream {
        self.listeners.stream()
    }

    /// What speaks to it from any thread.
    pub fn handle(&self) -> MonitorHandle {
        self.handle.clone()
    }
}

impl Drop for ResourceMonitor {
    fn drop(&mut self) {
        self.stop();
    }
}

fn checked(interval: Duration) -> Result<Duration, MonitorError> {
    let is_sound = (MIN_INTERVAL..=MAX_INTERVAL).contains(&interval);
    if is_sound { Ok(interval) } else { Err(MonitorError::Interval(interval)) }
}

/// Reads the clocks: both that decisions follow, and the ticks since boot in which start times are counted.
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

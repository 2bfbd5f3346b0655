//! What the machine has left: CPU, memory and disk, sampled once a second. The only place that knows `sysinfo`.
//!
//! Deliberately small for now: it watches the machine as a whole. Process trees, limits and alerts come with
//! their own issue, and join what one turn of the thread reads.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use chrono::{DateTime, Utc};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError};
use serde::Serialize;
use sysinfo::{MemoryRefreshKind, System};

/// How long after the start the first sample comes: CPU time must have passed to be measured.
const FIRST_AFTER: Duration = Duration::from_millis(250);

/// The machine at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct MachineSample {
    /// When it was taken.
    pub at: DateTime<Utc>,
    /// Of all CPUs together, 0 to 1, since the sample before.
    pub cpu_fraction: f64,
    /// What is not available to programs.
    pub memory_used_bytes: u64,
    /// What is built in.
    pub memory_total_bytes: u64,
    /// What the data directory's file system can still take from us.
    pub disk_free_bytes: u64,
}

/// What is watched, and how often.
#[derive(Debug, Clone)]
pub struct MonitorOptions {
    /// The free space of its file system is told.
    pub data_dir: PathBuf,
    /// From one sample to the next.
    pub interval: Duration,
}

impl MonitorOptions {
    /// Once a second, for this data directory.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self { data_dir: data_dir.into(), interval: Duration::from_secs(1) }
    }
}

/// What the thread is told. It doubles as the thread's clock, by its timeout.
#[derive(Debug)]
enum Order {
    Every(Duration),
    Stop,
}

/// Changes how often a [`ResourceMonitor`] samples.
#[derive(Debug, Clone)]
pub struct MonitorPace(Sender<Order>);

impl MonitorPace {
    /// From now on a sample comes this long after the one before. Harmless once the monitor has stopped.
    pub fn set(&self, interval: Duration) {
        // Full: it is being told already, many times over. Closed: nobody samples any more.
        let _ = self.0.try_send(Order::Every(interval));
    }
}

/// Samples the machine on a thread of its own until it is stopped or dropped.
#[derive(Debug)]
pub struct ResourceMonitor {
    last: Arc<Mutex<Option<MachineSample>>>,
    orders: Sender<Order>,
    thread: Option<JoinHandle<()>>,
}

impl ResourceMonitor {
    /// Begins to sample. `sink` is called on the monitor's thread with every sample; while it blocks none is taken.
    ///
    /// # Errors
    /// When this platform can't be sampled, or the thread can't be started.
    pub fn start(
        options: MonitorOptions,
        mut sink: impl FnMut(MachineSample) + Send + 'static,
    ) -> io::Result<Self> {
        let system = System::new().map_err(io::Error::other)?;
        // Capacity 16: orders are few and taken at once, unless the sink blocks; when it is full a change of pace is
        // left out and a stop waits; when it is closed the thread ends.
        let (orders, ordered) = crossbeam_channel::bounded(16);
        let last = Arc::new(Mutex::new(None));
        let shared = last.clone();
        let thread = thread::Builder::new().name("resource-monitor".into()).spawn(move || {
            run(system, &options, &ordered, |sample| {
                *shared.lock().unwrap_or_else(PoisonError::into_inner) = Some(sample);
                sink(sample);
            });
        })?;
        Ok(Self { last, orders, thread: Some(thread) })
    }

    /// The newest sample; none before the first, a quarter of a second after the start.
    pub fn get_snapshot(&self) -> Option<MachineSample> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What changes how often it samples, from any thread.
    pub fn pace(&self) -> MonitorPace {
        MonitorPace(self.orders.clone())
    }

    /// Ends sampling; when it returns the sink is called no more. Harmless when repeated.
    pub fn stop(&mut self) {
        if let Some(thread) = self.thread.take() {
            match self.orders.try_send(Order::Stop) {
                // Disconnected: it has ended.
                Ok(()) | Err(TrySendError::Disconnected(_)) => {}
                Err(TrySendError::Full(stop)) => drop(self.orders.send(stop)),
            }
            // Its panic was reported by the panic hook, and costs only the samples.
            let _ = thread.join();
        }
    }
}

impl Drop for ResourceMonitor {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run(
    mut system: System,
    options: &MonitorOptions,
    ordered: &Receiver<Order>,
    mut sink: impl FnMut(MachineSample),
) {
    system.refresh_cpu_usage();
    let mut interval = options.interval;
    let mut wait = FIRST_AFTER.min(interval);
    loop {
        match ordered.recv_timeout(wait) {
            Err(RecvTimeoutError::Timeout) => {
                sink(sample(&mut system, &options.data_dir));
                wait = interval;
            }
            Ok(Order::Every(other)) => {
                // What is wanted faster is wanted soon.
                wait = if other < interval { FIRST_AFTER.min(other) } else { other };
                interval = other;
            }
            Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn sample(system: &mut System, data_dir: &Path) -> MachineSample {
    system.refresh_cpu_usage();
    system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
    MachineSample {
        at: Utc::now(),
        cpu_fraction: (f64::from(system.global_cpu_usage()) / 100.0).clamp(0.0, 1.0),
        memory_used_bytes: system.used_memory(),
        memory_total_bytes: system.total_memory(),
        // Asked of this one file system: a list of all mounts may hang on a dead network share.
        disk_free_bytes: rustix::fs::statvfs(data_dir).map_or(0, |disk| disk.f_bavail * disk.f_frsize),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_plausible_and_the_newest_is_the_snapshot() {
        let dir = tempfile::tempdir().unwrap();
        let options =
            MonitorOptions { interval: Duration::from_millis(20), ..MonitorOptions::new(dir.path()) };
        // Capacity 2 with a blocking sink: the monitor waits for the test.
        let (sender, samples) = crossbeam_channel::bounded(2);
        let mut monitor = ResourceMonitor::start(options, move |sample| {
            let _ = sender.send(sample);
        })
        .unwrap();
        let taken: Vec<MachineSample> = samples.iter().take(3).collect();
        drop(samples);
        monitor.stop();
        for sample in &taken {
            assert!((0.0..=1.0).contains(&sample.cpu_fraction));
            assert!((1..=sample.memory_total_bytes).contains(&sample.memory_used_bytes));
            assert!(sample.disk_free_bytes > 0);
        }
        assert!(taken[0].at < taken[2].at);
        assert!(monitor.get_snapshot().unwrap().at >= taken[2].at);
    }

    #[test]
    fn stopping_does_not_wait_for_the_next_sample() {
        let dir = tempfile::tempdir().unwrap();
        // Were it to wait, this test would outlast every patience.
        let options =
            MonitorOptions { interval: Duration::from_secs(1 << 30), ..MonitorOptions::new(dir.path()) };
        // Capacity 1: only the first sample is asked for.
        let (sender, samples) = crossbeam_channel::bounded(1);
        let monitor = ResourceMonitor::start(options, move |sample| {
            let _ = sender.try_send(sample);
        })
        .unwrap();
        samples.recv().unwrap();
        drop(monitor);
    }

    #[test]
    fn a_faster_pace_does_not_wait_for_the_slow_one() {
        let dir = tempfile::tempdir().unwrap();
        // Were the old pace kept, this test would outlast every patience.
        let options =
            MonitorOptions { interval: Duration::from_secs(1 << 30), ..MonitorOptions::new(dir.path()) };
        // Capacity 1: no more than one sample need wait.
        let (sender, samples) = crossbeam_channel::bounded(1);
        let monitor = ResourceMonitor::start(options, move |sample| {
            let _ = sender.try_send(sample);
        })
        .unwrap();
        samples.recv().unwrap();
        monitor.pace().set(Duration::from_millis(10));
        samples.recv().unwrap();
        samples.recv().unwrap();
        drop(monitor);
    }
}

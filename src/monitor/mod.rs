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
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
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

/// Samples the machine on a thread of its own until it is stopped or dropped.
#[derive(Debug)]
pub struct ResourceMonitor {
    last: Arc<Mutex<Option<MachineSample>>>,
    /// Nothing is ever sent; closing it ends the thread. Doubles as the thread's clock, by its timeout.
    stop: Option<Sender<()>>,
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
        // Capacity 0: nothing is sent; see `ResourceMonitor::stop`.
        let (stop, stopped) = crossbeam_channel::bounded(0);
        let last = Arc::new(Mutex::new(None));
        let shared = last.clone();
        let thread = thread::Builder::new().name("resource-monitor".into()).spawn(move || {
            run(system, &options, &stopped, |sample| {
                *shared.lock().unwrap_or_else(PoisonError::into_inner) = Some(sample);
                sink(sample);
            });
        })?;
        Ok(Self { last, stop: Some(stop), thread: Some(thread) })
    }

    /// The newest sample; none before the first, a quarter of a second after the start.
    pub fn get_snapshot(&self) -> Option<MachineSample> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends sampling; when it returns the sink is called no more. Harmless when repeated.
    pub fn stop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
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
    stopped: &Receiver<()>,
    mut sink: impl FnMut(MachineSample),
) {
    system.refresh_cpu_usage();
    let mut wait = FIRST_AFTER.min(options.interval);
    while stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
        sink(sample(&mut system, &options.data_dir));
        wait = options.interval;
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
}

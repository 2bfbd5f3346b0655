//! [`Watch`] measures the machine and the steps for an engine: it stores the samples, tells the engine when a limit is
//! exceeded, and feeds a window.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::base::tasks::{Task, TaskThread};
use crate::diagnostics::NOTICE;
use crate::engine::CoreExecutionEngine;
use crate::monitor::{MonitorHandle, MonitorOptions, ResourceMonitor, SampleGuard, SampleStream};
use crate::settings::Settings;
use crate::store::SampleStore;

/// The sampling interval while no step lives, unless the operator's is longer: each sample wakes the window.
const IDLE_INTERVAL: Duration = Duration::from_secs(5);

/// How long an engine lives before it is measured. A run of a few small steps has ended by then; there would have been no
/// sample anyway.
const MEASURE_AFTER: Duration = Duration::from_millis(50);

/// A monitor at work for one data directory.
pub(crate) struct Watch {
    /// Starts the monitor.
    start: Option<Task>,
    monitor: Arc<ResourceMonitor>,
}

impl Watch {
    /// Prepares to measure with the limits of the settings, for an engine that is about to be opened.
    ///
    /// # Errors
    /// When the interval of the settings is out of range.
    pub(crate) fn new(data_dir: &Path, settings: &Settings) -> io::Result<Self> {
        let folders = std::iter::once(data_dir).chain(settings.pipeline_dirs.iter().map(AsRef::as_ref));
        let interval = settings.monitor_interval;
        let monitor = ResourceMonitor::new(MonitorOptions {
            folders: folders.map(Path::to_owned).collect(),
            interval,
            idle_interval: IDLE_INTERVAL,
            limits: settings.limits.clone(),
            ..MonitorOptions::new(data_dir)
        })?;
        Ok(Self { start: None, monitor: Arc::new(monitor) })
    }

    /// Starts to measure the machine, for a window whose engine is in another process.
    ///
    /// # Errors
    /// When this machine can't be measured.
    pub(crate) fn of_machine(data_dir: &Path, settings: &Settings) -> io::Result<Self> {
        let interval = settings.monitor_interval;
        let monitor = ResourceMonitor::new(MonitorOptions { interval, ..MonitorOptions::new(data_dir) })?;
        monitor.start()?;
        Ok(Self { start: None, monitor: Arc::new(monitor) })
    }

    /// Soon starts to measure, to store the samples, and to tell the engine when a limit is exceeded. The engine is open
    /// and holds its lock. A failure is a warning: the end of a step then has only the kernel's figures.
    pub(crate) fn start_soon(&mut self, tasks: &TaskThread, engine: &CoreExecutionEngine) {
        let (monitor, engine, mut guards) = (self.monitor.clone(), engine.clone(), Vec::new());
        let task = tasks.add(Some(MEASURE_AFTER), |_| {
            move |_| {
                match start(&monitor, &engine) {
                    Ok(started) => guards.extend(started),
                    Err(error) => {
                        let data_dir = engine.data_dir().path().display();
                        tracing::warn!(target: NOTICE, %data_dir, "nothing is measured: {error}");
                    }
                }
                None
            }
        });
        self.start = Some(task);
    }

    /// A handle by which the engine reports its steps.
    pub(crate) fn monitor(&self) -> MonitorHandle {
        self.monitor.handle()
    }

    /// All samples from now on.
    pub(crate) fn stream(&self) -> SampleStream {
        self.monitor.stream()
    }
}

/// Starts to measure `engine`, until what is returned is dropped.
fn start(monitor: &ResourceMonitor, engine: &CoreExecutionEngine) -> io::Result<[SampleGuard; 2]> {
    let history = SampleStore::open(engine.data_dir().samples_db())?;
    let engine = engine.clone();
    let guards = [
        monitor.subscribe(move |sample| history.push(sample)),
        monitor.subscribe(move |sample| {
            let tells = !sample.raised.is_empty() || !sample.changes.is_empty() || sample.power_changed;
            if tells || engine.wants_samples() {
                // Fails when the engine has ended.
                let _ = engine.take_sample(sample.clone());
            }
        }),
    ];
    monitor.start()?;
    Ok(guards)
}

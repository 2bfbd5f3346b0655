//! [`Watch`] measures the machine and the steps for an engine: it stores the samples, tells the engine when a limit is
//! exceeded, and feeds a window.

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::engine::CoreExecutionEngine;
use crate::monitor::{MonitorHandle, MonitorOptions, ResourceMonitor, SampleGuard, SampleStream};
use crate::settings::Settings;
use crate::store::SampleStore;

/// The sampling interval while no step lives, unless the operator's is longer: each sample wakes the window.
const IDLE_INTERVAL: Duration = Duration::from_secs(5);

/// A monitor at work for one data directory.
pub(crate) struct Watch {
    monitor: ResourceMonitor,
    guards: Vec<SampleGuard>,
}

impl Watch {
    /// Prepares to measure with the limits of the settings, for an engine that is about to be opened.
    ///
    /// # Errors
    /// When this machine can't be measured.
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
        Ok(Self { monitor, guards: Vec::new() })
    }

    /// Starts to measure the machine, for a window whose engine is in another process.
    ///
    /// # Errors
    /// When this machine can't be measured.
    pub(crate) fn of_machine(data_dir: &Path, settings: &Settings) -> io::Result<Self> {
        let interval = settings.monitor_interval;
        let monitor = ResourceMonitor::new(MonitorOptions { interval, ..MonitorOptions::new(data_dir) })?;
        monitor.start()?;
        Ok(Self { monitor, guards: Vec::new() })
    }

    /// Starts to measure, to store the samples, and to tell the engine when a limit is exceeded. The engine is open and
    /// holds its lock.
    ///
    /// # Errors
    /// When a thread can't be started.
    pub(crate) fn start(&mut self, engine: &CoreExecutionEngine) -> io::Result<()> {
        let history = SampleStore::open(engine.data_dir().samples_db())?;
        let engine = engine.clone();
        self.guards = vec![
            self.monitor.subscribe(move |sample| history.push(sample)),
            self.monitor.subscribe(move |sample| {
                let tells = !sample.raised.is_empty() || !sample.changes.is_empty() || sample.power_changed;
                if tells || engine.wants_samples() {
                    // Fails when the engine has ended.
                    let _ = engine.take_sample(sample.clone());
                }
            }),
        ];
        self.monitor.start()
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

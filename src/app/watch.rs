//! [`Watch`] measures the machine and the steps for an engine, keeps what it measures, and shows it to a window.

use std::path::Path;
use std::time::Duration;

use super::{AppUpdate, RunUsage, Settings, UpdateSender};
use crate::monitor::{
    MonitorError, MonitorHandle, MonitorOptions, ResourceMonitor, SampleGuard, SampleStream,
};
use crate::store::{DataDir, SampleStore};

/// How often the machine is sampled while nothing runs, unless the operator wants it less often: each sample wakes the
/// window.
const IDLE_PACE: Duration = Duration::from_secs(5);

/// A monitor at work for one data directory.
pub struct Watch {
    monitor: ResourceMonitor,
    pace: Pace,
    history: Option<(SampleStore, SampleGuard)>,
}

/// How often is sampled: quickly while something runs.
#[derive(Clone)]
pub(super) struct Pace {
    monitor: MonitorHandle,
    busy: Duration,
}

impl Watch {
    /// Makes ready to measure under the limits of the settings, for an engine that is about to be opened.
    ///
    /// # Errors
    /// [`MonitorError`], when this machine can't be measured.
    pub fn new(data_dir: &Path, settings: &Settings) -> Result<Self, MonitorError> {
        // It must be there to be measured; if it can't be had, the engine says why.
        let _ = DataDir::open(data_dir);
        let folders = std::iter::once(data_dir).chain(settings.pipeline_dirs.iter().map(AsRef::as_ref));
        let busy = settings.monitor_interval;
        let options = MonitorOptions {
            folders: folders.map(Path::to_owned).collect(),
            interval: busy.max(IDLE_PACE),
            limits: settings.limits.clone(),
        };
        let monitor = ResourceMonitor::new(options)?;
        let pace = Pace { monitor: monitor.handle(), busy };
        Ok(Self { monitor, pace, history: None })
    }

    /// Begins to measure and to keep what is measured, at the pace of an idle machine. The engine holds its lock by now.
    ///
    /// # Errors
    /// [`MonitorError`], when a thread can't be started.
    pub fn start(&mut self, data_dir: &DataDir) -> Result<(), MonitorError> {
        let history = SampleStore::open(data_dir.samples_db())?;
        let kept = self.monitor.subscribe({
            let history = history.clone();
            move |sample| history.push(sample)
        });
        self.history = Some((history, kept));
        self.monitor.start()
    }

    /// What an engine tells of its steps.
    pub fn monitor(&self) -> MonitorHandle {
        self.monitor.handle()
    }

    /// Samples from now on as often as the settings say, whether anything runs or not.
    pub fn quicken(&self) {
        self.pace.quicken();
    }

    /// What was measured before; none until it is started.
    pub fn history(&self) -> Option<&SampleStore> {
        self.history.as_ref().map(|(history, _)| history)
    }

    pub(super) fn pace(&self) -> Pace {
        self.pace.clone()
    }

    pub(super) fn stream(&self) -> SampleStream {
        self.monitor.stream()
    }
}

impl Pace {
    /// Something runs.
    pub(super) fn quicken(&self) {
        self.set(self.busy);
    }

    /// Nothing does.
    pub(super) fn slacken(&self) {
        self.set(self.busy.max(IDLE_PACE));
    }

    fn set(&self, interval: Duration) {
        // The settings have refused what it would refuse.
        let _ = self.monitor.set_interval(interval);
    }
}

/// Shows samples to a window until it is gone, or the monitor is. While the window is behind, samples are left out.
pub(super) fn show_samples(samples: &SampleStream, updates: &UpdateSender) {
    while let Some(sample) = samples.recv() {
        let at = sample.machine.at;
        let usage: Vec<_> = sample
            .by_run()
            .map(|(run_id, cpu_fraction, memory_bytes)| RunUsage {
                run_id: run_id.clone(),
                at,
                cpu_fraction,
                memory_bytes,
            })
            .collect();
        let mut goes_on = usage.is_empty() || updates.send(AppUpdate::Usage(usage)).is_ok();
        goes_on = goes_on && updates.send(AppUpdate::Machine(sample.machine.clone())).is_ok();
        if !goes_on {
            return;
        }
    }
}

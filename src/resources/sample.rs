//! Samples: the machine, and the steps that run on it, at one moment.

use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::limit_watch::{LimitChange, RaisedLimit};
use crate::base::id::{AttemptKey, RunId};

/// The machine at one moment. A rate is the mean since the sample before, over the time that the machine was awake; 0
/// when it can't be measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct MachineSample {
    /// When it was taken.
    pub at: DateTime<Utc>,
    /// Use of all CPUs together, 0 to 1, since the sample before.
    pub cpu_fraction: f64,
    /// Use of each CPU, 0 to 1, since the sample before.
    pub cores: Arc<[f32]>,
    /// Memory that is not available to programs.
    pub memory_used_bytes: u64,
    /// Memory that programs can still get without swapping.
    pub memory_available_bytes: u64,
    /// The memory of the machine.
    pub memory_total_bytes: u64,
    /// Swap space in use.
    pub swap_used_bytes: u64,
    /// The swap space; 0 when there is none.
    pub swap_total_bytes: u64,
    /// Space that this program can still use on the data directory's file system.
    pub disk_free_bytes: u64,
    /// The watched file systems, the data directory's first; one that does not answer is left out.
    pub volumes: Arc<[VolumeSpace]>,
    /// Read from all disks, in bytes a second.
    pub disk_read_rate: f64,
    /// Written to all disks, in bytes a second.
    pub disk_write_rate: f64,
    /// Received over all network cards, in bytes a second.
    pub network_receive_rate: f64,
    /// Sent over all network cards, in bytes a second.
    pub network_send_rate: f64,
    /// How many processes wanted a CPU, over the last 1, 5 and 15 minutes.
    pub load_average: [f64; 3],
    /// The hottest sensor of the CPU, else of the machine, in degrees Celsius.
    pub temperature_celsius: Option<f64>,
    /// None on a machine without a battery.
    pub power: Option<Power>,
}

/// The space on a file system.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VolumeSpace {
    /// The folder by which it is watched.
    pub path: Arc<Path>,
    /// Space that this program can still use.
    pub free_bytes: u64,
    /// All space.
    pub total_bytes: u64,
}

/// The machine's source of power.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Power {
    /// The charge of its batteries, 0 to 1.
    pub battery_fraction: f64,
    /// Whether it runs on battery.
    pub on_battery: bool,
}

/// What the process tree of a step's attempt uses at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepSample {
    /// Which attempt.
    pub key: AttemptKey,
    /// Use of all CPUs together, 0 to 1, since the sample before.
    pub cpu_fraction: f64,
    /// Resident memory: the sum over its processes. Shared memory counts for each of them.
    pub memory_bytes: u64,
    /// Read from disk, in bytes a second.
    pub read_rate: f64,
    /// Written to disk, in bytes a second.
    pub write_rate: f64,
    /// Bytes that it has written to disk so far, ended processes included.
    pub written_bytes: u64,
    /// Passed to write calls to any target (a disk, a file system in memory, a pipe), in bytes a second.
    pub output_rate: f64,
    /// Living processes.
    pub n_processes: u32,
}

/// What a step's attempt has used so far, as far as samples show.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct StepTotals {
    /// The largest [`StepSample::memory_bytes`] of its samples.
    pub peak_memory_bytes: u64,
    /// User and system time of its whole tree, ended processes included, in milliseconds.
    pub cpu_ms: u64,
    /// Bytes that its tree has read from disk.
    pub read_bytes: u64,
    /// Bytes that its tree has written to disk.
    pub written_bytes: u64,
    /// How many samples of it were taken.
    pub n_samples: u32,
}

/// Everything that was measured at one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ResourceSnapshot {
    /// The machine.
    pub machine: MachineSample,
    /// Whether the machine has switched to or from battery since the sample before. In the first sample: whether it
    /// runs on battery.
    pub power_changed: bool,
    /// The living steps, by their names.
    pub steps: Vec<StepSample>,
    /// The limits that are exceeded.
    pub raised: Vec<RaisedLimit>,
    /// How these have changed with this sample.
    pub changes: Vec<LimitChange>,
}

impl ResourceSnapshot {
    /// What each run uses: the sums over its steps (CPU share and memory).
    pub fn by_run(&self) -> impl Iterator<Item = (&RunId, f64, u64)> {
        self.steps.chunk_by(|a, b| a.key.run_id == b.key.run_id).filter_map(|steps| {
            let cpu = steps.iter().map(|step| step.cpu_fraction).sum::<f64>().min(1.0);
            Some((&steps.first()?.key.run_id, cpu, steps.iter().map(|step| step.memory_bytes).sum()))
        })
    }
}

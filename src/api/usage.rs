//! The present use of the machine and its living runs: the answer of `engine.usage`, which `top` shows.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::admission::Orders;
use crate::base::id::{RunId, StepId};
use crate::engine::CurrentWait;
use crate::run::RunState;

/// All use at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// When it was measured. None before the first sample.
    pub at: Option<DateTime<Utc>>,
    /// Share of all CPUs, 0 to 1.
    pub cpu_fraction: f64,
    /// How many CPUs there are.
    pub n_cpus: usize,
    /// Memory that is not available to programs.
    pub memory_used_bytes: u64,
    pub memory_total_bytes: u64,
    /// Free space on the data directory's file system.
    pub disk_free_bytes: u64,
    /// The resources that are short: `cpu`, `memory`, `swap`, `disk`.
    pub short_of: Vec<String>,
    /// By id.
    pub runs: Vec<UsageOfRun>,
    /// The present waits for admission.
    #[serde(default)]
    pub waits: Vec<CurrentWait>,
    /// The operator's orders in force.
    #[serde(default)]
    pub orders: Orders,
}

/// The use of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UsageOfRun {
    pub run_id: RunId,
    pub state: RunState,
    /// Why the run waits, if it does.
    pub error: Option<String>,
    /// From 0 to 1.
    pub progress: f64,
    /// Share of all CPUs, 0 to 1.
    pub cpu_fraction: f64,
    /// Resident memory of all its processes.
    pub memory_bytes: u64,
    /// Bytes a second read from a disk.
    pub read_rate: f64,
    /// Bytes a second written towards a disk.
    pub write_rate: f64,
    /// Living processes.
    pub n_processes: u32,
    /// Its measured steps, by id.
    pub steps: Vec<UsageOfStep>,
}

/// The use of one step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UsageOfStep {
    pub step_id: StepId,
    pub attempt: u32,
    /// Share of all CPUs, 0 to 1.
    pub cpu_fraction: f64,
    /// Resident memory of all its processes.
    pub memory_bytes: u64,
    /// Living processes.
    pub n_processes: u32,
}

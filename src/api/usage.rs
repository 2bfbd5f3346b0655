//! What the machine and its living runs cost at the moment, as `engine.usage` answers it and `top` shows it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::admission::Orders;
use crate::base::id::{RunId, StepId};
use crate::engine::CurrentWait;
use crate::run::RunState;

/// What everything costs at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// When it was measured; none before the first sample.
    pub at: Option<DateTime<Utc>>,
    /// Of all CPUs together, 0 to 1.
    pub cpu_fraction: f64,
    /// How many CPUs there are.
    pub n_cpus: usize,
    /// What is not available to programs.
    pub memory_used_bytes: u64,
    /// What is built in.
    pub memory_total_bytes: u64,
    /// What the data directory's file system can still take.
    pub disk_free_bytes: u64,
    /// Of what the machine is short: `cpu`, `memory`, `swap`, `disk`.
    pub short_of: Vec<String>,
    /// The living runs, by id.
    pub runs: Vec<UsageOfRun>,
    /// What waits to be admitted.
    #[serde(default)]
    pub waits: Vec<CurrentWait>,
    /// The operator's orders that are in force.
    #[serde(default)]
    pub orders: Orders,
}

/// What a run costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UsageOfRun {
    /// Which.
    pub run_id: RunId,
    /// Its state.
    pub state: RunState,
    /// Why it waits, if it does.
    pub error: Option<String>,
    /// 0 to 1.
    pub progress: f64,
    /// Of all CPUs together, 0 to 1.
    pub cpu_fraction: f64,
    /// Resident memory of all its processes.
    pub memory_bytes: u64,
    /// Read from disk, in bytes a second.
    pub read_rate: f64,
    /// Written towards a disk, in bytes a second.
    pub write_rate: f64,
    /// Living processes.
    pub n_processes: u32,
    /// Its steps that are measured, by id.
    pub steps: Vec<UsageOfStep>,
}

/// What a step costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UsageOfStep {
    /// Which.
    pub step_id: StepId,
    /// Which attempt.
    pub attempt: u32,
    /// Of all CPUs together, 0 to 1.
    pub cpu_fraction: f64,
    /// Resident memory of all its processes.
    pub memory_bytes: u64,
    /// Living processes.
    pub n_processes: u32,
}

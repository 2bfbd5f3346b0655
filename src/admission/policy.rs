//! What may run at once: `[admission]`, `[groups]` and `[limits]` of the settings.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::resources::{Limits, Threshold};

/// The highest priority of a pipeline.
pub const MAX_PRIORITY: u8 = 9;

/// What may run at once. By default the only condition is that the memory which a step usually needs is free.
#[derive(Debug, Clone, PartialEq)]
pub struct AdmissionPolicy {
    /// How many runs at once; none means no limit.
    pub max_concurrent_runs: Option<usize>,
    /// How many runs at once of each group of pipelines.
    pub groups: BTreeMap<String, usize>,
    /// Memory for all steps together, as a share of the machine's memory or as an amount; none means all that is free.
    pub memory: Option<Threshold>,
    /// CPUs for the steps that ask for some; none means all CPUs of the machine.
    pub cpus: Option<f64>,
    /// Whether a step that does not say how much memory it needs is expected to need as much as in its last runs.
    pub learns: bool,
    /// A waiting run gains one level of priority for each such time.
    pub ageing: Duration,
    /// The limits of the machine: no step is admitted that would exceed them.
    pub limits: Limits,
}

impl Default for AdmissionPolicy {
    fn default() -> Self {
        Self {
            max_concurrent_runs: None,
            groups: BTreeMap::new(),
            memory: None,
            cpus: None,
            learns: true,
            ageing: Duration::from_secs(5 * 60),
            limits: Limits::none(),
        }
    }
}

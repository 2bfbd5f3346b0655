//! What the operator allows at once: `[admission]`, `[groups]` and `[limits]` of the settings.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::resources::{Limits, Threshold};

/// The highest priority that anybody can ask for.
pub const MAX_PRIORITY: u8 = 9;

/// What may run at once. By default no more is asked than that the memory which steps usually need is there.
#[derive(Debug, Clone, PartialEq)]
pub struct AdmissionPolicy {
    /// Runs at once; none: however many.
    pub max_concurrent_runs: Option<usize>,
    /// Runs at once of each group of pipelines.
    pub groups: BTreeMap<String, usize>,
    /// Memory for all steps together, as a share of what is built in or as an amount; none: all that is free.
    pub memory: Option<Threshold>,
    /// CPUs for the steps that ask for some; none: all there are.
    pub cpus: Option<f64>,
    /// Whether a step that does not say what memory it needs is taken to need what its last runs did.
    pub learns: bool,
    /// Who waits gains one level of priority for each such time.
    pub ageing: Duration,
    /// What the machine is to keep: no step is admitted that would lead beyond them.
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

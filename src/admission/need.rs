//! What a step needs to start, as it says itself or as its last runs have shown.

use std::collections::HashMap;

use crate::base::id::StepId;
use crate::pipeline::{Resources, Step};

/// Usual peaks of memory by step, in bytes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Footprints(HashMap<StepId, u64>);

/// What must be free before a step starts; 0 where nothing is asked.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Need {
    /// Peak memory of its tree, in bytes.
    pub memory_bytes: u64,
    /// Whether that is what it usually needs, and nobody has asked for it.
    pub is_usual: bool,
    /// CPUs that it keeps busy.
    pub cpus: f64,
    /// What it writes, in bytes.
    pub disk_bytes: u64,
}

impl FromIterator<(StepId, u64)> for Footprints {
    fn from_iter<T: IntoIterator<Item = (StepId, u64)>>(peaks: T) -> Self {
        Self(peaks.into_iter().collect())
    }
}

impl Need {
    /// Of a step: what it asks for, and where it does not say how much memory, what it has needed before.
    pub fn of(step: &Step, footprints: Option<&Footprints>) -> Self {
        let Resources { memory, cpu, disk } = step.resources;
        let usual = || footprints.and_then(|known| known.0.get(&step.id)).copied();
        Self {
            memory_bytes: memory.or_else(usual).unwrap_or(0),
            is_usual: memory.is_none(),
            cpus: cpu.unwrap_or(0.0),
            disk_bytes: disk.unwrap_or(0),
        }
    }

    /// Whether it asks for nothing at all.
    pub fn is_none(&self) -> bool {
        self.memory_bytes == 0 && self.cpus <= 0.0 && self.disk_bytes == 0
    }
}

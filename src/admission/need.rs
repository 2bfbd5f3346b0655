//! What a step needs to start: what its pipeline says, or what its last runs have used.

use std::collections::HashMap;

use crate::base::id::StepId;
use crate::pipeline::{Resources, Step};

/// The usual peak memory of each step, in bytes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Footprints(HashMap<StepId, u64>);

/// What must be free before a step starts; 0 where nothing is needed.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Need {
    /// Peak memory of its tree, in bytes.
    pub memory_bytes: u64,
    /// Whether `memory_bytes` was learned from earlier runs; the pipeline does not ask for it.
    pub is_usual: bool,
    /// How many CPUs it keeps busy.
    pub cpus: f64,
    /// How much it writes, in bytes.
    pub disk_bytes: u64,
}

impl FromIterator<(StepId, u64)> for Footprints {
    fn from_iter<T: IntoIterator<Item = (StepId, u64)>>(peaks: T) -> Self {
        Self(peaks.into_iter().collect())
    }
}

impl Need {
    /// What a step asks for. If it does not say how much memory, what it has used before.
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

    /// Whether it needs nothing.
    pub fn is_none(&self) -> bool {
        self.memory_bytes == 0 && self.cpus <= 0.0 && self.disk_bytes == 0
    }
}

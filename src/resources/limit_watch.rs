//! The state of limits over time. A limit that was exceeded long enough is raised, and one that is back in bounds is
//! cleared. Neither happens twice.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::limits::{Limit, Limits, Resource};
use super::sample::MachineSample;
use crate::base::time::Now;

/// When two samples are further apart than this, in milliseconds of awake time, it is not known whether the limit was
/// exceeded between them: it does not count as exceeded. Longer than the longest interval of the monitor.
const MAX_GAP_MS: u64 = 90_000;
/// When the wall clock has advanced this much more than awake time, in milliseconds, the machine has slept (or its
/// clock was set): the time before does not count as exceeded.
const SLEPT_MS: i64 = 2_000;

/// A limit that is exceeded.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RaisedLimit {
    pub limit: Limit,
    /// For disk space the file system, by the folder through which it is watched; else none.
    pub volume: Option<Arc<Path>>,
    /// What is in use, or free in case of disk space: a share for CPU, else bytes.
    pub amount: f64,
    /// The total: 1 for CPU, else bytes.
    pub total: f64,
}

/// A change of a limit with a sample.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitChange {
    /// It was exceeded for as long as it demands.
    Raised(RaisedLimit),
    /// It is no longer exceeded, or was removed; with the figures of that moment.
    Cleared(RaisedLimit),
}

/// Watches limits. Time is an argument.
#[derive(Debug, Default)]
pub struct LimitWatch {
    limits: Limits,
    places: Vec<Place>,
    last: Option<Now>,
}

/// One limit on one resource or file system.
#[derive(Debug)]
struct Place {
    limit: Limit,
    volume: Option<Arc<Path>>,
    state: State,
}

#[derive(Debug)]
enum State {
    Within,
    /// Since this reading of the awake clock.
    Beyond {
        since_ms: u64,
    },
    Raised(RaisedLimit),
}

impl LimitWatch {
    /// Watches these limits.
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Sets the limits. A raised limit stays raised if it is unchanged, and is cleared otherwise.
    pub fn set_limits(&mut self, limits: Limits) -> Vec<LimitChange> {
        self.limits = limits;
        let is_kept = |place: &Place| self.limits.iter().any(|limit| *limit == place.limit);
        let (kept, removed): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.places).into_iter().partition(is_kept);
        self.places = kept;
        removed.into_iter().filter_map(Place::into_cleared).collect()
    }

    /// The limits that are raised at the moment.
    pub fn raised(&self) -> impl Iterator<Item = &RaisedLimit> {
        self.places.iter().filter_map(|place| match &place.state {
            State::Raised(raised) => Some(raised),
            State::Within | State::Beyond { .. } => None,
        })
    }

    /// Takes in a sample that was taken `now`. One that is older than the last is ignored.
    pub fn observe(&mut self, now: Now, sample: &MachineSample) -> Vec<LimitChange> {
        let is_continuous = match self.last {
            Some(last) if now.awake_ms < last.awake_ms => return Vec::new(),
            Some(last) => {
                let awake_ms = now.awake_ms - last.awake_ms;
                let wall_ms = (now.wall - last.wall).num_milliseconds();
                let slept_ms = wall_ms.saturating_sub(i64::try_from(awake_ms).unwrap_or(i64::MAX));
                awake_ms <= MAX_GAP_MS && slept_ms < SLEPT_MS
            }
            None => true,
        };
        self.last = Some(now);
        let mut before = std::mem::take(&mut self.places);
        let mut changes = Vec::new();
        for limit in self.limits.iter() {
            for (volume, amount, total) in measured(limit.resource(), sample) {
                let is_same = |place: &Place| place.limit == *limit && place.volume == volume;
                let mut place = match before.iter().position(is_same) {
                    Some(at) => before.swap_remove(at),
                    None => Place { limit: *limit, volume, state: State::Within },
                };
                if !is_continuous && matches!(place.state, State::Beyond { .. }) {
                    place.state = State::Within;
                }
                changes.extend(place.step(now.awake_ms, amount, total));
                self.places.push(place);
            }
        }
        // A limit on something that is not measured any more, such as a removed disk, is cleared.
        changes.extend(before.into_iter().filter_map(Place::into_cleared));
        changes
    }
}

impl Place {
    fn step(&mut self, awake_ms: u64, amount: f64, total: f64) -> Option<LimitChange> {
        let now = RaisedLimit { limit: self.limit, volume: self.volume.clone(), amount, total };
        match &mut self.state {
            State::Raised(_) if self.limit.is_back(amount, total) => {
                self.state = State::Within;
                return Some(LimitChange::Cleared(now));
            }
            State::Raised(raised) => {
                *raised = now;
                return None;
            }
            State::Within | State::Beyond { .. } if !self.limit.is_beyond(amount, total) => {
                self.state = State::Within;
                return None;
            }
            State::Within => self.state = State::Beyond { since_ms: awake_ms },
            State::Beyond { .. } => {}
        }
        let State::Beyond { since_ms } = self.state else { return None };
        if awake_ms.saturating_sub(since_ms) < self.limit.sustain_ms() {
            return None;
        }
        self.state = State::Raised(now.clone());
        Some(LimitChange::Raised(now))
    }

    fn into_cleared(self) -> Option<LimitChange> {
        match self.state {
            State::Raised(raised) => Some(LimitChange::Cleared(raised)),
            State::Within | State::Beyond { .. } => None,
        }
    }
}

/// The figures of a sample for a resource: file system, amount, total.
fn measured(resource: Resource, sample: &MachineSample) -> Vec<(Option<Arc<Path>>, f64, f64)> {
    let one = |used: u64, total: u64| match total {
        0 => Vec::new(),
        total => vec![(None, used as f64, total as f64)],
    };
    match resource {
        Resource::Cpu if sample.cpu_fraction.is_finite() => vec![(None, sample.cpu_fraction, 1.0)],
        Resource::Cpu => Vec::new(),
        Resource::Memory => one(sample.memory_used_bytes, sample.memory_total_bytes),
        Resource::Swap => one(sample.swap_used_bytes, sample.swap_total_bytes),
        Resource::Disk => sample
            .volumes
            .iter()
            .map(|volume| (Some(volume.path.clone()), volume.free_bytes as f64, volume.total_bytes as f64))
            .collect(),
    }
}

#[cfg(test)]
mod tests;

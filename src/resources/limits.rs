//! Limits: when the machine is short of a resource, and when it no longer is.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::units::{format_size, parse_size};

/// What a machine can be short of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// Time of all CPUs together.
    Cpu,
    /// Memory.
    Memory,
    /// Swap space.
    Swap,
    /// Space on a file system.
    Disk,
}

impl Resource {
    /// All, in order.
    pub const ALL: [Self; 4] = [Self::Cpu, Self::Memory, Self::Swap, Self::Disk];

    /// The word for people and settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Swap => "swap",
            Self::Disk => "disk",
        }
    }
}

/// A bound, as a share of the total or as an amount.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Threshold {
    /// 0 to 1.
    Fraction(f64),
    /// Bytes.
    Bytes(u64),
}

impl Threshold {
    /// The bound as an amount, given the `total`.
    pub fn of(self, total: f64) -> f64 {
        match self {
            Self::Fraction(share) => share * total,
            Self::Bytes(bytes) => bytes as f64,
        }
    }

    /// Whether `amount` of `total` is above it.
    pub fn is_exceeded(self, amount: f64, total: f64) -> bool {
        match self {
            Self::Fraction(bound) => total > 0.0 && amount / total > bound,
            Self::Bytes(bound) => amount > bound as f64,
        }
    }

    /// Whether `amount` of `total` is below it.
    pub fn is_undercut(self, amount: f64, total: f64) -> bool {
        match self {
            Self::Fraction(bound) => total > 0.0 && amount / total < bound,
            Self::Bytes(bound) => amount < bound as f64,
        }
    }

    /// Reads what settings write: a share such as `90%`, or a size such as `28GiB`; none when it is neither.
    pub fn from_words(text: &str) -> Option<Self> {
        match text.strip_suffix('%') {
            Some(percent) => percent.trim().parse().ok().map(|n: f64| Self::Fraction(n / 100.0)),
            None => parse_size(text).ok().map(Self::Bytes),
        }
    }

    /// As settings write it, without a loss: `90%`, `28GiB`.
    pub fn in_words(self) -> String {
        match self {
            // More digits than these come from the binary form of the number, not from the settings.
            Self::Fraction(share) => format!("{}%", (share * 1e11).round() / 1e9),
            Self::Bytes(bytes) => format_size(bytes),
        }
    }

    /// Compares two of one kind; none when one is a share and the other an amount.
    fn partial_cmp(self, other: Self) -> Option<std::cmp::Ordering> {
        match (self, other) {
            (Self::Fraction(a), Self::Fraction(b)) => a.partial_cmp(&b),
            (Self::Bytes(a), Self::Bytes(b)) => Some(a.cmp(&b)),
            (Self::Fraction(_), Self::Bytes(_)) | (Self::Bytes(_), Self::Fraction(_)) => None,
        }
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(&str, u64); 4] =
            [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
        match *self {
            Self::Fraction(share) => write!(f, "{}%", (share * 1000.0).round() / 10.0),
            Self::Bytes(bytes) => match UNITS.iter().find(|(_, unit)| bytes >= *unit) {
                Some((word, unit)) => {
                    write!(f, "{}{word}", (bytes as f64 / *unit as f64 * 10.0).round() / 10.0)
                }
                None => write!(f, "{bytes}B"),
            },
        }
    }
}

/// What is done while a limit is exceeded. Each also does what the one before it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitAction {
    /// An alert is published.
    #[default]
    Alert,
    /// No step starts, except those that clean up.
    Hold,
    /// The run that uses most of it is frozen.
    Freeze,
}

impl LimitAction {
    /// All, in order.
    pub const ALL: [Self; 3] = [Self::Alert, Self::Hold, Self::Freeze];

    /// Their words, in order.
    pub const WORDS: &'static [&'static str] = &[Self::Alert.name(), Self::Hold.name(), Self::Freeze.name()];

    /// The word for settings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Hold => "hold",
            Self::Freeze => "freeze",
        }
    }
}

/// When the machine counts as short of a resource. For disk space the limit is on what is free, for the others on what
/// is in use.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Limit {
    resource: Resource,
    raise_at: Threshold,
    clear_at: Threshold,
    sustain_ms: u64,
    action: LimitAction,
}

/// Why a limit is not valid.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum LimitError {
    /// It would be raised and cleared again and again.
    #[error(
        "the limit of {} is raised {} {raise_at} and cleared {} {clear_at}: it must be cleared {} where it is raised",
        resource.name(), over(*resource), under(*resource), under(*resource)
    )]
    Contradiction {
        resource: Resource,
        /// Where it is raised.
        raise_at: Threshold,
        /// Where it is cleared.
        clear_at: Threshold,
    },
    /// One bound is a share and the other an amount.
    #[error("the limit of {} is raised at {raise_at} and cleared at {clear_at}: give both as a share or both in bytes", resource.name())]
    Unlike {
        resource: Resource,
        /// Where it is raised.
        raise_at: Threshold,
        /// Where it is cleared.
        clear_at: Threshold,
    },
    /// No machine can reach it.
    #[error("{threshold} can't be a limit of {}: {}", resource.name(), reason)]
    Impossible { resource: Resource, threshold: Threshold, reason: &'static str },
}

const fn over(resource: Resource) -> &'static str {
    match resource {
        Resource::Cpu | Resource::Memory | Resource::Swap => "above",
        Resource::Disk => "below",
    }
}

const fn under(resource: Resource) -> &'static str {
    match resource {
        Resource::Cpu | Resource::Memory | Resource::Swap => "below",
        Resource::Disk => "above",
    }
}

impl Limit {
    /// A limit that is raised when the machine was beyond `raise_at` for `sustain` without a break, and cleared as soon
    /// as it is back at `clear_at`. Beyond means above; for disk space, whose thresholds concern what is free, it means
    /// below.
    ///
    /// # Errors
    /// [`LimitError`], when a threshold does not fit the resource, or the two contradict each other.
    pub fn new(
        resource: Resource,
        raise_at: Threshold,
        clear_at: Threshold,
        sustain: Duration,
    ) -> Result<Self, LimitError> {
        for threshold in [raise_at, clear_at] {
            let reason = match threshold {
                Threshold::Fraction(share) if !(0.0..=1.0).contains(&share) => {
                    Some("a share lies between 0% and 100%")
                }
                Threshold::Bytes(_) if resource == Resource::Cpu => Some("give a share, such as 90%"),
                Threshold::Fraction(_) | Threshold::Bytes(_) => None,
            };
            if let Some(reason) = reason {
                return Err(LimitError::Impossible { resource, threshold, reason });
            }
        }
        let (more, less) = match resource {
            Resource::Cpu | Resource::Memory | Resource::Swap => (raise_at, clear_at),
            Resource::Disk => (clear_at, raise_at),
        };
        match less.partial_cmp(more) {
            Some(std::cmp::Ordering::Less) => {}
            Some(std::cmp::Ordering::Equal | std::cmp::Ordering::Greater) => {
                return Err(LimitError::Contradiction { resource, raise_at, clear_at });
            }
            None => return Err(LimitError::Unlike { resource, raise_at, clear_at }),
        }
        let sustain_ms = u64::try_from(sustain.as_millis()).unwrap_or(u64::MAX);
        Ok(Self { resource, raise_at, clear_at, sustain_ms, action: LimitAction::Alert })
    }

    /// The same limit with this action.
    #[must_use]
    pub const fn with_action(self, action: LimitAction) -> Self {
        Self { action, ..self }
    }

    /// What is done while it is exceeded.
    pub const fn action(&self) -> LimitAction {
        self.action
    }

    /// What it is a limit of.
    pub const fn resource(&self) -> Resource {
        self.resource
    }

    /// Where it is raised.
    pub const fn raise_at(&self) -> Threshold {
        self.raise_at
    }

    /// Where it is cleared.
    pub const fn clear_at(&self) -> Threshold {
        self.clear_at
    }

    /// How long the machine must be beyond [`raise_at`](Self::raise_at), in milliseconds of awake time.
    pub const fn sustain_ms(&self) -> u64 {
        self.sustain_ms
    }

    pub(super) fn is_beyond(&self, amount: f64, total: f64) -> bool {
        match self.resource {
            Resource::Cpu | Resource::Memory | Resource::Swap => self.raise_at.is_exceeded(amount, total),
            Resource::Disk => self.raise_at.is_undercut(amount, total),
        }
    }

    pub(super) fn is_back(&self, amount: f64, total: f64) -> bool {
        match self.resource {
            Resource::Cpu | Resource::Memory | Resource::Swap => !self.clear_at.is_exceeded(amount, total),
            Resource::Disk => !self.clear_at.is_undercut(amount, total),
        }
    }
}

/// The limits that are set, at most one for each resource. The disk's limit holds for every watched file system.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Limits {
    /// In the order of [`Resource`].
    limits: Vec<Limit>,
}

impl Limits {
    /// No limits.
    pub fn none() -> Self {
        Self::default()
    }

    /// With this limit, which replaces an earlier one of the same resource.
    #[must_use]
    pub fn with(mut self, limit: Limit) -> Self {
        self.limits.retain(|other| other.resource != limit.resource);
        self.limits.push(limit);
        self.limits.sort_by_key(|limit| limit.resource);
        self
    }

    /// Without a limit of this resource.
    #[must_use]
    pub fn without(mut self, resource: Resource) -> Self {
        self.limits.retain(|limit| limit.resource != resource);
        self
    }

    /// The limit of a resource, if there is one.
    pub fn of(&self, resource: Resource) -> Option<&Limit> {
        self.limits.iter().find(|limit| limit.resource == resource)
    }

    /// All, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Limit> {
        self.limits.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contradictions_are_refused_and_say_which() {
        use Threshold::{Bytes, Fraction};
        #[track_caller]
        fn check(resource: Resource, raise_at: Threshold, clear_at: Threshold, expected: &str) {
            let error = Limit::new(resource, raise_at, clear_at, Duration::ZERO).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let above = "the limit of memory is raised above 80% and cleared below 90%: it must be cleared below";
        check(Resource::Memory, Fraction(0.8), Fraction(0.9), above);
        check(Resource::Memory, Fraction(0.8), Fraction(0.8), "must be cleared below");
        let below = "the limit of disk is raised below 2GiB and cleared above 1.5GiB";
        check(Resource::Disk, Bytes(2 << 30), Bytes(3 << 29), below);
        check(Resource::Swap, Fraction(0.8), Bytes(1), "both as a share or both in bytes");
        check(Resource::Cpu, Fraction(1.8), Fraction(0.2), "180% can't be a limit of cpu");
        check(Resource::Cpu, Fraction(f64::NAN), Fraction(0.2), "can't be a limit of cpu");
        check(Resource::Cpu, Bytes(1), Bytes(0), "give a share");
    }
}

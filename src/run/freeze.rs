//! The freeze of a paused run: since when it is seen, and for which reasons the system holds the run. `hold` has the rules.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// What is known of a run as long as it is paused.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Freeze {
    /// Since when the whole run is seen frozen; none while a process of it moves.
    pub since: Option<DateTime<Utc>>,
    /// Processes that could not be frozen, until that is published.
    pub unfrozen: Vec<String>,
    /// The reasons for which the system holds it, and after which it goes on by itself; empty for the operator's pause.
    pub holds: Holds,
    /// Until when it is held for a secret; the step that lacks it then fails.
    pub held_until: Option<DateTime<Utc>>,
}

/// A reason to freeze a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// The disk is full.
    DiskFull,
    /// A limit of the machine is exceeded, and this run uses most.
    Limit,
    /// A secret is missing; the operator resumes the run.
    Secret,
    /// The machine runs on its battery.
    Battery,
    /// A time of quiet lasts.
    Quiet,
}

impl Hold {
    /// The usual sentence for it.
    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::DiskFull => "frozen: the disk is full; it goes on when there is room",
            Self::Limit => "frozen: a limit of the machine was exceeded",
            Self::Secret => "held: a secret is missing",
            Self::Battery => "frozen: the machine runs on battery",
            Self::Quiet => "frozen: it is quiet",
        }
    }
}

/// The reasons for which a run is held, each with its sentence; empty when the operator froze it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written")]
pub struct Holds(BTreeMap<Hold, Arc<str>>);

/// As it stands in a database: those of 0.1.0 hold one word, or nothing.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Many(BTreeMap<Hold, Arc<str>>),
    One(Hold),
    Nothing(()),
}

impl From<Written> for Holds {
    fn from(written: Written) -> Self {
        match written {
            Written::Many(holds) => Self(holds),
            Written::One(hold) => Self::only(hold, hold.reason()),
            Written::Nothing(()) => Self::default(),
        }
    }
}

impl Holds {
    /// Held for this reason alone.
    pub fn only(hold: Hold, reason: impl Into<Arc<str>>) -> Self {
        Self([(hold, reason.into())].into())
    }

    /// Whether this is one of the reasons.
    pub fn has(&self, hold: Hold) -> bool {
        self.0.contains_key(&hold)
    }

    /// The first of the reasons as a sentence.
    pub fn reason(&self) -> Option<&Arc<str>> {
        self.0.values().next()
    }

    /// Whether the operator froze it: there is no other reason.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a reason, or gives it another sentence.
    pub(super) fn insert(&mut self, hold: Hold, reason: Arc<str>) {
        self.0.insert(hold, reason);
    }

    /// Takes a reason away; false where it was none.
    pub(super) fn remove(&mut self, hold: Hold) -> bool {
        self.0.remove(&hold).is_some()
    }

    /// Takes all other reasons away.
    pub(super) fn keep_only(&mut self, hold: Hold) {
        self.0.retain(|other, _| *other == hold);
    }

    /// The reasons.
    pub fn iter(&self) -> impl Iterator<Item = (Hold, &Arc<str>)> {
        self.0.iter().map(|(hold, reason)| (*hold, reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_earlier_versions_wrote_is_read() {
        let read = |text: &str| serde_json::from_str::<Holds>(text).unwrap();
        assert_eq!(read("null"), Holds::default());
        assert!(read("\"limit\"").has(Hold::Limit));
        let both = r#"{"limit":"frozen: memory","quiet":"frozen: it is quiet"}"#;
        assert_eq!(serde_json::to_string(&read(both)).unwrap(), both);
    }
}

//! The ids of pipelines, steps, jobs and runs. They are checked once, where they enter, because they become file names.

use std::borrow::Borrow;
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The longest id, in bytes.
pub const MAX_ID_LEN: usize = 128;

/// Why a text is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{kind} id {text:?} is malformed: it must start with a letter or digit, hold only letters, digits, '.', '_' and '-', and be at most 128 characters long"
)]
pub struct InvalidId {
    /// What the id was to name: "pipeline", "step", "job" or "run".
    pub kind: &'static str,
    /// The text that was refused.
    pub text: String,
}

/// An id needs no check. This lets functions take an id or a text.
impl From<Infallible> for InvalidId {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// Whether `text` matches `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`.
pub fn is_valid_id(text: &str) -> bool {
    let bytes = text.as_bytes();
    (1..=MAX_ID_LEN).contains(&bytes.len())
        && bytes[0].is_ascii_alphanumeric()
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks `text` and makes an id of it.
            ///
            /// # Errors
            /// [`InvalidId`] when it does not match `[A-Za-z0-9][A-Za-z0-9._-]{0,127}`.
            pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidId> {
                let text = text.as_ref();
                if is_valid_id(text) {
                    Ok(Self(text.into()))
                } else {
                    Err(InvalidId { kind: $kind, text: text.to_owned() })
                }
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = InvalidId;
            fn try_from(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.as_ref().to_owned()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

id_type!(
    /// The name of a pipeline; unique within a data directory.
    PipelineId,
    "pipeline"
);
id_type!(
    /// The name of a step; unique within its pipeline.
    StepId,
    "step"
);
id_type!(
    /// The name of a scheduled job; unique within a data directory.
    JobId,
    "job"
);
id_type!(
    /// The name of a run; unique within a data directory, and the name of its folder of logs.
    RunId,
    "run"
);

impl PipelineId {
    /// The same text as a run's id: both follow one rule.
    pub fn as_run_id(&self) -> RunId {
        RunId(self.0.clone())
    }
}

/// Identifies one process tree: there is never a second one with the same key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AttemptKey {
    pub run_id: RunId,
    pub step_id: StepId,
    /// The attempt, from 1.
    pub attempt: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_safe_file_name() {
        for good in ["a", "alfabeta-20261123020000-2", "A.b_c-9", &"x".repeat(128)] {
            assert!(RunId::new(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "-a", "_a", "a/b", "a b", "ä", "a\0", &"x".repeat(129)] {
            assert!(RunId::new(bad).is_err(), "{bad}");
        }
    }
}

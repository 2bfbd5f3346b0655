//! The column `ledger` of a step: its ledger and its phase as JSON, which keeps the names of the first version.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::state::StepState;
use super::step_phase::{Ending, Prepared, StepEnd, StepPhase};
use super::step_run::{StepLedger, StepRun};
use super::stored::Stored;
use crate::admission::Wait;

impl StepRun {
    /// The text of its column `ledger`.
    ///
    /// # Errors
    /// None that is known: everything in it has a form in JSON.
    pub fn ledger_json(&self) -> serde_json::Result<String> {
        serde_json::to_string(&Stored { ledger: &self.ledger, phase: StoredPhase::of(&self.phase) })
    }
}

impl StepPhase {
    /// The phase of a step of which only the state is known.
    pub fn of(state: StepState) -> Self {
        StoredStepLedger::default().into_parts(state).1
    }
}

/// The column `ledger` of a step, as read.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct StoredStepLedger(Stored<StepLedger, StoredPhase>);

/// The data of every phase side by side. Earlier versions kept some of it when a step went on to another phase.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct StoredPhase {
    launch: Launch,
    retry_at: Option<DateTime<Utc>>,
    ending: Option<Ending>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wait: Option<Arc<Wait>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_since: Option<DateTime<Utc>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    lacks_secret: bool,
}

/// How far the start of an attempt has come: tells the two kinds of a waiting step apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Launch {
    #[default]
    None,
    Prepared,
    Sent,
}

impl StoredPhase {
    fn of(phase: &StepPhase) -> Self {
        match phase {
            StepPhase::Pending | StepPhase::Ended(_) => Self::default(),
            StepPhase::Retrying(at) => Self { retry_at: Some(*at), ..Self::default() },
            StepPhase::Prepared(Prepared { wait, lacks_secret }) => {
                let (wait, waits_since) = wait.clone().unzip();
                Self {
                    launch: Launch::Prepared,
                    wait,
                    waits_since,
                    lacks_secret: *lacks_secret,
                    ..Self::default()
                }
            }
            StepPhase::Alive { ending, .. } => {
                Self { launch: Launch::Sent, ending: *ending, ..Self::default() }
            }
        }
    }
}

impl StoredStepLedger {
    /// The ledger and the phase of a step in this state; data of other phases is ignored.
    pub(crate) fn into_parts(self, state: StepState) -> (StepLedger, StepPhase) {
        let Stored { ledger, phase: stored } = self.0;
        let phase = match state {
            StepState::Pending => StepPhase::Pending,
            StepState::Waiting if stored.launch == Launch::None => {
                // One without an instant is due.
                StepPhase::Retrying(stored.retry_at.unwrap_or_default())
            }
            StepState::Waiting => StepPhase::Prepared(Prepared {
                wait: stored.wait.zip(stored.waits_since),
                lacks_secret: stored.lacks_secret,
            }),
            StepState::Running => StepPhase::Alive { is_frozen: false, ending: stored.ending },
            StepState::Paused => StepPhase::Alive { is_frozen: true, ending: stored.ending },
            StepState::Completed => StepPhase::Ended(StepEnd::Completed),
            StepState::Failed => StepPhase::Ended(StepEnd::Failed),
            StepState::Skipped => StepPhase::Ended(StepEnd::Skipped),
            StepState::Stopped => StepPhase::Ended(StepEnd::Stopped),
            StepState::Interrupted => StepPhase::Ended(StepEnd::Interrupted),
        };
        (ledger, phase)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an engine makes of a ledger that some version has written.
    fn read(state: StepState, text: &str) -> (StepLedger, StepPhase) {
        serde_json::from_str::<StoredStepLedger>(text).unwrap().into_parts(state)
    }

    #[test]
    fn every_phase_comes_back_as_it_was_written_and_earlier_versions_find_their_names() {
        let at = DateTime::UNIX_EPOCH;
        let none = serde_json::json!({ "launch": "none", "retry_at": null, "ending": null });
        let wait = Some((Arc::new(Wait::Drain), at));
        let table = [
            (StepPhase::Pending, none.clone()),
            (StepPhase::Retrying(at), serde_json::json!({ "launch": "none", "retry_at": at })),
            (StepPhase::Prepared(Prepared::default()), serde_json::json!({ "launch": "prepared" })),
            (
                StepPhase::Prepared(Prepared { wait, lacks_secret: true }),
                serde_json::json!({ "wait": Wait::Drain, "waits_since": at, "lacks_secret": true }),
            ),
            (
                StepPhase::Alive { is_frozen: true, ending: Some(Ending::RunTimeout) },
                serde_json::json!({ "launch": "sent", "ending": "run_timeout" }),
            ),
            (
                StepPhase::Alive { is_frozen: false, ending: None },
                serde_json::json!({ "launch": "sent", "ending": null }),
            ),
            (StepPhase::Ended(StepEnd::Stopped), none),
        ];
        for (phase, expected) in table {
            let step = StepRun { phase: phase.clone(), ..StepRun::new("s".try_into().unwrap()) };
            let text = step.ledger_json().unwrap();
            let written: serde_json::Value = serde_json::from_str(&text).unwrap();
            for (name, value) in expected.as_object().unwrap() {
                assert_eq!(&written[name], value, "{name} of {phase:?}");
            }
            assert_eq!(read(phase.state(), &text).1, phase);
        }
    }

    #[test]
    fn what_earlier_versions_left_standing_is_passed_over_and_nothing_else() {
        // All that a ledger can say at once.
        let at = DateTime::UNIX_EPOCH;
        let text = serde_json::json!({
            "launch": "sent", "retry_at": at, "ending": "stop", "wait": Wait::Drain, "waits_since": at,
            "lacks_secret": true, "report_offset": 7,
        });
        let text = text.to_string();
        for &state in StepState::ALL {
            let (ledger, phase) = read(state, &text);
            assert_eq!((ledger.report_offset, phase.state()), (7, state));
            assert_eq!(phase.ending().is_some(), state.is_live(), "{state}");
            assert_eq!(phase.lacks_secret(), state == StepState::Waiting, "{state}");
            assert_eq!(phase.retry_at(), None, "{state}");
        }
        assert_eq!(read(StepState::Waiting, "{}").1, StepPhase::Retrying(at));
    }
}

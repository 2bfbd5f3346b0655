//! The column `ledger` of a run: its ledger and its phase as JSON, which keeps the names of the first version.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::freeze::{Freeze, Holds};
use super::model::{Run, RunLedger};
use super::phase::{End, Phase, StopKind, Verdict};
use super::state::RunState;
use crate::admission::Wait;

impl Run {
    /// The text of its column `ledger`.
    ///
    /// # Errors
    /// None that is known: everything in it has a form in JSON.
    pub fn ledger_json(&self) -> serde_json::Result<String> {
        serde_json::to_string(&Stored { ledger: &self.ledger, phase: StoredPhase::of(&self.phase) })
    }
}

impl Phase {
    /// The phase of a run of which only the state is known, and when it ended.
    pub fn of(state: RunState, finished_at: Option<DateTime<Utc>>) -> Self {
        StoredLedger::default().into_parts(state, finished_at).1
    }
}

/// The column `ledger` of a run, as read.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct StoredLedger(Stored<RunLedger, StoredPhase>);

/// A ledger and a phase in one object.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Stored<L, P> {
    #[serde(flatten)]
    pub(super) ledger: L,
    #[serde(flatten)]
    pub(super) phase: P,
}

/// The data of every phase side by side. Earlier versions kept some of it when a run went on to another phase.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct StoredPhase {
    frozen_since: Option<DateTime<Utc>>,
    #[serde(alias = "hold")]
    holds: Holds,
    #[serde(skip_serializing_if = "Option::is_none")]
    wait: Option<Arc<Wait>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_held_by_quiet: bool,
    verdict: Option<StoredVerdict>,
    run_timed_out: bool,
    unfrozen: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    held_until: Option<DateTime<Utc>>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredVerdict {
    Stopped,
    ForceStopped,
    Failed(String),
    Interrupted(String),
}

impl StoredPhase {
    fn of(phase: &Phase) -> Self {
        match phase {
            Phase::Queued { wait, is_held_by_quiet } => {
                Self { wait: wait.clone(), is_held_by_quiet: *is_held_by_quiet, ..Self::default() }
            }
            Phase::Running { verdict } => Self::judged(verdict.as_ref()),
            Phase::Paused { verdict, freeze: Freeze { since, unfrozen, holds, held_until } } => Self {
                frozen_since: *since,
                unfrozen: unfrozen.clone(),
                holds: holds.clone(),
                held_until: *held_until,
                ..Self::judged(verdict.as_ref())
            },
            Phase::Stopping(StopKind::Graceful) => {
                Self { verdict: Some(StoredVerdict::Stopped), ..Self::default() }
            }
            Phase::Stopping(StopKind::Force) => {
                Self { verdict: Some(StoredVerdict::ForceStopped), ..Self::default() }
            }
            Phase::Ended { .. } => Self::default(),
        }
    }

    fn judged(verdict: Option<&Verdict>) -> Self {
        let stored = verdict.map(|verdict| match verdict {
            Verdict::Failed(why) | Verdict::TimedOut(why) => StoredVerdict::Failed(why.clone()),
            Verdict::Interrupted(why) => StoredVerdict::Interrupted(why.clone()),
        });
        let run_timed_out = matches!(verdict, Some(Verdict::TimedOut(_)));
        Self { verdict: stored, run_timed_out, ..Self::default() }
    }
}

impl StoredLedger {
    /// The ledger and the phase of a run in this state; data of other phases is ignored.
    pub(crate) fn into_parts(
        self,
        state: RunState,
        finished_at: Option<DateTime<Utc>>,
    ) -> (RunLedger, Phase) {
        let Stored { ledger, phase: stored } = self.0;
        let kind = match stored.verdict {
            Some(StoredVerdict::ForceStopped) => StopKind::Force,
            Some(StoredVerdict::Stopped | StoredVerdict::Failed(_) | StoredVerdict::Interrupted(_))
            | None => StopKind::Graceful,
        };
        let verdict = match (stored.verdict, stored.run_timed_out) {
            (Some(StoredVerdict::Interrupted(why)), _) => Some(Verdict::Interrupted(why)),
            (Some(StoredVerdict::Failed(why)), true) => Some(Verdict::TimedOut(why)),
            (Some(StoredVerdict::Failed(why)), false) => Some(Verdict::Failed(why)),
            (Some(StoredVerdict::Stopped | StoredVerdict::ForceStopped) | None, true) => {
                Some(Verdict::TimedOut("timed out".to_owned()))
            }
            (Some(StoredVerdict::Stopped | StoredVerdict::ForceStopped) | None, false) => None,
        };
        let ended = |end| Phase::Ended { end, at: finished_at };
        let phase = match state {
            RunState::Queued => {
                Phase::Queued { wait: stored.wait, is_held_by_quiet: stored.is_held_by_quiet }
            }
            RunState::Running => Phase::Running { verdict },
            RunState::Paused => {
                let (since, held_until) = (stored.frozen_since, stored.held_until);
                let freeze = Freeze { since, unfrozen: stored.unfrozen, holds: stored.holds, held_until };
                Phase::Paused { verdict, freeze }
            }
            RunState::Stopping => Phase::Stopping(kind),
            RunState::Stopped => ended(End::Stopped),
            RunState::ForceStopped => ended(End::ForceStopped),
            RunState::Completed => ended(End::Completed),
            RunState::Failed => ended(End::Failed),
            RunState::Interrupted => ended(End::Interrupted),
        };
        (ledger, phase)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Hold;

    /// What an engine makes of a ledger that some version has written.
    fn read(state: RunState, text: &str) -> (RunLedger, Phase) {
        serde_json::from_str::<StoredLedger>(text).unwrap().into_parts(state, Some(DateTime::UNIX_EPOCH))
    }

    fn written(phase: Phase) -> serde_json::Value {
        let plan = crate::run::Plan::driven("r".try_into().unwrap(), "p".try_into().unwrap(), "s");
        let now = crate::base::time::Now { wall: DateTime::UNIX_EPOCH, awake_ms: 0 };
        let run = Run { phase, ..plan.into_run(now) };
        serde_json::from_str(&run.ledger_json().unwrap()).unwrap()
    }

    #[test]
    fn every_phase_comes_back_as_it_was_written_and_earlier_versions_find_their_names() {
        let since = Some(DateTime::UNIX_EPOCH);
        let holds = Holds::only(Hold::Secret, "held: it is missing");
        let freeze = Freeze { since, unfrozen: vec!["dd (7)".into()], holds, held_until: since };
        let why = || "why".to_owned();
        let judged = |verdict: Option<&str>| serde_json::json!({ "verdict": verdict });
        let table = [
            (
                Phase::Queued { wait: Some(Arc::new(Wait::Drain)), is_held_by_quiet: true },
                serde_json::json!({ "wait": Wait::Drain, "is_held_by_quiet": true }),
            ),
            (
                Phase::Running { verdict: None },
                serde_json::json!({ "verdict": null, "run_timed_out": false }),
            ),
            (
                Phase::Running { verdict: Some(Verdict::TimedOut(why())) },
                serde_json::json!({ "verdict": { "failed": "why" }, "run_timed_out": true }),
            ),
            (
                Phase::Paused { verdict: Some(Verdict::Interrupted(why())), freeze },
                serde_json::json!({
                    "verdict": { "interrupted": "why" }, "run_timed_out": false, "unfrozen": ["dd (7)"],
                    "frozen_since": since, "held_until": since, "holds": { "secret": "held: it is missing" },
                }),
            ),
            (Phase::Stopping(StopKind::Graceful), judged(Some("stopped"))),
            (Phase::Stopping(StopKind::Force), judged(Some("force_stopped"))),
            (Phase::Ended { end: End::Failed, at: since }, judged(None)),
        ];
        for (phase, expected) in table {
            let text = written(phase.clone());
            for (name, value) in expected.as_object().unwrap() {
                assert_eq!(&text[name], value, "{name} of {phase:?}");
            }
            assert_eq!(read(phase.state(), &text.to_string()).1, phase);
        }
    }

    #[test]
    fn what_earlier_versions_left_standing_is_passed_over_and_nothing_else() {
        // All that a ledger can say at once.
        let text = r#"{"frozen_since": "1970-01-01T00:00:00Z", "hold": "limit", "run_timed_out": true, "priority": 3,
            "is_held_by_quiet": true, "verdict": {"failed": "why"}, "unfrozen": ["dd (7)"], "told_running": true}"#;
        for &state in RunState::ALL {
            let (ledger, phase) = read(state, text);
            assert_eq!((ledger.priority, ledger.told_running, phase.state()), (3, true, state));
            assert_eq!(phase.frozen_since().is_some(), state == RunState::Paused, "{state}");
            assert_eq!(phase.is_held_for(Hold::Limit), state == RunState::Paused, "{state}");
            let goes_on = matches!(state, RunState::Running | RunState::Paused);
            assert_eq!(phase.verdict(), goes_on.then(|| Verdict::TimedOut("why".into())).as_ref(), "{state}");
            assert_eq!(phase.finished_at().is_some(), state.is_ended(), "{state}");
        }
        let judged = |text| read(RunState::Running, text).1.verdict().cloned();
        assert_eq!(judged("{}"), None);
        assert_eq!(judged(r#"{"verdict": "stopped"}"#), None);
        assert_eq!(judged(r#"{"run_timed_out": true}"#), Some(Verdict::TimedOut("timed out".into())));
        let lost = r#"{"verdict": {"interrupted": "why"}, "run_timed_out": true}"#;
        assert_eq!(judged(lost), Some(Verdict::Interrupted("why".into())));
        for text in ["{}", r#"{"verdict": {"failed": "why"}}"#] {
            assert_eq!(read(RunState::Stopping, text).1, Phase::Stopping(StopKind::Graceful));
        }
    }
}

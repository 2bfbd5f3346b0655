//! The phase of a run: its state, with what belongs to that state alone. Also its form in the database, which keeps the
//! names of the first version.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Hold, Holds, Run, RunLedger, RunState, StopKind};
use crate::admission::Wait;

/// The state of a run with its data. [`RunState`] is the word for it.
#[derive(Debug, Clone, PartialEq)]
pub enum Phase {
    /// Recorded; waits for what it needs before its first step.
    Queued {
        /// For what; none until admission was asked.
        wait: Option<Arc<Wait>>,
        /// It has waited for the end of quiet: such runs begin one at a time.
        is_held_by_quiet: bool,
    },
    /// Its steps run, or its program does.
    Running {
        /// How it will end, where that is known before its last steps have run.
        verdict: Option<Verdict>,
    },
    /// Frozen, or about to be.
    Paused {
        /// How it will end when it goes on, where that is known.
        verdict: Option<Verdict>,
        /// Since when, and why.
        freeze: Freeze,
    },
    /// Its steps are ending in this way.
    Stopping(StopKind),
    /// Nothing more happens to it without a request.
    Ended {
        /// How.
        end: End,
        /// When; none in rows that do not say.
        at: Option<DateTime<Utc>>,
    },
}

/// How a run will end once what is still to be done is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// A step has failed: the other steps go to their end, then the run fails for this reason.
    Failed(String),
    /// Its own timeout has passed: its steps are being ended, then it fails for this reason.
    TimedOut(String),
    /// A step was lost whose `on_interrupt` is `ask`, or steps were lost too often in a row: it will be interrupted for this
    /// reason.
    Interrupted(String),
}

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

/// How a run has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// On request.
    Stopped,
    /// By force.
    ForceStopped,
    /// Well.
    Completed,
    /// Badly.
    Failed,
    /// Lost with the machine or its program.
    Interrupted,
}

impl End {
    /// The word for it.
    pub const fn state(self) -> RunState {
        match self {
            Self::Stopped => RunState::Stopped,
            Self::ForceStopped => RunState::ForceStopped,
            Self::Completed => RunState::Completed,
            Self::Failed => RunState::Failed,
            Self::Interrupted => RunState::Interrupted,
        }
    }
}

impl Phase {
    /// The phase of a run of which only the state is known, and when it ended.
    pub fn of(state: RunState, finished_at: Option<DateTime<Utc>>) -> Self {
        StoredLedger::default().into_parts(state, finished_at).1
    }

    /// The word for it.
    pub const fn state(&self) -> RunState {
        match self {
            Self::Queued { .. } => RunState::Queued,
            Self::Running { .. } => RunState::Running,
            Self::Paused { .. } => RunState::Paused,
            Self::Stopping(_) => RunState::Stopping,
            Self::Ended { end, .. } => end.state(),
        }
    }

    /// What a run waits for before it begins.
    pub const fn wait(&self) -> Option<&Arc<Wait>> {
        if let Self::Queued { wait, .. } = self { wait.as_ref() } else { None }
    }

    /// What is known of a paused run; none of any other.
    pub const fn freeze(&self) -> Option<&Freeze> {
        if let Self::Paused { freeze, .. } = self { Some(freeze) } else { None }
    }

    pub(super) const fn freeze_mut(&mut self) -> Option<&mut Freeze> {
        if let Self::Paused { freeze, .. } = self { Some(freeze) } else { None }
    }

    /// Since when the whole run is seen frozen.
    pub fn frozen_since(&self) -> Option<DateTime<Utc>> {
        self.freeze()?.since
    }

    /// Whether a run is paused for this reason.
    pub fn is_held_for(&self, hold: Hold) -> bool {
        self.freeze().is_some_and(|freeze| freeze.holds.has(hold))
    }

    /// When a run ended.
    pub const fn finished_at(&self) -> Option<DateTime<Utc>> {
        if let Self::Ended { at, .. } = self { *at } else { None }
    }

    /// How a running or paused run will end, where that is known.
    pub(super) const fn verdict(&self) -> Option<&Verdict> {
        match self {
            Self::Running { verdict } | Self::Paused { verdict, .. } => verdict.as_ref(),
            Self::Queued { .. } | Self::Stopping(_) | Self::Ended { .. } => None,
        }
    }

    /// Sets how a running or paused run will end. How any other ends is decided already.
    pub(super) fn judge(&mut self, how: Verdict) {
        match self {
            Self::Running { verdict } | Self::Paused { verdict, .. } => *verdict = Some(how),
            Self::Queued { .. } | Self::Stopping(_) | Self::Ended { .. } => {}
        }
    }

    /// Whether its own timeout counts: it runs, and that has not passed.
    pub(super) const fn may_time_out(&self) -> bool {
        matches!(self, Self::Running { .. }) && !matches!(self.verdict(), Some(Verdict::TimedOut(_)))
    }
}

impl Run {
    /// Its state.
    pub const fn state(&self) -> RunState {
        self.phase.state()
    }

    /// The text of its column `ledger`.
    ///
    /// # Errors
    /// None that is known: everything in it has a form in JSON.
    pub fn ledger_json(&self) -> serde_json::Result<String> {
        serde_json::to_string(&Stored { ledger: &self.ledger, phase: StoredPhase::of(&self.phase) })
    }
}

/// The column `ledger` of a run, as read.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct StoredLedger(Stored<RunLedger>);

#[derive(Debug, Default, Serialize, Deserialize)]
struct Stored<L> {
    #[serde(flatten)]
    ledger: L,
    #[serde(flatten)]
    phase: StoredPhase,
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

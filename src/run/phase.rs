//! The phase of a run: its state, with what belongs to that state alone.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::freeze::{Freeze, Hold};
use super::state::RunState;
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

/// How a run is to be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopKind {
    /// Signal, grace, then kill; `finally` steps run.
    Graceful,
    /// Kill at once; nothing else runs.
    Force,
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

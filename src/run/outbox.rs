//! What a decision asks for besides the changed run: effects, events and records.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::event::{Decision, EventKind};
use super::step_run::StepRun;
use crate::base::id::StepId;

/// Everything that a decision asks for, besides the changed run.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Done at once: they rest only on an earlier commit.
    pub early: Vec<Effect>,
    /// Done after the commit.
    pub effects: Vec<Effect>,
    /// Published after the commit, in this order.
    pub events: Vec<EventKind>,
    /// Recorded with the run.
    pub records: Vec<Record>,
    /// Whether the commit may wait for the next one.
    pub soft: bool,
}

/// What to do once the decision is on disk. Steps are named by index; keys and paths are the engine's.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Start its current attempt.
    Start {
        /// Which.
        index: usize,
        /// An engine that is gone may have started it already.
        may_be_alive: bool,
    },
    /// Freeze its tree.
    Freeze(usize),
    /// Thaw its tree.
    Thaw(usize),
    /// Signal, grace, kill.
    Stop(usize),
    /// Kill its tree.
    Kill(usize),
    /// Its end is on disk; the host may forget this attempt.
    Acknowledge {
        /// Which.
        index: usize,
        /// Which attempt.
        attempt: u32,
    },
    /// Ask the driving program to pause or to go on.
    PauseSignal(Level),
    /// Ask the driving program to stop, or take that back.
    StopSignal(Level),
}

/// The level of a signal to a driving program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Given.
    Raised,
    /// Not given, or taken back.
    Lowered,
}

/// What to record besides the run and its changed steps.
#[derive(Debug, Clone)]
pub enum Record {
    /// An attempt that has ended and is followed by another one: its row as it stays.
    EndedAttempt(Arc<StepRun>),
    /// A checkpoint.
    Checkpoint {
        /// Of which step.
        step_id: Arc<str>,
        /// JSON text.
        data: Arc<str>,
        /// When it was made.
        at: DateTime<Utc>,
    },
    /// A retry moves the step's checkpoint to the attempt that made it.
    ArchiveCheckpoint {
        /// Of which step.
        step_id: StepId,
        /// Which attempt made it.
        attempt: u32,
    },
    /// A decision of recovery.
    Decision(Decision),
}

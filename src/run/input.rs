//! What a run hears, and what a decision about it asks for: the words between the engine and the rules.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{Decision, ReportBatch, StepCost, StepRun};
use crate::base::id::StepId;

/// How a run is to be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopKind {
    /// Signal, grace, then kill; `finally` steps run.
    Graceful,
    /// Kill at once; nothing else runs.
    Force,
}

/// What a run hears.
#[derive(Debug, Clone)]
pub enum Input {
    /// It was just recorded: begin.
    Begin,
    /// The operator asks.
    Pause,
    /// The operator asks.
    Resume,
    /// The operator asks: this step and what needs it; without one, what has not completed.
    Retry(Option<StepId>),
    /// The operator asks.
    Stop(StopKind),
    /// The driving program is done.
    Complete {
        /// None: it succeeded.
        error: Option<Arc<str>>,
    },
    /// The driving program reports.
    Progress {
        /// 0 to 1.
        progress: f64,
        /// What it is at; none leaves what was said before.
        current_step: Option<Arc<str>>,
    },
    /// The driving program saves a checkpoint.
    Checkpoint {
        /// Of which step.
        step_id: Arc<str>,
        /// JSON text.
        data: Arc<str>,
    },
    /// Something happened to a step.
    Step {
        /// Which.
        index: usize,
        /// Which attempt; what concerns an earlier one is acknowledged and otherwise ignored.
        attempt: u32,
        /// What.
        news: StepNews,
    },
    /// A deadline may have passed.
    Tick,
    /// Steps may start again, or may not any more.
    StartsChanged,
    /// The start of this attempt was sent ahead of a commit that then failed.
    SentAhead {
        /// Which.
        index: usize,
        /// Which attempt.
        attempt: u32,
    },
    /// The disk is full: freeze until it is not.
    DiskFull,
    /// There is room again.
    DiskRoom,
    /// The machine is short of something, of which this run uses most: freeze until it is not.
    LimitExceeded {
        /// Of what, and when it goes on.
        reason: Arc<str>,
    },
    /// It is short of that no longer.
    LimitCleared,
    /// The operator asks: start it, or what waits of it, although what it waits for is not there.
    Admit,
    /// It is quiet since then; none: it is quiet no longer.
    Quiet(Option<DateTime<Utc>>),
    /// The machine lives on its battery, or no longer.
    Power {
        /// Whether it does.
        on_battery: bool,
    },
    /// First after a start of the engine: what the step host knows of this run's steps, by index.
    Recover(Vec<Found>),
    /// The program that drove it is gone.
    DriverLost,
}

/// What happened to a step's attempt.
#[derive(Debug, Clone)]
pub enum StepNews {
    /// Its process lives.
    Started {
        /// The main process.
        pid: u32,
        /// When it was spawned.
        at: DateTime<Utc>,
    },
    /// It could not be started.
    StartFailed(String),
    /// A secret that it needs is missing: which, and why.
    SecretMissing(String),
    /// Its tree is seen frozen.
    Frozen {
        /// Processes that could not be.
        unfrozen: Vec<String>,
    },
    /// Its tree goes on.
    Thawed,
    /// It reported.
    Reported(Box<ReportBatch>),
    /// Its start was made too late: the run is being held or ended.
    NotSent,
    /// It ended.
    Exited(Exit),
}

/// How a step's main process ended, and what it used.
#[derive(Debug, Clone, PartialEq)]
pub struct Exit {
    /// Its exit code, if it had one.
    pub code: Option<i32>,
    /// The signal that ended it, if one did. With neither, nobody saw the end.
    pub signal: Option<i32>,
    /// When.
    pub ended_at: DateTime<Utc>,
    /// What it has used.
    pub cost: Option<StepCost>,
    /// What is known of the machine's memory, where a signal has ended it that may mean its lack.
    pub memory: Option<MemoryAtEnd>,
    /// It ended after the system told everything to end.
    pub interrupted: bool,
    /// Bytes missing from its log.
    pub log_dropped_bytes: u64,
}

/// The memory of the machine when a step was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryAtEnd {
    /// The most that the step could have had.
    pub limit_bytes: u64,
    /// How many processes the kernel has ended for lack of it in the time before, on the whole machine.
    pub n_ended: u64,
}

/// What the step host knows of a step that is recorded as started.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// The step was not recorded as started.
    NotAsked,
    /// Nothing.
    Nothing,
    /// It lives.
    Running {
        /// The main process.
        pid: u32,
        /// When it was spawned.
        started_at: DateTime<Utc>,
        /// Whether it is frozen.
        frozen: bool,
    },
    /// Its main process is gone; what that left behind is being ended, and the end is told when nothing is left.
    Ending,
    /// It could not be started.
    StartFailed(String),
    /// It has ended.
    Exited(Exit),
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
    /// Tell the driving program to hold still or to go on.
    PauseSignal(Level),
    /// Tell the driving program to stop, or take that back.
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

impl Input {
    /// Whether it is acted on even when it can't be recorded at the moment.
    pub const fn is_urgent(&self) -> bool {
        matches!(
            self,
            Self::Pause
                | Self::Stop(_)
                | Self::DiskFull
                | Self::LimitExceeded { .. }
                | Self::Quiet(Some(_))
                | Self::Power { on_battery: true }
        )
    }
}

//! The inputs of a decision about a run: what the operator asks, and what has happened to its steps and to the machine.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::cost::StepCost;
use super::phase::StopKind;
use super::report::ReportBatch;
use crate::base::id::StepId;

/// One input of a decision about a run.
#[derive(Debug, Clone)]
pub enum Input {
    /// The run was just recorded: begin.
    Begin,
    /// The operator asks: freeze it.
    Pause,
    /// The operator asks: let it go on, or take it up again.
    Resume,
    /// The operator asks: this step and what needs it; without one, what has not completed.
    Retry(Option<StepId>),
    /// The operator asks: end it.
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
        /// The step that it is at; none: as before.
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
        /// Which attempt; news of an earlier one is acknowledged and otherwise ignored.
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
    /// A limit of the machine is exceeded, and this run uses most: freeze until it is cleared.
    LimitExceeded {
        /// Which limit, and when the run goes on.
        reason: Arc<str>,
    },
    /// That limit is cleared.
    LimitCleared,
    /// The operator asks: start the run, or those of its steps that wait, although what they wait for is not there.
    Admit,
    /// Quiet began then; none: it is over.
    Quiet(Option<DateTime<Utc>>),
    /// The power supply changed.
    Power {
        /// Whether the machine runs on its battery.
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
    /// The signal that ended it, if one did. With neither, its end was not seen.
    pub signal: Option<i32>,
    /// When it ended.
    pub ended_at: DateTime<Utc>,
    /// What it has used.
    pub cost: Option<StepCost>,
    /// The machine's memory, where a signal ended the step that may mean a lack of it.
    pub memory: Option<MemoryAtEnd>,
    /// Whether it ended after the system had asked its supervisor to end.
    pub interrupted: bool,
    /// Bytes missing from its log.
    pub log_dropped_bytes: u64,
}

/// The memory of the machine when a step was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryAtEnd {
    /// The most that the step could have had.
    pub limit_bytes: u64,
    /// How many processes of the machine the kernel has ended for lack of memory shortly before.
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
    /// Its main process is gone. What that left behind is being ended; `Exited` follows when nothing is left.
    Ending,
    /// It could not be started.
    StartFailed(String),
    /// It has ended.
    Exited(Exit),
}

impl Input {
    /// Whether its effects are carried out even when it can't be recorded at the moment.
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

//! What the supervisor knows about one living step.

use std::os::fd::OwnedFd;
use std::time::Instant;

use chrono::{DateTime, Utc};

use crate::base::id::AttemptKey;
use crate::process::tree::Tree;
use crate::supervisor::host::{StepExit, Usage};
use crate::supervisor::process::ProcId;

/// A step whose tree lives, or whose end is not settled yet.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) key: AttemptKey,
    pub(super) started_at: DateTime<Utc>,
    pub(super) keep_background: bool,
    pub(super) tree: Tree,
    /// A handle on the main process; none when it was gone before this supervisor began.
    pub(super) main: Option<OwnedFd>,
    /// A taken-over main process has ended. The supervisor waits until then for its parent to reap it.
    pub(super) reap_deadline: Option<Instant>,
    /// The most memory that the main process can have had before its exec, in bytes; none where that may have been a
    /// supervisor's.
    pub(super) peak_before: Option<u64>,
    pub(super) log: LogState,
    pub(super) freeze: Freeze,
    pub(super) ending: Ending,
    /// The signal of a stop, until it is sent.
    pub(super) unsent_signal: Option<i32>,
    pub(super) main_end: MainEnd,
    /// What reaped orphans of the step used.
    pub(super) orphans_usage: Option<Usage>,
    /// The number of the first snapshot that showed no process of its tree.
    pub(super) first_empty_snapshot: Option<u64>,
    /// When the step is looked at again.
    pub(super) alarm: Option<Instant>,
    /// Scans since the last change: they come less and less often.
    pub(super) n_scans: u32,
    /// It was reported that KILL does not end the tree.
    pub(super) is_unkillable: bool,
}

/// Whether a process can still write to a step's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LogState {
    /// A process has its pipe open.
    Open,
    /// No process has, or there never was a pipe.
    Closed,
}

/// Whether we have stopped its processes.
#[derive(Debug)]
pub(super) enum Freeze {
    /// We have not.
    None,
    /// We are stopping them, scan by scan.
    Freezing(Freezing),
    /// We have stopped these, parents first.
    Frozen(Vec<ProcId>),
}

/// A freeze that is not complete yet.
#[derive(Debug)]
pub(super) struct Freezing {
    pub(super) since: Instant,
    /// The processes that we stopped, parents first.
    pub(super) stopped: Vec<ProcId>,
    /// Scans in a row that found nothing new and everything stopped.
    pub(super) n_quiet: u32,
    /// Scans in a row during which no orphan died.
    pub(super) n_certain: u32,
    /// A predecessor began the freeze, and stopped the processes that are already stopped.
    pub(super) inherited: Inherited,
}

/// By whom the processes were stopped that a freeze finds stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inherited {
    /// By another process: we must not continue them.
    No,
    /// By our predecessor: we continue them.
    Yes,
}

/// Whether the tree is being ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// It is not being ended.
    No,
    /// It was asked to end, and is killed when the grace is over.
    Asked { kill_at: Instant, by: AskedBy },
    /// It is killed until no process is left.
    Killing { since: Instant },
}

/// Why a tree is being ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AskedBy {
    /// The engine asked.
    Engine,
    /// Its main process has ended and left other processes behind.
    ItsOwnEnd,
}

/// The stages of a step's end.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum MainEnd {
    /// The main process lives.
    Lives,
    /// The main process has ended while members of its tree are left. It is not reaped, so that its pid stays its own.
    Leaves { at: DateTime<Utc>, interrupted: bool },
    /// No process is left. It may still turn out that the system is shutting down.
    Settling { exit: StepExit, until: Instant },
    /// No process is left. The last output is being moved to the log.
    Draining { exit: StepExit },
}

/// An attempt that has ended and waits to be acknowledged.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) key: AttemptKey,
    pub(super) how: End,
}

/// How an attempt ended.
#[derive(Debug, Clone)]
pub(super) enum End {
    StartFailed(String),
    Exited(StepExit),
}

impl Step {
    /// Its main process is dead, possibly the whole tree, but its end is not settled.
    pub(super) fn is_end_unsettled(&self) -> bool {
        match self.main_end {
            MainEnd::Lives => self.reap_deadline.is_some(),
            MainEnd::Leaves { .. } => false,
            MainEnd::Settling { .. } | MainEnd::Draining { .. } => true,
        }
    }

    /// Its main process, while that lives.
    pub(super) fn living_main(&self) -> Option<u32> {
        let lives = self.main_end == MainEnd::Lives && self.reap_deadline.is_none();
        self.tree.main.filter(|_| lives).map(|main| main.pid)
    }

    /// Has the step looked at again at `at`, or at the earlier time already set.
    pub(super) fn wake_at(&mut self, at: Instant) {
        self.alarm = Some(self.alarm.map_or(at, |alarm| alarm.min(at)));
    }
}

/// Adds up what several processes used.
pub(super) fn sum(a: Option<Usage>, b: Option<Usage>) -> Option<Usage> {
    match (a, b) {
        (Some(a), Some(b)) => Some(Usage {
            // `None` is less than any figure.
            peak_rss_bytes: a.peak_rss_bytes.max(b.peak_rss_bytes),
            cpu_seconds: a.cpu_seconds + b.cpu_seconds,
        }),
        (one, other) => one.or(other),
    }
}

//! What the supervisor knows of one living step.

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
    /// A handle on the main process; none when it was gone before we came.
    pub(super) main: Option<OwnedFd>,
    /// A taken-over main process has ended, and its parent is waited for to reap it, at most until then.
    pub(super) reaped_by: Option<Instant>,
    pub(super) log: LogState,
    pub(super) freeze: Freeze,
    pub(super) ending: Ending,
    /// The signal by which it is asked to end, while that was not sent.
    pub(super) unsent: Option<i32>,
    pub(super) main_end: MainEnd,
    /// What orphans used that were reaped before the main process.
    pub(super) orphans_usage: Option<Usage>,
    /// The look, by its number, that first found nobody of its tree.
    pub(super) deserted_at: Option<u64>,
    /// When it wants to be looked at again.
    pub(super) alarm: Option<Instant>,
    /// Scans since the last thing that happened: they come less and less often.
    pub(super) n_scans: u32,
    /// That KILL does not end it was told.
    pub(super) is_unkillable: bool,
}

/// Whether anybody can still write to a step's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LogState {
    /// Its pipe is open somewhere.
    Open,
    /// It is not, or never was.
    Closed,
}

/// Whether its processes are stopped by us.
#[derive(Debug)]
pub(super) enum Freeze {
    /// They are not.
    None,
    /// Being done, scan by scan.
    Freezing(Freezing),
    /// Done: these were stopped by us, parents first.
    Frozen(Vec<ProcId>),
}

/// A freeze that is not seen complete yet.
#[derive(Debug)]
pub(super) struct Freezing {
    pub(super) since: Instant,
    /// Stopped by us, parents first.
    pub(super) stopped: Vec<ProcId>,
    /// Scans in a row that found nothing new and everything stopped.
    pub(super) n_quiet: u32,
    /// Scans in a row during which no orphan died.
    pub(super) n_certain: u32,
    /// A predecessor began it: what is stopped already was stopped by it.
    pub(super) inherited: Inherited,
}

/// Whose the stops are that a freeze finds done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inherited {
    /// Somebody else's: not ours to thaw.
    No,
    /// Our predecessor's: ours.
    Yes,
}

/// Whether the tree is being ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// It is not.
    No,
    /// Asked, and killed when the grace is over.
    Asked { kill_at: Instant, by: AskedBy },
    /// Killed until nothing is left.
    Killing { since: Instant },
}

/// Who wants the end of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AskedBy {
    /// The engine.
    Engine,
    /// Nobody: its main process has ended, and this is what it left behind.
    ItsOwnEnd,
}

/// How far the end of the main process has come.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum MainEnd {
    /// It lives.
    Lives,
    /// It has ended (and is not reaped: its pid stays its own) while members of its tree are left.
    Leaves { at: DateTime<Utc>, interrupted: bool },
    /// Nobody is left. It may yet turn out that the system is shutting down.
    Settling { exit: StepExit, until: Instant },
    /// Nobody is left; what it wrote last is being moved to its log.
    Draining { exit: StepExit },
}

/// An attempt that has ended and waits to be acknowledged.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) key: AttemptKey,
    pub(super) how: End,
}

/// How.
#[derive(Debug, Clone)]
pub(super) enum End {
    StartFailed(String),
    Exited(StepExit),
}

impl Step {
    /// None of its processes may be alive, and yet its end is not settled.
    pub(super) fn is_between_life_and_end(&self) -> bool {
        match self.main_end {
            MainEnd::Lives => self.reaped_by.is_some(),
            MainEnd::Leaves { .. } => false,
            MainEnd::Settling { .. } | MainEnd::Draining { .. } => true,
        }
    }

    /// Its main process, as long as that lives.
    pub(super) fn living_main(&self) -> Option<u32> {
        let lives = self.main_end == MainEnd::Lives && self.reaped_by.is_none();
        self.tree.main.filter(|_| lives).map(|main| main.pid)
    }

    /// Wants to be looked at again at `at`, or earlier if that was wanted already.
    pub(super) fn wake_at(&mut self, at: Instant) {
        self.alarm = Some(self.alarm.map_or(at, |alarm| alarm.min(at)));
    }
}

/// Adds up what several processes used.
pub(super) fn sum(a: Option<Usage>, b: Option<Usage>) -> Option<Usage> {
    match (a, b) {
        (Some(a), Some(b)) => Some(Usage {
            // None is less than any figure.
            peak_rss_bytes: a.peak_rss_bytes.max(b.peak_rss_bytes),
            cpu_seconds: a.cpu_seconds + b.cpu_seconds,
        }),
        (one, other) => one.or(other),
    }
}

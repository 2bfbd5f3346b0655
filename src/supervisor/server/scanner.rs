//! Looking at processes: one snapshot per turn of the loop serves all steps. A look that failed is not an empty answer:
//! it is reported and done again, and nothing is decided until it succeeds.

use std::collections::HashSet;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::Server;
use crate::process::descriptors;
use crate::process::tree::{self, Origin, ProcessContext};
use crate::supervisor::host::HostEvent;
use crate::supervisor::process::{Proc, ProcDir, ProcTable};

/// A look that failed is done again after this long.
const RETRY_DELAY: Duration = Duration::from_millis(100);
/// Descriptors held in reserve, and released for a look when no other is left: more than looking and signalling use at
/// a time.
const N_RESERVED: usize = 6;
/// Descriptors that one step holds: its log, the pipe to it, and a handle on its main process.
const PER_STEP: u64 = 3;
/// Descriptors that one kept log holds.
const PER_KEPT_LOG: u64 = 2;
/// The supervisor starts up to this many steps more than the capacity that it reports.
pub(super) const N_SLACK: usize = 4;
/// Descriptors that the supervisor itself holds or takes for a moment, connections not included.
const OWN: u64 = 24 + PER_STEP * N_SLACK as u64;

/// All processes at one moment.
struct Snapshot {
    table: Rc<ProcTable>,
    /// How many orphans had been reaped when the snapshot began.
    n_reaped_before: u64,
    /// The same count after those were reaped that died during the snapshot; none until it is needed.
    n_reaped_after: Option<u64>,
}

/// How the supervisor looks at processes.
pub(super) struct ProcScanner {
    dir: ProcDir,
    reserve: Vec<OwnedFd>,
    /// The snapshot of this turn; none if none was needed yet or it is out of date.
    snapshot: Option<Snapshot>,
    n_snapshots: u64,
    /// The tokens of the processes that lived in the first look for a survivor; none before it.
    tokens: Option<HashSet<Vec<u8>>>,
    /// The last look failed, and that was reported.
    is_failing: bool,
}

impl ProcScanner {
    /// Opens the descriptors that looking needs, and keeps them.
    ///
    /// # Errors
    /// `/proc` is not mounted, or there is no descriptor left.
    pub(super) fn open() -> io::Result<Self> {
        let mut scanner = Self {
            dir: ProcDir::open()?,
            reserve: Vec::new(),
            snapshot: None,
            n_snapshots: 0,
            tokens: None,
            is_failing: false,
        };
        scanner.refill();
        Ok(scanner)
    }

    /// Drops the snapshot: this supervisor has changed something itself, or a new turn begins.
    pub(super) fn forget(&mut self) {
        self.snapshot = None;
    }

    /// All processes as of this turn. `n_reaped` is how many orphans were reaped so far.
    ///
    /// # Errors
    /// They could not be read.
    fn table(&mut self, n_reaped: u64) -> io::Result<Rc<ProcTable>> {
        if let Some(snapshot) = &self.snapshot {
            return Ok(Rc::clone(&snapshot.table));
        }
        let table = Rc::new(self.dir.table()?);
        self.n_snapshots += 1;
        self.snapshot =
            Some(Snapshot { table: Rc::clone(&table), n_reaped_before: n_reaped, n_reaped_after: None });
        Ok(table)
    }

    /// Whether a process with this token may live that an earlier supervisor started. A no holds for this supervisor's
    /// whole life, so that one look serves all starts, whatever is started meanwhile:
    ///
    /// A token begins with the process that a supervisor makes for it, and only its descendants have it, too. Earlier
    /// supervisors were dead before this one began: it has the lock that they held, or their parent, who is also its
    /// own, has reaped them. Each one's spawner was killed with it. So a token that no process had in the look can come
    /// only from this supervisor, which knows the keys of its starts. A process that an earlier one was making when it
    /// died may show its token later; but that start is in the journal, so that its key is known as well.
    ///
    /// What the look has found may have ended since: it must be looked for again.
    ///
    /// # Errors
    /// The processes could not be read: there may be one.
    fn may_survive(&mut self, token: &str, n_reaped: u64) -> io::Result<bool> {
        let tokens = match self.tokens.take() {
            Some(tokens) => tokens,
            None => self.table(n_reaped)?.tokens()?.cloned().collect(),
        };
        Ok(self.tokens.insert(tokens).contains(&tree::token_entry(token)))
    }

    /// The children of a process, from a look of its own.
    ///
    /// # Errors
    /// They could not be read.
    pub(super) fn children_of(&self, pid: u32) -> io::Result<Vec<u32>> {
        Ok(self.dir.table()?.children_of(pid).to_vec())
    }

    /// Releases the reserve when a descriptor is needed for a moment; [`ProcScanner::refill`] takes it back.
    pub(super) fn give_up_reserve(&mut self) {
        self.reserve.clear();
    }

    /// Fills the reserve again.
    pub(super) fn refill(&mut self) {
        while self.reserve.len() < N_RESERVED {
            // None left at the moment: filled after the next look.
            let Ok(reserved) = std::fs::File::open("/dev/null") else { return };
            self.reserve.push(reserved.into());
        }
    }
}

impl Server {
    /// Does something that needs descriptors for a moment. When none is left, it is done again with the reserve
    /// released.
    ///
    /// # Errors
    /// The error of the last attempt.
    pub(super) fn with_reserve<T>(&mut self, act: impl Fn(&mut Self) -> io::Result<T>) -> io::Result<T> {
        match act(self) {
            Err(error) if is_want_of_descriptors(&error) => {
                self.scanner.give_up_reserve();
                let done = act(self);
                self.scanner.refill();
                done
            }
            done => done,
        }
    }

    /// All processes as of this turn.
    ///
    /// # Errors
    /// They could not be read.
    pub(super) fn table(&mut self) -> io::Result<Rc<ProcTable>> {
        self.scanner.table(self.n_reaped)
    }

    /// The living processes with this token that an earlier supervisor started.
    ///
    /// # Errors
    /// They could not be read: there may be one.
    pub(super) fn survivors(&mut self, token: &str) -> io::Result<Vec<Proc>> {
        if !self.scanner.may_survive(token, self.n_reaped)? {
            return Ok(Vec::new());
        }
        tree::processes_with_token(token, &*self.table()?, self.me)
    }

    /// Whether an orphan died while this turn's snapshot was taken. The snapshot may then miss its children: a chain of
    /// processes, each of which starts the next and ends, can stay ahead of any list.
    pub(super) fn orphan_died_during_snapshot(&mut self) -> bool {
        let Some(snapshot) = &self.scanner.snapshot else { return true };
        let before = snapshot.n_reaped_before;
        if let Some(after) = snapshot.n_reaped_after {
            return after != before;
        }
        self.n_orphans = None;
        self.n_living_orphans();
        let after = self.n_reaped;
        if let Some(snapshot) = &mut self.scanner.snapshot {
            snapshot.n_reaped_after = Some(after);
        }
        after != before
    }

    /// The living members of a step's tree. An empty list is certain. None means not known yet: the step is looked at
    /// again in the next turn, together with all others.
    pub(super) fn confirmed_members(&mut self, n: u64) -> Option<Vec<Proc>> {
        let members = self.members(n)?;
        if !members.is_empty() {
            return Some(members);
        }
        let (this_snapshot, orphan_died) = (self.scanner.n_snapshots, self.orphan_died_during_snapshot());
        let step = self.steps.get_mut(&n)?;
        let is_certain = match step.tree.origin {
            Origin::Started => !orphan_died,
            // We don't reap the processes of a tree that was taken over: two snapshots must agree.
            Origin::TakenOver => step.first_empty_snapshot.is_some_and(|first| first != this_snapshot),
        };
        if is_certain {
            return Some(members);
        }
        step.first_empty_snapshot.get_or_insert(this_snapshot);
        step.wake_at(Instant::now());
        None
    }

    /// The members of a step's tree now, parents first. None when they could not be read: that is reported, and the
    /// step is looked at again.
    pub(super) fn members(&mut self, n: u64) -> Option<Vec<Proc>> {
        let members = self.with_reserve(|server| server.try_members(n));
        self.checked(n, members)
    }

    fn try_members(&mut self, n: u64) -> io::Result<Vec<Proc>> {
        let table = self.table()?;
        let context = ProcessContext {
            me: self.me,
            mains: &self.mains,
            only_tree: self.steps.len() == 1,
            kept: &self.kept,
        };
        match self.steps.get_mut(&n) {
            Some(step) => step.tree.members(&table, &context),
            None => Ok(Vec::new()),
        }
    }

    /// The result of looking at a step's processes or signalling them. An error is reported, and the step is looked at
    /// again.
    pub(super) fn checked<T>(&mut self, n: u64, looked: io::Result<T>) -> Option<T> {
        match looked {
            Ok(checked) => {
                self.scanner.is_failing = false;
                Some(checked)
            }
            Err(error) => {
                if !std::mem::replace(&mut self.scanner.is_failing, true) {
                    let reason = format!(
                        "the supervisor can't look at the processes of its steps at the moment ({error}); it tries again"
                    );
                    self.send_event(HostEvent::Trouble { reason });
                }
                if let Some(step) = self.steps.get_mut(&n) {
                    step.wake_at(Instant::now() + RETRY_DELAY);
                }
                None
            }
        }
    }

    /// When deferred starts and thaws are tried again.
    pub(super) fn next_retry_at(&self) -> Option<Instant> {
        let is_any = !self.deferred_starts.is_empty() || !self.deferred_thaws.is_empty();
        is_any.then(|| Instant::now() + RETRY_DELAY)
    }

    /// Tries deferred starts and thaws again.
    pub(super) fn retry_deferred(&mut self) {
        for unseen in std::mem::take(&mut self.deferred_starts) {
            self.start_deferred(unseen);
        }
        for key in std::mem::take(&mut self.deferred_thaws) {
            self.thaw(key);
        }
    }

    /// How many steps may live at once with the descriptors there are; none means no limit.
    pub(super) fn capacity(&self) -> Option<usize> {
        let limit = descriptors::limit()?;
        let reserve = OWN + N_RESERVED as u64 + max_connections() as u64;
        let kept = PER_KEPT_LOG * self.kept_logs.len() as u64;
        let n_steps = limit.saturating_sub(reserve + kept) / PER_STEP;
        Some(usize::try_from(n_steps).unwrap_or(usize::MAX).max(1))
    }

    /// Reports to the engine how many steps may live at once, if that has changed.
    pub(super) fn send_capacity(&mut self) {
        let capacity = self.capacity();
        if self.sent_capacity != capacity
            && let (Some(n_steps), Some(_)) = (capacity, self.engine)
        {
            self.sent_capacity = capacity;
            self.send_event(HostEvent::Capacity { n_steps });
        }
    }
}

/// The most connections: more than engines and doctors ever need, and fewer where descriptors are few, because steps
/// come first. Further ones are closed.
pub(super) fn max_connections() -> usize {
    const MAX: u64 = 64;
    descriptors::limit().map_or(MAX, |limit| (limit / 8).min(MAX)) as usize
}

pub(super) fn is_want_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_look_tells_all_starts_that_nothing_of_them_survived() {
        let mut command = std::process::Command::new("sleep");
        let mut child = command.arg("600").env("LEVERFRAME_TOKEN", "it-survives").spawn().unwrap();
        let mut scanner = ProcScanner::open().unwrap();
        for (token, may_survive) in [("gone", false), ("it-survives", true), ("it-survive", false)] {
            assert_eq!(scanner.may_survive(token, 0).unwrap(), may_survive, "{token}");
            // As after each start of a step.
            scanner.forget();
        }
        assert_eq!(scanner.n_snapshots, 1);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

//! Looking at the world: one look a turn of the loop for all steps, and a look that failed is no empty world. It is said
//! and done again, and nothing is decided meanwhile.

use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::Server;
use crate::process::descriptors;
use crate::process::tree::{Origin, Surroundings};
use crate::supervisor::host::HostEvent;
use crate::supervisor::process::{Proc, ProcDir, ProcTable};

/// A look that failed is done again after this long.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// Descriptors that are held and given up for a look when there is no other left: more than looking and signalling take
/// at a time.
const N_RESERVED: usize = 6;
/// What one step holds here: its log, the pipe to it, and a handle on its main process.
const PER_STEP: u64 = 3;
/// What one log holds that ended steps left behind.
const PER_KEPT_LOG: u64 = 2;
/// So many steps more than it tells the supervisor starts all the same.
pub(super) const N_SLACK: usize = 4;
/// What the supervisor itself holds and takes for a moment, beside connections.
const OWN: u64 = 24 + PER_STEP * N_SLACK as u64;

/// One look at all processes.
struct Look {
    table: Rc<ProcTable>,
    /// How many orphans had been reaped when it began.
    n_reaped_before: u64,
    /// And when those had been reaped that died while it was taken; none: nobody has asked.
    n_reaped_after: Option<u64>,
}

/// What the supervisor looks through.
pub(super) struct Eyes {
    dir: ProcDir,
    reserve: Vec<OwnedFd>,
    /// The one look of this turn; none: nobody has asked, or it is out of date.
    look: Option<Look>,
    n_looks: u64,
    /// The last look failed, and that was told.
    is_blind: bool,
}

impl Eyes {
    /// Opens what looking takes, for good.
    ///
    /// # Errors
    /// `/proc` is not mounted, or there is no descriptor left.
    pub(super) fn open() -> io::Result<Self> {
        let mut eyes =
            Self { dir: ProcDir::open()?, reserve: Vec::new(), look: None, n_looks: 0, is_blind: false };
        eyes.refill();
        Ok(eyes)
    }

    /// What was seen in this turn is out of date: the world has changed by our own doing, or another turn has come.
    pub(super) fn forget(&mut self) {
        self.look = None;
    }

    /// Our children, by a look of its own.
    ///
    /// # Errors
    /// They could not be looked at.
    pub(super) fn children_of(&self, pid: u32) -> io::Result<Vec<u32>> {
        Ok(self.dir.table()?.children_of(pid).to_vec())
    }

    /// Gives up what is held for looking, for whoever needs a descriptor for a moment; [`Eyes::refill`] takes it back.
    pub(super) fn give_up_reserve(&mut self) {
        self.reserve.clear();
    }

    /// Holds the reserve again.
    pub(super) fn refill(&mut self) {
        while self.reserve.len() < N_RESERVED {
            // None left at the moment: it is filled up after the next look.
            let Ok(reserved) = std::fs::File::open("/dev/null") else { return };
            self.reserve.push(reserved.into());
        }
    }
}

impl Server {
    /// Does something that takes descriptors for a moment; where there is none left, with those that are held for that.
    ///
    /// # Errors
    /// What it met in the end.
    pub(super) fn with_reserve<T>(&mut self, act: impl Fn(&mut Self) -> io::Result<T>) -> io::Result<T> {
        match act(self) {
            Err(error) if is_want_of_descriptors(&error) => {
                self.eyes.give_up_reserve();
                let done = act(self);
                self.eyes.refill();
                done
            }
            done => done,
        }
    }

    /// All processes, as they are in this turn.
    ///
    /// # Errors
    /// They could not be looked at.
    pub(super) fn table(&mut self) -> io::Result<Rc<ProcTable>> {
        if let Some(look) = &self.eyes.look {
            return Ok(Rc::clone(&look.table));
        }
        let table = Rc::new(self.eyes.dir.table()?);
        let n_reaped_before = self.n_reaped;
        self.eyes.n_looks += 1;
        self.eyes.look = Some(Look { table: Rc::clone(&table), n_reaped_before, n_reaped_after: None });
        Ok(table)
    }

    /// Whether an orphan has died while the look of this turn was taken. What it left behind at that moment was nowhere
    /// where it was looked for: a chain of processes, each of which starts the next and ends, runs ahead of any list.
    pub(super) fn somebody_died_unseen(&mut self) -> bool {
        let Some(look) = &self.eyes.look else { return true };
        let before = look.n_reaped_before;
        if let Some(after) = look.n_reaped_after {
            return after != before;
        }
        self.n_orphans = None;
        self.n_living_orphans();
        let after = self.n_reaped;
        if let Some(look) = &mut self.eyes.look {
            look.n_reaped_after = Some(after);
        }
        after != before
    }

    /// The living members of a step's tree; an empty list is certain. None: it is not known yet, and looked at again in the
    /// next turn, for all steps at once.
    pub(super) fn members_for_certain(&mut self, n: u64) -> Option<Vec<Proc>> {
        let members = self.members(n)?;
        if !members.is_empty() {
            return Some(members);
        }
        let (this_look, somebody_died) = (self.eyes.n_looks, self.somebody_died_unseen());
        let step = self.steps.get_mut(&n)?;
        let is_certain = match step.tree.origin {
            Origin::Started => !somebody_died,
            // What dies of a tree that was taken over is not told to us: two looks must agree.
            Origin::TakenOver => step.deserted_at.is_some_and(|look| look != this_look),
        };
        if is_certain {
            return Some(members);
        }
        step.deserted_at.get_or_insert(this_look);
        step.wake_at(Instant::now());
        None
    }

    /// The members of a step's tree now, parents first. None when they could not be looked at: that is told, and the step
    /// wants to be looked at again.
    pub(super) fn members(&mut self, n: u64) -> Option<Vec<Proc>> {
        let members = self.with_reserve(|server| server.try_members(n));
        self.seen(n, members)
    }

    fn try_members(&mut self, n: u64) -> io::Result<Vec<Proc>> {
        let table = self.table()?;
        let around = Surroundings {
            me: self.me,
            mains: &self.mains,
            only_tree: self.steps.len() == 1,
            kept: &self.kept,
        };
        match self.steps.get_mut(&n) {
            Some(step) => step.tree.members(&table, &around),
            None => Ok(Vec::new()),
        }
    }

    /// What came of looking at a step or of reaching for it.
    pub(super) fn seen<T>(&mut self, n: u64, looked: io::Result<T>) -> Option<T> {
        match looked {
            Ok(seen) => {
                self.eyes.is_blind = false;
                Some(seen)
            }
            Err(error) => {
                if !std::mem::replace(&mut self.eyes.is_blind, true) {
                    let reason = format!(
                        "the supervisor can't look at the processes of its steps at the moment ({error}); it tries again"
                    );
                    self.tell(HostEvent::Trouble { reason });
                }
                if let Some(step) = self.steps.get_mut(&n) {
                    step.wake_at(Instant::now() + LOOK_AGAIN);
                }
                None
            }
        }
    }

    /// When what no alarm of a step tries again is tried again.
    pub(super) fn time_to_try_again(&self) -> Option<Instant> {
        let is_any = !self.unseen_starts.is_empty() || !self.unthawed.is_empty();
        is_any.then(|| Instant::now() + LOOK_AGAIN)
    }

    /// Tries starts again that wait for a look at the processes, and lets go on what could not be reached.
    pub(super) fn try_again(&mut self) {
        for unseen in std::mem::take(&mut self.unseen_starts) {
            self.start_and_move(unseen);
        }
        for key in std::mem::take(&mut self.unthawed) {
            self.thaw(key);
        }
    }

    /// How many steps may live at once, as far as descriptors go; none: there is no limit.
    pub(super) fn capacity(&self) -> Option<usize> {
        let limit = descriptors::limit()?;
        let reserve = OWN + N_RESERVED as u64 + max_connections() as u64;
        let kept = PER_KEPT_LOG * self.kept_logs.len() as u64;
        let n_steps = limit.saturating_sub(reserve + kept) / PER_STEP;
        Some(usize::try_from(n_steps).unwrap_or(usize::MAX).max(1))
    }

    /// Tells the engine how many steps may live at once, when that is news to it.
    pub(super) fn tell_capacity(&mut self) {
        let capacity = self.capacity();
        if self.told_capacity != capacity
            && let (Some(n_steps), Some(_)) = (capacity, self.engine)
        {
            self.told_capacity = capacity;
            self.tell(HostEvent::Capacity { n_steps });
        }
    }
}

/// More than any number of engines and doctors; a flood of connections is turned away. Where descriptors are few, steps
/// come first.
pub(super) fn max_connections() -> usize {
    const MAX: u64 = 64;
    descriptors::limit().map_or(MAX, |limit| (limit / 8).min(MAX)) as usize
}

pub(super) fn is_want_of_descriptors(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

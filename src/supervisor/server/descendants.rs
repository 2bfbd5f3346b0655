//! Follows a chain of processes to its end. In such a chain each process starts the next one and ends, faster than a
//! look at all processes takes. After a signal that stops or kills, a process makes no further child, so its children
//! are read after its signal and are complete. Going from child to child is faster than making them.

use std::collections::HashSet;
use std::io;

use rustix::process::Signal;

use super::Server;
use crate::supervisor::process;
use crate::supervisor::process::{Proc, ProcId};

/// The most processes followed: more than any chain has at a time. An ordinary tree was signalled before, by the
/// snapshot.
const MAX_FOLLOWED: usize = 4096;

impl Server {
    /// Signals every descendant of the step's main process and of its orphans, newest first, also those that the last
    /// snapshot missed. Returns those that were signalled.
    ///
    /// # Errors
    /// One of them could not be signalled, and may exist.
    pub(super) fn signal_descendants(&mut self, n: u64, signal: Signal) -> io::Result<Vec<ProcId>> {
        let Some(step) = self.steps.get(&n) else { return Ok(Vec::new()) };
        let mut next = Vec::new();
        for pid in process::own_children()?.unwrap_or_default() {
            if !self.mains.contains(&pid)
                && let Some(orphan) = Proc::read(pid)?.filter(|orphan| !orphan.is_dead())
                && (step.tree.has_seen(pid) || step.tree.is_marked(pid)?)
            {
                next.push(orphan);
            }
        }
        next.extend(step.tree.main.map(|main| Proc::read(main.pid)).transpose()?.flatten());
        let (mut signalled, mut followed) = (Vec::new(), HashSet::new());
        while let Some(found) = next.pop() {
            if followed.len() >= MAX_FOLLOWED || !followed.insert(found.id) {
                continue;
            }
            if !found.is_stopped() || signal == Signal::KILL {
                process::signal(found.id, signal)?;
                signalled.push(found.id);
            }
            for child in process::children_of(found.id.pid)? {
                next.extend(Proc::read(child)?.filter(|child| !child.is_dead()));
            }
        }
        Ok(signalled)
    }
}

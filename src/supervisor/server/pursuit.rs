//! Following a chain of processes to its end: each starts the next one and ends, sooner than all processes can be looked
//! at. Once a signal that stops or kills has been sent, a process makes no further child, so whoever is asked for its
//! children after its signal has told all of them; going from child to child is faster than making them.

use std::collections::HashSet;
use std::io;

use rustix::process::Signal;

use super::Server;
use crate::supervisor::process;
use crate::supervisor::process::{Proc, ProcId};

/// More than any chain is long at a time; an honest tree was signalled by the look before.
const MAX_FOLLOWED: usize = 4096;

impl Server {
    /// Signals every process that can be reached from the orphans of a step's tree, newest first, whatever the last look
    /// missed. Gives those that were signalled.
    ///
    /// # Errors
    /// One of them may be there and could not be reached.
    pub(super) fn pursue(&mut self, n: u64, signal: Signal) -> io::Result<Vec<ProcId>> {
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

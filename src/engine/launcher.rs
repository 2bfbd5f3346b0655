//! Makes the starts that take time, for a secret's command or a checkpoint, on threads of their own: one a run, so that
//! one run's trouble is its own, and its secrets are asked for one after another.
//!
//! The engine's thread never waits here. A start that is not wanted any more is answered at once, whatever becomes of the
//! thread that makes it; what that thread says later is not heard.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use super::launch::{LaunchJob, LaunchRefusal};
use super::message::Message;
use crate::base::id::{AttemptKey, RunId};
use crate::base::thread::{self, Thread};
use crate::supervisor::Cancel;

/// How long the end of the engine waits for threads whose work has been cancelled: one that reads from a file system that
/// does not answer can't be ended.
const PATIENCE: Duration = Duration::from_secs(2);

/// The starts that are being made.
pub(super) struct Launcher {
    sender: Sender<Message>,
    /// By attempt: which of its starts counts, and how to end it.
    pending: HashMap<AttemptKey, (u64, Cancel)>,
    lines: HashMap<RunId, Line>,
    /// Threads that have nothing more to do.
    leaving: Vec<Thread>,
    last_ticket: u64,
    /// Never used to send: it closes when the last thread has gone.
    alive: Option<(Sender<()>, Receiver<()>)>,
}

/// The thread of one run.
struct Line {
    jobs: Sender<(u64, LaunchJob)>,
    thread: Thread,
    /// Once this is made, there is nothing more to do.
    last_ticket: u64,
}

impl Launcher {
    pub(super) fn new(sender: Sender<Message>) -> Self {
        let (pending, lines, leaving) = Default::default();
        // Nothing is ever sent.
        Self { sender, pending, lines, leaving, last_ticket: 0, alive: Some(bounded(0)) }
    }

    /// Makes a start; the engine hears of it in a [`Message::Spec`]. An earlier one of the same attempt does not count
    /// any more.
    pub(super) fn launch(&mut self, job: LaunchJob) {
        let key = job.run.attempt_key(job.index);
        self.last_ticket += 1;
        let (ticket, run_id) = (self.last_ticket, job.run.id.clone());
        if let Some((_, earlier)) = self.pending.insert(key.clone(), (ticket, job.cancel.clone())) {
            earlier.fire();
        }
        if !self.lines.contains_key(&run_id)
            && let Ok(line) = self.begin()
        {
            self.lines.insert(run_id.clone(), line);
        }
        let is_taken = self.lines.get_mut(&run_id).is_some_and(|line| {
            line.last_ticket = ticket;
            line.jobs.send((ticket, job)).is_ok()
        });
        if !is_taken {
            let refusal = LaunchRefusal::Impossible("the system has no thread left".into());
            // The engine holds the other end itself.
            let _ = self.sender.send(Message::Spec(key, ticket, Err(refusal)));
        }
    }

    /// Ends a start that is being made; the engine hears of it at once. False when none is.
    pub(super) fn cancel(&mut self, key: &AttemptKey) -> bool {
        let Some((ticket, cancel)) = self.pending.get_mut(key) else { return false };
        cancel.fire();
        self.last_ticket += 1;
        *ticket = self.last_ticket;
        // The engine holds the other end itself.
        let _ = self.sender.send(Message::Spec(key.clone(), *ticket, Err(LaunchRefusal::Cancelled)));
        true
    }

    /// Ends all that are being made, and gives their attempts; nothing more is heard of them.
    pub(super) fn cancel_all(&mut self) -> Vec<AttemptKey> {
        let pending = self.pending.drain();
        pending.map(|(key, (_, cancel))| (cancel.fire(), key).1).collect()
    }

    /// Takes note that a start is made or can't be; false when it does not count any more.
    pub(super) fn settle(&mut self, key: &AttemptKey, ticket: u64) -> bool {
        if self.lines.get(&key.run_id).is_some_and(|line| line.last_ticket == ticket)
            && let Some(line) = self.lines.remove(&key.run_id)
        {
            self.leaving.push(line.thread);
        }
        self.leaving.retain(|thread| !thread.is_finished());
        let counts = self.pending.get(key).is_some_and(|(current, _)| *current == ticket);
        if counts {
            self.pending.remove(key);
        }
        counts
    }

    fn begin(&self) -> io::Result<Line> {
        // Unbounded: at most one job a running step. Closed when the last one is made; the thread then ends.
        let (jobs, waiting) = unbounded::<(u64, LaunchJob)>();
        let sender = self.sender.clone();
        let alive = self.alive.as_ref().map(|(alive, _)| alive.clone());
        let thread = thread::start("lf-launcher", move || {
            let _alive = alive;
            for (ticket, job) in waiting {
                let spec = job.build().map(Box::new);
                // If the engine is gone, so is the need.
                let _ = sender.send(Message::Spec(job.run.attempt_key(job.index), ticket, spec));
            }
        })?;
        Ok(Line { jobs, thread, last_ticket: 0 })
    }
}

impl Drop for Launcher {
    fn drop(&mut self) {
        self.cancel_all();
        let lines = self.lines.drain().map(|(_, line)| line.thread);
        let threads: Vec<_> = self.leaving.drain(..).chain(lines).collect();
        let Some((alive, gone)) = self.alive.take() else { return };
        drop(alive);
        // Closed: all have gone.
        let _ = gone.recv_timeout(PATIENCE);
        // One whose file system does not answer ends with the process.
        threads.into_iter().filter(|thread| !thread.is_finished()).for_each(Thread::detach);
    }
}

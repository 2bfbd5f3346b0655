//! Prepares the starts that take time, because of a secret's command or a checkpoint, on threads of their own: one for
//! each run, so that runs do not delay each other, and a run's secrets are fetched one after another.
//!
//! The engine's thread never waits here. The cancellation of a start is answered at once, whatever its thread does;
//! later messages of that thread are ignored.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use super::launch::{LaunchJob, LaunchRefusal};
use super::message::Message;
use crate::base::id::{AttemptKey, RunId};
use crate::base::thread::{self, Thread};
use crate::supervisor::Cancel;

/// How long the end of the engine waits for threads whose work was cancelled. A thread that reads from a file system
/// that does not answer can't be ended.
const PATIENCE: Duration = Duration::from_secs(2);

/// The starts that are being prepared.
pub(super) struct Launcher {
    sender: Sender<Message>,
    /// By attempt: the ticket of the start that counts, and its cancellation.
    pending: HashMap<AttemptKey, (u64, Cancel)>,
    lines: HashMap<RunId, Line>,
    /// Threads that have no more work.
    leaving: Vec<Thread>,
    last_ticket: u64,
    /// Nothing is sent: it closes when the last thread has ended.
    alive: Option<(Sender<()>, Receiver<()>)>,
}

/// The thread of one run.
struct Line {
    jobs: Sender<(u64, LaunchJob)>,
    thread: Thread,
    /// After this start there is no more work.
    last_ticket: u64,
}

impl Launcher {
    pub(super) fn new(sender: Sender<Message>) -> Self {
        let (pending, lines, leaving) = Default::default();
        // Capacity 0: nothing is sent.
        Self { sender, pending, lines, leaving, last_ticket: 0, alive: Some(bounded(0)) }
    }

    /// Prepares a start. The engine gets the result in a [`Message::Spec`]. An earlier start of the same attempt no
    /// longer counts.
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
            // The engine holds the other end.
            let _ = self.sender.send(Message::Spec(key, ticket, Err(refusal)));
        }
    }

    /// Cancels a start that is being prepared. The engine gets the answer at once. False when there is none.
    pub(super) fn cancel(&mut self, key: &AttemptKey) -> bool {
        let Some((ticket, cancel)) = self.pending.get_mut(key) else { return false };
        cancel.fire();
        self.last_ticket += 1;
        *ticket = self.last_ticket;
        // The engine holds the other end.
        let _ = self.sender.send(Message::Spec(key.clone(), *ticket, Err(LaunchRefusal::Cancelled)));
        true
    }

    /// Cancels all starts that are being prepared, and returns their attempts. They send no more messages.
    pub(super) fn cancel_all(&mut self) -> Vec<AttemptKey> {
        let pending = self.pending.drain();
        pending.map(|(key, (_, cancel))| (cancel.fire(), key).1).collect()
    }

    /// Notes that a start is ready or has failed. False when it no longer counts.
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
        // Unbounded: at most one job for each running step. Closed after the last job; the thread then ends.
        let (jobs, waiting) = unbounded::<(u64, LaunchJob)>();
        let sender = self.sender.clone();
        let alive = self.alive.as_ref().map(|(alive, _)| alive.clone());
        let thread = thread::start("lf-launcher", move || {
            let _alive = alive;
            for (ticket, job) in waiting {
                let spec = job.build().map(Box::new);
                // Fails when the engine is gone.
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
        // Closed: all threads have ended.
        let _ = gone.recv_timeout(PATIENCE);
        // A thread whose file system does not answer ends with the process.
        threads.into_iter().filter(|thread| !thread.is_finished()).for_each(Thread::detach);
    }
}

//! Group commit: callers that come during a commit share the next one.
//!
//! The first caller becomes the leader: it takes all waiting items, commits them, and wakes their callers. There is no
//! writer thread: a caller that is alone pays for the commit only, with no hand-over and no wake-up.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::store::error::StoreError;

/// The longest time that a leader waits for the callers of the last batch. It is also at most half of what that batch
/// took, so that waiting never costs more than it can save.
const MAX_GATHER: Duration = Duration::from_micros(500);

/// A queue of items that are committed in batches. One of the callers leads each batch.
#[derive(Debug)]
pub(in crate::store) struct GroupCommit<T> {
    queue: Mutex<Queue<T>>,
}

#[derive(Debug)]
struct Queue<T> {
    /// Unbounded, but never longer than the number of callers: each waits for its own item.
    waiting: Vec<(T, Arc<Ticket>)>,
    lead: Lead,
    /// How many callers there were at the last commit.
    expected: usize,
    last_commit: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lead {
    /// No one commits: the next caller leads.
    Free,
    /// One caller waits a moment for others. The caller that completes the expected number leads instead, so that no
    /// thread has to be woken.
    Gathering,
    /// A caller commits.
    Taken,
}

impl<T> Queue<T> {
    /// Until when to wait for other callers: not at all if the expected number is there.
    fn patience(&self) -> Instant {
        let is_full = self.waiting.len() >= self.expected;
        let wait = if is_full { Duration::ZERO } else { (self.last_commit / 2).min(MAX_GATHER) };
        Instant::now() + wait
    }

    fn holds(&self, ticket: &Ticket) -> bool {
        self.waiting.iter().any(|(_, waiting)| std::ptr::eq(&**waiting, ticket))
    }
}

/// One caller's place in the queue.
#[derive(Debug)]
struct Ticket {
    caller: Thread,
    /// Set by a leader at its end: this caller is to gather the next batch.
    is_called: AtomicBool,
    outcome: OnceLock<Result<(), StoreError>>,
}

impl Ticket {
    fn settle(&self, outcome: Result<(), StoreError>) {
        // Only the first outcome counts. A second one can come only from the guard, and says less.
        let _ = self.outcome.set(outcome);
        self.caller.unpark();
    }
}

impl<T> GroupCommit<T> {
    pub(in crate::store) fn new() -> Self {
        let queue = Queue { waiting: Vec::new(), lead: Lead::Free, expected: 1, last_commit: Duration::ZERO };
        Self { queue: Mutex::new(queue) }
    }

    /// Returns when `item` is committed or refused. `commit` gets a batch in the order of arrival and returns one
    /// outcome for each item. At most one thread calls it at a time.
    pub(in crate::store) fn submit(
        &self,
        item: T,
        commit: impl FnOnce(&[T]) -> Vec<Result<(), StoreError>>,
    ) -> Result<(), StoreError> {
        let ticket = Arc::new(Ticket {
            caller: std::thread::current(),
            is_called: AtomicBool::new(false),
            outcome: OnceLock::new(),
        });
        let mut queue = self.queue.lock();
        queue.waiting.push((item, ticket.clone()));
        let is_full = queue.waiting.len() >= queue.expected;
        let mut patience = None;
        let leads = match queue.lead {
            Lead::Free if !is_full => {
                queue.lead = Lead::Gathering;
                patience = Some(queue.patience());
                false
            }
            Lead::Free => true,
            Lead::Gathering => is_full,
            Lead::Taken => false,
        };
        if leads {
            queue.lead = Lead::Taken;
        }
        drop(queue);
        if !leads && !self.wait_to_lead(&ticket, patience) {
            return ticket.outcome.get().cloned().unwrap_or(Err(unsettled()));
        }
        self.lead(commit);
        // The leader's own item was in its batch.
        ticket.outcome.get().cloned().unwrap_or(Err(unsettled()))
    }

    /// Waits until the item of `ticket` has an outcome (returns false), or its caller has gathered until `patience` and
    /// is to lead (returns true).
    fn wait_to_lead(&self, ticket: &Ticket, mut patience: Option<Instant>) -> bool {
        loop {
            if ticket.outcome.get().is_some() {
                return false;
            }
            if ticket.is_called.swap(false, Ordering::AcqRel) {
                let queue = self.queue.lock();
                if queue.lead == Lead::Gathering && queue.holds(ticket) {
                    patience = Some(queue.patience());
                }
            }
            match patience {
                None => std::thread::park(),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if !left.is_zero() {
                        std::thread::park_timeout(left);
                        continue;
                    }
                    patience = None;
                    let mut queue = self.queue.lock();
                    if queue.lead == Lead::Gathering && queue.holds(ticket) {
                        queue.lead = Lead::Taken;
                        return true;
                    }
                }
            }
        }
    }

    /// Commits all waiting items and gives each its outcome. If others came meanwhile, one of them leads next.
    fn lead(&self, commit: impl FnOnce(&[T]) -> Vec<Result<(), StoreError>>) {
        let batch = std::mem::take(&mut self.queue.lock().waiting);
        let (items, tickets): (Vec<T>, Vec<_>) = batch.into_iter().unzip();
        let mut leadership = Leadership { group: self, n_callers: tickets.len(), tickets, took: None };
        let begun = Instant::now();
        let outcomes = commit(&items);
        leadership.took = Some(begun.elapsed());
        for (ticket, outcome) in leadership.tickets.drain(..).zip(outcomes) {
            ticket.settle(outcome);
        }
    }
}

/// Leads until dropped: a commit that panics must not leave the other callers waiting forever.
struct Leadership<'a, T> {
    group: &'a GroupCommit<T>,
    tickets: Vec<Arc<Ticket>>,
    n_callers: usize,
    took: Option<Duration>,
}

impl<T> Drop for Leadership<'_, T> {
    fn drop(&mut self) {
        for ticket in self.tickets.drain(..) {
            ticket.settle(Err(unsettled()));
        }
        let mut queue = self.group.queue.lock();
        queue.expected = self.n_callers + queue.waiting.len();
        if let Some(took) = self.took {
            queue.last_commit = took;
        }
        queue.lead = match queue.waiting.first() {
            Some((_, next)) => {
                next.is_called.store(true, Ordering::Release);
                next.caller.unpark();
                Lead::Gathering
            }
            None => Lead::Free,
        };
    }
}

fn unsettled() -> StoreError {
    StoreError::Invalid("a panic interrupted the transaction".to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn every_item_is_committed_once_in_each_callers_order_and_many_share_a_commit() {
        let group = GroupCommit::new();
        let n_commits = AtomicUsize::new(0);
        let log = Mutex::new(Vec::new());
        let start = Barrier::new(8);
        std::thread::scope(|scope| {
            for caller in 0..8 {
                let (group, n_commits, log, start) = (&group, &n_commits, &log, &start);
                scope.spawn(move || {
                    start.wait();
                    for i in 0..500 {
                        group
                            .submit((caller, i), |batch| {
                                n_commits.fetch_add(1, Ordering::Relaxed);
                                std::thread::yield_now();
                                log.lock().extend_from_slice(batch);
                                batch.iter().map(|_| Ok(())).collect()
                            })
                            .unwrap();
                        assert_eq!(log.lock().iter().filter(|entry| **entry == (caller, i)).count(), 1);
                    }
                });
            }
        });
        let log = log.into_inner();
        assert_eq!(log.len(), 4000);
        for caller in 0..8 {
            let own: Vec<_> = log.iter().filter(|(c, _)| *c == caller).map(|(_, i)| *i).collect();
            assert!(own.is_sorted(), "the order of caller {caller}");
        }
        assert!(n_commits.into_inner() < 4000, "some shared a commit");
    }

    #[test]
    fn a_panic_in_one_commit_leaves_the_next_callers_served() {
        let group = GroupCommit::new();
        std::thread::scope(|scope| {
            let panicking = scope.spawn(|| group.submit(1, |_| panic!("in the commit")));
            assert!(panicking.join().is_err());
            assert_eq!(scope.spawn(|| group.submit(2, |_| vec![Ok(())])).join().unwrap(), Ok(()));
        });
    }
}

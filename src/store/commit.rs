//! Group commit: callers that come while a commit is under way share the next one.
//!
//! The first caller becomes the leader: it takes everything that waits, commits it, and wakes the
//! others. There is no writer thread: with one caller alone, nothing is handed over and nobody is
//! woken, so that it pays the commit and no more.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

use super::StoreError;

/// The longest that a leader waits for callers of the batch before; it is also bounded by half of what
/// that batch took, so that gathering never costs more than it can win.
const MAX_GATHER: Duration = Duration::from_micros(500);

/// Locks, also after a panic elsewhere: what is guarded here is valid between any two statements.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A queue of items that are committed in batches by whichever caller leads.
#[derive(Debug)]
pub(super) struct GroupCommit<T> {
    queue: Mutex<Queue<T>>,
    /// Told when as many callers wait as the leader hopes for.
    gathered: Condvar,
}

#[derive(Debug)]
struct Queue<T> {
    /// Unbounded by itself, bounded by the number of callers: each waits for its own item.
    waiting: Vec<(T, Arc<Ticket>)>,
    has_leader: bool,
    /// How many callers were about at the last commit.
    expected: usize,
    last_commit: Duration,
}

/// One caller's place in the queue.
#[derive(Debug)]
struct Ticket {
    caller: Thread,
    /// Set by a leader that leaves while this one waits.
    leads: AtomicBool,
    outcome: OnceLock<Result<(), StoreError>>,
}

impl Ticket {
    fn settle(&self, outcome: Result<(), StoreError>) {
        // Settled once only; a second outcome could come from the guard alone, and says less.
        let _ = self.outcome.set(outcome);
        self.caller.unpark();
    }
}

impl<T> GroupCommit<T> {
    pub(super) fn new() -> Self {
        let queue =
            Queue { waiting: Vec::new(), has_leader: false, expected: 1, last_commit: Duration::ZERO };
        Self { queue: Mutex::new(queue), gathered: Condvar::new() }
    }

    /// Returns once `item` is committed, or was refused. `commit` gets a batch in the order of arrival
    /// and returns one outcome an item; it is called by at most one thread at a time.
    pub(super) fn submit(
        &self,
        item: T,
        commit: impl FnOnce(&[T]) -> Vec<Result<(), StoreError>>,
    ) -> Result<(), StoreError> {
        let ticket = Arc::new(Ticket {
            caller: std::thread::current(),
            leads: AtomicBool::new(false),
            outcome: OnceLock::new(),
        });
        let mut queue = lock(&self.queue);
        queue.waiting.push((item, ticket.clone()));
        let leads = !std::mem::replace(&mut queue.has_leader, true);
        if !leads && queue.waiting.len() == queue.expected {
            self.gathered.notify_one();
        }
        drop(queue);
        loop {
            if let Some(outcome) = ticket.outcome.get() {
                return outcome.clone();
            }
            if leads || ticket.leads.load(Ordering::Acquire) {
                self.lead(commit);
                // The leader's own item was in its batch.
                return ticket.outcome.get().cloned().unwrap_or(Err(unsettled()));
            }
            std::thread::park();
        }
    }

    /// Commits everything that waits, answers everybody, and hands the lead on if others came meanwhile.
    fn lead(&self, commit: impl FnOnce(&[T]) -> Vec<Result<(), StoreError>>) {
        let mut leadership = Leadership { group: self, tickets: Vec::new(), gathered: 0, took: None };
        let batch = self.gather();
        let (items, tickets): (Vec<T>, Vec<_>) = batch.into_iter().unzip();
        leadership.gathered = tickets.len();
        leadership.tickets = tickets;
        let begun = Instant::now();
        let outcomes = commit(&items);
        leadership.took = Some(begun.elapsed());
        for (ticket, outcome) in leadership.tickets.drain(..).zip(outcomes) {
            ticket.settle(outcome);
        }
    }

    /// Takes what waits; when several callers were about at the last commit, waits a moment for them to
    /// come again.
    fn gather(&self) -> Vec<(T, Arc<Ticket>)> {
        let mut queue = lock(&self.queue);
        if queue.waiting.len() < queue.expected {
            let patience = (queue.last_commit / 2).min(MAX_GATHER);
            (queue, _) = self
                .gathered
                .wait_timeout_while(queue, patience, |queue| queue.waiting.len() < queue.expected)
                .unwrap_or_else(PoisonError::into_inner);
        }
        std::mem::take(&mut queue.waiting)
    }
}

/// Leads until dropped: a commit that panics must not leave the others waiting for ever.
struct Leadership<'a, T> {
    group: &'a GroupCommit<T>,
    tickets: Vec<Arc<Ticket>>,
    gathered: usize,
    took: Option<Duration>,
}

impl<T> Drop for Leadership<'_, T> {
    fn drop(&mut self) {
        for ticket in self.tickets.drain(..) {
            ticket.settle(Err(unsettled()));
        }
        let mut queue = lock(&self.group.queue);
        queue.expected = self.gathered + queue.waiting.len();
        if let Some(took) = self.took {
            queue.last_commit = took;
        }
        match queue.waiting.first() {
            Some((_, next)) => {
                next.leads.store(true, Ordering::Release);
                next.caller.unpark();
            }
            None => queue.has_leader = false,
        }
    }
}

fn unsettled() -> StoreError {
    StoreError::Invalid("the transaction was broken off by a panic".to_owned())
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
                                lock(log).extend_from_slice(batch);
                                batch.iter().map(|_| Ok(())).collect()
                            })
                            .unwrap();
                        assert_eq!(lock(log).iter().filter(|entry| **entry == (caller, i)).count(), 1);
                    }
                });
            }
        });
        let log = log.into_inner().unwrap();
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

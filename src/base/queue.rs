//! The queue in which events wait for one listener. A sender never waits for the listener, unless the backlog is full.
//! The backlog defines what waits, and what is dropped when too much does.

use std::time::Instant;

use parking_lot::{Condvar, Mutex};

/// Called when a queue stops being empty, and at its end. It must return at once.
pub(crate) type Wake = Box<dyn Fn() + Send + Sync>;

/// The events that wait in a queue.
pub(crate) trait Backlog: Default {
    type Item;

    /// Takes the next item out.
    fn take(&mut self) -> Option<Self::Item>;

    fn is_empty(&self) -> bool;

    /// Whether a sender must wait until an item was taken out.
    fn is_full(&self) -> bool {
        false
    }
}

/// A backlog between threads.
pub(crate) struct EventQueue<B> {
    state: Mutex<State<B>>,
    /// An item waits, or the queue is over.
    filled: Condvar,
    /// The backlog is no longer full, or waiting senders must look again.
    room: Condvar,
    wake: Option<Wake>,
}

#[derive(Default)]
struct State<B> {
    backlog: B,
    /// No more items will come. Waiting ones can still be taken.
    is_over: bool,
    /// The listener is gone.
    is_left: bool,
}

impl<B: Backlog> EventQueue<B> {
    pub(crate) fn new(wake: Option<Wake>) -> Self {
        let state = Mutex::new(State { backlog: B::default(), is_over: false, is_left: false });
        Self { state, filled: Condvar::new(), room: Condvar::new(), wake }
    }

    /// Calls `add` on the backlog as soon as it is not full, or at once while `is_urgent`. False when the listener is
    /// gone or the queue is over.
    pub(crate) fn push(&self, add: impl FnOnce(&mut B), is_urgent: impl Fn() -> bool) -> bool {
        let mut state = self.state.lock();
        while state.backlog.is_full() && !state.is_left && !is_urgent() {
            self.room.wait(&mut state);
        }
        if state.is_left || state.is_over {
            return false;
        }
        let was_empty = state.backlog.is_empty();
        add(&mut state.backlog);
        let is_first = was_empty && !state.backlog.is_empty();
        drop(state);
        if is_first {
            self.tell();
        }
        true
    }

    /// Waits for the next item, at most until this instant. None when the queue is over and everything was taken.
    pub(crate) fn pop(&self, until: Option<Instant>) -> Option<B::Item> {
        let mut state = self.state.lock();
        loop {
            if let Some(item) = self.take(&mut state) {
                return Some(item);
            }
            if state.is_over || state.is_left {
                return None;
            }
            match until {
                None => self.filled.wait(&mut state),
                Some(until) => {
                    if self.filled.wait_until(&mut state, until).timed_out() {
                        return self.take(&mut state);
                    }
                }
            }
        }
    }

    /// The next item, if one waits.
    pub(crate) fn try_pop(&self) -> Option<B::Item> {
        self.take(&mut self.state.lock())
    }

    fn take(&self, state: &mut State<B>) -> Option<B::Item> {
        let was_full = state.backlog.is_full();
        let item = state.backlog.take()?;
        if was_full && !state.backlog.is_full() {
            self.room.notify_all();
        }
        Some(item)
    }

    /// Ends the queue: no more items will come.
    pub(crate) fn close(&self) {
        self.state.lock().is_over = true;
        self.tell();
    }

    /// The listener leaves: waiting items are dropped.
    pub(crate) fn leave(&self) {
        let mut state = self.state.lock();
        state.is_left = true;
        let left = std::mem::take(&mut state.backlog);
        drop(state);
        drop(left);
        self.filled.notify_all();
        self.room.notify_all();
    }

    /// Lets waiting senders check again whether their item is urgent.
    pub(crate) fn look_again(&self) {
        // Locked once, so that a sender that is about to wait does wait.
        drop(self.state.lock());
        self.room.notify_all();
    }

    /// Whether the queue is over and everything was taken.
    pub(crate) fn is_over(&self) -> bool {
        let state = self.state.lock();
        (state.is_over || state.is_left) && state.backlog.is_empty()
    }

    /// Calls `look` with the backlog.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&B) -> T) -> T {
        look(&self.state.lock().backlog)
    }

    fn tell(&self) {
        self.filled.notify_all();
        if let Some(wake) = &self.wake {
            wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// Full with two.
    #[derive(Default)]
    struct Two(VecDeque<u32>);

    impl Backlog for Two {
        type Item = u32;

        fn take(&mut self) -> Option<u32> {
            self.0.pop_front()
        }

        fn is_empty(&self) -> bool {
            self.0.is_empty()
        }

        fn is_full(&self) -> bool {
            self.0.len() >= 2
        }
    }

    fn push(queue: &EventQueue<Two>, n: u32, is_urgent: bool) -> bool {
        queue.push(|two| two.0.push_back(n), || is_urgent)
    }

    #[test]
    fn the_listener_is_woken_when_something_begins_to_wait_and_at_the_end() {
        let n_wakes = Arc::new(AtomicUsize::new(0));
        let counted = n_wakes.clone();
        let wake = move || {
            counted.fetch_add(1, Ordering::Relaxed);
        };
        let queue = EventQueue::new(Some(Box::new(wake)));
        assert!(push(&queue, 1, false) && push(&queue, 2, false));
        assert_eq!(n_wakes.load(Ordering::Relaxed), 1);
        queue.close();
        assert_eq!(n_wakes.load(Ordering::Relaxed), 2);
        assert!(!push(&queue, 3, true) && !queue.is_over());
        assert_eq!((queue.try_pop(), queue.pop(None), queue.pop(None)), (Some(1), Some(2), None));
        assert!(queue.is_over());
    }

    #[test]
    fn what_comes_to_a_full_backlog_waits_for_room_unless_it_is_urgent_or_nothing_is_taken_any_more() {
        let queue = EventQueue::new(None);
        assert!(push(&queue, 1, false) && push(&queue, 2, false) && push(&queue, 3, true));
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| push(&queue, 4, false));
            let taken: Vec<_> = std::iter::repeat_with(|| queue.pop(None)).take(4).collect();
            assert_eq!(taken, [Some(1), Some(2), Some(3), Some(4)]);
            assert!(waits.join().expect("no panic"));
        });
        assert!(push(&queue, 5, false) && push(&queue, 6, false));
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| push(&queue, 7, false));
            queue.leave();
            assert!(!waits.join().expect("no panic"), "it is let go");
        });
        assert_eq!(queue.pop(None), None);
    }
}

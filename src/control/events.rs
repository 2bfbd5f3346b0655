//! What a client hears: the events of one subscription, in a queue of bounded memory. When it is full the client
//! stops reading, and the engine keeps the rest in its own journal, or says `resync`.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use serde_json::value::RawValue;

use crate::run::Event;

/// How many bytes of events may wait to be taken before the client stops reading.
const MAX_WAITING_BYTES: usize = 4 << 20;

/// One event, as it came.
#[derive(Debug, Clone)]
pub struct ReceivedEvent {
    json: Box<RawValue>,
}

impl ReceivedEvent {
    pub(super) fn new(json: &RawValue) -> Self {
        Self { json: json.to_owned() }
    }

    /// Its JSON, on one line.
    pub fn json(&self) -> &str {
        self.json.get()
    }

    /// What it says.
    ///
    /// # Errors
    /// When a newer engine says what this program does not know.
    pub fn event(&self) -> serde_json::Result<Event> {
        serde_json::from_str(self.json.get())
    }
}

/// The events of one subscription. Dropping it ends the subscription.
///
/// Until they are taken, they are read from the socket up to a bound; while a call waits for its answer the bound is
/// lifted, so that whoever takes the events may also ask.
pub struct Events {
    pub(super) queue: Arc<Queue>,
    /// Its number on the connection.
    pub(super) subscription: u64,
    /// The newest event when it began.
    pub(super) seq: u64,
    /// Tells the engine and the client that nobody listens any more.
    pub(super) end: Box<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("subscription", &self.subscription).finish_non_exhaustive()
    }
}

impl Events {
    /// Waits for the next event; none once the engine has gone and everything was taken.
    pub fn recv(&self) -> Option<ReceivedEvent> {
        self.queue.pop(None)
    }

    /// Waits for the next event at most this long.
    pub fn recv_timeout(&self, timeout: Duration) -> Option<ReceivedEvent> {
        self.queue.pop(Some(Instant::now() + timeout))
    }

    /// The next event, if one waits.
    pub fn try_recv(&self) -> Option<ReceivedEvent> {
        self.queue.take(&mut self.queue.state.lock())
    }

    /// Whether the engine has gone and everything was taken.
    pub fn is_over(&self) -> bool {
        let state = self.queue.state.lock();
        state.is_over && state.waiting.is_empty()
    }

    /// The newest event of the engine when the subscription began.
    pub fn seq(&self) -> u64 {
        self.seq
    }
}

impl Iterator for Events {
    type Item = ReceivedEvent;

    fn next(&mut self) -> Option<ReceivedEvent> {
        self.recv()
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.queue.leave();
        (self.end)();
    }
}

/// What one subscription has heard and nobody has taken.
pub(super) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    room: Condvar,
    /// Called when it stops being empty, and when it is over.
    wake: Option<Box<dyn Fn() + Send + Sync>>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<ReceivedEvent>,
    n_bytes: usize,
    /// Nothing more comes.
    is_over: bool,
    /// Nobody takes anything.
    is_left: bool,
}

impl Queue {
    pub(super) fn new(wake: Option<Box<dyn Fn() + Send + Sync>>) -> Self {
        Self { state: Mutex::default(), filled: Condvar::new(), room: Condvar::new(), wake }
    }

    /// Adds an event; waits for room while nobody `is_asking`.
    pub(super) fn push(&self, event: ReceivedEvent, is_asking: impl Fn() -> bool) {
        let mut state = self.state.lock();
        while state.n_bytes > MAX_WAITING_BYTES && !state.is_left && !is_asking() {
            self.room.wait(&mut state);
        }
        if state.is_left {
            return;
        }
        let was_empty = state.waiting.is_empty();
        state.n_bytes += event.json().len();
        state.waiting.push_back(event);
        drop(state);
        if was_empty {
            self.tell();
        }
    }

    /// Has whoever waits for room look again.
    pub(super) fn look_again(&self) {
        drop(self.state.lock());
        self.room.notify_all();
    }

    /// Nothing more comes.
    pub(super) fn finish(&self) {
        self.state.lock().is_over = true;
        self.tell();
    }

    fn leave(&self) {
        let mut state = self.state.lock();
        state.is_left = true;
        state.waiting.clear();
        drop(state);
        self.room.notify_all();
    }

    fn tell(&self) {
        self.filled.notify_all();
        if let Some(wake) = &self.wake {
            wake();
        }
    }

    fn pop(&self, deadline: Option<Instant>) -> Option<ReceivedEvent> {
        let mut state = self.state.lock();
        loop {
            if let Some(event) = self.take(&mut state) {
                return Some(event);
            }
            if state.is_over {
                return None;
            }
            match deadline {
                None => self.filled.wait(&mut state),
                Some(deadline) if Instant::now() > deadline => return None,
                Some(deadline) => drop(self.filled.wait_until(&mut state, deadline)),
            }
        }
    }

    fn take(&self, state: &mut State) -> Option<ReceivedEvent> {
        let event = state.waiting.pop_front()?;
        let was_full = state.n_bytes > MAX_WAITING_BYTES;
        state.n_bytes -= event.json().len();
        if was_full && state.n_bytes <= MAX_WAITING_BYTES {
            self.room.notify_all();
        }
        Some(event)
    }
}

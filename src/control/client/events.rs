//! The client's events: one subscription's events in a queue of bounded size. When it is full the client stops reading,
//! and the engine keeps the rest in its journal, or sends `resync`.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::value::RawValue;

use crate::base::queue::{Backlog, EventQueue};
use crate::run::Event;

/// How many bytes of events may wait before the client stops reading.
const MAX_WAITING_BYTES: usize = 4 << 20;

/// One event, as it was received.
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

    /// The parsed event.
    ///
    /// # Errors
    /// A newer engine sent an event that this program does not know.
    pub fn event(&self) -> serde_json::Result<Event> {
        serde_json::from_str(self.json.get())
    }
}

/// The events of one subscription. Dropping it ends the subscription.
///
/// The number of waiting events is bounded. While a call waits for its answer the bound is lifted, so that the thread
/// that takes the events can also make calls.
pub struct Events {
    pub(super) queue: Arc<Queue>,
    /// The subscription's number on the connection.
    pub(super) subscription: u64,
    /// The newest event when the subscription began.
    pub(super) seq: u64,
    /// Tells the engine and the client that the subscription has ended.
    pub(super) end: Box<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("subscription", &self.subscription).finish_non_exhaustive()
    }
}

impl Events {
    /// Waits for the next event; none when the engine is gone and all events were taken.
    pub fn recv(&self) -> Option<ReceivedEvent> {
        self.queue.pop(None)
    }

    /// As [`Self::recv`], but waits at most this long.
    pub fn recv_timeout(&self, timeout: Duration) -> Option<ReceivedEvent> {
        self.queue.pop(Some(Instant::now() + timeout))
    }

    /// The next event, if one waits.
    pub fn try_recv(&self) -> Option<ReceivedEvent> {
        self.queue.try_pop()
    }

    /// Whether the engine is gone and all events were taken.
    pub fn is_over(&self) -> bool {
        self.queue.is_over()
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

/// The events that one subscription has received and the caller has not taken.
pub(super) type Queue = EventQueue<Waiting>;

/// Full beyond a number of bytes.
#[derive(Default)]
pub(super) struct Waiting {
    events: VecDeque<ReceivedEvent>,
    n_bytes: usize,
}

impl Waiting {
    pub(super) fn push(&mut self, event: ReceivedEvent) {
        self.n_bytes += event.json().len();
        self.events.push_back(event);
    }
}

impl Backlog for Waiting {
    type Item = ReceivedEvent;

    fn take(&mut self) -> Option<ReceivedEvent> {
        let event = self.events.pop_front()?;
        self.n_bytes -= event.json().len();
        Some(event)
    }

    fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    fn is_full(&self) -> bool {
        self.n_bytes > MAX_WAITING_BYTES
    }
}

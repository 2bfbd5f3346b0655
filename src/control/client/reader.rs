//! The client's reading thread: it gives every answer to its caller and every event to its queue.

use std::collections::{HashMap, VecDeque};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use crossbeam_channel::Sender;
use parking_lot::Mutex;
use serde_json::value::RawValue;

use super::ControlError;
use super::events::{Queue, ReceivedEvent};
use crate::control::descriptors::receive;
use crate::control::lines::LineDecoder;
use crate::control::wire::{ClosingNotice, EventParams, Heard, Subscribed};

/// The longest line accepted from an engine: a list of some hundred thousand runs.
const MAX_ANSWER: usize = 256 << 20;

/// The answer to a request.
pub(super) struct Reply {
    pub(super) result: Box<RawValue>,
    pub(super) descriptors: Vec<OwnedFd>,
}

/// A caller that waits for an answer.
pub(super) struct Pending {
    pub(super) tell: Sender<Result<Reply, ControlError>>,
    /// For a request that subscribes: where its events go.
    pub(super) queue: Option<Arc<Queue>>,
}

impl Pending {
    pub(super) fn call(tell: Sender<Result<Reply, ControlError>>) -> Self {
        Self { tell, queue: None }
    }
}

/// What the reader and the callers share.
pub(super) struct Shared {
    pub(super) stream: UnixStream,
    /// Held while a line is written.
    pub(super) writing: Mutex<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next_id: u64,
    pending: HashMap<u64, Pending>,
    queues: HashMap<u64, Arc<Queue>>,
    closing: Option<ClosingNotice>,
    is_over: bool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("stream", &self.stream).finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self { stream, writing: Mutex::default(), state: Mutex::default() }
    }

    /// Registers a waiting caller. Returns the id for its request.
    pub(super) fn expect(&self, pending: Pending) -> Result<u64, ControlError> {
        let mut state = self.state.lock();
        if state.is_over {
            return Err(ControlError::Gone(state.closing.clone()));
        }
        state.next_id += 1;
        let id = state.next_id;
        state.pending.insert(id, pending);
        // A reader that waits for room must read on to the answer.
        let queues: Vec<_> = state.queues.values().cloned().collect();
        drop(state);
        queues.iter().for_each(|queue| queue.look_again());
        Ok(id)
    }

    /// The caller no longer waits for this answer.
    pub(super) fn give_up(&self, id: u64) {
        self.state.lock().pending.remove(&id);
    }

    /// The events of this subscription are no longer wanted.
    pub(super) fn forget(&self, subscription: u64) {
        self.state.lock().queues.remove(&subscription);
    }

    pub(super) fn closing(&self) -> Option<ClosingNotice> {
        self.state.lock().closing.clone()
    }

    /// Ends every subscription, so that a reader that waits for room goes on.
    pub(super) fn finish_queues(&self) {
        let mut state = self.state.lock();
        state.is_over = true;
        let queues: Vec<_> = state.queues.drain().map(|(_, queue)| queue).collect();
        drop(state);
        for queue in queues {
            queue.close();
        }
    }

    fn is_asked(&self) -> bool {
        let state = self.state.lock();
        state.is_over || !state.pending.is_empty()
    }
}

/// Reads until the connection ends, then wakes all waiting callers with an error.
pub(super) fn read_all(shared: &Shared) {
    let mut lines = LineDecoder::new(MAX_ANSWER);
    let mut buffer = vec![0; 64 << 10];
    let mut received = Vec::new();
    let mut descriptors = VecDeque::new();
    'connection: while let Ok(n @ 1..) = receive(&shared.stream, &mut buffer, &mut received) {
        lines.extend(&buffer[..n]);
        descriptors.extend(received.drain(..));
        loop {
            match lines.next_line() {
                Ok(Some(line)) => hear(shared, line, &mut descriptors),
                Ok(None) => break,
                Err(_) => break 'connection,
            }
        }
    }
    // So that later calls fail at the socket.
    let _ = shared.stream.shutdown(std::net::Shutdown::Both);
    shared.finish_queues();
    let (pending, closing) = {
        let mut state = shared.state.lock();
        (std::mem::take(&mut state.pending), state.closing.clone())
    };
    for (_, pending) in pending {
        // The caller may be gone.
        let _ = pending.tell.send(Err(ControlError::Gone(closing.clone())));
    }
}

fn hear(shared: &Shared, line: &[u8], descriptors: &mut VecDeque<OwnedFd>) {
    let heard: Heard<'_> = match serde_json::from_slice(line) {
        Ok(heard) => heard,
        // Perhaps from a newer engine. It can't be an answer that a caller waits for.
        Err(_) => return,
    };
    match (heard.method.as_deref(), heard.params) {
        (Some("event"), Some(params)) => {
            let Ok(event) = serde_json::from_str::<EventParams<'_>>(params.get()) else { return };
            let queue = shared.state.lock().queues.get(&event.subscription).cloned();
            if let Some(queue) = queue {
                let event = ReceivedEvent::new(event.event);
                // Fails when the subscription was dropped, which also removes the queue.
                let _ = queue.push(|waiting| waiting.push(event), || shared.is_asked());
            }
        }
        (Some("closing"), Some(params)) => {
            shared.state.lock().closing = serde_json::from_str(params.get()).ok();
        }
        (Some(_), _) => {}
        (None, _) => {
            let n_descriptors = heard.descriptors.unwrap_or(0).min(descriptors.len());
            let descriptors = descriptors.drain(..n_descriptors).collect();
            answer(shared, heard, descriptors);
        }
    }
}

fn answer(shared: &Shared, heard: Heard<'_>, descriptors: Vec<OwnedFd>) {
    let mut state = shared.state.lock();
    let pending = match heard.id {
        Some(id) => state.pending.remove(&id),
        // An engine that could not read a request's id answers without one. The newest request is the one it means, and
        // the connection ends there.
        None => state.pending.keys().max().copied().and_then(|id| state.pending.remove(&id)),
    };
    let Some(pending) = pending else { return };
    let outcome = match heard.error {
        Some(error) => Err(ControlError::Refused(error)),
        None => Ok(heard.result.map_or_else(|| RawValue::NULL.to_owned(), RawValue::to_owned)),
    };
    if let (Some(queue), Ok(result)) = (&pending.queue, &outcome)
        && let Ok(begun) = serde_json::from_str::<Subscribed>(result.get())
    {
        // Before the reader continues: the events of this subscription follow.
        state.queues.insert(begun.subscription, queue.clone());
    }
    drop(state);
    // The caller may be gone.
    let _ = pending.tell.send(outcome.map(|result| Reply { result, descriptors }));
}

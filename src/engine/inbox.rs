//! The messages for the engine's thread: taken together, so that many callers share one commit.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::clock;
use super::message::Message;

/// How many messages are decided together at most.
const MAX_BATCH: usize = 4096;
/// How long ends may wait for others to share their commit, if no caller waits for it.
const COMPANY: Duration = Duration::from_millis(1);
/// How long callers that were answered together may take to come back together.
const GATHER: Duration = Duration::from_micros(100);

/// The engine's messages, in order.
pub(super) struct Inbox {
    receiver: Receiver<Message>,
    sender: Sender<Message>,
    /// A message that came while a commit waited for others, and can't share it.
    put_aside: Option<Message>,
    /// How many callers the last commit answered.
    n_callers_before: usize,
}

impl Inbox {
    pub(super) fn new() -> Self {
        // Unbounded: callers wait for their answers, reporters for theirs, progress has one slot for each run, and the
        // host's facts must not be lost. Closed only after the engine's last act.
        let (sender, receiver) = unbounded();
        Self { receiver, sender, put_aside: None, n_callers_before: 0 }
    }

    /// A sender to the engine.
    pub(super) fn sender(&self) -> Sender<Message> {
        self.sender.clone()
    }

    /// Puts a message behind all waiting ones.
    pub(super) fn put_back(&self, message: Message) {
        // The other end is held here.
        let _ = self.sender.send(message);
    }

    /// Waits for the next message.
    pub(super) fn next(&self) -> Option<Message> {
        self.receiver.recv().ok()
    }

    /// Waits for the next messages, at most until `until_ms` on the clock of awake time; empty if none have come.
    pub(super) fn gather(&mut self, until_ms: Option<u64>) -> Vec<Message> {
        let first = match (self.put_aside.take(), until_ms) {
            (Some(message), _) => Some(message),
            (None, None) => self.next(),
            (None, Some(at_ms)) => {
                let left = Duration::from_millis(at_ms.saturating_sub(clock::now().awake_ms));
                // It can't be disconnected: the other end is held here.
                self.receiver.recv_timeout(left).ok()
            }
        };
        let mut messages: Vec<_> = first.into_iter().collect();
        messages.extend(self.receiver.try_iter().take(MAX_BATCH));
        // The callers of the last commit are about to come back: gather them for one commit.
        let is_asked = matches!(messages.first(), Some(Message::Ask(_)));
        if is_asked && self.n_callers_before > 1 {
            let until = Instant::now() + GATHER;
            while messages.len() < self.n_callers_before {
                match self.receiver.recv_deadline(until) {
                    Ok(message) => messages.push(message),
                    Err(_) => break,
                }
            }
        }
        messages
    }

    /// Until when a commit that begins now may wait for others.
    pub(super) fn company_until() -> Instant {
        Instant::now() + COMPANY
    }

    /// Waits for news of a step. Any other message ends the wait, and comes first among the next ones.
    pub(super) fn next_news_of_a_step(&mut self, until: Instant) -> Option<Message> {
        let message = self.receiver.recv_deadline(until).ok()?;
        if message.is_news_of_a_step() {
            return Some(message);
        }
        self.put_aside = Some(message);
        None
    }

    /// Notes how many callers one commit has answered.
    pub(super) fn has_answered(&mut self, n_callers: usize) {
        self.n_callers_before = n_callers;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::{AttemptKey, RunId, StepId};
    use crate::supervisor::HostEvent;

    fn progress(run_id: &str) -> Message {
        Message::Progress(RunId::new(run_id).expect("an id"))
    }

    fn start_failed() -> Message {
        let key = AttemptKey {
            run_id: RunId::new("a").expect("an id"),
            step_id: StepId::new("s").expect("an id"),
            attempt: 1,
        };
        Message::Host(1, HostEvent::StartFailed { key, reason: "the test says so".into() })
    }

    fn run_ids(messages: &[Message]) -> Vec<String> {
        let run_id = |message: &Message| {
            let Message::Progress(run_id) = message else { panic!("no other message was sent") };
            run_id.to_string()
        };
        messages.iter().map(run_id).collect()
    }

    #[test]
    fn everything_that_waits_is_taken_together_in_its_order() {
        let mut inbox = Inbox::new();
        for run_id in ["a", "b"] {
            inbox.put_back(progress(run_id));
        }
        assert_eq!(run_ids(&inbox.gather(None)), ["a", "b"]);
        assert!(inbox.gather(Some(0)).is_empty(), "an instant that has passed is not waited for");
    }

    #[test]
    fn what_is_no_company_for_a_commit_comes_first_afterwards() {
        let mut inbox = Inbox::new();
        for message in [start_failed(), progress("a"), progress("b")] {
            inbox.put_back(message);
        }
        let until = Inbox::company_until() + Duration::from_secs(60);
        assert!(inbox.next_news_of_a_step(until).is_some_and(|message| message.is_news_of_a_step()));
        assert!(inbox.next_news_of_a_step(until).is_none());
        assert_eq!(run_ids(&inbox.gather(None)), ["a", "b"]);
    }
}

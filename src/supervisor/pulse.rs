//! Checks that the supervisor at the other end of a connection still answers. Silence alone proves nothing: a
//! supervisor may be stopped, may hang on a disk, or may just have nothing to report.
//!
//! While steps live there, or a request is open, the supervisor gets a ping now and then. When no answer comes in time,
//! that is reported once, and once more when it answers again. While nothing is expected of it, no ping is sent and no
//! thread wakes. This module is pure: time is an argument, and the connection's thread does what is due.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::host::{AttemptKey, HostEvent, Known, KnownStatus};
use super::protocol::Reply;

/// The time between pings, and the time that an answer may take.
const BEAT: Duration = Duration::from_secs(2);

/// Whether an answer is expected of a supervisor, and whether it came.
#[derive(Debug)]
pub(super) struct Pulse {
    /// Steps that are known to live. Only whether there are any matters.
    living: HashSet<AttemptKey>,
    /// A request was sent since the last ping.
    is_expected: bool,
    asks_at: Instant,
    awaited: Awaited,
}

/// The answer to a ping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    None,
    Until(Instant),
    /// It did not come, and that was reported.
    Missed,
}

/// What the connection's thread must do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// Send a ping.
    Ask,
    /// Report that no answer came.
    Silence,
    /// Wait for a message, at most until then.
    Wait(Option<Instant>),
}

impl Pulse {
    /// `inventory` says which steps live at the beginning.
    pub(super) fn new(inventory: &[Known], now: Instant) -> Self {
        let lives = |known: &&Known| matches!(known.status, KnownStatus::Running { .. });
        let living = inventory.iter().filter(lives).map(|known| known.key.clone()).collect();
        Self { living, is_expected: false, asks_at: now + BEAT, awaited: Awaited::None }
    }

    /// A request was sent to the supervisor.
    pub(super) fn expect(&mut self, now: Instant) {
        if self.is_idle() {
            self.asks_at = now + BEAT;
        }
        self.is_expected = true;
    }

    fn is_idle(&self) -> bool {
        self.living.is_empty() && !self.is_expected && self.awaited == Awaited::None
    }

    /// Takes in a reply of the supervisor. Returns true when silence was reported and this is the first answer after
    /// it.
    pub(super) fn receive(&mut self, reply: &Reply, now: Instant) -> bool {
        match reply {
            // An older supervisor does not know a ping, and answers it with an error.
            Reply::Pong {} | Reply::Error { .. } => {
                self.asks_at = now + BEAT;
                return std::mem::replace(&mut self.awaited, Awaited::None) == Awaited::Missed;
            }
            Reply::Event(HostEvent::Started { key, .. }) => {
                self.expect(now);
                self.living.insert(key.clone());
            }
            // A step whose start was never reported may end as well.
            Reply::Event(HostEvent::Exited { key, .. }) => drop(self.living.remove(key)),
            Reply::Event(
                HostEvent::Inventory(_)
                | HostEvent::StartFailed { .. }
                | HostEvent::Frozen { .. }
                | HostEvent::Thawed { .. }
                | HostEvent::LogTrouble { .. }
                | HostEvent::Capacity { .. }
                | HostEvent::Trouble { .. }
                | HostEvent::Silent { .. }
                | HostEvent::Answers { .. }
                | HostEvent::Gone { .. },
            )
            | Reply::Welcome { .. }
            | Reply::Refused { .. }
            | Reply::Waiting {}
            | Reply::Info(_) => {}
        }
        false
    }

    /// What is due now.
    pub(super) fn due(&mut self, now: Instant) -> Due {
        match self.awaited {
            Awaited::Until(at) if at <= now => {
                self.awaited = Awaited::Missed;
                Due::Silence
            }
            Awaited::Until(at) => Due::Wait(Some(at)),
            Awaited::Missed => Due::Wait(None),
            Awaited::None if self.is_idle() => Due::Wait(None),
            Awaited::None if self.asks_at <= now => {
                self.is_expected = false;
                self.awaited = Awaited::Until(now + BEAT);
                Due::Ask
            }
            Awaited::None => Due::Wait(Some(self.asks_at)),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::base::id::{RunId, StepId};
    use crate::supervisor::host::{ExitCause, StepExit};

    const NONE: &[Known] = &[];

    #[test]
    fn no_ping_is_sent_while_nothing_is_expected() {
        let now = Instant::now();
        let mut pulse = Pulse::new(NONE, now);
        assert_eq!(pulse.due(now + 100 * BEAT), Due::Wait(None));
        pulse.expect(now);
        assert_eq!(pulse.due(now), Due::Wait(Some(now + BEAT)));
        assert_eq!(pulse.due(now + BEAT), Due::Ask);
        assert!(!pulse.receive(&Reply::Pong {}, now + BEAT));
        assert_eq!(pulse.due(now + 100 * BEAT), Due::Wait(None), "it has answered");
    }

    #[test]
    fn silence_is_reported_once_and_so_is_its_end() {
        let now = Instant::now();
        let mut pulse = Pulse::new(NONE, now);
        pulse.expect(now);
        assert_eq!(pulse.due(now + BEAT), Due::Ask);
        assert_eq!(pulse.due(now + BEAT), Due::Wait(Some(now + 2 * BEAT)));
        assert_eq!(pulse.due(now + 2 * BEAT), Due::Silence);
        pulse.expect(now + 2 * BEAT);
        assert_eq!(pulse.due(now + 50 * BEAT), Due::Wait(None));
        assert!(
            pulse.receive(&Reply::Error { message: String::new() }, now + 50 * BEAT),
            "any answer will do"
        );
        assert!(!pulse.receive(&Reply::Pong {}, now + 50 * BEAT));
        assert_eq!(pulse.due(now + 51 * BEAT), Due::Ask, "what was asked meanwhile is still expected");
    }

    #[test]
    fn the_end_of_a_step_whose_start_was_never_reported_does_not_count_for_another_one() {
        let now = Instant::now();
        let key = |step: &str| {
            let (run_id, step_id) = (RunId::new("r").unwrap(), StepId::new(step).unwrap());
            AttemptKey { run_id, step_id, attempt: 1 }
        };
        let exit = StepExit {
            cause: ExitCause::Unknown,
            ended_at: DateTime::UNIX_EPOCH,
            usage: None,
            interrupted: false,
            log_dropped_bytes: 0,
        };
        let status = KnownStatus::Running { pid: 5, started_at: DateTime::UNIX_EPOCH, frozen: false };
        let mut pulse = Pulse::new(&[Known { key: key("lives"), status }], now);
        let ended = |step: &str| Reply::Event(HostEvent::Exited { key: key(step), exit: exit.clone() });
        pulse.receive(&ended("unheard-of"), now);
        assert_eq!(pulse.due(now + BEAT), Due::Ask);
        pulse.receive(&Reply::Pong {}, now + BEAT);
        pulse.receive(&ended("lives"), now + BEAT);
        assert_eq!(pulse.due(now + 100 * BEAT), Due::Wait(None));
    }
}

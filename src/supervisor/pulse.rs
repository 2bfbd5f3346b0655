//! Whether the supervisor at the other end of a connection still answers: one that is stopped, or hangs on a disk, says
//! nothing, and neither does one that has nothing to say.
//!
//! While steps live there, or something was asked of it, it is asked now and then for an answer; when none comes in time,
//! that is told, once, and again when it answers. While nothing is expected of it nobody asks, and nothing wakes. Pure:
//! time is an argument, and the connection's thread does what is due.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::host::{AttemptKey, HostEvent, Known, KnownStatus};
use super::protocol::Reply;

/// How often it is asked, and how long an answer may take.
const BEAT: Duration = Duration::from_secs(2);

/// What is expected of a supervisor, and what has come.
#[derive(Debug)]
pub(super) struct Pulse {
    /// Steps that are known to live: it says only whether to ask.
    living: HashSet<AttemptKey>,
    /// Something was asked of it since the last time.
    is_expected: bool,
    asks_at: Instant,
    awaited: Awaited,
}

/// The answer that is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    None,
    Until(Instant),
    /// It did not come, which was told.
    InVain,
}

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// Ask for an answer.
    Ask,
    /// Tell that none came.
    Silence,
    /// Wait for what comes, at most until then.
    Wait(Option<Instant>),
}

impl Pulse {
    /// What lives there at the beginning.
    pub(super) fn new(inventory: &[Known], now: Instant) -> Self {
        let lives = |known: &&Known| matches!(known.status, KnownStatus::Running { .. });
        let living = inventory.iter().filter(lives).map(|known| known.key.clone()).collect();
        Self { living, is_expected: false, asks_at: now + BEAT, awaited: Awaited::None }
    }

    /// Something was asked of the supervisor.
    pub(super) fn expect(&mut self, now: Instant) {
        if self.is_idle() {
            self.asks_at = now + BEAT;
        }
        self.is_expected = true;
    }

    fn is_idle(&self) -> bool {
        self.living.is_empty() && !self.is_expected && self.awaited == Awaited::None
    }

    /// Takes in what the supervisor said. True where it was told that no answer came, and here is one.
    pub(super) fn hear(&mut self, reply: &Reply, now: Instant) -> bool {
        match reply {
            // An older one does not know the question, and answers all the same.
            Reply::Pong {} | Reply::Error { .. } => {
                self.asks_at = now + BEAT;
                return std::mem::replace(&mut self.awaited, Awaited::None) == Awaited::InVain;
            }
            Reply::Event(HostEvent::Started { key, .. }) => {
                self.expect(now);
                self.living.insert(key.clone());
            }
            // A step whose start was never told may end as well.
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

    /// What is due.
    pub(super) fn due(&mut self, now: Instant) -> Due {
        match self.awaited {
            Awaited::Until(at) if at <= now => {
                self.awaited = Awaited::InVain;
                Due::Silence
            }
            Awaited::Until(at) => Due::Wait(Some(at)),
            Awaited::InVain => Due::Wait(None),
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
    fn nobody_is_asked_while_nothing_is_expected() {
        let now = Instant::now();
        let mut pulse = Pulse::new(NONE, now);
        assert_eq!(pulse.due(now + 100 * BEAT), Due::Wait(None));
        pulse.expect(now);
        assert_eq!(pulse.due(now), Due::Wait(Some(now + BEAT)));
        assert_eq!(pulse.due(now + BEAT), Due::Ask);
        assert!(!pulse.hear(&Reply::Pong {}, now + BEAT));
        assert_eq!(pulse.due(now + 100 * BEAT), Due::Wait(None), "it has answered");
    }

    #[test]
    fn silence_is_told_once_and_so_is_its_end() {
        let now = Instant::now();
        let mut pulse = Pulse::new(NONE, now);
        pulse.expect(now);
        assert_eq!(pulse.due(now + BEAT), Due::Ask);
        assert_eq!(pulse.due(now + BEAT), Due::Wait(Some(now + 2 * BEAT)));
        assert_eq!(pulse.due(now + 2 * BEAT), Due::Silence);
        pulse.expect(now + 2 * BEAT);
        assert_eq!(pulse.due(now + 50 * BEAT), Due::Wait(None));
        assert!(pulse.hear(&Reply::Error { message: String::new() }, now + 50 * BEAT), "any answer will do");
        assert!(!pulse.hear(&Reply::Pong {}, now + 50 * BEAT));
        assert_eq!(pulse.due(now + 51 * BEAT), Due::Ask, "what was asked meanwhile is still expected");
    }

    #[test]
    fn the_end_of_a_step_whose_start_was_never_told_does_not_count_for_another_one() {
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
        pulse.hear(&ended("unheard-of"), now);
        assert_eq!(pulse.due(now + BEAT), Due::Ask);
        pulse.hear(&Reply::Pong {}, now + BEAT);
        pulse.hear(&ended("lives"), now + BEAT);
        assert_eq!(pulse.due(now + 100 * BEAT), Due::Wait(None));
    }
}

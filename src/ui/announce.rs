//! What a screen reader announces by itself: ends of runs, gathered so that a hundred of them are one sentence. It
//! paints nothing.

use chrono::{DateTime, TimeDelta, Utc};

use super::format;
use crate::run::{RunState, RunSummary};

/// The shortest time between two announcements.
const PACE: TimeDelta = TimeDelta::seconds(5);

/// What was announced last, and what waits to be.
#[derive(Debug, Default)]
pub(super) struct Announcer {
    /// Ends up to this instant were heard; none until the window was painted for the first time.
    heard_until: Option<DateTime<Utc>>,
    said: String,
    said_at: Option<DateTime<Utc>>,
    n_waiting: usize,
    n_failed: usize,
    last: String,
}

impl Announcer {
    /// Hears the ended runs, the latest end first. What ended before the first call is not announced.
    pub(super) fn hear<'a>(&mut self, ended: impl Iterator<Item = &'a RunSummary>, now: DateTime<Utc>) {
        let heard = *self.heard_until.get_or_insert(now);
        for run in ended {
            let Some(at) = run.finished_at.filter(|at| *at > heard) else { return };
            self.heard_until = self.heard_until.max(Some(at));
            if self.n_waiting == 0 {
                self.last = format!("{} {}", run.run_id, word(run.state));
            }
            self.n_waiting += 1;
            self.n_failed += usize::from(matches!(run.state, RunState::Failed | RunState::Interrupted));
        }
    }

    /// The text of the announcement at `now`, and after which time it has to be asked again because something waits.
    pub(super) fn text(&mut self, now: DateTime<Utc>) -> (&str, Option<TimeDelta>) {
        let left = self.said_at.map_or(TimeDelta::zero(), |at| PACE - (now - at));
        if self.n_waiting == 0 {
            return (&self.said, None);
        }
        if left > TimeDelta::zero() {
            return (&self.said, Some(left));
        }
        self.said = match (self.n_waiting, self.n_failed) {
            (1, _) => std::mem::take(&mut self.last),
            (n, 0) => format!("{} ended", format::count(n, "run")),
            (n, n_failed) => {
                format!("{} ended, {} of them not well", format::count(n, "run"), format::whole(n_failed))
            }
        };
        (self.n_waiting, self.n_failed, self.said_at) = (0, 0, Some(now));
        (&self.said, None)
    }
}

const fn word(state: RunState) -> &'static str {
    match state {
        RunState::Completed => "is completed",
        RunState::Failed => "has failed",
        RunState::Stopped | RunState::ForceStopped => "is stopped",
        RunState::Interrupted => "was interrupted",
        RunState::Queued | RunState::Running | RunState::Paused | RunState::Stopping => "has ended",
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{now, run};
    use super::*;

    fn ended(name: &str, state: RunState, seconds: i64) -> RunSummary {
        RunSummary { finished_at: Some(now() + TimeDelta::seconds(seconds)), ..run(name, state) }
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        now() + TimeDelta::seconds(seconds)
    }

    #[test]
    fn one_end_is_named_many_are_counted_and_none_is_announced_twice() {
        let mut announcer = Announcer::default();
        let old = ended("old", RunState::Failed, -5);
        announcer.hear([&old].into_iter(), at(0));
        assert_eq!(announcer.text(at(0)), ("", None), "what was there before is no news");
        let first = ended("a", RunState::Completed, 1);
        announcer.hear([&first, &old].into_iter(), at(1));
        assert_eq!(announcer.text(at(1)), ("a-1 is completed", None));
        let more: Vec<_> = (0..100).map(|n| ended("b", RunState::Completed, 103 - n)).collect();
        let failed = ended("c", RunState::Failed, 104);
        announcer.hear([&failed].into_iter().chain(&more).chain([&first]), at(3));
        assert_eq!(announcer.text(at(3)), ("a-1 is completed", Some(TimeDelta::seconds(3))), "not so soon");
        assert_eq!(announcer.text(at(6)), ("101 runs ended, 1 of them not well", None));
        announcer.hear([&failed].into_iter().chain(&more), at(20));
        assert_eq!(announcer.text(at(20)), ("101 runs ended, 1 of them not well", None));
    }
}

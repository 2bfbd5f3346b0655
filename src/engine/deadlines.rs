//! When the engine must look again without being told: timeouts on the clock of awake time, retries on the
//! wall clock, and what it does at intervals of its own.

use std::collections::BTreeSet;

use super::clock;
use super::core::Engine;
use super::message::PendingInput;
use crate::base::id::RunId;
use crate::run::{Deadline, Input};

impl Engine {
    pub(super) fn set_deadline(&mut self, run_id: &RunId, deadline: Deadline) {
        let before = self.runs.get(run_id).map(|entry| entry.deadline).unwrap_or_default();
        if before == deadline {
            if deadline == Deadline::default() {
                return;
            }
        } else {
            if let Some(at) = before.awake_ms {
                self.awake_deadlines.remove(&(at, run_id.clone()));
            }
            if let Some(at) = before.wall {
                self.wall_deadlines.remove(&(at, run_id.clone()));
            }
        }
        if let Some(at) = deadline.awake_ms {
            self.awake_deadlines.insert((at, run_id.clone()));
        }
        if let Some(at) = deadline.wall {
            self.wall_deadlines.insert((at, run_id.clone()));
        }
        self.arm_timer();
    }

    /// Has the timer ring at the next instant of the wall clock at which something is due.
    pub(super) fn arm_timer(&self) {
        let of_runs = self.wall_deadlines.first().map(|(at, _)| *at);
        self.timer.arm([of_runs, self.next_turn_at()].into_iter().flatten().min());
    }

    pub(super) fn next_awake_deadline(&self) -> Option<u64> {
        let closing = self.closing.as_ref().map(|closing| closing.drivers_until_ms);
        let outage = self.outage.as_ref().map(|outage| outage.look_again_at_ms);
        let run = self.awake_deadlines.first().map(|(at, _)| *at);
        let own = [self.lazy_commit_at_ms, self.holders.due_at_ms, self.host.retry_at_ms];
        own.into_iter().chain([run, outage, closing]).flatten().min()
    }

    /// Gives a tick to every run whose deadline has passed on either clock.
    pub(super) fn on_deadlines(&mut self) {
        let now = clock::now();
        let mut due = BTreeSet::new();
        while let Some((at, _)) = self.awake_deadlines.first()
            && *at <= now.awake_ms
        {
            due.extend(self.awake_deadlines.pop_first().map(|(_, run_id)| run_id));
        }
        let mut is_rung = false;
        while let Some((at, _)) = self.wall_deadlines.first()
            && *at <= now.wall
        {
            is_rung = true;
            due.extend(self.wall_deadlines.pop_first().map(|(_, run_id)| run_id));
        }
        if is_rung {
            self.arm_timer();
        }
        self.handle(due.into_iter().map(|run_id| PendingInput::world(run_id, Input::Tick)).collect());
        self.look_at_trouble(now.awake_ms);
        self.look_at_turns(now.wall);
        self.look_for_host(now.awake_ms);
        if self.holders.due_at_ms.is_some_and(|at| at <= now.awake_ms) {
            self.holders.due_at_ms = None;
            self.is_line_stale = true;
        }
        if self.lazy_commit_at_ms.is_some_and(|at| at <= now.awake_ms) {
            self.flush();
        }
    }
}

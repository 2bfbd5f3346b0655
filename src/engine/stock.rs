//! Taking stock: what the step host knows is compared with what is recorded as started.

use std::collections::HashMap;

use super::core::Engine;
use super::message::PendingInput;
use crate::base::id::AttemptKey;
use crate::run::{Found, Input, Launch, StepState};
use crate::supervisor::{HostRequest, Known, KnownStatus};

impl Engine {
    /// The end of an attempt whose run is not held here: if the run has ended on disk, or there is no such
    /// run (its database is gone), the host may forget it.
    pub(super) fn settle_stranger(&mut self, key: &AttemptKey) {
        let is_settled = match self.publisher.store().load_summary(&key.run_id) {
            Ok(run) => run.is_none_or(|run| run.state.is_ended()),
            Err(_) => false,
        };
        if is_settled {
            self.request(HostRequest::Acknowledge(key.clone()));
        }
    }

    /// Compares everything that the host knows with everything that is recorded as started.
    pub(super) fn reconcile(&mut self, known: Vec<Known>, heard: &mut Vec<PendingInput>) {
        let mut known: HashMap<_, _> = known.into_iter().map(|known| (known.key, known.status)).collect();
        let runs: Vec<_> = self.runs.values().map(|entry| entry.run.clone()).collect();
        for run in runs.into_iter().filter(|run| run.definition().is_some()) {
            let mut found = Vec::with_capacity(run.steps.len());
            for (index, step) in run.steps.iter().enumerate() {
                let is_prepared = step.state == StepState::Waiting && step.ledger.launch == Launch::Prepared;
                if !step.state.is_live() && !is_prepared {
                    found.push(Found::NotAsked);
                    continue;
                }
                let key = run.attempt_key(index);
                let status = known.remove(&key);
                if status.is_some() {
                    self.acting.reports.begin(&key, step.ledger.report_offset);
                }
                found.push(status.map_or(Found::Nothing, |status| self.found(&key, status)));
            }
            heard.push(PendingInput::world(run.id.clone(), Input::Recover(found)));
        }
        for (key, status) in known {
            self.settle_leftover(&key, &status);
        }
    }

    fn found(&self, key: &AttemptKey, status: KnownStatus) -> Found {
        match status {
            KnownStatus::Running { pid: 0, .. } => Found::Ending,
            KnownStatus::Running { pid, started_at, frozen } => {
                self.measure(key, pid);
                Found::Running { pid, started_at, frozen }
            }
            KnownStatus::StartFailed(reason) => Found::StartFailed(reason),
            KnownStatus::Exited(exit) => Found::Exited(self.exit_of(key, exit)),
        }
    }

    /// Something that the host knows and no living step asks for.
    fn settle_leftover(&mut self, key: &AttemptKey, status: &KnownStatus) {
        let is_held_here = self.runs.contains_key(&key.run_id);
        match status {
            KnownStatus::Exited(_) | KnownStatus::StartFailed(_) if is_held_here => {
                self.request(HostRequest::Acknowledge(key.clone()));
            }
            KnownStatus::Exited(_) | KnownStatus::StartFailed(_) => self.settle_stranger(key),
            // Recorded as ended, and yet alive: its end was recorded by force. End it in earnest.
            KnownStatus::Running { .. } if is_held_here => self.request(HostRequest::Kill(key.clone())),
            // Its run belongs to another engine's scope, or to a database that is gone: hands off.
            KnownStatus::Running { .. } => {}
        }
    }
}

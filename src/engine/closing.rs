//! Shutting down in good order: runs are left, frozen or stopped, as asked, and everything is recorded.

use crossbeam_channel::{Sender, bounded};
use serde::{Deserialize, Serialize};

use super::clock;
use super::core::Engine;
use super::error::EngineError;
use super::handle::CoreExecutionEngine;
use super::message::{Message, PendingInput};
use crate::run::{Body, Input, Run, RunState, StepNews, StopKind};
use crate::store::EngineLock;

/// How long programs that drive runs get to notice that they are to stop, and freezing gets to be seen.
const PATIENCE_MS: u64 = 10_000;

/// What becomes of living runs when the engine shuts down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShutdownKind {
    /// Steps go on under the supervisor; the next engine takes them back.
    LeaveSteps,
    /// Runs are frozen, and stay so until they are resumed.
    FreezeRuns,
    /// Runs are stopped in good order.
    StopRuns,
}

/// A shutdown that is under way.
pub(super) struct Closing {
    pub(super) kind: ShutdownKind,
    pub(super) when: When,
    /// Gets the data directory's lock, when there is nothing left to write; none when the engine goes on.
    pub(super) reply: Sender<Option<EngineLock>>,
    /// Programs that drive runs get this long to notice that they are to stop.
    pub(super) drivers_until_ms: u64,
}

/// Whether an engine ends in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    Now,
    /// Only if no run lives.
    IfIdle,
}

impl CoreExecutionEngine {
    /// Ends the engine in good order; returns when everything is recorded and, if asked, frozen or stopped.
    ///
    /// # Errors
    /// [`EngineError::ShutDown`] when it has ended already.
    pub fn shutdown(&self, kind: ShutdownKind) -> Result<(), EngineError> {
        self.close(kind).map(drop)
    }

    /// Ends the engine in good order, as [`Self::shutdown`] does. The data directory's lock is kept, for the engine that
    /// takes over: nobody can slip in between.
    ///
    /// # Errors
    /// [`EngineError::Invalid`] when runs are to be left that this program drives itself: nobody else could go on with
    /// them. [`EngineError::ShutDown`] when it has ended already.
    pub fn hand_over(&self, kind: ShutdownKind) -> Result<EngineLock, EngineError> {
        let snapshot = self.snapshot();
        let driven = snapshot.runs.values().find(|run| matches!(run.body, Body::Driven));
        if let (ShutdownKind::LeaveSteps, Some(run)) = (kind, driven) {
            let why = format!("run {} is driven by this very program; it can't be handed over", run.id);
            return Err(EngineError::Invalid(why));
        }
        self.close(kind)
    }

    /// Ends the engine if no run lives; says whether it has ended. A run whose start was answered is never left without an
    /// engine by this.
    ///
    /// # Errors
    /// [`EngineError::ShutDown`] when it has ended already.
    pub(crate) fn shutdown_if_idle(&self) -> Result<bool, EngineError> {
        Ok(self.ask_to_close(ShutdownKind::LeaveSteps, When::IfIdle)?.is_some())
    }

    fn close(&self, kind: ShutdownKind) -> Result<EngineLock, EngineError> {
        self.ask_to_close(kind, When::Now)?.ok_or(EngineError::ShutDown)
    }

    fn ask_to_close(&self, kind: ShutdownKind, when: When) -> Result<Option<EngineLock>, EngineError> {
        // Capacity 1: the one answer; the engine never waits for it to be taken.
        let (reply, answer) = bounded(1);
        self.send(Message::Shutdown { kind, when, reply })?;
        let lock = answer.recv().map_err(|_| EngineError::ShutDown)?;
        if lock.is_some() {
            self.join();
        }
        Ok(lock)
    }
}

impl Engine {
    pub(super) fn begin_closing(
        &mut self,
        kind: ShutdownKind,
        when: When,
        reply: Sender<Option<EngineLock>>,
        heard: &mut Vec<PendingInput>,
    ) {
        let drivers_until_ms = clock::now().awake_ms + PATIENCE_MS;
        self.closing = Some(Closing { kind, when, reply, drivers_until_ms });
        if when == When::IfIdle {
            // Looked at when all that was heard before is decided.
            return;
        }
        let input = match kind {
            ShutdownKind::LeaveSteps => {
                // What is still being made goes back to where it waited: the next engine makes it.
                for key in self.acting.launcher.cancel_all() {
                    let input = self.step_input(&key, StepNews::NotSent);
                    heard.extend(input.map(|input| PendingInput::world(key.run_id, input)));
                }
                return;
            }
            ShutdownKind::FreezeRuns => Input::Pause,
            ShutdownKind::StopRuns => Input::Stop(StopKind::Graceful),
        };
        heard.extend(self.runs.keys().map(|run_id| PendingInput::world(run_id.clone(), input.clone())));
    }

    /// True while the engine goes on.
    pub(super) fn finish_closing(&mut self) -> bool {
        let Some(closing) = &self.closing else { return true };
        if closing.when == When::IfIdle && !self.runs.is_empty() {
            self.go_on();
            return true;
        }
        let patience_is_over = closing.drivers_until_ms <= clock::now().awake_ms;
        let is_awaited = |run: &Run| match (closing.kind, run.definition()) {
            (ShutdownKind::LeaveSteps, _) => false,
            (ShutdownKind::FreezeRuns, _) => {
                run.state == RunState::Running
                    || (run.state == RunState::Paused && run.ledger.frozen_since.is_none())
            }
            (ShutdownKind::StopRuns, None) => !patience_is_over,
            (ShutdownKind::StopRuns, Some(_)) => true,
        };
        if self.runs.values().any(|entry| is_awaited(&entry.run)) {
            if patience_is_over && let Some(closing) = &mut self.closing {
                closing.drivers_until_ms += PATIENCE_MS;
            }
            return true;
        }
        let driven: Vec<_> = self
            .runs
            .iter()
            .filter(|(_, entry)| entry.run.definition().is_none())
            .map(|(run_id, _)| PendingInput::world(run_id.clone(), Input::DriverLost))
            .collect();
        self.handle(driven);
        self.flush();
        if let (Some(closing), Some(lock)) = (self.closing.take(), self.lock.take()) {
            // If the caller has gone, the lock is released with the answer.
            let _ = closing.reply.send(Some(lock));
        }
        false
    }

    /// Ends no more: a run has begun to live meanwhile.
    fn go_on(&mut self) {
        if let Some(closing) = self.closing.take() {
            // If the caller has gone, nobody is to be told.
            let _ = closing.reply.send(None);
        }
        let living: Vec<_> = self.runs.keys().cloned().collect();
        self.handle(living.into_iter().map(|id| PendingInput::world(id, Input::StartsChanged)).collect());
    }
}

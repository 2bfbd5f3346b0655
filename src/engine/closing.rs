//! Shutting down in good order: runs are left, frozen or stopped, as asked, and everything is recorded.

use crossbeam_channel::bounded;

use super::error::EngineError;
use super::handle::CoreExecutionEngine;
use super::lifecycle::{ShutdownKind, When};
use super::message::Message;
use crate::run::Body;
use crate::store::EngineLock;

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
    #[doc(hidden)]
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

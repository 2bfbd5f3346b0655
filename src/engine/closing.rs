//! Ending in order: runs are left, frozen or stopped, as requested, and everything is recorded.

use crossbeam_channel::bounded;

use super::error::EngineError;
use super::handle::CoreExecutionEngine;
use super::lifecycle::{ShutdownKind, When};
use super::message::Message;
use crate::run::Body;
use crate::store::EngineLock;

impl CoreExecutionEngine {
    /// Ends the engine in order. Returns when everything is recorded and, if requested, runs are frozen or stopped.
    ///
    /// # Errors
    /// [`EngineError::ShutDown`] when it has ended already.
    pub fn shutdown(&self, kind: ShutdownKind) -> Result<(), EngineError> {
        self.close(kind).map(drop)
    }

    /// As [`Self::shutdown`], but keeps the data directory's lock for the engine that takes over, so that no third one
    /// can take it.
    ///
    /// # Errors
    /// [`EngineError::Invalid`] when runs would be left that this program drives: no other engine could continue them.
    /// [`EngineError::ShutDown`] when it has ended already.
    #[doc(hidden)]
    pub fn hand_over(&self, kind: ShutdownKind) -> Result<EngineLock, EngineError> {
        let snapshot = self.snapshot();
        let driven = snapshot.runs.values().find(|run| matches!(run.body, Body::Driven));
        if let (ShutdownKind::LeaveSteps, Some(run)) = (kind, driven) {
            let why = format!("run {} is driven by this program itself and can't be handed over", run.id);
            return Err(EngineError::Invalid(why));
        }
        self.close(kind)
    }

    /// As [`Self::hand_over`], for a process that ends right after it. Everything is recorded when this returns, but what
    /// the engine's threads hold may end with the process.
    pub(crate) fn close_at_exit(&self, kind: ShutdownKind) -> Result<EngineLock, EngineError> {
        self.ask_to_close(kind, When::Now)?.ok_or(EngineError::ShutDown)
    }

    /// Has an end that waits for runs to be frozen or stopped leave them as they are. What was asked of them goes on without
    /// an engine.
    pub(crate) fn leave_at_once(&self) {
        // Fails when it has ended already.
        let _ = self.send(Message::LeaveAtOnce);
    }

    /// Ends the engine if no run lives. Returns whether it has ended. A run whose start was answered never loses its
    /// engine by this.
    ///
    /// # Errors
    /// [`EngineError::ShutDown`] when it has ended already.
    pub(crate) fn shutdown_if_idle(&self) -> Result<bool, EngineError> {
        let has_ended = self.ask_to_close(ShutdownKind::LeaveSteps, When::IfIdle)?.is_some();
        if has_ended {
            self.join();
        }
        Ok(has_ended)
    }

    fn close(&self, kind: ShutdownKind) -> Result<EngineLock, EngineError> {
        let lock = self.ask_to_close(kind, When::Now)?.ok_or(EngineError::ShutDown)?;
        self.join();
        Ok(lock)
    }

    fn ask_to_close(&self, kind: ShutdownKind, when: When) -> Result<Option<EngineLock>, EngineError> {
        // Capacity 1: the one answer; the engine never waits for it to be taken.
        let (reply, answer) = bounded(1);
        self.send(Message::Shutdown { kind, when, reply })?;
        answer.recv().map_err(|_| EngineError::ShutDown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{EngineOptions, StartRequest};
    use crate::run::RunState;
    use crate::store::DataDir;

    #[test]
    fn at_the_exit_of_its_process_everything_is_recorded_and_the_caller_has_the_lock() {
        let dir = tempfile::tempdir().expect("a directory");
        let open = || CoreExecutionEngine::open(dir.path(), EngineOptions::default());
        let engine = open().expect("it opens");
        let request = StartRequest::new("a", "nightly", "alfabeta").expect("ids");
        let run_id = engine.start_execution(request).expect("it starts").run_id;
        engine.update_progress(&run_id, 0.5, Some("fetch")).expect("it runs");
        let lock = engine.close_at_exit(ShutdownKind::LeaveSteps).expect("it ends");
        assert!(matches!(engine.close_at_exit(ShutdownKind::LeaveSteps), Err(EngineError::ShutDown)));
        let data_dir = DataDir::open(dir.path()).expect("a data directory");
        assert!(data_dir.lock().is_err(), "it is held");
        drop(lock);
        let engine = open().expect("it is free");
        let run = engine.get_execution_state(&run_id).expect("read").expect("it is there");
        assert_eq!((run.state, run.progress), (RunState::Interrupted, 0.5));
    }
}

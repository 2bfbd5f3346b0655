//! Blocking signals for programs that drive their own runs: nobody has to sleep and look.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::run::Level;

/// Raised and lowered by the engine, watched by the driving program from any thread.
#[derive(Clone, Default)]
pub struct Signal(Arc<(Mutex<bool>, Condvar)>);

impl Signal {
    /// Whether it is raised.
    pub fn is_raised(&self) -> bool {
        *self.lock()
    }

    /// Waits until it is raised.
    pub fn wait(&self) {
        self.wait_for(true);
    }

    /// Waits until it is raised, at most this long; whether it is.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        let raised = self.lock();
        let result = self.0.1.wait_timeout_while(raised, timeout, |raised| !*raised);
        *result.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Waits while it is raised; returns at once when it is not.
    pub fn wait_while_raised(&self) {
        self.wait_for(false);
    }

    pub(crate) fn set(&self, level: Level) {
        *self.lock() = level == Level::Raised;
        self.0.1.notify_all();
    }

    fn wait_for(&self, level: bool) {
        let raised = self.lock();
        drop(self.0.1.wait_while(raised, |raised| *raised != level).unwrap_or_else(PoisonError::into_inner));
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Signal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Signal").field(&self.is_raised()).finish()
    }
}

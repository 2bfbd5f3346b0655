//! Blocking signals for programs that drive their own runs, so that they need not poll.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::run::Level;

/// Raised and lowered by the engine. The driving program reads it from any thread.
#[derive(Clone, Default)]
pub struct Signal(Arc<(Mutex<bool>, Condvar)>);

impl Signal {
    /// Whether the signal is raised.
    pub fn is_raised(&self) -> bool {
        *self.0.0.lock()
    }

    /// Waits until the signal is raised.
    pub fn wait(&self) {
        self.wait_for(true);
    }

    /// Waits until the signal is raised, at most this long. Returns whether it is.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        let mut raised = self.0.0.lock();
        // The result is read below, whether or not the time has passed.
        let _ = self.0.1.wait_while_for(&mut raised, |raised| !*raised, timeout);
        *raised
    }

    /// Waits while the signal is raised; returns at once when it is not.
    pub fn wait_while_raised(&self) {
        self.wait_for(false);
    }

    pub(crate) fn set(&self, level: Level) {
        *self.0.0.lock() = level == Level::Raised;
        self.0.1.notify_all();
    }

    fn wait_for(&self, level: bool) {
        self.0.1.wait_while(&mut self.0.0.lock(), |raised| *raised != level);
    }
}

impl std::fmt::Debug for Signal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Signal").field(&self.is_raised()).finish()
    }
}

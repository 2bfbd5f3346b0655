//! Tells the monitor, where there is one, which steps live, and takes what it saw of one that has ended.

use super::core::Engine;
use crate::base::id::AttemptKey;
use crate::run::{Exit, MemoryAtEnd, StepCost};
use crate::supervisor::{ExitCause, StepExit};

/// The signal with which the kernel ends processes when memory runs out.
const KILL: i32 = 9;

impl Engine {
    /// The process of this attempt lives: from now on its tree is measured.
    pub(super) fn measure(&self, key: &AttemptKey, pid: u32) {
        if let (Some(monitor), Some((_, step))) = (&self.options.monitor, self.find_step(key)) {
            monitor.track(key.clone(), pid, &step.ledger.token);
        }
    }

    /// What is known of the machine's memory.
    fn memory_at_end(&self) -> Option<MemoryAtEnd> {
        let shortage = &self.acting.shortage;
        Some(MemoryAtEnd { limit_bytes: shortage.limit_bytes()?, n_ended: shortage.n_ended() })
    }

    /// How an attempt ended, with all that is known of what it has cost. It is measured no more.
    pub(super) fn exit_of(&self, key: &AttemptKey, exit: StepExit) -> Exit {
        let (code, signal) = match exit.cause {
            ExitCause::Code(code) => (Some(code), None),
            ExitCause::Signal(signal) => (None, Some(signal)),
            ExitCause::Unknown => (None, None),
        };
        let totals = self.options.monitor.as_ref().and_then(|monitor| monitor.forget(key));
        let rusage = exit.usage.map(|usage| (usage.peak_rss_bytes, usage.cpu_seconds));
        Exit {
            code,
            signal,
            ended_at: exit.ended_at,
            cost: StepCost::of(rusage, totals),
            memory: if signal == Some(KILL) { self.memory_at_end() } else { None },
            interrupted: exit.interrupted,
            log_dropped_bytes: exit.log_dropped_bytes,
        }
    }
}

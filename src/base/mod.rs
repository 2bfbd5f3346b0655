//! What all modules use: ids, instants, units, similar names, threads that the process can't lose, one thread for
//! several tasks, bells, and the queue of events.

pub(crate) mod at_exit;
pub mod id;
pub(crate) mod nearest;
pub(crate) mod queue;
pub(crate) mod tasks;
pub(crate) mod thread;
pub mod time;
pub mod tz;
pub mod units;
pub(crate) mod wake;

//! What everything stands on: identifiers, instants, units, near names, threads that a process can't do without, and one
//! thread for several tasks.

pub(crate) mod at_exit;
pub mod id;
pub(crate) mod nearest;
pub(crate) mod tasks;
pub(crate) mod thread;
pub mod time;
pub mod units;

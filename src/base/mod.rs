//! What everything stands on: identifiers, instants, units, near names, and threads that a process can't do without.

pub(crate) mod at_exit;
pub mod id;
pub(crate) mod nearest;
pub(crate) mod thread;
pub mod time;
pub mod units;

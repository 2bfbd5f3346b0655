//! Processes as `/proc` shows them, identified by pid *and* start time, and the processes of a step: [`tree`].
//!
//! Shared by the supervisor, which signals trees, and the monitor, which measures them, so that both agree on what
//! belongs to a step. Nothing here sends a signal. A look that failed is an error, never an empty answer: none means
//! that the kernel says that there is nothing.

pub(crate) mod descriptors;
mod proc;
mod stat;
mod table;
pub(crate) mod tree;

pub(crate) use proc::{
    Proc, ProcId, environment_of, number_in_status, output_pipes, own_children, tracer_of, unless_gone,
};
pub(crate) use stat::Stat;
pub(crate) use table::{ProcDir, ProcTable, children_of};

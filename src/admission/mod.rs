//! Which runs and steps may start in addition to those that run: places, resources, orders of the operator, and whose
//! turn it is. Pure: the machine's figures and the time are arguments, and the engine says which runs live.
//!
//! A run is admitted when it begins, and holds a place until it ends. A step is admitted each time it starts, and holds
//! memory, CPUs and disk space until it ends. One that is not admitted gets a [`Wait`]: what it waits for, and which
//! run has it.
//!
//! In reading order: `policy` (what the operator allows), `need` (what a step asks for), `wait` (the one cause, in
//! words), `orders` (quiet and drain), `claims` (which run holds what), `room` (may it start?), `line` (whose turn it
//! is).

mod claims;
mod line;
mod need;
mod orders;
mod policy;
mod room;
mod wait;

#[cfg(test)]
mod tests;

pub use claims::{Admission, RunClaim, StepClaim};
pub use line::{OVERTAKEN_BY_NOBODY, Rank};
pub use need::{Footprints, Need};
pub use orders::{Order, Orders, Quiet};
pub use policy::{AdmissionPolicy, MAX_PRIORITY};
pub use room::{RunRequest, StepRequest};
pub use wait::{Holder, Place, Remedy, Wait};

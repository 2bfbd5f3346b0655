//! Which runs and steps may start beside those that run: places, resources, orders of the operator, and whose turn it is.
//! Pure: what the machine has and what the time is are arguments; who lives is told by the engine, run by run.
//!
//! A run is admitted when it begins and holds a place until it ends; a step is admitted each time it starts and holds
//! memory, CPUs and disk space until it ends. Who is not admitted gets a [`Wait`], which says for what, and who has it.
//!
//! In reading order: `policy` (what the operator allows), `need` (what a step asks for), `wait` (the one cause, in words),
//! `orders` (quiet and drain), `claims` (who holds what), `room` (may it start?), `line` (whose turn it is).

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

//! What a run is and how it may change: its states, its steps, the events it tells, and the pure
//! functions that decide what an input makes of it.
//!
//! Nothing here does anything: a decision returns the new run and a list of effects, which the engine
//! records and then carries out.

mod event;
mod model;
mod report;
mod state;

pub use event::*;
pub use model::*;
pub use report::*;
pub use state::*;

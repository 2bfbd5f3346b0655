//! What a run is and how it may change: its states, its steps, the events it tells, and the pure
//! functions that decide what an input makes of it.
//!
//! Nothing here does anything: [`decide()`] returns the changed run and a list of effects, which the engine
//! records and then carries out.

mod admit;
mod advance;
mod cost;
mod deadline;
mod decide;
mod event;
mod hold;
mod input;
mod killed;
mod model;
mod recover;
mod report;
mod resume;
mod state;
mod step;
mod summary;
mod transition;
mod why;
mod work;

pub use admit::{claim_of, current_waits, rank_of, waits, waits_on};
pub use cost::StepCost;
pub use deadline::{Deadline, next_deadline};
pub use decide::*;
pub use event::*;
pub use hold::{Hold, Holds};
pub use input::*;
pub use model::*;
pub use recover::MAX_RESUMES_IN_ROW;
pub use report::*;
pub use state::*;
pub use step::in_words;
pub use summary::*;
pub use transition::{Command, Refusal, hint, transition};
pub use why::{Why, WhyContext, slower_than_usual, why};
pub use work::WorkTime;

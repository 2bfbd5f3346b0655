//! A run: its states, its steps, its events, and the pure rules that apply an input to it.
//!
//! Nothing here acts: [`decide()`] changes the run and lists effects, which the engine carries out once the run is on disk.

mod admit;
mod advance;
mod context;
mod cost;
mod deadline;
mod decide;
mod event;
mod freeze;
mod hold;
mod input;
mod killed;
mod model;
mod outbox;
mod pause;
mod phase;
mod plan;
mod recover;
mod report;
mod resume;
mod state;
mod step;
mod stored;
mod summary;
mod tell;
mod transition;
mod why;
mod work;
mod work_time;

pub use crate::run::context::*;
pub use crate::run::decide::*;
pub use crate::run::event::*;
pub use crate::run::input::*;
pub use crate::run::model::*;
pub use crate::run::outbox::*;
pub use crate::run::phase::*;
pub use crate::run::report::*;
pub use crate::run::state::*;
pub use crate::run::summary::*;
pub use admit::{claim_of, current_waits, rank_of, waits, waits_on};
pub use cost::StepCost;
pub use deadline::{Deadline, next_deadline};
pub use freeze::{Freeze, Hold, Holds};
pub use plan::Plan;
pub use recover::MAX_RESUMES_IN_ROW;
pub use stored::StoredLedger;
pub use transition::{Command, Refusal, hint, transition};
pub use why::{Why, WhyContext, slower_than_usual, why};
pub use work_time::WorkTime;

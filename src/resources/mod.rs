//! What the machine and its steps use, as numbers, and the limits on them. Pure: the monitor measures, and the engine
//! acts on a limit.

mod change_text;
mod enforcer;
mod limit_watch;
mod limits;
mod sample;
mod spread;

pub use enforcer::{LimitEnforcer, Measure};
pub use limit_watch::{LimitChange, LimitWatch, RaisedLimit};
pub use limits::{Limit, LimitAction, LimitError, Limits, Resource, Threshold};
pub use sample::{MachineSample, Power, ResourceSnapshot, StepSample, StepTotals, VolumeSpace};
pub use spread::Spread;

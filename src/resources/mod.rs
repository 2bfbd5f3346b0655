//! What the machine and its steps cost, as numbers, and the limits on them. Pure: who measures is the monitor, who acts
//! on a limit is the engine.

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

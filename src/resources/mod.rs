//! What the machine and its steps cost, as numbers, and the limits on them. Pure: who measures is the monitor, who acts
//! on a limit is the engine.

mod limit_watch;
mod limits;
mod sample;

pub use limit_watch::{LimitChange, LimitWatch, RaisedLimit};
pub use limits::{Limit, LimitError, Limits, Resource, Threshold};
pub use sample::{MachineSample, Power, ResourceSnapshot, StepSample, StepTotals, VolumeSpace};

//! The scheduler: when jobs are due, their runs are started, and every due instant is accounted for.
//!
//! [`DesktopScheduler`] is the handle; behind it one thread (`actor`) waits for orders, for the clock and for the ends of
//! runs. What it decides and records stands in [`SchedulerCore`], which has no clock of its own: a fire is *claimed*
//! with the name of its run as the next instant moves (one synced commit), then the run is started, then what became of
//! it is booked; a start finds what was left between, whenever the program has died. Without an engine, the handle does
//! what can be done with the database alone.
//!
//! It knows nothing of files of pipelines: it is given a function that finds what a name means. What schedules mean
//! stands in `schedule`.

mod actor;
mod after;
mod backfill;
mod claim;
mod claims;
mod core;
mod due;
mod error;
mod files;
mod handle;
mod instants;
mod job;
mod jobs;
mod names;
mod outcomes;
mod recover;
mod settle;
mod starting;
mod unread;
mod view;
mod zone;

pub use core::{Act, CATCH_UP_GAP_MS, JobStart, Resolve, SchedulerCore, StartOutcome, Target, Wake};
pub use error::SchedulerError;
pub use files::{FileTables, Listing, TakenOver};
pub use handle::DesktopScheduler;
pub use job::{JobPatch, JobSpec};
pub use view::{FireView, HistoryView, JobView};
pub use zone::{machine_zone, unheeded_tz, zone_of_session_alone};

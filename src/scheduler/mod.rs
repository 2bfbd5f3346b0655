//! The scheduler: when jobs are due their runs are started, and every due instant is accounted for.
//!
//! [`DesktopScheduler`] is the handle; behind it one thread (`actor`) waits for orders, for the clock and for the ends
//! of runs. [`SchedulerCore`] decides and records; it has no clock. A fire is first *claimed* with the id of its run,
//! in the same synced commit that moves the next instant. Then the run is started. Then the outcome is recorded. Every
//! start of the scheduler finishes what was left in between, whenever the program died. Without an engine, the handle
//! does what can be done with the database alone.
//!
//! The scheduler knows no pipeline files: it is given a function that finds what a name means. The meaning of schedules
//! is in `schedule`.

mod actor;
mod after;
mod agenda;
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

pub use agenda::{Coming, ComingFire, LedgerEntry};
pub use core::{Act, CATCH_UP_GAP_MS, JobStart, Resolve, SchedulerCore, StartOutcome, Target, Wake};
pub use error::SchedulerError;
pub use files::{FileTables, Listing, TakenOver};
pub use handle::DesktopScheduler;
pub use job::{JobPatch, JobSpec};
pub use view::{FireView, HistoryView, JobView};
pub use zone::{machine_zone, unheeded_tz, zone_of_session_alone};

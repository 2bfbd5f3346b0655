//! An engine in service: which process holds the data directory's lease, what runs beside the engine, and how all of it
//! is handed over to another process.
//!
//! In reading order: `lease` is acquired or handed over; `service` starts engine, scheduler, socket and housekeeping on
//! it; `lease_keeper` answers processes that want it; `command_handler` handles requests, `jobs` those about jobs.
//! `background` and `user_service` start processes that serve without a window.

mod background;
mod command_handler;
mod firing;
mod job_files;
mod lease;
mod lease_keeper;
mod live_limits;
mod measuring;
mod orders;
mod retention;
mod service;
mod usage;
mod user_service;
mod why;

pub use background::{Background, ServeFor, Unready, turn_log};
pub use command_handler::{CommandHandler, Owner};
pub use firing::{JobsFired, NOBODY_FIRES, fires_by_itself, jobs_fired, name_missing_pipelines};
pub use lease::{Acquisition, EngineLease, JoinError, Joined, StandFor, Standby, ask, join, succeed};
pub(crate) use measuring::Watch;
pub use orders::give_order;
pub(crate) use service::be_served;
pub use service::{Disposition, Mode, NewHolder, Service, ServiceOptions};
pub(crate) use usage::waits_of;
pub use user_service::{LogoutEffect, ServiceError, ServiceManager, UserService, logout_effect};

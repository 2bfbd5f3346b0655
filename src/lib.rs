//! Leverframe runs, schedules and watches the jobs of one desktop.
//!
//! # The plan of the house
//!
//! One engine thread owns the truth of every run and handles everything in four beats:
//! **decide, record, act, tell.**
//!
//! ```text
//! commands, step ends, reports, timer ──► decide ────► record ──────► act ────────────► tell
//!                                         pure         one SQLite     start, freeze,    events to every
//!                                         functions    transaction    signal, arm       subscriber
//! ```
//!
//! Starting up *is* recovering: the engine can die between any two beats, and the next start brings
//! the recorded state and the world together. Step processes are children of a small second process,
//! the supervisor (the same binary in a hidden mode), which survives the engine; its parent does nothing but wait, and
//! sees to it that the supervisor's own death costs nothing either.
//!
//! # Floors: imports point down only (`tests/house_rules.rs` holds this)
//!
//! | floor | modules | what stands there |
//! |---|---|---|
//! | roof | `ui`, [`cli`] | faces: they only listen and ask |
//! | 3 app | [`app`] | joins the parts: [`ExecutionIntegration`], [`AppStore`], settings, the catalogue of pipelines |
//! | 2 engine | [`engine`] | the only owner: [`CoreExecutionEngine`], its thread, [`EventBus`], recovery |
//! | 2 engine | [`scheduler`] | [`DesktopScheduler`]: fires jobs on the engine, and accounts for every due instant |
//! | 1 world | [`store`], [`supervisor`], [`control`], [`logs`], [`monitor`], [`awake`], `files`, `process`, `socket` | each wraps one outside thing |
//! | 1 world | `thread`, `at_exit` | threads without which a process is of no use: one that panics ends it; what is still done when a C library ends it |
//! | 0 rules | [`schedule`], [`pipeline`], [`admission`], [`run`], [`resources`], [`id`], [`time`], [`units`], `nearest` | pure: no I/O, no threads, no clock |

pub mod id;
mod nearest;
pub mod time;
pub mod units;

pub mod schedule;

pub mod pipeline;
pub mod resources;

pub mod admission;
pub mod run;

mod at_exit;
mod files;
mod thread;

mod process;

pub mod awake;
pub mod logs;
pub mod monitor;
mod socket;
pub mod store;

pub mod control;
pub mod supervisor;

pub mod engine;
pub mod scheduler;

pub mod app;

pub mod cli;
#[cfg(feature = "gui")]
pub mod ui;

pub use app::{AppStore, ExecutionIntegration};
pub use engine::{CoreExecutionEngine, EventBus};
pub use monitor::ResourceMonitor;
pub use schedule::ScheduleConfig;
pub use scheduler::DesktopScheduler;
pub use store::CheckpointManager;
pub use supervisor::supervisor_entry;

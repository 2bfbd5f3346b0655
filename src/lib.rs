//! Leverframe runs, schedules and watches the jobs of one desktop.
//!
//! # How it is built
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
//! # Modules: imports point down only (`tests/house_rules.rs` holds this)
//!
//! | floor | modules | what stands there |
//! |---|---|---|
//! | faces | `ui`, [`cli`] | they only listen and ask |
//! | 7 window | [`window`] | [`AppStore`], the read model, its port, and [`ExecutionIntegration`], which feeds it |
//! | 6 service | [`daemon`], [`offline`] | who is the engine of a directory, what is served beside it, how it passes on; what is asked without one |
//! | 5 control | [`control`] | the socket: what is said over it, its server and its client |
//! | 4 surface | [`api`] | what can be asked and what is answered: one vocabulary for all faces |
//! | 3 files | [`settings`], [`records`] | what the operator wrote, and what stands on disk about runs |
//! | 2 engine | [`engine`] | the only owner: [`CoreExecutionEngine`], its thread, [`EventBus`], recovery |
//! | 2 engine | [`scheduler`] | [`DesktopScheduler`]: fires jobs on the engine, and accounts for every due instant |
//! | 1 world | [`store`], [`supervisor`], [`logs`], [`monitor`], [`awake`], [`files`], `diagnostics`, `process`, `socket` | each wraps one outside thing |
//! | 0 rules | [`schedule`], [`pipeline`], [`admission`], [`run`], [`resources`], [`base`] | pure: no I/O, no threads, no clock (but for two parts of `base`: threads that a process can't do without, and its end) |

pub mod base;

pub mod schedule;

pub mod pipeline;
pub mod resources;

pub mod admission;
pub mod run;

mod process;
mod socket;

pub mod awake;
mod diagnostics;
pub mod files;
pub mod logs;
pub mod monitor;
pub mod store;
pub mod supervisor;

pub mod engine;
pub mod scheduler;

pub mod records;
pub mod settings;

pub mod api;
pub mod control;
pub mod daemon;
pub mod offline;

pub mod window;

pub mod cli;
#[cfg(feature = "gui")]
pub mod ui;

pub use engine::{CoreExecutionEngine, EventBus};
pub use monitor::ResourceMonitor;
pub use schedule::ScheduleConfig;
pub use scheduler::DesktopScheduler;
pub use store::CheckpointManager;
pub use supervisor::supervisor_entry;
pub use window::{AppStore, ExecutionIntegration};

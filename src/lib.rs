//! Leverframe runs, schedules and watches the jobs of one desktop.
//!
//! # As a library
//!
//! What a program needs stands at the root; the modules are the program's own inside, may change with each version, and
//! are not documented here. The programs below are complete; `examples/` holds each, and longer ones. A program whose runs
//! have steps calls [`supervisor_entry`] first thing in its `main`.
//!
//! [`CoreExecutionEngine`] owns the runs of one data directory. A program may drive a run itself:
//!
//! ```standalone_crate
//! use leverframe::{CoreExecutionEngine, EngineOptions, StartRequest};
//! use serde_json::json;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let scratch = tempfile::tempdir()?;
//! # std::env::set_current_dir(scratch.path())?;
//! let engine = CoreExecutionEngine::open("data", EngineOptions::default())?;
//! let context = engine.start_execution(StartRequest::new("alfabeta-1", "alfabeta", "alfabeta")?)?;
//! engine.update_progress(&context.run_id, 0.5, Some("processing_products"))?;
//! engine.checkpoint(&context.run_id, "processing_products", &json!({"page": 3}))?;
//! engine.complete_execution(&context.run_id, true, None)?;
//! # Ok(())
//! # }
//! ```
//!
//! [`DesktopScheduler`] starts runs when they are due. A job names a pipeline file of the data directory, or a function
//! that the program registered ([`CoreExecutionEngine::register_pipeline`]):
//!
//! ```standalone_crate
//! use leverframe::{CoreExecutionEngine, DesktopScheduler, EngineOptions, JobSpec, ScheduleConfig};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # leverframe::supervisor_entry();
//! # let scratch = tempfile::tempdir()?;
//! # std::env::set_current_dir(scratch.path())?;
//! # std::fs::create_dir_all("data/pipelines")?;
//! # std::fs::write("data/pipelines/alfabeta.toml", "[[step]]\nid = \"fetch\"\nrun = \"true\"\n")?;
//! # let engine = CoreExecutionEngine::open("data", EngineOptions::default())?;
//! let scheduler = DesktopScheduler::open(&engine)?; // scheduler.db beside the engine's own
//! scheduler.schedule_job(JobSpec::new("alfabeta-daily", "alfabeta", ScheduleConfig::daily(2, 0)?)?)?;
//! scheduler.start()?;
//! # scheduler.stop();
//! # Ok(())
//! # }
//! ```
//!
//! [`ExecutionIntegration`] is the whole of it on one data directory, with [`AppStore`], a read model that follows the
//! events:
//!
//! ```standalone_crate
//! use leverframe::{AppStore, EventBus, ExecutionIntegration, StopKind};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     leverframe::supervisor_entry();
//! #   let scratch = tempfile::tempdir()?;
//! #   std::env::set_current_dir(scratch.path())?;
//! #   std::fs::create_dir_all("data/pipelines")?;
//! #   std::fs::write("data/pipelines/alfabeta.toml", "[[step]]\nid = \"fetch\"\nrun = \"sleep 60\"\n")?;
//!     let mut integration = ExecutionIntegration::new(AppStore::default(), EventBus::default());
//!     integration.start("data")?;
//!     let run_id = integration.start_job("alfabeta", Some("FULL_REFRESH"))?;
//!     integration.pause_job(&run_id)?;
//!     integration.resume_job(&run_id)?;
//!     integration.stop_job(&run_id, StopKind::Graceful)?;
//! #   let stopped = || integration.engine()?.get_execution_state(&run_id).map_err(leverframe::Error::from);
//! #   let events = integration.engine()?.subscribe();
//! #   while stopped()?.is_some_and(|run| !run.state.is_ended()) {
//! #       events.recv();
//! #   }
//!     Ok(())
//! }
//! ```
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
//! the supervisor (the same binary in a hidden mode), which survives the engine. The supervisor's parent only waits, and
//! starts another supervisor when this one dies. A tiny child of the supervisor, the spawner, makes the steps' processes,
//! so that the kernel's figures of their memory are their own.
//!
//! # Modules: imports point down only (`tests/house_rules.rs` holds this)
//!
//! | floor | modules | duty |
//! |---|---|---|
//! | faces | `ui`, `cli` | they only listen and ask |
//! | 8 window | `window` | [`AppStore`], the read model, its port, and [`ExecutionIntegration`], which feeds it |
//! | 7 backend | `backend` | the engine as a face reaches it: the only module that knows whether it is in this process or another |
//! | 6 service | `daemon`, `offline` | the engine of a directory: its lease, its services, its hand-over; questions that need no engine |
//! | 5 control | `control` | the socket: its protocol, its server and its client |
//! | 4 surface | `api` | requests and answers: one vocabulary for all faces |
//! | 3 files | `settings`, `records` | the operator's settings and pipeline files; the records of runs on disk |
//! | 2 engine | `engine` | the only owner: [`CoreExecutionEngine`], its thread, [`EventBus`], recovery |
//! | 2 engine | `scheduler` | [`DesktopScheduler`]: fires jobs on the engine, and accounts for every due instant |
//! | 1 world | `store`, `supervisor`, `logs`, `monitor`, `awake`, `files`, `diagnostics`, `poller`, `process`, `socket` | each wraps one outside thing |
//! | 0 rules | `schedule`, `config`, `pipeline`, `admission`, `run`, `resources`, `base` | pure: no I/O, no threads, no clock (except parts of `base`: named threads, tasks that share a thread, wakers, the event queue, and a process's end) |

#[doc(hidden)]
pub mod base;

mod config;
#[doc(hidden)]
pub mod schedule;

#[doc(hidden)]
pub mod pipeline;
#[doc(hidden)]
pub mod resources;

#[doc(hidden)]
pub mod admission;
#[doc(hidden)]
pub mod run;

mod poller;
mod process;
mod socket;

#[doc(hidden)]
pub mod awake;
mod diagnostics;
#[doc(hidden)]
pub mod files;
#[doc(hidden)]
pub mod logs;
#[doc(hidden)]
pub mod monitor;
#[doc(hidden)]
pub mod store;
#[doc(hidden)]
pub mod supervisor;

#[doc(hidden)]
pub mod engine;
#[doc(hidden)]
pub mod scheduler;

#[doc(hidden)]
pub mod records;
#[doc(hidden)]
pub mod settings;

#[doc(hidden)]
pub mod api;
#[doc(hidden)]
pub mod control;
#[doc(hidden)]
pub mod daemon;
#[doc(hidden)]
pub mod offline;

#[doc(hidden)]
pub mod backend;

#[doc(hidden)]
pub mod window;

#[doc(hidden)]
pub mod cli;
#[cfg(feature = "gui")]
#[doc(hidden)]
pub mod ui;

// What programs use, by subject: the names of the contract, and the types of their parameters, results and events.

#[doc(inline)]
pub use base::id::{InvalidId, JobId, PipelineId, RunId, StepId};
#[doc(inline)]
pub use base::tz::Tz;

#[doc(inline)]
pub use engine::{
    CoreExecutionEngine, EngineError, EngineOptions, EventBus, ExecutionContext, OnDiskFull, ShutdownKind,
    Signal, StartRequest, Subscription, SubscriptionGuard,
};

#[doc(inline)]
pub use run::{
    Definition, Event, EventKind, Plan, Refusal, RunState, RunSummary, StepState, StepSummary, StopKind,
    Trigger,
};

#[doc(inline)]
pub use pipeline::Pipeline;

#[doc(inline)]
pub use schedule::{AfterOn, CronExpr, Misfire, MisfirePolicy, Overlap, ScheduleConfig, ScheduleError, Zone};

#[doc(inline)]
pub use scheduler::{DesktopScheduler, FireView, HistoryView, JobPatch, JobSpec, JobView, SchedulerError};

#[doc(inline)]
pub use store::{
    CheckpointManager, CheckpointRecord, DataDirError, ExecutionRecord, FireFilter, RunFilter, StoreError,
};

#[doc(inline)]
pub use monitor::{MonitorHandle, MonitorOptions, ResourceMonitor};
#[doc(inline)]
pub use resources::{MachineSample, ResourceSnapshot};

#[doc(inline)]
pub use api::Error;

#[doc(inline)]
pub use window::{AppStore, ExecutionIntegration, RunEntry};

#[doc(inline)]
pub use supervisor::supervisor_entry;

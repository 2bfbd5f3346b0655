//! The engine: the only owner of every run. [`CoreExecutionEngine`] is the handle; behind it one thread
//! decides, records, acts and tells (`core`).
//!
//! It deliberately knows nothing of windows, terminals or files of pipelines: it is given definitions.

mod act;
mod admitting;
mod beats;
mod bus;
mod changes;
mod clock;
mod closing;
mod context;
mod core;
mod deadlines;
mod error;
mod for_jobs;
mod handle;
mod host_link;
mod inbox;
mod launch;
mod launcher;
mod limits;
mod measuring;
mod message;
mod new_runs;
mod options;
mod orders;
mod outage;
mod published;
mod publisher;
mod recovery;
mod reported;
mod secrets;
mod signal;
mod silence;
mod sleep_inhibition;
mod stock;

pub use admitting::CurrentWait;
pub use bus::{EventBus, MAX_WAITING_FACTS, Subscription, SubscriptionEnder, SubscriptionGuard};
pub use clock::{WallTimer, now};
pub use closing::ShutdownKind;
pub use context::ExecutionContext;
pub use error::EngineError;
pub use handle::CoreExecutionEngine;
pub use options::{
    EngineOptions, HostChoice, HostSink, HostStart, MakeHost, OnDiskFull, Params, PipelineRequest, Scope,
    StartRequest,
};
pub use published::EngineSnapshot;
pub use signal::Signal;

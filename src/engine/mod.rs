//! The engine: the only owner of every run. [`CoreExecutionEngine`] is the handle; behind it one thread decides,
//! records, acts and tells.
//!
//! In reading order: `handle` has the calls (more in `for_jobs`, `orders`, `admitting` and `closing`); `message`, what
//! wakes the thread; `core`, the parts of the engine; the parts, each with its data and one rule (`inbox`, `runs`,
//! `batch` and `recorder`, `outage`, `deadlines`, `line`, `machine`, `host_link`, `acting`, `reports`, `lifecycle`,
//! `publisher`); and what brings them together: `beats`, `translate`, `host_news`, `recovery`, `turn`, `open`.
//!
//! The engine knows no windows, terminals or pipeline files: it is given definitions.

mod acting;
mod admitting;
mod batch;
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
mod host_news;
mod inbox;
mod launch;
mod launcher;
mod lifecycle;
mod limits;
mod line;
mod machine;
mod message;
mod open;
mod options;
mod orders;
mod outage;
mod power;
mod published;
mod publisher;
mod recorder;
mod recovery;
mod reports;
mod runs;
mod secrets;
mod signal;
mod sleep_inhibition;
mod stored;
mod translate;
mod turn;

#[cfg(test)]
mod test_runs;

pub use bus::{EventBus, MAX_WAITING_FACTS, Subscription, SubscriptionEnder, SubscriptionGuard};
pub use clock::{WallTimer, now};
pub use context::ExecutionContext;
pub use error::EngineError;
pub(crate) use handle::Beginning;
pub use handle::CoreExecutionEngine;
pub use lifecycle::ShutdownKind;
pub use line::CurrentWait;
pub use options::{
    EngineOptions, HostChoice, HostSink, HostStart, MakeHost, OnDiskFull, Scope, StartRequest,
};
pub use published::EngineSnapshot;
pub use secrets::secret_state;
pub use signal::Signal;

//! Where steps run: the port [`StepHost`], and the local supervisor behind it.
//!
//! Step processes are children of a small second process, the same binary in a hidden mode, which
//! survives the engine. It deliberately knows nothing of pipelines, retries or databases.

mod host;

pub use host::*;

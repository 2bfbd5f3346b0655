//! Joins the parts: what stands between the engine and its faces. [`AppStore`] is the read model that
//! the window paints from; [`window_port`] makes the pair of channels through which updates come in and actions
//! go out. Nothing here knows how anything is painted.

mod catalogue;
mod errands;
mod integration;
mod port;
mod presence;
mod records;
mod refresh;
mod request;
mod settings;
mod store;
mod upkeep;

pub use catalogue::{Catalogue, CatalogueEntry, CatalogueError, read_definition};
pub use integration::{ExecutionIntegration, IntegrationError};
pub use port::*;
pub use presence::{Presence, presence};
pub use records::*;
pub use refresh::*;
pub use request::{Asked, definition_of, request};
pub use settings::{Settings, SettingsError};
pub use store::*;
pub use upkeep::{UnpackedSamples, apply_prune, log_bytes, plan_prune, unpack_samples};

pub use crate::monitor::MachineSample;

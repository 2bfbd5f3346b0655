//! Joins the parts: what stands between the engine and its faces. [`AppStore`] is the read model that
//! the window paints from; [`window_port`] makes the pair of channels through which updates come in and actions
//! go out. Beside them stand the settings, the catalogue of pipelines, requests for runs, and what is asked of
//! a data directory without an engine. Nothing here knows how anything is painted.

mod catalogue;
mod checkup;
mod desk;
mod errands;
mod integration;
mod port;
mod presence;
mod records;
mod refresh;
mod request;
mod run_follower;
mod settings;
mod store;
mod upkeep;
mod user_service;
mod watch;
mod window_look;

pub use catalogue::{Catalogue, CatalogueEntry, CatalogueError, read_definition};
pub use checkup::{Finding, Severity, check_up, has_display};
pub use integration::{ExecutionIntegration, IntegrationError};
pub use port::*;
pub use presence::{Presence, presence};
pub use records::{LogSection, Records, RunRecord};
pub use refresh::{RefreshError, refresh_definition};
pub use request::{Asked, definition_of, request};
pub use run_follower::{FollowEnd, Followed, RunFollower};
pub use settings::{Settings, SettingsError};
pub use store::*;
pub use upkeep::{UnpackedSamples, apply_prune, log_bytes, plan_prune, unpack_samples};
pub use user_service::{LogoutFate, ServiceError, ServiceManager, UserService, logout_fate};
pub use watch::Watch;
pub use window_look::{ThemeChoice, WindowLook};

pub use crate::logs::{LogChunk, LogLine, LogReader, TextForm, append_report};
pub use crate::resources::MachineSample;
pub use crate::store::{
    AttemptRecord, CheckpointRecord, PrunePlan, PruneReason, PruneReport, PrunedRun, RunFilter, StoreError,
    StoredBody, StoredRun,
};
pub use crate::store::{DataDir, DataDirError};

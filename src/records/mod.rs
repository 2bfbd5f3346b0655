//! What is on disk about runs, for callers with or without an engine. Reading takes no lock, recovers nothing and
//! changes nothing.

mod definition;
mod reader;
mod refresh;
mod run_follower;
mod stats;
mod upkeep;
mod why;

pub use definition::definition_of;
pub use reader::{LogSection, Records, RunRecord};
pub use refresh::{RefreshError, fresh_definition, refresh_definition};
pub use run_follower::{FollowEnd, Followed, RunFollower};
pub use stats::{PipelineStats, StepStats};
pub use upkeep::{apply_prune, log_bytes, plan_prune, unpack_samples};
pub(crate) use upkeep::{prune_fires, spare_unbooked};
pub use why::WhyAnswer;

//! Joins the parts: what stands between the engine and its faces. [`AppStore`] is the read model that
//! the window paints from; [`window_port`] makes the pair of channels through which updates come in and actions
//! go out. Beside them stand the settings, the catalogue of pipelines, requests for runs, and what is asked of
//! a data directory without an engine. Nothing here knows how anything is painted.

mod answers;
mod background;
mod catalogue;
mod checkup;
mod command;
mod desk;
mod errands;
pub mod exit_code;
mod finder;
mod firing;
mod hands;
mod integration;
mod job_checkup;
mod job_files;
mod job_page;
mod job_params;
mod jobs;
mod limits;
mod machine_history;
mod orders;
mod port;
mod query;
mod reach;
mod records;
mod refresh;
mod remote_usage;
mod request;
mod retention;
mod run_follower;
mod seat;
mod seat_keeper;
mod service;
mod settings;
mod stats;
mod store;
mod table_edit;
mod upkeep;
mod urgency;
mod usage;
mod user_service;
mod watch;
mod why;
mod window_desk;
mod window_look;

pub use answers::*;
pub use background::{Background, ServeFor, Unready, turn_log};
pub use catalogue::{Catalogue, CatalogueEntry, CatalogueError, read_definition};
pub use checkup::{Finding, Severity, check_up, has_display};
pub use command::{Command, Start};
pub use desk::{Desk, Owner};
pub use exit_code::HasExitCode;
pub use finder::{PipelineFinder, file_tables};
pub use firing::{JobsFired, NOBODY_FIRES, fires_by_itself, jobs_fired, name_missing_pipelines};
pub use hands::{ControlOptions, ControlServer, HandOver, METHODS};
pub use integration::{ExecutionIntegration, IntegrationError};
pub use job_page::{FireRow, JobDetail, JobPage, JobRow, MAX_FIRES, MAX_MARKS};
pub use job_params::JobParams;
pub use jobs::{Jobs, MAX_HISTORY, MAX_ROWS};
pub use limits::{LimitParams, LimitProblem, LimitView, LimitWords};
pub use machine_history::{
    AlertMark, HistorySpan, MAX_MARKS_OF_HISTORY, MAX_POINTS, MAX_SPANS, MachineHistory,
};
pub use orders::give_order;
pub use port::*;
pub use query::Query;
pub use records::{LogSection, Records, RunRecord};
pub use refresh::{RefreshError, fresh_definition, refresh_definition};
pub use request::{Asked, definition_of, request};
pub use run_follower::{FollowEnd, Followed, RunFollower};
pub use seat::{Asking, Bequest, JoinError, Joined, OWN_NAME, Seat, StandFor, Standby, ask, join, succeed};
pub use service::{Fate, Heir, Parts, Service, ServiceOptions};
pub use settings::{Settings, SettingsError};
pub use stats::{PipelineStats, StepStats};
pub use store::*;
pub use table_edit::{TableChange, interval_text};
pub use upkeep::{UnpackedSamples, apply_prune, log_bytes, plan_prune, unpack_samples};
pub use urgency::Urgency;
pub use usage::{Usage, UsageOfRun, UsageOfStep};
pub use user_service::{LogoutFate, ServiceError, ServiceManager, UserService, logout_fate};
pub use why::WhyAnswer;
pub use window_look::{ThemeChoice, WindowLook};

pub use crate::control::wire::{ClosingNotice, EventFilter, Face};
pub use crate::control::{ControlClient, ControlError, Events, HandedOver, ReceivedEvent};
pub use crate::engine::CurrentWait;
pub use crate::files::{MAX_SMALL_FILE, read_bounded, read_small_file, read_small_text};
pub use crate::logs::{LogChunk, LogLine, LogReader, TextForm, append_report};
pub use crate::resources::{MachineSample, Spread};
pub use crate::scheduler::{
    DesktopScheduler, FireView, HistoryView, JobChange, JobSpec, JobView, OfflineScheduler, SchedulerError,
    machine_zone, unheeded_tz, zone_of_session_alone,
};
pub use crate::store::FireFilter;
pub use crate::store::{
    AttemptRecord, CheckpointRecord, MachinePoint, PrunePlan, PruneReason, PruneReport, PrunedRun, RunFilter,
    StepSpan, StoreError, StoredBody, StoredRun,
};
pub use crate::store::{DataDir, DataDirError, Presence, presence};
pub use crate::supervisor::SILENT as SILENT_SUPERVISOR;

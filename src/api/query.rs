//! Everything that can be asked of an engine's owner without changing anything: [`Query`], the sister of
//! [`crate::api::command::Command`].

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::base::id::{JobId, RunId};
use crate::base::time::read_maybe_instant;
use crate::store::RunFilter;

/// Something to be told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", content = "params", deny_unknown_fields)]
pub enum Query {
    /// Which engine this is; answered by [`crate::api::answers::EngineStatus`].
    #[serde(rename = "engine.status")]
    Status {},
    /// All living runs at one moment; answered by [`crate::api::answers::LivingRuns`].
    #[serde(rename = "engine.snapshot")]
    Snapshot {},
    /// What the machine and the living runs cost; answered by [`crate::api::usage::Usage`].
    #[serde(rename = "engine.usage")]
    Usage {
        /// Wait for a newer sample than that of this instant, for 2 seconds at most.
        #[serde(default, deserialize_with = "read_maybe_instant")]
        after: Option<DateTime<Utc>>,
    },
    /// Runs, newest first; answered by a list of summaries.
    #[serde(rename = "run.list")]
    Runs(RunFilter),
    /// One run whole; answered by [`crate::records::RunRecord`].
    #[serde(rename = "run.show")]
    Run {
        /// Which.
        run_id: RunId,
    },
    /// Why a run is as it is; answered by [`crate::records::WhyAnswer`].
    #[serde(rename = "run.why")]
    Why {
        /// Which.
        run_id: RunId,
    },
    /// What the steps of a run checkpointed last; answered by a list.
    #[serde(rename = "run.checkpoints")]
    Checkpoints {
        /// Of which run.
        run_id: RunId,
    },
    /// All jobs, by name; answered by a list.
    #[serde(rename = "schedule.list")]
    Jobs {},
    /// One job.
    #[serde(rename = "schedule.show")]
    Job {
        /// Which.
        job_id: JobId,
    },
    /// The newest runs of a job, newest first; answered by a list.
    #[serde(rename = "schedule.history")]
    JobHistory {
        /// Of which job.
        job_id: JobId,
        /// How many at most; none: [`crate::daemon::MAX_HISTORY`], never more than [`crate::daemon::MAX_ROWS`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<usize>,
    },
    /// What became of a job's due instants, oldest first; answered by a list.
    #[serde(rename = "schedule.fires")]
    Fires {
        /// Of which job.
        job_id: JobId,
        /// Only those at this instant or later.
        #[serde(default, deserialize_with = "read_maybe_instant", skip_serializing_if = "Option::is_none")]
        from: Option<DateTime<Utc>>,
        /// Only those before this one.
        #[serde(default, deserialize_with = "read_maybe_instant", skip_serializing_if = "Option::is_none")]
        to: Option<DateTime<Utc>>,
        /// The newest so many; never more than [`crate::daemon::MAX_ROWS`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<usize>,
    },
    /// The limits, and which of them are exceeded; answered by a list of [`crate::settings::LimitView`].
    #[serde(rename = "limits.get")]
    Limits {},
    /// All pipelines, broken ones included; answered by a list.
    #[serde(rename = "pipeline.list")]
    Pipelines {},
}

impl Query {
    /// The names of all of them.
    pub const METHODS: &'static [&'static str] = &[
        "engine.status",
        "engine.snapshot",
        "engine.usage",
        "run.list",
        "run.show",
        "run.why",
        "run.checkpoints",
        "schedule.list",
        "schedule.show",
        "schedule.history",
        "schedule.fires",
        "limits.get",
        "pipeline.list",
    ];

    /// Its name on the wire.
    pub const fn method(&self) -> &'static str {
        match self {
            Self::Status {} => "engine.status",
            Self::Snapshot {} => "engine.snapshot",
            Self::Usage { .. } => "engine.usage",
            Self::Runs(_) => "run.list",
            Self::Run { .. } => "run.show",
            Self::Why { .. } => "run.why",
            Self::Checkpoints { .. } => "run.checkpoints",
            Self::Jobs {} => "schedule.list",
            Self::Job { .. } => "schedule.show",
            Self::JobHistory { .. } => "schedule.history",
            Self::Fires { .. } => "schedule.fires",
            Self::Limits {} => "limits.get",
            Self::Pipelines {} => "pipeline.list",
        }
    }
}

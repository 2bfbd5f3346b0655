//! The errors of calls about jobs: what failed, why, and what would be right.

use chrono::{DateTime, Utc};

use crate::base::id::{InvalidId, JobId, PipelineId};
use crate::base::time::format_instant;
use crate::engine::EngineError;
use crate::pipeline::ParamError;
use crate::schedule::ScheduleError;
use crate::store::StoreError;

/// Why the scheduler did not do what was requested. In each case nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum SchedulerError {
    /// The job does not exist.
    #[error("there is no job {job_id}{hint}")]
    NotFound {
        /// The requested name.
        job_id: String,
        /// The nearest name, or how to list the jobs, after a semicolon.
        hint: String,
    },
    /// A job of this name exists already.
    #[error(
        "there is a job {job_id} already; change it with `leverframe schedule set`, or choose another id"
    )]
    Exists {
        /// The requested id.
        job_id: JobId,
    },
    /// The job's row can't be read.
    #[error("job {job_id} can't be used: {problem}; set its schedule again, or remove it")]
    Broken {
        /// The job's name.
        job_id: String,
        /// What is wrong.
        problem: String,
    },
    /// The schedule, its zone or a policy makes no sense.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// The values for a job are incomplete or make no sense.
    #[error("{0}")]
    Invalid(String),
    /// The pipeline does not exist or can't be used.
    #[error("job {job_id} can't run pipeline {pipeline_id}: {reason}")]
    Pipeline {
        /// The job's id.
        job_id: JobId,
        /// The pipeline's id.
        pipeline_id: PipelineId,
        /// The reason.
        reason: String,
    },
    /// The parameters don't fit the pipeline.
    #[error("job {job_id}: {error}")]
    Param {
        /// The job's id.
        job_id: JobId,
        /// What is wrong with the parameters.
        error: ParamError,
    },
    /// The job would come after a job that does not exist.
    #[error("job {job_id} can't come after {upstream}: there is no such job{hint}")]
    NoUpstream {
        /// The job's id.
        job_id: JobId,
        /// The job that does not exist.
        upstream: JobId,
        /// The nearest name, after a semicolon; or nothing.
        hint: String,
    },
    /// The job would come after itself.
    #[error("job {} would come after itself: {}; leave one of these out", cycle.first().map_or("", JobId::as_str), in_a_row(cycle))]
    Cycle {
        /// The jobs of the cycle, each after the next; the first is also the last.
        cycle: Vec<JobId>,
    },
    /// A pipeline file says when the job runs.
    #[error(
        "job {job_id} is defined in a [[schedule]] table of {file}; {what} there (its switch, and everything except its timing, can be set here)"
    )]
    FromFile {
        /// The job's id.
        job_id: JobId,
        /// The file.
        file: String,
        /// What was requested, and must be done in the file.
        what: &'static str,
    },
    /// Other jobs come after it.
    #[error("job {job_id} can't be removed: {} after it; change or remove that first", comes(.downstream))]
    HasDownstream {
        /// The job's id.
        job_id: JobId,
        /// The jobs that come after it.
        downstream: Vec<String>,
    },
    /// A range of instants can't be backfilled.
    #[error("the backfill of job {job_id} from {} to {} can't be made: {why}", format_instant(*from), format_instant(*to))]
    Backfill {
        /// The job's id.
        job_id: JobId,
        /// The first instant.
        from: DateTime<Utc>,
        /// The last instant.
        to: DateTime<Utc>,
        /// The reason, and what would be right.
        why: String,
    },
    /// A run of the job could not be started.
    #[error("a run of job {job_id} could not be started: {reason}")]
    NotStarted {
        /// The job's id.
        job_id: JobId,
        /// The reason.
        reason: String,
    },
    /// An id is malformed.
    #[error(transparent)]
    Id(#[from] InvalidId),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The jobs were reached without an engine that could do it; the text says what can't be done.
    #[error(
        "{0}: no engine of this data directory fires jobs; start `leverframe serve`, which also takes over what runs in the foreground"
    )]
    NoEngine(String),
    /// The engine refused or failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The settings of the data directory can't be read, so the folders of pipelines are unknown.
    #[error("{0}")]
    Settings(String),
    /// The system has no thread, timer or pipe left.
    #[error("the system refused a resource: {0}")]
    System(#[from] std::io::Error),
    /// The scheduler has ended or is ending.
    #[error("the scheduler has been stopped")]
    Stopped,
}

fn in_a_row(cycle: &[JobId]) -> String {
    cycle.iter().map(JobId::as_str).collect::<Vec<_>>().join(" → ")
}

fn comes(downstream: &[String]) -> String {
    let verb = if downstream.len() == 1 { "comes" } else { "come" };
    format!("{} {verb}", downstream.join(", "))
}

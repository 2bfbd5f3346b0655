//! What can go wrong when something is asked of jobs: what, why, and what is right.

use chrono::{DateTime, Utc};

use crate::base::id::{InvalidId, JobId, PipelineId};
use crate::base::time::format_instant;
use crate::engine::EngineError;
use crate::pipeline::ParamError;
use crate::schedule::ScheduleError;
use crate::store::StoreError;

/// Why the scheduler did not do what it was asked. Nothing was changed, whichever it is.
#[derive(Debug, thiserror::Error)]
pub enum SchedulerError {
    /// There is no such job.
    #[error("there is no job {job_id}{hint}")]
    NotFound {
        /// Which.
        job_id: String,
        /// The nearest name, or how to list them, after a semicolon.
        hint: String,
    },
    /// There is such a job already.
    #[error(
        "there is a job {job_id} already; change it with `leverframe schedule set`, or choose another id"
    )]
    Exists {
        /// Which.
        job_id: JobId,
    },
    /// Its row says something that can't be understood.
    #[error("job {job_id} can't be used: {problem}; set its schedule anew, or remove it")]
    Broken {
        /// Which.
        job_id: String,
        /// What.
        problem: String,
    },
    /// The schedule, its zone or a policy makes no sense.
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    /// What is said of it is not enough, or makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// The pipeline is not there, or can't be used.
    #[error("job {job_id} can't run pipeline {pipeline_id}: {reason}")]
    Pipeline {
        /// Which job.
        job_id: JobId,
        /// Which pipeline.
        pipeline_id: PipelineId,
        /// Why.
        reason: String,
    },
    /// Its parameters don't fit the pipeline.
    #[error("job {job_id}: {error}")]
    Param {
        /// Which job.
        job_id: JobId,
        /// What is wrong with them.
        error: ParamError,
    },
    /// It would come after a job that is not there.
    #[error("job {job_id} can't come after {upstream}: there is no such job{hint}")]
    NoUpstream {
        /// Which job.
        job_id: JobId,
        /// The one that is not there.
        upstream: JobId,
        /// The nearest name, after a semicolon; or nothing.
        hint: String,
    },
    /// It would come after itself.
    #[error("job {} would come after itself: {}; leave one of these out", cycle.first().map_or("", JobId::as_str), in_a_row(cycle))]
    Cycle {
        /// The jobs, each after the next; the first is the last.
        cycle: Vec<JobId>,
    },
    /// A pipeline file says when it runs.
    #[error(
        "job {job_id} stands in a [[schedule]] table of {file}; {what} there (its switch, and what is not its timing, can be set here)"
    )]
    FromFile {
        /// Which job.
        job_id: JobId,
        /// The file.
        file: String,
        /// What was to be done, and is done there.
        what: &'static str,
    },
    /// Others come after it.
    #[error("job {job_id} can't be removed: {} after it; change or remove that first", comes(.downstream))]
    HasDownstream {
        /// Which job.
        job_id: JobId,
        /// Those that come after it.
        downstream: Vec<String>,
    },
    /// The time between two instants can't be run again.
    #[error("the backfill of job {job_id} from {} to {} can't be made: {why}", format_instant(*from), format_instant(*to))]
    Backfill {
        /// Which job.
        job_id: JobId,
        /// The first instant.
        from: DateTime<Utc>,
        /// Up to this instant.
        to: DateTime<Utc>,
        /// Why, and what is right.
        why: String,
    },
    /// The run of a job could not be started.
    #[error("a run of job {job_id} could not be started: {reason}")]
    NotStarted {
        /// Which job.
        job_id: JobId,
        /// Why.
        reason: String,
    },
    /// A name is malformed.
    #[error(transparent)]
    Id(#[from] InvalidId),
    /// The database said no.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The jobs were reached without an engine that could do it; the text says what can't be done.
    #[error(
        "{0}: no engine of this data directory fires jobs; start `leverframe serve`, which also takes over what runs in the foreground"
    )]
    NoEngine(String),
    /// The engine said no.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The settings of the data directory can't be read, so that the folders of pipelines are not known.
    #[error("{0}")]
    Settings(String),
    /// A thread, timer or pipe could not be had.
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

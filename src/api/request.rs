//! All requests to an engine: a small type for each, whose fields are its params. The table here is the only list: the
//! client's typed calls, the server's methods, and what a command handler must implement all come from it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::answers::{Backfilled, CheckpointDocument, Done, EngineStatus, LivingRuns, PipelineView};
use super::error::Error;
use super::usage::Usage;
use crate::admission::Orders;
use crate::base::id::{JobId, RunId, StepId};
use crate::base::time::{instant, maybe_instant, read_instant, read_maybe_instant};
use crate::engine::ShutdownKind;
use crate::records::{RunRecord, WhyAnswer};
use crate::run::RunSummary;
use crate::scheduler::{FireView, HistoryView, JobPatch, JobView};
use crate::settings::{LimitParams, LimitView};
use crate::store::RunFilter;

/// How many runs of a job are told where no limit is given.
pub const MAX_HISTORY: usize = 50;

/// The most rows of history or of fires that a request is answered with: the answer stands in memory as a whole.
pub const MAX_ROWS: usize = 100_000;

/// A request. It serializes to its params.
pub trait Request: Serialize + DeserializeOwned + 'static {
    type Answer: Serialize + DeserializeOwned;
    /// Its method on the wire.
    const METHOD: &'static str;
    /// True if it changes nothing, so that it may be repeated.
    const LOOKS_ONLY: bool;
}

/// Handles one kind of request.
pub trait Handles<R: Request> {
    /// Does what is requested, or looks it up.
    ///
    /// # Errors
    /// [`Error`] when it is refused, or what it names does not exist. Nothing was changed then.
    fn handle(&self, request: R) -> Result<R::Answer, Error>;
}

/// A parsed request. Calling it handles the request.
pub type Understood<'a> = Box<dyn FnOnce() -> Result<Box<RawValue>, Error> + 'a>;

/// A request as it is sent.
#[derive(Debug, Serialize)]
pub struct Call<'a, R> {
    method: &'static str,
    params: &'a R,
}

impl<'a, R: Request> From<&'a R> for Call<'a, R> {
    fn from(params: &'a R) -> Self {
        Self { method: R::METHOD, params }
    }
}

macro_rules! looks_only {
    (change) => {
        false
    };
    (look) => {
        true
    };
}

macro_rules! requests {
    ($(
        $(#[$meta:meta])*
        $kind:ident $method:literal $name:ident {
            $($(#[$field_meta:meta])* $field:ident: $type:ty),* $(,)?
        } -> $answer:ty;
    )*) => {
        $(
            #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
            #[serde(deny_unknown_fields)]
            $(#[$meta])*
            pub struct $name {
                $(#[doc = concat!("`", stringify!($field), "` of the params.")] $(#[$field_meta])* pub $field: $type),*
            }

            impl Request for $name {
                type Answer = $answer;
                const METHOD: &'static str = $method;
                const LOOKS_ONLY: bool = looks_only!($kind);
            }
        )*

        /// The names of all methods.
        pub const METHODS: &[&str] = &[$($method),*];

        /// Handles every request.
        pub trait HandlesAll: $(Handles<$name> +)* {}

        impl<H: $(Handles<$name> +)*> HandlesAll for H {}

        /// Parses a request for `handler`; none when the method is unknown.
        pub fn understand<'a>(
            handler: &'a impl HandlesAll,
            method: &str,
            params: &str,
        ) -> Option<serde_json::Result<Understood<'a>>> {
            match method {
                $($method => Some(understand_one::<$name>(handler, params)),)*
                _ => None,
            }
        }
    };
}

fn understand_one<'a, R: Request>(
    handler: &'a impl Handles<R>,
    params: &str,
) -> serde_json::Result<Understood<'a>> {
    let request: R = serde_json::from_str(params)?;
    Ok(Box::new(move || {
        let answer = to_raw_value(&handler.handle(request)?);
        answer.map_err(|error| Error::impossible(format!("the answer can't be written: {error}")))
    }))
}

requests! {
    /// Start a run. A field that is absent has the pipeline's own default.
    #[derive(Default)]
    #[serde(default)]
    change "run.start" StartRun {
        /// The id of a pipeline, or the absolute path of a file (it begins with a `/`). None with `like`: the
        /// definition of that run.
        #[serde(skip_serializing_if = "Option::is_none")]
        pipeline: Option<String>,
        /// Parameters by name.
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        params: BTreeMap<String, String>,
        /// The run's id. None: a new one is made.
        #[serde(skip_serializing_if = "Option::is_none")]
        run_id: Option<RunId>,
        /// Such as `FULL_REFRESH`.
        #[serde(skip_serializing_if = "Option::is_none")]
        run_type: Option<String>,
        /// Such as `dev`.
        #[serde(skip_serializing_if = "Option::is_none")]
        environment: Option<String>,
        /// From 0 to 9. Among waiting runs the highest goes first.
        #[serde(skip_serializing_if = "Option::is_none")]
        priority: Option<u8>,
        /// Use the parameters, run type and environment of this run where this request has none.
        #[serde(skip_serializing_if = "Option::is_none")]
        like: Option<RunId>,
    } -> RunSummary;

    /// Freeze a run.
    change "run.pause" Pause { run_id: RunId } -> RunSummary;

    /// Thaw a paused run, or resume one that ended without completing.
    change "run.resume" Resume {
        run_id: RunId,
        /// Take the pipeline file as it is now, instead of the definition that the run started with.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        refresh: bool,
    } -> RunSummary;

    /// Ask a run to stop, or end it at once.
    change "run.stop" Stop {
        run_id: RunId,
        /// End it at once, without its last steps.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        force: bool,
    } -> RunSummary;

    /// Run steps of an ended run again.
    change "run.retry" Retry {
        run_id: RunId,
        /// This step and all that need it. None: the steps that have not completed, or else all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<StepId>,
        /// Take the pipeline file as it is now.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        refresh: bool,
    } -> RunSummary;

    /// Start a run, or those of its steps that wait, although what they wait for is missing.
    change "run.admit" Admit { run_id: RunId } -> RunSummary;

    /// Freeze what runs and hold what is to start, until the given instant or until it is ended.
    change "engine.quiet" Quiet {
        /// Until when; none: until [`EndQuiet`].
        #[serde(
            default,
            serialize_with = "maybe_instant",
            deserialize_with = "read_maybe_instant",
            skip_serializing_if = "Option::is_none"
        )]
        until: Option<DateTime<Utc>>,
    } -> Orders;

    /// Thaw what was frozen and start what was held.
    change "engine.end_quiet" EndQuiet {} -> Orders;

    /// Start no more runs. Running ones go on.
    change "engine.drain" Drain {} -> Orders;

    /// Start runs again.
    change "engine.end_drain" EndDrain {} -> Orders;

    /// Add a job.
    #[serde(transparent)]
    change "schedule.add" AddJob { params: Box<JobPatch> } -> JobView;

    /// Change the given fields of a job.
    #[serde(transparent)]
    change "schedule.set" SetJob { params: Box<JobPatch> } -> JobView;

    /// Remove a job.
    change "schedule.remove" RemoveJob { job_id: JobId } -> Done;

    /// Let a job fire.
    change "schedule.enable" EnableJob { job_id: JobId } -> JobView;

    /// Stop a job from firing.
    change "schedule.disable" DisableJob { job_id: JobId } -> JobView;

    /// Give a job another name.
    change "schedule.rename" RenameJob {
        job_id: JobId,
        /// The new name.
        to: JobId,
    } -> JobView;

    /// Start a run of a job, also when it is disabled.
    change "schedule.run_now" RunJobNow { job_id: JobId } -> RunSummary;

    /// Run the due instants of a job in this range that did not run.
    change "schedule.backfill" Backfill {
        job_id: JobId,
        /// From this instant on.
        #[serde(serialize_with = "instant", deserialize_with = "read_instant")]
        from: DateTime<Utc>,
        /// Up to this instant, included.
        #[serde(serialize_with = "instant", deserialize_with = "read_instant")]
        to: DateTime<Utc>,
    } -> Backfilled;

    /// Set or remove a limit: in the settings, and at once.
    #[serde(transparent)]
    change "limits.set" SetLimit { params: LimitParams } -> Vec<LimitView>;

    /// End the engine. Answered when everything is recorded and, if requested, runs are frozen or stopped.
    change "engine.shutdown" Shutdown {
        /// What happens to living runs.
        kind: ShutdownKind,
    } -> Done;

    /// Bring the window to the front.
    change "window.raise" Raise {} -> Done;

    /// Which engine this is.
    look "engine.status" GetStatus {} -> EngineStatus;

    /// All living runs at one moment.
    look "engine.snapshot" GetSnapshot {} -> LivingRuns;

    /// What the machine and the living runs use.
    look "engine.usage" GetUsage {
        /// Wait for a sample after this instant, for at most 2 seconds.
        #[serde(default, deserialize_with = "read_maybe_instant")]
        after: Option<DateTime<Utc>>,
    } -> Usage;

    /// Runs, newest first.
    #[serde(transparent)]
    look "run.list" ListRuns { filter: RunFilter } -> Vec<RunSummary>;

    /// One run with its details.
    look "run.show" ShowRun { run_id: RunId } -> RunRecord;

    /// Why a run is as it is.
    look "run.why" ExplainRun { run_id: RunId } -> WhyAnswer;

    /// The last checkpoints of a run's steps, oldest first.
    look "run.checkpoints" ListCheckpoints { run_id: RunId } -> Vec<CheckpointDocument>;

    /// All jobs, by name.
    look "schedule.list" ListJobs {} -> Vec<JobView>;

    /// One job.
    look "schedule.show" ShowJob { job_id: JobId } -> JobView;

    /// The newest runs of a job, newest first.
    look "schedule.history" ListJobHistory {
        job_id: JobId,
        /// At most this many; none: [`MAX_HISTORY`]. Never more than [`MAX_ROWS`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<usize>,
    } -> Vec<HistoryView>;

    /// The fires of a job, oldest first.
    look "schedule.fires" ListFires {
        job_id: JobId,
        /// Only instants at this one or later.
        #[serde(default, deserialize_with = "read_maybe_instant", skip_serializing_if = "Option::is_none")]
        from: Option<DateTime<Utc>>,
        /// Only instants before this one.
        #[serde(default, deserialize_with = "read_maybe_instant", skip_serializing_if = "Option::is_none")]
        to: Option<DateTime<Utc>>,
        /// At most this many, the newest; never more than [`MAX_ROWS`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limit: Option<usize>,
    } -> Vec<FireView>;

    /// The limits, and which of them are exceeded.
    look "limits.get" GetLimits {} -> Vec<LimitView>;

    /// All pipelines by id, broken ones included.
    look "pipeline.list" ListPipelines {} -> Vec<PipelineView>;
}

//! The views of jobs, fires and history for users and programs, also as JSON.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::job::Job;
use crate::base::id::RunId;
use crate::base::time::{instant, maybe_instant, parse_instant};
use crate::schedule::{Misfire, MisfirePolicy, Outcome, Overlap};
use crate::store::{NEVER_MS, StoredFire, StoredHistory, StoredJob, from_ms};

/// A job: an entry of `leverframe schedule list --json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobView {
    /// The job's name.
    pub job_id: String,
    /// The pipeline that it runs.
    pub pipeline_id: String,
    /// What its runs are named after.
    pub source: String,
    /// The kind of its schedule.
    pub schedule_type: String,
    /// The other parts of its schedule.
    pub schedule_config: Value,
    /// Its schedule in a sentence. Empty when the row can't be read.
    pub words: String,
    /// The zone of its schedule: an IANA name, or `local`.
    pub zone: String,
    /// Whether it fires.
    pub enabled: bool,
    /// When it is due next; none: never. For a disabled job: the first instant that it has missed or will miss.
    #[serde(serialize_with = "maybe_instant")]
    pub next_run: Option<DateTime<Utc>>,
    /// The due instant of its last run, or its start when it was started by hand, as written.
    pub last_run: Option<String>,
    /// How often it ran.
    pub run_count: i64,
    /// When it was added, as written.
    pub created_at: String,
    /// What happens to missed instants.
    pub misfire: Misfire,
    /// How many missed instants run at most.
    pub catchup_limit: u32,
    /// How late an instant may still run under a policy that skips missed ones, in seconds.
    pub misfire_grace_seconds: f64,
    /// The age from which a missed instant no longer runs, in seconds; none: no limit.
    pub misfire_max_age_seconds: Option<f64>,
    /// What happens to an instant while a run is under way.
    pub overlap: Overlap,
    /// The priority of its runs.
    pub priority: i32,
    /// The parameters of its runs.
    pub params: BTreeMap<String, String>,
    /// The run type of its runs; none: the pipeline's.
    pub run_type: Option<String>,
    /// The environment of its runs; none: the pipeline's.
    pub environment: Option<String>,
    /// The pipeline file whose `[[schedule]]` table defines its timing.
    pub file: Option<String>,
    /// Why it never fires: its row can't be read, or its fires can't be recorded.
    pub problem: Option<String>,
    /// Its runs that have not ended.
    pub running: Vec<RunId>,
    /// Why one of these runs is held, if one is.
    #[serde(default)]
    pub held: Option<String>,
    /// Its newest row in the ledger; none: it was never due.
    #[serde(default)]
    pub last_fire: Option<FireView>,
    /// Why its runs can't start at present, such as a missing pipeline. Only if that was looked up.
    #[serde(default)]
    pub trouble: Option<String>,
}

/// The runs of a job that are under way.
#[derive(Debug, Default)]
pub(super) struct UnderWay {
    /// The runs that have not ended.
    pub(super) runs: Vec<RunId>,
    /// Why one of them is held, if one is.
    pub(super) held: Option<String>,
}

/// A row of the ledger: an entry of `leverframe schedule fires --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FireView {
    /// The job's name.
    pub job_id: String,
    /// The first instant.
    #[serde(serialize_with = "instant")]
    pub due_at: DateTime<Utc>,
    /// The last instant.
    #[serde(serialize_with = "instant")]
    pub through_at: DateTime<Utc>,
    /// How many instants there are.
    pub n_instants: u64,
    /// The outcome: one of the words of [`Outcome`], unless a script wrote the row.
    pub outcome: String,
    /// The reason for the outcome, if there is one.
    pub reason: Option<String>,
    /// The reserved or started run, if there is one.
    pub run_id: Option<String>,
}

/// A run of a job: an entry of `leverframe schedule history --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryView {
    /// The job's name.
    pub job_id: String,
    /// The run's id.
    pub run_id: String,
    /// When it was started.
    #[serde(serialize_with = "instant")]
    pub started_at: DateTime<Utc>,
    /// When it ended; none while it has not.
    #[serde(serialize_with = "maybe_instant")]
    pub finished_at: Option<DateTime<Utc>>,
    /// The run's state, or `failed_to_start`.
    pub status: Option<String>,
    /// Why it failed.
    pub error: Option<String>,
}

impl JobView {
    /// The view of a row on a machine in the zone `local`, with its runs under way and the newest row of its ledger.
    pub(super) fn of(
        row: &StoredJob,
        local: &str,
        under_way: UnderWay,
        last_fire: Option<StoredFire>,
    ) -> Self {
        let job = Job::read(row);
        let words = job.as_ref().map_err(Clone::clone).and_then(|job| {
            let zone = job.tz(local).map_err(|error| error.to_string())?;
            Ok(job.spec.schedule.in_words(job.zone, zone))
        });
        let misfire = job.as_ref().map_or_else(|_| MisfirePolicy::default(), |job| job.spec.misfire);
        let seconds = |span: chrono::TimeDelta| span.num_milliseconds() as f64 / 1000.0;
        let text_next = parse_instant(&row.next_run).ok().map(|at| at.timestamp_millis());
        let next_ms = row.next_run_ms.filter(|ms| *ms < NEVER_MS).or(text_next).filter(|ms| *ms < NEVER_MS);
        Self {
            job_id: row.job_id.clone(),
            pipeline_id: row.pipeline_id.clone(),
            source: row.source.clone(),
            schedule_type: row.schedule_type.clone(),
            schedule_config: serde_json::from_str(&row.schedule_config)
                .unwrap_or_else(|_| Value::String(row.schedule_config.clone())),
            zone: row.zone.clone().unwrap_or_else(|| "local".to_owned()),
            enabled: row.enabled,
            next_run: next_ms.map(from_ms),
            last_run: row.last_run.clone(),
            run_count: row.run_count,
            created_at: row.created_at.clone(),
            misfire: misfire.policy,
            catchup_limit: misfire.catchup_limit,
            misfire_grace_seconds: seconds(misfire.grace),
            misfire_max_age_seconds: misfire.max_age.map(seconds),
            overlap: job.as_ref().map_or(Overlap::Skip, |job| job.spec.overlap),
            priority: job.as_ref().map_or(0, |job| job.spec.priority),
            params: job.as_ref().map_or_else(|_| BTreeMap::new(), |job| job.spec.params.clone()),
            run_type: row.run_type.clone(),
            environment: row.environment.clone(),
            file: row.file.clone(),
            problem: words.as_ref().err().cloned(),
            words: words.unwrap_or_default(),
            running: under_way.runs,
            held: under_way.held,
            last_fire: last_fire.map(FireView::from),
            trouble: None,
        }
    }
}

impl From<StoredFire> for FireView {
    fn from(fire: StoredFire) -> Self {
        Self {
            due_at: from_ms(fire.due_ms),
            through_at: from_ms(fire.through_ms),
            job_id: fire.job_id,
            n_instants: fire.n_instants,
            outcome: fire.outcome,
            reason: fire.reason,
            run_id: fire.run_id,
        }
    }
}

impl From<StoredHistory> for HistoryView {
    fn from(history: StoredHistory) -> Self {
        Self {
            job_id: history.job_id,
            run_id: history.run_id,
            started_at: history.started_at,
            finished_at: history.finished_at,
            status: history.status,
            error: history.error,
        }
    }
}

/// The outcome of a word; none for an unknown word, which a script may have written.
pub(super) fn outcome_of(word: &str) -> Option<Outcome> {
    word.parse().ok()
}
